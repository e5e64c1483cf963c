"""RAVDESS, speech: 24 American actors, two sentences, two intensities (Livingstone & Russo, PLOS ONE 2018).

A file is called `Actor_AA/MM-VV-EE-II-SS-RR-AA`: modality (03 audio alone), channel (01 speech, 02 song),
emotion, intensity, sentence, repetition, actor (odd numbers are men). Calm (02) is an emotion of its own and
is left out.
"""

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from ..frontend.audio import audio_files
from . import register
from .base import Corpus, Source, table_of_names

NAME = re.compile(r"(?P<kind>\d\d-\d\d)-(?P<emotion>\d\d)-\d\d-(?P<sentence>\d\d)-\d\d-(?P<speaker>\d\d)")
EMOTIONS = {"01": "neutral", "03": "happy", "04": "sad", "05": "angry"}
OTHERS = {"02": "label calm", "06": "label fearful", "07": "label disgust", "08": "label surprised"}


def read(root: Path) -> pd.DataFrame:
    dropped: Counter[str] = Counter()
    files = (path for actor in sorted(root.glob("Actor_*")) for path in audio_files(actor, dropped))
    return table_of_names(
        files,
        NAME,
        EMOTIONS,
        OTHERS,
        lambda speaker: "m" if int(speaker) % 2 else "f",
        dropped,
        lambda match: "" if match["kind"] == "03-01" else "not speech (song or video)",
    )


register(
    Corpus(
        name="ravdess",
        title="RAVDESS (speech)",
        heading="RAVDESS",
        language="English",
        kind="acted",
        licence="CC BY-NC-SA 4.0",
        citation="livingstone2018ravdess",
        url="https://zenodo.org/records/1188976",
        adapter=read,
        marker="Actor_[0-9][0-9]/03-01-*",
        counts=(192, 192, 192, 96),
        clip_seconds=4.5,
        max_epochs=139,  # by then the validation accuracy of the pilot's trainings was level; they did not stop before
        patience=139,
        source=Source(
            "https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip",
            checksum="md5:bc696df654c87fed845eb13823edef8a",
        ),
    )
)

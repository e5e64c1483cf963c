"""EmoDB, Berlin: ten German actors, ten everyday sentences (Burkhardt et al., Interspeech 2005).

A file is called `wav/SSTTTEv`: speaker, text, emotion (its German initial), version.
"""

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from ..frontend.audio import audio_files
from . import register
from .base import Corpus, Source, table_of_names

NAME = re.compile(r"(?P<speaker>\d\d)(?P<sentence>[ab]\d\d)(?P<emotion>[A-Z])[a-z]?")
EMOTIONS = {"W": "angry", "F": "happy", "T": "sad", "N": "neutral"}
OTHERS = {"A": "label fear", "L": "label boredom", "E": "label disgust"}
GENDERS = {
    **dict.fromkeys(("03", "10", "11", "12", "15"), "m"),
    **dict.fromkeys(("08", "09", "13", "14", "16"), "f"),
}


def read(root: Path) -> pd.DataFrame:
    dropped: Counter[str] = Counter()
    files = audio_files(root / "wav", dropped)
    return table_of_names(files, NAME, EMOTIONS, OTHERS, lambda speaker: GENDERS.get(speaker, ""), dropped)


register(
    Corpus(
        name="emodb",
        title="EmoDB (Berlin)",
        heading="EmoDB",
        language="German",
        kind="acted",
        licence="freely available, usually given as CC0",
        shareable=True,
        citation="burkhardt2005emodb",
        url="http://emodb.bilderbar.info",
        adapter=read,
        marker="wav/[0-9][0-9][ab][0-9][0-9][WFTN]*",
        folders=("emo-db",),
        counts=(127, 71, 62, 79),
        clip_seconds=5.5,
        # 6 updates an epoch: batch norm's running statistics need some 60 epochs, and the baseline's validation accuracy,
        # level from epoch 85 in one fold of `speaker`, still rises at 100 in another
        max_epochs=200,
        patience=100,
        source=Source("http://emodb.bilderbar.info/download/download.zip"),
    )
)

"""CREMA-D: 91 North American actors of many backgrounds, twelve sentences (Cao et al., IEEE TAC 2014).

A file is called `AudioWAV/{actor}_{sentence}_{emotion}_{level}`; `VideoDemographics.csv` has the actors'
genders.
"""

import re
from collections import Counter
from pathlib import Path

import pandas as pd

from ..frontend.audio import audio_files
from . import register
from .base import Corpus, Source, listing, table_of_names

NAME = re.compile(r"(?P<speaker>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<level>[A-Z]{1,2})")
EMOTIONS = {"ANG": "angry", "HAP": "happy", "SAD": "sad", "NEU": "neutral"}
OTHERS = {"DIS": "label disgust", "FEA": "label fear"}


def read(root: Path) -> pd.DataFrame:
    demographics = root / "VideoDemographics.csv"
    genders: dict[str, str] = {}
    if demographics.is_file():
        actors = listing(demographics, ("ActorID", "Sex"))
        genders = dict(zip(actors.ActorID, actors.Sex.str[0].str.lower(), strict=True))
    dropped: Counter[str] = Counter()
    files = audio_files(root / "AudioWAV", dropped)
    return table_of_names(files, NAME, EMOTIONS, OTHERS, lambda speaker: genders.get(speaker, ""), dropped)


register(
    Corpus(
        name="cremad",
        title="CREMA-D",
        language="English",
        kind="acted",
        licence="Open Database License 1.0, contents under the Database Contents License 1.0",
        citation="cao2014cremad",
        url="https://github.com/CheyneyComputerScience/CREMA-D",
        adapter=read,
        marker="AudioWAV/*_[A-Z][A-Z][A-Z]_*",
        folders=("crema-d",),
        counts=(1271, 1271, 1271, 1087),
        # from the lengths that the corpus is known for (2.5 s on average, 5 s at most), not from measuring
        # its files: `sercore check cremad` shows what the rule gives
        clip_seconds=4.0,
        max_epochs=100,
        patience=12,  # the 950 updates that ten epochs of IEMOCAP are
        source=Source(
            "https://github.com/CheyneyComputerScience/CREMA-D/archive/refs/heads/master.zip",
            only=("AudioWAV/*", "VideoDemographics.csv", "README.md", "LICENSE*"),
            lfs="https://media.githubusercontent.com/media/CheyneyComputerScience/CREMA-D/master",
        ),
    )
)

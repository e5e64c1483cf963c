"""nEMO: nine Polish actors speak the same 90 sentences in every emotion (Christop, LREC-COLING 2024).

A file is called `samples/{speaker}_{emotion}_{sentence}`; `data.tsv` has one row a file, with the speaker's
gender.
"""

import csv
from collections import Counter
from pathlib import Path

import pandas as pd

from ..errors import SercoreError
from ..frontend.audio import audio_files
from . import register
from .base import Corpus, Source, complain, listing, table

EMOTIONS = {"anger": "angry", "happiness": "happy", "sadness": "sad", "neutral": "neutral"}


def read(root: Path) -> pd.DataFrame:
    """Clips of the four classes that `data.tsv` lists must be there; those of other emotions need not."""
    clips = root / "data.tsv"
    if not clips.is_file():
        raise SercoreError(f"{clips}: no such file; it belongs to nEMO and names the clips and their speakers")
    listed = listing(clips, ("file_id", "emotion", "speaker_id", "gender"), sep="\t", quoting=csv.QUOTE_NONE)
    listed.index = pd.Index(listed.file_id.str.rsplit(".", n=1).str[0])
    complain(f"{clips}: clips that it lists twice", listed.index[listed.index.duplicated()])
    wanted = listed.emotion.isin(list(EMOTIONS))
    dropped = Counter("label " + listed.emotion[~wanted])
    rows = []
    for path in audio_files(root / "samples", dropped):
        speaker, _, rest = path.stem.partition("_")
        emotion, _, sentence = rest.partition("_")
        if path.stem not in listed.index or (wanted[path.stem] and emotion not in EMOTIONS):
            dropped["unknown file name"] += 1
        elif wanted[path.stem]:
            gender = listed.gender[path.stem][:1]
            label = EMOTIONS[emotion]
            rows.append(dict(id=path.stem, path=path, label=label, speaker=speaker, gender=gender, sentence=sentence))
    missing = set(listed.index[wanted]).difference(row["id"] for row in rows)
    complain(f"{root / 'samples'}: clips that data.tsv lists and that are not there", sorted(missing))
    return table(rows, dropped)


register(
    Corpus(
        name="nemo",
        title="nEMO",
        language="Polish",
        kind="acted",
        licence="CC BY-NC-SA 4.0",
        citation="christop2024nemo",
        url="https://huggingface.co/datasets/amu-cai/nEMO",
        adapter=read,
        marker="samples/*_anger_*",
        counts=(749, 749, 769, 809),
        clip_seconds=4.0,
        max_epochs=100,
        patience=18,  # the 950 updates that ten epochs of IEMOCAP are
        source=Source("https://github.com/amu-cai/nEMO/archive/06f1f83dde8f1a780443a57d53b2af3971af34ab.zip"),
    )
)

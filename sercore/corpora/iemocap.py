"""IEMOCAP: five dyadic sessions of two actors each, scripted and improvised (Busso et al., 2008).

Four classes as in the paper: angry, happy (`hap` and `exc`), sad and neutral, 5531 utterances. The release is
read as it is: the labels from `Session*/dialog/EmoEvaluation/*.txt`, the sound from
`Session*/sentences/wav/{dialogue}/`. `iemocap-improvised` and `iemocap-scripted` are the two parts of it.
"""

import functools
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from ..errors import SercoreError
from ..frontend.audio import audio_files
from . import register
from .base import LABELS, Corpus, complain, table

LINE = re.compile(
    r"\[\d+\.\d+ - \d+\.\d+\]\t"
    r"(?P<id>(?P<dialogue>Ses\d\d[FM]_\w+)_(?P<sex>[FM])\w*\d+)\t(?P<emotion>\w+)\t\[.*"
)
EMOTIONS = {"ang": "angry", "hap": "happy", "exc": "happy", "sad": "sad", "neu": "neutral"}
OTHERS = ("fru", "fea", "sur", "dis", "oth", "xxx")
COUNTS = (1103, 1636, 1084, 1708)


def read(root: Path, part: str = "") -> pd.DataFrame:
    """The utterances of the four classes, all 5531 of them or those of one part ("impro" or "script").

    The speaker of an utterance is the session with the F or M of the utterance's own number:
    Ses01F_impro01_M003 is spoken by the man of session 1, Ses01M (the F before it says only who wore the
    motion capture markers).
    """
    dropped: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    malformed, missing = [], []
    for session in sorted(root.glob("Session[1-5]")):
        sounds = {path.stem: path for path in audio_files(session / "sentences" / "wav", Counter())}
        for evaluation in sorted((session / "dialog" / "EmoEvaluation").glob("[!.]*.txt")):
            for number, line in enumerate(evaluation.read_text("utf-8", errors="replace").splitlines(), start=1):
                if not line.startswith("["):
                    continue
                match = LINE.fullmatch(line.strip())
                if not match:
                    malformed.append(f"{evaluation}:{number}: {line}")
                    continue
                task = match["dialogue"].partition("_")[2]
                if not task.startswith(part):
                    continue
                if match["emotion"] not in EMOTIONS:
                    known = match["emotion"] in OTHERS
                    dropped[f"{'label' if known else 'unknown label'} {match['emotion']}"] += 1
                elif match["id"] not in sounds:
                    missing.append(session / "sentences" / "wav" / match["dialogue"] / f"{match['id']}.wav")
                else:
                    script = re.match(r"script\d+_\d+", task)
                    rows.append(
                        dict(
                            id=match["id"],
                            path=sounds[match["id"]],
                            label=EMOTIONS[match["emotion"]],
                            speaker=match["id"][:5] + match["sex"],
                            session=match["id"][:5],
                            gender=match["sex"].lower(),
                            sentence=script[0] if script else "",
                        )
                    )
    complain(f"{root}: lines that are not of IEMOCAP's form", malformed)
    complain(f"{root}: utterances with a label but without their sound", missing)
    frame = table(rows, dropped)
    found = tuple((frame.label == label).sum() for label in LABELS)
    if not part and found != COUNTS:
        lines = [f"{label}: {n} instead of {wanted}" for label, n, wanted in zip(LABELS, found, COUNTS, strict=True)]
        raise SercoreError(
            f"{root} is not the whole of IEMOCAP, which has 5531 utterances of the four classes: " + ", ".join(lines)
        )
    return frame


for suffix, part, title, kind, counts in (
    ("", "", "IEMOCAP", "acted and improvised", COUNTS),
    ("-improvised", "impro", "IEMOCAP (improvised part)", "improvised", ()),
    ("-scripted", "script", "IEMOCAP (scripted part)", "acted", ()),
):
    register(
        Corpus(
            name=f"iemocap{suffix}",
            title=title,
            language="English",
            kind=kind,
            licence="by request from its owner, for research",
            citation="busso2008iemocap",
            url="https://sail.usc.edu/iemocap/",
            adapter=functools.partial(read, part=part),
            marker="Session1/dialog/EmoEvaluation",
            folders=("iemocap", "iemocap_full_release"),
            counts=counts,
            clip_seconds=7.5,
            max_epochs=100,
            patience=10,
            obtain="Its owner gives it on request: https://sail.usc.edu/iemocap/iemocap_release.htm",
        )
    )

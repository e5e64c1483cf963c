"""What a corpus is: an entry about it, and an adapter that turns its folder into a table of utterances."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..config import MOST
from ..errors import SercoreError

TRAINING_SHARE, BATCH, PATIENCE_UPDATES, LEVEL_UPDATES = 0.55, 32, 950, 1700
LABELS = ("angry", "happy", "sad", "neutral")
OWN = "your own files"
"""The kind of a corpus that is a folder or a table of its user's."""
COLUMNS = ("id", "path", "label", "speaker", "session", "gender", "sentence", "duration")


@dataclass(frozen=True)
class Source:
    """Where a publisher gives a corpus to everybody: one archive, perhaps with Git LFS beside it."""

    url: str  # of a zip or tar archive
    checksum: str = ""  # "md5:..." or "sha256:..." where the publisher states one
    only: tuple[str, ...] = ("*",)  # glob patterns of what to unpack
    lfs: str = ""  # address of the folder that holds the files of which the archive has only Git LFS pointers


@dataclass(frozen=True)
class Corpus:
    """One corpus. `adapter` takes its folder and returns `table(...)`; everything else describes it."""

    name: str
    title: str
    language: str
    kind: str  # how the emotions came about: "acted", "acted and improvised", "synthetic", ...
    licence: str
    citation: str  # key in the book's bibliography
    url: str
    adapter: Callable[[Path], pd.DataFrame]
    heading: str = ""  # a shorter title, for headings and tables
    marker: str = ""  # glob pattern that only a folder of this corpus matches
    folders: tuple[str, ...] = ()  # names of its folder other than `name`; upper and lower case are alike
    counts: tuple[int, ...] = ()  # published number of utterances of each label
    shareable: bool = False  # whether its audio, or the pictures of its spectra, may stand on a public page
    labels: tuple[str, ...] = LABELS
    clip_seconds: float | None = None  # None: `clip_rule` of its durations
    max_epochs: int | None = None  # this and `patience` None: `length_rule` of its size
    patience: int | None = None
    source: Source | None = None  # what `sercore fetch` brings
    obtain: str = ""  # how to come by it, where there is no such source
    make: Callable[[], Path] | None = None  # makes its folder on the spot, for a corpus that is nowhere to be found
    spectra: bool = False  # it is here as log-Mel energies alone, a bundle of its name: no audio
    heard: tuple[str, ...] = ()  # front ends whose frames such a bundle has beside them

    def matches(self, folder: Path) -> bool:
        """Whether `folder` looks like this corpus."""
        return bool(self.marker) and any(True for _ in folder.glob(self.marker))


def table(rows: Iterable[dict[str, Any]], dropped: Counter[str] | None = None) -> pd.DataFrame:
    """Rows (with at least id, path and label) as a table; `attrs["dropped"]` counts what was left out.

    Raises `SercoreError` for names that are no text: bytes that are not UTF-8 in the name of a file or folder.
    """
    rows = list(rows)
    complain(
        "files and folders whose names are not UTF-8: rename them",
        (str(row["path"]).encode("utf-8", "backslashreplace").decode() for row in rows if not _is_text(row)),
    )
    filled = [{**dict.fromkeys(COLUMNS[3:7], ""), **row, "path": os.path.abspath(row["path"])} for row in rows]
    frame = pd.DataFrame(filled, columns=list(COLUMNS[:-1])).sort_values("id", ignore_index=True)
    frame.attrs["dropped"] = dict(sorted((+(dropped or Counter())).items()))
    return frame


def listing(path: Path, columns: Iterable[str], **how: Any) -> pd.DataFrame:
    """A table that comes with a corpus, as texts. Raises `SercoreError` where it is none, or lacks one of the `columns`."""
    try:
        found = pd.read_csv(path, dtype=str, keep_default_na=False, **how)
    except Exception as error:  # whatever a damaged file comes to
        raise SercoreError(f"{path}: not a table ({error})") from error
    complain(f"{path}: missing columns", sorted(set(columns) - set(found.columns)))
    return found


def _is_text(row: dict[str, Any]) -> bool:
    try:
        "".join(map(str, row.values())).encode()
    except UnicodeEncodeError:
        return False
    return True


def table_of_names(
    files: Iterable[Path],
    name: re.Pattern[str],
    emotions: dict[str, str],
    others: dict[str, str],
    gender: Callable[[str], str],
    dropped: Counter[str],
    leave_out: Callable[[re.Match[str]], str] = lambda match: "",
) -> pd.DataFrame:
    """The table of a corpus whose file names say everything.

    `name` has the groups speaker, sentence and emotion; `emotions` gives a label, `others` why an utterance of another
    emotion is left out, `gender` that of a speaker, `leave_out` a reason of the corpus's own, or "".
    """
    rows = []
    for path in files:
        match = name.fullmatch(path.stem)
        if not match:
            dropped["unknown file name"] += 1
        elif reason := leave_out(match):
            dropped[reason] += 1
        elif match["emotion"] not in emotions:
            dropped[others.get(match["emotion"], f"unknown label {match['emotion']}")] += 1
        else:
            speaker = match["speaker"]
            row = {"id": path.stem, "path": path, "label": emotions[match["emotion"]], "speaker": speaker}
            rows.append(row | {"gender": gender(speaker), "sentence": match["sentence"]})
    return table(rows, dropped)


def clip_rule(durations: Iterable[float]) -> float:
    """The shortest multiple of half a second that leaves at least 95 % of the utterances (seconds) uncut; at most 10 minutes."""
    longest = np.quantile(np.asarray(list(durations), dtype=float), 0.95, method="inverted_cdf")
    return min(float(np.ceil(longest * 2) / 2), float(MOST["clip_seconds"]))


def updates_an_epoch(utterances: int) -> int:
    """Batches of 32 in the part of a corpus of this size that trains, 55 % of it or a little more."""
    return int(np.ceil(TRAINING_SHARE * utterances / BATCH))


def length_rule(utterances: int) -> tuple[int, int]:
    """Epochs at most and epochs without a better one, where a corpus does not say: the patience is about 950 updates.

    The running statistics of Keras's batch norm need some hundred updates before the validation accuracy means anything, and a
    small corpus has few in an epoch. After some 1,700 updates the validation accuracy of the pilot (`lab.pilot`) was level on
    RAVDESS, and long before on EmoDB. On 5531 utterances (IEMOCAP) it comes to the paper's 100 and 10.
    """
    updates = updates_an_epoch(utterances)
    epochs, patience = (int(np.ceil(wanted / max(updates, 1))) for wanted in (LEVEL_UPDATES, PATIENCE_UPDATES))
    return min(max(epochs, 100), 200), min(max(patience, 10), 100)


def complain(message: str, offenders: Iterable[object], show: int = 20) -> None:
    """Raise one `SercoreError` that names all offenders (the first `show` of very many); none, no error."""
    listed = [str(offender) for offender in offenders]
    if listed:
        more = [f"... and {len(listed) - show} more"] if len(listed) > show else []
        raise SercoreError("\n  ".join([f"{message} ({len(listed)}):", *listed[:show], *more]), listed)

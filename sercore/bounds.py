"""The forms and bounds of what is read: a file that came from elsewhere may say anything, and nothing in it is believed before.

What is no table, array or JSON at all raises whatever its reader raises; who reads says in a `SercoreError` which file that was.
"""

from __future__ import annotations

import json
import re
import reprlib
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .errors import SercoreError

if TYPE_CHECKING:  # labelling a file does without it, and starts in less time
    import pandas as pd

NAME = "[a-z0-9][a-z0-9-]{0,79}"
"""What a corpus may be called: runs, files and pages bear its name."""

SLUG = "[A-Za-z0-9][A-Za-z0-9+.@=,_-]{0,149}"
"""What a system may be called: so do they its slug."""

PROTOCOLS = ("paper", "speaker", "leaky")
"""What `sercore.corpora.protocol` splits by."""
FOLDS = 5

LETTERS, PATH_LETTERS, JSON_BYTES = 300, 4096, 2**20
MOST_CLASSES = 1000
TEMPERATURES = (1e-3, 1e3)

MOST_TIMES, FREE_BYTES, MOST_BYTES = 50, 2**28, 2**30
"""Times its own size that a packed file may come to, bytes to which it always may, and bytes to which arrays may at most: of a
corpus's energies in a bundle there are some 100 MiB, packed into a fifth."""

FREE_ROWS = 10**5
"""Rows that a table of any size may have: a larger one has no more rows than bytes, for its numbers hardly pack."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_HALF = re.compile("[\ud800-\udfff]")


class Kind(NamedTuple):
    """What a value must be, and in words."""

    fits: Callable[[Any], bool]
    words: str


def text(most: int = LETTERS) -> Kind:
    """A text that stands in one line."""
    return Kind(
        lambda value: isinstance(value, str) and len(value) <= most and not _CONTROL.search(value),
        f"a line of at most {most} letters",
    )


def matching(pattern: str, words: str) -> Kind:
    return Kind(lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None, words)


def one_of(*names: str) -> Kind:
    return Kind(lambda value: isinstance(value, str) and value in names, f"one of {', '.join(names)}")


def whole(low: int, high: int) -> Kind:
    return Kind(lambda value: type(value) is int and low <= value <= high, f"a whole number from {low} to {high}")


def number(low: float, high: float) -> Kind:
    return Kind(lambda value: type(value) in (int, float) and low <= value <= high, f"a number from {low:g} to {high:g}")


def maybe(kind: Kind) -> Kind:
    return Kind(lambda value: value is None or kind.fits(value), f"{kind.words}, or none")


def several(kind: Kind, most: int = MOST_CLASSES) -> Kind:
    return Kind(
        lambda value: isinstance(value, list) and len(value) <= most and all(map(kind.fits, value)),
        f"a list of at most {most}, each {kind.words}",
    )


def by_name(kind: Kind, most: int = MOST_CLASSES) -> Kind:
    def fits(value: Any) -> bool:
        few = isinstance(value, dict) and len(value) <= most
        return few and all(map(LABEL.fits, value)) and all(map(kind.fits, value.values()))

    return Kind(fits, f"names, each with {kind.words}")


SHARE = number(0, 1)
COUNT = whole(0, 2**53)
DIGEST = text(128)
LABEL = Kind(
    lambda value: isinstance(value, str) and 0 < len(value) <= LETTERS and not _HALF.search(value),
    f"a text of 1 to {LETTERS} letters",
)
"""A class or a speaker may be called anything, on several lines too."""
CELL = Kind(
    lambda value: isinstance(value, str) and len(value) <= PATH_LETTERS and not _HALF.search(value),
    f"a text of at most {PATH_LETTERS} letters",
)
"""Of a table of utterances: an id is often a path, and a sentence may be a transcript."""
CLASSES = Kind(
    lambda value: several(LABEL).fits(value) and 0 < len(value) == len(set(value)),
    f"a list of 1 to {MOST_CLASSES} classes, none twice, each {LABEL.words}",
)


def wrong(found: Any, kinds: dict[str, Kind], needed: Iterable[str] = ()) -> list[str]:
    """What is wrong with the values of a dictionary that came from elsewhere: keys of `kinds` that are of another kind, and keys
    that it lacks of those that are `needed`."""
    if not isinstance(found, dict):
        return ["it is no dictionary"]
    lacking = [f"it lacks {key}" for key in needed if key not in found]
    return lacking + [
        f"{key} is {shown(found[key])}, and must be {kind.words}"
        for key, kind in kinds.items()
        if key in found and not kind.fits(found[key])
    ]


_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother, _short.maxlong = 2, 80, 80, 80


def shown(value: Any) -> str:
    """A value of any size and depth in a message: no more of it than fits a line."""
    return "a huge number" if isinstance(value, int) and abs(value) > 10**80 else _short.repr(value)


def parsed(path: Path) -> Any:
    """What a JSON file of at most `JSON_BYTES` says."""
    if path.stat().st_size > JSON_BYTES:
        raise SercoreError(f"{path.name} is larger than {JSON_BYTES >> 20} MiB")
    return json.loads(path.read_text(encoding="utf-8"))


def swells(size: int, unpacked: int) -> bool:
    """Whether a packed file of `size` bytes would come to more than such files do."""
    return unpacked > max(MOST_TIMES * size, FREE_BYTES)


def members(path: Path, packed: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """What a zip file holds. Raises `SercoreError` where that is too much, or something is there twice."""
    entries, size = packed.infolist(), path.stat().st_size
    unpacked = sum(entry.file_size for entry in entries)
    if swells(size, unpacked):
        raise SercoreError(f"its {size} bytes would become {unpacked}")
    if len({entry.filename for entry in entries}) < len(entries):
        raise SercoreError("it holds several files of one name")
    return entries


def arrays(path: Path, *names: str) -> dict[str, np.ndarray]:
    """Arrays of an .npz file, all by default. Raises `SercoreError` where they would take more memory than such files do."""
    with zipfile.ZipFile(path) as packed:
        if sum(entry.file_size for entry in members(path, packed)) > MOST_BYTES:
            raise SercoreError(f"its arrays take more than {MOST_BYTES >> 20} MiB")
    with np.load(path) as file:
        return {name: file[name] for name in names or file.files}


def table(path: Path, needed: Sequence[str] = (), only: Sequence[str] | None = None) -> pd.DataFrame:
    """A Parquet file, all of its columns or `only` some.

    Raises `SercoreError` that names it where it is not whole, lacks a column that is `needed`, or would take more memory than
    such files do.
    """
    import pyarrow.parquet as pq

    try:
        about, size = pq.read_metadata(path), path.stat().st_size
        unpacked = sum(about.row_group(index).total_byte_size for index in range(about.num_row_groups))
        if swells(size, unpacked) or about.num_rows > max(size, FREE_ROWS):
            raise SercoreError(f"{path}: {size} bytes would become {about.num_rows} rows and {unpacked} bytes")
        whole = pq.read_table(path, columns=only)
        whole.validate(full=True)  # its texts are texts
        found = whole.to_pandas()
    except SercoreError:
        raise
    except Exception as error:  # whatever a damaged file comes to
        raise SercoreError(f"{path}: no whole table of sercore ({error}): bring it back as it was, or publish again") from error
    if lacking := [column for column in needed if column not in found]:
        raise SercoreError(f"{path}: no column {', '.join(lacking)}: bring it back as it was, or publish again")
    return found

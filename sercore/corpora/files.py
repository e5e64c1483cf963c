"""Recordings of your own: a folder with one sub-folder a label, or a table (CSV, TSV) of path and label.

A table may also have id, speaker, session, gender and sentence. Its paths are relative to its own folder.
"""

from __future__ import annotations

import csv
import functools
import os
import re
import unicodedata
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

from .. import bounds
from ..errors import SercoreError
from ..frontend.audio import audio_files
from . import Corpus, get, names
from .base import COLUMNS, LABELS, OWN, complain, table

GENDERS = {"": "", "f": "f", "female": "f", "w": "f", "woman": "f", "m": "m", "male": "m", "man": "m"}
MOST_COLUMNS, MOST_SHOWN = 1000, 500


def corpus_at(path: Path) -> Corpus:
    """A corpus from a folder or a table. Raises `SercoreError` with everything that is wrong in it."""
    path = path.absolute()
    if os.path.exists(path) and not bounds.text(bounds.PATH_LETTERS).fits(str(path)):
        raise SercoreError(f"{bounds.shown(str(path))}: its name holds control characters, or is too long: rename it")
    for known in map(get, names()):
        if os.path.isdir(path) and known.matches(path):
            raise SercoreError(f"{path} looks like {known.title}: ask for {known.name!r}, with --data-root {path}")
    adapter = functools.partial(_read_folder if os.path.isdir(path) else _read_table, path)
    found = set(adapter(path).label)
    if len(found) < 2:
        where = "sub-folders with audio files, one a label" if os.path.isdir(path) else "labels in its column label"
        raise SercoreError(f"{path} needs two or more {where}; it has {f'only {min(found)}' if found else 'none'}")
    return Corpus(
        name=_name(path.stem),
        title=path.name,
        language="",
        kind=OWN,
        licence="",
        citation="",
        url="",
        adapter=adapter,
        labels=tuple(label for label in LABELS if label in found) if found <= set(LABELS) else tuple(sorted(found)),
        make=lambda: path,
    )


def _name(stem: str) -> str:
    """A file's name in small letters, digits and hyphens; one that a corpus of the package has ends in `-files`."""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode().lower()
    name = re.sub("[^a-z0-9]+", "-", plain).strip("-")[:60].strip("-") or "corpus"
    return f"{name}-files" if name in names() else name


def _read_folder(folder: Path, _root: Path) -> pd.DataFrame:
    dropped: Counter[str] = Counter()
    rows = []
    for path in audio_files(folder, dropped):
        name = path.relative_to(folder)
        if len(name.parts) == 1:
            dropped["unknown label: file outside the sub-folders"] += 1
        else:
            rows.append(dict(id=name.as_posix(), path=path, label=name.parts[0]))
    return table(rows, dropped)


def _surplus(listing: Path, separator: str) -> list[str]:
    """Fields beyond the header's that are not empty, by line. Raises `SercoreError` for a header, or a field, of a size that no
    table of recordings has."""
    try:
        with listing.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, delimiter=separator)
            if (width := len(next(rows, []))) > MOST_COLUMNS:
                raise SercoreError(f"{listing}: {width} columns, where {MOST_COLUMNS} are too many: is it a table of recordings?")
            return [f"line {rows.line_num}: {', '.join(row[width:])}" for row in rows if any(map(str.strip, row[width:]))]
    except csv.Error as error:
        raise SercoreError(f"{listing}: line {rows.line_num}: {error}") from None


def there(listing: Path) -> pd.DataFrame:
    """Of a table with rows that cannot be taken, those whose file is there, each file once: columns id, path, label."""
    frame = _rows(listing)
    frame = frame[[path != "" and os.path.isfile(listing.parent / path) for path in frame["path"]]]
    frame = frame.drop_duplicates("path").reset_index(drop=True)
    return frame.assign(id=frame["path"], path=[listing.parent / path for path in frame["path"]])[["id", "path", "label"]]


def _rows(listing: Path) -> pd.DataFrame:
    """What a table says, as texts; `SercoreError` where it is none, or lacks a column."""
    if not os.path.isfile(listing):
        raise SercoreError(f"{listing}: no such file")
    separator = "\t" if listing.suffix.lower() == ".tsv" else ","
    try:
        surplus = _surplus(listing, separator)
        with warnings.catch_warnings(action="ignore", category=pd.errors.ParserWarning):  # `surplus` tells more
            frame = pd.read_csv(
                listing,
                sep=separator,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
                index_col=False,  # rows may end in a comma that the header does not have
                skip_blank_lines=False,  # so that lines are counted as an editor counts them
            )
    except pd.errors.EmptyDataError:
        raise SercoreError(f"{listing} is empty: it needs the columns path and label") from None
    except UnicodeDecodeError:
        raise SercoreError(f"{listing}: its letters are not UTF-8: save it as UTF-8") from None
    except SercoreError:
        raise
    except (ValueError, pd.errors.ParserError) as error:
        raise SercoreError(f"{listing}: not a table ({error})") from error
    absent = {"path", "label"} - set(frame.columns)
    if absent and len(frame.columns) == 1 and ";" in frame.columns[0]:
        raise SercoreError(f"{listing}: its columns are separated by ';': save it with commas")
    complain(f"{listing}: missing columns, in small letters (it has {', '.join(frame.columns)})", sorted(absent))
    complain(f"{listing}: rows with more fields than its first line has", surplus)
    frame = frame[[column for column in COLUMNS[:-1] if column in frame]].apply(lambda column: column.str.strip())
    return frame[(frame != "").any(axis=1)]


def _read_table(listing: Path, _root: Path) -> pd.DataFrame:
    frame = _rows(listing)
    if "id" not in frame:
        frame["id"] = frame.path
    if "gender" not in frame:
        frame["gender"] = ""
    wrong = []
    repeated = frame.id.duplicated(keep=False)
    for line, row in zip(frame.index + 2, frame.to_dict("records"), strict=True):  # the header is line 1
        problems = (
            (not row["path"], "empty path"),
            (bool(row["path"]) and not os.path.isfile(listing.parent / row["path"]), f"no file {row['path'][:MOST_SHOWN]}"),
            (len(row["label"]) > bounds.LETTERS, f"a label of more than {bounds.LETTERS} letters"),
            (not all(map(bounds.CELL.fits, row.values())), f"a field of more than {bounds.PATH_LETTERS} letters"),
            (not row["label"], "empty label"),
            (not row["id"], "empty id"),
            (bool(row["id"]) and repeated[line - 2], f"id {row['id']} more than once"),
            (row["gender"].lower() not in GENDERS, f"gender {row['gender']!r} is not f, m or empty"),
        )
        wrong += [f"line {line}: {problem}" for is_so, problem in problems if is_so]
    complain(f"{listing}: bad rows", wrong)
    frame["gender"] = frame.gender.str.lower().map(GENDERS)
    frame["path"] = [listing.parent / path for path in frame.path]
    return table(frame.to_dict("records"))

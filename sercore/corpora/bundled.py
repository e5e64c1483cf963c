"""A corpus from a bundle: one file of `sercore.lab.bundle` that holds its table and its log-Mel energies, and no audio."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import bounds
from ..config import MOST, STEP_SECONDS
from ..errors import SercoreError
from .base import COLUMNS, Corpus

if TYPE_CHECKING:
    from ..frontend.inputs import Inputs

SUFFIX = ".bundle"
ENTRY = ("name", "title", "language", "kind", "licence", "citation", "url", "counts", "labels", "max_epochs", "patience")

ABOUT = {
    "name": bounds.matching(bounds.NAME, "a name in small letters, digits and hyphens"),
    **dict.fromkeys(("title", "language", "kind", "licence", "citation"), bounds.text()),
    **dict.fromkeys(("url", "source"), bounds.text(bounds.PATH_LETTERS)),
    "counts": bounds.several(bounds.COUNT),
    "labels": bounds.CLASSES,
    **dict.fromkeys(("max_epochs", "patience"), bounds.maybe(bounds.whole(1, 10**6))),
    "clip_seconds": bounds.number(STEP_SECONDS, MOST["clip_seconds"]),
    "digest": bounds.DIGEST,
    "step": bounds.number(2**-20, 1),
    "scales": bounds.by_name(bounds.several(bounds.number(1e-9, 1e9))),
    "table": bounds.Kind(lambda value: isinstance(value, dict), "a dictionary of columns"),
}
"""What a bundle may say; older ones have no `scales`."""

CELLS = dict.fromkeys(("id", "speaker", "session", "sentence"), bounds.CELL) | {
    "label": bounds.LABEL,
    "gender": bounds.one_of("f", "m", ""),
    "duration": bounds.number(0, 1e6),
}
"""What may stand in a column of its table."""

LOUDEST = 100
"""An energy whose exponential is still a number, and far louder than sound."""


def is_bundle(name: str | os.PathLike[str]) -> bool:
    return Path(name).suffix == SUFFIX


def corpus(path: str | os.PathLike[str]) -> Corpus:
    """The corpus's entry in a bundle."""
    with _whole(path):
        about = _about(path)
        entry = {name: about[name] for name in (*ENTRY, "clip_seconds")}
        entry = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
        heard = tuple(about.get("scales", ()))
        return Corpus(**entry, adapter=no_audio, make=lambda: Path(path), spectra=True, heard=heard)


def find(name: str, roots: Iterable[Path]) -> Path | None:
    """The bundle of the corpus `name` in one of the data roots, or in a folder of one."""
    for root in filter(Path.is_dir, roots):
        for path in sorted([*root.glob(f"{name}{SUFFIX}"), *root.glob(f"*/{name}{SUFFIX}")]):
            return path
    return None


def found(roots: Iterable[Path]) -> list[str]:
    """Names of the corpora that lie in the data roots as bundles."""
    inside = (
        path for root in filter(Path.is_dir, roots) for pattern in (f"*{SUFFIX}", f"*/*{SUFFIX}") for path in root.glob(pattern)
    )
    return sorted({path.stem for path in inside})


def table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The corpus's utterances, with empty paths."""
    with _whole(path):
        return pd.DataFrame(_about(path)["table"]).assign(path="")[list(COLUMNS)]


def no_audio(path: Path) -> pd.DataFrame:
    """The adapter of a corpus of spectra: what wants recordings is told that there are none."""
    raise SercoreError(f"{path} has log-Mel energies alone, and no audio")


def source(path: str | os.PathLike[str]) -> str:
    """What the corpus was called where the bundle was written."""
    with _whole(path):
        return str(_about(path)["source"])


def log_mels(path: str | os.PathLike[str]) -> Inputs:
    """The log-Mel energies in a bundle, with the checksum of the data that they were computed from."""
    from ..frontend.front_ends import FRONT_ENDS
    from ..frontend.inputs import Inputs

    with _whole(path):
        about = _about(path)
        ids = np.array(about["table"]["id"], dtype=object)
        lengths, low, high = bounds.arrays(Path(path), "lengths", "low", "high").values()
        codes = _codes(lengths, low, high, len(ids), FRONT_ENDS["log_mel"].bands)
        arrays = tuple(_decode(code, about["step"]) for code in codes)
        if not all(np.abs(mels).max() < LOUDEST for mels in arrays):
            raise ValueError("energies that no sound has")
        return Inputs(ids, lengths, arrays, about["digest"], step=about["step"])


def inputs(path: str | os.PathLike[str], front_end: str) -> Inputs:
    """The frames that another front end made of the recordings, in a bundle that has them (`Corpus.heard`)."""
    from ..frontend.front_ends import FRONT_ENDS

    with _whole(path):
        about, log_mel, bands = _about(path), log_mels(path), FRONT_ENDS[front_end].bands
        low, high = bounds.arrays(Path(path), f"{front_end}-low", f"{front_end}-high").values()
        scale = np.asarray(about["scales"][front_end], np.float32)
        if scale.shape != (bands,):
            raise ValueError("other bands than the front end's")
        codes = _codes(log_mel.lengths, low, high, len(log_mel), bands)
        arrays = tuple(_decode(code, 1.0) * scale for code in codes)
        if not all(np.isfinite(frames).all() for frames in arrays):
            raise ValueError("frames that are not finite")
        return replace(log_mel, arrays=arrays, front_end=front_end)


def _codes(lengths: np.ndarray, low: np.ndarray, high: np.ndarray, utterances: int, bands: int) -> list[np.ndarray]:
    """The codes (frames, bands) of each utterance, from their lower and their upper bytes."""
    if lengths.dtype.kind not in "iu" or lengths.shape != (utterances,) or lengths.min() < 1:
        raise ValueError("other lengths than utterances")
    if not low.dtype == high.dtype == np.uint8 or not low.shape == high.shape == (lengths.sum(), bands):
        raise ValueError("other codes than lengths and bands")
    return np.split(low.astype(np.uint16) | (high.astype(np.uint16) << 8), np.cumsum(lengths)[:-1])


def encode(mels: np.ndarray, step: float) -> np.ndarray:
    """(frames, mels) as differences in time and band of whole steps, sign in the last bit: small numbers, mostly."""
    whole = np.round(mels / step).astype(np.int32)
    difference = np.diff(np.diff(whole, axis=0, prepend=0), axis=1, prepend=0)
    return ((difference << 1) ^ (difference >> 31)).astype(np.uint16)


def _decode(code: np.ndarray, step: float) -> np.ndarray:
    whole = code.astype(np.int32)
    difference = (whole >> 1) ^ -(whole & 1)
    return (difference.cumsum(1).cumsum(0) * step).astype(np.float32)


def _about(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a bundle says of itself, within `_whole`. Raises `SercoreError` with all of it that no bundle says."""
    about = json.loads(bounds.arrays(Path(path), "about")["about"].tobytes())
    problems = bounds.wrong(about, ABOUT, ABOUT.keys() - {"scales"}) or _wrong_table(about["table"], about["labels"])
    if problems:
        raise SercoreError("; ".join(problems), problems)
    return about


def _wrong_table(columns: dict[str, Any], labels: list[str]) -> list[str]:
    """What is wrong with the columns of a bundle's table."""
    if strange := [name for name in CELLS if not isinstance(columns.get(name), list)]:
        return [f"its table has no column {', '.join(strange)}"]
    ids = columns["id"]
    problems = [
        f"in column {name} of its table is {bounds.shown(bad)}, and must be {kind.words}"
        for name, kind in CELLS.items()
        if (bad := next((value for value in columns[name] if not kind.fits(value)), kind)) is not kind
    ]
    if problems:
        return problems
    if not ids or any(len(columns[name]) != len(ids) for name in CELLS):
        problems.append("the columns of its table are not equally long")
    if len(set(ids)) < len(ids):
        problems.append("its table has an id twice")
    if unknown := sorted(set(columns["label"]) - set(labels)):
        problems.append(f"its table has labels that it does not name: {', '.join(map(bounds.shown, unknown[:5]))}")
    return problems


@contextmanager
def _whole(path: str | os.PathLike[str]) -> Iterator[None]:
    """A file that is no bundle, or not whole, raises `SercoreError`, whatever reading it comes upon."""
    try:
        yield
    except SercoreError as error:
        told = str(error)
        raise SercoreError(told if told.startswith(f"{path}: ") else f"{path}: {told}", error.offenders) from None
    except FileNotFoundError:
        raise SercoreError(f"{path}: no such bundle; `sercore bundle CORPUS` writes one") from None
    except PermissionError as error:
        raise SercoreError(f"{path}: {error.strerror}") from None
    except Exception as error:
        raise SercoreError(f"{path} is not a whole bundle of sercore: write it again with `sercore bundle`") from error

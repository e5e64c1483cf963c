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

from ..errors import SercoreError
from .base import COLUMNS, Corpus

if TYPE_CHECKING:
    from ..frontend.inputs import Inputs

SUFFIX = ".bundle"
ENTRY = ("name", "title", "language", "kind", "licence", "citation", "url", "counts", "labels", "max_epochs", "patience")


def is_bundle(name: str | os.PathLike[str]) -> bool:
    return Path(name).suffix == SUFFIX


def corpus(path: str | os.PathLike[str]) -> Corpus:
    """The corpus's entry in a bundle."""
    with _whole(path):
        about = _about(path)
        entry: dict[str, Any] = {name: about[name] for name in (*ENTRY, "clip_seconds")}
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
    from ..frontend.inputs import Inputs

    with _whole(path):
        about = _about(path)
        lengths, low, high = _read(path, "lengths", "low", "high")
        arrays = tuple(_decode(code, about["step"]) for code in _codes(lengths, low, high))
        ids = np.array(about["table"]["id"], dtype=object)
        return Inputs(ids, lengths, arrays, about["digest"], step=about["step"])


def inputs(path: str | os.PathLike[str], front_end: str) -> Inputs:
    """The frames that another front end made of the recordings, in a bundle that has them (`Corpus.heard`)."""
    with _whole(path):
        about, log_mel = _about(path), log_mels(path)
        low, high = _read(path, f"{front_end}-low", f"{front_end}-high")
        scale = np.asarray(about["scales"][front_end], np.float32)
        arrays = tuple(_decode(code, 1.0) * scale for code in _codes(log_mel.lengths, low, high))
        return replace(log_mel, arrays=arrays, front_end=front_end)


def _codes(lengths: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[np.ndarray]:
    """The codes of each utterance, from their lower and their upper bytes."""
    if lengths.min() < 1 or not lengths.sum() == len(low) == len(high):
        raise ValueError("other lengths than frames")
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
    return json.loads(_read(path, "about")[0].tobytes())


def _read(path: str | os.PathLike[str], *names: str) -> list[np.ndarray]:
    """Arrays of a bundle, within `_whole`."""
    with np.load(path) as file:
        return [file[name] for name in names]


@contextmanager
def _whole(path: str | os.PathLike[str]) -> Iterator[None]:
    """A file that is no bundle, or not whole, raises `SercoreError`, whatever reading it comes upon."""
    try:
        yield
    except SercoreError:
        raise
    except FileNotFoundError:
        raise SercoreError(f"{path}: no such bundle; `sercore bundle CORPUS` writes one") from None
    except PermissionError as error:
        raise SercoreError(f"{path}: {error.strerror}") from None
    except Exception as error:
        raise SercoreError(f"{path} is not a whole bundle of sercore: write it again with `sercore bundle`") from error

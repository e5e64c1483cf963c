"""What a network hears of a corpus: the frames of every utterance by one front end, cached on disk.

The cache is a folder of parts of up to `PART` utterances. A part's name is a digest of its files' bytes and of the front end's
settings, it is written whole under another name and then renamed, so a kill at any moment costs one part at most and a changed
file or setting is never mistaken for the old one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import machine, places
from ..errors import SercoreError, Unreadable
from . import log_mel
from .front_ends import FRONT_ENDS

PART = 128
HOW = "mend, convert or remove them (`sercore check` lists them all)"


@dataclass(frozen=True)
class Inputs:
    """The frames of a corpus, memory-mapped, in the order of its table of utterances."""

    ids: np.ndarray  # (utterances,) text
    lengths: np.ndarray  # (utterances,) frames
    arrays: tuple[np.ndarray, ...]  # each (frames, bands) float32
    digest: str  # sha256 over ids, labels, speakers, audio and settings of `log_mel`: the checksum of the data
    step: float = 0.0  # what log-Mel energies were rounded to multiples of, in a bundle; 0: to nothing
    front_end: str = "log_mel"

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: Sequence[int] | np.ndarray, frames: int) -> tuple[Tensor, Tensor]:
        """(batch, frames, bands) cut or padded with silence, and the (batch,) frames before the padding."""
        padding = np.array(FRONT_ENDS[self.front_end].padding, dtype=np.float32)
        out = np.broadcast_to(padding, (len(indices), frames, padding.size)).copy()
        lengths = np.minimum(self.lengths[indices], frames)
        for row, (index, length) in enumerate(zip(indices, lengths, strict=True)):
            out[row, :length] = self.arrays[index][:length]
        return torch.from_numpy(out), torch.from_numpy(lengths.astype(np.int64))

    def normalisation(self, indices: Sequence[int] | np.ndarray, frames: int, level: bool = False) -> tuple[Tensor, Tensor]:
        """Per-band mean and standard deviation (bands,) over the frames before any padding of these utterances; with `level`,
        over those of `log_mel.levelled`."""
        bands = FRONT_ENDS[self.front_end].bands
        total, squares, count = np.zeros(bands), np.zeros(bands), 0
        for index in indices:
            kept = self.arrays[index][:frames]
            if level:
                kept = log_mel.levelled(torch.from_numpy(kept[None]))[0].numpy()
            values = kept.astype(np.float64)
            total += values.sum(0)
            squares += (values**2).sum(0)
            count += len(values)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32)

    def through(self, front_end: str) -> Inputs:
        """These log-Mel energies as another front end makes its frames of them; `SercoreError` where it needs the audio."""
        of_log_mel = FRONT_ENDS[front_end].of_log_mel
        if self.front_end != "log_mel" or of_log_mel is None:
            raise SercoreError(
                f"{FRONT_ENDS[front_end].title} need the recordings, and here are {FRONT_ENDS[self.front_end].title}"
            )
        arrays = self.arrays if front_end == "log_mel" else tuple(map(of_log_mel, self.arrays))
        return replace(self, arrays=arrays, front_end=front_end)


def extract(
    utterances: pd.DataFrame,
    cache: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
    front_end: str = "log_mel",
) -> Inputs:
    """The frames of every utterance by a front end of `FRONT_ENDS`, computed where the cache does not hold them.

    `utterances` has the columns of `sercore.corpora`; `workers` processes (default: one a core) share the work.
    All unreadable files are named in one `SercoreError`; what could be read is cached by then. So is a front end that needs what
    is not installed.
    """
    if not FRONT_ENDS[front_end].available():
        FRONT_ENDS[front_end].compute(np.zeros(log_mel.WINDOW, np.float32))  # tells what to install
    from . import audio

    folder = (cache or places.cache_folder()) / "features"
    paths = [str(path) for path in utterances["path"]]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_digest_or_problem, paths))
    audio.refuse([each for each in found if isinstance(each, Unreadable)], HOW)
    digests = [str(each) for each in found]
    chunks = [list(range(start, min(start + PART, len(paths)))) for start in range(0, len(paths), PART)]
    names = [folder / _part_name([digests[i] for i in chunk], front_end) for chunk in chunks]
    missing = [k for k, name in enumerate(names) if not name.exists()]
    if missing:
        places.made(folder)
        tasks = {k: ([paths[i] for i in chunks[k]], names[k], front_end) for k in missing}
        audio.refuse(_run(tasks, workers, progress), HOW)
    arrays: list[np.ndarray] = []
    for name in names:
        packed = _mapped(name)  # (frames, bands) of all its utterances in a row
        lengths = np.load(name.with_suffix(".index.npy"))
        arrays += np.split(packed, np.cumsum(lengths)[:-1])
    identity = hashlib.sha256(json.dumps(log_mel.SETTINGS, sort_keys=True).encode())
    for row, digest in zip(utterances[["id", "label", "speaker"]].itertuples(index=False), digests, strict=True):
        identity.update("\t".join((*map(str, row), digest, "\n")).encode())
    return Inputs(
        ids=utterances["id"].to_numpy(),
        lengths=np.array([len(array) for array in arrays]),
        arrays=tuple(arrays),
        digest=identity.hexdigest(),
        front_end=front_end,
    )


def _mapped(path: Path) -> np.ndarray:
    """A float32 array in a .npy file, mapped without keeping it open: large corpora have more parts than a process may open."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        start, end = file.tell(), file.seek(0, os.SEEK_END)
    if dtype != np.float32 or math.prod(shape) * dtype.itemsize != end - start:
        raise SercoreError(f"{path}: not what was written there; remove it, it is computed again")
    if not end - start:
        return np.empty(shape, np.float32)
    return torch.from_file(str(path), shared=False, size=end, dtype=torch.uint8).numpy()[start:].view(np.float32).reshape(shape)


def _run(tasks: dict[int, tuple[list[str], Path, str]], workers: int | None, progress: bool) -> list[Unreadable]:
    from joblib.externals.loky import ProcessPoolExecutor
    from tqdm.auto import tqdm

    workers = min(workers or machine.cores(), len(tasks))
    problems: list[Unreadable] = []
    total = sum(len(task[0]) for task in tasks.values())
    with tqdm(total=total, desc="features", unit="file", disable=None if progress else True) as bar:
        if workers == 1:
            for task in tasks.values():
                problems += _write_part(*task)
                bar.update(len(task[0]))
            return problems
        # loky, unlike multiprocessing, does not run the caller's script again in each process
        with ProcessPoolExecutor(workers, env=dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")) as pool:
            for task, found in zip(tasks.values(), pool.map(_write_part, *zip(*tasks.values(), strict=True)), strict=True):
                problems += found
                bar.update(len(task[0]))
            pool.shutdown(kill_workers=True)  # their work is done, and their own way out takes a second
    return problems


def _write_part(paths: list[str], name: Path, front_end: str) -> list[Unreadable]:
    """Write one part and its index of lengths; the problems of its files instead where there are any."""
    from . import audio

    arrays, problems = [], []
    for path in paths:
        try:
            arrays.append(FRONT_ENDS[front_end].compute(audio.read(path, audio.LONGEST)))
        except Unreadable as error:
            problems.append(error)
    if problems:
        return problems
    _write(name.with_suffix(".index.npy"), np.array([len(array) for array in arrays]))
    _write(name, np.concatenate(arrays))
    return []


def _write(name: Path, array: np.ndarray) -> None:
    partial = name.with_name(f"{name.name}.{uuid.uuid4().hex}.partial")
    with partial.open("wb") as file:
        np.save(file, array)
    partial.replace(name)


def _part_name(digests: list[str], front_end: str) -> str:
    settings = dict(FRONT_ENDS[front_end].settings)
    key = hashlib.sha256(json.dumps([settings, digests], sort_keys=True).encode()).hexdigest()
    return f"{key[:32]}.npy"


def _digest_or_problem(path: str) -> str | Unreadable:
    from . import audio

    try:
        return audio.digest(path)
    except Unreadable as error:
        return error

"""Log-Mel energies: 40 bands, 25 ms window, 10 ms hop, 16 kHz, and their cache on disk.

The cache is a folder of parts of up to `PART` utterances. A part's name is a digest of its files' bytes and of the
settings, it is written whole under another name and then renamed, so a kill at any moment costs one part at most and a
changed file or setting is never mistaken for the old one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import places
from ..errors import SercoreError, Unreadable
from .audio import SAMPLE_RATE

MELS = 40
WINDOW = 400  # samples, 25 ms
HOP = 160  # samples, 10 ms
FFT = 512
EDGE = (FFT - HOP) // 2
"""Zeros before a waveform's first sample, which centre its frames."""

FLOOR = 1e-6
"""Added to each band's energy before the logarithm: about the energy of the last bit of 16-bit audio."""

PADDING = float(np.float32(math.log(FLOOR)))
"""The log-Mel energy of digital silence, which is what zero-padding a waveform comes to."""

FRAMES_PER_SECOND = SAMPLE_RATE // HOP
PART = 128
HOW = "mend, convert or remove them (`sercore check` lists them all)"
SETTINGS = {
    "rate": SAMPLE_RATE,
    "mels": MELS,
    "window": WINDOW,
    "hop": HOP,
    "fft": FFT,
    "floor": FLOOR,
    "scale": "htk",
    "version": 1,
}


def num_frames(samples: int) -> int:
    """Frames that `samples` reach into: frame t sees the samples from 160 t - 120 to 160 t + 280."""
    return math.ceil((samples + (WINDOW - HOP) // 2) / HOP)


def clip_frames(clip_seconds: float) -> int:
    """Frames of an utterance cut or padded to `clip_seconds`: 750 for the paper's 7.5 s."""
    return round(clip_seconds * FRAMES_PER_SECOND)


@functools.cache
def _window_and_filters() -> tuple[Tensor, Tensor]:
    """Hann window (WINDOW,) and Mel filters (mels, FFT / 2 + 1), triangles between 0 and 8 kHz on the HTK scale."""
    from . import torchaudio_shim

    filters = torchaudio_shim.load().functional.melscale_fbanks(FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, MELS, SAMPLE_RATE)
    return torch.hann_window(WINDOW), filters.T.contiguous()


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """Natural logarithm of Mel energies: (samples,) at 16 kHz in [-1, 1] -> (frames, mels) float32.

    There is a frame every 10 ms, as long as its window reaches into the waveform: 7.5 s give 751, of which a clip of 7.5 s keeps
    750. Raises `SercoreError` for a waveform of another shape, or of no sample.
    """
    if waveform.ndim != 1 or waveform.size == 0:
        raise SercoreError(f"a waveform must be (samples,) with at least one sample, not {waveform.shape}")
    return _energies(framed(waveform))


def log_mel_blocks(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """`log_mel` of a waveform that comes in blocks (samples,): blocks (frames, mels), in memory one at a time."""
    waiting, total, given = np.zeros(EDGE, dtype=np.float32), 0, 0
    for block in blocks:
        if (whole := (waiting.size - FFT) // HOP + 1) > 0 and total:
            yield _energies(waiting[: (whole - 1) * HOP + FFT])
            waiting, given = waiting[whole * HOP :], given + whole
        waiting, total = np.concatenate([waiting, block]), total + block.size
    if total:
        last = np.zeros((num_frames(total) - given - 1) * HOP + FFT, dtype=np.float32)
        last[: waiting.size] = waiting[: last.size]
        yield _energies(last)


def framed(waveform: np.ndarray) -> np.ndarray:
    """(samples,) with `EDGE` zeros before, and zeros to the end of the last frame's `FFT` samples."""
    padded = np.zeros((num_frames(waveform.size) - 1) * HOP + FFT, dtype=np.float32)
    body = waveform[: padded.size - EDGE]
    padded[EDGE : EDGE + body.size] = body
    return padded


def _energies(samples: np.ndarray) -> np.ndarray:
    """(samples,), a frame every `HOP` of them as long as there are `FFT`, to (frames, mels)."""
    window, filters = _window_and_filters()
    spectrum = torch.stft(
        torch.from_numpy(samples), FFT, HOP, WINDOW, window, center=False, return_complex=True
    )  # (bins, frames)
    squares = torch.view_as_real(spectrum).square()
    energies = filters @ (squares[..., 0] + squares[..., 1])  # (mels, frames)
    return energies.add_(FLOOR).log_().T.contiguous().numpy()


@dataclass(frozen=True)
class LogMels:
    """The log-Mel energies of a corpus, memory-mapped, in the order of its table of utterances."""

    ids: np.ndarray  # (utterances,) text
    lengths: np.ndarray  # (utterances,) frames
    arrays: tuple[np.ndarray, ...]  # each (frames, mels) float32
    digest: str  # sha256 over ids, labels, speakers, audio and settings: the checksum of the data
    step: float = 0.0  # what the energies were rounded to multiples of, in a bundle; 0: to nothing

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, indices: Sequence[int] | np.ndarray, frames: int) -> tuple[Tensor, Tensor]:
        """(batch, frames, mels) cut or padded with silence, and the (batch,) frames before the padding."""
        out = np.full((len(indices), frames, MELS), PADDING, dtype=np.float32)
        lengths = np.minimum(self.lengths[indices], frames)
        for row, (index, length) in enumerate(zip(indices, lengths, strict=True)):
            out[row, :length] = self.arrays[index][:length]
        return torch.from_numpy(out), torch.from_numpy(lengths.astype(np.int64))

    def normalisation(self, indices: Sequence[int] | np.ndarray, frames: int) -> tuple[Tensor, Tensor]:
        """Per-band mean and standard deviation (mels,) over the frames before any padding of these utterances."""
        total, squares, count = np.zeros(MELS), np.zeros(MELS), 0
        for index in indices:
            values = self.arrays[index][:frames].astype(np.float64)
            total += values.sum(0)
            squares += (values**2).sum(0)
            count += len(values)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean**2, 1e-6))
        return torch.tensor(mean, dtype=torch.float32), torch.tensor(deviation, dtype=torch.float32)


def extract(utterances: pd.DataFrame, cache: Path | None = None, workers: int | None = None, progress: bool = True) -> LogMels:
    """Log-Mel energies of every utterance, computed where the cache does not hold them.

    `utterances` has the columns of `sercore.corpora`; `workers` processes (default: one a core) share the work.
    All unreadable files are named in one `SercoreError`; what could be read is cached by then.
    """
    from . import audio

    folder = places.made((cache or places.cache_folder()) / "features")
    paths = [str(path) for path in utterances["path"]]
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(_digest_or_problem, paths))
    audio.refuse([each for each in found if isinstance(each, Unreadable)], HOW)
    digests = [str(each) for each in found]
    chunks = [list(range(start, min(start + PART, len(paths)))) for start in range(0, len(paths), PART)]
    names = [folder / _part_name([digests[i] for i in chunk]) for chunk in chunks]
    missing = [k for k, name in enumerate(names) if not name.exists()]
    if missing:
        tasks = {k: ([paths[i] for i in chunks[k]], names[k]) for k in missing}
        audio.refuse(_run(tasks, workers, progress), HOW)
    arrays: list[np.ndarray] = []
    for name in names:
        packed = _mapped(name)  # (frames, mels) of all its utterances in a row
        lengths = np.load(name.with_suffix(".index.npy"))
        arrays += np.split(packed, np.cumsum(lengths)[:-1])
    identity = hashlib.sha256(json.dumps(SETTINGS, sort_keys=True).encode())
    for row, digest in zip(utterances[["id", "label", "speaker"]].itertuples(index=False), digests, strict=True):
        identity.update("\t".join((*map(str, row), digest, "\n")).encode())
    return LogMels(
        ids=utterances["id"].to_numpy(),
        lengths=np.array([len(array) for array in arrays]),
        arrays=tuple(arrays),
        digest=identity.hexdigest(),
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


def _run(tasks: dict[int, tuple[list[str], Path]], workers: int | None, progress: bool) -> list[Unreadable]:
    from joblib.externals.loky import ProcessPoolExecutor
    from tqdm.auto import tqdm

    workers = min(workers or os.cpu_count() or 1, len(tasks))
    problems: list[Unreadable] = []
    total = sum(len(paths) for paths, _ in tasks.values())
    with tqdm(total=total, desc="log-Mel", unit="file", disable=not progress) as bar:
        if workers == 1:
            for task in tasks.values():
                problems += _write_part(*task)
                bar.update(len(task[0]))
            return problems
        # loky, unlike multiprocessing, does not run the caller's script again in each process
        with ProcessPoolExecutor(workers, env=dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")) as pool:
            for (paths, _), found in zip(tasks.values(), pool.map(_write_part, *zip(*tasks.values(), strict=True)), strict=True):
                problems += found
                bar.update(len(paths))
            pool.shutdown(kill_workers=True)  # their work is done, and their own way out takes a second
    return problems


def _write_part(paths: list[str], name: Path) -> list[Unreadable]:
    """Write one part and its index of lengths; the problems of its files instead where there are any."""
    from . import audio

    arrays, problems = [], []
    for path in paths:
        try:
            arrays.append(log_mel(audio.read(path)))
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


def _part_name(digests: list[str]) -> str:
    key = hashlib.sha256(json.dumps([SETTINGS, digests], sort_keys=True).encode()).hexdigest()
    return f"{key[:32]}.npy"


def _digest_or_problem(path: str) -> str | Unreadable:
    from . import audio

    try:
        return audio.digest(path)
    except Unreadable as error:
        return error

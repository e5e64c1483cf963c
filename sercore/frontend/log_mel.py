"""Log-Mel energies: 40 bands, 25 ms window, 10 ms hop, 16 kHz: the paper's front end. `inputs` caches it and the others."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..errors import SercoreError
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

RANGE = 8 * math.log(10)
"""80 dB in the unit of the energies: what lies further below an utterance's loudest cell is as silence (`levelled`)."""

FRAMES_PER_SECOND = SAMPLE_RATE // HOP
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
    return _energies(framed(checked(waveform)))


def checked(waveform: np.ndarray) -> np.ndarray:
    """The waveform; one of another shape than (samples,), or of no sample, raises `SercoreError`."""
    if waveform.ndim != 1 or waveform.size == 0:
        raise SercoreError(f"a waveform must be (samples,) with at least one sample, not {waveform.shape}")
    return waveform


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


def framed(waveform: np.ndarray, length: int = FFT) -> np.ndarray:
    """(samples,) with zeros before and behind, so that each of `num_frames` frames of `length` samples, `HOP` after the one
    before, is centred where its 10 ms are."""
    edge = (length - HOP) // 2
    padded = np.zeros((num_frames(waveform.size) - 1) * HOP + length, dtype=np.float32)
    body = waveform[: padded.size - edge]
    padded[edge : edge + body.size] = body
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


LOUDEST = math.exp(7.8)
"""Energy of the loudest cell of a voice near full scale: the middle of EmoDB's recordings."""


def regained(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Energies x (batch, frames, mels) as if each utterance had been recorded so loud that its loudest cell is at `LOUDEST`.

    The floor is taken off before and added after, so that a recording's gain counts for nothing. Mask as for `levelled`.
    """
    energies = (x.exp() - FLOOR).clamp_min(0)
    counted = energies if mask is None else energies * mask[:, :, None]
    loudest = counted.amax((1, 2), keepdim=True).clamp_min(1e-3 * FLOOR)
    return (counted * (LOUDEST / loudest) + FLOOR).log()


def levelled(x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Energies x (batch, frames, mels) below the loudest cell of their utterance, `RANGE` at most.

    What mask (batch, frames) calls padding, where there is one, is silence: at the bottom. A recording that is louder as a whole
    comes to the same, as far as it does not reach the floor of 16 bits.
    """
    if mask is None:
        return (x - x.amax((1, 2), keepdim=True)).clamp_min(-RANGE)
    counted = mask[:, :, None]
    loudest = x.masked_fill(~counted, PADDING).amax((1, 2), keepdim=True)
    return (x - loudest).clamp_min(-RANGE).masked_fill(~counted, -RANGE)

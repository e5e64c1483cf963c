"""Log spectra without Mel filters: frames of 10 ms like those of `log_mel`, and every frequency by itself."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .audio import SAMPLE_RATE
from .log_mel import FLOOR, HOP, checked, framed

SATT: dict[str, Any] = {"window": "hamming", "length": 640, "fft": 800, "bins": 200}
"""Satt, Rozenberg & Hoory (2017): Hamming windows of 40 ms, 20 Hz between frequencies, 0 to 4 kHz."""

SARMA: dict[str, Any] = {"window": "hann", "length": 400, "fft": 512, "bins": 257}
"""Fourier log-energies as Sarma et al. (2018) name them: all 257 frequencies of a DFT of 512 over 25 ms; the window is our
guess."""

_WINDOWS = {"hamming": torch.hamming_window, "hann": torch.hann_window}


def log_spectrum(waveform: np.ndarray, window: str, length: int, fft: int, bins: int) -> np.ndarray:
    """Natural logarithm of the energy at the lowest `bins` frequencies of a DFT of `fft` points over `length` samples.

    (samples,) at 16 kHz in [-1, 1] -> (frames, bins) float32, with as many frames as `log_mel`.
    """
    spectrum = torch.stft(
        torch.from_numpy(framed(checked(waveform), fft)),
        fft,
        HOP,
        length,
        _window(window, length),
        center=False,
        return_complex=True,
    )[:bins]
    return spectrum.abs().square_().add_(FLOOR).log_().T.contiguous().numpy()


def spectrogram(waveform: np.ndarray) -> np.ndarray:
    """`log_spectrum` with the parameters of `SATT`: (frames, 200)."""
    return log_spectrum(waveform, **SATT)


def fourier(waveform: np.ndarray) -> np.ndarray:
    """`log_spectrum` with the parameters of `SARMA`: (frames, 257)."""
    return log_spectrum(waveform, **SARMA)


@functools.cache
def _window(name: str, length: int) -> Tensor:
    return _WINDOWS[name](length)


def hertz(fft: int, bins: int) -> np.ndarray:
    """The frequencies (bins,) of a `log_spectrum`."""
    return np.arange(bins) * SAMPLE_RATE / fft

"""The front ends by name: the paper's log-Mel energies, and what the earlier systems of its Table 1 listen to.

All have a frame every 10 ms, centred where those of `log_mel` are.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import deltas, descriptors, log_mel, spectrogram


@dataclass(frozen=True)
class FrontEnd:
    """From sound to what a network hears."""

    title: str
    compute: Callable[[np.ndarray], np.ndarray]  # (samples,) at 16 kHz -> (frames, bands) float32
    bands: int
    settings: Mapping[str, Any]  # what a cache is kept by
    padding: tuple[float, ...]  # (bands,), the frame of digital silence that fills a batch
    of_log_mel: Callable[[np.ndarray], np.ndarray] | None = None  # the same from log-Mel energies, where these suffice
    package: str = ""  # that it needs beside those of sercore

    def available(self) -> bool:
        """Whether what it needs is installed."""
        return not self.package or importlib.util.find_spec(self.package) is not None


SILENCE = log_mel.PADDING

FRONT_ENDS = {
    "log_mel": FrontEnd(
        "40 log-Mel energies",
        log_mel.log_mel,
        log_mel.MELS,
        log_mel.SETTINGS,
        (SILENCE,) * log_mel.MELS,
        of_log_mel=lambda mels: mels,
    ),
    "log_mel_deltas": FrontEnd(
        "40 log-Mel energies, their deltas and the deltas of those",
        deltas.log_mel_deltas,
        3 * log_mel.MELS,
        {**log_mel.SETTINGS, "deltas": 2, "reach": deltas.REACH},
        (SILENCE,) * log_mel.MELS + (0.0,) * (2 * log_mel.MELS),
        of_log_mel=deltas.with_two_deltas,
    ),
    "spectrogram": FrontEnd(
        "200 log energies up to 4 kHz, 20 Hz apart",
        spectrogram.spectrogram,
        spectrogram.SATT["bins"],
        {**spectrogram.SATT, "hop": log_mel.HOP, "floor": log_mel.FLOOR, "version": 1},
        (SILENCE,) * spectrogram.SATT["bins"],
    ),
    "fourier": FrontEnd(
        "257 Fourier log-energies up to 8 kHz",
        spectrogram.fourier,
        spectrogram.SARMA["bins"],
        {**spectrogram.SARMA, "hop": log_mel.HOP, "floor": log_mel.FLOOR, "version": 1},
        (SILENCE,) * spectrogram.SARMA["bins"],
    ),
    "descriptors": FrontEnd(
        "16 low-level descriptors and their deltas (openSMILE, of ComParE 2016)",
        descriptors.descriptors,
        2 * len(descriptors.NAMES),
        {"names": descriptors.NAMES, "deltas": deltas.REACH, "version": 1},
        (0.0,) * (2 * len(descriptors.NAMES)),
        package="opensmile",
    ),
}
"""name -> front end; a network names its own (`front_end`)."""

"""Differences in time: by how much each number of a frame rises or falls about it."""

from __future__ import annotations

import numpy as np

from .log_mel import checked, log_mel

REACH = 2  # frames to either side


def delta(frames: np.ndarray) -> np.ndarray:
    """The slope of the line through each number's `2 REACH + 1` values about a frame: (frames, bands) -> the same.

    Beyond the ends the first and the last frame go on, as in HTK (Young et al., The HTK Book, eq. 5.16) and in its followers.
    """
    padded = np.pad(frames, ((REACH, REACH), (0, 0)), mode="edge")
    rise = sum(
        step * (padded[REACH + step : len(padded) - REACH + step] - padded[REACH - step : len(padded) - REACH - step])
        for step in range(1, REACH + 1)
    )
    return (rise / (2 * sum(step**2 for step in range(1, REACH + 1)))).astype(np.float32)


def with_two_deltas(frames: np.ndarray) -> np.ndarray:
    """(frames, bands) with its deltas and the deltas of those beside it: (frames, 3 bands)."""
    first = delta(frames)
    return np.concatenate([frames, first, delta(first)], axis=1)


def log_mel_deltas(waveform: np.ndarray) -> np.ndarray:
    """Log-Mel energies, deltas and delta-deltas of a waveform (samples,): (frames, 3 mels) float32."""
    return with_two_deltas(log_mel(checked(waveform)))

"""Explanatory drawings of the front end: the way from a waveform to log-Mel energies."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...frontend import log_mel, torchaudio_shim
from .plots import CLASS_COLOURS, COOL, HEAT, MUTED, WARM

KILOHERTZ = (0.25, 0.5, 1, 2, 4)


def filters() -> np.ndarray:
    """The Mel filters as the features use them: (frequencies from 0 to 8 kHz, mels)."""
    bands = torchaudio_shim.load().functional.melscale_fbanks(
        log_mel.FFT // 2 + 1, 0.0, log_mel.SAMPLE_RATE / 2, log_mel.MELS, log_mel.SAMPLE_RATE
    )
    return bands.numpy()


def front_end(samples: np.ndarray, at: float = 0.5) -> Figure:
    """From a waveform (samples,) to log-Mel energies in four steps; `at` seconds lies in the middle of the close-up."""
    rate = log_mel.SAMPLE_RATE
    figure, (wave, close, bank, result) = plt.subplots(
        4, figsize=(5.1, 7.2), height_ratios=(1, 1.2, 1.1, 1.3), layout="constrained"
    )
    time = np.arange(len(samples)) / rate
    start, end = at - 0.03, at + 0.03
    wave.plot(time, samples, color=COOL, linewidth=0.5)
    wave.axvspan(start, end, color=WARM, alpha=0.35, linewidth=0)
    wave.set(xlim=(0, time[-1]), xlabel="time (s)")
    shown = (time >= start) & (time <= end)
    close.plot(1000 * (time[shown] - start), samples[shown], color=COOL, linewidth=1)
    tall = 1.1 * np.abs(samples[shown]).max()
    width, hop = 1000 * log_mel.WINDOW / rate, 1000 * log_mel.HOP / rate
    for number, shade in enumerate(("#a3324a", WARM, "#e0a100", "#b58a00")):
        window = np.linspace(0, width, 100)
        close.plot(2.5 + number * hop + window, tall * np.sin(np.pi * window / width) ** 2, color=shade, linewidth=1.6)
    close.set(xlim=(0, 60), xlabel=f"the marked 60 ms: {width:g} ms windows every {hop:g} ms")
    hertz = np.linspace(0, rate / 2, log_mel.FFT // 2 + 1)
    for band, response in enumerate(filters().T):
        bank.plot(hertz / 1000, response, color=(COOL, WARM)[band % 2], linewidth=0.9)
    bank.set(xlim=(0, rate / 2000), ylim=(0, 1.08), xlabel=f"frequency (kHz): {log_mel.MELS} Mel filters")
    spectrogram(result, log_mel.log_mel(samples))
    result.set_xlabel("time (s)")
    titles = ("waveform", "windows", "filters", "log-Mel energies")
    for axes, number, title in zip((wave, close, bank, result), range(1, 5), titles, strict=True):
        axes.set_title(f"{number}  {title}", loc="left", fontsize="medium", fontweight="bold")
        axes.grid(False)
    for axes in (wave, close, bank):
        axes.set_yticks([])
    return figure


def spectrogram(axes: Axes, mels: np.ndarray, low: float = log_mel.PADDING, high: float | None = None) -> None:
    """Draw log-Mel energies (frames, mels) over time in seconds, the bands labelled by their centres in kHz."""
    seconds = len(mels) / log_mel.FRAMES_PER_SECOND
    axes.imshow(
        mels.T,
        origin="lower",
        aspect="auto",
        extent=(0, seconds, -0.5, log_mel.MELS - 0.5),
        cmap=HEAT,
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    centres = filters().argmax(0) * log_mel.SAMPLE_RATE / log_mel.FFT / 1000
    axes.set_yticks(np.interp(KILOHERTZ, centres, range(log_mel.MELS)), [f"{value:g}" for value in KILOHERTZ])
    axes.set_ylabel("kHz")
    axes.grid(False)


def log_mels(clips: Mapping[str, np.ndarray], clip_seconds: float) -> Figure:
    """Log-Mel energies of one waveform (samples,) an emotion as the network sees them; a line marks where padding starts."""
    return spectra({name: log_mel.log_mel(samples) for name, samples in clips.items()}, clip_seconds)


def spectra(energies: Mapping[str, np.ndarray], clip_seconds: float) -> Figure:
    """`log_mels` of log-Mel energies (frames, mels) that are there already."""
    rows, frames = -(-len(energies) // 2), log_mel.clip_frames(clip_seconds)
    figure, panels = plt.subplots(
        rows, 2, figsize=(5.1, 1.9 * rows), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    high = max(float(mels[:frames].max()) for mels in energies.values())
    for axes, (name, mels) in zip(panels.flat, energies.items(), strict=False):
        shown, length = np.full((frames, log_mel.MELS), log_mel.PADDING, np.float32), min(len(mels), frames)
        shown[:length] = mels[:length]
        spectrogram(axes, shown, high=high)
        axes.axvline(length / log_mel.FRAMES_PER_SECOND, color="white", linewidth=1.2, linestyle=(0, (3, 2)))
        axes.set_title(name, loc="left", fontweight="bold", color=CLASS_COLOURS.get(name, MUTED), fontsize="medium")
    for axes in panels.flat[len(energies) :]:
        axes.set_visible(False)
    for axes in panels[:, 1]:
        axes.set_ylabel("")
    for axes in panels[-1]:
        axes.set_xlabel("time (s)")
    return figure

"""Explanatory drawings of the data: who is in which fold, how long utterances are, and the way to log-Mel energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...corpora import protocol
from ...frontend import log_mel, torchaudio_shim
from .network_drawings import COOL, HEAT, MUTED, WARM
from .plots import CLASS_COLOURS

KILOHERTZ = (0.25, 0.5, 1, 2, 4)


def fold_map(utterances: pd.DataFrame, *protocols: str) -> Figure:
    """Who is in which part of which fold: every utterance a strip in its speaker's colour, one row a fold.

    `utterances` has the columns id, speaker and gender. Women have warm colours, men cool ones.
    """
    colours = _speaker_colours(utterances)
    speaker = utterances.set_index("id")["speaker"]
    figure, panels = plt.subplots(len(protocols), figsize=(5.1, 2.3 * len(protocols)), squeeze=False, layout="constrained")
    for axes, name in zip(panels[:, 0], protocols, strict=True):
        split = protocol.splits(utterances, name)
        gap = len(utterances) / 60
        for fold in range(protocol.FOLDS):
            start = 0.0
            for part, ids in protocol.parts(split, fold).items():
                runs = speaker[ids].value_counts().loc[lambda found: sorted(found.index, key=list(colours).index)]
                if fold == 0:
                    axes.text(start + len(ids) / 2, -0.62, part, ha="center", va="bottom", fontsize="small")
                for who, number in runs.items():
                    axes.add_patch(Rectangle((start, fold - 0.4), number, 0.8, color=colours[who], linewidth=0))
                    if name == "speaker" and len(colours) <= 12:
                        ink = "white" if np.dot(colours[who][:3], (0.3, 0.6, 0.1)) < 0.6 else "#22304a"
                        axes.text(start + number / 2, fold, who, ha="center", va="center", color=ink, fontsize="small")
                    start += number
                start += gap
        axes.set(xlim=(0, start - gap), ylim=(protocol.FOLDS - 0.4, -0.6))
        axes.set_yticks(range(protocol.FOLDS), [f"fold {fold}" for fold in range(protocol.FOLDS)])
        axes.set_xticks([])
        axes.set_title(f"protocol {name}", loc="left", pad=20, fontsize="medium", fontweight="bold")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        axes.grid(False)
    return figure


def _speaker_colours(utterances: pd.DataFrame) -> dict[str, tuple]:
    people = utterances.drop_duplicates("speaker").sort_values(["gender", "speaker"])
    maps = {"f": plt.get_cmap("YlOrRd"), "m": plt.get_cmap("GnBu")}
    colours: dict[str, tuple] = {}
    for gender, peers in people.groupby("gender", sort=True):
        shades = np.linspace(0.42, 0.95, len(peers)) if len(peers) > 1 else [0.7]
        colours |= {
            who: maps.get(str(gender), plt.get_cmap("viridis"))(shade)
            for who, shade in zip(peers["speaker"], shades, strict=True)
        }
    return colours


def durations(lengths: Mapping[str, Sequence[float]], clips: Mapping[str, float]) -> Figure:
    """Lengths of the utterances in seconds, one row a corpus (title -> lengths), with the length that each is cut to."""
    figure, panels = plt.subplots(
        len(lengths), figsize=(5.1, 0.6 + 1.05 * len(lengths)), sharex=True, squeeze=False, layout="constrained"
    )
    longest = max(max(values) for values in lengths.values())
    for axes, (name, values) in zip(panels[:, 0], lengths.items(), strict=True):
        axes.hist(values, bins=np.arange(0, longest + 0.1, 0.1), color=COOL, edgecolor=COOL, linewidth=0.3)
        axes.set_xlim(0, None)
        axes.axvline(clips[name], color=WARM, linewidth=1.6)
        uncut = np.mean(np.asarray(values) <= clips[name])
        axes.annotate(
            f"{clips[name]:g} s, {uncut:.0%} uncut",
            (clips[name], 0.93),
            (5, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            color=WARM,
            va="top",
            fontsize="small",
        )
        axes.set_title(name, loc="left", fontsize="small", fontweight="bold")
        axes.set_yticks([])
        axes.grid(False)
    panels[-1, 0].set_xlabel("length of an utterance (s)")
    return figure


# ---- the front end


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

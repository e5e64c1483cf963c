"""Explanatory drawings of the data: who is in which fold, and how long utterances are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...corpora import protocol
from ...evidence.remembered import drawn
from .plots import COOL, WARM


@drawn
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


@drawn
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

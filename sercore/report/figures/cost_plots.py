"""What accuracy costs: systems by their multiply-adds and what they reach."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..tables import title
from .plots import family_colour


def accuracy_against_cost(table: pd.DataFrame) -> Figure:
    """One dot a system: `multiply_adds` of 3 s of speech to the right, `ua` upwards with its interval; a dot's area is its
    parameters.

    `table` has the columns `slug, multiply_adds, parameters, ua, ua_low, ua_high` (percent).
    """
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    known = table.dropna(subset=["ua", "multiply_adds"]).sort_values("ua")
    for row in known.itertuples():
        colour = family_colour(row.slug)
        if not np.isnan(row.ua_low):
            axes.plot([row.multiply_adds / 1e6] * 2, [row.ua_low, row.ua_high], color=colour, alpha=0.45, linewidth=2)
        axes.scatter(
            row.multiply_adds / 1e6, row.ua, s=30 + row.parameters / 15_000, color=colour, alpha=0.85, linewidths=0, zorder=3
        )
    axes.set_xscale("log")
    axes.margins(x=0.08)
    low, high = axes.get_ylim()
    # names stand in a column of their own, each as near to its dot's height as there is room
    lowest, gap = low, (high - low) / 15
    heights: list[float] = []
    for value in known["ua"]:
        lowest = max(value, lowest + gap) if heights else max(value, low)
        heights.append(lowest)
    beyond = max(heights[-1] - high, 0) if heights else 0
    for row, height in zip(known.itertuples(), heights, strict=True):
        axes.annotate(
            title(row.slug).partition(" (")[0],
            (row.multiply_adds / 1e6, row.ua),
            xytext=(1.03, height - beyond),
            textcoords=axes.get_yaxis_transform(),
            va="center",
            fontsize="small",
            color=family_colour(row.slug),
            arrowprops=dict(arrowstyle="-", color=family_colour(row.slug), alpha=0.35, linewidth=0.8, shrinkA=2, shrinkB=4),
            annotation_clip=False,
        )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set(xlabel="million multiply-adds for 3 s of speech", ylabel="UA (%)")
    return figure

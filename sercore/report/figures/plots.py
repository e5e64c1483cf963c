"""Figures of the book: published records in, matplotlib figures out. One palette for all, safe for the colour-blind."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ...evidence.remembered import drawn
from ...lab import systems
from ..names import plain
from ..tables import IN_COMBINATIONS, of_protocol, protocol_title, title

CLASS_COLOURS = {"angry": "#d1495b", "happy": "#e0a100", "sad": "#3a7ca5", "neutral": "#7d8597"}
FAMILY_COLOURS = {
    "baseline": "#7d8597",
    "ams": "#c8553d",
    "focal": "#2a8c82",
    "combined": "#6a5acd",
    "combination": "#b0703c",
    "prior": "#8a8f2a",
    "own": "#a05195",
}
OTHER_COLOURS = ("#6a5acd", "#2a8c82", "#c8553d", "#b0703c", "#4f8a3c", "#a05195")
"""For classes of a corpus beyond the four."""

PHONE = 5.2
"""Inches across: on a phone a figure shrinks to seven tenths at most, and pans beyond that."""

WARM, COOL, MUTED = "#d1495b", "#3a7ca5", "#7d8597"
HEAT = "magma"
DEEP = to_rgb("#045a8d")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def class_colour(label: str, labels: Sequence[str]) -> str:
    others = [name for name in labels if name not in CLASS_COLOURS]
    return CLASS_COLOURS.get(label) or OTHER_COLOURS[others.index(label) % len(OTHER_COLOURS)]


def family_colour(slug: str) -> str:
    return FAMILY_COLOURS[systems.family(slug)]


def tones(slugs: Sequence[str]) -> list[Any]:
    """A colour for each system: its family's, the lighter the further down its family."""
    colours, families = [], [systems.family(slug) for slug in slugs]
    for place, slug in enumerate(slugs):
        before, all_of_it = families[:place].count(families[place]), families.count(families[place])
        pale = 0.6 * before / max(all_of_it - 1, 1)
        colours.append(tuple((1 - pale) * part + pale for part in to_rgb(family_colour(slug))))
    return colours


def short(name: object, width: int = 18, lines: int = 2) -> str:
    """A name that somebody gave a class or a speaker, in lines of so many letters; what does not fit is an ellipsis."""
    return "\n".join(textwrap.wrap(str(name), width, max_lines=lines, placeholder=" …")) or str(name)[:width]


def grid(count: int, columns: int, width: float, height: float, **options: Any) -> tuple[Figure, list[Axes]]:
    """`count` panels of this size (inches), at most so many `columns` in a row."""
    columns = min(count, columns)
    rows = -(-count // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained", **options
    )
    if rows > 1:  # a label below a panel keeps its distance from the title of the next
        figure.get_layout_engine().set(h_pad=0.12)  # type: ignore[union-attr]
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, list(axes.flat[:count])


SMOOTHED = 15
"""Epochs that a learning curve is averaged over."""


@drawn
def learning_curves(history: pd.DataFrame, slugs: Sequence[str]) -> Figure:
    """Accuracy on the part that chooses, epoch by epoch: a pale line each run, over it the mean of the `SMOOTHED` epochs around
    each, the chosen epoch a dot; one panel a system."""
    figure, axes = grid(len(slugs), 3, 3.3, 2.6, sharey=True)
    for axis, slug in zip(axes, slugs, strict=True):
        for _, run in history[history["system"] == slug].groupby("run"):
            best = run.loc[run["chooser_wa"].idxmax()]
            around = run["chooser_wa"].rolling(SMOOTHED, center=True, min_periods=1).mean()
            axis.plot(run["epoch"], 100 * run["chooser_wa"], color=family_colour(slug), alpha=0.13, linewidth=0.8)
            axis.plot(run["epoch"], 100 * around, color=family_colour(slug), alpha=0.8, linewidth=1.2)
            axis.plot(best["epoch"], 100 * best["chooser_wa"], "o", color=family_colour(slug), markersize=4.5)
        axis.set_title(title(slug), fontsize="medium")
        axis.set_xlabel("epoch")
    for axis in axes[::3]:
        axis.set_ylabel("validation WA (%)")
    return figure


@drawn
def fold_points(runs: pd.DataFrame, slugs: Sequence[str], measure: str = "ua") -> Figure:
    """Every fold and seed a point, a line at the mean: one row a system, one panel a protocol."""
    protocols = list(dict.fromkeys(runs["protocol"]))
    slugs = [slug for slug in slugs if (runs["system"] == slug).any()]
    figure, axes = grid(len(protocols), 1, PHONE, 0.9 + 0.36 * len(slugs), sharex=True, sharey=True)
    for axis, protocol in zip(axes, protocols, strict=True):
        for row, slug in enumerate(slugs):
            values = 100 * runs.query("protocol == @protocol and system == @slug")[measure].to_numpy()
            spread = np.linspace(-0.18, 0.18, len(values)) if len(values) > 1 else np.zeros(len(values))
            axis.plot(values, row + spread, "o", color=family_colour(slug), alpha=0.75, markersize=4.5, markeredgewidth=0)
            if len(values):
                axis.plot([values.mean()] * 2, [row - 0.32, row + 0.32], color=family_colour(slug), linewidth=2.2)
        axis.set_title(protocol_title(protocol), fontsize="medium")
        axis.set_yticks(range(len(slugs)), [title(slug) for slug in slugs])
    axes[-1].set_xlabel(f"{measure.upper()} (%)")
    axes[0].invert_yaxis()
    return figure


@drawn
def confusion(matrices: dict[str, pd.DataFrame]) -> Figure:
    """Row-normalised confusion matrices with their counts, side by side, one for each entry (name -> counts)."""
    names = [short(label) for label in next(iter(matrices.values())).index]
    size, long = max(len(names), 4), max(len(line) for name in names for line in name.split("\n"))
    beyond = 0.07 * max(long - 8, 0)  # inches that such names need
    figure, axes = grid(len(matrices), 2 if size < 6 else 1, 0.95 * size + 0.3 + beyond, 0.95 * size + 0.15 + beyond)
    for axis, (name, counts) in zip(axes, matrices.items(), strict=True):
        shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1)
        # the fewer, the more of the page shows through, whether it is white or dark
        axis.imshow(np.dstack([np.broadcast_to(DEEP, (*shares.shape, 3)), 0.05 + 0.95 * shares]), aspect="equal")
        for (row, column), share in np.ndenumerate(shares):
            colour = "white" if share > 0.66 else plt.rcParams["text.color"]
            axis.text(column, row - 0.08, f"{100 * share:.0f} %", ha="center", va="center", color=colour, fontsize="medium")
            axis.text(
                column, row + 0.25, f"{counts.iat[row, column]}", ha="center", va="center", color=colour, fontsize="x-small"
            )
        slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if beyond else {}
        axis.set_xticks(range(len(names)), names, **slanted)
        axis.set_yticks(range(len(names)), names)
        axis.set_title(name, fontsize="medium")
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0)
        axis.grid(False)
    return figure


@drawn
def recalls(table: pd.DataFrame) -> Figure:
    """Recall of each class with its interval over speakers (`tables.recall_table`), systems side by side."""
    labels, slugs = list(dict.fromkeys(table["label"])), list(dict.fromkeys(table["slug"]))
    figure, axis = plt.subplots(figsize=(PHONE, 0.6 + 0.3 * len(labels) * max(len(slugs), 2)), layout="constrained")
    step = 0.8 / len(slugs)
    for index, (slug, colour) in enumerate(zip(slugs, tones(slugs), strict=True)):
        own = table[table["slug"] == slug].set_index("label").loc[labels]
        place = np.arange(len(labels)) + (index - (len(slugs) - 1) / 2) * step
        errors = np.abs(own[["low", "high"]].to_numpy().T - own["recall"].to_numpy())
        marker = MARKERS[index % len(MARKERS)]
        look: dict[str, Any] = {"fmt": marker, "color": colour, "markersize": 5.5, "capsize": 0}
        axis.errorbar(own["recall"], place, xerr=errors, label=title(slug), **look)
    axis.set_yticks(range(len(labels)), [short(label) for label in labels])
    axis.set_xlabel("recall (%), 95 % interval over speakers")
    axis.set_xlim(0, 102)
    axis.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=1 if len(slugs) < 4 else 2, frameon=False)
    return figure


@drawn
def projections(panels: dict[str, tuple[np.ndarray, np.ndarray, float]]) -> Figure:
    """UMAP panels: name -> (coordinates (utterances, 2), labels (utterances,) text, trustworthiness)."""
    figure, axes = grid(len(panels), 2, 4.1, 4.1)
    labels: list[str] = []
    for axis, (name, (coordinates, classes, trust)) in zip(axes, panels.items(), strict=True):
        labels = list(
            dict.fromkeys([*labels, *(label for label in CLASS_COLOURS if label in set(classes)), *sorted(set(classes))])
        )
        for index, label in enumerate(labels):
            own = coordinates[classes == label]
            marker = MARKERS[index % len(MARKERS)]
            look: dict[str, Any] = {"color": class_colour(label, labels), "alpha": 0.9, "markeredgewidth": 0, "label": label}
            axis.plot(*own.T, marker, markersize=6 if len(coordinates) < 200 else 3.4, **look)
        axis.set_title(f"{name}\ntrustworthiness {trust:.2f}", fontsize="medium")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
        axis.grid(False)
    handles, names = axes[0].get_legend_handles_labels()
    names, columns = [short(name, 24, 1) for name in names], min(len(names), 4)
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, markerscale=1.3)
    return figure


@drawn
def compactness_against_ua(table: pd.DataFrame, measure: str, name: str) -> Figure:
    """Every run a mark (`tables.geometry_of_runs` with a column `group`): a measure of compactness against UA, both less the
    mean of their fold; one panel a group, one colour a family."""
    groups = list(dict.fromkeys(table["group"]))
    figure, axes = grid(len(groups), 2, 4.4, 2.9, sharex=True, sharey=True)
    centred = table[[measure, "ua"]] - table.groupby(["group", "fold"])[[measure, "ua"]].transform("mean")
    families = table["slug"].map(systems.family)
    for axis, group in zip(axes, groups, strict=True):
        for index, family in enumerate(dict.fromkeys(families)):
            own = centred[(table["group"] == group) & (families == family)]
            marker = MARKERS[index % len(MARKERS)]
            how: dict[str, Any] = {"color": FAMILY_COLOURS[family], "label": systems.FAMILIES[family]}
            axis.plot(own[measure], own["ua"], marker, alpha=0.8, markersize=5.5, **how)
        axis.axhline(0, color="#7d8597", linewidth=0.8)
        axis.axvline(0, color="#7d8597", linewidth=0.8)
        axis.set_title(group, fontsize="medium")
        axis.set_xlabel(f"{name}, less the fold's mean")
        axis.tick_params(labelbottom=True)  # also above an empty place
    for axis in axes[::2]:
        axis.set_ylabel("UA, less the fold's mean")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return figure


@drawn
def forest(rows: pd.DataFrame, label: str = "gain in UA over the baseline, points") -> Figure:
    """Effects with their intervals (`tables.gains`): columns group, slug, name, effect, low, high, claimed (or NaN).

    The interval is a pale band, the wider one from `wide_low` to `wide_high` a line, and the number at the right how many
    `seeds` there are, where the rows have them.
    """
    groups = list(dict.fromkeys(rows["group"]))
    height = 0.8 + 0.33 * (len(rows) + len(groups))
    figure, axis = plt.subplots(figsize=(PHONE, height), layout="constrained")
    place, ticks = 0.0, []
    for group in groups:
        look: dict[str, Any] = {"fontweight": "bold", "fontsize": "small", "va": "center"}
        axis.text(0.01, place, group, transform=axis.get_yaxis_transform(), **look)
        place += 1
        for row in rows[rows["group"] == group].itertuples():
            _effect(axis, place, row)
            ticks.append((place, row.name))
            if not np.isnan(seeds := getattr(row, "seeds", np.nan)):
                _beside(axis, place, f"{seeds:.0f} seed{'s' if seeds > 1 else ''}")
            place += 1
        place += 0.4
    axis.axvline(0, color="#7d8597", linewidth=1)
    axis.set_yticks([tick for tick, _ in ticks], [name for _, name in ticks])
    axis.set_ylim(place - 0.2, -0.8)
    axis.grid(False, axis="y")
    axis.grid(axis="x")
    axis.tick_params(axis="x", labeltop=height > TALL)
    axis.set_xlabel(label)
    return figure


TALL = 5
"""Inches from which on a figure has its scale on top too."""

ABREAST = 4
"""Panels that a page is wide enough for."""


@drawn
def forest_grid(rows: pd.DataFrame, label: str = "gain in UA over the baseline, points") -> Figure:
    """`forest` with a panel for each group, `ABREAST` side by side over one scale, and a line for each system."""
    groups, slugs = list(dict.fromkeys(rows["group"])), list(dict.fromkeys(rows["slug"]))
    order = [slug for slug in systems.TABLE_2 if slug in slugs]
    order += [slug for slug in slugs if slug not in order]
    across, down = min(len(groups), ABREAST), -(-len(groups) // ABREAST)
    size = (2.4 + 1.9 * across, 0.4 + (0.6 + 0.3 * len(order)) * down)
    figure, axes = plt.subplots(down, across, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained")
    for axis in axes.flat[len(groups) :]:
        axis.set_axis_off()
    for axis, group in zip(axes.flat, groups, strict=False):
        for row in rows[rows["group"] == group].itertuples():
            _effect(axis, order.index(row.slug), row)
        axis.axvline(0, color="#7d8597", linewidth=1)
        axis.set_title(str(group).replace(", ", ",\n"), fontsize="medium")
    axes[0][0].set_yticks(range(len(order)), [title(slug) for slug in order])
    axes[0][0].set_ylim(len(order) - 0.4, -0.6)
    said = figure.supxlabel(label, fontsize="medium")
    figure.draw_without_rendering()  # where the panels are is known from then on: it stands in their middle, not in the page's
    said.set_x((axes[0][0].get_position().x0 + axes[0][-1].get_position().x1) / 2)
    return figure


def _beside(axis: Axes, place: float, text: str) -> None:
    """A short text to the right of a row."""
    axis.text(1.02, place, text, transform=axis.get_yaxis_transform(), va="center", fontsize="x-small")


def _effect(axis: Axes, place: float, row: Any) -> None:
    """One effect with its interval, and the claimed one where there is any."""
    colour = family_colour(row.slug)
    axis.plot([row.low, row.high], [place, place], color=colour, linewidth=7, alpha=0.3, solid_capstyle="butt")
    if not np.isnan(getattr(row, "wide_low", np.nan)):
        axis.plot([row.wide_low, row.wide_high], [place, place], color=colour, linewidth=2)
    axis.plot(row.effect, place, "o", color=colour, markersize=6)
    if not np.isnan(row.claimed):
        axis.plot(row.claimed, place, "d", color=colour, markerfacecolor="none", markersize=7)


@drawn
def power(rows: pd.DataFrame, enough: float) -> Figure:
    """How often each study would see a gain (`findings.power`), as bars beside the share that is `enough`."""
    figure, axis = plt.subplots(figsize=(4.6, 1.2 + 0.52 * len(rows)), layout="constrained")
    for place, row in enumerate(rows.itertuples(index=False)):
        axis.barh(place, 100, height=0.5, color="#7d8597", alpha=0.14)
        if np.isnan(row.power):
            axis.text(2, place, "one seed: cannot be told", va="center", fontsize="small", style="italic")
            continue
        axis.barh(place, 100 * row.power, height=0.5, color="#2a8f80" if row.power >= enough else "#a3764a")
        end = 100 * row.power
        look: dict[str, Any] = {"va": "center", "fontsize": "small", "fontweight": "bold"}
        if -14 < end - 100 * enough < 2:  # a number beside its bar would lie under the line
            axis.text(end - 2, place, f"{end:.0f} %", ha="right", color="white", **look)
        else:
            axis.text(end + 2, place, f"{end:.0f} %", **look)
    axis.axvline(100 * enough, color="#7d8597", linewidth=1.2, linestyle=(0, (4, 3)))
    axis.text(100 * enough, -0.72, "enough", ha="center", va="bottom", fontsize="small")
    axis.set_yticks(range(len(rows)), [short(label, 18) for label in rows["group"]])
    axis.set_ylim(len(rows) - 0.5, -0.6)
    axis.set_xlim(0, 112)
    axis.set_xticks([0, 25, 50, 75, 100])
    axis.grid(False, axis="y")
    axis.set_xlabel("of 100 such studies, how many would see it")
    return figure


@plt.style.context(["default", {"text.parse_math": False}])
def card(headline: str, gains: pd.DataFrame) -> Figure:
    """What a link to the book shows elsewhere, 1200 x 630: the first sentence of the answer so far, and the gains with speakers
    kept apart."""
    own = gains[of_protocol(gains["group"], "speaker")].head(7)
    figure = plt.figure(figsize=(12, 6.3), dpi=100, facecolor="#fdfcf9")
    figure.text(0.06, 0.86, "Measured again", fontsize=46, fontfamily="serif", color="#0f625b")
    figure.text(0.06, 0.77, "discriminative features for speech emotion", fontsize=20, color="#575f68")
    first = re.split(r"(?<=[.?!]) (?=[A-Z])", headline)[0]
    figure.text(0.06, 0.66, textwrap.fill(plain(first), 70), fontsize=19, color="#23272c", va="top", linespacing=1.4)
    axis = figure.add_axes((0.36, 0.12, 0.58, 0.32))
    for place, row in enumerate(own.itertuples()):
        axis.plot([row.low, row.high], [place, place], color=family_colour(row.slug), linewidth=4)
        axis.plot(row.effect, place, "o", color=family_colour(row.slug), markersize=11)
    names = [f"{IN_COMBINATIONS.get(row.slug, row.name)}, {row.group.partition(',')[0]}" for row in own.itertuples()]
    names = [name[0].upper() + name[1:].replace(", Mean", ", mean") for name in names]
    axis.set_yticks(range(len(own)), names, fontsize=13, color="#23272c")
    axis.set_ylim(max(len(own), 1) - 0.5, -0.5)
    axis.axvline(0, color="#7d8597", linewidth=1)
    axis.set_xlabel("gain in UA over the baseline, points, 95 % interval over speakers", fontsize=12, color="#575f68")
    axis.tick_params(colors="#575f68", length=0)
    axis.spines[:].set_visible(False)
    axis.patch.set_visible(False)
    axis.grid(False)
    return figure


@drawn
def paper_noise(table_2: pd.DataFrame, reach: float) -> Figure:
    """UA of Table 2 as reported, a band of ± `reach` at the baseline; rows that differ in alpha alone share a line."""
    rows: dict[str, list[tuple[str, float]]] = {}
    for slug, ua in zip(table_2["slug"], table_2["ua"], strict=True):
        name = title(slug)
        rows.setdefault(f"{name.rpartition(',')[0]}, any α" if slug.startswith("focal") else name, []).append((slug, ua))
    figure, axis = plt.subplots(figsize=(7.2, 0.9 + 0.32 * len(rows)), layout="constrained")
    base = table_2.set_index("slug")["ua"]["baseline"]
    axis.axvspan(base - reach, base + reach, color=family_colour("baseline"), alpha=0.18, linewidth=0)
    for place, points in enumerate(rows.values()):
        values = [ua for _, ua in points]
        colour = family_colour(points[0][0])
        if len(values) > 1:
            axis.plot([min(values), max(values)], [place, place], color=colour, linewidth=2, alpha=0.5)
        axis.plot(values, [place] * len(values), "o", color=colour, markersize=6, alpha=0.8, markeredgewidth=0)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel("UA on IEMOCAP as reported (%)")
    axis.grid(False, axis="y")
    return figure


@drawn
def speakers(table: pd.DataFrame) -> Figure:
    """UA of each speaker (`tables.speaker_table`), the best recognised on top, one mark a system, a line over their span."""
    order = table.groupby("speaker")["ua"].mean().sort_values(ascending=False).index.tolist()
    height = 0.9 + 0.3 * len(order)
    figure, axis = plt.subplots(figsize=(PHONE, height), layout="constrained")
    for place, speaker in enumerate(order):
        values = table.loc[table["speaker"] == speaker, "ua"]
        axis.plot([values.min(), values.max()], [place, place], color="#7d8597", alpha=0.4, linewidth=1.5)
    for index, (slug, own) in enumerate(table.groupby("slug", sort=False)):
        places = [order.index(speaker) for speaker in own["speaker"]]
        marker = MARKERS[index % len(MARKERS)]
        axis.plot(own["ua"], places, marker, color=family_colour(str(slug)), label=title(str(slug)), markersize=6, alpha=0.85)
    genders = table.drop_duplicates("speaker").set_index("speaker")["gender"]
    people = [short(speaker, 24, 1) + (f" ({genders[speaker]})" if genders[speaker] else "") for speaker in order]
    axis.set_yticks(range(len(order)), people)
    axis.set_ylim(len(order) - 0.5, -0.5)
    axis.set_xlim(right=101)
    axis.set_xlabel("UA of the speaker (%)")
    axis.grid(axis="x")
    axis.tick_params(axis="x", labeltop=height > TALL)
    figure.legend(loc="outside upper center", ncols=1 if table["slug"].nunique() < 4 else 2, frameon=False)
    return figure

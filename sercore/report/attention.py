"""Where in time each system's attention lies, on the test utterances: published weights in, measures and pictures out.

A weight stands for a step of 0.32 s. Within a step the attention counts as even, so that a step which an utterance ends in
is shared between the utterance and the padding behind it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ..config import STEP_SECONDS
from ..errors import SercoreError
from ..evidence import results
from ..evidence.remembered import drawn
from .figures.plots import MUTED, family_colour, grid, short
from .findings import inside, listed, listed_names
from .names import name as named
from .tables import corpus_title, title

WAVE_COLUMNS = 700
"""Of a waveform's picture: more than a page shows, and far fewer than there are samples."""

PARTS = 10
"""Into so many parts an utterance's time is cut for its profile."""


@results.once
def weights(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: run, system, seed, utterance, label, duration (s), attention (steps,)."""
    deep = results.features(corpus, protocol, folder)
    facts = results.utterances(corpus, folder).set_index("id")[["label", "duration"]]
    return deep[deep["system"].isin(slugs)][["run", "system", "seed", "utterance", "attention"]].join(facts, on="utterance")


def stacked(attention: pd.Series) -> NDArray[np.float64]:
    """The attention of several utterances, (steps,) each, as (utterances, steps); a shorter one ends in nothing."""
    rows = np.zeros((len(attention), attention.map(len).max()))
    for row, weights in zip(rows, attention, strict=True):
        row[: len(weights)] = weights
    return rows


def heard(attention: NDArray, seconds: NDArray | float) -> NDArray[np.float64]:
    """The share of the attention (..., steps) before each of these times (..., times), or before one time."""
    total = np.pad(np.cumsum(attention, axis=-1, dtype=float), [(0, 0)] * (np.ndim(attention) - 1) + [(1, 0)])
    place = np.clip(np.asarray(seconds) / STEP_SECONDS, 0, np.shape(attention)[-1])
    times = np.atleast_1d(place)
    step = np.minimum(times.astype(int), np.shape(attention)[-1] - 1)
    before, behind = (np.take_along_axis(total, step + more, axis=-1) for more in (0, 1))
    shares = (before + (times - step) * (behind - before)) / total[..., -1:]
    return shares if np.ndim(place) else shares[..., 0]


def profile(attention: NDArray, duration: NDArray | float, parts: int = PARTS) -> NDArray[np.float64]:
    """The share of the attention (..., steps) on each of `parts` equal parts of the utterance (...); with what lies on padding
    they sum to 1."""
    return np.diff(heard(attention, np.linspace(0, duration, parts + 1, axis=-1)))


def span(attention: NDArray) -> NDArray[np.float64]:
    """Over how many seconds the attention (..., steps) spreads: the exponential of its entropy, in steps, times a step."""
    shares = attention / np.sum(attention, axis=-1, keepdims=True)
    terms = shares * np.log(shares, out=np.zeros(shares.shape), where=shares > 0)
    return np.exp(-terms.sum(-1)) * STEP_SECONDS


def distance(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """How much of the attention (..., steps) would have to move to make one into the other: half the sum of absolute
    differences."""
    sides = (each / np.sum(each, axis=-1, keepdims=True) for each in (first, second))
    return np.abs(np.subtract(*sides)).sum(-1) / 2


def _apart(first: pd.Series, second: pd.Series) -> pd.Series:
    """The distance of the attention of each utterance that both, by utterance, have."""
    both = pd.concat([first.rename("first"), second.rename("second")], axis=1, join="inner")
    if both.empty:
        return pd.Series(dtype=float)
    rows = stacked(pd.concat([both["first"], both["second"]]))
    return pd.Series(distance(rows[: len(both)], rows[len(both) :]), both.index)


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Of `weights`: for each system the mean share on padding (percent), the span (seconds), and the distance to the baseline of
    the same seed (percent of the attention, mean over utterances; 0 for the baseline itself); each a mean over the seeds that
    the system has. Raises `SercoreError` where a seed has an utterance twice."""
    columns = ["slug", "padding", "padded", "span", "moved"]
    rows = []
    for _, seed in frame.groupby("seed"):
        if seed.duplicated(["system", "utterance"]).any():
            raise SercoreError("a summary of the attention takes each utterance once a seed: one is there twice")
        base = seed[seed["system"] == "baseline"].set_index("utterance")["attention"]
        for slug, own in seed.groupby("system"):
            each = stacked(own["attention"])
            padding = 1 - heard(each, own["duration"].to_numpy()[:, None])
            moved = _apart(own.set_index("utterance")["attention"], base)
            row = {"slug": slug, "padding": 100 * padding.mean(), "span": span(each).mean()}
            lengths = own["attention"].map(len) * STEP_SECONDS
            row["padded"] = 100 * float((1 - (own["duration"] / lengths).clip(upper=1)).mean())
            rows.append(row | {"moved": 100 * moved.mean()})
    return pd.DataFrame(rows, columns=columns).groupby("slug", as_index=False).mean()


def between_seeds(frame: pd.DataFrame) -> dict[str, float]:
    """Of `weights` of several seeds: the distance between two of a system (percent of the attention, mean over utterances and
    pairs of seeds), for the systems that have two."""
    found = {}
    for slug, own in frame.groupby("system"):
        by_seed = [group.set_index("utterance")["attention"] for _, group in own.groupby("seed")]
        pairs = list(itertools.combinations(by_seed, 2))
        if pairs:
            found[str(slug)] = 100 * float(pd.concat([_apart(first, second) for first, second in pairs]).mean())
    return found


def seeds_sentence(between: dict[str, dict[str, float]], tables: dict[str, pd.DataFrame]) -> str:
    """Whether the distances to the baseline (`summary`) exceed those between two seeds of one system: corpora that say the same
    in one sentence."""
    said: dict[str, list[str]] = {}
    unknown = []
    for corpus, table in tables.items():
        if not (own := between.get(corpus)):
            unknown.append(corpus)
            continue
        lacking = [_called(slug) for slug in table["slug"] if slug not in own]
        others = table[table["slug"] != "baseline"].dropna(subset="moved")
        further = [_called(slug) for slug in others.loc[others["moved"] > max(own.values()), "slug"]]
        lies = f"{listed(further) or 'no system'} {'lie' if len(further) > 1 else 'lies'}"
        few = f" (of {listed(lacking)} no features of a second seed were kept)" if lacking else ""
        said.setdefault(f"{lies} further from the baseline than two seeds of one system lie apart at most{few}.", []).append(
            corpus
        )
    parts = [f"On {_corpora(there)} {what}" for what, there in said.items()]
    if unknown:
        parts.append(f"On {_corpora(unknown)} that cannot be said yet: two seeds of one system may lie as far apart.")
    return " ".join(parts)


def shown_summary(table: pd.DataFrame, between: dict[str, float]) -> pd.DataFrame:
    """`summary` with readable headers, beside the distances `between_seeds` where there are any."""
    shown = {"System": table["slug"].map(title), "On padding (%)": table["padding"], "Spread over (s)": table["span"]}
    shown["Moved against the baseline (%)"] = table["moved"].where(table["slug"] != "baseline")
    return pd.DataFrame(shown | ({"Moved between two seeds (%)": table["slug"].map(between)} if between else {}))


def sentence(tables: dict[str, pd.DataFrame]) -> str:
    """What the summaries (by corpus) have in common: which system hears most padding, which is the most pointed."""
    if not tables:
        return "Nothing has been measured yet."
    shares = {corpus: table["padded"].mean() for corpus, table in tables.items()}
    padded = [corpus for corpus, share in shares.items() if share >= 0.5]
    parts = []
    if padded:
        span = _span([shares[corpus] for corpus in padded])
        parts.append(
            f"On {_corpora(padded)} {span} % of a clip is padding on average, and so much of an even attention would lie there."
        )
    if bare := [corpus for corpus in tables if corpus not in padded]:
        parts.append(f"On {_corpora(bare)} clips are hardly padded at all.")
    most: dict[str, dict[str, float]] = {}
    pointed: dict[str, dict[str, float]] = {}
    for corpus, table in tables.items():
        if corpus in padded and len(table) > 1:
            row = table.loc[table["padding"].idxmax()]
            most.setdefault(row["slug"], {})[corpus] = row["padding"]
        if table["span"].round(1).nunique() > 1:
            row = table.loc[table["span"].idxmin()]
            pointed.setdefault(row["slug"], {})[corpus] = row["span"]
    for slug, own in most.items():
        where = "" if len(most) == 1 else f" on {_corpora(own)}"
        parts.append(f"Of all systems {_called(slug)} puts most on it{where}: {_span(own.values())} %.")
    spread = [f"that of {_called(slug)} on {_corpora(own)}, over {_span(own.values(), 1)} s" for slug, own in pointed.items()]
    if spread:
        parts.append(f"The most pointed attention is {listed(spread)}.")
    return " ".join(parts)


def _called(slug: str) -> str:
    """A system within a sentence."""
    return "the baseline" if slug == "baseline" else named(inside(title(slug)))


def _corpora(names: Iterable[str]) -> str:
    return listed_names(corpus_title(name) for name in names)


def _span(values: Iterable[float], digits: int = 0) -> str:
    """`10 to 20`, or `10` where they are alike."""
    given = list(values)
    return " to ".join(dict.fromkeys(f"{end:.{digits}f}" for end in (min(given), max(given))))


def wider_sentence(tables: dict[str, pd.DataFrame]) -> str:
    """Whether combined pooling spreads its attention over more time than the baseline does, corpus by corpus."""
    wider, there = [], []
    for corpus, table in tables.items():
        spans = table.set_index("slug")["span"]
        if {"baseline", "combined"} <= set(spans.index):
            there.append(named(corpus_title(corpus)))
            if spans["combined"] > 1.1 * spans["baseline"]:
                wider.append(named(corpus_title(corpus)))
    if not there:
        return "Combined pooling and the baseline have not both been measured yet."
    if not wider:
        said = "the attention of combined pooling is nowhere wider by a tenth than the baseline's"
        return f"It is not there: on {listed(there)} {said}."
    rest = "" if len(wider) == len(there) else f", not on {listed([name for name in there if name not in wider])}"
    return f"The attention of combined pooling is wider by a tenth or more on {listed(wider)}{rest}."


def profiles(frame: pd.DataFrame, slugs: Sequence[str]) -> Figure:
    """Mean attention along the utterance, one panel a class, one line a system; 1 is even attention without any padding."""

    def mean(label: str, slug: str) -> NDArray[np.float64]:
        own = frame[(frame["label"] == label) & (frame["system"] == slug)]
        return profile(stacked(own["attention"]), own["duration"].to_numpy()).mean(axis=0)

    return _profiles({label: {slug: mean(label, slug) for slug in slugs} for label in sorted(frame["label"].unique())})


@drawn
def _profiles(means: dict[str, dict[str, NDArray[np.float64]]]) -> Figure:
    figure, axes = grid(len(means), 4, 2.6, 2.6, sharey=True)
    middle = (np.arange(PARTS) + 0.5) * 100 / PARTS
    for axis, (label, systems) in zip(axes, means.items(), strict=True):
        for slug, mean in systems.items():
            axis.plot(middle, PARTS * mean, color=family_colour(slug), label=title(slug), linewidth=1.8)
        axis.axhline(1, color=MUTED, linewidth=0.8, linestyle=":")
        axis.set_title(short(label, 24, 1), fontsize="medium")
        axis.set_xlabel("% of the utterance")
        axis.set_xlim(0, 100)
    axes[0].set_ylim(bottom=0)
    axes[0].set_ylabel("attention, 1 = even")
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return figure


def most_different(frame: pd.DataFrame, first: str, second: str, count: int = 3) -> list[str]:
    """The utterances on which two systems' attention lies farthest apart, of different classes where there are."""
    sides = [frame[frame["system"] == slug].set_index("utterance") for slug in (first, second)]
    far = _apart(sides[0]["attention"], sides[1]["attention"]).sort_values(ascending=False)
    ranked = pd.DataFrame({"label": sides[0]["label"].reindex(far.index), "turn": 0})
    ranked["turn"] = ranked.groupby("label").cumcount()
    return ranked.sort_values("turn", kind="stable").index[:count].tolist()


def over_sound(frame: pd.DataFrame, utterance: str, slugs: Sequence[str], waveform: NDArray | None, rate: int) -> Figure:
    """The attention of each system over one utterance, under its waveform and log-Mel energies where the sound is at hand."""
    own = frame[frame["utterance"] == utterance].set_index("system")
    attention = {slug: np.asarray(own.at[slug, "attention"], dtype=float) for slug in slugs}
    return _over_sound(attention, float(own["duration"].iloc[0]), waveform, rate)


@drawn
def _over_sound(attention: dict[str, NDArray], seconds: float, waveform: NDArray | None, rate: int) -> Figure:
    from ..frontend.log_mel import log_mel

    heights = [*([0.7, 1.1] if waveform is not None else []), *[0.75] * len(attention)]
    figure, axes = plt.subplots(
        len(heights),
        1,
        figsize=(7.2, 0.6 + sum(heights)),
        sharex=True,
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    rows = list(axes[:, 0])
    if waveform is not None:
        wave, mels = rows.pop(0), rows.pop(0)
        parts = np.array_split(waveform, min(WAVE_COLUMNS, len(waveform)))
        times = np.linspace(0, len(waveform) / rate, len(parts))
        wave.fill_between(times, [part.min() for part in parts], [part.max() for part in parts], color="#7d8597", linewidth=0.4)
        wave.set_axis_off()
        mels.imshow(
            log_mel(waveform.astype(np.float32)).T, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, 40)
        )
        mels.set_ylabel("Mel band", fontsize="x-small")
        mels.grid(False)
    for axis, (slug, values) in zip(rows, attention.items(), strict=True):
        starts = np.arange(len(values)) * STEP_SECONDS
        axis.bar(starts, values, width=STEP_SECONDS, align="edge", color=family_colour(slug), edgecolor="none")
        axis.set_title(title(slug), fontsize="small", loc="left", pad=2)
        axis.set_yticks([])
        axis.set_xlim(0, len(values) * STEP_SECONDS)
        axis.axvline(seconds, color="#7d8597", linewidth=1, linestyle=":")
    ends = max(map(len, attention.values())) * STEP_SECONDS > seconds + STEP_SECONDS
    rows[-1].set_xlabel("time (s)" + "; the dotted line is the utterance's end, padding follows" * ends)
    return figure

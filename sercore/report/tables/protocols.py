"""What a protocol adds to accuracy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ...corpora.protocol import CLEAN
from ...evidence import results, statistics
from .accuracy import yardstick_tally
from .measured import RESAMPLES, measured_systems, tallied
from .words import ENDS, corpus_title, title


def yardstick_gaps(folder: str | Path | None = None) -> pd.DataFrame:
    """What sharing speakers adds to the UA of the yardstick `bands`, in points: one row a corpus, columns `corpus, effect, low,
    high`."""
    rows = []
    for corpus in dict.fromkeys(corpus for corpus, _ in results.published(folder)):
        apart, shared = (yardstick_tally(corpus, protocol, folder) for protocol in CLEAN)
        if apart is not None and shared is not None:
            found = statistics.paired_jackknife(shared, apart, "ua").percent()
            rows.append((corpus, found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["corpus", "effect", "low", "high"])


@results.once
def protocol_gaps(base: str = "speaker", other: str = "paper", folder: str | Path | None = None) -> pd.DataFrame:
    """What protocol `other` adds to UA over `base`: the same system, corpus, seeds and test utterances, one row a system.

    Columns as `figures.forest` takes them (group, slug, name, effect, low, high, claimed), and base, other, p, seeds; `more`
    with `_low` and `_high` is what it adds to the system less what it adds to the baseline, over the seeds of all four.
    """
    rows = []
    for corpus in dict.fromkeys(corpus for corpus, name in results.published(folder) if name == base):
        if (corpus, other) not in results.published(folder):
            continue
        both = [s for s in measured_systems(corpus, base, folder) if s in measured_systems(corpus, other, folder)]
        counted = [tallied(corpus, name, both, folder) for name in (base, other)]
        pairs = {slug: tuple(each[slug] for each in counted) for slug in both}
        for slug, (first, second) in pairs.items():
            if not (seeds := statistics.common_seeds(first, second)):
                continue
            gap = statistics.paired_jackknife(second, first, "ua").percent()
            values = (100 * statistics.bootstrap_speakers(t.select(seeds), "ua", RESAMPLES).estimate for t in (first, second))
            row = {"group": corpus_title(corpus), "slug": slug, "name": title(slug), "effect": gap.estimate, "low": gap.low}
            row |= {"high": gap.high, "claimed": np.nan} | dict(zip(("base", "other"), values, strict=True))
            rows.append(row | {"p": gap.p, "seeds": len(seeds)} | _more_than_baseline(pairs, slug))
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "base", "other", "p", "seeds"]
    columns += [f"more{end}" for end in ENDS]
    return pd.DataFrame(rows, columns=columns)


def gap_runs(gaps: pd.DataFrame, base: str, other: str, folder: str | Path | None = None) -> pd.DataFrame:
    """The runs that `protocol_gaps` compared: of the seeds that both protocols have."""
    runs = results.runs(folder)
    compared = set(zip(gaps["group"], gaps["slug"], strict=True))
    wanted = [pair in compared for pair in zip(runs["corpus"].map(corpus_title), runs["system"], strict=True)]
    own = runs[runs["protocol"].isin((base, other)) & np.array(wanted, dtype=bool)]
    return own[own.groupby(["corpus", "system", "seed"])["protocol"].transform("nunique") == 2]


def _more_than_baseline(pairs: dict[str, tuple[statistics.Tally, ...]], slug: str) -> dict[str, float]:
    """How far the second of a pair lies above the first, less the same for the baseline; nothing where that cannot be said."""
    if slug == "baseline" or "baseline" not in pairs:
        return {}
    four = [*pairs[slug], *pairs["baseline"]]
    if not (seeds := set.intersection(*(set(each.seeds) for each in four))):
        return {}
    first, second, base_first, base_second = (each.select(sorted(seeds)) for each in four)
    found = statistics.difference_of_differences((second, first), (base_second, base_first), "ua").percent()
    return {"more": found.estimate, "more_low": found.low, "more_high": found.high}

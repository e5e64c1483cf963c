"""What the pages say about their tables: sentences and overviews, computed so that they stay true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from . import claims
from .display import Link
from .tables import corpus_title, title, with_interval

EVIDENCE = {1: "table-2", 2: "verdicts", 3: "confusion", 4: "model", 5: "table-1", 6: "verdicts"}
"""The page that holds the evidence on each claim."""


def said(row: pd.Series) -> str:
    """A verdict in words; from fewer seeds than the rules ask for it is provisional."""
    few = row["verdict"] in claims.JUDGED and "seeds" in str(row["missing"])
    return f"{row['verdict']} (provisional)" if few else str(row["verdict"])


def verdict_overview(settled: pd.DataFrame) -> pd.DataFrame:
    """One row a claim in our words, one column a corpus and protocol (speakers kept apart first), verdicts inside."""
    settled = settled.sort_values(["corpus", "protocol"], ascending=[True, False], kind="stable")
    rows = []
    for claim in claims.CLAIMS:
        row = {"Claim": f"{claim.number}. {claim.text}"}
        for place in settled[settled["claim"] == claim.key].itertuples():
            row[f"{corpus_title(place.corpus)}, {place.protocol}"] = said(pd.Series(place._asdict()))
        rows.append(row)
    return pd.DataFrame(rows)


def verdict_details(settled: pd.DataFrame) -> pd.DataFrame:
    """One row a claim that was measured: effect with interval, p after Holm's correction, verdict, and what is missing."""
    measured = settled[settled["effect"].notna()]
    numbers = [with_interval({"x": r.effect, "x_low": r.low, "x_high": r.high}, "x", sign=True) for r in measured.itertuples()]
    return pd.DataFrame(
        {
            "Claim": measured["claim"],
            "Corpus": measured["corpus"].map(corpus_title),
            "Protocol": measured["protocol"],
            "Measure": measured["measure"],
            "Claimed": measured["claimed"],
            "Effect": numbers,
            "p, Holm": measured["p_holm"],
            "Verdict": [said(row) for _, row in measured.iterrows()],
            "Missing": measured["missing"],
        }
    )


def verdicts_with_evidence(settled: pd.DataFrame) -> pd.DataFrame:
    """`verdict_overview` of the corpora that were measured, with a link from each claim to the page of its evidence."""
    measured = settled["corpus"].isin(settled.loc[settled["effect"].notna(), "corpus"])
    overview = verdict_overview(settled[measured] if measured.any() else settled)
    pages = [EVIDENCE[claim.number] for claim in claims.CLAIMS]
    return overview.assign(Evidence=[Link(page, f"{page}.html") for page in pages])


def headline(settled: pd.DataFrame, runs: pd.DataFrame) -> str:
    """The answer so far in a sentence or two, counted from the verdicts."""
    judged = settled[settled["verdict"].isin(claims.JUDGED)]
    if judged.empty:
        return "**Nothing has been measured yet**; the table below fills as runs are published."
    counts = judged["verdict"].value_counts()
    said_ = ", ".join(f"{counts[verdict]} *{verdict}*" for verdict in claims.JUDGED if verdict in counts)
    places = " and ".join(dict.fromkeys(corpus_title(name) for name in judged["corpus"]))
    few = judged["missing"].str.contains("seeds").any()
    caution = f" Until each system has been run with {claims.MINIMUM_SEEDS} seeds these verdicts are provisional." if few else ""
    return f"**So far**, from {len(runs):,} runs on {places}: of {len(judged)} verdicts {said_}.{caution}"


def measured_so_far(runs: pd.DataFrame, slugs: Sequence[str]) -> str:
    """Which of `slugs` have been run, and how often."""
    if runs.empty:
        return "None of these systems has been measured yet."
    there = [slug for slug in slugs if (runs["system"] == slug).any()]
    places = " and ".join(dict.fromkeys(corpus_title(name) for name in runs["corpus"]))
    return f"So far {len(there)} of {len(slugs)} systems have been run, {len(runs):,} runs on {places}."


def fold_summary(runs: pd.DataFrame, slugs: Sequence[str]) -> str:
    """`baseline from 61 to 75 percent, ...`: the range over folds and seeds, system by system."""
    ranges = runs.groupby("system")["ua"].agg(["min", "max"]) * 100
    return (
        "; ".join(
            f"{title(s)} from {ranges.at[s, 'min']:.0f} to {ranges.at[s, 'max']:.0f} percent" for s in slugs if s in ranges.index
        )
        + "."
    )


def recall_summary(table: pd.DataFrame) -> str:
    """The best and the worst recognised class of each system."""
    parts = []
    for slug, own in table.groupby("slug", sort=False):
        best, worst = own.loc[own["recall"].idxmax()], own.loc[own["recall"].idxmin()]
        parts.append(
            f"{title(slug)}: {best['label']} at {best['recall']:.0f} percent down to {worst['label']} at {worst['recall']:.0f}"
        )
    return "; ".join(parts) + "."


def confusion_summary(matrices: dict[str, pd.DataFrame]) -> str:
    """The most frequent mistake of each system."""
    parts = []
    for name, counts in matrices.items():
        wrong = counts.to_numpy() * (1 - np.eye(len(counts), dtype=int))
        true, predicted = np.unravel_index(wrong.argmax(), wrong.shape)
        share = 100 * wrong[true, predicted] / max(counts.to_numpy()[true].sum(), 1)
        parts.append(f"{name}: {counts.index[true]} taken for {counts.columns[predicted]} in {share:.0f} percent")
    return "; ".join(parts) + "."


def gain_summary(table: pd.DataFrame) -> str:
    """How many intervals lie above, across and below 0."""
    above, below = (table["low"] > 0).sum(), (table["high"] < 0).sum()
    return f"{above} of {len(table)} intervals lie above 0, {below} below, {len(table) - above - below} contain it."

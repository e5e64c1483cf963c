"""What the records say of the paper's claims: verdicts, the gains that they rest on, and how sure they are."""

from __future__ import annotations

import pandas as pd

from ... import corpora
from ...evidence import claims
from ...lab import systems
from ..display import Chip, Link
from ..tables import IN_COMBINATIONS, corpus_title, interval_text, place_title, title
from .words import inside, lie, listed

EVIDENCE = {1: "table-2", 2: "table-2", 3: "confusion", 4: "model", 5: "table-1", 6: "verdicts"}
"""The page that holds the evidence on each claim."""
KINDS = dict(zip(claims.JUDGED, ("good", "fair", "open", "low", "bad"), strict=True))
P_CLAIMS = "p, Holm over the claims"
JOINT = [claim.key for claim in claims.CLAIMS if len(claim.pairs) > 1]
"""Claims with several parts: the effect shown is that of the weakest, the p of all."""
WEAKEST = [claim.key for claim in claims.CLAIMS if claim.number in (1, 6)]
"""Those of them whose weakest part is a comparison of two systems."""
BRIEF = {
    "1-all": "every setting",
    "2-ams": "AMS",
    "2-focal": "focal loss",
    "2-combined": "combined pooling",
    "3-happy": "happy",
    "3-most": "happy over the others",
    "4-parameters": "parameters",
    "5-prior": "prior art",
    "6-ams": "AMS + combined",
    "6-focal": "focal loss + combined",
}
"""What each claim is about, where its sentence would be too long."""
PROVISIONAL = "†"
"""Stands behind a verdict where the rules ask for more seeds, or for the training of its corpus and system."""


def said(row: pd.Series) -> str:
    """A verdict in words, with `PROVISIONAL` where it is."""
    return str(_chip(row))


def _chip(row: pd.Series, brief: bool = False) -> Chip:
    mark = PROVISIONAL if row["verdict"] in claims.JUDGED and row["provisional"] else ""
    return Chip(row["verdict"], KINDS.get(row["verdict"], "none"), mark, brief)


def verdict_note(settled: pd.DataFrame) -> str:
    """What to add to the caption of a table of verdicts: what its mark means, where one bears it."""
    marked = settled["provisional"] & settled["verdict"].isin(claims.JUDGED)
    return f" ({PROVISIONAL} provisional)" if marked.any() else ""


def verdict_overview(settled: pd.DataFrame) -> pd.DataFrame:
    """One row a claim in our words, one column a corpus and protocol (what was measured and speakers kept apart first)."""
    rows = []
    for claim, places in _places(settled):
        verdicts = {place_title(row["corpus"], row["protocol"]): _chip(row) for row in places}
        rows.append({"Claim": f"{claim.number}. {claim.text}"} | verdicts)
    return pd.DataFrame(rows)


def verdict_matrix(settled: pd.DataFrame) -> pd.DataFrame:
    """`verdict_overview` of the corpora that were measured, in signs; each claim leads to the page of its evidence."""
    measured = settled["corpus"].isin(settled.loc[settled["effect"].notna(), "corpus"])
    rows = []
    for claim, places in _places(settled[measured] if measured.any() else settled):
        link = Link(f"{claim.number}. {claim.text}", f"{EVIDENCE[claim.number]}.html")
        verdicts = {(corpus_title(row["corpus"]), row["protocol"]): _chip(row, brief=True) for row in places}
        rows.append({("Claim", ""): link} | verdicts)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))


SIGNS = [*(Chip(verdict, kind) for verdict, kind in KINDS.items()), Chip("not measured or not testable", "none")]
"""What the signs of `verdict_matrix` mean."""


def _places(settled: pd.DataFrame) -> list[tuple[claims.Claim, list[pd.Series]]]:
    """For each claim its rows of `settled`, in the order of the columns that show them."""
    waiting = settled["effect"].isna().groupby(settled["corpus"]).transform("all")
    settled = settled.assign(waiting=waiting).sort_values(
        ["waiting", "corpus", "protocol"], ascending=[True, True, False], kind="stable"
    )
    return [(claim, [row for _, row in settled[settled["claim"] == claim.key].iterrows()]) for claim in claims.CLAIMS]


def verdict_details(settled: pd.DataFrame) -> pd.DataFrame:
    """One row a claim that was measured: effect with interval, verdict, what the interval over speakers alone says, p after
    Holm's correction, and what is missing.

    A joint claim shows its weakest comparison, and which that is.
    """
    measured = settled[settled["effect"].notna()].sort_values(["corpus", "protocol"], ascending=[True, False], kind="stable")
    counted = measured["measure"] == "parameters"
    numbers, claimed, compared, before = [], [], [], []
    for row, exact in zip(measured.itertuples(), counted, strict=True):
        digits = claims.GROWTH_DIGITS if exact else 1
        numbers.append(f"{row.effect:+.{digits}f}" if exact else interval_text(row.effect, row.low, row.high, sign=True))
        ends = "" if exact or pd.isna(row.speakers_low) else f"[{row.speakers_low:+.1f}, {row.speakers_high:+.1f}] "
        before.append(ends.replace("-", "\u2212") + row.speakers_verdict if ends else None)
        claimed.append(f"{row.claimed:.{digits}f}" if row.claimed else None)
        weakest = f" of {inside(title(str(row.systems).partition(' - ')[0]))}" if row.claim in WEAKEST else ""
        compared.append(row.measure.replace("over the mean of the others", "over the others") + weakest)
    return pd.DataFrame(
        {
            "Claim": measured["number"].astype(str) + ". " + measured["claim"].map(BRIEF),
            "Where": measured["corpus"].map(corpus_title) + ", " + measured["protocol"],
            "Effect": numbers,
            "Claimed": claimed,
            "Verdict": [said(row) for _, row in measured.iterrows()],
            "Over speakers alone": before,
            "Measure": compared,
            P_CLAIMS: measured["p_holm"].where(~measured["claim"].isin(JOINT)),
            "Missing": [_shortened(text) for text in measured["missing"]],
        }
    )


def _shortened(missing: str) -> str:
    """`10 systems; 4 more seeds, of 5` for a list of many systems."""
    first, *rest = missing.split("; ")
    return "; ".join([f"{first.count(',') + 1} systems" if first.count(",") > 1 else first, *rest])


def judged(settled: pd.DataFrame) -> pd.DataFrame:
    """The verdicts that took a training on recorded speech: neither parameter counts nor synthetic speech."""
    synthetic = [name for name in corpora.names() if corpora.get(name).kind == "synthetic"]
    return settled[settled["verdict"].isin(claims.JUDGED) & (settled["seeds"] > 0) & ~settled["corpus"].isin(synthetic)]


def headline(settled: pd.DataFrame, runs: pd.DataFrame) -> str:
    """The answer so far in a few sentences."""
    found = judged(settled)
    if found.empty:
        synthetic = [name for name in corpora.names() if corpora.get(name).kind == "synthetic"]
        heard = runs[~runs["corpus"].isin(synthetic)]
        if heard.empty:
            return "**Nothing has been measured on recorded speech yet**; the table below fills as runs are published."
        known = sorted({inside(title(slug)) for slug in heard["system"]})
        return (
            f"**No claim can be judged yet**: there are {len(heard):,} runs of {listed(known)} on "
            f"{listed(sorted({corpus_title(name) for name in heard['corpus']}))}. A claim compares a system with the baseline on "
            "the same folds, with two seeds or more of both."
        )
    counts = found["verdict"].value_counts()
    said_ = ", ".join(f"{counts[verdict]} *{verdict}*" for verdict in claims.JUDGED if verdict in counts)
    places = listed(list(dict.fromkeys(corpus_title(name) for name in found["corpus"])))
    few = f" Until each system has been run with {claims.MINIMUM_SEEDS} seeds these verdicts are provisional."
    counted = runs[runs["corpus"].isin(found["corpus"])]
    there = {slug for slug in counted["system"] if slug in systems.TABLE_2}
    together = counted.loc[~counted["system"].isin(there), "system"].nunique()
    of_all = f"the paper's {len(systems.TABLE_2)} systems"
    measured = f"{len(counted):,} runs of {of_all if len(there) == len(systems.TABLE_2) else f'{len(there)} of {of_all}'}"
    measured += f"{f' and {together} of their combinations' if together else ''} on {places}"
    settled_ = "1 verdict" if len(found) == 1 else f"{len(found)} verdicts"
    sized = found[found["number"] == 2]
    excluded = (
        f" Of the {len(sized)} gains of the three systems that it names best, which it puts at {claims.GAIN:.0f} points or more, "
        f"{lie((sized['low'] > 0).sum())} clearly above 0, and for {(sized['high'] < claims.GAIN).sum()} the interval over "
        f"speakers and seeds ends below {claims.GAIN:.0f} points."
        if len(sized)
        else ""
    )
    return f"**So far**, from {measured}: of {settled_} on accuracy {said_}.{excluded}{few if found['provisional'].any() else ''}"


def before_sentence(settled: pd.DataFrame) -> str:
    """How many verdicts the rule of before, speakers alone, would decide otherwise."""
    found = judged(settled)
    found = found[(found["number"] != 5) & found["speakers_verdict"].isin(claims.JUDGED)]
    if found.empty:
        return ""
    other = found[found["verdict"] != found["speakers_verdict"]]
    return (
        "Verdicts rested on speakers alone at first, in intervals that are narrower: by that rule "
        f"**{len(other)} of {len(found)}** would read otherwise."
    )


def gain_summary(table: pd.DataFrame) -> str:
    """How many intervals lie above, across and below 0, and which do."""
    known = table[table["low"].notna()]
    above, below = known[known["low"] > 0], known[known["high"] < 0]
    across = len(known) - len(above) - len(below)
    text = f"{len(above)} of {len(known)} intervals lie above 0, {len(below)} below, {across} contain it."
    if len(known) < len(table):
        text += f" {len(table) - len(known)} gains have no interval: their speakers are not named."
    for where, rows in (("Above", above), ("Below", below)):
        if len(rows):
            text += (
                f" {where}: "
                + "; ".join(f"{row.name} on {row.group}" for row in rows[["name", "group"]].itertuples(index=False))
                + "."
            )
    return text


def forest_caption(rows: pd.DataFrame) -> str:
    """What the marks of `figures.forest` mean, for gains over the baseline."""
    text = "Dots: our paired gains with intervals over speakers. Open diamonds: the gain that the paper reports on IEMOCAP."
    if rows["wide_low"].notna().any():
        text += " Thin lines: intervals over speakers and seeds, where systems have several seeds."
    return text + (" In a mean its corpora weigh alike." if rows["group"].astype(str).str.startswith("Mean of").any() else "")


def mean_sentence(means: pd.DataFrame) -> str:
    """The gains of `tables.mean_gains` with speakers kept apart, in words; "" where no two corpora share a system."""
    own = means[means["group"].astype(str).str.endswith(", speaker")]
    parts = []
    for places, rows in own.groupby(own["where"].map(tuple), sort=False):
        said_ = [
            f"{interval_text(row.effect, row.low, row.high, sign=True)} for {IN_COMBINATIONS.get(row.slug, row.name)}"
            for row in rows.itertuples(index=False)
        ]
        parts.append(f"over {listed(places)} {listed(said_)}")
    if not parts:
        return ""
    above = (own["claimed"] > own["high"]).sum()
    return (
        "With speakers kept apart and each corpus weighing the same, the mean gain in UA, in points, is "
        + "; ".join(parts)
        + ". The gain that the paper reports on IEMOCAP, for which it gives no interval, lies above "
        f"{above if above < len(own) else 'all'} of these {len(own)} intervals. They hold the choice of speakers and not that of "
        "seeds, speak of these corpora alone, and no verdict rests on them."
    )

"""What the records say of the paper's claims: verdicts, the gains that they rest on, and how sure they are."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ... import corpora
from ...evidence import claims, paper
from ..display import Chip, Link
from ..names import name as named
from ..tables import IN_COMBINATIONS, corpus_title, interval_text, of_protocol, place_title, protocol_title, title
from .words import inside, listed, signed

EVIDENCE = {1: "table-2", 2: "table-2", 3: "confusion", 4: "model", 5: "table-1", 6: "verdicts"}
"""The page that holds the evidence on each claim."""
KINDS = dict(zip(claims.JUDGED, ("good", "fair", "open", "low", "bad"), strict=True))
P_CLAIMS = "p, Holm over the claims"
WEAKEST = [claim.key for claim in claims.CLAIMS if claim.number in (1, 6) or claim.key == "3-best"]
"""Claims with several parts, of which the effect shown is that of the weakest, a comparison of two systems."""
BRIEF = {
    "1-all": "every setting",
    "2-ams": "AMS",
    "2-focal": "focal loss",
    "2-combined": "combined pooling",
    "3-happy": "happy",
    "3-most": "happy over the others",
    "3-best": "happy, of the three systems",
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
        verdicts = {(corpus_title(row["corpus"]), protocol_title(row["protocol"])): _chip(row, brief=True) for row in places}
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
    """One row a claim that was measured: effect with interval, verdict, and what is missing.

    A joint claim shows its weakest comparison, and which that is.
    """
    measured = _measured(settled)
    numbers, claimed, compared = [], [], []
    for row in measured.itertuples():
        exact = row.measure == "parameters"
        digits = claims.GROWTH_DIGITS if exact else 1
        numbers.append(f"{row.effect:+.{digits}f}" if exact else interval_text(row.effect, row.low, row.high, sign=True))
        claimed.append(f"{row.claimed:.{digits}f}" if row.claimed else None)
        weakest = f" of {_difference(str(row.systems))}" if row.claim in WEAKEST else ""
        compared.append(row.measure.replace("over the mean of the others", "over the others") + weakest)
    return pd.DataFrame(
        {
            "Claim": measured["number"].astype(str) + ". " + measured["claim"].map(BRIEF),
            "Where": [place_title(*place) for place in zip(measured["corpus"], measured["protocol"], strict=True)],
            "Verdict": [said(row) for _, row in measured.iterrows()],
            "Effect": numbers,
            "Claimed": claimed,
            "Measure": compared,
            "Missing": [_shortened(text) for text in measured["missing"]],
        }
    )


def _difference(pair: str) -> str:
    """`AMS less that of focal loss`; what is compared with the baseline goes by its own name."""
    system, other = (inside(title(slug)) for slug in pair.split(" - "))
    return system if pair.endswith(" - baseline") else f"{system} less that of {other}"


def verdict_asides(settled: pd.DataFrame) -> pd.DataFrame:
    """What decides nothing: intervals over speakers alone and over folds with what they would have said, and p after Holm's
    correction over the claims of one place, which claims of several comparisons do not have. Parameters, which are counted, have
    none of them."""
    measured = _measured(settled)
    measured = measured[(measured["measure"] != "parameters") & (measured["number"] != 5)]
    return pd.DataFrame(
        {
            "Claim": measured["number"].astype(str) + ". " + measured["claim"].map(BRIEF),
            "Where": [place_title(*place) for place in zip(measured["corpus"], measured["protocol"], strict=True)],
            "Over speakers alone": _otherwise(measured, "speakers"),
            "Over folds": _otherwise(measured, "folds"),
            P_CLAIMS: measured["p_holm"],
        }
    )


def _otherwise(measured: pd.DataFrame, kind: str) -> list[str | None]:
    """`[-0.9, +2.2] undecided`: another kind of interval of `tables.verdicts`, and what it would have said."""
    columns = (measured[f"{kind}_{name}"] for name in ("low", "high", "verdict"))
    return [
        None if pd.isna(low) else f"[{low:+.1f}, {high:+.1f}] {verdict}".replace("-", "\u2212")
        for low, high, verdict in zip(*columns, strict=True)
    ]


def _measured(settled: pd.DataFrame) -> pd.DataFrame:
    known = settled[settled["effect"].notna()]
    return known.sort_values(["corpus", "protocol"], ascending=[True, False], kind="stable")


def _shortened(missing: str) -> str:
    """`10 systems; 4 more seeds, of 5` for a list of many systems."""
    first, *rest = missing.split("; ")
    return "; ".join([f"{first.count(',') + 1} systems" if first.count(",") > 1 else first, *rest])


def judged(settled: pd.DataFrame) -> pd.DataFrame:
    """The verdicts that took a training on recorded speech: neither parameter counts nor synthetic speech."""
    synthetic = [name for name in corpora.names() if corpora.get(name).kind == "synthetic"]
    return settled[settled["verdict"].isin(claims.JUDGED) & (settled["seeds"] > 0) & ~settled["corpus"].isin(synthetic)]


def of_paper(found: pd.DataFrame) -> pd.DataFrame:
    """Those of `judged` that the paper claims: what we ask beside it is left out."""
    return found[~found["claim"].isin(claims.ASKED)]


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


def folds_sentence(settled: pd.DataFrame) -> str:
    """Which answers on the gain of four points an interval over the folds bears out, and which it leaves open."""
    found = judged(settled)
    found = found[(found["number"] != 5) & found["folds_verdict"].isin(claims.JUDGED)]
    if found.empty:
        return ""
    other = found["verdict"] != found["folds_verdict"]
    text = (
        "Neither kind of interval holds what another training part would change: the seeds of a fold share one. The five folds "
        "hold it, if coarsely. Left out one at a time in place of speakers, with Student's t, they would decide "
        f"**{other.sum()} of {len(found)}** otherwise."
    )
    short = ("size excluded", "contradicted")
    best = found[(found["number"] == 2) & found["verdict"].isin(short)]
    kept = best["folds_verdict"].isin(short)
    if best.empty:
        return text
    if kept.all():
        return f"{text} Wherever four points are ruled out, they are so by the folds too."
    if not kept.any():
        return f"{text} Nowhere do they rule out four points too."
    return f"{text} They too rule out four points for {_schemes(best[kept])}. They leave them open for {_schemes(best[~kept])}."


def _schemes(rows: pd.DataFrame) -> str:
    """`AMS and focal loss on EmoDB, random split; focal loss on RAVDESS, speakers apart`."""
    return "; ".join(
        f"{listed([BRIEF[claim] for claim in own['claim']])} on {named(place_title(corpus, protocol))}"
        for (corpus, protocol), own in rows.groupby(["corpus", "protocol"], sort=False)
    )


def gain_summary(table: pd.DataFrame) -> str:
    """How many intervals lie above, across and below 0, and which do: those over speakers and seeds, where there are any."""
    wide = "wide_low" in table and table["wide_low"].notna().any()
    low, high = ("wide_low", "wide_high") if wide else ("low", "high")
    known = table[table[low].notna()]
    above, below = known[known[low] > 0], known[known[high] < 0]
    across = len(known) - len(above) - len(below)
    over = " over speakers and seeds" if wide else ""
    text = f"{len(above)} of {len(known)} intervals{over} lie above 0, {len(below)} below, {across} contain it."
    if len(known) < len(table) and wide:
        text += f" {len(table) - len(known)} gains have none: no system there has a second seed, or speakers are not named."
    elif len(known) < len(table):
        text += f" {len(table) - len(known)} gains have no interval: their speakers are not named."
    for where, rows in (("Above", above), ("Below", below)):
        if len(rows):
            own = rows[["name", "group"]].itertuples(index=False)
            text += f" {where}: {'; '.join(f'{named(row.name)} on {named(row.group)}' for row in own)}."
    return text


def forest_caption(rows: pd.DataFrame) -> str:
    """What the marks of `figures.forest` mean, for gains over the baseline."""
    text = "Dots: our paired gains. Open diamonds: the paper's, on IEMOCAP. Pale bands: intervals over speakers."
    if rows["wide_low"].notna().any():
        text += " Lines: intervals over speakers and seeds, by which verdicts are decided, where systems have several seeds."
    return text + (" In a mean its corpora weigh alike." if rows["group"].astype(str).str.startswith("Mean of").any() else "")


def relative_sentence(settled: pd.DataFrame, accuracy: Mapping[tuple[str, str], float]) -> str:
    """What share of the baseline's errors the paper's gain takes, and which verdicts the same share would leave undecided.

    `accuracy` has the baseline's UA (percent) in each place. "" where it changes no verdict.
    """
    reported = paper.table_2().set_index("slug")["ua"]
    share = claims.GAIN / (100 - reported["baseline"])
    best = settled[(settled["number"] == 2) & (settled["verdict"] == "size excluded")]
    parts = []
    for (corpus, protocol), own in best.groupby(["corpus", "protocol"], sort=False):
        gain = share * (100 - accuracy.get((corpus, protocol), float("nan")))
        within = [BRIEF[row.claim] for row in own.itertuples() if row.high >= gain]
        if within:
            where, one = named(place_title(corpus, protocol)), len(within) == 1
            contain = f"the interval{'' if one else 's'} of {listed(within)} contain{'s' if one else ''}"
            parts.append(f"On {where}, that share is {gain:.1f} points, which {contain}")
    if not parts:
        return ""
    return (
        f"Four points take {100 * share:.0f} % of the baseline's errors on IEMOCAP, and a larger share where the baseline errs "
        f"less. {'. '.join(parts)}: asked for the same share of errors, it would be undecided there."
    )


def verdict_lead(settled: pd.DataFrame, alarms: pd.DataFrame, twos: pd.DataFrame) -> str:
    """What the verdicts come to, and how often their rule is wrong about seeds of one system, two against two where there are as
    many (`tables.seed_against_seed`); "" before any."""
    every = judged(settled)
    found, asked = of_paper(every), every[every["claim"].isin(claims.ASKED)]
    if found.empty:
        return ""
    text = f"Of {len(found)} comparisons with a claim of the paper on accuracy: {_tallied(found)}."
    if len(asked):
        text += f" Of {len(asked)} with what we ask beside it: {_tallied(asked)}."
    if alarms.empty:
        return text
    now = (twos if len(twos) else alarms).iloc[:, -1].mean()
    what = "Two seeds of a system and two others of the same" if len(twos) else "Two single trainings of one and the same system"
    return (
        f"{text} {what}, which differ by chance alone, are told apart by this rule in {100 * now:.0f} % of the cases; it "
        "promises 5 at most."
    )


def _tallied(found: pd.DataFrame) -> str:
    tally = found["verdict"].value_counts()
    return listed([f"{tally[verdict]} *{verdict}*" for verdict in claims.JUDGED if verdict in tally])


def means_table(means: pd.DataFrame) -> pd.DataFrame:
    """The rows of `tables.mean_gains`, one row a scheme and set of corpora."""
    return pd.DataFrame(
        {
            "Scheme": [IN_COMBINATIONS.get(row.slug, row.name) for row in means.itertuples()],
            "Mean gain": [interval_text(row.effect, row.wide_low, row.wide_high, sign=True) for row in means.itertuples()],
            "The paper's": [signed(row.claimed) for row in means.itertuples()],
            "Over": [listed(row.where) for row in means.itertuples()],
            "Split": [str(row.group).rpartition(", ")[2] for row in means.itertuples()],
        }
    )


def mean_sentence(means: pd.DataFrame) -> str:
    """How the mean gains with speakers kept apart stand to what the paper reports; "" where no two corpora share a system."""
    own = means[of_protocol(means["group"], "speaker")]
    if own.empty:
        return ""
    told = own.dropna(subset="wide_high")
    if told.empty:
        return ""
    above = int((told["claimed"] > told["wide_high"]).sum())
    which = "all" if above == len(told) else f"{above} of {len(told)}" if above else "none"
    return (
        "With speakers kept apart the gain that the paper reports on IEMOCAP, for which it gives no interval, lies above "
        f"{which} of these intervals. They speak of these corpora alone, and no verdict rests on them."
    )

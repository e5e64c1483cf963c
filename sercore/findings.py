"""What the pages say about their tables: sentences and overviews, computed so that they stay true."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from . import claims, corpora, noise, results, statistics, systems, tables
from .display import Chip, Link
from .errors import SercoreError
from .tables import IN_COMBINATIONS, corpus_title, interval_text, p_text, place_title, seeds_text, title, with_interval

EVIDENCE = {1: "table-2", 2: "table-2", 3: "confusion", 4: "model", 5: "table-1", 6: "verdicts"}
"""The page that holds the evidence on each claim."""


KINDS = dict(zip(claims.JUDGED, ("good", "fair", "open", "bad"), strict=True))


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
    return f" ({PROVISIONAL} provisional)" if settled["provisional"].any() else ""


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
    """One row a claim that was measured: effect with interval, p after Holm's correction, verdict, and what is missing.

    A joint claim shows its weakest comparison, and which that is.
    """
    measured = settled[settled["effect"].notna()].sort_values(["corpus", "protocol"], ascending=[True, False], kind="stable")
    counted = measured["measure"] == "parameters"
    numbers, claimed, compared = [], [], []
    for row, exact in zip(measured.itertuples(), counted, strict=True):
        digits = claims.GROWTH_DIGITS if exact else 1
        numbers.append(f"{row.effect:+.{digits}f}" if exact else interval_text(row.effect, row.low, row.high, sign=True))
        claimed.append(f"{row.claimed:.{digits}f}" if row.claimed else None)
        weakest = f" of {inside(title(str(row.systems).partition(' - ')[0]))}" if row.claim in WEAKEST else ""
        compared.append(row.measure + weakest)
    return pd.DataFrame(
        {
            "Claim": measured["number"].astype(str) + ". " + measured["claim"].map(BRIEF),
            "Where": measured["corpus"].map(corpus_title) + ", " + measured["protocol"],
            "Effect": numbers,
            "Claimed": claimed,
            "Verdict": [said(row) for _, row in measured.iterrows()],
            "In": compared,
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
        return "**Nothing has been measured yet**; the table below fills as runs are published."
    counts = found["verdict"].value_counts()
    said_ = ", ".join(f"{counts[verdict]} *{verdict}*" for verdict in claims.JUDGED if verdict in counts)
    places = listed(list(dict.fromkeys(corpus_title(name) for name in found["corpus"])))
    few = f" Until each system has been run with {claims.MINIMUM_SEEDS} seeds these verdicts are provisional."
    counted = runs[runs["corpus"].isin(found["corpus"]) & runs["system"].isin(list(systems.TABLE_2))]
    there, of_all = counted["system"].nunique(), f"the paper's {len(systems.TABLE_2)} systems"
    measured = f"{len(counted):,} runs of {of_all if there == len(systems.TABLE_2) else f'{there} of {of_all}'} on {places}"
    settled_ = "1 verdict" if len(found) == 1 else f"{len(found)} verdicts"
    sized = found[found["number"] == 2]
    excluded = (
        f" Of the {len(sized)} gains that the paper puts at {claims.GAIN:.0f} points or more, {(sized['low'] > 0).sum()} lie "
        f"clearly above 0, and for {(sized['high'] < claims.GAIN).sum()} the interval over speakers ends below "
        f"{claims.GAIN:.0f} points."
        if len(sized)
        else ""
    )
    return f"**So far**, from {measured}: of {settled_} on accuracy {said_}.{excluded}{few if found['provisional'].any() else ''}"


def stricter_sentence(settled: pd.DataFrame, stricter: pd.DataFrame) -> str:
    """Which verdicts hang on the kind of interval: `stricter` is `settled` by Student's t on a jackknife over speakers."""
    keys = ["claim", "corpus", "protocol"]
    both = judged(settled).merge(judged(stricter)[[*keys, "verdict"]], on=keys, suffixes=("", "_stricter"))
    if both.empty:
        return ""
    other = both[both["verdict"] != both["verdict_stricter"]]
    text = (
        "A percentile interval over few speakers is somewhat too narrow. Student's t on a jackknife over speakers is wider: by "
        f"it  **{len(other)} of the {len(both)}** verdicts on accuracy would read otherwise"
    )
    parts = [
        f"{row.number}. {BRIEF[row.claim]} on {place_title(row.corpus, row.protocol)} (*{row.verdict}*, then "
        f"*{row.verdict_stricter}*)"
        for row in other.itertuples()
    ]
    return f"{text}{': ' if parts else ''}{'; '.join(parts)}."


def seed_noise(runs: pd.DataFrame, settled: pd.DataFrame) -> str:
    """How far apart seeds alone set two runs, beside verdicts that rest on few of them; "" where none does.

    Measured on the systems of Table 2 where they have several seeds, else on trainings of the baseline that were changed;
    where neither was run twice, the text says so.
    """
    found = judged(settled)
    found = found[found["provisional"] & (found["measure"] == "UA")]
    if found.empty:
        return ""
    found = found.drop_duplicates(["corpus", "protocol", "systems"])  # a joint claim's weakest part may be another claim
    parts, unknown = [], []
    for (corpus, protocol), effects in found.groupby(["corpus", "protocol"], sort=False):
        own = runs[(runs["corpus"] == corpus) & (runs["protocol"] == protocol)]
        usual = noise.seed_spread(own[own["system"].isin(list(systems.TABLE_2))])
        if (spread := usual or noise.seed_spread(own)) is None:
            unknown.append(place_title(corpus, protocol))
            continue
        limits = noise.chance_range(spread, 2) / np.sqrt(effects["seeds"])
        beyond = (effects["effect"].abs() > limits).sum()
        where = "" if usual else " (in another training of the baseline)"
        parts.append(
            f"On {place_title(corpus, protocol)}{where}, the UA of one system had a standard deviation of {spread.sd:.1f} points "
            f"between seeds [{spread.low:.1f}, {spread.high:.1f}], so that two single runs lie up to "
            f"**{noise.chance_range(spread, 2):.0f} points** apart 19 times out of 20. Of its {len(effects)} provisional gains "
            f"in UA {beyond or 'none'} {'are' if beyond > 1 else 'is'} larger than chance makes it over as many seeds as it has."
        )
    text = "The intervals resample speakers, not seeds. " + " ".join(parts)
    if parts and unknown:
        text += f" No system has been run with two seeds yet on {'; '.join(unknown)}."
    return text.strip()


def seeds_sentence(protocol: str, slugs: Sequence[str] = tuple(systems.TABLE_2), folder: str | Path | None = None) -> str:
    """Where systems have been run with different seeds: what the baseline's UA is over all of its own, and over those that
    every system has; "" where all have the same."""
    runs = results.runs(folder)
    runs = runs[(runs["protocol"] == protocol) & runs["system"].isin(slugs)]
    parts = []
    for corpus, own in runs.groupby("corpus"):
        counts, shared = own.groupby("system")["seed"].nunique(), tables.shared_seeds(str(corpus), protocol, slugs, folder)
        seeds = sorted(own.loc[own["system"] == "baseline", "seed"].unique())
        if counts.nunique() == 1 or "baseline" not in counts or seeds == shared:
            continue
        ua = [tables.systems_table(str(corpus), protocol, ["baseline"], each, folder)["ua"].iloc[0] for each in (seeds, shared)]
        parts.append(
            f"on {corpus_title(str(corpus))} its UA is {ua[0]:.1f} over {seeds_text(seeds)}, and {ua[1]:.1f} with "
            f"{seeds_text(shared)}, which every system here has"
        )
    return f"Gains are over the baseline with the same seeds: {'; '.join(parts)}." if parts else ""


def length_sentence(runs: pd.DataFrame) -> str:
    """How many runs ended at the largest number of epochs, and how many kept an epoch near it, corpus by corpus."""
    own = runs[runs["system"].isin(list(systems.TABLE_2))]
    limit = own["config"].map(lambda config: json.loads(config)["max_epochs"])
    facts = own.assign(limit=limit, ended=own["epochs"] == limit, late=own["chosen_epoch"] > 0.9 * limit)
    parts = [
        f"{each['ended'].sum()} of {len(each)} on {corpus_title(str(corpus))} ({each['late'].sum()} kept one of its last tenth)"
        for corpus, each in facts.groupby("corpus")
    ]
    if not parts:
        return "No run has been published yet."
    return (
        f"So many of the published trainings ran to their last epoch: {', '.join(parts)}. Where a late epoch is kept, longer "
        "training might have found a better one, and the system that learns more slowly is the one that loses by it."
    )


def inside(name: str) -> str:
    """A name as it stands inside a sentence: `combined attentive pooling`, but `AMS, s = 10`."""
    return name if name[:2].isupper() else name[0].lower() + name[1:]


def listed(names: Sequence[str]) -> str:
    """`EmoDB, nEMO and RAVDESS`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def measured_so_far(runs: pd.DataFrame, slugs: Sequence[str]) -> str:
    """Which of `slugs` have been run, and how often."""
    if runs.empty:
        return "None of these systems has been measured yet."
    there = [slug for slug in slugs if (runs["system"] == slug).any()]
    places = listed(list(dict.fromkeys(corpus_title(name) for name in runs["corpus"])))
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


def most_frequent_mistake(matrices: dict[str, pd.DataFrame]) -> str:
    """`The baseline takes happy for angry in 38 %.`: its largest share of a class; "" without a baseline."""
    if (name := title("baseline")) not in matrices:
        return ""
    counts = matrices[name]
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1) * (1 - np.eye(len(counts)))
    true, said_ = np.unravel_index(shares.argmax(), shares.shape)
    return f"The baseline takes {counts.index[true]} for {counts.columns[said_]} in {100 * shares[true, said_]:.0f} % of cases."


def recalls_side_by_side(label: str, matrices: dict[str, dict[str, pd.DataFrame]]) -> pd.DataFrame:
    """Recall of one class, and in brackets the share of all utterances that are given its label: one row a system, one column
    a place."""
    columns: dict[str, dict[str, str]] = {}
    for place, systems_ in matrices.items():
        for name, counts in systems_.items():
            recall, given = (
                100 * counts.at[label, label] / counts.loc[label].sum(),
                100 * counts[label].sum() / counts.to_numpy().sum(),
            )
            columns.setdefault(place, {})[name] = f"{recall:.0f} ({given:.0f})"
    return pd.DataFrame(columns).rename_axis("System").reset_index()


def seeds_move_recall(label: str, folder: str | Path | None = None) -> str:
    """How far seeds alone move the baseline's recall of one class, where it was run with two or more; else ""."""
    parts = []
    for corpus, protocol in tables.cells(folder):
        frame = results.predictions(corpus, protocol, folder)
        own = frame[(frame["system"] == "baseline") & (frame["label"] == label)]
        recall = 100 * (own["prediction"] == label).groupby(own["seed"]).mean()
        if len(recall) > 1:
            values = listed([f"{value:.0f}" for value in recall])
            parts.append(f"on {place_title(corpus, protocol)} it recalls {values} percent of {label}, seed by seed")
    return f"The baseline alone, for comparison: {'; '.join(parts)}." if parts else ""


def confusion_counts(matrices: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The matrices under one another: one row a system and true class, one column a predicted class."""
    parts = [counts.rename_axis("True class").reset_index().assign(System=name) for name, counts in matrices.items()]
    table = pd.concat(parts, ignore_index=True)
    return table[["System", *table.columns.drop("System")]]


def gain_summary(table: pd.DataFrame) -> str:
    """How many intervals lie above, across and below 0, and which do."""
    above, below = table[table["low"] > 0], table[table["high"] < 0]
    across = len(table) - len(above) - len(below)
    text = f"{len(above)} of {len(table)} intervals lie above 0, {len(below)} below, {across} contain it."
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
        + f". The gain that the paper reports on IEMOCAP lies above {above if above < len(own) else 'all'} of these {len(own)} "
        "intervals. They speak of these corpora and seeds alone, and no verdict rests on them."
    )


def paper_noise_summary(table_2: pd.DataFrame, spread: noise.Spread) -> str:
    """What the figure of the paper's rows shows, for those who cannot see it."""
    base, others = _base_and_others(table_2)
    return (
        f"The paper's UA of {len(others)} systems, from {others.min():.1f} to {others.max():.1f} percent, and of its baseline, "
        f"{base:.1f}. The band around the baseline reaches {noise.chance_range(spread, 2):.1f} points to either side."
    )


def paper_noise_sentence(table_2: pd.DataFrame, spread: noise.Spread) -> str:
    """The paper's noise in points, how many of its gains are larger, and whether settings within a family differ by more."""
    base, others = _base_and_others(table_2)
    limit, six = noise.chance_range(spread, 2), noise.chance_range(spread, 6)
    spans = []
    for group, name in (("ams", "AMS"), ("focal", "focal loss")):
        values = table_2.loc[table_2["group"] == group, "ua"]
        span = values.max() - values.min()
        spans.append(f"The six settings of {name} span {span:.1f} points, {'more' if span > six else 'no more'} than that.")
    return (
        f"The standard deviation is **{spread.sd:.2f} points of UA** (95 % interval {spread.low:.2f} to {spread.high:.2f}, "
        f"{spread.freedom} degrees of freedom). Two runs of one system lie within {limit:.1f} points of each other nineteen "
        f"times out of twenty: {(others - base > limit).sum()} of the {len(others)} gains over the baseline are larger. But all "
        "of them are gains over one number: a baseline that was unlucky once lifts them together. "
        f"Six runs of one system span up to {six:.1f} points nineteen times out of twenty. {' '.join(spans)}"
    )


def _base_and_others(table_2: pd.DataFrame) -> tuple[float, pd.Series]:
    ua = table_2.set_index("slug")["ua"]
    return float(ua["baseline"]), ua.drop("baseline")


def disagreement_so_far() -> tuple[float, str]:
    """The share of utterances that the baseline and a best system decide differently, and where that was measured."""
    shares = {}
    for corpus, protocol in results.published():
        if protocol in ("speaker", "paper"):
            frame = results.predictions(corpus, protocol)
            for slug in systems.CLAIMS[1:]:
                if {slug, "baseline"} <= set(frame["system"]):
                    shares[corpus, protocol, slug] = noise.disagreement(frame, slug, "baseline")
    if not shares:
        return 0.25, "assumed: nothing has been measured yet"
    places = listed(list(dict.fromkeys(corpus_title(corpus) for corpus, _, _ in shares)))
    found = list(shares.values())
    return float(np.mean(found)), f"the mean on {places}, where pairs of systems disagree on {min(found):.0%} to {max(found):.0%}"


def detectable_table(spread: noise.Spread, share: float) -> pd.DataFrame:
    """Standard error and detectable gain by kind of chance, at the size of IEMOCAP's four classes."""
    run, draw = 2 * spread.sd**2, noise.sampling_error(share, (1103, 1636, 1708, 1084)) ** 2  # variances
    rows = [
        ("Another run, the same utterances", run, 0.0),
        ("Other utterances, the same run", 0.0, draw),
        ("Both, one seed", run, draw),
        ("Both, five seeds", run / 5, draw),
    ]
    shown = []
    for name, measured, known in rows:
        # Welch and Satterthwaite: only the spread between runs is estimated
        freedom = spread.freedom * ((measured + known) / measured) ** 2 if measured else np.inf
        error = np.sqrt(measured + known)
        shown.append({"Chance": name, "Standard error": error, "Detectable gain": noise.detectable(error, freedom=freedom)})
    return pd.DataFrame(shown)


def best_of_sentence(spread: noise.Spread) -> str:
    """By how much the best of six equally good settings looks better than they are."""
    lift = noise.best_of(6)
    return (
        f"With the noise of the paper's own rows the best of six lies **{lift * spread.sd:.2f} points** above their mean on "
        f"average ({lift:.2f} standard deviations; {lift * spread.low:.2f} to {lift * spread.high:.2f} points over the interval "
        "of the noise)."
    )


def selection_sentence(found: pd.DataFrame) -> str:
    """By how much choosing a family's setting on the test folds raised its gain in our own runs (`noise.selection`)."""
    if found.empty:
        return "No family has been run with all of its settings yet."
    if len(found) == 1:
        row = found.iloc[0]
        text = (
            f"So far we have run one family whole, on {place_title(row['corpus'], row['protocol'])}: validation chooses "
            f"{title(row['chosen'])} ({row['chosen_gain']:+.1f} points), the test folds {title(row['best'])} "
            f"({row['best_gain']:+.1f}). In this one draw choosing on test adds **{row['optimism']:.1f} points** to the gain."
        )
        return text.replace("(-", "(\u2212")
    same = (found["chosen"] == found["best"]).sum()
    return (
        f"In our own runs the setting that validation chooses is the best on test in {same} of {len(found)} cases; choosing on "
        f"test instead adds **{found['optimism'].mean():.1f} points** to the gain on average, at most "
        f"{found['optimism'].max():.1f}."
    )


def selection_table(found: pd.DataFrame) -> pd.DataFrame:
    """`noise.selection` as a page shows it."""
    names = {"chosen_gain": "Its gain", "best_gain": "Its gain on test", "optimism": "Optimism"}
    shown = found.assign(
        Corpus=found["corpus"].map(corpus_title),
        Protocol=found["protocol"],
        **{"Chosen on validation": found["chosen"].map(title), "Best on test": found["best"].map(title)},
    )
    order = ["Corpus", "Protocol", "Chosen on validation", "Its gain", "Best on test", "Its gain on test", "Optimism"]
    return shown.rename(columns=names)[order]


def combination_sentence(found: pd.DataFrame) -> str:
    """How many combinations beat each of their parts (`tables.combinations`)."""
    if found.empty:
        return (
            "No combination has been measured yet. `sercore sweep --corpus emodb --systems "
            "ams-s10-m0.4+combined,focal-g2-a2+combined` does it."
        )
    parts = found[found["other"] != "baseline"].groupby(["corpus", "protocol", "slug"])
    better, worse = (parts["effect_low"].min() > 0), (parts["effect_high"].min() < 0)
    base = found[found["other"] == "baseline"]
    return (
        f"Of {len(better)} combinations of schemes, corpus and protocol, {better.sum()} lie above each of their parts, and "
        f"{worse.sum()} below one of them; above the baseline lie {(base['effect_low'] > 0).sum()} of {len(base)}."
    )


def own_spread_table(spreads: pd.DataFrame) -> pd.DataFrame:
    """`noise.alpha_and_seed_spread` as a page shows it."""
    shown = {"Corpus": spreads["corpus"].map(corpus_title), "Protocol": spreads["protocol"]}
    for name, heading in (("alphas", "Between values of α"), ("seeds", "Between seeds")):
        shown[heading] = [with_interval(row, name) for row in spreads.to_dict("records")]
    return pd.DataFrame(shown)


def by_seed_sentence(found: pd.DataFrame) -> str:
    """What every seed alone would have said of each gain (`tables.gains_by_seed`)."""
    parts = []
    for (slug, where), own in found.groupby(["slug", "where"], sort=False):
        values = listed([f"{effect:+.1f}" for effect in own["effect"]])
        verdicts = own["verdict"].value_counts(sort=False)
        said_ = listed([f"*{verdict}* ({count} of {len(own)})" for verdict, count in verdicts.items()])
        alone = (
            f"each alone would be judged *{verdicts.index[0]}*" if len(verdicts) == 1 else f"alone they would be judged {said_}"
        )
        parts.append(f"{title(str(slug))} on {where} gains {values} points, seed by seed; {alone}.")
    return re.sub(r"(?<=[ ])-(?=\d)", "\u2212", "\n\n".join(parts))


def own_spread_sentence(spreads: pd.DataFrame) -> str:
    """Whether values of alpha differ by more than seeds do in our own records; "" before both were measured."""
    both = spreads.dropna(subset=["alphas", "seeds"])
    parts = [
        f"On {corpus_title(row.corpus)}, protocol {row.protocol}, values of α spread by {row.alphas:.1f} points and seeds by "
        f"{row.seeds:.1f}: {'more than' if row.p < 0.05 else 'no more than'} chance explains (F test, {p_text(row.p)})."
        for row in both.itertuples()
    ]
    return " ".join(parts)


SETTINGS = {
    "engine=plain,precision=float32": "Plain PyTorch in float32, the reference, instead of the fast path in bfloat16",
    "precision=float32": "float32 instead of bfloat16",
    "lstm_cells=64,lstm_merge=sum": "64 memory cells in each direction, summed",
    "lstm_cells=64": "64 memory cells in each direction, concatenated",
    "score=general": "Attention score with a weight matrix",
    "masked=true": "Padding left out of attention, statistics and batch norm",
    "batch_size=64": "Batches of 64",
    "toolkit=pytorch": "PyTorch's defaults instead of Keras's",
    "normalisation=utterance": "Normalisation over each utterance",
}
"""What a reading is called on its page; any other goes by its settings."""


RHO = "Spearman's ρ"
COMPACTNESS = {"ratio": "within / between", "silhouette": "silhouette", "purity": "neighbour purity"}


def compactness_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Whether compactness and UA go together: one row a group and measure of `tables.geometry_of_runs` (with `group`)."""
    rows = []
    for group, own in table.groupby("group", sort=False):
        for measure, name in COMPACTNESS.items():
            known = own.dropna(subset=[measure])
            try:
                found = statistics.correlation_within(known[measure], known["ua"], known["fold"])
            except SercoreError:
                continue
            rows.append({"Where": group, "Measure": name, RHO: found.rho, "p": found.p, "Runs": found.pairs})
    return pd.DataFrame(rows)


def compactness_sentence(correlations: pd.DataFrame) -> str:
    """Whether a more compact feature comes with a better UA: by how many measures, and by which beyond the number of tests."""
    if correlations.empty:
        return "It takes two systems on the same folds to say whether compactness and accuracy go together."
    found = correlations.assign(holm=statistics.holm(correlations["p"].to_numpy(float)))
    better = found[RHO].where(found["Measure"] != COMPACTNESS["ratio"], -found[RHO]) > 0
    clear = better & (found["p"] < 0.05)
    counts = clear.groupby(found["Measure"], sort=False).agg(["sum", "size"])
    by_measure = ", ".join(f"by {measure} in {row['sum']} of {row['size']} places" for measure, row in counts.iterrows())
    text = (
        f"Within a fold, over the runs, the more compact feature comes with the better UA {by_measure} (rank correlation, p "
        f"below 0.05, {len(found)} tests). "
    )
    kept = found[clear & (found["holm"] < 0.05)]
    parts = [f"{row['Measure']} on {row['Where']} (ρ = {row[RHO]:+.2f})" for _, row in kept.iterrows()]
    text += f"After Holm's correction over the tests {'it remains for ' + listed(parts) if parts else 'none remains'}."
    return text.replace("= -", "= \u2212")


def readings_table(readings: pd.DataFrame) -> pd.DataFrame:
    """`noise.readings` as a page shows it."""
    names = [setting_name(row.system, row.against) for row in readings.itertuples()]
    shown = {"Reading": names, "Corpus": readings["corpus"].map(corpus_title)}
    shown |= {
        "Protocol": readings["protocol"],
        "UA": readings["ua"],
        "Change": readings["difference"].map("{:+.1f}".format).str.replace("-", "\u2212"),
    }
    shown |= {"Seeds alone": readings["chance"].map("± {:.1f}".format), "Pairs of runs": readings["pairs"]}
    return pd.DataFrame(shown | {"Beyond seeds?": np.where(readings["beyond"], "yes", "no")})


def setting_name(system: str, against: str) -> str:
    """What `system` changes in `against`: `Batches of 64`; settings that both have stand after a semicolon."""
    own, common = (systems.overrides(slug) for slug in (system, against))
    changed = ",".join(f"{key}={own[key]}" for key in own if key not in common)
    shared = f"; both with {', '.join(f'{key}={value}' for key, value in common.items())}" if common else ""
    return SETTINGS.get(changed, changed) + shared


def agreement_sentence(checks: pd.DataFrame, history: pd.DataFrame) -> str:
    """Whether other ways of computing reach the same accuracy, on the test parts and, with less noise, in validation."""
    parts = []
    for row in checks.itertuples():
        own = history[(history["corpus"] == row.corpus) & (history["protocol"] == row.protocol)]
        found = noise.validation_change(own, row.system, row.against)
        inside_ = "no more than" if abs(row.difference) <= row.chance else "more than"
        parts.append(
            f"*{setting_name(row.system, row.against)}*, on {place_title(row.corpus, row.protocol)}: "
            f"**{row.difference:+.1f} points of UA** over {row.pairs} pairs of runs, {inside_} the {row.chance:.1f} that seeds "
            "alone move such a mean by. Validation accuracy, averaged over the later half of the epochs, scatters less: there the "
            f"difference is {found.estimate:+.1f} points [{found.low:+.1f}, {found.high:+.1f}]."
        )
    return re.sub(r"(?<=[ *\[])-(?=\d)", "\u2212", "\n\n".join(parts))


def readings_sentence(readings: pd.DataFrame) -> str:
    """How many readings move UA by more than seeds do, and which moves it most."""
    readings = readings[readings["of_paper"].astype(bool)]
    if readings.empty:
        return "No other reading has been measured with two seeds yet."
    beyond, largest = readings[readings["beyond"]], readings.loc[readings["difference"].abs().idxmax()]
    name = setting_name(largest["system"], largest["against"])
    text = (
        f"{len(beyond)} of {len(readings)} readings measured so far move UA by more than seeds do. The largest change is "
        f"{largest['difference']:+.1f} points, on {corpus_title(largest['corpus'])}, protocol {largest['protocol']}: {name}."
    )
    return text.replace(" -", " \u2212")


def model_sentence(origin: dict, runs: pd.DataFrame, classes: Sequence[str]) -> str:
    """What the package's own model was trained on, and how well it did on the speakers that it had not heard."""
    run = runs[runs["run"] == origin["run"]]
    text = f"This is the model of the run `{origin['run']}`"
    if run.empty:
        return f"{text}, whose record is not published here."
    found = run.iloc[0]
    same = runs[(runs[["corpus", "protocol", "system"]] == found[["corpus", "protocol", "system"]]).all(axis=1)]
    return (
        f"{text}: {title(found['system'])}, trained on {corpus_title(found['corpus'])}. On the speakers that it had not heard "
        f"its UA was **{100 * found['ua']:.0f} %**, chance is {100 / len(classes):.0f} %; over the folds of the same system "
        f"it was {100 * same['ua'].min():.0f} to {100 * same['ua'].max():.0f} %."
    )


def speaker_summary(table: pd.DataFrame) -> str:
    """The best and the worst recognised speaker of each system, and how far apart they are."""
    parts = []
    for slug, own in table.groupby("slug", sort=False):
        best, worst = own.loc[own["ua"].idxmax()], own.loc[own["ua"].idxmin()]
        low, high = f"{worst['ua']:.0f} percent (speaker {worst['speaker']})", f"{best['ua']:.0f} ({best['speaker']})"
        parts.append(f"{title(str(slug))}: from {low} to {high}")
    return "; ".join(parts) + "."


def speaker_sentence(table: pd.DataFrame) -> str:
    """Whom the baseline recognises worst, and whether the other systems agree."""
    values = table.pivot(index="speaker", columns="slug", values="ua")
    if "baseline" not in values or len(values.columns) < 2:
        return ""
    base, others = values["baseline"], values.drop(columns="baseline")
    worst = base.idxmin()
    agree, count = (others.idxmin() == worst).sum(), len(others.columns)
    return (
        f"The baseline recognises speaker {worst} worst, at {base[worst]:.0f} %, {base.max() - base[worst]:.0f} points below "
        f"the best. Of the {count} other systems {agree or 'none'} {'does' if agree < 2 else 'do'} worst on the same speaker."
    )


def protocol_sentence(gaps: pd.DataFrame, what: str = "Sharing speakers between training and test") -> str:
    """What a protocol adds (`tables.protocol_gaps`), corpus by corpus, and whether it adds more to one system than to the
    baseline."""
    if gaps.empty:
        return "No system has been measured under both protocols yet."
    parts, apart = [], []
    for group, own in gaps.groupby("group", sort=False):
        effects, above = own["effect"], (own["low"] > 0).sum()
        parts.append(
            f"on {group} by {effects.mean():+.1f} points on average over {len(own)} systems, from {effects.min():+.1f} to "
            f"{effects.max():+.1f}, with {above} of the {len(own)} intervals above 0"
        )
        apart += [
            f"{inside(row.name)} on {group} {interval_text(row.more, row.more_low, row.more_high, sign=True)}"
            for row in own.dropna(subset="more").itertuples(index=False)
        ]
    text = f"{what} changes UA: {'; '.join(parts)}."
    if apart:
        counts = sorted(set(gaps["seeds"]))
        text += (
            f" Compared with what it adds to the baseline, it adds to {'; '.join(apart)}: by so much a gain over the baseline "
            f"differs between the two. Each number is from {' or '.join(map(str, counts))} seed{'' if counts == [1] else 's'}, "
            "and another seed can move it by points."
        )
    return text.replace("-", "\u2212")

"""What was measured, system by system: recalls, mistakes, speakers, protocols, combinations, compactness."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...errors import SercoreError
from ...evidence import claims, results, statistics
from ...evidence.statistics import Interval
from ...lab import systems
from .. import tables
from ..names import name as named
from ..tables import corpus_title, interval_text, p_text, place_title, protocol_title, title, with_interval
from .words import in_words, inside, lie, listed, listed_names, signed


def shared_seeds_table(
    protocol: str, slugs: Sequence[str] = tuple(systems.TABLE_2), folder: str | Path | None = None
) -> pd.DataFrame:
    """Where systems have been run with different seeds: what the baseline's UA is over all of its own, and over those that
    every system has; empty where all have the same."""
    runs = results.runs(folder)
    runs = runs[(runs["protocol"] == protocol) & runs["system"].isin(slugs)]
    rows = []
    for corpus, own in runs.groupby("corpus"):
        counts, shared = own.groupby("system")["seed"].nunique(), tables.shared_seeds(str(corpus), protocol, slugs, folder)
        seeds = sorted(own.loc[own["system"] == "baseline", "seed"].unique())
        if counts.nunique() == 1 or "baseline" not in counts or seeds == shared:
            continue
        ua = [tables.systems_table(str(corpus), protocol, ["baseline"], each, folder)["ua"].iloc[0] for each in (seeds, shared)]
        row = {"Where": place_title(str(corpus), protocol), "Baseline's UA": ua[0], "Its seeds": ", ".join(map(str, seeds))}
        rows.append(row | {"With the seeds of all": ua[1], "Seeds of all": ", ".join(map(str, shared))})
    return pd.DataFrame(rows)


def shared_seeds_sentence(table: pd.DataFrame) -> str:
    """What the seeds of the baseline do to gains over it (`shared_seeds_table`)."""
    low = table["With the seeds of all"] < table["Baseline's UA"]
    parts = [
        f"on {listed_names(table.loc[own, 'Where'])} it was {luck}, which {does} the gains of those that have no others"
        for own, luck, does in ((low, "unlucky", "lifts"), (~low, "lucky", "lowers"))
        if own.any()
    ]
    return f"Every gain is over one baseline. With the seeds that all systems have {', and '.join(parts)}:"


def all_seeds_sentence(
    corpus: str, protocols: Sequence[str], slugs: Sequence[str], seeds: Sequence[int], folder: str | Path | None = None
) -> str:
    """What the gains come to over all seeds, where a page counts only `seeds`, or the baseline's UA where it stands alone; ""
    where there are no others."""
    alone, parts = list(slugs) == ["baseline"], []
    for protocol in protocols:
        table = tables.systems_table(corpus, protocol, slugs, folder=folder)
        known = table.get("gain", pd.Series(np.nan, table.index)).notna() | (alone & (table["slug"] == "baseline"))
        for row in table[(table["seeds"] > len(seeds)) & known].to_dict("records"):
            what = f"{row['ua']:.1f} %" if alone else f"{tables.wide_gain(row)} for {named(inside(row['system']))}"
            parts.append(f"{what}, {protocol_title(protocol)} ({row['seeds']:.0f} seeds)")
    if not parts:
        return ""
    shared = "every split here has" if alone else "all its systems have"
    return (
        f"This page counts seed {', '.join(map(str, seeds))}, which {shared}. "
        f"**Over all seeds the {'UA' if alone else 'gain'} is {listed(parts)}**, as in {{doc}}`Table 2 <table-2>`."
    )


def lengths_table(by_length: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Gains of `tables.systems_table` by how long systems were trained: one row a system."""
    first = next(iter(by_length.values()))
    slugs = first.loc[first["gain"].notna(), "slug"]
    shown: dict[str, list[str | None]] = {"Scheme": [title(slug) for slug in slugs]}
    for how, table in by_length.items():
        own = table.set_index("slug")
        shown[how] = [tables.wide_gain(own.loc[slug]) for slug in slugs]
    return pd.DataFrame(shown)


def length_sentence(short: pd.DataFrame, long: pd.DataFrame) -> str:
    """Which gains (`tables.systems_table`) change their sign with the length of training, and which their verdict."""
    both = [table.dropna(subset=["gain", "wide_low"]).set_index("slug") for table in (short, long)]
    slugs = [slug for slug in both[0].index if slug in both[1].index]
    signs = [slug for slug in slugs if both[0]["gain"][slug] * both[1]["gain"][slug] < 0]
    said = [
        {slug: claims.verdict(Interval(*own.loc[slug, ["gain", "wide_low", "wide_high"]]), claims.GAIN) for slug in slugs}
        for own in both
    ]
    other = [
        f"{named(inside(title(slug)))} ({said[1][slug]} with the longer, {said[0][slug]} with the shorter)"
        for slug in slugs
        if said[0][slug] != said[1][slug]
    ]
    clear = any((own["wide_low"] > 0).any() or (own["wide_high"] < 0).any() for own in both)
    does = "changes its" if len(signs) < 2 else "change their"
    text = f"**It can decide**: of {len(slugs)} gains {len(signs) or 'none'} {does} sign with the length of training"
    if not signs and not other:
        return "No gain changes its sign with the length of training, and no verdict would be another."
    text += f", and the verdict would be another for {listed(other)}" if other else ""
    return text + (". None is clear of zero either way: so much chance is left in three seeds." if not clear else ".")


def length_table(runs: pd.DataFrame) -> pd.DataFrame:
    """How many runs ended at the largest number of epochs, and how many kept an epoch near it, corpus by corpus."""
    own = runs[runs["system"].isin(list(systems.TABLE_2))]
    if own.empty:
        return pd.DataFrame()
    limit = own["config"].map(lambda config: json.loads(config)["max_epochs"])
    facts = own.assign(ended=own["epochs"] == limit, late=own["chosen_epoch"] > 0.9 * limit)
    return pd.DataFrame(
        [
            {
                "Corpus": corpus_title(str(corpus)),
                "Trainings": len(each),
                "Ran to their last epoch": int(each["ended"].sum()),
                "Kept one of its last tenth": int(each["late"].sum()),
            }
            for corpus, each in facts.groupby("corpus")
        ]
    )


def measured_so_far(runs: pd.DataFrame, slugs: Sequence[str]) -> str:
    """Which of `slugs` have been run, and how often."""
    if runs.empty:
        return "None of these systems has been measured yet."
    there = [slug for slug in slugs if (runs["system"] == slug).any()]
    places = listed_names(dict.fromkeys(corpus_title(name) for name in runs["corpus"]))
    return f"So far {len(there)} of {len(slugs)} systems have been run, {len(runs):,} runs on {places}."


def fold_summary(runs: pd.DataFrame, slugs: Sequence[str]) -> str:
    """`baseline from 61 to 75 percent, ...`: the range over folds and seeds, system by system."""
    ranges = runs.groupby("system")["ua"].agg(["min", "max"]) * 100
    return (
        "; ".join(
            f"{named(title(s))} from {ranges.at[s, 'min']:.0f} to {ranges.at[s, 'max']:.0f} percent"
            for s in slugs
            if s in ranges.index
        )
        + "."
    )


def recall_summary(table: pd.DataFrame) -> str:
    """The best and the worst recognised class of each system."""
    parts = []
    for slug, own in table.groupby("slug", sort=False):
        best, worst = own.loc[own["recall"].idxmax()], own.loc[own["recall"].idxmin()]
        parts.append(
            f"{named(title(slug))}: {named(best['label'])} at {best['recall']:.0f} percent down to {named(worst['label'])} at "
            f"{worst['recall']:.0f}"
        )
    return "; ".join(parts) + "."


def largest_mistake(counts: pd.DataFrame) -> tuple[str, str, float]:
    """True class, predicted class and share (percent of the true class) of what is most often taken for something else."""
    shares = counts.to_numpy() / np.maximum(counts.to_numpy().sum(1, keepdims=True), 1) * (1 - np.eye(len(counts)))
    true, predicted = np.unravel_index(shares.argmax(), shares.shape)
    return str(counts.index[true]), str(counts.columns[predicted]), float(100 * shares[true, predicted])


def confusion_summary(matrices: dict[str, pd.DataFrame]) -> str:
    """The largest mistake of each system."""
    parts = []
    for system, counts in matrices.items():
        true, said_, share = largest_mistake(counts)
        parts.append(f"{named(system)}: {named(true)} taken for {named(said_)} in {share:.0f} percent")
    return "; ".join(parts) + "."


def most_frequent_mistake(matrices: dict[str, pd.DataFrame]) -> str:
    """`The baseline takes happy for angry in 38 %.`: its largest share of a class; "" without a baseline."""
    if (baseline := title("baseline")) not in matrices:
        return ""
    true, said_, share = largest_mistake(matrices[baseline])
    return f"The baseline takes {named(true)} for {named(said_)} in {share:.0f} % of cases."


def seeds_move_recall(label: str, folder: str | Path | None = None) -> str:
    """How far seeds alone move the baseline's recall of one class, where it was run with two or more; else ""."""
    spans = {}
    for corpus, protocol in tables.cells(folder):
        frame = results.predictions(corpus, protocol, folder)
        own = frame[(frame["system"] == "baseline") & (frame["label"] == label)]
        recall = 100 * (own["prediction"] == label).groupby(own["seed"]).mean()
        if len(recall) > 1:
            spans[place_title(corpus, protocol)] = np.ptp(recall)
    if not spans:
        return ""
    most = max(spans, key=lambda place: spans[place])
    return (
        f"Beside that, what a seed does: the baseline's own recall of {named(label)} lies up to {spans[most]:.0f} points apart "
        f"between two of its seeds, on {named(most)}."
    )


def criterion_table(found: pd.DataFrame, label: str) -> pd.DataFrame:
    """`tables.criterion` as a page shows it: what changes against the baseline, and how often the label is given."""
    shown = {"Where": found["group"], "Seeds": found["seeds"], "Recall before": found["recall"]}
    for name, heading in (("recall", "Recall"), ("precision", "Precision"), ("f1", "F1")):
        shown[heading] = [with_interval(row, f"{name}_effect", sign=True) for row in _renamed(found, name)]
    after = found["given"] + found["given_effect"]
    shown[f"Called {label} (%)"] = [f"{old:.0f} \u2192 {new:.0f}" for old, new in zip(found["given"], after, strict=True)]
    return pd.DataFrame(shown)


def _renamed(found: pd.DataFrame, name: str) -> list[dict[str, object]]:
    ends = {f"{name}_{end}": f"{name}_effect_{end}" for end in ("low", "high")}
    return found.rename(columns=ends).to_dict("records")


def hardest_sentence(label: str, folder: str | Path | None = None) -> str:
    """In how many places one class is the one that the baseline recognises worst, and which is elsewhere."""
    worst = dict[str, str]()
    for place in tables.cells(folder):
        recalls = tables.recall_table(*place, ["baseline"], folder)
        if len(recalls) and label in set(recalls["label"]):
            worst[place_title(*place)] = str(recalls.loc[recalls["recall"].idxmin(), "label"])
    if not worst:
        return ""
    others = [f"on {named(where)} it is {named(other)}" for where, other in worst.items() if other != label]
    if not others:
        return f"Here too it is {named(label)} that the baseline recognises worst."
    here = len(worst) - len(others)
    return f"Here the baseline recognises {named(label)} worst in {here or 'none'} of {len(worst)} places; {listed(others)}."


def settings_recall_sentence(found: pd.DataFrame, label: str) -> str:
    """In how many settings of a family the recall of one class rises, place by place (`tables.recall_by_setting`)."""
    if found.empty:
        return ""
    settings = list(found.columns[4:])
    raised = (found[settings].to_numpy() > found[["baseline"]].to_numpy()).sum(axis=1)
    counts = {int(count): list(found["group"][raised == count]) for count in sorted(set(raised), reverse=True)}
    parts = [f"{count or 'none'} on {listed_names(where)}" for count, where in counts.items()]
    return (
        f"Of the {len(settings)} settings with the same seeds the recall of {named(label)} rises in {listed(parts)}. All are set "
        "beside one and the same baseline, so that they rise and fall together; the table also has what that reaches over all of "
        "its seeds."
    )


def settings_recall_table(found: pd.DataFrame) -> pd.DataFrame:
    """`tables.recall_by_setting` as a page shows it, with what each setting changes in percent of the baseline's recall."""
    shown: dict[str, Any] = {"Where": found["group"], "Which seeds": found["seeds"]}
    shown |= {"Baseline": found["baseline"], "Baseline, all its seeds": found["baseline_all"]}
    for slug in found.columns[4:]:
        change = 100 * (found[slug] / found["baseline"] - 1)
        texts = [f"{value:.1f} ({signed(more, 0)} %)" for value, more in zip(found[slug], change, strict=True)]
        shown[title(slug)] = texts
    return pd.DataFrame(shown)


def criterion_sentence(found: pd.DataFrame, label: str) -> str:
    """Whether one class is heard better or called more often (`tables.criterion`); "" where nothing was measured."""
    if found.empty:
        return ""
    told = found.dropna(subset=["f1_low"])
    places = (("higher", told["f1_low"] > 0), ("lower", told["f1_high"] < 0))
    called = named(label)
    parts = [f"F1 of {called} is clearly {word} on {listed_names(told['group'][where])}" for word, where in places if where.any()]
    none = f"F1, which weighs what is found against false calls, shows no clear change for {called} anywhere"
    text = f"{'; '.join(parts) or none}."
    if parts and (statistics.holm(told["f1_p"]) >= 1 - statistics.CONFIDENCE).all():
        text = f"{'; '.join(parts)}, by the interval there; after Holm's correction over the {len(told)} places nothing is clear."
    most = found.loc[found["recall_effect"].idxmax()]
    if most["recall_effect"] > 1 and most["precision_effect"] < 0 and not most["f1_low"] > 0:
        f1 = "stays" if abs(most["f1_effect"]) < 1 else f"changes by {signed(most['f1_effect'])} points"
        text += (
            f" Where recall rises most, on {named(most['group'])}, precision falls and F1 {f1}: more utterances are called "
            f"{called}, but a smaller share of them rightly."
        )
    return text


def confusion_counts(matrices: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The matrices under one another: one row a system and true class, one column a predicted class."""
    parts = [counts.rename_axis("True class").reset_index().assign(System=name) for name, counts in matrices.items()]
    table = pd.concat(parts, ignore_index=True)
    return table[["System", *table.columns.drop("System")]]


def combination_sentence(found: pd.DataFrame) -> str:
    """How many combinations beat each of their parts (`tables.combinations`)."""
    found = found[found["slug"].str.contains("+", regex=False)] if len(found) else found
    if found.empty:
        return (
            "No combination has been measured yet. `sercore sweep --corpus NAME --systems "
            "ams-s10-m0.4+combined,focal-g2-a2+combined` does it."
        )
    parts = found[found["other"] != "baseline"].groupby(["corpus", "protocol", "slug"])
    better, worse = (parts["effect_low"].min() > 0), (parts["effect_high"].min() < 0)
    base = found[found["other"] == "baseline"]
    compared = "" if len(base) == len(better) else f", with which {len(base)} could be compared"
    wide = _clear_of_zero(found) if found["wide_low"].notna().any() else ""
    places = listed_names(dict.fromkeys(place_title(corpus, protocol) for corpus, protocol, _ in better.index))
    many = (
        f"Of {in_words(len(better))} combinations on {places},"
        if len(better) > 1
        else f"One combination was measured, on {places}:"
    )
    own = "its" if len(better) == 1 else "their"
    return (
        f"{many} {lie(better.sum())} above each of {own} parts by intervals over speakers alone, and {lie(worse.sum())} below "
        f"one of them; {lie((base['effect_low'] > 0).sum())} above the baseline{compared}.{wide}"
    )


def _clear_of_zero(found: pd.DataFrame) -> str:
    """Which differences an interval over speakers and seeds tells from 0, and what is left of them."""
    clear = found[(found["wide_low"] > 0) | (found["wide_high"] < 0)]
    text = (
        f" Where the interval holds the spread between seeds too, {len(clear) or 'none'} of the {len(found)} differences "
        f"{'lies' if len(clear) < 2 else 'lie'} clear of 0"
    )
    if clear.empty or len(clear) > 2:
        return f"{text}."
    which = []
    for row in clear.itertuples():
        pair = f"{named(inside(title(row.slug)))} {'above' if row.wide_low > 0 else 'below'} {named(inside(title(row.other)))}"
        more = f"; over all seeds of both the difference is {signed(row.every)}" if not np.isnan(row.every) else ""
        which.append(f"{pair}, by {signed(row.effect)} ({p_text(row.p_holm)} after {{term}}`Holm's correction`{more})")
    return f"{text}: {listed(which)}."


def own_sentence(found: pd.DataFrame) -> str:
    """What the user's own systems gain over the baseline (`tables.combinations`); "" where there is none."""
    own = found[found["slug"].map(systems.is_own) & (found["other"] == "baseline")] if len(found) else found
    if own.empty:
        return ""
    parts = []
    for _, row in own.iterrows():
        wide = not np.isnan(row["wide_low"])
        low, high = (row["wide_low"], row["wide_high"]) if wide else (row["effect_low"], row["effect_high"])
        clear = "" if low > 0 or high < 0 else ", which is not clear of 0"
        place = f"{named(corpus_title(row['corpus']))} ({row['protocol']})"
        parts.append(f"*{named(title(row['slug']))}* by {signed(row['effect'])} points on {place}{clear}")
    return f"**Systems of your own differ from the baseline:** {listed(parts)}."


RHO = "Spearman's ρ"
LEAST = "Least p possible"
COMPACTNESS = {"ratio": "within / between", "silhouette": "silhouette", "purity": "neighbour purity"}


def compactness_correlations(table: pd.DataFrame) -> pd.DataFrame:
    """Whether compactness and UA go together: one row a group and measure of `tables.geometry_of_runs` (with `group`).

    A system is one unit, the mean of its seeds: p is no finer than their number permits (`Least p possible`).
    """
    rows = []
    for group, own in table.groupby("group", sort=False):
        for measure, name in COMPACTNESS.items():
            known = own.dropna(subset=[measure]).groupby(["slug", "fold"], sort=False)[[measure, "ua"]].mean().reset_index()
            try:
                found = statistics.correlation_within(known[measure], known["ua"], known["fold"], known["slug"])
            except SercoreError:
                continue
            count = known["slug"].nunique()
            rows.append({"Where": group, "Measure": name, RHO: found.rho, "p": found.p, LEAST: found.least, "Systems": count})
    return pd.DataFrame(rows)


def compactness_spread(table: pd.DataFrame) -> pd.DataFrame:
    """Do systems differ in compactness by more than seeds do? One row a group and measure of `tables.geometry_of_runs` (with
    `group`), for the groups where a system has two seeds.

    Standard deviations of the mean over the folds: between the seeds of one system, pooled, and between systems, on the scale of
    a single seed (where systems do not differ, as large as the other on average); p is how often seeds alone spread systems as
    much (analysis of variance, `Degrees of freedom`: those between seeds).
    """
    from scipy.stats import f

    rows = []
    for group, own in table.groupby("group", sort=False):
        means = own.groupby(["slug", "seed"])[list(COMPACTNESS)].mean()
        by_system = means.groupby("slug").transform("mean")
        count = means.index.get_level_values("slug").nunique()
        freedom = len(means) - count
        if not freedom or count < 2:
            continue
        for measure, name in COMPACTNESS.items():
            seeds = np.sqrt(((means[measure] - by_system[measure]) ** 2).sum() / freedom)
            between = np.sqrt(((by_system[measure] - means[measure].mean()) ** 2).sum() / (count - 1))
            p = f.sf((between / seeds) ** 2, count - 1, freedom) if seeds else np.nan
            rows.append(
                {
                    "Where": group,
                    "Measure": name,
                    "Between seeds": seeds,
                    "Between systems": between,
                    "Degrees of freedom": freedom,
                    "p": p,
                }
            )
    return pd.DataFrame(rows, columns=["Where", "Measure", "Between seeds", "Between systems", "Degrees of freedom", "p"])


def compactness_spread_sentence(spread: pd.DataFrame) -> str:
    """Which measures set systems further apart than seeds do (`compactness_spread`)."""
    if spread.empty:
        return "Features of a second seed have not been published yet: how far seeds alone set these measures apart is not known."
    beyond, low, high = spread[spread["p"] < 0.05], spread["Degrees of freedom"].min(), spread["Degrees of freedom"].max()
    which = "this" if len(beyond) == 1 else "these"
    where = f", {which} on {listed_names(dict.fromkeys(beyond['Where']))}" if len(beyond) else ""
    return (
        f"Systems differ by more than seeds alone explain in {len(beyond)} of {len(spread)} cases (F test, p below 0.05){where}. "
        f"Between seeds there are {low if low == high else f'{low} to {high}'} degrees of freedom: with so few, only large "
        "differences show."
    )


def compactness_sentence(correlations: pd.DataFrame) -> str:
    """Whether a more compact feature comes with a better UA: by how many measures, and by which beyond the number of tests.

    Places whose systems are too few to say it at all are named as such and not counted.
    """
    if correlations.empty:
        return "It takes two systems on the same folds to say whether compactness and accuracy go together."
    able = correlations[LEAST] < 0.05 / len(COMPACTNESS)
    few = listed_names(dict.fromkeys(correlations.loc[~able, "Where"]))
    least = correlations.loc[~able, LEAST].min()
    unable = (
        f" On {few} too few systems were measured: even the least p that they permit, {least:.2f}, would be chance among "
        f"{in_words(len(COMPACTNESS))} measures."
        if few
        else ""
    )
    found = correlations[able]
    if found.empty:
        return unable.strip()
    found = found.assign(holm=statistics.holm(found["p"].to_numpy(float)))
    better = found[RHO].where(found["Measure"] != COMPACTNESS["ratio"], -found[RHO]) > 0
    clear = better & (found["p"] < 0.05)
    kept = int((clear & (found["holm"] < 0.05)).sum())
    other = int((~better & (found["p"] < 0.05)).sum())
    say = f"{clear.sum() or 'none'} {'say' if clear.sum() > 1 else 'says'}"
    return (
        f"Of {len(found)} rank correlations that could say so {say} that the more compact feature comes with the better UA"
        f"{f', {other} the opposite' if other else ''}; after Holm's correction over all of them {kept or 'none'} "
        f"{'remain' if kept > 1 else 'remains'}.{unable}"
    )


def speaker_summary(table: pd.DataFrame) -> str:
    """The best and the worst recognised speaker of each system, and how far apart they are."""
    parts = []
    for slug, own in table.groupby("slug", sort=False):
        best, worst = own.loc[own["ua"].idxmax()], own.loc[own["ua"].idxmin()]
        low = f"{worst['ua']:.0f} percent (speaker {named(worst['speaker'])})"
        high = f"{best['ua']:.0f} ({named(best['speaker'])})"
        parts.append(f"{named(title(str(slug)))}: from {low} to {high}")
    return "; ".join(parts) + "."


def speaker_sentence(table: pd.DataFrame, by_chance: float) -> str:
    """Whom the baseline recognises worst, whether the other systems agree, and how much of it is in the few utterances of each:
    `by_chance` is `tables.speaker_range_by_chance`."""
    values = table.pivot(index="speaker", columns="slug", values="ua")
    if "baseline" not in values or len(values.columns) < 2:
        return ""
    base, others = values["baseline"], values.drop(columns="baseline")
    worst = base.idxmin()
    agree, count = (others.idxmin() == worst).sum(), len(others.columns)
    some = "none" if not agree else in_words(agree)
    which = f"Of the {in_words(count)} other systems {some} {'does' if agree < 2 else 'do'} worst on the same speaker."
    if agree == count:
        which = f"So {'do both' if count == 2 else f'do all {in_words(count)}'} other systems."
    if count == 1:
        which = f"The one other system does worst on {'the same' if agree else 'another'} speaker."
    like = int((base == base[worst]).sum()) - 1
    also = f" (as {'another' if like == 1 else f'{like} others'})" if like else ""
    return (
        f"The baseline recognises speaker {named(worst)} worst{also}, at {base[worst]:.0f} %, {base.max() - base[worst]:.0f} "
        f"points below the best. {which} "
        f"A speaker has {table.drop_duplicates('speaker')['utterances'].mean():.0f} utterances on average: were all speakers "
        f"equally easy, the best and the worst would still lie about {by_chance:.0f} points apart."
    )


YARDSTICK_NAMES = {
    "bands": "logistic regression on the bands' means and deviations",
    "speakers": "the same regression with each speaker's own level and spread taken out",
    "egemaps": "a support vector machine on eGeMAPS (88 measures of a voice)",
}


def yardstick_sentence(found: pd.DataFrame) -> str:
    """Over which yardsticks the baseline lies clearly, with speakers kept apart (`tables.over_yardsticks`)."""
    own = found[found["protocol"] == "speaker"]
    if own.empty:
        return "No yardstick has been published yet beside a baseline with speakers kept apart."
    signs = own.assign(above=own["low"] > 0, below=own["high"] < 0, least=own["effect"] < 0, there=1)
    counts = signs.groupby("kind", sort=False)[["above", "below", "least", "there"]].sum()
    corpora = own["corpus"].nunique()
    if corpora == 1:
        above, other = (
            [YARDSTICK_NAMES[str(kind)] for kind in counts.index[(counts["above"] > 0) == clear]] for clear in (True, False)
        )
        begin = f"With speakers kept apart the baseline lies clearly above {listed(above)}" if above else ""
        end = f"clearly above {' or '.join(other)}" if other else ""
        if above and other:
            return f"{begin}, and not {end}."
        return f"{begin}." if above else f"With speakers kept apart the baseline does not lie {end}."
    parts: list[str] = []
    for kind, row in counts.iterrows():
        lower = f", and clearly below it on {row['below']}" if row["below"] else ""
        if not lower and row["least"] > row["there"] / 2:
            lower = f", and below it, though not clearly, on {row['least']}"
        count = f"{row['above'] or 'none'} of {row['there']}{'' if parts else ' corpora'}"
        parts.append(f"{'' if parts else 'clearly '}above {YARDSTICK_NAMES[str(kind)]} on {count}{lower}")
    return f"With speakers kept apart the baseline lies, by intervals over speakers, {'; '.join(parts)}."


def yardstick_table(found: pd.DataFrame) -> pd.DataFrame:
    """`tables.over_yardsticks` as a page shows it: one row a place, one column a yardstick."""
    shown: dict[str, dict[str, str | None]] = {}
    for row in found.itertuples():
        text = interval_text(row.effect, row.low, row.high, sign=True)
        shown.setdefault(place_title(row.corpus, row.protocol), {})[f"Over {inside(title(row.kind))}"] = text
    return pd.DataFrame.from_dict(shown, orient="index").rename_axis("Where").reset_index()


def yardstick_gap_sentence(gaps: pd.DataFrame) -> str:
    """What sharing speakers adds to the yardstick (`tables.yardstick_gaps`); "" where it was not published."""
    if gaps.empty:
        return ""
    ends = " to ".join(dict.fromkeys(f"{end:.0f}" for end in (gaps["effect"].min(), gaps["effect"].max())))
    return (
        "It does not take a network to recognise a voice again. To logistic regression on the means and deviations of the 40 "
        f"bands, which hold neither order nor rhythm, sharing speakers adds {ends} points too."
    )


def gap_table(gaps: pd.DataFrame, base: str, other: str) -> pd.DataFrame:
    """`tables.protocol_gaps` as a page shows it; `base` and `other` head the columns of the two protocols."""
    shown = {"Corpus": gaps["group"], "System": gaps["name"], base: gaps["base"], other: gaps["other"]}
    differences = [interval_text(row.effect, row.low, row.high, sign=True) for row in gaps.itertuples()]
    more = [
        None if pd.isna(row.more) else interval_text(row.more, row.more_low, row.more_high, sign=True)
        for row in gaps.itertuples()
    ]
    return pd.DataFrame(shown | {"Difference": differences, "p": gaps["p"], "Less the baseline's": more, "seeds": gaps["seeds"]})


def protocol_sentence(gaps: pd.DataFrame, what: str = "Sharing speakers between training and test") -> str:
    """What a protocol adds (`tables.protocol_gaps`), and whether it adds more to one system than to the baseline."""
    if gaps.empty:
        return "No system has been measured under both protocols yet."
    means = gaps.groupby("group", sort=False)["effect"].mean()
    clear = (gaps["low"] > 0).groupby(gaps["group"], sort=False).agg(["sum", "size"])
    added = listed(
        [
            f"{signed(mean)} points on {named(group)} (clearly for {clear.at[group, 'sum']} of {clear.at[group, 'size']})"
            for group, mean in means.items()
        ]
    )
    if len(means) > 2:
        added = f"{signed(means.min())} to {signed(means.max())} points, most on {named(means.idxmax())}"
    text = f"**{what} {'raises' if (means > 0).all() else 'changes'} UA**, on average over the systems by {added}."
    compared = gaps.dropna(subset="more")
    if compared.empty:
        return text
    beyond = _beyond(compared)
    named_ = [f"{named(inside(row.name))} on {named(row.group)}" for row in beyond.itertuples(index=False)]
    listing = f": {listed(named_)}" if named_ else ""
    return (
        f"{text} By intervals over speakers alone, which another seed can move by points, the gain over the baseline changes "
        f"with it for {len(beyond) or 'none'} of {len(compared)}{listing}."
    )


def _beyond(gaps: pd.DataFrame) -> pd.DataFrame:
    """Of `gaps` those that add clearly more, or less, to a system than to the baseline."""
    return gaps[(gaps["more_low"] > 0) | (gaps["more_high"] < 0)]


def protocol_table(gaps: pd.DataFrame, yardstick: pd.DataFrame | None = None) -> pd.DataFrame:
    """`protocol_sentence` corpus by corpus, beside what it adds to a `yardstick` (`tables.yardstick_gaps`)."""
    rows = []
    for group, own in gaps.groupby("group", sort=False):
        row = {"Corpus": group, "Systems": len(own), "Mean": signed(own["effect"].mean())}
        row |= {"Least": signed(own["effect"].min()), "Most": signed(own["effect"].max())}
        row |= {"Intervals above 0": (own["low"] > 0).sum()}
        row |= {"Gains compared": own["more"].notna().sum(), "Gains that clearly change": len(_beyond(own.dropna(subset="more")))}
        rows.append(row)
    table = pd.DataFrame(rows)
    if yardstick is not None and len(yardstick) and len(table):
        texts = {
            corpus_title(row.corpus): interval_text(row.effect, row.low, row.high, sign=True) for row in yardstick.itertuples()
        }
        table["To logistic regression"] = [texts.get(group) for group in table["Corpus"]]
    return table

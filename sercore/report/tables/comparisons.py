"""Gains over the baseline with their intervals, what settles the claims by them, and what moves them by chance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...corpora.protocol import CLEAN
from ...evidence import claims, paper, results, statistics
from ...lab import systems
from .accuracy import systems_table
from .measured import RESAMPLES, all_predictions, cells, measured_systems, tallied, trained_alike
from .words import ENDS, corpus_title, of_protocol, place_title, title, with_interval

RULES: dict[str, claims.Difference] = {
    "speakers resampled": lambda a, b, measure, _: statistics.paired_difference(a, b, measure, RESAMPLES),
    "speakers left out, Student's t": claims.over_few_speakers,
    "speakers and seeds": claims.over_speakers_and_seeds,
}
"""Kinds of intervals, the last of which decides."""


@results.once
def verdicts(folder: str | Path | None = None, protocols: Sequence[str] = CLEAN) -> pd.DataFrame:
    """Every claim settled on every published corpus under every protocol (`claims.settle`), and on IEMOCAP as open.

    `speakers_low`, `speakers_high`, `speakers_verdict`: what the interval over speakers alone says, the rule of before; those of
    `folds` what a jackknife over the five folds says, which holds what another training part would change.
    """
    open_cells = [("iemocap", protocol) for protocol in protocols]
    runs = results.runs(folder)
    taken = all_predictions(folder, protocols), runs[runs["protocol"].isin(protocols)], open_cells
    settled, before = claims.settle_by((claims.over_speakers_and_seeds, claims.over_speakers), *taken)
    by_fold = claims.settle(*taken, difference=claims.over_few_speakers, by="fold")
    beside = {"speakers": before, "folds": by_fold}
    return settled.assign(
        **{f"{kind}_{name}": found[name] for kind, found in beside.items() for name in ("low", "high", "verdict")}
    )


@results.once
def combinations(corpus: str, protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Systems that combine schemes (`a+b`), and the user's own: UA, and the paired difference to the baseline and to each scheme.

    One row a combination and comparison, in points: corpus, protocol, slug, other, `ua` and `effect` with
    their `_low` and `_high`, how many `seeds` both have, `wide_low`, `wide_high` and p, over speakers and seeds, p_holm over the
    rows, and `every`, the difference over all seeds of either where these are more. Parts that were not measured alone are left
    out.
    """
    there = measured_systems(corpus, protocol, folder)
    tallies = tallied(corpus, protocol, there, folder)
    alike = [tally for slug, tally in tallies.items() if "@" not in slug]
    rows = []
    for slug in (slug for slug in there if "+" in slug or systems.is_own(slug)):
        for other in ("baseline", *(slug.split("+") if "+" in slug else ())):
            if other not in tallies or not (seeds := statistics.common_seeds(tallies[slug], tallies[other])):
                continue
            own = statistics.bootstrap_speakers(tallies[slug].select(seeds), "ua", RESAMPLES).percent()
            gap = statistics.paired_jackknife(tallies[slug], tallies[other], "ua").percent()
            row: dict[str, object] = {"corpus": corpus, "protocol": protocol, "slug": slug, "other": other}
            row |= {"ua": own.estimate, "ua_low": own.low, "ua_high": own.high}
            row |= {"effect": gap.estimate, "effect_low": gap.low, "effect_high": gap.high, "seeds": len(seeds)}
            wide = statistics.paired_over_seeds(tallies[slug], tallies[other], "ua", alike).percent()
            row |= {"wide_low": wide.low, "wide_high": wide.high, "p": wide.p}
            if len(seeds) < max(len(tallies[slug].seeds), len(tallies[other].seeds)):
                ours, theirs = (statistics.bootstrap_speakers(tallies[each], "ua", RESAMPLES).percent() for each in (slug, other))
                row["every"] = ours.estimate - theirs.estimate
            rows.append(row)
    measures = [f"{name}{end}" for name in ("ua", "effect") for end in ENDS]
    columns = ["corpus", "protocol", "slug", "other", *measures, "seeds", "wide_low", "wide_high", "p", "every"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=statistics.holm(table["p"].to_numpy(float)) if len(table) else [])


def shown_combinations(table: pd.DataFrame) -> pd.DataFrame:
    """`combinations` as a page shows it."""
    records = table.to_dict("records")
    shown = {"System": table["slug"].map(title), "UA": [with_interval(row, "ua") for row in records]}
    shown |= {"Compared with": table["other"].map(title)}
    shown |= {"Difference": [with_interval(row, "effect", sign=True) for row in records]}
    ends = zip(table["wide_low"], table["wide_high"], strict=True)
    shown["Over seeds too"] = [
        None if np.isnan(low) else f"[{low:+.1f}, {high:+.1f}]".replace("-", "\u2212") for low, high in ends
    ]
    shown |= {"p, Holm": table["p_holm"], "Seeds": table["seeds"]}
    if table["every"].notna().any():
        shown["Over all seeds of both"] = [
            None if np.isnan(value) else f"{value:+.1f}".replace("-", "\u2212") for value in table["every"]
        ]
    return pd.DataFrame(shown)


@results.once
def gains(slugs: Sequence[str] = tuple(systems.TABLE_2), folder: str | Path | None = None) -> pd.DataFrame:
    """Rows for `figures.forest`: the paired gain in UA of those of `slugs` that were measured, by corpus and protocol, and
    the paper's own.

    `wide_low` and `wide_high`: the interval over speakers and seeds, NaN where no system has several seeds; `seeds`: how many
    the system and the baseline both have.
    """
    reported = paper.table_2().set_index("slug")["ua"]
    rows = []
    for corpus, protocol in cells(folder):
        there = [slug for slug in measured_systems(corpus, protocol, folder) if slug in {"baseline", *slugs}]
        table = systems_table(corpus, protocol, there, folder=folder)
        tallies = tallied(corpus, protocol, there, folder)
        for row in table[table.get("gain", pd.Series(np.nan, table.index)).notna()].itertuples():
            claimed = reported.get(row.slug, np.nan) - reported["baseline"]
            place = {"group": place_title(corpus, protocol), "slug": row.slug, "name": title(row.slug)}
            own = {"effect": row.gain, "low": row.gain_low, "high": row.gain_high, "claimed": claimed}
            seeds = len(statistics.common_seeds(tallies[row.slug], tallies["baseline"]))
            rows.append(place | own | {"wide_low": row.wide_low, "wide_high": row.wide_high, "seeds": seeds})
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "wide_low", "wide_high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


@results.once
def mean_gains(slugs: Sequence[str] = tuple(systems.TABLE_2), folder: str | Path | None = None) -> pd.DataFrame:
    """The gains of `gains` averaged over the corpora of recorded speech that two or more have a system on, with speakers named
    and trained as its corpus says.

    Rows as those of `gains`, and `where`: which corpora.
    """
    from ... import corpora

    synthetic = [name for name in corpora.names() if corpora.get(name).kind == "synthetic"]
    runs = results.runs(folder)
    changed = set(runs.loc[runs["changed"] != "", ["corpus", "protocol", "system"]].itertuples(index=False, name=None))
    pairs: dict[tuple[str, str], dict[str, tuple[tuple[statistics.Tally, statistics.Tally], list[statistics.Tally]]]] = {}
    for corpus, protocol in cells(folder):
        tallies = tallied(corpus, protocol, ["baseline", *slugs], folder)
        beside = list(trained_alike(corpus, protocol, folder).values())
        whole = set(measured_systems(corpus, protocol, folder)) if corpus not in synthetic else set()
        for slug in (slug for slug in tallies if {slug, "baseline"} <= whole and slug != "baseline"):
            both = tallies[slug], tallies["baseline"]
            usual = changed.isdisjoint({(corpus, protocol, slug), (corpus, protocol, "baseline")})
            if usual and len(both[0].groups) > 1 and statistics.common_seeds(*both):
                pairs.setdefault((protocol, slug), {})[corpus_title(corpus)] = both, beside
    reported = paper.table_2().set_index("slug")["ua"]
    rows = []
    for (protocol, slug), found in pairs.items():
        if len(found) > 1:
            compared, repeated = zip(*found.values(), strict=True)
            mean = statistics.mean_difference(compared, "ua").percent()
            wide = statistics.mean_difference(compared, "ua", repeated).percent()
            row: dict[str, object] = {"group": place_title(f"Mean of {len(found)} corpora", protocol)}
            row |= {"slug": slug, "name": title(slug), "claimed": reported.get(slug, np.nan) - reported["baseline"]}
            row |= {"effect": mean.estimate, "low": mean.low, "high": mean.high, "where": list(found)}
            rows.append(row | {"wide_low": wide.low, "wide_high": wide.high})
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "wide_low", "wide_high", "where"]
    return pd.DataFrame(rows, columns=columns)


def leading_gains(folder: str | Path | None = None) -> pd.DataFrame:
    """The gains of each family's best that a glance takes in: the means over corpora with speakers kept apart, else all."""
    means = mean_gains(systems.CLAIMS, folder)
    return means if of_protocol(means["group"], "speaker").any() else gains(systems.CLAIMS, folder)


def with_means(gains: pd.DataFrame, means: pd.DataFrame) -> pd.DataFrame:
    """The rows of `gains`, those of one protocol followed by the mean of their corpora."""
    both = pd.concat([gains, means[means.columns.intersection(gains.columns)]] if len(means) else [gains], ignore_index=True)
    protocol = both["group"].astype(str).str.rpartition(", ")[2]
    order = {name: place for place, name in enumerate(protocol.unique())}
    return both.iloc[protocol.map(order).argsort(kind="stable")].reset_index(drop=True)


def gains_by_seed(folder: str | Path | None = None) -> pd.DataFrame:
    """The gain in UA of each family's best as every seed alone would tell it, where a system was run with two or more.

    Rows for `figures.forest` (group, slug, name, effect, low, high, claimed), and `seed`, `where` and `verdict`: the rules on
    the claim of 4 points, applied to that seed alone.
    """
    reported = paper.table_2().set_index("slug")["ua"]
    rows = []
    for corpus, protocol in cells(folder):
        tallies = tallied(corpus, protocol, systems.CLAIMS, folder)
        for slug in (slug for slug in systems.CLAIMS[1:] if {slug, "baseline"} <= set(tallies)):
            both = tallies[slug], tallies["baseline"]
            seeds = statistics.common_seeds(*both)
            where = place_title(corpus, protocol)
            for seed in seeds if len(seeds) > 1 else ():
                ours, theirs = (tally.select((seed,)) for tally in both)
                gain = statistics.paired_jackknife(ours, theirs, "ua").percent()
                group = f"{title(slug).partition(',')[0]}, {where}"
                row: dict[str, object] = {"group": group, "slug": slug, "name": f"seed {seed}", "seed": seed}
                row |= {"effect": gain.estimate, "low": gain.low, "high": gain.high, "where": where}
                row |= {"claimed": reported[slug] - reported["baseline"], "verdict": claims.verdict(gain, claims.GAIN)}
                rows.append(row)
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "seed", "where", "verdict"]
    return pd.DataFrame(rows, columns=columns)


@results.once
def seed_against_seed(count: int = 1, folder: str | Path | None = None) -> pd.DataFrame:
    """Rules where nothing differs but chance: UA of `count` seeds of a system less that of as many others, in points.

    One row a place (`group`), system of Table 2 (`slug`) and pair of sets of its seeds (`first`, `second`): `effect`, and for
    each of `RULES` whether its interval leaves out 0.
    """
    rows = []
    for corpus, protocol in cells(folder):
        alike = trained_alike(corpus, protocol, folder)
        for slug in (slug for slug in systems.TABLE_2 if slug in alike):
            own, named = alike[slug], tuple(range(count))
            some = {seeds: own.select(seeds) for seeds in itertools.combinations(own.seeds, count)}
            alone = {seeds: replace(each, seeds=named, drawn={}, chosen={}) for seeds, each in some.items()}
            for first, second in itertools.combinations(alone, 2):
                if set(first) & set(second):
                    continue
                one, other = alone[first], alone[second]
                found = {name: rule(one, other, statistics.MEASURES["ua"], alike.values()) for name, rule in RULES.items()}
                seen = {name: interval.low > 0 or interval.high < 0 for name, interval in found.items()}
                pair = {"group": place_title(corpus, protocol), "slug": slug, "first": first, "second": second}
                rows.append(pair | {"effect": 100 * next(iter(found.values())).estimate} | seen)
    return pd.DataFrame(rows, columns=["group", "slug", "first", "second", "effect", *RULES])


@results.once
def gain_errors(folder: str | Path | None = None) -> pd.DataFrame:
    """What moves a gain in UA over the baseline by chance: one row a place where a family's best and the baseline share seeds.

    Columns `group`, `speakers` (how many), `seeds` (that they share), and `parts`: in points, the mean over the families that
    share two seeds or more, which tells the error for any number of seeds.
    """
    rows = []
    for corpus, protocol in cells(folder):
        alike = trained_alike(corpus, protocol, folder)
        there = [slug for slug in systems.CLAIMS[1:] if {slug, "baseline"} <= set(alike)]
        all_parts = [statistics.error_parts(alike[slug], alike["baseline"], "ua", alike.values()) for slug in there]
        if found := [each for each in all_parts if not np.isnan(each.within + each.seeds)]:
            within = float(np.mean([each.within**2 for each in found]))
            one_seed = float(np.sqrt(np.mean([each.persistent for each in found]) + within))
            spread = 100 * float(np.sqrt(within))
            parts = statistics.ErrorParts(float("nan"), 100 * one_seed, 100 * found[0].seeds, found[0].freedom, spread)
            place = {"group": place_title(corpus, protocol), "speakers": len(alike["baseline"].groups)}
            rows.append(place | {"seeds": max(each.counted for each in found), "parts": parts})
    return pd.DataFrame(rows, columns=["group", "speakers", "seeds", "parts"])

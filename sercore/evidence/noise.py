"""How much a result moves by chance: between runs, between draws of utterances, and by choosing the best of several.

A constant alpha only scales the focal loss, and Adam's step does not depend on a loss's scale but for its epsilon. So
rows that differ in alpha alone are repetitions of one experiment, and their spread is a measurement of noise: in the
paper's own Table 2, and in our records.

References: Connor (1987) for the sample size of paired proportions; David & Nagaraja (2003) for order statistics.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from ..corpora.protocol import FOLDS
from ..errors import SercoreError
from ..lab import systems
from .statistics import ErrorParts, Interval

POWER = 0.8
LEVEL = 0.95
COMPUTING = {"engine", "precision"}
"""Settings that are no reading of the paper."""

FIXED = {"learning_rate", "max_epochs", "patience"}
"""What the paper fixes: another value is another training, not another reading."""


@dataclass(frozen=True)
class Spread:
    """A standard deviation with its 95 % interval, from so many degrees of freedom."""

    sd: float
    low: float
    high: float
    freedom: int


def spread(groups: Sequence[Sequence[float]]) -> Spread:
    """The SD within groups of repetitions, pooled over the groups; the interval is that of normal values (chi squared).

    Raises `SercoreError` where no group has two values.
    """
    from scipy.stats import chi2

    kept = [np.asarray(group, dtype=float) for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in kept)
    if not freedom:
        raise SercoreError("a spread needs a group of two values or more")
    total = float(sum(((group - group.mean()) ** 2).sum() for group in kept))
    ends = chi2.ppf([(1 + LEVEL) / 2, (1 - LEVEL) / 2], freedom)
    low, high = np.sqrt(total / ends)
    return Spread(float(np.sqrt(total / freedom)), float(low), float(high), freedom)


def paper_spread(table_2: pd.DataFrame, measure: str = "ua") -> Spread:
    """The spread (points) between the rows of the paper's Table 2 that differ in alpha alone, one group a gamma."""
    return spread([group[measure].tolist() for _, group in table_2.groupby(gamma(table_2["slug"]))])


def gamma(slugs: pd.Series) -> pd.Series:
    """`g2` of `focal-g2-a4`: what systems that differ in alpha alone have in common; missing for the others."""
    return slugs.str.extract(r"^focal-(g[\d.]+)-a[\d.]+$", expand=False)


def sampling_error(disagreement: float, counts: Sequence[int], measure: str = "ua") -> float:
    """Standard error (points) of the difference of two systems over a new draw of as many utterances.

    `disagreement` is the share of utterances that one of them gets right and the other wrong, `counts` the utterances
    of each class. Utterances count as independent, which those of one speaker are not: it is a lower bound.
    """
    sizes = np.asarray(counts, dtype=float)
    if not 0 <= disagreement <= 1 or (sizes <= 0).any():
        raise SercoreError(f"a share from 0 to 1 and classes with utterances are needed, not {disagreement} and {list(counts)}")
    variance = disagreement / sizes.sum() if measure == "wa" else (disagreement / sizes).sum() / len(sizes) ** 2
    return float(100 * np.sqrt(variance))


def detectable(error: float, power: float = POWER, freedom: float = np.inf) -> float:
    """The smallest true difference that a two-sided test at 5 % finds with this power, given its standard error.

    `freedom`: the degrees of freedom that the standard error was estimated with; without end where it is known.
    """
    from scipy.stats import t

    return float(error * (t.ppf((1 + LEVEL) / 2, freedom) + t.ppf(power, freedom)))


def power(parts: ErrorParts, gain: float, seeds: int) -> float:
    """How often the interval over speakers and seeds lies above 0 where the true difference is `gain`, with so many seeds.

    That of one seed holds more than what moves the difference (`ErrorParts`): the one sets the bar, the other the chance.
    """
    from scipy.stats import nct, t

    error, freedom = parts.over(seeds)
    if not (true := parts.true(seeds)):
        return float(gain > 0)
    return float(nct.sf(t.ppf((1 + LEVEL) / 2, freedom) * error / true, freedom, gain / true))


def power_range(parts: ErrorParts, gain: float, seeds: int) -> tuple[float, float]:
    """`power` at the ends of the 95 % interval of the spread between seeds, the least first: few seeds tell it roughly."""
    from scipy.stats import chi2

    freedom = parts.freedom[1]
    spreads = parts.seeds * np.sqrt(freedom / chi2.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2], freedom))
    least, most = (power(replace(parts, seeds=float(spread)), gain, seeds) for spread in spreads)
    return least, most


def detectable_gain(parts: ErrorParts, seeds: int, wanted: float = POWER) -> float:
    """The smallest true difference that is found with this `power`."""
    from scipy.optimize import brentq

    if not parts.true(seeds):
        return 0.0
    return float(brentq(lambda gain: power(parts, gain, seeds) - wanted, 0.0, 20 * parts.over(seeds)[0]))


def chance_range(found: Spread, count: int) -> float:
    """How far apart (largest less smallest) `count` runs of one system lie at most, 19 times out of 20, given their spread."""
    return found.sd * _range_quantile(count, found.freedom)


@functools.cache
def _range_quantile(count: int, freedom: int) -> float:
    from scipy.stats import studentized_range  # whose quantiles take a tenth of a second and more

    return float(studentized_range.ppf(LEVEL, count, freedom))


def best_of(count: int) -> float:
    """How far the best of `count` equally good systems lies above their common mean on average, in SD of one."""
    from scipy.integrate import quad
    from scipy.stats import norm

    if count < 1:
        raise SercoreError(f"the best of {count} systems: at least 1")
    return float(quad(lambda x: x * count * norm.pdf(x) * norm.cdf(x) ** (count - 1), -10, 10)[0])


def disagreement(predictions: pd.DataFrame, first: str, second: str) -> float:
    """The share of test utterances that one system gets right and the other wrong, over the seeds that both have."""
    keys, two = ["seed", "fold", "utterance"], predictions[predictions["system"].isin((first, second))]
    right = two.assign(right=two["prediction"] == two["label"]).set_index(keys)
    ours, theirs = (right.loc[right["system"] == slug, "right"] for slug in (first, second))
    both = pd.concat([ours, theirs], axis=1, join="inner", keys=["first", "second"])
    if both.empty:
        raise SercoreError(f"{first} and {second} have no test utterance in common")
    return float((both["first"] != both["second"]).mean())


@dataclass(frozen=True)
class Change:
    """How a system's UA differs from another's on the same folds and seeds, and how far seeds alone would move it."""

    difference: float  # points of UA, mean over the folds and seeds that are compared
    chance: float  # points: 19 times out of 20, seeds alone move such a mean by less
    seeds: int
    compared: int  # folds and seeds of which both trainings ran to the end, or both stopped early
    shared: int  # folds and seeds that both have

    @property
    def beyond_chance(self) -> bool:
        return abs(self.difference) > self.chance


def change(runs: pd.DataFrame, system: str, reference: str) -> Change:
    """`system` against `reference` in the runs of one corpus and protocol, over the folds and seeds that both have.

    Where one training ran to its last epoch and the other stopped early, when it stopped is what would be compared: such pairs
    are left out, as far as there are others. Chance is measured by the seeds of all systems in `runs`: the SD of the mean over
    the folds between seeds of one system, pooled, with Student's t for its degrees of freedom. Raises `SercoreError` where the
    two share no run, or no system has two seeds.
    """
    table = runs.assign(ua=100 * runs["ua"], early=stopped_early(runs))
    both, early = (
        table.pivot_table(index=["fold", "seed"], columns="system", values=value).reindex(columns=[system, reference]).dropna()
        for value in ("ua", "early")
    )
    if both.empty:
        raise SercoreError(f"{system} and {reference} have no fold and seed in common")
    alike = early[system] == early[reference]
    kept = both[alike] if alike.any() else both
    from scipy.stats import t

    found = seed_spread(runs)
    if found is None:
        raise SercoreError("no system has two seeds, so nothing tells how far seeds alone move it")
    seeds = both.index.get_level_values("seed").nunique()
    error = found.sd * np.sqrt(2 / seeds * len(both) / len(kept))
    difference = float((kept[system] - kept[reference]).mean())
    return Change(difference, float(error * t.ppf((1 + LEVEL) / 2, found.freedom)), seeds, len(kept), len(both))


def stopped_early(runs: pd.DataFrame) -> pd.Series:
    """Which trainings found nothing better for as long as their patience, and ended before their last epoch."""
    if "epochs" not in runs:
        return pd.Series(False, index=runs.index)
    return runs["epochs"] < [json.loads(config)["max_epochs"] for config in runs["config"]]


def validation_change(history: pd.DataFrame, system: str, reference: str) -> Interval:
    """`system` less `reference` in validation accuracy (WA, points), averaged over the later half of each run's epochs.

    A mean over many epochs scatters far less than the test result of the one that is kept. `history` is that of one corpus
    and protocol (`results.history`); the interval is Student's t over the folds and seeds that both have.
    """
    from scipy.stats import ttest_1samp

    later = history[history["epoch"] > history.groupby("run")["epoch"].transform("max") / 2]
    means = 100 * later.pivot_table(index=["fold", "seed"], columns="system", values="chooser_wa")
    both = means.reindex(columns=[system, reference]).dropna()
    if len(both) < 2:
        raise SercoreError(f"{system} and {reference} have fewer than two folds and seeds in common")
    found = ttest_1samp(both[system] - both[reference], 0)
    low, high = found.confidence_interval(LEVEL)
    return Interval(float((both[system] - both[reference]).mean()), float(low), float(high), float(found.pvalue))


def readings(runs: pd.DataFrame, reference: str = "baseline") -> pd.DataFrame:
    """Every system that changes settings of `reference` (`baseline@masked=true`) and has two seeds, as its nearest has.

    The nearest is the measured system with most of its settings and no others: `baseline@a=1,b=2` is compared with
    `baseline@a=1` where that was measured, else with `baseline`; but one that is only computed otherwise, with the same system
    computed as usual. What differs in how long or how fast it was trained is no reading and has no row. Chance is that of all
    systems of the corpus and protocol that were trained as long and as fast.

    One row a corpus, protocol and system: `corpus`, `protocol`, `system`, `against`, `ua`, `difference`, `chance`, `seeds`,
    `compared`, `shared`, `beyond`, `of_paper`, in points; `of_paper` is False where only the way of computing differs.
    """
    rows = []
    for (corpus, protocol), own in runs.groupby(["corpus", "protocol"]):
        seeds = own.groupby("system")["seed"].nunique()
        settings = {
            system: frozenset(systems.overrides(system).items())
            for system in sorted(seeds.index[seeds > 1])
            if system.partition("@")[0] == reference and not systems.is_own(system)
        }
        for system, values in settings.items():
            usual = frozenset((name, value) for name, value in values if name not in COMPUTING)
            fewer = [other for other in settings if settings[other] < values]
            nearest = max(fewer, key=lambda s: (settings[s] == usual, len(settings[s])), default=None)
            if nearest is not None and not {name for name, _ in values - settings[nearest]} & FIXED:
                alike = [other for other in seeds.index if _pace(other) == _pace(system)]
                found = change(own[own["system"].isin(alike)], system, nearest)
                ua = 100 * own.loc[own["system"] == system, "ua"].mean()
                of_paper = not {name for name, _ in values - settings[nearest]} <= COMPUTING
                counts = (found.seeds, found.compared, found.shared)
                measured = (ua, found.difference, found.chance, *counts, found.beyond_chance, of_paper)
                rows.append((corpus, protocol, system, nearest, *measured))
    counted = ["seeds", "compared", "shared"]
    columns = ["corpus", "protocol", "system", "against", "ua", "difference", "chance", *counted, "beyond", "of_paper"]
    return pd.DataFrame(rows, columns=columns)


def _pace(system: str) -> dict[str, Any]:
    """What a system's slug says of how long and how fast it is trained."""
    if systems.is_own(system) and system not in systems.OWN:  # the file that knows it need not be here
        return {}
    return {name: value for name, value in systems.overrides(system).items() if name in FIXED}


def compared_runs(compared: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs behind the rows of `readings`: those that are compared, and those whose seeds tell what chance does."""
    cells, paces = ["corpus", "protocol"], [_pace(system) for system in compared["system"]]
    there = runs.set_index(cells).index.isin(compared.set_index(cells).index)
    alike = [system for system in runs["system"].unique() if _pace(system) in paces]
    repeated = runs.groupby([*cells, "system"])["seed"].transform("nunique") > 1
    return runs[there & repeated & runs["system"].isin(alike)]


def selection(runs: pd.DataFrame, history: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """What choosing a family's setting on the test folds adds to its gain over choosing it on validation, in our runs.

    One row a corpus, protocol and family of which every setting was run on all folds: `corpus, protocol, family, chosen,
    chosen_gain, best, best_gain, optimism, seeds`; gains in points of UA (pooled over the folds, mean over the
    seeds that all have) over the baseline. Validation chooses by its accuracy (WA) at the epochs that were kept.
    """
    columns = ["corpus", "protocol", "family", "chosen", "chosen_gain", "best", "best_gain", "optimism", "seeds"]
    if runs.empty:
        return pd.DataFrame(columns=columns)
    validation = history.groupby("run")["chooser_wa"].max()
    scored = runs.assign(validation=runs["run"].map(validation))
    families = {name: [slug for slug in systems.TABLE_2 if systems.family(slug) == name] for name in ("ams", "focal")}
    rows = []
    for (corpus, protocol), own in scored.groupby(["corpus", "protocol"]):
        for family, slugs in families.items():
            wanted = ["baseline", *slugs]
            kept = own.pivot_table(index=["seed", "fold"], columns="system", values="validation").reindex(columns=wanted).dropna()
            if kept.empty or set(kept.index.get_level_values("fold")) != set(range(FOLDS)):
                continue
            here = predictions[(predictions["corpus"] == corpus) & (predictions["protocol"] == protocol)]
            here = here[here["seed"].isin(kept.index.get_level_values("seed")) & here["system"].isin(wanted)]
            recalls = (here["prediction"] == here["label"]).groupby([here["system"], here["seed"], here["label"]]).mean()
            ua = recalls.groupby("system").mean()  # every seed has the same utterances
            gains = 100 * (ua - ua["baseline"])[slugs]
            chosen, best = kept.mean()[slugs].idxmax(), gains.idxmax()
            seeds = sorted(kept.index.get_level_values("seed").unique())
            rows.append((corpus, protocol, family, chosen, gains[chosen], best, gains[best], gains[best] - gains[chosen], seeds))
    return pd.DataFrame(rows, columns=columns)


def epoch_choice(runs: pd.DataFrame, history: pd.DataFrame) -> pd.DataFrame:
    """How sure the choice of an epoch is: one row a corpus and protocol, means over its runs of accuracies (WA) in percent.

    Columns: corpus, protocol, runs; `step`, by how much validation accuracy moves from an epoch to the next in the last
    quarter of a run; `level`, its mean there; `kept`, what it was in the epoch that was kept; `test`, what the test part gave.
    """
    rows = []
    late = history[history["epoch"] > 0.75 * history.groupby("run")["epoch"].transform("max")]
    by_run = late.sort_values("epoch").groupby("run")["chooser_wa"]
    steps, levels = by_run.agg(lambda values: values.diff().abs().mean()), by_run.mean()
    kept = history.groupby("run")["chooser_wa"].max()
    for (corpus, protocol), own in runs.groupby(["corpus", "protocol"]):
        means = [100 * each.reindex(own["run"]).mean() for each in (steps, levels, kept)]
        rows.append((corpus, protocol, len(own), *means, 100 * own["wa"].mean()))
    return pd.DataFrame(rows, columns=["corpus", "protocol", "runs", "step", "level", "kept", "test"])


def devices(runs: pd.DataFrame) -> pd.DataFrame:
    """What the systems that have whole seeds from a GPU and others from a processor come to on either.

    One row a corpus and protocol: `corpus`, `protocol`, `systems` (how many), `difference` (points of UA, mean over systems, the
    GPU's seeds less the processor's) and `chance`, how far seeds alone would move it, as in `change`.
    """
    from scipy.stats import t

    kinds = runs.assign(kind=np.where(runs["device"] != "cpu", "gpu", "cpu"))
    folds = kinds.groupby(["corpus", "protocol", "system", "seed", "kind"])["fold"].transform("nunique")
    rows = []
    for (corpus, protocol), own in kinds[folds == FOLDS].groupby(["corpus", "protocol"]):
        seeds = own.groupby(["system", "kind"])["seed"].nunique().unstack().reindex(columns=["gpu", "cpu"]).dropna()
        both = own[own["system"].isin(seeds.index)]
        found = seed_spread(both.assign(system=both["system"] + " " + both["kind"]))
        if found is None:
            continue
        ua = 100 * both.groupby(["system", "kind"])["ua"].mean().unstack()
        error = found.sd * np.sqrt((1 / seeds).sum().sum()) / len(seeds)
        chance = error * t.ppf((1 + LEVEL) / 2, found.freedom)
        rows.append((corpus, protocol, len(seeds), (ua["gpu"] - ua["cpu"]).mean(), chance))
    return pd.DataFrame(rows, columns=["corpus", "protocol", "systems", "difference", "chance"])


def seed_spread(runs: pd.DataFrame) -> Spread | None:
    """The spread (points of UA, mean over the folds) between seeds of one system, in the runs of one corpus and protocol.

    None where none has two seeds.
    """
    means = runs.groupby(["system", "seed"])["ua"].mean().mul(100).reset_index()
    groups = [group["ua"].tolist() for _, group in means.groupby("system") if len(group) > 1]
    return spread(groups) if groups else None


def alpha_and_seed_spread(runs: pd.DataFrame) -> pd.DataFrame:
    """Our own repetitions: the spread (points of UA, mean over the folds) between alphas and between seeds.

    Between seeds of the systems of Table 2, or where none of them has two, of any. One row a corpus and protocol where
    either can be computed: `corpus`, `protocol`, `alphas` and `seeds` with their `_low`
    and `_high`, and `p` where both can: how often alphas that change nothing spread as much (F test).
    """
    from scipy.stats import f

    rows = []
    for (corpus, protocol), own in runs.groupby(["corpus", "protocol"]):
        row: dict[str, object] = {"corpus": corpus, "protocol": protocol}
        means = own.groupby(["system", "seed"])["ua"].mean().mul(100).reset_index()
        usual = own[own["system"].isin(list(systems.TABLE_2))]
        alphas = [group["ua"].tolist() for _, group in means.groupby([gamma(means["system"]), "seed"]) if len(group) > 1]
        both = {"alphas": spread(alphas) if alphas else None, "seeds": seed_spread(usual) or seed_spread(own)}
        spreads = {name: found for name, found in both.items() if found is not None}
        for name, found in spreads.items():
            row |= {name: found.sd, f"{name}_low": found.low, f"{name}_high": found.high}
        if len(spreads) == 2:
            ours, theirs = spreads["alphas"], spreads["seeds"]
            row["p"] = float(f.sf((ours.sd / theirs.sd) ** 2, ours.freedom, theirs.freedom))
        if spreads:
            rows.append(row)
    columns = ["corpus", "protocol", *(f"{name}{end}" for name in ("alphas", "seeds") for end in ("", "_low", "_high")), "p"]
    return pd.DataFrame(rows, columns=columns)

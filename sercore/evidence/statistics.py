"""Uncertainty: intervals over speakers, paired differences, Holm's correction, mean and SD over folds.

Utterances of one speaker are not independent, so speakers are what is resampled, with replacement; every
utterance of a drawn speaker comes along, pooled over the folds, and where several seeds were run the
statistic is the mean over the seeds on the same resample. What the intervals do not hold: nine or ten
speakers are few, and a percentile interval over so few is somewhat too narrow and moves in coarse steps; the
trained networks are taken as given, so the spread between seeds is not part of it (`paired_jackknife` mends the first,
`paired_over_seeds`, on which the verdicts rest, both).

References: Efron & Tibshirani (1993), chapters 13 and 16; Davison & Hinkley (1997), equation 4.11, for the +1
in p; Holm (1979); Satterthwaite (1946), An approximate distribution of estimates of variance components.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ..errors import SercoreError
from ..lab import metrics
from . import remembered

CONFIDENCE = 0.95
RESAMPLES = 2000

Measure = Callable[[NDArray], NDArray]
"""Confusion counts (..., classes, classes) to values (...)."""


def _ua(counts: NDArray) -> NDArray:
    recalls = metrics.recalls(counts)
    known = ~np.isnan(recalls)
    every = np.ones(recalls.shape[-1])
    return _share(np.where(known, recalls, 0.0) @ every, known @ every)


def _wa(counts: NDArray) -> NDArray:
    return _share(np.trace(counts, axis1=-2, axis2=-1), counts.sum(axis=(-2, -1)))


def _share(part: NDArray, whole: NDArray) -> NDArray:
    """Their quotient, NaN where there is nothing to have a part of."""
    nothing = np.full(np.shape(whole), np.nan)
    return np.divide(part, whole, out=nothing, where=np.asarray(whole) != 0)


MEASURES: dict[str, Measure] = {"ua": _ua, "wa": _wa}


def _recall(index: int, counts: NDArray) -> NDArray:
    return metrics.recalls(counts)[..., index]


def _recall_over_others(index: int, counts: NDArray) -> NDArray:
    recalls = metrics.recalls(counts)
    return recalls[..., index] - np.nanmean(np.delete(recalls, index, axis=-1), axis=-1)


def _precision(index: int, counts: NDArray) -> NDArray:
    return _share(counts[..., index, index], counts[..., index].sum(axis=-1))


def _f1(index: int, counts: NDArray) -> NDArray:
    both = counts[..., index].sum(axis=-1) + counts[..., index, :].sum(axis=-1)
    return _share(2 * counts[..., index, index], both)


def _share_given(index: int, counts: NDArray) -> NDArray:
    return counts[..., index].sum(axis=-1) / counts.sum(axis=(-2, -1))


@cache
def recall_of(index: int) -> Measure:
    """The measure "recall of the class `index`"."""
    return partial(_recall, index)


@cache
def recall_over_others(index: int) -> Measure:
    """The measure "recall of the class `index` minus the mean recall of the others"."""
    return partial(_recall_over_others, index)


@cache
def precision_of(index: int) -> Measure:
    """The measure "precision of the class `index`": of what is given its label, the share that is right; NaN where nothing is."""
    return partial(_precision, index)


@cache
def f1_of(index: int) -> Measure:
    """The measure "F1 of the class `index`": the harmonic mean of recall and precision, 0 where nothing is given its label."""
    return partial(_f1, index)


@cache
def share_given(index: int) -> Measure:
    """The measure "share of the utterances that are given the label `index`"."""
    return partial(_share_given, index)


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, and for a difference the two-sided p (NaN elsewhere)."""

    estimate: float
    low: float
    high: float
    p: float = float("nan")

    def percent(self) -> Interval:
        """The same in percentage points."""
        return Interval(100 * self.estimate, 100 * self.low, 100 * self.high, self.p)


@dataclass(frozen=True, eq=False)
class Tally:
    """Confusion counts of one system by seed and group: all that the statistics need of its predictions."""

    counts: NDArray[np.int64]  # (seeds, groups, classes, classes)
    seeds: tuple[int, ...]
    groups: tuple[str, ...]
    utterances: pd.DataFrame  # one row an utterance, sorted: its group and its label
    # what was drawn and chosen of it once, since many comparisons ask
    drawn: dict[tuple[Measure, int, int], tuple[float, NDArray]] = field(default_factory=dict, repr=False, compare=False)
    chosen: dict[tuple[int, ...], Tally] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def mark(self) -> str:
        """What tells its counts from others: intervals are remembered by it."""
        import joblib

        return str(joblib.hash(self.counts))

    def select(self, seeds: Iterable[int]) -> Tally:
        """The same for some of the seeds."""
        few = tuple(seeds)
        if few == self.seeds:
            return self
        if few not in self.chosen:
            rows = [self.seeds.index(seed) for seed in few]
            self.chosen[few] = Tally(self.counts[rows], few, self.groups, self.utterances)
        return self.chosen[few]

    def of(self, groups: Iterable[str]) -> Tally:
        """The same for some of the groups."""
        chosen = tuple(group for group in self.groups if group in set(groups))
        columns = [self.groups.index(group) for group in chosen]
        rows = self.utterances[self.utterances["group"].isin(chosen)].reset_index(drop=True)
        return Tally(self.counts[:, columns], self.seeds, chosen, rows)


def _numbered(texts: pd.Series) -> tuple[NDArray[np.int64], pd.Index]:
    """Numbers of texts, and the texts that they stand for, sorted; of categories nothing has to be sorted again."""
    if not isinstance(texts.dtype, pd.CategoricalDtype) or not texts.cat.categories.is_monotonic_increasing:
        return pd.factorize(texts.astype(str), sort=True)
    codes = texts.cat.codes.to_numpy(np.int64)
    there = np.bincount(codes, minlength=len(texts.cat.categories)) > 0
    return (np.cumsum(there) - 1)[codes], texts.cat.categories[there].astype(str)


def tally(frame: pd.DataFrame, by: str = "speaker") -> Tally:
    """Count the predictions of one system, from `utterance`, `label`, `prediction` (ints), `by` and any
    `seed`.

    Raises SercoreError for a missing column, labels that are not class numbers, and an utterance that occurs
    twice in one seed, not in all of them, or with two labels or groups.
    """
    missing = [name for name in ("utterance", "label", "prediction", by) if name not in frame]
    if missing:
        raise SercoreError(f"the predictions lack the columns {', '.join(missing)}")
    label, prediction = frame["label"].to_numpy(), frame["prediction"].to_numpy()
    if not all(column.dtype.kind in "iu" and (column >= 0).all() for column in (label, prediction)):
        raise SercoreError("columns 'label' and 'prediction' must hold the numbers of classes, from 0")
    if frame.empty:
        raise SercoreError("there are no predictions to count")
    classes = int(max(label.max(), prediction.max())) + 1
    if frame[by].isna().any():
        raise SercoreError(f"column {by!r}: {frame[by].isna().sum()} predictions have none")
    seed, seeds = pd.factorize(frame["seed"] if "seed" in frame else pd.Series(0, index=frame.index), sort=True)
    group, groups = _numbered(frame[by])
    utterance, names = _numbered(frame["utterance"])
    seen = np.bincount(utterance * len(seeds) + seed, minlength=len(names) * len(seeds)).reshape(len(names), -1)
    uneven = names[(seen != 1).any(axis=1)]
    if len(uneven):
        raise SercoreError(
            f"{len(uneven)} utterances do not occur exactly once in every seed (first: {uneven[0]}): "
            "give the predictions of one system under one protocol, with all folds of every seed"
        )
    once = pd.DataFrame({"utterance": utterance, "group": group, "label": label}).drop_duplicates()
    if len(once) != len(names):
        raise SercoreError(f"{len(once) - len(names)} utterances change their label or {by} between seeds")
    once = once.sort_values("utterance").assign(utterance=names, group=lambda rows: groups[rows["group"]])
    flat = ((seed * len(groups) + group) * classes + label) * classes + prediction
    shape = (len(seeds), len(groups), classes, classes)
    counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
    return Tally(counts, tuple(seeds.tolist()), tuple(groups.tolist()), once.reset_index(drop=True))


def bootstrap_speakers(
    predictions: pd.DataFrame | Tally,
    measure: str | Measure = "ua",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """A measure over all utterances with its 95 % percentile interval from resampled speakers.

    `predictions` is a frame as for `tally`, or a tally by speaker; `measure` is "ua", "wa" or any function of
    confusion counts. The interval of fewer than two speakers is NaN.
    """
    return _of_speakers(_counted(predictions), _measure(measure), resamples, seed)


def paired_difference(
    a: pd.DataFrame | Tally,
    b: pd.DataFrame | Tally,
    measure: str | Measure = "ua",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The measure of system `a` minus that of `b` on the same resampled speakers, with interval and p.

    Both count over the seeds that they have in common. p is two-sided: twice the smaller share of resamples
    on either side of 0, counted with +1, so never below 2 / (resamples + 1). Interval and p of fewer than two
    speakers are NaN. Raises SercoreError where the two do not hold the same utterances, speakers and labels, or no
    seed in common.
    """
    return _of_difference(*_shared(a, b), _measure(measure), resamples, seed, seed)


def paired_jackknife(a: pd.DataFrame | Tally, b: pd.DataFrame | Tally, measure: str | Measure = "ua") -> Interval:
    """`paired_difference` with Student's t interval from leaving out one speaker at a time (Efron & Tibshirani 1993, ch. 11).

    Where speakers are few it is wider than the percentile interval, and nearer to its 95 %. Raises as `paired_difference`
    does. The recall of a class that one speaker alone has cannot be told without that speaker: its interval is NaN.
    """
    first, second = _shared(a, b)
    if len(first.groups) < 2:
        return paired_difference(a, b, measure)
    return _students(*_left_out(_measure(measure), [first], [second]), len(first.groups) - 1)


def paired_over_seeds(
    a: pd.DataFrame | Tally, b: pd.DataFrame | Tally, measure: str | Measure = "ua", repeated: Iterable[Tally] = ()
) -> Interval:
    """`paired_jackknife` whose error also holds that of the seeds: what other speakers and other seeds would move it by.

    To the squared error over speakers comes twice the variance between seeds of one system, over the number of seeds that
    the two share. That variance is pooled over the systems `repeated` (by default these two) that have several; Student's t
    has the degrees of freedom of the sum (Satterthwaite 1946). What seeds change for single speakers is part of both terms, and
    is taken out of the first (`ErrorParts`); with one seed it cannot be, and the interval is too wide. Raises as
    `paired_difference` does; where no system has two seeds, or there are fewer than two speakers, the interval is NaN.
    """
    first, second = _shared(a, b)
    return _over(error_parts(first, second, measure, repeated), len(first.seeds))


def over_seeds(a: pd.DataFrame | Tally, measure: str | Measure = "ua", repeated: Iterable[Tally] = ()) -> Interval:
    """A system's measure with the interval of `paired_over_seeds`: what other speakers and other seeds would move it by."""
    own = _counted(a)
    parts = _error_parts(own, None, _measure(measure), repeated or (own,))
    return _over(replace(parts, seeds=parts.seeds / np.sqrt(2)), len(own.seeds))  # one system's seeds, not two


def _over(parts: ErrorParts, seeds: int) -> Interval:
    if np.isnan(parts.speakers + parts.seeds):
        return _without(parts.estimate)
    return _students(parts.estimate, *parts.over(seeds))


@dataclass(frozen=True)
class ErrorParts:
    """A paired difference, and what it would be moved by: a standard error over speakers, and a standard deviation between
    seeds of one system, each with the degrees of freedom that it was estimated with; NaN where that cannot be told.

    `within` is what seeds change for single speakers, as a standard deviation of the difference of one seed. The error over
    speakers, from `counted` seeds, holds it too; it is NaN, and cannot be told apart, where the two share one seed.
    """

    estimate: float
    speakers: float
    seeds: float
    freedom: tuple[int, int]
    within: float = float("nan")
    counted: int = 1

    def over(self, seeds: int) -> tuple[float, float]:
        """The standard error that `paired_over_seeds` uses, with so many seeds of both systems, and its degrees of freedom.

        Of one seed what it changes for single speakers counts twice: in the spread between seeds, and among the speakers.
        """
        if seeds > 1:
            return self._sum(self.persistent, seeds)
        return self._sum(self.speakers**2 if self.counted == 1 else self.persistent + self.within**2, seeds)

    def true(self, seeds: int) -> float:
        """The standard error with so many seeds, everything counted once."""
        return self._sum(self.persistent, seeds)[0]

    @property
    def persistent(self) -> float:
        """The part of the squared error over speakers that more seeds do not lessen."""
        return max(self.speakers**2 - self.within**2 / self.counted, 0.0)

    def _sum(self, speakers: float, seeds: int) -> tuple[float, float]:
        # The first part is a difference of two estimates. With degrees of freedom for both, simulated intervals of nine and ten
        # speakers raise false alarms in 0 to 3 % of studies; with those of the speakers alone in 4 to 6.
        return _satterthwaite([speakers, 2 * self.seeds**2 / seeds], self.freedom)


def _satterthwaite(variances: ArrayLike, freedom: ArrayLike) -> tuple[float, float]:
    """The standard error of a sum of independent estimates with these squared errors, and its degrees of freedom."""
    parts = np.asarray(variances, float)
    total = parts.sum()
    return float(np.sqrt(total)), float(total**2 / (parts**2 / np.asarray(freedom)).sum()) if total else 1.0


def error_parts(
    a: pd.DataFrame | Tally, b: pd.DataFrame | Tally, measure: str | Measure = "ua", repeated: Iterable[Tally] = ()
) -> ErrorParts:
    """What the error of `paired_over_seeds` consists of; arguments and errors are the same."""
    first, second = _shared(a, b)
    return _error_parts(first, second, _measure(measure), repeated or (first, second))


def _error_parts(first: Tally, second: Tally | None, function: Measure, repeated: Iterable[Tally]) -> ErrorParts:
    """`error_parts` of a difference, or where there is no second of the first alone."""
    speakers = len(first.groups)
    several = [function(each.counts.sum(axis=1)) for each in repeated if len(each.seeds) > 1]
    estimate, error = _left_out(function, [first], [] if second is None else [second])
    freedom = sum(len(values) - 1 for values in several)
    spread = np.sqrt(sum(((values - values.mean()) ** 2).sum() for values in several) / freedom) if several else np.nan
    found = ErrorParts(estimate, error if speakers > 1 else np.nan, float(spread), (speakers - 1, freedom))
    if speakers < 2 or len(first.seeds) < 2:
        return found
    pseudo = _pseudo_values(first, function)  # (seeds, speakers)
    if second is not None:
        pseudo = pseudo - _pseudo_values(second, function)
    return replace(found, within=float(np.sqrt(pseudo.var(axis=0, ddof=1).mean() / speakers)), counted=len(first.seeds))


def difference_of_differences(
    first: tuple[pd.DataFrame | Tally, pd.DataFrame | Tally],
    second: tuple[pd.DataFrame | Tally, pd.DataFrame | Tally],
    measure: str | Measure = "ua",
) -> Interval:
    """The `paired_jackknife` of the pair `first` minus that of `second`, the same speaker left out of all four.

    Raises SercoreError as `paired_difference` does, and where the pairs do not hold the same utterances.
    """
    _assert_same_utterances(_counted(first[0]), _counted(second[0]))
    (one, other), (base, other_base) = _shared(*first), _shared(*second)
    estimate, error = _left_out(_measure(measure), plus=(one, other_base), minus=(other, base))
    return _students(estimate, error, len(one.groups) - 1) if len(one.groups) > 1 else _without(estimate)


def mean_difference(
    pairs: Iterable[tuple[pd.DataFrame | Tally, pd.DataFrame | Tally]],
    measure: str | Measure = "ua",
    repeated: Iterable[Iterable[Tally]] | None = None,
) -> Interval:
    """The mean of the paired differences of several pairs, one a corpus, which weigh the same, with Student's t interval.

    The errors of the pairs are independent: over speakers (`paired_jackknife`), or with `repeated`, for each pair the systems
    whose seeds tell their spread, over speakers and seeds (`paired_over_seeds`). It speaks of these corpora alone: the
    interval does not hold the choice of corpora. Raises SercoreError as `paired_difference` does, and where there is no pair;
    where one of the pairs has no interval, the mean has none.
    """
    each = [_shared(a, b) for a, b in pairs]
    if not each:
        raise SercoreError("a mean difference needs a pair of systems")
    beside: list[tuple[Tally, ...]] = [()] * len(each) if repeated is None else [tuple(own) for own in repeated]
    parts = [_error_parts(*pair, _measure(measure), own or pair) for pair, own in zip(each, beside, strict=True)]
    moved = [
        (found.speakers, float(found.freedom[0])) if repeated is None else found.over(len(pair[0].seeds))
        for found, pair in zip(parts, each, strict=True)
    ]
    errors, freedom = np.transpose(moved)
    estimate = float(np.mean([found.estimate for found in parts]))
    if np.isnan(errors).any():
        return _without(estimate)
    return _students(estimate, *_satterthwaite((errors / len(each)) ** 2, freedom))


def difference_of_groups(
    predictions: pd.DataFrame | Tally,
    first: Iterable[str],
    second: Iterable[str],
    measure: str | Measure = "ua",
    resamples: int = RESAMPLES,
) -> Interval:
    """The measure over the speakers `first` minus that over the speakers `second`, with interval and p.

    One system, two sets of speakers (women and men, say), each resampled on its own. Interval and p are NaN for fewer than
    two speakers in either.
    """
    counted = _counted(predictions)
    return _of_difference(counted.of(first), counted.of(second), _measure(measure), resamples, 0, 1)


@remembered.counted
def range_by_chance(right: ArrayLike, groups: ArrayLike, labels: ArrayLike, draws: int = RESAMPLES, seed: int = 0) -> float:
    """How far apart in UA the best and the worst group lie on average where groups are alike: `right` is shuffled within a class.

    `right` (utterances,): 0 or 1, or the share of several seeds; `groups` and `labels` (utterances,).
    """
    values, random = np.asarray(right, float), np.random.default_rng(seed)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    classes, label = np.unique(np.asarray(labels), return_inverse=True)
    cell, shape = group * len(classes) + label, (len(names), len(classes))
    sizes = np.bincount(cell, minlength=np.prod(shape)).reshape(shape)
    members = [np.flatnonzero(label == index) for index in range(len(classes))]
    ranges = np.empty(draws)
    for draw in range(draws):
        shuffled = values.copy()
        for own in members:
            shuffled[own] = values[random.permutation(own)]
        sums = np.bincount(cell, shuffled, minlength=np.prod(shape)).reshape(shape)
        shares = np.divide(sums, sizes, out=np.full(shape, np.nan), where=sizes > 0)
        ranges[draw] = np.ptp(np.nanmean(shares, axis=1))
    return float(ranges.mean())


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """P values adjusted by Holm's step-down method, in the given order.

    NaN stands for a comparison that was not made: it stays NaN and does not count.
    """
    p = np.asarray(p_values, dtype=np.float64)
    made = p[~np.isnan(p)]
    if p.ndim != 1 or not ((made >= 0) & (made <= 1)).all():
        raise SercoreError(f"p values must be a list of numbers from 0 to 1, not {p.tolist()}")
    order = np.argsort(p, kind="stable")[: len(made)]  # NaN is sorted to the end
    adjusted = np.full_like(p, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(made), 0, -1)), 1.0)
    return adjusted


def fold_mean_sd(predictions: pd.DataFrame | Tally, measure: str | Measure = "ua") -> tuple[float, float]:
    """Mean and SD (n - 1) over the folds of a measure first averaged over the seeds; SD is NaN for one fold.

    `predictions` as for `tally`, with the column `fold` in place of `speaker`, or a tally by fold.
    """
    counted = predictions if isinstance(predictions, Tally) else tally(predictions, by="fold")
    values = _measure(measure)(counted.counts).mean(axis=0)
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else float("nan")


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of two quantities within groups, and how often chance alone gives one as far from 0.

    `least` is the smallest p that so few units permit: one of all their orders."""

    rho: float
    p: float
    pairs: int
    least: float


@remembered.counted_as(Correlation)
def correlation_within(
    x: ArrayLike, y: ArrayLike, groups: ArrayLike, units: ArrayLike, resamples: int = RESAMPLES, seed: int = 0
) -> Correlation:
    """Do `x` and `y` go together within groups? The ranks are taken in each group (a fold is hard or easy for all alike).

    p is from shuffling `y` among the units (systems, say), each in all groups at once, because what recurs from group to
    group is not independent (Davison & Hinkley 1997, equation 4.11): every order once where there are no more than
    `resamples`, so many drawn ones otherwise. Each unit has one value in every group, or none there. Groups of one count for
    nothing; raises `SercoreError` where there are no others.
    """
    frame = pd.DataFrame(
        {"x": np.asarray(x, float), "y": np.asarray(y, float), "group": np.asarray(groups), "unit": np.asarray(units)}
    )
    if frame.duplicated(["group", "unit"]).any():
        raise SercoreError("a correlation within groups takes one value of a unit in each group")
    frame = frame[frame.groupby("group")["x"].transform("size") > 1]
    if frame.empty:
        raise SercoreError("a correlation within groups needs a group of two or more")
    ranks = frame.groupby("group")[["x", "y"]].rank()
    centred = ranks - ranks.groupby(frame["group"]).transform("mean")
    scale = np.sqrt((centred**2).sum(axis=0).prod())
    if scale == 0:
        raise SercoreError("a correlation needs values that differ within a group")
    # (units, groups), with 0, which is the mean, where a unit has no value
    both = [centred[name].groupby([frame["unit"], frame["group"]]).sum().unstack(fill_value=0.0).to_numpy() for name in "xy"]
    units_there, random = len(both[0]), np.random.default_rng(seed)
    possible = math.factorial(units_there)
    whole = possible <= resamples
    orders = itertools.permutations(range(units_there)) if whole else (random.permutation(units_there) for _ in range(resamples))
    draws = np.array([(both[0] * both[1][list(order)]).sum() / scale for order in orders])
    rho = float((both[0] * both[1]).sum() / scale)
    as_far = int((np.abs(draws) >= abs(rho) - 1e-12).sum())
    p = as_far / possible if whole else (1 + as_far) / (resamples + 1)
    return Correlation(rho, p, len(frame), 1 / possible)


def common_seeds(a: Tally, b: Tally) -> tuple[int, ...]:
    """The seeds of both, sorted: a difference compares like with like."""
    return tuple(sorted(set(a.seeds) & set(b.seeds)))


def _difference(
    first: Tally, second: Tally, measure: Measure, resamples: int, seed: int, other: int
) -> tuple[float, NDArray[np.float64]]:
    """The difference and its resamples (resamples,), the second drawn with the seed `other`."""
    (estimate_a, draws_a), (estimate_b, draws_b) = (
        _draws(each, measure, resamples, own) for each, own in ((first, seed), (second, other))
    )
    return estimate_a - estimate_b, draws_a - draws_b


@remembered.counted_as(Interval)
def _of_speakers(tally: Tally, measure: Measure, resamples: int, seed: int) -> Interval:
    estimate, draws = _draws(tally, measure, resamples, seed)
    return Interval(estimate, *_percentiles(draws))


@remembered.counted_as(Interval)
def _of_difference(first: Tally, second: Tally, measure: Measure, resamples: int, seed: int, other: int) -> Interval:
    return _tested(*_difference(first, second, measure, resamples, seed, other))


def _shared(a: pd.DataFrame | Tally, b: pd.DataFrame | Tally) -> tuple[Tally, Tally]:
    """Both over the seeds that they have in common, after a check that they hold the same utterances."""
    first, second = _counted(a), _counted(b)
    _assert_same_utterances(first, second)
    if not (seeds := common_seeds(first, second)):
        raise SercoreError(f"no seed in common: {list(first.seeds)} and {list(second.seeds)}")
    return first.select(seeds), second.select(seeds)


def _left_out(function: Measure, plus: Iterable[Tally], minus: Iterable[Tally] = ()) -> tuple[float, float]:
    """The measures `plus` less those `minus`, and the standard error of that from leaving out one speaker of all at a time."""
    signs = [*((1, each) for each in plus), *((-1, each) for each in minus)]
    left_out = sum(
        sign * function(each.counts.sum(axis=1, keepdims=True) - each.counts).mean(axis=0) for sign, each in signs
    )  # (speakers,)
    estimate = sum(sign * function(each.counts.sum(axis=1)).mean() for sign, each in signs)
    return float(estimate), float(np.sqrt((np.size(left_out) - 1) * np.var(left_out)))


def _pseudo_values(counted: Tally, function: Measure) -> NDArray[np.float64]:
    """What each speaker adds to the measure of each seed (seeds, speakers): Efron & Tibshirani (1993), equation 11.15."""
    total, speakers = counted.counts.sum(axis=1, keepdims=True), len(counted.groups)
    return speakers * function(total) - (speakers - 1) * function(total - counted.counts)


def _without(estimate: float) -> Interval:
    """An estimate that has no interval."""
    return Interval(estimate, float("nan"), float("nan"))


def _students(estimate: float, error: float, freedom: float) -> Interval:
    """Student's t interval and two-sided p of an estimate with this standard error."""
    from scipy.special import stdtr, stdtrit  # what scipy.stats.t asks, at a hundredth of its cost

    reach = error * stdtrit(freedom, (1 + CONFIDENCE) / 2)
    p = 2 * stdtr(freedom, -abs(estimate) / error) if error != 0 else float(estimate == 0)
    return Interval(estimate, float(estimate - reach), float(estimate + reach), float(p))


def _tested(difference: float, draws: NDArray[np.float64]) -> Interval:
    """A difference with its interval, and p from how many of its resamples lie on either side of 0."""
    known = draws[~np.isnan(draws)]
    if not len(known):
        return Interval(difference, *_percentiles(draws))
    tail = min((known <= 0).sum(), (known >= 0).sum())
    return Interval(difference, *_percentiles(draws), p=float(min(1.0, 2 * (1 + tail) / (len(known) + 1))))


def _counted(predictions: pd.DataFrame | Tally) -> Tally:
    return predictions if isinstance(predictions, Tally) else tally(predictions)


def _measure(measure: str | Measure) -> Measure:
    if not isinstance(measure, str):
        return measure
    if measure not in MEASURES:
        raise SercoreError(f"unknown measure {measure!r}: choose one of {', '.join(MEASURES)}")
    return MEASURES[measure]


@lru_cache(maxsize=8)
def _weights(groups: int, resamples: int, seed: int) -> NDArray[np.float32]:
    """How often each speaker was drawn (resamples, groups); equal for equal arguments, which pairs
    systems."""
    drawn = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=resamples)
    return drawn.astype(np.float32)


def _draws(counted: Tally, measure: Measure, resamples: int, seed: int) -> tuple[float, NDArray[np.float64]]:
    """The measure of the tally and of its resamples (resamples,); the tally remembers them, since many comparisons ask.

    Fewer than two speakers, or nobody's name known, cannot be resampled: NaN.
    """
    if len(counted.groups) < 2:
        return float(measure(counted.counts.sum(axis=1)).mean()), np.full(resamples, np.nan)
    key = measure, resamples, seed
    if key not in counted.drawn:
        drawn = measure(_resampled(counted, resamples, seed)).mean(axis=1)
        counted.drawn[key] = float(measure(counted.counts.sum(axis=1)).mean()), drawn
    return counted.drawn[key]


@lru_cache(maxsize=4)  # several measures are asked of one tally
def _resampled(counted: Tally, resamples: int, seed: int) -> NDArray[np.float64]:
    """Confusion counts of the resamples (resamples, seeds, classes, classes).

    They are whole numbers: where float32 holds all that can come up it multiplies as exactly, in half the time.
    """
    groups = len(counted.groups)
    exact: type[Any] = np.float32 if groups * int(counted.counts.sum(axis=1).max()) < 2**24 else np.float64
    weights = _weights(groups, resamples, seed).astype(exact, copy=False)
    return np.tensordot(weights, counted.counts.astype(exact), axes=(1, 1)).astype(np.float64)


def _percentiles(draws: NDArray[np.float64]) -> tuple[float, float]:
    if np.isnan(draws).all():
        return float("nan"), float("nan")
    # A class that one speaker alone has is absent from some resamples, and its recall there undefined.
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _assert_same_utterances(a: Tally, b: Tally) -> None:
    if a.utterances.equals(b.utterances):
        return
    both = a.utterances.merge(b.utterances, on="utterance", how="outer", indicator=True)
    shared = both[both["_merge"] == "both"]
    differ = (shared["group_x"] != shared["group_y"]) | (shared["label_x"] != shared["label_y"])
    raise SercoreError(
        "a paired difference needs the same utterances on both sides: "
        f"{(both['_merge'] == 'left_only').sum()} only in the first, "
        f"{(both['_merge'] == 'right_only').sum()} only in the second, "
        f"{differ.sum()} with another speaker or label"
    )

"""The paper's claims, the rules that settle them, and the verdicts that the records give.

Every size that decides stands here, and was fixed before the runs that it judges (the comparison `3-best` came after most of
them, see `plan`). An effect is a difference in percentage points
with an interval over speakers and seeds (`sercore.evidence.statistics.paired_over_seeds`; until 26 November 2026 verdicts rested
on speakers alone, see the page `plan`); the interval decides:

| verdict | the interval |
| --- | --- |
| replicates | lies above 0, and its upper end reaches the claimed size |
| same direction | lies above 0, and wholly below the claimed size |
| size excluded | contains 0, and lies wholly below the claimed size |
| undecided | contains 0 and the claimed size |
| contradicted | lies below 0 |
| not testable | is not there: it takes two speakers by name, or more |

Claim 5 compares the baseline with the earlier systems of Table 1, each measured on the same parts (the rule is of 26 November
2026, before any of them had been run; until then it compared reported numbers, on IEMOCAP alone): it replicates where the
interval of the baseline's gain lies above 0 for more than half of them and the baseline is as small as the paper says, it is
contradicted where for more than half the interval lies below 0, or the baseline is larger, and it is undecided otherwise. On a
corpus without audio "half" is of the three that hear log-Mel energies. The spread between seeds is pooled over the systems
compared.

A claim about several comparisons holds where each of them lies above 0, and before it can hold, all must have been measured;
until then it is "not yet measured", as is one whose place has no system with a second seed. It is contradicted where one of them
lies below 0 after Holm's correction over its comparisons.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from .. import corpora
from ..corpora.base import LABELS
from ..corpora.protocol import FOLDS
from ..errors import SercoreError
from ..lab.systems import TABLE_1, TABLE_2, measurable
from . import paper, statistics
from .statistics import Interval, Tally

RESAMPLES = 10_000
BOOTSTRAP_SEED = 0
MINIMUM_SEEDS = 5  # fewer are named in the column `missing`
GAIN = 4.0  # points UA by which the best of each family beats the baseline
HAPPY_GAIN = 13.0  # percent of the baseline's own recall of happy
POOLING_GROWTH = 0.07  # percent more parameters for combined pooling, as rounded to GROWTH_DIGITS
GROWTH_DIGITS = 2
PARAMETER_LIMIT = 360_000  # the baseline has fewer
BEST = {"ams": "ams-s10-m0.4", "focal": "focal-g2-a2", "combined": "combined"}  # as the text names them

JUDGED = ("replicates", "same direction", "undecided", "size excluded", "contradicted")
VERDICTS = (*JUDGED, "not yet measured", "not testable")
"""From what speaks for a claim to what speaks against it."""
HELD, WEAKER, OPEN, EXCLUDED, REVERSED, MISSING, UNTESTABLE = VERDICTS

NO_SPEAKERS = "without the names of two speakers there is no interval"
NO_ROOM = "the baseline's own recall leaves no room for so large a gain"
NO_SEEDS = "without a second seed of any system there is no interval"

_HAPPY = LABELS.index("happy")
_MEASURES = {
    "UA": statistics.MEASURES["ua"],
    "WA": statistics.MEASURES["wa"],
    "recall of happy": statistics.recall_of(_HAPPY),
    "recall of happy over the mean of the others": statistics.recall_over_others(_HAPPY),
}


@dataclass(frozen=True)
class Claim:
    """One claim in our words: `pairs` of (system, reference) are compared in every one of `measures`."""

    key: str
    number: int  # as listed on the page about the paper
    text: str
    measures: tuple[str, ...]
    size: float  # claimed, in points, or in percent where `relative` (of the reference) or of parameters
    pairs: tuple[tuple[str, str], ...]
    where: str  # in the paper
    relative: bool = False
    asked: bool = False  # by us: the paper does not say it


def _against_baseline(*systems: str) -> tuple[tuple[str, str], ...]:
    return tuple((system, "baseline") for system in systems)


def _best(key: str, name: str) -> Claim:
    text = f"{name}, as the paper sets it best, gains at least {GAIN:.1f} points UA over the baseline."
    return Claim(key, 2, text, ("UA",), GAIN, _against_baseline(BEST[key[2:]]), "Table 2 and section 4.3")


def _together(key: str, name: str) -> Claim:
    slug = f"{BEST[key[2:]]}+combined"
    text = f"{name} and combined pooling together do better than either of them alone."
    pairs = ((slug, BEST[key[2:]]), (slug, "combined"))
    return Claim(key, 6, text, ("UA",), 0.0, pairs, "section 5, left to future work", asked=True)


CLAIMS = (
    Claim(
        key="1-all",
        number=1,
        text="Every setting of AMS and of focal loss, and combined pooling, beats the baseline in UA and WA.",
        measures=("UA", "WA"),
        size=0.0,
        pairs=_against_baseline(*(slug for slug in TABLE_2 if slug != "baseline")),
        where="Table 2 and section 4.3",
    ),
    _best("2-ams", "AMS"),
    _best("2-focal", "Focal loss"),
    _best("2-combined", "Combined pooling"),
    Claim(
        key="3-happy",
        number=3,
        text=f"Focal loss raises the recall of happy, by up to {HAPPY_GAIN:.0f} % of the baseline's.",
        measures=("recall of happy",),
        size=HAPPY_GAIN,
        pairs=_against_baseline(BEST["focal"]),
        where="Figure 2 and section 4.3",
        relative=True,
    ),
    Claim(
        key="3-most",
        number=3,
        text="Focal loss helps happy more than it helps the other classes on average (asked by us).",
        measures=("recall of happy over the mean of the others",),
        size=0.0,
        pairs=_against_baseline(BEST["focal"]),
        where="section 4.3",
        asked=True,
    ),
    Claim(
        key="3-best",
        number=3,
        text="Of AMS, focal loss and combined pooling, focal loss classifies happy best.",
        measures=("recall of happy",),
        size=0.0,
        pairs=((BEST["focal"], BEST["ams"]), (BEST["focal"], BEST["combined"])),
        where="section 4.3, summing up",
    ),
    Claim(
        key="4-parameters",
        number=4,
        text=f"AMS and focal loss need no more parameters, combined pooling about {POOLING_GROWTH} % more.",
        measures=("parameters",),
        size=POOLING_GROWTH,
        pairs=_against_baseline(*BEST.values()),
        where="sections 3.2 and 4.3",
    ),
    Claim(
        key="5-prior",
        number=5,
        text=f"The baseline beats most of the seven earlier systems, with fewer than {PARAMETER_LIMIT:,} parameters.",
        measures=("UA",),
        size=0.0,
        pairs=tuple(("baseline", slug) for slug in paper.SOURCES),
        where="Table 1 and section 4.2",
    ),
    _together("6-ams", "AMS"),
    _together("6-focal", "Focal loss"),
)
ASKED = tuple(claim.key for claim in CLAIMS if claim.asked)
"""What we ask beside the paper's claims: none of them counts among these."""


def verdict(interval: Interval, claimed: float) -> str:
    """What an interval says about a difference claimed to be `claimed` or more in the same unit."""
    if np.isnan(interval.low):
        return UNTESTABLE
    if interval.low > 0:
        return HELD if interval.high >= claimed else WEAKER
    if interval.high < 0:
        return REVERSED
    return EXCLUDED if interval.high < claimed else OPEN


Difference = Callable[[Tally, Tally, statistics.Measure, Collection[Tally]], Interval]
"""The difference of two systems in a measure, with its interval; the last are the systems measured in the same place."""


def over_speakers(a: Tally, b: Tally, measure: statistics.Measure, beside: Collection[Tally] = ()) -> Interval:
    """Speakers resampled, as the verdicts were decided until 26 November 2026."""
    return statistics.paired_difference(a, b, measure, RESAMPLES, BOOTSTRAP_SEED)


def over_few_speakers(a: Tally, b: Tally, measure: statistics.Measure, beside: Collection[Tally] = ()) -> Interval:
    """Wider, since speakers are few: Student's t on a jackknife over speakers."""
    return statistics.paired_jackknife(a, b, measure)


def over_speakers_and_seeds(a: Tally, b: Tally, measure: statistics.Measure, beside: Collection[Tally] = ()) -> Interval:
    """The `Difference` that the verdicts rest on: wider still, with what another seed would change."""
    return statistics.paired_over_seeds(a, b, measure, beside)


def settle(
    predictions: pd.DataFrame,
    runs: pd.DataFrame,
    cells: Iterable[tuple[str, str]] = (),
    difference: Difference = over_speakers_and_seeds,
    by: str = "speaker",
) -> pd.DataFrame:
    """One row for each claim, corpus and protocol that was measured, or is named in `cells`.

    `predictions`: corpus, protocol, system, seed, fold, utterance, speaker, label, prediction (labels by name).
    `runs`: corpus, protocol, system, parameters, and `changed` where it is known. Columns: `claim`, `number`, `corpus`,
    `protocol`, `systems` (the comparison shown, the weakest of several), `measure`, `claimed`, `effect`, `low`, `high`
    (points; percent of parameters for claim 4), `p` (NaN for a claim of several comparisons), `p_holm` (over the claims of
    one corpus and protocol), `p_against` (the smallest p of a comparison below 0, after Holm's correction over those of the
    claim; 1 where none is), `verdict`, `seeds`, `missing`, `provisional`, `detail`. The verdict rests on the
    interval, not on p; another `difference` says what another kind of interval would have decided, and with `by` "fold" the
    folds take the place of the speakers in it.
    """
    return settle_by([difference], predictions, runs, cells, by)[0]


def settle_by(
    differences: Iterable[Difference],
    predictions: pd.DataFrame,
    runs: pd.DataFrame,
    cells: Iterable[tuple[str, str]] = (),
    by: str = "speaker",
) -> list[pd.DataFrame]:
    """`settle` by several kinds of intervals, the predictions counted once."""
    found = _cells(predictions, runs, cells, by)
    return [
        _table([[_settle(claim, replace(cell, between=difference)) for claim in CLAIMS] for cell in found])
        for difference in differences
    ]


@dataclass(frozen=True)
class _Cell:
    """What was measured on one corpus under one protocol: the seeds of which all folds are there."""

    corpus: str
    protocol: str
    tallies: dict[str, Tally]
    parameters: dict[str, int]
    changed: dict[str, str]  # settings that neither system nor corpus explains
    between: Difference = over_speakers_and_seeds

    def seeds(self, *systems: str) -> tuple[int, ...]:
        """The whole seeds that all of `systems` have; none where one of them was not measured."""
        each = [set(self.tallies[system].seeds) if system in self.tallies else set() for system in systems]
        return tuple(sorted(set.intersection(*each)))

    def difference(self, system: str, reference: str, measure: str) -> Interval:
        """In points, over the seeds that both have."""
        trained_alike = {"baseline", *TABLE_1} if reference in TABLE_1 else set(self.tallies) - set(TABLE_1)
        beside = [tally for slug, tally in self.tallies.items() if "@" not in slug and slug in trained_alike]
        return self.between(self.tallies[system], self.tallies[reference], _MEASURES[measure], beside).percent()

    def missing(self, *systems: str) -> str:
        """What is lacking of `systems`: their names, or the number of seeds."""
        absent = [system for system in dict.fromkeys(systems) if not self.seeds(system)]
        present = set(systems) - set(absent)
        lacking = MINIMUM_SEEDS - len(self.seeds(*present)) if present else 0
        few = f"{lacking} more seed{'s' if lacking > 1 else ''}, of {MINIMUM_SEEDS}" if lacking > 0 else ""
        other = [f"{system} without {self.changed[system]}" for system in sorted(present) if self.changed.get(system)]
        return "; ".join(filter(None, [", ".join(absent), few, ", ".join(other)]))

    def provisional(self, *systems: str) -> bool:
        """True where those of `systems` that are there have fewer seeds than asked for, or were trained otherwise."""
        present = [system for system in systems if self.seeds(system)]
        return bool(present) and (len(self.seeds(*present)) < MINIMUM_SEEDS or any(map(self.changed.get, present)))


def _cells(predictions: pd.DataFrame, runs: pd.DataFrame, named: Iterable[tuple[str, str]], by: str) -> list[_Cell]:
    columns = ("corpus", "protocol", "system", "seed", "fold", "utterance", "speaker", "label", "prediction")
    lacking = [f"predictions: {name}" for name in columns if name not in predictions]
    lacking += [f"runs: {name}" for name in (*columns[:3], "parameters") if name not in runs]
    if lacking:
        raise SercoreError("the records lack columns: " + ", ".join(lacking))
    keys = ["corpus", "protocol"]
    measured: dict[Any, pd.DataFrame] = dict(iter(predictions.groupby(keys, observed=True)))
    counted: dict[Any, pd.DataFrame] = dict(iter(runs.groupby(keys, observed=True)))
    return [
        _Cell(
            key[0],
            key[1],
            _tallies(measured.get(key, predictions[:0]), by),
            _parameters(counted.get(key, runs[:0])),
            _changed(counted.get(key, runs[:0])),
        )
        for key in sorted({*measured, *counted, *named})
    ]


def _tallies(frame: pd.DataFrame, by: str) -> dict[str, Tally]:
    names = frame[["label", "prediction"]].astype(str)
    classes = [*LABELS, *sorted({name for column in names for name in names[column].unique()} - set(LABELS))]
    numbers = {name: pd.Categorical(names[name], classes).codes.astype(np.int64) for name in names}
    rows = frame.assign(**numbers)
    whole = rows[rows.groupby(["system", "seed"], observed=True)["fold"].transform("nunique") == FOLDS]
    return {str(system): statistics.tally(group, by) for system, group in whole.groupby("system", observed=True)}


def _parameters(runs: pd.DataFrame) -> dict[str, int]:
    counts = runs.groupby("system", observed=True)["parameters"].unique()
    several = [f"{system} {found.tolist()}" for system, found in counts.items() if len(found) > 1]
    if several:
        raise SercoreError(f"runs of one system have different numbers of parameters: {', '.join(several)}")
    return {str(system): int(found[0]) for system, found in counts.items()}


def _changed(runs: pd.DataFrame) -> dict[str, str]:
    if "changed" not in runs:
        return {}
    own = runs[runs["changed"] != ""]
    return {str(system): " and ".join(sorted(set(found))) for system, found in own.groupby("system", observed=True)["changed"]}


def _settle(claim: Claim, cell: _Cell) -> dict[str, Any]:
    place = {"claim": claim.key, "number": claim.number, "corpus": cell.corpus, "protocol": cell.protocol}
    compared = ", ".join(" - ".join(pair) for pair in claim.pairs)
    shown = {"systems": compared, "measure": ", ".join(claim.measures), "claimed": claim.size}
    nothing = {"verdict": MISSING, "seeds": 0, "missing": "", "provisional": False, "detail": ""}
    rule = {4: _settle_parameters, 5: _settle_prior}.get(claim.number, _settle_pairs)
    return place | shown | _numbers() | nothing | rule(claim, cell)


def _settle_pairs(claim: Claim, cell: _Cell) -> dict[str, Any]:
    compared = [system for pair in claim.pairs for system in pair]
    missing = cell.missing(*compared)
    measured = [pair for pair in claim.pairs if cell.seeds(*pair)]
    if not measured:
        return {"missing": missing}
    if claim.number == 3 and not (cell.tallies["baseline"].utterances["label"] == _HAPPY).any():
        return {"verdict": UNTESTABLE, "detail": "the corpus has no happy utterances"}
    found = {(pair, name): cell.difference(*pair, name) for pair in measured for name in claim.measures}
    sizes = {(pair, name): _claimed(claim, cell, pair, name) for pair, name in found}
    if claim.relative and all(np.isinf(size) for size in sizes.values()):
        return {"verdict": UNTESTABLE, "missing": missing, "detail": NO_ROOM}
    verdicts = _verdicts(found, sizes)
    weakest = min(found, key=lambda key: (-VERDICTS.index(verdicts[key]), _least(found[key])))
    whole = len(measured) == len(claim.pairs)
    fails = verdicts[weakest] in (OPEN, EXCLUDED, REVERSED, UNTESTABLE)
    told = verdicts[weakest] != UNTESTABLE
    people = len(cell.tallies[weakest[0][0]].groups) > 1
    above = sum(all(found[pair, measure].low > 0 for measure in claim.measures) for pair in measured)
    counted = f"{above} of {len(measured)} measured lie above 0; the claim compares {len(claim.pairs)}"
    # A joint claim holds only where every part does, and the verdict is that of the weakest: it has no p of its own.
    joint = found[weakest] if len(found) == 1 and whole else replace(found[weakest], p=float("nan"))
    return {
        "systems": " - ".join(weakest[0]),
        "measure": weakest[1],
        "claimed": sizes[weakest],
        **_numbers(joint),
        "verdict": verdicts[weakest] if (whole or fails) and (told or not people) else MISSING,
        "seeds": min(len(cell.seeds(*pair)) for pair in measured),
        "missing": missing,
        "provisional": cell.provisional(*compared),
        "p_against": _against(found.values()),
        "detail": (NO_SEEDS if people else NO_SPEAKERS) if not told else counted if len(claim.pairs) > 1 else "",
    }


def _least(interval: Interval) -> float:
    """The lower end of an interval, or where there is none the difference itself."""
    return interval.estimate if np.isnan(interval.low) else interval.low


def _against(found: Collection[Interval]) -> float:
    """The smallest corrected p of those that lie below 0."""
    corrected = zip(found, statistics.holm([interval.p for interval in found]), strict=True)
    return min((float(p) for interval, p in corrected if interval.estimate < 0), default=1.0)


def _verdicts(found: dict[Any, Interval], sizes: dict[Any, float]) -> dict[Any, str]:
    """The verdict on each comparison of a claim; of several only what Holm's correction leaves contradicts it."""
    alone = {key: verdict(found[key], sizes[key]) for key in found}
    corrected = dict(zip(found, statistics.holm([found[key].p for key in found]), strict=True))
    level = 1 - statistics.CONFIDENCE
    return {key: OPEN if said == REVERSED and corrected[key] >= level else said for key, said in alone.items()}


def _claimed(claim: Claim, cell: _Cell, pair: tuple[str, str], measure: str) -> float:
    """The claimed size in points; infinite where the reference is too good for it."""
    if not claim.relative:
        return claim.size
    counts = cell.tallies[pair[1]].select(cell.seeds(*pair)).counts.sum(axis=1)
    before = float(_MEASURES[measure](counts).mean())
    return claim.size * before if 100 * before + claim.size * before <= 100 else float("inf")


def _settle_parameters(claim: Claim, cell: _Cell) -> dict[str, Any]:
    slugs = ["baseline", *BEST.values()]
    missing = ", ".join(slug for slug in slugs if slug not in cell.parameters)
    if "baseline" not in cell.parameters:
        return {"missing": missing}
    baseline = cell.parameters["baseline"]
    heard = cell.tallies["baseline"].utterances["label"].nunique() if "baseline" in cell.tallies else len(LABELS)
    if heard != len(LABELS):
        return {"verdict": UNTESTABLE, "detail": f"the claim is about {len(LABELS)} classes, the corpus has {heard}"}
    more = {slug: cell.parameters[slug] - baseline for slug in BEST.values() if slug in cell.parameters}
    fails = any(more.get(BEST[family], 0) > 0 for family in ("ams", "focal"))
    growth = 100 * more.get(BEST["combined"], float("nan")) / baseline
    fails |= BEST["combined"] in more and round(growth, GROWTH_DIGITS) != claim.size
    return {
        **_numbers(Interval(growth, growth, growth)),
        "verdict": REVERSED if fails else MISSING if missing else HELD,
        "missing": missing,
        "detail": ", ".join([f"baseline {baseline:,}", *(f"{slug} {n:+,}" for slug, n in more.items())]),
    }


def _settle_prior(claim: Claim, cell: _Cell) -> dict[str, Any]:
    table = paper.table_1().set_index("group")["ua"]
    prior, reported = table["prior"], table["baseline"]
    said = f"the paper, from seven sources: {reported} % UA, above {(prior < reported).sum()} of {len(prior)}"
    spectra = cell.corpus in corpora.names() and corpora.get(cell.corpus).spectra
    pairs = [pair for pair in claim.pairs if measurable(pair[1], spectra)]
    missing = cell.missing(*(system for pair in pairs for system in pair))
    measured = [pair for pair in pairs if cell.seeds(*pair)]
    if not measured:
        return {"missing": missing, "detail": said}
    found = {pair: cell.difference(*pair, "UA") for pair in measured}
    needed = len(pairs) // 2 + 1
    above = sum(interval.low > 0 for interval in found.values())
    below = sum(interval.high < 0 for interval in found.values())
    light = cell.parameters["baseline"] < PARAMETER_LIMIT
    known = not any(np.isnan(interval.low) for interval in found.values())
    decided = above >= needed or below >= needed or not light
    judged = HELD if above >= needed and light else REVERSED if decided else OPEN
    # the one on which the claim turns: as many lie at or above it as it takes
    turning = sorted(found, key=lambda pair: -_least(found[pair]))[min(needed, len(found)) - 1]
    told = judged if decided or len(found) == len(pairs) else MISSING
    people = len(cell.tallies["baseline"].groups) > 1
    few = f" (of {len(claim.pairs)}, those that hear log-Mel energies)" if len(pairs) < len(claim.pairs) else ""
    counted = f"above {above} and below {below} of {len(measured)} measured; the claim compares {len(pairs)}{few}; {said}"
    return {
        "systems": " - ".join(turning),
        **_numbers(replace(found[turning], p=float("nan"))),
        "verdict": told if known else MISSING if people else UNTESTABLE,
        "seeds": min(len(cell.seeds(*pair)) for pair in measured),
        "missing": missing,
        "provisional": cell.provisional(*(system for pair in pairs for system in pair)),
        "detail": (NO_SEEDS if people else NO_SPEAKERS) if not known else counted,
    }


def _numbers(interval: Interval | None = None) -> dict[str, float]:
    nan = float("nan")
    shown = interval or Interval(nan, nan, nan)
    return {"effect": shown.estimate, "low": shown.low, "high": shown.high, "p": shown.p, "p_holm": nan, "p_against": nan}


def _table(blocks: list[list[dict[str, Any]]]) -> pd.DataFrame:
    """One table of all blocks of rows, with Holm's correction within each block."""
    frames = [pd.DataFrame(block) for block in blocks if block]
    corrected = [frame.assign(p_holm=statistics.holm(frame["p"])) for frame in frames]
    return pd.concat(corrected, ignore_index=True) if corrected else pd.DataFrame()

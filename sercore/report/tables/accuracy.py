"""UA and WA: the paper's Tables 1 and 2 beside ours, what a network has to beat, recalls and confusions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...evidence import paper, results, statistics
from ...lab import metrics, systems
from ...lab.yardstick import YARDSTICKS
from .measured import RESAMPLES, cells, coded, label_order, measured_systems, predictions_of_shared_seeds, tallied, trained_alike
from .words import TITLES, corpus_title, place_title, title, wide_gain, with_interval


def references(corpus: str, protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """What a network has to beat: the yardsticks (`sercore.lab.yardstick`) that were published, majority and chance.

    Rows with `slug`, `ua`, `wa`, and a yardstick's interval over speakers, `ua_low` and `ua_high`.
    """
    counts = results.utterances(corpus, folder)["label"].value_counts()
    chance, most = 100 / len(counts), 100 * counts.max() / counts.sum()
    rows = []
    for kind in YARDSTICKS:
        if (measured := yardstick_tally(corpus, protocol, folder, kind=kind)) is not None:
            ua, wa = (statistics.bootstrap_speakers(measured, measure, RESAMPLES).percent() for measure in ("ua", "wa"))
            rows.append({"slug": kind, "ua": ua.estimate, "ua_low": ua.low, "ua_high": ua.high, "wa": wa.estimate})
    rows += [{"slug": "majority", "ua": chance, "wa": most}, {"slug": "chance", "ua": chance, "wa": chance}]
    return pd.DataFrame(rows)


def yardstick_tally(
    corpus: str, protocol: str, folder: str | Path | None = None, seeds: Sequence[int] = (0,), kind: str = "bands"
) -> statistics.Tally | None:
    """The counts of a yardstick, for each of `seeds` the same: it draws nothing. None where it was not published."""
    now = results.yardstick_now(corpus, protocol, folder, kind)
    return None if now is None else _yardstick_tally(*now, tuple(seeds))


@functools.lru_cache(maxsize=256)
def _yardstick_tally(path: Path, stamp: tuple[int, int], seeds: tuple[int, ...]) -> statistics.Tally:
    if len(seeds) > 1:
        one = _yardstick_tally(path, stamp, seeds[:1])
        return replace(one, counts=np.repeat(one.counts, len(seeds), axis=0), seeds=seeds, drawn={}, chosen={})
    return statistics.tally(coded(pd.read_parquet(path).assign(seed=seeds[0])))


def over_yardsticks(folder: str | Path | None = None) -> pd.DataFrame:
    """By how much the baseline's UA lies above that of each yardstick on the same test utterances, in points: one row a
    yardstick, corpus and protocol, columns `kind, corpus, protocol, effect, low, high`."""
    rows = []
    for corpus, protocol in cells(folder):
        own = tallied(corpus, protocol, ["baseline"], folder).get("baseline")
        if own is None:
            continue
        for kind in YARDSTICKS:
            if (other := yardstick_tally(corpus, protocol, folder, own.seeds, kind)) is not None:
                found = statistics.paired_jackknife(own, other, "ua").percent()
                rows.append((kind, corpus, protocol, found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["kind", "corpus", "protocol", "effect", "low", "high"])


@results.once
def systems_table(
    corpus: str, protocol: str, slugs: Sequence[str], seeds: Sequence[int] | None = None, folder: str | Path | None = None
) -> pd.DataFrame:
    """One row a system: UA and WA pooled with intervals over speakers, over folds, the paired gain, and the costs.

    The gain is over `baseline`, over the seeds that both have. `gain_low` and `gain_high` are its interval over speakers alone,
    `wide_low`, `wide_high` and `p` those over speakers and seeds, which the verdicts rest on; `p_holm` is corrected over the
    rows. Only systems that were measured on every fold stand here; yardsticks, majority and chance close the table.
    """
    runs = results.runs(folder).query("corpus == @corpus and protocol == @protocol")
    if seeds is not None:
        runs = runs[runs["seed"].isin(seeds)]
    tallies, by_fold = (tallied(corpus, protocol, slugs, folder, seeds, by) for by in ("speaker", "fold"))
    alike, rows = trained_alike(corpus, protocol, folder), []
    for slug, tally in tallies.items():
        mine = runs[runs["system"] == slug]
        row = {"slug": slug, "system": title(slug), "seeds": len(tally.seeds)}
        for measure in ("ua", "wa"):
            pooled = statistics.bootstrap_speakers(tally, measure, RESAMPLES)
            mean, deviation = statistics.fold_mean_sd(by_fold[slug], measure)
            row |= {measure: 100 * pooled.estimate, f"{measure}_low": 100 * pooled.low, f"{measure}_high": 100 * pooled.high}
            row |= {f"{measure}_fold_mean": 100 * mean, f"{measure}_fold_sd": 100 * deviation}
        if slug != "baseline" and "baseline" in tallies:
            gain = statistics.paired_jackknife(tally, tallies["baseline"], "ua")
            wide = statistics.paired_over_seeds(tally, tallies["baseline"], "ua", alike.values())
            row |= {"gain": 100 * gain.estimate, "gain_low": 100 * gain.low, "gain_high": 100 * gain.high}
            row |= {"wide_low": 100 * wide.low, "wide_high": 100 * wide.high, "p": wide.p}
        row |= {"ece": 100 * mine["ece"].mean(), "parameters": int(mine["parameters"].iloc[0]), "epochs": mine["epochs"].mean()}
        row["seconds_per_epoch"] = (mine["seconds"] / mine["epochs"]).mean()
        rows.append(row)
    table = pd.DataFrame(rows)
    if "p" in table:
        table["p_holm"] = statistics.holm(table["p"].to_numpy(float))
    reference = references(corpus, protocol, folder)
    return pd.concat([table, reference.assign(system=reference["slug"].map(TITLES))], ignore_index=True)


def table_2(protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Table 2 under one protocol: the paper's UA and WA on IEMOCAP beside ours on every published corpus.

    One row a system of Table 2, then yardsticks, majority and chance. Columns of two levels: the source, then `UA`, `WA` and
    `gain`, the paired difference in UA to the baseline over the seeds that both have; ours of UA with 95 % intervals over
    speakers, of gains over speakers and seeds, and how many `seeds` where that differs. IEMOCAP's own columns are empty until
    somebody runs on it.
    """
    reported = paper.table_2().set_index("slug")
    corpora = [corpus for corpus, name in results.published(folder) if name == protocol]
    order = [*[corpus for corpus in corpora if corpus != "iemocap"], "iemocap"]
    measured = {
        corpus: systems_table(corpus, protocol, measured_systems(corpus, protocol, folder), folder=folder).set_index("slug")
        for corpus in corpora
    }
    beside = [*YARDSTICKS, "majority", "chance"]
    uneven = {corpus for corpus, table in measured.items() if table["seeds"].nunique() > 1}
    rows = []
    own = sorted(
        {slug for table in measured.values() for slug in table.index if isinstance(slug, str) and systems.is_own(slug)}
        - set(beside)
    )
    for slug in [*systems.TABLE_2, *own, *beside]:
        row: dict[tuple[str, str], object] = {("System", ""): title(slug)}
        row |= {("Paper on IEMOCAP", measure.upper()): reported[measure].get(slug, np.nan) for measure in ("ua", "wa")}
        for corpus in order:
            own = measured[corpus].loc[slug] if corpus in measured and slug in measured[corpus].index else {}
            source = f"{corpus_title(corpus)}, ours"
            if corpus in uneven:
                row[source, "seeds"] = f"{own['seeds']:.0f}" if own.get("seeds", 0) > 0 else None
            row |= {(source, "UA"): with_interval(own, "ua"), (source, "WA"): own.get("wa", np.nan)}
            row[source, "gain"] = wide_gain(own)
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))


def table_2_of(table: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """The part of `table_2` that is about one corpus: ours, then what the paper reports on IEMOCAP and what it gains there."""
    ours, theirs = table[f"{corpus_title(corpus)}, ours"], table["Paper on IEMOCAP"]
    shown = {"System": table["System", ""], "Gain": ours["gain"], "UA": ours["UA"], "WA": ours["WA"]}
    if "seeds" in ours:
        shown["Seeds"] = ours["seeds"]
    gained = theirs["UA"] - theirs["UA"].iloc[0]
    said = [None if np.isnan(gain) or not row else f"{gain:+.1f}".replace("-", "\u2212") for row, gain in enumerate(gained)]
    shown |= {"The paper: UA": theirs["UA"], "The paper: gain": said, "The paper: WA": theirs["WA"]}
    return pd.DataFrame(shown)


def shown_systems(table: pd.DataFrame) -> pd.DataFrame:
    """`systems_table` as a page shows it: values with their intervals, readable headers."""
    rows = []
    for _, row in table.iterrows():
        shown = {"System": row["system"], "UA, pooled": with_interval(row, "ua"), "WA, pooled": with_interval(row, "wa")}
        for measure in ("ua", "wa"):
            mean, deviation = row.get(f"{measure}_fold_mean", np.nan), row.get(f"{measure}_fold_sd", np.nan)
            shown[f"{measure.upper()}, mean ± SD of folds"] = None if np.isnan(mean) else f"{mean:.1f} ± {deviation:.1f}"
        shown |= {
            "Gain in UA": wide_gain(row),
            "p, Holm over the systems": row.get("p_holm", np.nan),
            "ECE": row.get("ece", np.nan),
        }
        shown |= {
            "Parameters": row.get("parameters", np.nan),
            "Epochs": row.get("epochs", np.nan),
            "s/epoch": row.get("seconds_per_epoch", np.nan),
        }
        rows.append(shown)
    return pd.DataFrame(rows)


def recall_table(
    corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None, seeds: Sequence[int] | None = None
) -> pd.DataFrame:
    """Recall of each class in percent with intervals over speakers: one row a system and class."""
    order = label_order(results.predictions(corpus, protocol, folder)["label"].unique())
    rows = []
    for slug, tally in tallied(corpus, protocol, slugs, folder, seeds).items():
        for index, label in enumerate(order):
            found = statistics.bootstrap_speakers(tally, statistics.recall_of(index), RESAMPLES)
            row = {"slug": slug, "label": label, "recall": 100 * found.estimate}
            rows.append(row | {"low": 100 * found.low, "high": 100 * found.high})
    return pd.DataFrame(rows)


CRITERION = {
    "recall": statistics.recall_of,
    "precision": statistics.precision_of,
    "f1": statistics.f1_of,
    "given": statistics.share_given,
}
"""What tells hearing a class better from giving its label more often."""


@results.once
def criterion(label: str, slug: str, folder: str | Path | None = None) -> pd.DataFrame:
    """How `slug` and the baseline do on one class: a row a place where both were measured and the class occurs.

    Columns: `group`, `seeds` (that both have), and for each of `CRITERION`, in percent, the baseline's value, and `_effect`,
    `_low`, `_high` and `_p` of the difference over speakers and seeds (NaN without a second seed).
    """
    rows = []
    for corpus, protocol in cells(folder):
        names = label_order(results.predictions(corpus, protocol, folder)["label"].unique())
        alike = trained_alike(corpus, protocol, folder)
        if label not in names or not {slug, "baseline"} <= set(alike):
            continue
        ours, theirs = alike[slug], alike["baseline"]
        if not (seeds := statistics.common_seeds(ours, theirs)):
            continue
        row: dict[str, object] = {"group": place_title(corpus, protocol), "seeds": len(seeds)}
        for name, measure in CRITERION.items():
            function = measure(names.index(label))
            gap = statistics.paired_over_seeds(ours, theirs, function, alike.values()).percent()
            row[name] = 100 * float(function(theirs.select(seeds).counts.sum(axis=1)).mean())
            row |= {f"{name}_effect": gap.estimate, f"{name}_low": gap.low, f"{name}_high": gap.high, f"{name}_p": gap.p}
        rows.append(row)
    ends = [f"{name}{end}" for name in CRITERION for end in ("", "_effect", "_low", "_high", "_p")]
    return pd.DataFrame(rows, columns=["group", "seeds", *ends])


@results.once
def recall_by_setting(label: str, family: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Recall of one class, in percent, under every setting of a family: a row a place where all of them and the baseline share
    seeds and the class occurs.

    Columns: `group`, `seeds` (as text), `baseline` over these, `baseline_all` over all of its seeds, and one a setting, by slug.
    """
    settings = [slug for slug in systems.TABLE_2 if systems.family(slug) == family and slug != "baseline"]
    rows = []
    for corpus, protocol in cells(folder):
        names = label_order(results.predictions(corpus, protocol, folder)["label"].unique())
        alike = trained_alike(corpus, protocol, folder)
        if label not in names or not {"baseline", *settings} <= set(alike):
            continue
        recall, own = statistics.recall_of(names.index(label)), [alike[slug] for slug in ("baseline", *settings)]
        seeds = sorted(set.intersection(*(set(tally.seeds) for tally in own)))
        if not seeds:
            continue
        values = [100 * float(recall(tally.select(seeds).counts.sum(axis=1)).mean()) for tally in own]
        row: dict[str, object] = {"group": place_title(corpus, protocol), "seeds": ", ".join(map(str, seeds))}
        row["baseline_all"] = 100 * float(recall(own[0].counts.sum(axis=1)).mean())
        rows.append(row | dict(zip(("baseline", *settings), values, strict=True)))
    return pd.DataFrame(rows, columns=["group", "seeds", "baseline", "baseline_all", *settings])


def confusions(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> dict[str, pd.DataFrame]:
    """Counts by slug over all folds and the seeds that all of `slugs` have, true classes down and predicted classes across."""
    frame = predictions_of_shared_seeds(corpus, protocol, slugs, folder)
    order, numbers = label_order(frame["label"].unique()), coded(frame)
    there, counted = set(frame["system"].unique()), {}
    for slug in (slug for slug in slugs if slug in there):
        own = numbers[numbers["system"] == slug]
        counts = metrics.confusion(own["label"].to_numpy(), own["prediction"].to_numpy(), len(order))
        counted[slug] = pd.DataFrame(counts, index=pd.Index(order, name="true"), columns=order)
    return counted


@results.once
def across_corpora(slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """The systems `slugs` on every published corpus and protocol, beside the paper's: UA, and the gain with its interval over
    speakers and seeds; of the baseline alone UA with its interval over speakers, and WA."""
    reported = paper.table_2().set_index("slug")
    rows: list[dict[tuple[str, str], object]] = []
    for slug in slugs:
        row: dict[tuple[str, str], object] = {("System", ""): title(slug)}
        row |= {("Paper on IEMOCAP", measure.upper()): reported[measure].get(slug, np.nan) for measure in ("ua", "wa")}
        rows.append(row)
    for corpus, protocol in cells(folder):
        table = systems_table(
            corpus, protocol, [s for s in slugs if s in measured_systems(corpus, protocol, folder)], folder=folder
        )
        found = table.set_index("slug")
        for row, slug in zip(rows, slugs, strict=True):
            own = found.loc[slug] if slug in found.index else {}
            place = place_title(corpus, protocol)
            if list(slugs) == ["baseline"]:
                row |= {(place, "UA"): with_interval(own, "ua"), (place, "WA"): own.get("wa", np.nan)}
            else:
                row |= {(place, "UA"): own.get("ua", np.nan), (place, "gain"): wide_gain(own)}
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))

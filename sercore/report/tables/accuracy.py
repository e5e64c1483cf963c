"""Tables of the book: published records in, frames out. Percentages throughout, UA first.

A cell without a record is NaN, which the pages show as a dash.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ...corpora import LABELS
from ...corpora.protocol import CLEAN, FOLDS
from ...errors import SercoreError
from ...evidence import claims, paper, results, statistics
from ...lab import metrics, systems
from ...lab.yardstick import YARDSTICKS

TITLES = {
    "baseline": "Baseline (softmax, attentive pooling)",
    "combined": "Combined attentive pooling",
    "chance": "Chance",
    "majority": "Always the most frequent class",
    "bands": "Logistic regression on the bands' means and deviations",
    "egemaps": "Support vector machine on eGeMAPS",
}
IN_COMBINATIONS = {slug: systems.FAMILIES[systems.family(slug)] for slug in systems.CLAIMS[1:]}
"""What the schemes are called where several meet, each in the setting that the paper names best."""
RESAMPLES = claims.RESAMPLES
ENDS = ("", "_low", "_high")


def title(slug: str) -> str:
    """A system's name as a reader meets it: `ams-s10-m0.4` -> `AMS, s = 10, m = 0.4`; `ams-s10-m0.4+combined` -> `AMS +
    combined pooling`."""
    if slug in TITLES:
        return TITLES[slug]
    name, _, settings = slug.partition("@")
    if "+" in name:
        text = " + ".join(IN_COMBINATIONS.get(part) or _scheme(part) for part in name.split("+"))
        text = text[0].upper() + text[1:]
    else:
        text = _scheme(name)
    return text + (f" ({settings})" if settings else "")


def _scheme(slug: str) -> str:
    family, *values = slug.split("-")
    symbols = {"s": "s", "m": "m", "g": "γ", "a": "α"}
    numbers = ", ".join(f"{symbols[value[0]]} = {value[1:]}" for value in values)
    name = systems.FAMILIES[family]
    return f"{name[0].upper()}{name[1:]}, {numbers}" if values else TITLES[slug]


def label_order(labels: Sequence[str]) -> list[str]:
    """The classes in the order of the paper where they are its four, in the alphabet's elsewhere."""
    found = set(labels)
    return [label for label in LABELS if label in found] if found <= set(LABELS) else sorted(found)


def coded(predictions: pd.DataFrame) -> pd.DataFrame:
    """The frame with `label` and `prediction` as numbers in the order of `label_order`."""
    codes = {label: index for index, label in enumerate(label_order(predictions["label"].unique()))}
    return predictions.assign(label=predictions["label"].map(codes), prediction=predictions["prediction"].map(codes))


def all_predictions(folder: str | Path | None = None, protocols: Sequence[str] = CLEAN) -> pd.DataFrame:
    """Every prediction published under `protocols`, with whole labels: what `sercore.claims.settle` takes."""
    frames = [results.predictions(corpus, name, folder) for corpus, name in results.published(folder) if name in protocols]
    columns = [*results.NAME, "utterance", "speaker", "label", "prediction"]
    return pd.concat([frame[columns] for frame in frames], ignore_index=True) if frames else pd.DataFrame(columns=columns)


def cells(folder: str | Path | None = None) -> list[tuple[str, str]]:
    """Published (corpus, protocol) pairs under the two honest protocols with a system on every fold, speakers apart first."""
    there = results.published(folder)
    pairs = [(corpus, name) for name in CLEAN for corpus, found in there if found == name]
    return [pair for pair in pairs if measured_systems(*pair, folder)]


def references(corpus: str, protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """What a network has to beat: the yardsticks (`sercore.yardstick`) that were published, majority and chance.

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
    frame = results.yardstick(corpus, protocol, folder, kind)
    return None if frame is None else statistics.tally(coded(pd.concat([frame.assign(seed=seed) for seed in seeds])))


def over_yardstick(kind: str = "bands", folder: str | Path | None = None) -> pd.DataFrame:
    """By how much the baseline's UA lies above that of a yardstick on the same test utterances, in points: one row a corpus and
    protocol, columns `corpus, protocol, effect, low, high`."""
    rows = []
    for corpus, protocol in cells(folder):
        own = _tallies(coded(results.predictions(corpus, protocol, folder)), ["baseline"]).get("baseline")
        if own is not None and (other := yardstick_tally(corpus, protocol, folder, own.seeds, kind)) is not None:
            found = statistics.paired_difference(own, other, "ua", RESAMPLES).percent()
            rows.append((corpus, protocol, found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["corpus", "protocol", "effect", "low", "high"])


def yardstick_gaps(folder: str | Path | None = None) -> pd.DataFrame:
    """What sharing speakers adds to the UA of the yardstick `bands`, in points: one row a corpus, columns `corpus, effect, low,
    high`."""
    rows = []
    for corpus in dict.fromkeys(corpus for corpus, _ in results.published(folder)):
        apart, shared = (yardstick_tally(corpus, protocol, folder) for protocol in CLEAN)
        if apart is not None and shared is not None:
            found = statistics.paired_difference(shared, apart, "ua", RESAMPLES).percent()
            rows.append((corpus, found.estimate, found.low, found.high))
    return pd.DataFrame(rows, columns=["corpus", "effect", "low", "high"])


def systems_table(
    corpus: str, protocol: str, slugs: Sequence[str], seeds: Sequence[int] | None = None, folder: str | Path | None = None
) -> pd.DataFrame:
    """One row a system: UA and WA pooled with intervals over speakers, over folds, the paired gain, and the costs.

    The gain is over `baseline`, p by the paired bootstrap, Holm's correction over the rows. Only systems that were
    measured on every fold stand here; yardsticks, majority and chance close the table.
    """
    frame = coded(results.predictions(corpus, protocol, folder))
    runs = results.runs(folder).query("corpus == @corpus and protocol == @protocol")
    if seeds is not None:
        frame, runs = frame[frame["seed"].isin(seeds)], runs[runs["seed"].isin(seeds)]
    tallies = _tallies(frame, slugs)
    rows = []
    for slug, tally in tallies.items():
        own, mine = frame[frame["system"] == slug], runs[runs["system"] == slug]
        row = {"slug": slug, "system": title(slug), "seeds": len(tally.seeds)}
        by_fold = statistics.tally(own, by="fold")
        for measure in ("ua", "wa"):
            pooled = statistics.bootstrap_speakers(tally, measure, RESAMPLES)
            mean, deviation = statistics.fold_mean_sd(by_fold, measure)
            row |= {measure: 100 * pooled.estimate, f"{measure}_low": 100 * pooled.low, f"{measure}_high": 100 * pooled.high}
            row |= {f"{measure}_fold_mean": 100 * mean, f"{measure}_fold_sd": 100 * deviation}
        if slug != "baseline" and "baseline" in tallies:
            gain = statistics.paired_difference(tally, tallies["baseline"], "ua", RESAMPLES)
            row |= {"gain": 100 * gain.estimate, "gain_low": 100 * gain.low, "gain_high": 100 * gain.high, "p": gain.p}
        row |= {"ece": 100 * mine["ece"].mean(), "parameters": int(mine["parameters"].iloc[0]), "epochs": mine["epochs"].mean()}
        row["seconds_per_epoch"] = (mine["seconds"] / mine["epochs"]).mean()
        rows.append(row)
    table = pd.DataFrame(rows)
    if "p" in table:
        table["p_holm"] = statistics.holm(table["p"].to_numpy(float))
    reference = references(corpus, protocol, folder)
    return pd.concat([table, reference.assign(system=reference["slug"].map(TITLES))], ignore_index=True)


def table_1(folder: str | Path | None = None) -> pd.DataFrame:
    """Table 1: the paper's prior art and baseline in UA on IEMOCAP, and our baseline on every published corpus.

    Columns: Method, Reported by, Corpus, Protocol, UA (%; ours with its 95 % interval), Parameters.
    """
    reported = paper.table_1()
    rows = [
        {
            "Method": row.system,
            "Reported by": "the paper",
            "Corpus": "IEMOCAP",
            "Protocol": _protocol_of(row.group),
            "UA (%)": row.ua,
        }
        for row in reported.itertuples()
    ]
    published = results.published(folder)
    for protocol in CLEAN:
        if ("iemocap", protocol) not in published:
            rows.append({"Method": "Our baseline", "Reported by": "nobody yet", "Corpus": "IEMOCAP", "Protocol": protocol})
    for corpus, protocol in cells(folder):
        frame = results.predictions(corpus, protocol, folder)
        own = frame[frame["system"] == "baseline"]
        if own.empty:
            continue
        measured = statistics.bootstrap_speakers(coded(own), "ua", RESAMPLES)
        parameters = results.runs(folder).query("corpus == @corpus and system == 'baseline'")["parameters"].iloc[0]
        row: dict[str, object] = {
            "Method": "Our baseline",
            "Reported by": "this code",
            "Corpus": corpus_title(corpus),
            "Protocol": protocol,
        }
        points = {"ua": 100 * measured.estimate, "ua_low": 100 * measured.low, "ua_high": 100 * measured.high}
        row |= {"UA (%)": with_interval(points, "ua")}
        rows.append(row | {"Parameters": parameters})
        for reference in references(corpus, protocol, folder).to_dict("records"):
            row = {
                "Method": TITLES[reference["slug"]],
                "Reported by": "this code" if reference["slug"] in YARDSTICKS else "arithmetic",
                "Corpus": corpus_title(corpus),
                "Protocol": protocol,
            }
            rows.append(row | {"UA (%)": with_interval(reference, "ua")})
    columns = ["Method", "Reported by", "Corpus", "Protocol", "UA (%)", "Parameters"]
    return pd.DataFrame(rows, columns=columns)


def table_2(protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Table 2 under one protocol: the paper's UA and WA on IEMOCAP beside ours on every published corpus.

    One row a system of Table 2, then yardsticks, majority and chance. Columns of two levels: the source, then `UA`, `WA` and
    `gain`, the paired difference in UA to the baseline over the seeds that both have; ours of UA with 95 % intervals over
    speakers, and how many `seeds` where that differs. IEMOCAP's own columns are empty until somebody runs on it.
    """
    reported = paper.table_2().set_index("slug")
    corpora = [corpus for corpus, name in results.published(folder) if name == protocol]
    order = [*[corpus for corpus in corpora if corpus != "iemocap"], "iemocap"]
    measured = {
        corpus: systems_table(corpus, protocol, measured_systems(corpus, protocol, folder), folder=folder).set_index("slug")
        for corpus in corpora
    }
    uneven = {corpus for corpus, table in measured.items() if table["seeds"].nunique() > 1}
    rows = []
    for slug in [*systems.TABLE_2, *YARDSTICKS, "majority", "chance"]:
        row: dict[tuple[str, str], object] = {("System", ""): title(slug)}
        row |= {("Paper on IEMOCAP", measure.upper()): reported[measure].get(slug, np.nan) for measure in ("ua", "wa")}
        for corpus in order:
            own = measured[corpus].loc[slug] if corpus in measured and slug in measured[corpus].index else {}
            source = f"{corpus_title(corpus)}, ours"
            if corpus in uneven:
                row[source, "seeds"] = f"{own['seeds']:.0f}" if own.get("seeds", 0) > 0 else None
            row |= {(source, "UA"): with_interval(own, "ua"), (source, "WA"): own.get("wa", np.nan)}
            row[source, "gain"] = with_interval(own, "gain", sign=True)
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))


def with_interval(row: pd.Series | dict, measure: str, sign: bool = False) -> str | None:
    """`71.2 [66.0, 75.8]` from `<measure>`, `<measure>_low` and `<measure>_high`; None where it was not measured."""
    value, low, high = (row.get(f"{measure}{end}", np.nan) for end in ENDS)
    return None if np.isnan(value) else interval_text(value, low, high, sign)


def interval_text(value: float, low: float, high: float, sign: bool = False) -> str:
    """`71.2 [66.0, 75.8]`, without brackets where there is no interval."""
    plus = "+" if sign else ""
    text = f"{value:{plus}.1f}" if np.isnan(low) else f"{value:{plus}.1f} [{low:{plus}.1f}, {high:{plus}.1f}]"
    return text.replace("-", "\u2212")


def p_text(p: float) -> str:
    """`p = 0.021`, `p < 0.001`."""
    return "p < 0.001" if p < 0.0005 else f"p = {p:.3f}"


def shown_systems(table: pd.DataFrame) -> pd.DataFrame:
    """`systems_table` as a page shows it: values with their intervals, readable headers."""
    rows = []
    for _, row in table.iterrows():
        shown = {"System": row["system"], "UA, pooled": with_interval(row, "ua"), "WA, pooled": with_interval(row, "wa")}
        for measure in ("ua", "wa"):
            mean, deviation = row.get(f"{measure}_fold_mean", np.nan), row.get(f"{measure}_fold_sd", np.nan)
            shown[f"{measure.upper()}, mean ± SD of folds"] = None if np.isnan(mean) else f"{mean:.1f} ± {deviation:.1f}"
        shown |= {
            "Gain in UA": with_interval(row, "gain", sign=True),
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


def verdicts(
    folder: str | Path | None = None,
    protocols: Sequence[str] = CLEAN,
    difference: claims.Difference = claims.over_speakers,
) -> pd.DataFrame:
    """Every claim settled on every published corpus under every protocol (`sercore.claims.settle`), and on IEMOCAP as open."""
    open_cells = [("iemocap", protocol) for protocol in protocols]
    runs = results.runs(folder)
    return claims.settle(all_predictions(folder, protocols), runs[runs["protocol"].isin(protocols)], open_cells, difference)


def wider_verdicts(folder: str | Path | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """`verdicts` by intervals that allow for few speakers, and for other seeds too."""
    return verdicts(folder, difference=claims.over_few_speakers), verdicts(folder, difference=claims.over_speakers_and_seeds)


def _tallies(frame: pd.DataFrame, slugs: Sequence[str]) -> dict[str, statistics.Tally]:
    """The counts of each of these systems that `frame` (as `coded` gives it) has predictions of."""
    there = set(frame["system"])
    return {slug: statistics.tally(frame[frame["system"] == slug]) for slug in slugs if slug in there}


def _trained_alike(corpus: str, protocol: str, folder: str | Path | None) -> dict[str, statistics.Tally]:
    """The counts of every system that changes no setting: what the spread between seeds is pooled over."""
    frame = coded(results.predictions(corpus, protocol, folder))
    return _tallies(frame, [slug for slug in frame["system"].unique() if "@" not in slug])


def shared_seeds(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> list[int]:
    """The seeds that all of `slugs` were run with, or all where they share none: what sets systems side by side takes these."""
    runs = results.runs(folder).query("corpus == @corpus and protocol == @protocol and system in @slugs")
    each = [set(own["seed"]) for _, own in runs.groupby("system")]
    return sorted(set.intersection(*each) or set.union(*each)) if each else []


def seeds_text(seeds: Sequence[int]) -> str:
    """`seed 0`, `seeds 0, 1`."""
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _alike(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None) -> pd.DataFrame:
    """The predictions of `slugs` over the seeds that all of them have."""
    frame = results.predictions(corpus, protocol, folder)
    return frame[frame["system"].isin(slugs) & frame["seed"].isin(shared_seeds(corpus, protocol, slugs, folder))]


def recall_table(
    corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None, seeds: Sequence[int] | None = None
) -> pd.DataFrame:
    """Recall of each class in percent with intervals over speakers: one row a system and class."""
    frame = results.predictions(corpus, protocol, folder)
    frame = frame if seeds is None else frame[frame["seed"].isin(seeds)]
    order, numbers = label_order(frame["label"].unique()), coded(frame)
    rows = []
    for slug, tally in _tallies(numbers, slugs).items():
        for index, label in enumerate(order):
            found = statistics.bootstrap_speakers(tally, statistics.recall_of(index), RESAMPLES)
            row = {"slug": slug, "label": label, "recall": 100 * found.estimate}
            rows.append(row | {"low": 100 * found.low, "high": 100 * found.high})
    return pd.DataFrame(rows)


def speaker_table(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """UA of each speaker in percent, over the classes that the speaker has and the seeds that all of `slugs` have: one row a
    system and speaker.

    Columns: slug, speaker, gender, utterances, ua.
    """
    frame = coded(_alike(corpus, protocol, slugs, folder))
    people = results.utterances(corpus, folder).groupby("speaker")["gender"].agg(["first", "size"])
    rows = []
    for slug, tally in _tallies(frame, slugs).items():
        ua = 100 * statistics.MEASURES["ua"](tally.counts).mean(axis=0)
        for speaker, value in zip(tally.groups, ua, strict=True):
            about = people.loc[speaker]
            rows.append({"slug": slug, "speaker": speaker, "gender": about["first"], "utterances": about["size"], "ua": value})
    return pd.DataFrame(rows, columns=["slug", "speaker", "gender", "utterances", "ua"])


def speaker_range_by_chance(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> float:
    """How far apart in UA the baseline's best and worst speaker of `speaker_table` would lie were speakers alike
    (`statistics.range_by_chance`), points; NaN without a baseline."""
    frame = _alike(corpus, protocol, slugs, folder)
    own = frame[frame["system"] == "baseline"]
    if own.empty:
        return float("nan")
    right = (own["prediction"] == own["label"]).groupby(own["utterance"]).mean()
    about = own.drop_duplicates("utterance").set_index("utterance").loc[right.index]
    return 100 * statistics.range_by_chance(right, about["speaker"].astype(str), about["label"].astype(str), 500)


def gender_table(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """UA over the women and over the men, and the difference with its interval: one row a system, where both are two or more.

    Over the seeds that all of `slugs` have."""
    frame = coded(_alike(corpus, protocol, slugs, folder))
    genders = results.utterances(corpus, folder).groupby("speaker")["gender"].first()
    women, men = (genders.index[genders == code].tolist() for code in "fm")
    rows = []
    enough = min(len(women), len(men)) > 1
    for slug, tally in _tallies(frame, slugs if enough else []).items():
        row: dict[str, object] = {"System": title(slug)}
        for name, speakers in (("Women", women), ("Men", men)):
            found = statistics.bootstrap_speakers(tally.of(speakers), "ua", RESAMPLES).percent()
            row[name] = interval_text(found.estimate, found.low, found.high)
        gap = statistics.difference_of_groups(tally, women, men, "ua", RESAMPLES).percent()
        row["Difference"] = interval_text(gap.estimate, gap.low, gap.high, sign=True)
        rows.append(row | {"p": gap.p})
    return pd.DataFrame(rows, columns=["System", "Women", "Men", "Difference", "p"])


def combinations(corpus: str, protocol: str, folder: str | Path | None = None) -> pd.DataFrame:
    """Systems that combine schemes (`a+b`): UA, and the paired difference to the baseline and to each scheme alone.

    One row a combination and comparison, in points: corpus, protocol, slug, other, `ua` and `effect` with
    their `_low` and `_high`, p, p_holm over the rows, how many `seeds` both have, and
    `wide_low` and `wide_high`, the interval over speakers and seeds. Parts that were not measured alone are left out.
    """
    frame = coded(results.predictions(corpus, protocol, folder))
    there = measured_systems(corpus, protocol, folder)
    tallies = {slug: statistics.tally(frame[frame["system"] == slug]) for slug in there}
    alike = [tally for slug, tally in tallies.items() if "@" not in slug]
    rows = []
    for slug in (slug for slug in there if "+" in slug):
        for other in ("baseline", *slug.split("+")):
            if other not in tallies or not (seeds := statistics.common_seeds(tallies[slug], tallies[other])):
                continue
            own = statistics.bootstrap_speakers(tallies[slug].select(seeds), "ua", RESAMPLES).percent()
            gap = statistics.paired_difference(tallies[slug], tallies[other], "ua", RESAMPLES).percent()
            row: dict[str, object] = {"corpus": corpus, "protocol": protocol, "slug": slug, "other": other}
            row |= {"ua": own.estimate, "ua_low": own.low, "ua_high": own.high}
            row |= {"effect": gap.estimate, "effect_low": gap.low, "effect_high": gap.high, "p": gap.p, "seeds": len(seeds)}
            wide = statistics.paired_over_seeds(tallies[slug], tallies[other], "ua", alike).percent()
            rows.append(row | {"wide_low": wide.low, "wide_high": wide.high})
    measures = [f"{name}{end}" for name in ("ua", "effect") for end in ENDS]
    columns = ["corpus", "protocol", "slug", "other", *measures, "p", "seeds", "wide_low", "wide_high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(p_holm=statistics.holm(table["p"].to_numpy(float)) if len(table) else [])


def shown_combinations(table: pd.DataFrame) -> pd.DataFrame:
    """`combinations` as a page shows it."""
    records = table.to_dict("records")
    shown = {"System": table["slug"].map(title), "UA": [with_interval(row, "ua") for row in records]}
    shown |= {"Compared with": table["other"].map(title)}
    shown |= {"Difference": [with_interval(row, "effect", sign=True) for row in records], "p, Holm": table["p_holm"]}
    ends = zip(table["wide_low"], table["wide_high"], strict=True)
    shown["Over seeds too"] = [
        None if np.isnan(low) else f"[{low:+.1f}, {high:+.1f}]".replace("-", "\u2212") for low, high in ends
    ]
    return pd.DataFrame(shown | {"Seeds": table["seeds"]})


def protocol_gaps(base: str = "speaker", other: str = "paper", folder: str | Path | None = None) -> pd.DataFrame:
    """What protocol `other` adds to UA over `base`: the same system, corpus, seeds and test utterances, one row a system.

    Columns as `figures.forest` takes them (group, slug, name, effect, low, high, claimed), and base, other, p, seeds; `more`
    with `_low` and `_high` is what it adds to the system less what it adds to the baseline, over the seeds of all four.
    """
    rows = []
    for corpus in dict.fromkeys(corpus for corpus, name in results.published(folder) if name == base):
        if (corpus, other) not in results.published(folder):
            continue
        frames = {name: coded(results.predictions(corpus, name, folder)) for name in (base, other)}
        both = [s for s in measured_systems(corpus, base, folder) if s in measured_systems(corpus, other, folder)]
        pairs = {slug: tuple(statistics.tally(frame[frame["system"] == slug]) for frame in frames.values()) for slug in both}
        for slug, (first, second) in pairs.items():
            if not (seeds := statistics.common_seeds(first, second)):
                continue
            gap = statistics.paired_difference(second, first, "ua", RESAMPLES).percent()
            values = (100 * statistics.bootstrap_speakers(t.select(seeds), "ua", RESAMPLES).estimate for t in (first, second))
            row = {"group": corpus_title(corpus), "slug": slug, "name": title(slug), "effect": gap.estimate, "low": gap.low}
            row |= {"high": gap.high, "claimed": np.nan} | dict(zip(("base", "other"), values, strict=True))
            rows.append(row | {"p": gap.p, "seeds": len(seeds)} | _more_than_baseline(pairs, slug))
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "base", "other", "p", "seeds"]
    columns += [f"more{end}" for end in ENDS]
    return pd.DataFrame(rows, columns=columns)


def gap_runs(gaps: pd.DataFrame, base: str, other: str, folder: str | Path | None = None) -> pd.DataFrame:
    """The runs that `protocol_gaps` compared: of the seeds that both protocols have."""
    runs = results.runs(folder)
    compared = set(zip(gaps["group"], gaps["slug"], strict=True))
    wanted = [pair in compared for pair in zip(runs["corpus"].map(corpus_title), runs["system"], strict=True)]
    own = runs[runs["protocol"].isin((base, other)) & np.array(wanted, dtype=bool)]
    return own[own.groupby(["corpus", "system", "seed"])["protocol"].transform("nunique") == 2]


def _more_than_baseline(pairs: dict[str, tuple[statistics.Tally, ...]], slug: str) -> dict[str, float]:
    """How far the second of a pair lies above the first, less the same for the baseline; nothing where that cannot be said."""
    if slug == "baseline" or "baseline" not in pairs:
        return {}
    four = [*pairs[slug], *pairs["baseline"]]
    if not (seeds := set.intersection(*(set(each.seeds) for each in four))):
        return {}
    first, second, base_first, base_second = (each.select(sorted(seeds)) for each in four)
    found = statistics.difference_of_differences((second, first), (base_second, base_first), "ua", RESAMPLES).percent()
    return {"more": found.estimate, "more_low": found.low, "more_high": found.high}


def confusions(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> dict[str, pd.DataFrame]:
    """Counts by slug over all folds and the seeds that all of `slugs` have, true classes down and predicted classes across."""
    frame = _alike(corpus, protocol, slugs, folder)
    order, numbers = label_order(frame["label"].unique()), coded(frame)
    counted = {}
    for slug in (slug for slug in slugs if slug in set(frame["system"])):
        own = numbers[numbers["system"] == slug]
        counts = metrics.confusion(own["label"].to_numpy(), own["prediction"].to_numpy(), len(order))
        counted[slug] = pd.DataFrame(counts, index=pd.Index(order, name="true"), columns=order)
    return counted


def geometry_of_systems(runs: pd.DataFrame) -> pd.DataFrame:
    """`geometry_of_runs` of the first seed, which all systems have, averaged over the folds: one row a system."""
    own = runs[runs["seed"] == runs["seed"].min()].drop(columns=["run", "seed", "fold"]) if len(runs) else runs
    return own.groupby("slug", sort=False).mean().reset_index() if len(runs) else runs


def geometry_of_runs(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """Compactness of the deep features of each run's test utterances, beside its UA: slug, run, seed, fold, measures, ua.

    In the order of `slugs`.
    """
    from ...evidence import geometry

    frame = results.features(corpus, protocol, folder)
    labels = results.utterances(corpus, folder).set_index("id")["label"]
    codes = {label: index for index, label in enumerate(label_order(labels.unique()))}
    accuracy = results.runs(folder).query("corpus == @corpus and protocol == @protocol").set_index("run")["ua"]
    rows = []
    for (slug, run, seed, fold), own in frame.groupby(["system", "run", "seed", "fold"]):
        if slug in slugs:
            classes = own["utterance"].map(labels).map(codes).to_numpy()
            try:
                found = geometry.compactness(np.stack(own["features"]), classes)
            except SercoreError:  # too few utterances in this fold
                found = dict.fromkeys(geometry.MEASURES, np.nan)
            rows.append({"slug": slug, "run": run, "seed": seed, "fold": fold, **found, "ua": 100 * accuracy[run]})
    return pd.DataFrame(sorted(rows, key=lambda row: (slugs.index(row["slug"]), row["seed"], row["fold"])))


def corpus_title(name: str) -> str:
    """The short name of a corpus in headings; that of synthetic speech says so."""
    from ... import corpora

    if name not in corpora.names():
        return name
    corpus = corpora.get(name)
    return corpus.heading or corpus.title


def place_title(corpus: str, protocol: str) -> str:
    """`EmoDB, speaker`."""
    return f"{corpus_title(corpus)}, {protocol}"


def measured_systems(corpus: str, protocol: str, folder: str | Path | None = None) -> list[str]:
    """Systems that were run on every fold, those of Table 2 first."""
    runs = results.runs(folder).query("corpus == @corpus and protocol == @protocol")
    folds = runs.groupby("system")["fold"].nunique()
    whole = [slug for slug in folds.index if folds[slug] == FOLDS and "@" not in slug]
    return [slug for slug in systems.TABLE_2 if slug in whole] + sorted(set(whole) - set(systems.TABLE_2))


def _protocol_of(group: str) -> str:
    return "paper" if group == "baseline" else "its authors' own"


def source_name(corpus: str, folder: str | Path | None = None) -> str:
    """The name under which a corpus is published: its own, or the one that its path gives it."""
    from ...corpora import get

    return corpus if corpus in {name for name, _ in results.published(folder)} else get(corpus).name


def across_corpora(slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """The systems `slugs` on every published corpus and protocol: UA and gain with intervals, beside the paper's."""
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
            row[place, "UA"], row[place, "gain"] = with_interval(own, "ua"), with_interval(own, "gain", sign=True)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(rows[0]))


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
        alike = _trained_alike(corpus, protocol, folder)
        for row in table[table.get("gain", pd.Series(np.nan, table.index)).notna()].itertuples():
            claimed = reported.get(row.slug, np.nan) - reported["baseline"]
            place = {"group": place_title(corpus, protocol), "slug": row.slug, "name": title(row.slug)}
            wide = statistics.paired_over_seeds(alike[row.slug], alike["baseline"], "ua", alike.values()).percent()
            own = {"effect": row.gain, "low": row.gain_low, "high": row.gain_high, "claimed": claimed}
            seeds = len(statistics.common_seeds(alike[row.slug], alike["baseline"]))
            rows.append(place | own | {"wide_low": wide.low, "wide_high": wide.high, "seeds": seeds})
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "wide_low", "wide_high", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def mean_gains(slugs: Sequence[str] = tuple(systems.TABLE_2), folder: str | Path | None = None) -> pd.DataFrame:
    """The gains of `gains` averaged over the corpora of recorded speech that two or more have a system on, with speakers named
    and trained as its corpus says.

    Rows as those of `gains` (an interval resamples each corpus's speakers on its own), and `where`: which corpora.
    """
    from ... import corpora

    synthetic = [name for name in corpora.names() if corpora.get(name).kind == "synthetic"]
    runs = results.runs(folder)
    changed = set(runs.loc[runs["changed"] != "", ["corpus", "protocol", "system"]].itertuples(index=False, name=None))
    pairs: dict[tuple[str, str], dict[str, tuple[statistics.Tally, statistics.Tally]]] = {}
    for corpus, protocol in cells(folder):
        tallies = _tallies(coded(results.predictions(corpus, protocol, folder)), ["baseline", *slugs])
        whole = set(measured_systems(corpus, protocol, folder)) if corpus not in synthetic else set()
        for slug in (slug for slug in tallies if {slug, "baseline"} <= whole and slug != "baseline"):
            both = tallies[slug], tallies["baseline"]
            usual = changed.isdisjoint({(corpus, protocol, slug), (corpus, protocol, "baseline")})
            if usual and len(both[0].groups) > 1 and statistics.common_seeds(*both):
                pairs.setdefault((protocol, slug), {})[corpus_title(corpus)] = both
    reported = paper.table_2().set_index("slug")["ua"]
    rows = []
    for (protocol, slug), found in pairs.items():
        if len(found) > 1:
            mean = statistics.mean_difference(found.values(), "ua", RESAMPLES).percent()
            row: dict[str, object] = {"group": f"Mean of {len(found)} corpora, {protocol}", "slug": slug, "name": title(slug)}
            row |= {"effect": mean.estimate, "low": mean.low, "high": mean.high, "where": list(found)}
            rows.append(row | {"claimed": reported.get(slug, np.nan) - reported["baseline"]})
    return pd.DataFrame(rows, columns=["group", "slug", "name", "effect", "low", "high", "claimed", "where"])


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
        tallies = _tallies(coded(results.predictions(corpus, protocol, folder)), systems.CLAIMS)
        for slug in (slug for slug in systems.CLAIMS[1:] if {slug, "baseline"} <= set(tallies)):
            both = tallies[slug], tallies["baseline"]
            seeds = statistics.common_seeds(*both)
            where = place_title(corpus, protocol)
            for seed in seeds if len(seeds) > 1 else ():
                ours, theirs = (tally.select((seed,)) for tally in both)
                gain = statistics.paired_difference(ours, theirs, "ua", RESAMPLES).percent()
                group = f"{title(slug).partition(',')[0]}, {where}"
                row: dict[str, object] = {"group": group, "slug": slug, "name": f"seed {seed}", "seed": seed}
                row |= {"effect": gain.estimate, "low": gain.low, "high": gain.high, "where": where}
                row |= {"claimed": reported[slug] - reported["baseline"], "verdict": claims.verdict(gain, claims.GAIN)}
                rows.append(row)
    columns = ["group", "slug", "name", "effect", "low", "high", "claimed", "seed", "where", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def seed_against_seed(folder: str | Path | None = None) -> pd.DataFrame:
    """The interval of the verdicts where nothing differs but chance: UA of one seed of a system less that of another, in points.

    One row a place (`group`), system of Table 2 (`slug`) and pair of its seeds (`first`, `second`): `effect`, `low`, `high`.
    """
    rows = []
    for corpus, protocol in cells(folder):
        tallies = _tallies(coded(results.predictions(corpus, protocol, folder)), list(systems.TABLE_2))
        for slug, tally in tallies.items():
            for first, second in itertools.combinations(tally.seeds, 2):
                one, other = (replace(tally.select((seed,)), seeds=(0,), drawn={}) for seed in (first, second))
                found = statistics.paired_difference(one, other, "ua", RESAMPLES).percent()
                pair = {"group": place_title(corpus, protocol), "slug": slug, "first": first, "second": second}
                rows.append(pair | {"effect": found.estimate, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=["group", "slug", "first", "second", "effect", "low", "high"])


def gain_errors(folder: str | Path | None = None) -> pd.DataFrame:
    """What moves a gain in UA over the baseline by chance: one row a place where systems have several seeds.

    The mean over the best of each family; columns `group`, `speakers` (how many), `over_speakers` (a standard error, points),
    `between_seeds` (a standard deviation of one system, points), and `parts`, by which `ErrorParts.over` tells the error for
    any number of seeds.
    """
    rows = []
    for corpus, protocol in cells(folder):
        alike = _trained_alike(corpus, protocol, folder)
        there = [slug for slug in systems.CLAIMS[1:] if {slug, "baseline"} <= set(alike)]
        found = [statistics.error_parts(alike[slug], alike["baseline"], "ua", alike.values()) for slug in there]
        if found and not np.isnan(found[0].speakers + found[0].seeds):
            error = 100 * float(np.sqrt(np.mean([each.speakers**2 for each in found])))
            parts = statistics.ErrorParts(float("nan"), error, 100 * found[0].seeds, found[0].freedom)
            row = {"group": place_title(corpus, protocol), "speakers": len(alike["baseline"].groups)}
            rows.append(row | {"over_speakers": error, "between_seeds": parts.seeds, "parts": parts})
    return pd.DataFrame(rows, columns=["group", "speakers", "over_speakers", "between_seeds", "parts"])


def shown_geometry(table: pd.DataFrame) -> pd.DataFrame:
    """`geometry_of_systems` with readable headers."""
    names = {
        "ratio": "Within / between",
        "within": "Within",
        "between": "Between",
        "silhouette": "Silhouette",
        "purity": "Neighbour purity",
    }
    shown = table.assign(**{"System": table["slug"].map(title), "UA, mean of folds": table["ua"]})
    return shown.rename(columns=names)[["System", *names.values(), "UA, mean of folds"]]


def projections(
    corpus: str, protocol: str, slugs: Sequence[str], fold: int = 0, folder: str | Path | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """UMAP of one test fold's deep features: slug -> (coordinates (utterances, 2), labels, trustworthiness)."""
    frame = results.maps(corpus, protocol, folder).query("fold == @fold")
    labels = results.utterances(corpus, folder).set_index("id")["label"]
    panels = {}
    for slug in [slug for slug in slugs if slug in set(frame["system"])]:
        own = frame[frame["system"] == slug]
        panels[slug] = own[["x", "y"]].to_numpy(), own["utterance"].map(labels).to_numpy(dtype=str), own["trustworthiness"].iat[0]
    return panels

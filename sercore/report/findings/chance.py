"""What is chance: in the paper's own table, between our repetitions, and between readings of the paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ... import corpora
from ...corpora.protocol import CLEAN
from ...evidence import claims, noise, results
from ...lab import systems
from ..names import name as named
from ..tables import (
    RULES,
    corpus_title,
    interval_text,
    of_protocol,
    p_text,
    place_title,
    protocol_title,
    seeds_text,
    title,
    with_interval,
)
from .words import inside, listed, listed_names, signed


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
    for group in ("ams", "focal"):
        values = table_2.loc[table_2["group"] == group, "ua"]
        span = values.max() - values.min()
        more = "more" if span > six else "no more"
        spans.append(f"The six settings of {systems.FAMILIES[group]} span {span:.1f} points, {more} than that.")
    return (
        f"The standard deviation is **{spread.sd:.2f} points of UA** (95 % interval {spread.low:.2f} to {spread.high:.2f}). "
        f"Two repetitions of one system lie within {limit:.1f} points of each other "
        f"nineteen times out of twenty: {(others - base > limit).sum()} of the {len(others)} gains over the baseline are larger. "
        "But all of them are gains over one number: a baseline that was unlucky once lifts them together. "
        f"Six repetitions of one system span up to {six:.1f} points nineteen times out of twenty. {' '.join(spans)}"
    )


def beyond_own_noise(table_2: pd.DataFrame, errors: pd.DataFrame) -> tuple[str, float, float, int] | None:
    """Where our networks tell best how far seeds set them apart (`tables.gain_errors`), with the paper's split if any have it.

    The place, their standard deviation, what two repetitions differ by at most, 19 times out of 20, and how many of the paper's
    gains are larger; None before a second seed.
    """
    known = errors[of_protocol(errors["group"], "paper")] if len(errors) else errors
    known = known if len(known) else errors
    if known.empty:
        return None
    return _beyond_noise_of(max(known.itertuples(), key=lambda row: row.parts.freedom[1]), table_2)


def _beyond_noise_of(place: Any, table_2: pd.DataFrame) -> tuple[str, float, float, int]:
    """`beyond_own_noise` by one row of `tables.gain_errors`."""
    spread = noise.Spread(place.parts.seeds, np.nan, np.nan, place.parts.freedom[1])
    limit = noise.chance_range(spread, 2)
    base, others = _base_and_others(table_2)
    return str(place.group), spread.sd, limit, int((others - base > limit).sum())


def own_noise_sentence(table_2: pd.DataFrame, errors: pd.DataFrame) -> str:
    """What the paper's gains are beside the seeds of our own networks (`beyond_own_noise`)."""
    found = beyond_own_noise(table_2, errors)
    if found is None:
        return ""
    where, sd, limit, beyond = found
    further = "further" if sd > noise.paper_spread(table_2).sd else "less far"
    quiet = _beyond_noise_of(min(errors.itertuples(), key=lambda row: row.parts.seeds), table_2)
    elsewhere = (
        f" They do least on {named(quiet[0])}, with {quiet[1]:.1f} points: there two repetitions lie within {quiet[2]:.1f} of "
        f"each other, and {quiet[3]} of the {len(table_2) - 1} gains {'is' if quiet[3] == 1 else 'are'} larger."
        if quiet[3] > beyond
        else ""
    )
    return (
        f"Seeds set our own networks {further} apart: on {named(where)} the standard deviation of their UA, pooled over the "
        f"folds, is **{sd:.1f} points**. At that, two repetitions of one system lie within {limit:.1f} points of each other, and "
        f"{beyond or 'none'} of the paper's gains {'is' if beyond < 2 else 'are'} larger.{elsewhere}"
    )


def _base_and_others(table_2: pd.DataFrame) -> tuple[float, pd.Series]:
    ua = table_2.set_index("slug")["ua"]
    return float(ua["baseline"]), ua.drop("baseline")


def disagreement_so_far(folder: str | Path | None = None) -> tuple[float, str]:
    """The share of utterances that the baseline and a best system decide differently, and where that was measured."""
    shares = {}
    runs = results.runs(folder)
    usual = runs.loc[runs["changed"] == "", "run"]
    for corpus, protocol in results.published(folder):
        if protocol in CLEAN:
            frame = results.predictions(corpus, protocol, folder)
            frame = frame[frame["run"].isin(usual)]
            there = set(frame["system"].unique())
            for slug in systems.CLAIMS[1:]:
                if {slug, "baseline"} <= there:
                    shares[corpus, protocol, slug] = noise.disagreement(frame, slug, "baseline")
    if not shares:
        return 0.25, "assumed: nothing has been measured yet"
    places = listed_names(dict.fromkeys(corpus_title(corpus) for corpus, _, _ in shares))
    found = list(shares.values())
    return float(np.mean(found)), f"the mean on {places}, where pairs of systems disagree on {min(found):.0%} to {max(found):.0%}"


def detectable_table(spread: noise.Spread, share: float) -> pd.DataFrame:
    """Standard error and detectable gain by kind of chance, at the size of IEMOCAP's four classes."""
    run, draw = 2 * spread.sd**2, noise.sampling_error(share, corpora.get("iemocap").counts) ** 2  # variances
    rows = [
        ("Another repetition, the same utterances", run, 0.0),
        ("Other utterances, the same repetition", 0.0, draw),
        ("Both, one seed", run, draw),
        ("Both, five seeds", run / 5, draw),
    ]
    shown = []
    for name, measured, known in rows:
        # Welch and Satterthwaite: only the spread between runs is estimated
        freedom = spread.freedom * ((measured + known) / measured) ** 2 if measured else np.inf
        error = np.sqrt(measured + known)
        shown.append(
            {
                "Chance": name,
                "Standard error (points)": error,
                "Detectable gain (points)": noise.detectable(error, freedom=freedom),
            }
        )
    return pd.DataFrame(shown)


def seed_against_seed_sentence(found: pd.DataFrame, twos: pd.DataFrame) -> str:
    """How often a rule raises a false alarm: a difference between seeds of one system (`tables.seed_against_seed`, of one seed
    against one, and of two against two)."""
    if found.empty:
        return ""
    before, *_, now = (found[name].mean() for name in RULES)
    *_, rule = RULES
    single = "for single seeds this interval is too wide"
    text = (
        "Seeds of one system differ by nothing but chance, and a rule that keeps its promise sees a difference in one comparison "
        f"of twenty. Over speakers alone, as verdicts were decided at first, intervals see one in **{100 * before:.0f} %** of "
        f"our pairs of seeds. Over speakers and seeds, as they are decided now, it is **{100 * now:.0f} %**"
    )
    if twos.empty:
        kept = "keeps the promise" if now <= 0.05 else "comes nearer to it" if now < before else "does no better"
        return f"{text}, which {kept}, though {single}."
    again = twos[rule].mean()
    kept = "keeps the promise" if again <= 0.05 else "does not keep the promise"
    return f"{text}; {single}. Two seeds against two others it tells apart in **{100 * again:.0f} %** of the cases, which {kept}."


def false_alarms_table(found: pd.DataFrame, twos: pd.DataFrame) -> pd.DataFrame:
    """By place, and over all: how many percent of the pairs of seeds each rule tells apart, and of two seeds against two the rule
    that decides (`tables.seed_against_seed`)."""
    rows = []
    *_, rule = RULES
    for where, own in [*found.groupby("group", sort=False), ("All", found)]:
        shares = {f"Over {name}": 100 * own[name].mean() for name in RULES}
        row = {"Where": where, "Pairs of seeds": len(own), "Apart at most (points)": own["effect"].abs().max()} | shares
        if len(twos):
            row[f"Two against two, over {rule}"] = 100 * twos.loc[(twos["group"] == where) | (where == "All"), rule].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def own_detectable_table(errors: pd.DataFrame) -> pd.DataFrame:
    """What our own runs can show (`tables.gain_errors`): the power for the paper's gain, and the smallest gain that is seen."""
    rows = []
    for row in errors.itertuples():
        shown = {"Where": row.group, "Speakers": row.speakers, "Seeds here": row.seeds}
        shown["Seen with the seeds here (%)"] = 100 * noise.power(row.parts, claims.GAIN, row.seeds)
        least, most = noise.power_range(row.parts, claims.GAIN, row.seeds)
        shown["By the seeds' spread (%)"] = f"{100 * least:.0f} to {100 * most:.0f}"
        shown |= {f"Seen with {_seeds(seeds)} (%)": 100 * noise.power(row.parts, claims.GAIN, seeds) for seeds in SHOWN_SEEDS}
        shown |= {f"Least, {_seeds(seeds)}": noise.detectable_gain(row.parts, seeds) for seeds in SHOWN_SEEDS}
        rows.append(shown)
    return pd.DataFrame(rows)


SHOWN_SEEDS = (1, 5, 10)


def _seeds(count: int) -> str:
    return "1 seed" if count == 1 else f"{count} seeds"


def own_detectable_sentence(errors: pd.DataFrame) -> str:
    """Whether a gain of the size that the paper claims could be seen here; "" where systems have no second seed."""
    if errors.empty:
        return ""
    seen = pd.Series([noise.power(row.parts, claims.GAIN, row.seeds) for row in errors.itertuples()], index=errors["group"])
    good, gain = seen[seen >= noise.POWER], f"a true gain of the paper's {claims.GAIN:.0f} points"
    if good.empty:
        return (
            f"Nowhere here would {gain} be seen four times out of five. The best place, {named(seen.idxmax())}, shows it in "
            f"**{10 * seen.max():.0f} of 10** such studies: *undecided* is what to expect, and does not mean that nothing is "
            "there."
        )
    often = f"at least {int(10 * good.min())} of 10" if good.min() < 0.95 else "nearly all"
    text = f"With the seeds that are there, {gain} shows on {listed_names(good.index)} in **{often}** such studies."
    weakest = errors[errors["group"] == good.idxmin()].iloc[0]
    least, most = noise.power_range(weakest["parts"], claims.GAIN, weakest["seeds"])
    if least < noise.POWER:
        text += (
            f" How far seeds set trainings apart is an estimate too, so that on {named(good.idxmin())} it may be anything from "
            f"{100 * least:.0f} to {100 * most:.0f} %."
        )
    if len(good) == len(seen):
        return text
    rest = seen[seen < noise.POWER]
    kinds = ((rest < 0.5, "most studies would miss it"), (rest >= 0.5, "too many would miss it"))
    missed = [f"on {listed_names(rest.index[own])} {word}" for own, word in kinds if own.any()]
    return f"{text} But {', and '.join(missed)}: there *undecided* does not mean that nothing is there."


def epoch_choice_table(found: pd.DataFrame) -> pd.DataFrame:
    """`noise.epoch_choice` as a page shows it."""
    shown = {"Where": [place_title(row.corpus, row.protocol) for row in found.itertuples()], "Trainings": found["runs"]}
    names = {"step": "Moves an epoch", "level": "Validation, mean", "kept": "Validation, kept epoch", "test": "Test"}
    return pd.DataFrame(shown | {heading: found[name] for name, heading in names.items()})


def best_of_sentence(spread: noise.Spread) -> str:
    """By how much the best of six equally good settings looks better than they are."""
    lift = noise.best_of(6)
    return (
        f"With the noise of the paper's own rows the best of six lies **{lift * spread.sd:.2f} points** above their mean on "
        f"average; by the interval of that noise it may be {lift * spread.low:.2f} to {lift * spread.high:.2f}."
    )


def selection_sentence(found: pd.DataFrame) -> str:
    """By how much choosing a family's setting on the test folds raised its gain in our own runs (`noise.selection`)."""
    if found.empty:
        return "No family has been run with all of its settings yet."
    if len(found) == 1:
        row = found.iloc[0]
        return (
            f"So far we have run one family whole, on {named(place_title(row['corpus'], row['protocol']))}, with "
            f"{seeds_text(row['seeds'])}. In this one draw choosing on test adds **{row['optimism']:.1f} points** to the gain."
        )
    same = (found["chosen"] == found["best"]).sum()
    return (
        f"In {same} of {len(found)} cases the setting that validation chooses is the best on test too. Choosing on test instead "
        f"adds **{found['optimism'].mean():.1f} points** to the gain on average."
    )


def selection_table(found: pd.DataFrame) -> pd.DataFrame:
    """`noise.selection` as a page shows it."""
    names = {"chosen_gain": "Its gain", "best_gain": "Its gain on test", "optimism": "Optimism"}
    shown = found.assign(
        Corpus=found["corpus"].map(corpus_title),
        Split=found["protocol"].map(protocol_title),
        Seeds=found["seeds"].map(len),
        **{"Chosen on validation": found["chosen"].map(title), "Best on test": found["best"].map(title)},
    )
    order = ["Corpus", "Split", "Seeds", "Chosen on validation", "Its gain", "Best on test", "Its gain on test", "Optimism"]
    return shown.rename(columns=names)[order]


def own_spread_table(spreads: pd.DataFrame) -> pd.DataFrame:
    """`noise.alpha_and_seed_spread` as a page shows it."""
    shown = {"Corpus": spreads["corpus"].map(corpus_title), "Split": spreads["protocol"].map(protocol_title)}
    for name, heading in (("alphas", "Between values of α"), ("seeds", "Between seeds")):
        shown[heading] = [with_interval(row, name) for row in spreads.to_dict("records")]
    return pd.DataFrame(shown)


def by_seed_sentence(found: pd.DataFrame) -> str:
    """Whether single seeds would have been judged alike (`tables.gains_by_seed`)."""
    kinds = found.groupby(["slug", "where"], sort=False)["verdict"].nunique()
    if len(kinds) == 1:
        return f"Its seeds, each alone, would {'not ' if kinds.iloc[0] > 1 else ''}all have been judged alike."
    other = int((kinds > 1).sum())
    return f"Of {len(kinds)} gains {other or 'none'} would have been judged otherwise with another of the seeds alone."


def by_seed_table(found: pd.DataFrame) -> pd.DataFrame:
    """What every seed alone would have said of each gain (`tables.gains_by_seed`)."""
    rows = []
    for (slug, where), own in found.groupby(["slug", "where"], sort=False):
        verdicts = own["verdict"].value_counts(sort=False)
        each = ", ".join(signed(effect) for effect in own["effect"])
        row = {"System": title(str(slug)), "Where": where, "Gains, seed by seed": each}
        rows.append(row | {"Each alone": ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())})
    return pd.DataFrame(rows)


def own_spread_sentence(spreads: pd.DataFrame) -> str:
    """Whether values of alpha differ by more than seeds do in our own records; "" before both were measured."""
    both = spreads.dropna(subset=["alphas", "seeds"])
    parts = [
        f"On {named(place_title(row.corpus, row.protocol))}, values of α spread the mean over folds by {row.alphas:.1f} points "
        f"and seeds by {row.seeds:.1f}: {'more' if row.p < 0.05 else 'no more'} than chance explains (F test, {p_text(row.p)})."
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


def readings_table(readings: pd.DataFrame) -> pd.DataFrame:
    """`noise.readings` as a page shows it."""
    names = [setting_name(row.system, row.against) for row in readings.itertuples()]
    shown = {"Reading": names, "Corpus": readings["corpus"].map(corpus_title)}
    shown |= {
        "Split": readings["protocol"].map(protocol_title),
        "UA": readings["ua"],
        "Change": readings["difference"].map(signed),
    }
    shown |= {"Seeds alone": readings["chance"].map("± {:.1f}".format), "Seeds": readings["seeds"]}
    shown["Compared"] = [f"{row.compared} of {row.shared}" for row in readings.itertuples()]
    return pd.DataFrame(shown | {"Beyond seeds?": np.where(readings["beyond"], "yes", "no")})


def setting_name(system: str, against: str) -> str:
    """What `system` changes in `against`: `Batches of 64`; settings that both have stand after a semicolon."""
    common, changed = systems.overrides(against), _changed(system, against)
    shared = f"; both with {', '.join(f'{key}={value}' for key, value in common.items())}" if common else ""
    return SETTINGS.get(changed, changed) + shared


def _changed(system: str, against: str) -> str:
    """`masked=true,score=general`: the settings of `system` that `against` does not have, in alphabetical order."""
    own, common = (systems.overrides(slug) for slug in (system, against))
    return ",".join(f"{key}={own[key]}" for key in sorted(own) if key not in common)


def agreement_sentence(checks: pd.DataFrame, history: pd.DataFrame) -> str:
    """Whether other ways of computing reach the same accuracy, on the test parts and, with less noise, in validation."""
    parts, reference, arithmetic = [], "engine=plain,precision=float32", "precision=float32"
    for row in checks.itertuples():
        own = history[(history["corpus"] == row.corpus) & (history["protocol"] == row.protocol)]
        found = noise.validation_change(own, row.system, row.against)
        inside_ = "no more than" if abs(row.difference) <= row.chance else "more than"
        parts.append(
            f"*{named(setting_name(row.system, row.against))}*, on {named(place_title(row.corpus, row.protocol))}: "
            f"**{signed(row.difference)} points of UA** over {row.seeds} seeds, {inside_} the {row.chance:.1f} that "
            "seeds alone move such a mean by. Validation accuracy, averaged over the later half of the epochs, scatters less: "
            f"there the difference is {interval_text(found.estimate, found.low, found.high, sign=True)} points."
        )
    for _, rows in checks.groupby(["corpus", "protocol", "against"], sort=False):
        known = {_changed(row.system, row.against): row.difference for row in rows.itertuples()}
        if {reference, arithmetic} <= set(known):
            parts.append(
                "The reference and the fast path in float32 do the same arithmetic in another order and agree to some seven "
                f"digits at each step. That they end {abs(known[reference] - known[arithmetic]):.1f} points apart is chance, and "
                "shows how much of it is in such a comparison."
            )
    return "\n\n".join(parts)


def roads_sentence(runs: pd.DataFrame) -> str:
    """By which code, and in which precision, most of the records were computed."""
    if runs.empty:
        return ""
    path = "a fast path, fused passes through the CNN"
    roads = {
        ("fused", "bfloat16"): f"by {path} whose convolutions read and write bfloat16",
        ("fused", "float32"): f"by {path}, in float32",
        ("plain", "bfloat16"): "by PyTorch's own operations, its convolutions in bfloat16",
        ("plain", "float32"): "by PyTorch's own operations in float32",
    }
    counts = runs.groupby(["engine", "precision"]).size().sort_values(ascending=False)
    most = roads[counts.index[0]]
    whose = "Our" if len(counts) == 1 else "Nearly all of our" if counts.iloc[0] > 0.9 * len(runs) else "Most of our"
    return f"{whose} records were computed {most}."


def same_weights_table(same: pd.DataFrame) -> pd.DataFrame:
    """`lab.equal_weights.compare` as a page shows it."""
    return pd.DataFrame(
        {
            "Road": same["road"].str[0].str.upper() + same["road"].str[1:],
            "Typical difference": same["typical"],
            "Largest": same["largest"],
            "Spread of the logits": same["spread"],
            "Other labels": [f"{row.changed} of {row.utterances}" for row in same.itertuples()],
        }
    )


def same_weights_sentence(same: pd.DataFrame) -> str:
    """Whether other roads give the reference's answers with the same weights (`lab.equal_weights.compare`)."""
    exact, rounded = (same[same["road"].str.contains(name)].iloc[0] for name in ("float32", "bfloat16"))
    digits = int(-np.log10(max(exact["largest"], 1e-9) / exact["spread"]))
    changed = int(rounded["changed"])
    labels = f"{changed or 'no'} label{'s' * (changed > 1)} of {rounded['utterances']}"
    return (
        f"In float32 the fast path gives the reference's logits to **{digits} digits**. Rounded to bfloat16 they move by "
        f"{100 * rounded['largest'] / rounded['spread']:.1f} % of their spread at most; **{labels} "
        f"{'change' if changed > 1 else 'changes'}**."
    )


def machines_sentence(runs: pd.DataFrame) -> str:
    """Whether the runs that a gain compares were computed on machines of one kind (`results.counted`); "" without a pair."""
    processor = runs["processor"] + np.where(runs["amx"].eq(True), ", AMX", "")
    kind = processor.where(runs["device"] == "cpu", runs["device"])
    pairs = runs.assign(kind=kind).pivot_table(
        index=["corpus", "protocol", "seed", "fold"], columns="system", values="kind", aggfunc="first"
    )
    if "baseline" not in pairs or len(pairs.columns) < 2:
        return ""
    others = pairs.drop(columns="baseline")
    there = others.notna() & pairs["baseline"].notna().to_numpy()[:, None]
    unlike = there & others.ne(pairs["baseline"], axis=0)
    count, apart = int(there.to_numpy().sum()), int(unlike.to_numpy().sum())
    if not apart:
        return f"The {count} runs that are compared with the baseline's were each computed on the same kind of machine as that."
    which = [
        f"{'all' if whole else 'some'} of {named(title(str(system)))}"
        for system, some, whole in zip(others, unlike.any(), (unlike == there).all(), strict=True)
        if some
    ]
    listing = f": {listed(which)}" if len(which) < 6 else ""
    return (
        f"The gains compare systems that went the same path, but not always on the same machine. Of {count} runs that are "
        f"compared with the baseline's of the same fold and seed, {apart}, of {len(which)} systems, were computed on another "
        f"kind{listing}. There a shared seed gives the same first weights and the same order, and after some epochs no more: "
        "machines differ as seeds do."
    )


def devices_sentence(runs: pd.DataFrame) -> str:
    """How many runs a GPU computed, and whether its seeds come to anything else than a processor's; "" where it computed none."""
    names = sorted(set(runs["device"]) - {"cpu"})
    if not names:
        return ""
    compared = noise.devices(runs)
    count = (runs["device"] != "cpu").sum()
    text = f"{count} of {len(runs)} runs were computed on a GPU ({listed_names(names)}), with kernels of its own."
    if compared.empty:
        return text
    beyond = compared[compared["difference"].abs() > compared["chance"]]
    both = f"{text} Where a system has some seeds from it and others from a processor, they lie"
    if len(beyond):
        where = listed_names(place_title(row.corpus, row.protocol) for row in beyond.itertuples())
        return (
            f"{both} further apart than seeds alone set them on {where}, by up to {beyond['difference'].abs().max():.1f} points."
        )
    widest = compared.loc[compared["difference"].abs().idxmax()]
    where = named(place_title(widest["corpus"], widest["protocol"]))
    return f"{both} no further apart than seeds alone set them: by {abs(widest['difference']):.1f} points at most, on {where}."


def ended_early_sentence(readings: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Which readings made trainings end before their last epoch over twice as often as what they are compared with does; "" for
    none. A training ends early where the validation accuracy found nothing better for as long as its patience."""
    early = noise.stopped_early(runs)
    said = []
    for row in readings.itertuples(index=False):
        there = (runs["corpus"] == row.corpus) & (runs["protocol"] == row.protocol)
        own, other = (there & (runs["system"] == system) for system in (row.system, row.against))
        if early[own].mean() > 2 * early[other].mean():
            name, where = named(inside(setting_name(row.system, row.against))), named(place_title(row.corpus, row.protocol))
            said.append(
                f"of {name} on {where} {early[own].sum()} of {own.sum()}, of what it is compared with {early[other].sum()} of "
                f"{other.sum()}"
            )
    if not said:
        return ""
    return f"Some trainings found nothing better for as long as their patience lasts, and ended early: {'; '.join(said)}."


def readings_sentence(readings: pd.DataFrame) -> str:
    """How many readings move UA by more than seeds do, and which moves it most."""
    readings = readings[readings["of_paper"].astype(bool)]
    if readings.empty:
        return "No other reading has been measured with two seeds yet."
    beyond, largest = readings[readings["beyond"]], readings.loc[readings["difference"].abs().idxmax()]
    name = named(setting_name(largest["system"], largest["against"]))
    where = named(place_title(largest["corpus"], largest["protocol"]))
    moves = "moves" if len(beyond) < 2 else "move"
    return (
        f"{len(beyond) or 'None'} of {len(readings)} readings measured so far {moves} UA by more than seeds do. The largest "
        f"change is {signed(largest['difference'])} points, on {where}: {name}."
    )

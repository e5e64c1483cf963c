"""What is chance: in the paper's own table, between our repetitions, and between readings of the paper."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .. import noise, results, systems
from ..protocol import CLEAN
from ..tables import corpus_title, interval_text, p_text, place_title, title, with_interval
from .words import listed, signed


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
    runs = results.runs()
    usual = runs.loc[runs["changed"] == "", "run"]
    for corpus, protocol in results.published():
        if protocol in CLEAN:
            frame = results.predictions(corpus, protocol)
            frame = frame[frame["run"].isin(usual)]
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
        return (
            f"So far we have run one family whole, on {place_title(row['corpus'], row['protocol'])}: validation chooses "
            f"{title(row['chosen'])} ({signed(row['chosen_gain'])} points), the test folds {title(row['best'])} "
            f"({signed(row['best_gain'])}). In this one draw choosing on test adds **{row['optimism']:.1f} points** to the gain."
        )
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
        values = listed([signed(effect) for effect in own["effect"]])
        verdicts = own["verdict"].value_counts(sort=False)
        said_ = listed([f"*{verdict}* ({count} of {len(own)})" for verdict, count in verdicts.items()])
        alone = (
            f"each alone would be judged *{verdicts.index[0]}*" if len(verdicts) == 1 else f"alone they would be judged {said_}"
        )
        parts.append(f"{title(str(slug))} on {where} gains {values} points, seed by seed; {alone}.")
    return "\n\n".join(parts)


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


def readings_table(readings: pd.DataFrame) -> pd.DataFrame:
    """`noise.readings` as a page shows it."""
    names = [setting_name(row.system, row.against) for row in readings.itertuples()]
    shown = {"Reading": names, "Corpus": readings["corpus"].map(corpus_title)}
    shown |= {
        "Protocol": readings["protocol"],
        "UA": readings["ua"],
        "Change": readings["difference"].map(signed),
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
            f"**{signed(row.difference)} points of UA** over {row.pairs} pairs of runs, {inside_} the {row.chance:.1f} that "
            "seeds alone move such a mean by. Validation accuracy, averaged over the later half of the epochs, scatters less: "
            f"there the difference is {interval_text(found.estimate, found.low, found.high, sign=True)} points."
        )
    return "\n\n".join(parts)


def readings_sentence(readings: pd.DataFrame) -> str:
    """How many readings move UA by more than seeds do, and which moves it most."""
    readings = readings[readings["of_paper"].astype(bool)]
    if readings.empty:
        return "No other reading has been measured with two seeds yet."
    beyond, largest = readings[readings["beyond"]], readings.loc[readings["difference"].abs().idxmax()]
    name = setting_name(largest["system"], largest["against"])
    return (
        f"{len(beyond)} of {len(readings)} readings measured so far move UA by more than seeds do. The largest change is "
        f"{signed(largest['difference'])} points, on {corpus_title(largest['corpus'])}, protocol {largest['protocol']}: {name}."
    )

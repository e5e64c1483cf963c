"""Titles that say what a page found, computed from the records so that they stay true. Without records, what it asks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ..evidence import claims, geometry, noise, paper, results, statistics
from ..lab import systems
from . import attention, findings, tables
from .findings import listed, listed_names
from .names import name as named


def of(page: str) -> str:
    """The title of the page `page` of the book."""
    return TITLES[page]()


def _family(name: str, slug: str) -> str:
    """`AMS helps on EmoDB, not on nEMO`: by the intervals over speakers and seeds of its gain, speakers kept apart."""
    gains = tables.gains([slug])
    own = gains[(gains["slug"] == slug) & tables.of_protocol(gains["group"], "speaker")]
    places = own.assign(corpus=own["group"].astype(str).str.rsplit(", ", n=1).str[0])
    helps, below = (places.loc[clear, "corpus"].tolist() for clear in (places["wide_low"] > 0, places["wide_high"] < 0))
    unclear = [corpus for corpus in places["corpus"] if corpus not in helps + below]
    elsewhere = f"on {listed_names(unclear)}" if len(unclear) < 3 else "elsewhere"
    if places.empty:
        return name
    if helps:
        text = f"{name} helps on {listed_names(helps)}" + (f", not on {_few(below + unclear)}" if below + unclear else "")
    elif below:
        rest = f", with no clear gain {elsewhere}" if unclear else ""
        text = f"{name} lies below the baseline on {listed_names(below)}{rest}"
    else:
        text = f"{name}: no clear gain on {_few(unclear)}"
    runs = results.runs()
    runs = runs[(runs["system"] == slug) & (runs["protocol"] == "speaker")]
    return text + (", so far" if runs.groupby("corpus")["seed"].nunique().max() < claims.MINIMUM_SEEDS else "")


def _few(corpora: list[str]) -> str:
    """`EmoDB and nEMO`, `any of 3 corpora`: a title has no room for more."""
    return listed_names(corpora) if len(corpora) < 3 else f"any of {len(corpora)} corpora"


def _table_2() -> str:
    gains = tables.gains()
    if gains.empty:
        return "Table 2: every system"
    told = gains.dropna(subset=["wide_low"])
    above, below = (told["wide_low"] > 0).sum(), (told["wide_high"] < 0).sum()
    if told.empty:
        return "Table 2: no gain can be told from chance with one seed"
    if not above:
        lost = f"; {below} of {len(told)} {'lies' if below == 1 else 'lie'} below 0" if below else ""
        return f"Table 2: no gain stands out from speakers and seeds{lost}"
    return f"Table 2: {above} of {len(told)} gains {'stands' if above == 1 else 'stand'} out from speakers and seeds"


def _table_1() -> str:
    """Whether any of the earlier systems has been measured yet."""
    measured = any(tables.measured_earlier(*place) for place in tables.cells())
    return f"Table 1: the earlier systems, {'on equal terms' if measured else 'built and not yet measured'}"


def _confusion() -> str:
    """Whether the focal loss hears happy better, as the paper's matrices are to show: after Holm's correction over the places."""
    found = tables.criterion("happy", claims.BEST["focal"])
    if found.empty:
        return "What is taken for what"
    told = found.dropna(subset=["f1_low"])
    told = told[statistics.holm(told["f1_p"]) < 1 - statistics.CONFIDENCE]
    for word, where in (("better", told["f1_low"] > 0), ("worse", told["f1_high"] < 0)):
        if where.any():
            so_far = ", so far" if told["seeds"][where].min() < claims.MINIMUM_SEEDS else ""
            return f"By F1 the focal loss hears happy {word} on {listed_names(told['group'][where])}{so_far}"
    so_far = ", so far" if found["seeds"].max() < claims.MINIMUM_SEEDS else ""
    return f"The focal loss does not clearly hear happy better{so_far}"


def _compactness() -> str:
    """Whether systems differ in compactness by more than seeds do, and if so, the system whose features are most compact, where
    the measures and the corpora agree."""
    best: list[str] = []
    each = {place: tables.geometry_of_runs(*place, tables.measured_systems(*place)) for place in tables.cells()}
    measured = [points.assign(group=str(place)) for place, points in each.items() if len(points)]
    spread = findings.compactness_spread(pd.concat(measured, ignore_index=True)) if measured else pd.DataFrame()
    if spread.empty:  # without second seeds it cannot be told
        return "Are the features more compact?"
    if not (spread["p"] < 0.05).any():
        return "Features differ in compactness no more than seeds explain"
    for corpus, protocol in tables.cells():
        if protocol == "speaker":
            there = tables.measured_systems(corpus, protocol)
            table = tables.geometry_of_systems(tables.geometry_of_runs(corpus, protocol, there))
            table = table.dropna(subset=list(geometry.MEASURES)) if len(table) else table
            if len(table) > 1:
                own = table.set_index("slug")
                best += [own["ratio"].idxmin(), own["silhouette"].idxmax(), own["purity"].idxmax()]
    if best and len(set(best)) == 1:
        name = systems.FAMILIES[systems.family(best[0])]
        return f"The feature of {'the ' if best[0] == 'baseline' else ''}{name} is the most compact"
    return "Which feature is most compact depends on the measure" if best else "Are the features more compact?"


def _protocols() -> str:
    gaps = tables.protocol_gaps()
    if gaps.empty:
        return "What the protocol adds"
    added = gaps.groupby("group", sort=False)["effect"].mean().round().astype(int)
    if (added <= 0).any():
        return "Sharing speakers does not always help"
    if len(added) > 2:
        return f"Sharing speakers adds {added.min()} to {added.max()} points of UA"
    return f"Sharing speakers adds {listed([f'{points} points of UA on {named(place)}' for place, points in added.items()])}"


def _noise() -> str:
    reported = paper.table_2()
    ua, limit = reported.set_index("slug")["ua"], noise.chance_range(noise.paper_spread(reported), 2)
    gains = ua.drop("baseline") - ua["baseline"]
    beyond = (gains > limit).mean()
    own = findings.beyond_own_noise(reported, tables.gain_errors())
    if own is not None and (own[-1] / len(gains) > 0.5) != (beyond > 0.5):
        return "Whether chance explains the paper's gains hangs on whose noise is taken"
    return f"The noise in the paper's own table {'does not explain' if beyond > 0.5 else 'could explain'} most of its gains"


def _per_speaker() -> str:
    """Whether the baseline's speakers lie farther apart than any gain in question, and than chance alone sets them."""
    beyond = []
    for place in tables.cells():
        if place[1] == "speaker" and "baseline" in tables.measured_systems(*place):
            gap = np.ptp(tables.speaker_table(*place, ["baseline"])["ua"])
            beyond.append(gap > max(2 * claims.GAIN, tables.speaker_range_by_chance(*place, ["baseline"])))
    if beyond and all(beyond):
        return "Speakers differ far more than systems do"
    return "Who is recognised, and who is not"


def _attention() -> str:
    """Whether the attention of every system lies on padding less than an even one would, on every corpus."""
    every = [
        attention.weights(corpus, protocol, tables.measured_systems(corpus, protocol))
        for corpus, protocol in tables.cells()
        if protocol == "speaker"
    ]
    found = [attention.summary(frame) for frame in every]
    if not any((table["padded"] > 0).any() for table in found):
        return "What the attention hears"
    less = all((table["padding"] < table["padded"]).all() for table in found)
    return "The attention lies on padding less than an even one would" if less else "Not every attention avoids the padding"


def _combinations() -> str:
    found = [tables.combinations(corpus, protocol) for corpus, protocol in tables.cells()]
    if not any(map(len, found)):
        return "Schemes combined"
    table = pd.concat([part for part in found if len(part)], ignore_index=True)
    table = table[table["slug"].str.contains("+", regex=False)]
    if table.empty:
        return "Schemes combined"
    parts = table[table["other"] != "baseline"].groupby(["corpus", "protocol", "slug"])
    better, worse = parts["wide_low"].min() > 0, parts["wide_high"].min() < 0
    if not better.any():
        short = f", {worse.sum()} fall short of one" if worse.sum() > 1 else ""
        return f"Schemes combined: none is seen to beat each of its parts{short}"
    beat = "beats each of its parts" if better.sum() == 1 else "beat each of their parts"
    return f"Schemes combined: {better.sum()} of {len(better)} {beat}"


def _readings() -> str:
    found = noise.readings(results.clean(results.runs()))
    found = found[found["of_paper"].astype(bool)]
    if found.empty:
        return "Does the reading matter?"
    beyond = found["beyond"].sum()
    aside = ", early endings aside" if (found["compared"] < found["shared"]).any() else ""
    return (
        f"{beyond or 'None'} of {len(found)} other readings {'moves' if beyond < 2 else 'move'} UA by more than seeds do{aside}"
    )


def _verdicts() -> str:
    settled = tables.verdicts()
    judged = findings.of_paper(findings.judged(settled))
    if judged.empty:
        return "Verdicts"
    holds = (judged["verdict"] == claims.JUDGED[0]).sum()
    so_far = ", so far" if judged["provisional"].all() else ""
    if not holds:
        return f"Verdicts: no claim on accuracy replicates{so_far}"
    return f"Verdicts: {holds} of {len(judged)} on accuracy {'replicates' if holds == 1 else 'replicate'}{so_far}"


TITLES: dict[str, Callable[[], str]] = {
    "ams": lambda: _family("AMS", claims.BEST["ams"]),
    "focal": lambda: _family("Focal loss", claims.BEST["focal"]),
    "combined": lambda: _family("Combined pooling", claims.BEST["combined"]),
    "table-2": _table_2,
    "confusion": _confusion,
    "table-1": _table_1,
    "compactness": _compactness,
    "protocols": _protocols,
    "noise": _noise,
    "per-speaker": _per_speaker,
    "attention": _attention,
    "combinations": _combinations,
    "readings": _readings,
    "verdicts": _verdicts,
}
"""Every page whose source is headed `# {title}`, except for the templates."""

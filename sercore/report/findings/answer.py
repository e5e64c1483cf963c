"""The answer in plain words: what the first page and the summary say of the paper's claims before any table of numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ... import corpora
from ...evidence import claims, noise, statistics
from ..display import Chip, Link
from ..names import name as named
from ..tables import IN_COMBINATIONS, corpus_title, interval_text, place_title, protocol_title, title
from .pictures import PICTURES, measured_way
from .verdicts import BRIEF, EVIDENCE, PROVISIONAL, judged, of_paper
from .words import in_words, inside, listed, listed_names, signed

CLAIMS = {
    1: "Every setting beats the baseline",
    2: "At its best, each scheme gains four points or more",
    3: "Focal loss hears happy better, and best of the three",
    4: "It costs no parameters, or next to none",
    5: "The network beats most earlier systems",
    6: "Two schemes together beat each alone (the paper leaves it open)",
}
"""The paper's claims in a line each."""
SUPPORTS = ("replicates", "same direction")
EXCLUDED = ("size excluded", "contradicted")
"""Verdicts by which the claimed size is not there."""
ANSWERS = {
    "holds": "good",
    "in part": "fair",
    "undecided": "open",
    "not seen": "low",
    "contradicted": "bad",
    "not measured": "none",
}
"""The one word on each claim, over all its comparisons, and its sign."""
SAID = {
    "replicates": ("bears it out", "bear it out"),
    "same direction": ("shows less of it", "show less of it"),
    "undecided": ("cannot tell", "cannot tell"),
    "size excluded": ("rules out its size", "rule out its size"),
    "contradicted": ("shows the opposite", "show the opposite"),
}
HOW = {"speaker": "with speakers kept apart", "paper": "with a random split"}


def answer(verdicts: Sequence[str]) -> str:
    """One word for a claim from the verdicts of its comparisons (of `claims.JUDGED`; others do not count)."""
    there = [verdict for verdict in verdicts if verdict in claims.JUDGED]
    if not there:
        return "not measured"
    if set(there) == {"replicates"}:
        return "holds"
    if set(there) & set(SUPPORTS):
        return "in part"
    if "contradicted" in there:
        return "contradicted"
    return "not seen" if "size excluded" in there else "undecided"


def answers_table(settled: pd.DataFrame) -> pd.DataFrame:
    """One row a claim of the paper: in our words, the answer in one word, and what its comparisons say; each leads to the page of
    its evidence."""
    trained = judged(settled)
    rows = []
    for number, text in CLAIMS.items():
        counted = number == 4  # of parameters, which takes no training
        own = (settled if counted else trained).query("number == @number")
        if number != 6:  # which the paper leaves open as a whole
            own = of_paper(own)
        word = answer(_corrected(own).tolist())
        tally = own["verdict"].value_counts()
        parts = [f"{tally[verdict]} {SAID[verdict][int(tally[verdict] > 1)]}" for verdict in claims.JUDGED if verdict in tally]
        why = "counted, at the cells that we chose to fit it" if counted else listed(parts) if parts else "no comparison yet"
        link = Link(f"{number}. {text}", f"{EVIDENCE[number]}.html")
        supports = own[own["verdict"].isin(SUPPORTS)]
        mark = PROVISIONAL if len(supports) and supports["provisional"].all() else ""
        rows.append({"Claim": link, "Found": Chip(word, ANSWERS[word], mark), "Comparisons": why})
    return pd.DataFrame(rows)


def _corrected(settled: pd.DataFrame) -> pd.Series:
    """The verdicts, an opposite that Holm's correction over all comparisons of the claim does not leave among what rules its size
    out: the worst of many lies below 0 by chance."""
    kept = statistics.holm(settled["p_against"].to_numpy(float)) < 1 - statistics.CONFIDENCE
    alone = (settled["verdict"] == "contradicted") & settled["p_against"].notna() & ~kept
    return settled["verdict"].mask(alone, "size excluded")


def power(settled: pd.DataFrame, errors: pd.DataFrame) -> pd.DataFrame:
    """How often a study like ours sees a true gain of the paper's size, one row a place where a scheme was compared.

    Columns `corpus`, `protocol`, `group` (its title), `seeds` and `power` (0 to 1; NaN where no system has a second seed). From
    `tables.verdicts` and `tables.gain_errors`.
    """
    known = {row.group: (row.seeds, noise.power(row.parts, claims.GAIN, row.seeds)) for row in errors.itertuples()}
    best = settled[(settled["number"] == 2) & settled["effect"].notna()].sort_values("protocol", ascending=False, kind="stable")
    rows = []
    for corpus, protocol in dict.fromkeys(zip(best["corpus"], best["protocol"], strict=True)):
        group = place_title(corpus, protocol)
        seeds, seen = known.get(group, (1, np.nan))
        rows.append({"corpus": corpus, "protocol": protocol, "group": group, "seeds": seeds, "power": seen})
    return pd.DataFrame(rows, columns=["corpus", "protocol", "group", "seeds", "power"])


def power_summary(places: pd.DataFrame) -> str:
    """`power` in words, for who cannot see its picture."""
    known = places.dropna(subset=["power"])
    parts = [f"{named(row.group)} {100 * row.power:.0f} %" for row in known.itertuples()]
    untold = [f"{named(group)} cannot be told, of one seed" for group in places.loc[places["power"].isna(), "group"]]
    return f"How often a study like ours would see a true gain of {in_words(claims.GAIN)} points: {'; '.join(parts + untold)}."


def answers_note(table: pd.DataFrame) -> str:
    """What the mark of `answers_table` means, where a row bears it."""
    return f" ({PROVISIONAL} with fewer seeds than the rules ask for)" if any(chip.mark for chip in table["Found"]) else ""


def short_answer(settled: pd.DataFrame, errors: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Which gains a study that could see them saw, in three sentences without statistics; else what has been run so far."""
    best = judged(settled).query("number == 2")
    if best.empty:
        return _unjudged(runs)
    places = power(settled, errors)
    strong, weak = places[places["power"] >= noise.POWER], places[places["power"] < noise.POWER]
    said = [
        _seen(best, settled, strong),
        _where_it_would_show(best, strong),
        _left_open(best, strong, weak, places[places["power"].isna()]),
    ]
    return " ".join(filter(None, said))


def spectra_note(settled: pd.DataFrame, way: pd.DataFrame) -> str:
    """What stands behind a corpus of the answer that is spectra alone (`tables.way`: what that costs, of one seed or more); ""
    where there is none."""
    told = dict.fromkeys(settled.loc[settled["effect"].notna(), "corpus"])
    names = [corpora.get(name).heading for name in told if name in corpora.names() and corpora.get(name).spectra]
    if not names:
        return ""
    cost = "what that costs, {doc}`the page on the data <data>` measures"
    if not measured_way(way):
        cost = "what that costs has not been measured yet"
    elif way.loc[way["how"] == PICTURES, "moved_low"].isna().all():
        cost = "{doc}`the page on the data <data>` has a first measurement of what that costs, with one seed"
    return f"*{listed_names(names)}* are log-Mel energies without audio and without loudness; {cost}."


def measured_table(runs: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """What has been run and what came of it: one row a corpus and split of `runs` (`results.runs`), with the gains of `gains`
    (`tables.gains`) and their intervals over speakers and seeds, below what the paper says of its own."""
    slugs = list(dict.fromkeys(gains["slug"]))
    names = {slug: f"Gain of {IN_COMBINATIONS.get(slug) or inside(title(slug))}" for slug in slugs}
    claimed = gains.drop_duplicates("slug").set_index("slug")["claimed"]
    paper: dict[str, object] = {"Corpus": "The paper, on IEMOCAP", "Split": protocol_title("paper"), "Systems": None}
    paper |= {"Seeds of a system": None, "Runs": None} | {names[slug]: signed(claimed[slug]) for slug in slugs}
    rows = [paper] if slugs else []
    there = runs.assign(split=runs["protocol"].map(protocol_title))
    places = zip(there["protocol"] != "speaker", there["corpus"].map(corpus_title), there["corpus"], strict=True)
    order = sorted(set(places), key=lambda place: (place[0], place[1].lower()))
    for shared, name, corpus in order:
        own = there[(there["corpus"] == corpus) & ((there["protocol"] != "speaker") == shared)]
        seeds = own.groupby("system")["seed"].nunique()
        many = str(seeds.max()) if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
        row = {"Corpus": name, "Split": own["split"].iloc[0], "Systems": len(seeds), "Seeds of a system": many, "Runs": len(own)}
        found = gains[gains["group"] == place_title(corpus, own["protocol"].iloc[0])].set_index("slug")
        for slug in set(slugs) & set(found.index):
            each = found.loc[slug]
            row[names[slug]] = interval_text(each["effect"], each["wide_low"], each["wide_high"], sign=True)
        rows.append(row)
    columns = ["Corpus", "Split", *names.values(), "Systems", "Seeds of a system", "Runs"]
    return pd.DataFrame(rows, columns=columns).astype({"Systems": "Int64", "Runs": "Int64"})


def gains_table(gains: pd.DataFrame) -> pd.DataFrame:
    """The gains of `tables.gains`, one row a scheme, one column a place, with the interval over speakers and seeds."""
    rows = []
    for slug, own in gains.groupby("slug", sort=False):
        row = {"Scheme": title(str(slug)), "The paper, on IEMOCAP": signed(own["claimed"].iloc[0])}
        row |= {each.group: interval_text(each.effect, each.wide_low, each.wide_high, sign=True) for each in own.itertuples()}
        rows.append(row)
    return pd.DataFrame(rows, columns=["Scheme", "The paper, on IEMOCAP", *dict.fromkeys(gains["group"])])


def _unjudged(runs: pd.DataFrame) -> str:
    heard = runs[~runs["corpus"].isin([name for name in corpora.names() if corpora.get(name).kind == "synthetic"])]
    if heard.empty:
        return "**Nothing has been measured on recorded speech yet**; the table below fills as runs are published."
    known = listed_names(sorted({inside(title(slug)) for slug in heard["system"]}))
    places = listed_names(sorted({corpus_title(name) for name in heard["corpus"]}))
    return (
        f"**It cannot be told yet:** {known} {'has' if heard['system'].nunique() == 1 else 'have'} been run on {places}. A claim "
        "compares a system with the baseline on the same folds, with two seeds or more of both."
    )


def _seen(best: pd.DataFrame, settled: pd.DataFrame, strong: pd.DataFrame) -> str:
    """Whether any scheme gains clearly; a plain no where a study that would have seen the claimed size rules it out for each."""
    gained = best[best["verdict"].isin(SUPPORTS)]
    compared = settled[(settled["number"] == 2) & settled["effect"].notna()]
    names = [named(corpus_title(corpus)) for corpus in dict.fromkeys(compared["corpus"])]
    so_far = ", so far" if best["provisional"].all() else ""
    schemes = list(dict.fromkeys(best["claim"]))
    if gained.empty:
        one = len(schemes) == 1
        many = f"{BRIEF[schemes[0]]} does not recognise" if one else f"none of the {in_words(len(schemes))} schemes recognises"
        places = names[0] if len(names) == 1 else f"any of {listed(names)}"
        there = best.merge(strong[["corpus", "protocol"]])
        apart = there[(there["protocol"] == "speaker") & there["verdict"].isin(EXCLUDED) & ~there["provisional"].astype(bool)]
        word = "Not on other speech" if set(apart["claim"]) == set(schemes) else f"Not that we could see{so_far}"
        return f"**{word}:** {many} emotion clearly better than the baseline on {places}."
    parts = [
        f"{BRIEF[claim]} {_where(own[['corpus', 'protocol']].itertuples(index=False, name=None))}"
        for claim, own in gained.groupby("claim", sort=False)
    ]
    word = "Yes" if len(gained) == len(best) else "In part"
    rest = "" if len(gained) == len(best) else "; elsewhere no gain is clear"
    return f"**{word}{so_far}:** a gain over the baseline shows clearly for {listed(parts)}{rest}."


def _where_it_would_show(best: pd.DataFrame, strong: pd.DataFrame) -> str:
    """What became of the claimed size in the places that would have shown it."""
    gain = f"a gain of the paper's {in_words(claims.GAIN)} points"
    if strong.empty:
        return f"No study here is large enough to see {gain} in four cases out of five."
    there = best.merge(strong[["corpus", "protocol"]])
    excluded = there[there["verdict"].isin(EXCLUDED)]
    where = _where(strong[["corpus", "protocol"]].itertuples(index=False, name=None))
    least = strong["power"].min()
    often = f"would have shown in {in_words(int(10 * least))} cases out of ten or more"
    shows = often if least < 0.95 else "would nearly always have shown"
    begin = f"{where[0].upper()}{where[1:]}, where {gain} {shows},"
    short = list(dict.fromkeys(excluded["claim"]))
    if not short:
        shown = there["verdict"].isin(SUPPORTS).any()
        return f"{begin} {'it did show' if shown else 'none falls clearly short of it either'}."
    if len(excluded) == len(there) > 1:
        return f"{begin} all {in_words(len(short))} fall short of it."
    return f"{begin} {listed([BRIEF[claim] for claim in short])} {'falls' if len(short) == 1 else 'fall'} short of it."


def _left_open(best: pd.DataFrame, strong: pd.DataFrame, weak: pd.DataFrame, unknown: pd.DataFrame) -> str:
    """Where such a gain would be missed too often for silence to mean anything."""
    reasons = [
        reason
        for there, reason in ((weak, "are too small to see such a gain"), (unknown, "were run with one seed only"))
        if len(there)
    ]
    if not reasons:
        return ""
    if strong.empty:
        return "So the question stays open."
    apart = "" if (strong["protocol"] == "speaker").any() else ", and so wherever speakers are kept apart,"
    elsewhere = best.merge(pd.concat([weak, unknown])[["corpus", "protocol"]])
    mostly = "mostly " if elsewhere["verdict"].isin(EXCLUDED).any() else ""
    return f"Everywhere else{apart} our studies {' or '.join(reasons)}, and {mostly}leave the question open."


def _where(places: Iterable[tuple[str, str]]) -> str:
    """`on EmoDB and nEMO with speakers kept apart and on EmoDB with a random split`."""
    by_protocol: dict[str, list[str]] = {}
    for corpus, protocol in places:
        by_protocol.setdefault(protocol, []).append(named(corpus_title(corpus)))
    return listed([f"on {listed(names)} {HOW[protocol]}" for protocol, names in by_protocol.items()])

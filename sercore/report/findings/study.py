"""How far the study has come that the page `plan` writes down."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pandas as pd

from ...evidence import rule
from ...lab import study
from ..names import name as named
from ..tables import corpus_title, title
from .words import inside, listed, signed

CORE = 4
"""The last line of the study itself; the others follow as far as computing time goes."""


def study_progress(runs: pd.DataFrame, beside: Mapping[str, pd.DataFrame] = MappingProxyType({})) -> pd.DataFrame:
    """One row a line of `study.LINES`: `line`, `wanted` and `there`, runs among `runs` (as `results.runs` gives them), or among
    those of the folder of the results that the line names, in `beside`."""
    published = {folder: set(own["run"]) for folder, own in {**beside, "": runs}.items()}
    rows = []
    for line in study.LINES:
        names, known = [str(name) for name in line.names()], published.get(line.folder, set())
        rows.append({"line": line, "wanted": len(names), "there": sum(name in known for name in names)})
    return pd.DataFrame(rows)


def plan_sentence(progress: pd.DataFrame) -> str:
    """How much of the study's first `CORE` lines is there, and of its main corpus, that of the first; "" once all of it is."""
    progress = progress[[line.number <= CORE for line in progress["line"]]]
    total, there = progress["wanted"].sum(), progress["there"].sum()
    if there == total:
        return ""
    main = progress["line"].iloc[0].corpus
    own = progress[[line.corpus == main for line in progress["line"]]]
    some = f"{own['there'].sum()} of {own['wanted'].sum()}" if own["there"].any() else "not one"
    return (
        f"Of the study that is planned, {there} of {total} runs are in, and {some} of those on "
        f"{corpus_title(main)}, its main corpus, which has the most speakers."
    )


def study_table(progress: pd.DataFrame) -> pd.DataFrame:
    """`study_progress` as the page shows it."""
    rows = []
    for line, wanted, there in progress.itertuples(index=False):
        systems = "the four systems of the claims" if line.systems == study.CLAIMS else f"{len(line.systems)} {_kind(line)}"
        rows.append(
            {
                "Line": line.number,
                "Corpus": corpus_title(line.corpus),
                "Protocol": line.protocol,
                "Systems": systems,
                "Seeds": ", ".join(map(str, line.seeds)),
                "Runs": wanted,
                "There": there,
                "What for": line.why,
            }
        )
    return pd.DataFrame(rows)


def _kind(line: study.Line) -> str:
    if line.folder == study.WAY:
        return "systems"
    if any("@" in slug for slug in line.systems):
        return "trainings at other rates" if "learning_rate" in line.systems[0] else "readings of the baseline"
    if all(slug in study.TABLE_1 for slug in line.systems):
        return "earlier systems"
    return "combinations" if any("+" in slug for slug in line.systems) else "other settings"


def study_sentence(progress: pd.DataFrame) -> str:
    """Which lines are whole, in a sentence."""
    whole = progress.assign(number=[line.number for line in progress["line"]]).groupby("number")[["wanted", "there"]].sum()
    done = [str(number) for number, row in whole.iterrows() if row["there"] == row["wanted"]]
    total, there = progress["wanted"].sum(), progress["there"].sum()
    lines = (
        "No line is whole yet"
        if not done
        else f"Line {done[0]} is whole"
        if len(done) == 1
        else f"Lines {listed(done)} are whole"
    )
    return f"**{lines}.** In all, {there} of the {total} runs that the plan asks for are published."


def pilot_sentence(compared: pd.DataFrame) -> str:
    """What the pilot came to, by the rule: which arm became the rule of all tables and why, from `rule.compared`."""
    chosen, steadiest = rule.chosen(compared), rule.steadiest(compared)
    own, usual = (compared[compared["arm"] == arm].set_index("corpus") for arm in (steadiest, rule.USUAL))
    if steadiest == rule.USUAL:
        return f"**The toolkit's way stays the rule**: no other arm moves less from seed to seed than `{rule.USUAL}`."
    shares = 100 * (1 - own["deviation"] / usual["deviation"])
    told = [
        f"{abs(share):.0f} % {'below' if share > 0 else 'above'} on {named(corpus_title(str(name)))}"
        for name, share in shares.items()
    ]
    moves = f"Over these corpora together `{steadiest}` moves least from seed to seed: beside `{rule.USUAL}`, its deviation is "
    moves += listed(told)
    if chosen == steadiest:
        return f"**`{chosen}` becomes the rule.** {moves}."
    lost = (usual["ua"] - own["ua"]).max()
    why = f", and its mean UA lies {lost:.1f} points below" if lost > rule.LOSS else ". A third was asked for on one of the two"
    more = own["ua"] - usual["ua"]
    beside = f" Its mean UA is {more.min():.1f} points or more above; by the rule that decides nothing" if more.min() > 0 else ""
    return f"**The toolkit's way stays the rule.** {moves}{why}.{beside}{'.' * bool(beside)}"


def pilot_gains_sentence(curves: pd.DataFrame) -> str:
    """How far the gain of the pilot's scheme over the baseline depends on the arm, from `results.pilot`; "" without both."""
    ua = rule.kept(curves).groupby(["corpus", "arm", "system"])["ua"].mean().unstack()
    others = [system for system in ua.columns if system != "baseline"]
    if "baseline" not in ua or len(others) != 1:
        return ""
    gain = (ua[others[0]] - ua["baseline"]).unstack("arm")
    parts = [
        f"on {named(corpus_title(str(corpus)))} it is {signed(own.min())} with `{own.idxmin()}` and {signed(own.max())} with "
        f"`{own.idxmax()}`"
        for corpus, own in gain.iterrows()
    ]
    scheme = named(inside(title(others[0])))
    return f"With three seeds the gain of {scheme} depends on the arm, the trainings being the same: {listed(parts)}."


def pilot_table(compared: pd.DataFrame) -> pd.DataFrame:
    """`rule.compared` as the page shows it."""
    return pd.DataFrame(
        {
            "Corpus": compared["corpus"].map(corpus_title),
            "Arm": compared["arm"],
            "Mean UA": compared["ua"],
            "Deviation between seeds": compared["deviation"],
            "Degrees of freedom": compared["freedom"],
            "From epoch to epoch": compared["step"],
            "Validation and test, correlation": compared["correlation"],
            "Level from epoch": compared["epochs"],
            "Trainings": compared["trainings"],
        }
    )

"""How far the study has come that the page `plan` writes down."""

from __future__ import annotations

import pandas as pd

from ...lab import study
from ..tables import corpus_title
from .words import listed


def study_progress(runs: pd.DataFrame) -> pd.DataFrame:
    """One row a line of `study.LINES`: `line`, `wanted` and `there` (runs among `runs`, as `results.runs` gives them)."""
    published = set(runs["run"]) if len(runs) else set()
    rows = []
    for line in study.LINES:
        names = [str(name) for name in line.names()]
        rows.append({"line": line, "wanted": len(names), "there": sum(name in published for name in names)})
    return pd.DataFrame(rows)


def plan_sentence(progress: pd.DataFrame) -> str:
    """How much of the planned study is there, and of its main corpus, that of its first line; "" once all of it is."""
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
    if any("@" in slug for slug in line.systems):
        return "trainings at other rates"
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
    return f"**{lines}**: {there} of the {total} runs that the plan asks for are published."

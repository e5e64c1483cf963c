"""What runs come to, published or not yet: one row a system, for a terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import places
from ..corpora.protocol import FOLDS
from ..lab import metrics, records, systems
from . import claims, results, statistics

COLUMNS = ["system", "seed", "fold", "utterance", "speaker", "label", "prediction"]


def standing(
    corpus: str,
    protocols: Iterable[str] = ("speaker", "paper"),
    runs: str | Path | None = None,
    published: str | Path | None = None,
    published_alone: bool = False,
) -> list[dict[str, Any]]:
    """One row a system and protocol that has a run of `corpus`, published or (unless `published_alone`) in the folder `runs`.

    UA, WA and the gain in UA over `baseline` in percent, over all seeds whose five folds are there; their 95 % intervals are over
    speakers and seeds (`statistics.over_seeds`), or over speakers alone where no system has two seeds: `interval` says which.
    Where no seed is whole, UA and WA are means of the runs that are there, without an interval. `unpublished` counts runs.
    """
    rows = []
    for protocol in protocols:
        frame, here = _predictions(corpus, protocol, None if published_alone else places.runs_folder(runs), published)
        if not frame.empty:
            rows += [{"protocol": protocol, **row} for row in _rows(frame, here)]
    return rows


def _predictions(corpus: str, protocol: str, folder: Path | None, published: Any) -> tuple[pd.DataFrame, dict[str, int]]:
    """Predictions of every run, and how many runs of each system are not published."""
    frames = [pd.DataFrame(columns=COLUMNS)]
    known: set[str] = set()
    if (corpus, protocol) in results.published(published):
        there = results.predictions(corpus, protocol, published)
        frames.append(there[COLUMNS])
        table = results.runs(published)
        known = set(table.loc[(table["corpus"] == corpus) & (table["protocol"] == protocol), "run"])
    here = dict[str, int]()
    for facts in records.all_facts(folder, corpus) if folder is not None and folder.exists() else []:
        if facts["protocol"] != protocol or facts["run"] in known:
            continue
        test = records.read_test(Path(facts["folder"]))
        said = np.array(facts["classes"])[test["probabilities"].argmax(1)]
        names = {key: facts[key] for key in ("system", "seed", "fold")}
        frames.append(
            pd.DataFrame({**{key: test[key] for key in ("utterance", "speaker", "label")}, "prediction": said, **names})
        )
        here[facts["system"]] = here.get(facts["system"], 0) + 1
    return pd.concat([frame for frame in frames if len(frame)] or frames, ignore_index=True), here


def _trained_alike(system: str, tallies: dict[str, statistics.Tally]) -> list[statistics.Tally]:
    """What the spread between seeds is pooled over, as the verdicts pool it."""
    of_table_1 = system in systems.TABLE_1
    alike = [slug for slug in tallies if "@" not in slug and (slug in systems.TABLE_1) == of_table_1]
    return [tallies[slug] for slug in dict.fromkeys([*alike, *["baseline"] * (of_table_1 and "baseline" in tallies)])]


def _rows(frame: pd.DataFrame, here: dict[str, int]) -> list[dict[str, Any]]:
    classes = sorted(set(frame["label"]) | set(frame["prediction"]))
    codes = {label: code for code, label in enumerate(classes)}
    frame = frame.assign(label=frame["label"].map(codes), prediction=frame["prediction"].map(codes))
    frame = frame.astype({"label": int, "prediction": int, "seed": int, "fold": int})
    whole = frame[frame.groupby(["system", "seed"])["fold"].transform("nunique") >= FOLDS]
    tallies = {system: statistics.tally(own) for system, own in whole.groupby("system", sort=False)}
    rows = []
    for system, own in frame.groupby("system", sort=False):
        counted = own[["seed", "fold"]].drop_duplicates()
        row: dict[str, Any] = {"system": system, "runs": len(counted), "unpublished": here.get(system, 0)}
        if system in tallies:
            tally, repeated = tallies[system], _trained_alike(system, tallies)
            found, seeds = _interval(
                statistics.over_seeds(tally, "ua", repeated), statistics.bootstrap_speakers(tally, "ua", claims.RESAMPLES)
            )
            wa = statistics.bootstrap_speakers(tally, "wa", claims.RESAMPLES).percent().estimate
            row |= {"seeds": len(tally.seeds), "UA %": found.estimate, "UA low": found.low, "UA high": found.high, "WA %": wa}
            row |= {"gain": math.nan, "gain low": math.nan, "gain high": math.nan}
            row["interval"] = "speakers and seeds" if seeds else "none" if math.isnan(found.low) else "speakers"
            base = tallies.get("baseline")
            if base is not None and system != "baseline" and set(base.seeds) & set(tally.seeds):
                pair = (tally, base)
                gain, _ = _interval(statistics.paired_over_seeds(*pair, "ua", repeated), statistics.paired_jackknife(*pair, "ua"))
                row |= {"gain": gain.estimate, "gain low": gain.low, "gain high": gain.high}
        else:
            of_runs = [
                (measure(part["label"], part["prediction"], len(codes)))
                for measure, (_, part) in itertools.product((metrics.ua, metrics.wa), own.groupby(["seed", "fold"]))
            ]
            ua, wa = np.array(of_runs).reshape(2, -1).mean(1)
            row |= {"seeds": 0, "UA %": 100 * ua, "UA low": math.nan, "UA high": math.nan, "WA %": 100 * wa}
            row |= {"gain": math.nan, "gain low": math.nan, "gain high": math.nan, "interval": f"none: not all of {FOLDS} folds"}
        rows.append({key: round(value, 1) if isinstance(value, float) else value for key, value in row.items()})
    first = {"baseline": 0}
    return sorted(rows, key=lambda row: (first.get(row["system"], 1), row["seeds"] == 0))


def _interval(both: statistics.Interval, speakers: statistics.Interval) -> tuple[statistics.Interval, bool]:
    """The stricter interval, in percent, or that over speakers alone where it cannot be told; and whether it could."""
    there = not math.isnan(both.low)
    return (both if there else speakers).percent(), there

"""Publish: gather the runs of a machine into the records that `results` reads, beside what they hold already; and take them out.

One process writes at a time, others wait for it; what is written takes its place at the end, together, or not at all.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import places
from ..corpora import protocol
from ..errors import SercoreError, nearest
from ..lab import records
from . import geometry
from .results import (
    EXTRA_COLUMNS,
    MAP_COLUMNS,
    NAME,
    RUN_COLUMNS,
    all_settings,
    check,
    first_seed,
    halves,
    published,
    read,
    with_features,
    yardstick_path,
)
from .results import (
    runs as runs_of,
)


@dataclass(frozen=True)
class Published:
    """What `publish` came to."""

    runs: int  # that the results hold
    new: int  # of them were not there before
    waiting: tuple[str, ...]  # runs that were left out until the other folds of their seed are there


def publish(
    runs: str | Path | None = None,
    results: str | Path | None = None,
    data_root: str | None = None,
    replace: bool = False,
    agree: Callable[[str], bool] = lambda question: True,
    corpora: Collection[str] | None = None,
) -> Published:
    """Gather the finished runs under `runs`, all or those of `corpora`, into `results`: every seed of a system of which all folds
    are there.

    One publishes at a time: others wait, and add to what it wrote. `agree` is asked before a corpus that the project does not
    know is added to its own results.

    A run that `results` already holds is replaced, one that it holds with other settings only where `replace` says so. Such
    runs, runs of one corpus on different data, of one protocol on different splits or of one seed with different settings
    raise `SercoreError`, all at once; so do runs none of which belongs to a whole seed, and corpora that cannot be loaded.
    Whatever fails, `results` stays as it was: the new files take their places at the end, one at once after the other. A machine
    that stops in that moment leaves some new ones beside old; publishing again mends it.
    """
    source, target = places.runs_folder(runs), places.results_folder(results)
    facts = [fact for fact in records.all_facts(source) if corpora is None or fact["corpus"] in corpora]
    if not facts:
        of = "" if corpora is None else f" of {' or '.join(sorted(corpora))}"
        raise SercoreError(f"no finished run{of} under {source}: `sercore sweep` makes them")
    ask_about_own(sorted({fact["corpus"] for fact in facts}), target, agree)
    with places.alone(target):
        return _publish(facts, source, target, data_root, replace)


def _publish(facts: list[dict[str, Any]], source: Path, target: Path, data_root: str | None, replace: bool) -> Published:
    lacking = {fact["folder"]: [name for name in (*RUN_COLUMNS, *EXTRA_COLUMNS) if name not in fact] for fact in facts}
    if short := [f"{folder}: {', '.join(names)}" for folder, names in lacking.items() if names]:
        raise SercoreError("records that lack what is published; run them again:\n  " + "\n  ".join(short), offenders=short)
    fresh = pd.DataFrame([_row(fact) for fact in facts])
    old = read(target / "runs.parquet")
    known = set() if old is None else set(old["run"])
    if old is not None and not replace:
        _refuse_other_settings(old, fresh, target)
    table = _merge(old, fresh, ["run"]).sort_values(NAME, ignore_index=True)
    partial = table.groupby(NAME[:-1])["fold"].transform("nunique") < protocol.FOLDS
    waiting = set(table.loc[partial, "run"]) - set([] if old is None else old["run"])
    if len(waiting) == len(facts):
        raise SercoreError(
            f"of no seed of a system are all {protocol.FOLDS} folds under {source}; `sercore sweep` does the rest. There are:\n  "
            + "\n  ".join(sorted(waiting)),
            offenders=sorted(waiting),
        )
    table = table[~table["run"].isin(waiting)].reset_index(drop=True)
    facts = [fact for fact in facts if fact["run"] not in waiting]
    check(table, target)
    with _staged() as write:
        _gather(table, facts, target, data_root, write)
    return Published(len(table), len(set(table["run"]) - known), tuple(sorted(waiting)))


def ask_about_own(corpora: Iterable[str], results: str | Path | None, agree: Callable[[str], bool]) -> None:
    """Ask (`agree`) before corpora that the project does not know are added to its own results, which it hands on with its pages.

    Raises `SercoreError` where the answer is no.
    """
    from .. import corpora as module

    target = places.results_folder(results)
    if target.resolve() != places.PROJECT / "results":
        return
    there = {corpus for corpus, _ in published(target)}
    strange = sorted(set(corpora) - set(module.names()) - there)
    if strange and not agree(
        f"{' and '.join(strange)} would be added to the project's own results, which go wherever the project goes. Shall it?"
    ):
        raise SercoreError(
            f"nothing was published: {' and '.join(strange)} would be added to {target}, the project's own results. Name another "
            "folder by --results, or agree by --yes"
        )


@dataclass(frozen=True)
class Unpublished:
    """What `unpublish` took out."""

    runs: int
    files: int


def unpublish(corpus: str, results: str | Path | None = None) -> Unpublished:
    """Take everything about `corpus` out of `results`. Raises `SercoreError` where there is nothing."""
    target = places.results_folder(results)
    with places.alone(target):
        table = runs_of(target).drop(columns="changed")
        own = set(table.loc[table["corpus"] == corpus, "run"])
        tables = {target / f"{name}.parquet": "corpus" for name in ("runs", "pilot", "trials")}
        tables[target / "history.parquet"] = "run"
        files = [
            path
            for kind, suffix in PER_CORPUS.items()
            for path in sorted((target / kind).glob("*"))
            if re.fullmatch(re.escape(corpus) + suffix, path.name)
        ]
        if not own and not files:
            known = sorted(set(table["corpus"]))
            raise SercoreError(
                f"{target} holds nothing of {corpus!r}: {nearest(corpus, known)}it has {', '.join(known) or 'no corpus'}"
            )
        with _staged(files) as write:
            for path, column in tables.items():
                if (frame := read(path)) is not None:
                    gone = frame[column].isin(own if column == "run" else [corpus])
                    write(path, frame[~gone].reset_index(drop=True))
    return Unpublished(len(own), len(files))


PER_CORPUS = {
    **{kind: rf"-({'|'.join(protocol.PROTOCOLS)})\.parquet" for kind in ("predictions", "features", "maps")},
    "splits": rf"-({'|'.join(protocol.PROTOCOLS)})\.csv",
    "yardsticks": rf"-({'|'.join(protocol.PROTOCOLS)})-[a-z]+\.parquet",
    "utterances": r"\.parquet",
}
"""Folders of the results, and how the names of a corpus's files in them end."""


Write = Callable[[Path, "pd.DataFrame | bytes"], None]


@contextmanager
def _staged(gone: Iterable[Path] = ()) -> Iterator[Write]:
    """A function that writes beside each place, under a name of its own; all take their places when the block ends, files that
    are to be `gone` go then, and nothing happens where it fails."""
    written: dict[Path, Path] = {}

    def write(path: Path, content: pd.DataFrame | bytes) -> None:
        """A file that holds the same already stays as it is: equal frames may have other bytes."""
        if isinstance(content, pd.DataFrame) and (old := read(path)) is not None and old.equals(content):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        written[path] = partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
        if isinstance(content, pd.DataFrame):
            content.to_parquet(partial, index=False, compression="zstd")
        else:
            partial.write_bytes(content)

    try:
        yield write
        for path, partial in written.items():
            partial.replace(path)
        for path in gone:
            path.unlink()
    finally:
        for partial in written.values():
            partial.unlink(missing_ok=True)


def _gather(table: pd.DataFrame, facts: list[dict[str, Any]], target: Path, data_root: str | None, write: Write) -> None:
    sources = {fact["corpus"]: fact["source"] for fact in facts}
    _publish_corpora(table, sources, target, data_root, write)
    _publish_yardsticks(table, sources, target, data_root, write)
    histories, tests = [], defaultdict(list)
    for fact in facts:
        folder = Path(fact["folder"])
        histories.append(records.read_history(folder).assign(run=fact["run"]))
        tests[fact["corpus"], fact["protocol"]].append((fact, records.read_test(folder)))
    for (corpus, name), group in tests.items():
        file = f"{corpus}-{name}.parquet"
        predictions = pd.concat([_predictions(fact, test) for fact, test in group], ignore_index=True)
        write(target / "predictions" / file, _merge(read(target / "predictions" / file), predictions, ["run", "utterance"]))
        wanted = set(with_features(table)["run"])
        deep = [_features(fact, test) for fact, test in group if fact["run"] in wanted]
        if deep:
            old = read(target / "features" / file)
            features = _merge(old, pd.concat(deep, ignore_index=True), ["run", "utterance"])
            write(target / "features" / file, features)
            mapped = features.merge(first_seed(table)[["run", *NAME]], on="run")
            maps = _maps(mapped, _unchanged(old, features), read(target / "maps" / file))
            if len(maps):
                write(target / "maps" / file, maps)
    history = _merge(read(target / "history.parquet"), pd.concat(histories, ignore_index=True), ["run", "epoch"])
    write(target / "history.parquet", history)
    write(target / "runs.parquet", table)


def _refuse_other_settings(old: pd.DataFrame, fresh: pd.DataFrame, target: Path) -> None:
    """Runs that are published with other settings are not replaced by the way."""
    problems = []
    for run, before, now in old[["run", "config"]].merge(fresh[["run", "config"]], on="run").itertuples(index=False):
        was, is_ = all_settings(before), all_settings(now)
        if differing := [f"{key}={was[key]} there, {value} here" for key, value in is_.items() if was[key] != value]:
            problems.append(f"{run}: {', '.join(differing)}")
    if problems:
        raise SercoreError(
            f"{target} holds {len(problems)} of these runs with other settings; `sercore publish --replace` puts these in their "
            "place, and another --results folder holds both:\n  " + "\n  ".join(problems),
            offenders=problems,
        )


def _publish_corpora(table: pd.DataFrame, sources: dict[str, str], target: Path, data_root: str | None, write: Write) -> None:
    from ..lab import experiment

    absent, changed = [], []
    for corpus, source in sources.items():
        own = table[table["corpus"] == corpus]
        try:
            prepared = experiment.prepare(source, data_root)
            utterances = prepared.utterances.drop(columns="path")
        except SercoreError as error:
            absent.append(f"{corpus}, that its runs call {source!r}: {error}")
            continue
        splits = {name: protocol.splits(utterances, name) for name in own["protocol"].unique()}
        checksums = own["protocol"].map({name: protocol.checksum(split) for name, split in splits.items()})
        if len(other := own[(own["data"] != prepared.data.inputs.digest) | (own["split"] != checksums)]):
            changed.append(f"{corpus} ({source}): {len(other)} runs, {other['run'].iloc[0]} the first")
            continue
        write(target / "utterances" / f"{corpus}.parquet", utterances)
        for name, split in splits.items():
            write(target / "splits" / f"{corpus}-{name}.csv", protocol.to_csv(split).encode())
    problems = {
        "recordings, labels or speakers of these corpora have changed since their runs were made; bring the corpus back as it "
        "was, or run them again": changed,
        "corpora of finished runs cannot be loaded; publish where they were trained, with the same SERCORE_EXTENSIONS and "
        "--data-root": absent,
    }
    if changed or absent:
        told = ["\n  ".join([what, *offenders]) for what, offenders in problems.items() if offenders]
        raise SercoreError("nothing was published: " + "\n".join(told), offenders=[*changed, *absent])


def _publish_yardsticks(table: pd.DataFrame, sources: dict[str, str], target: Path, data_root: str | None, write: Write) -> None:
    """Each `sercore.lab.yardstick` that can be measured here, on each corpus under both clean protocols; one on the same data and
    parts stays as it is. A protocol without runs is passed over where it is not for this corpus, or lacks a class to learn."""
    from ..lab import experiment, yardstick

    for corpus, source in sources.items():
        prepared = experiment.prepare(source, data_root)
        asked = set(table.loc[table["corpus"] == corpus, "protocol"])
        for name in protocol.CLEAN:
            if name not in asked and not protocol.whole(prepared.utterances, name):
                continue
            split = protocol.checksum(protocol.splits(prepared.utterances, name))
            for kind, own in yardstick.YARDSTICKS.items():
                path = yardstick_path(target, corpus, name, kind)
                old = read(path)
                if old is not None and (old["data"].iloc[0], old["split"].iloc[0]) == (prepared.data.inputs.digest, split):
                    continue
                if own.available(prepared):
                    write(path, yardstick.measure(prepared, name, kind))
                elif old is not None:
                    raise SercoreError(f"{path} is of other data: install {own.package} to measure it again, or delete it")


def _row(fact: dict[str, Any]) -> dict[str, Any]:
    row = {column: fact[column] for column in RUN_COLUMNS if column != "config"}
    return row | {
        "config": json.dumps(fact["config"], sort_keys=True),
        "source": fact["source"],
        "classes": json.dumps(fact["classes"]),
        "engine": fact["engine"],
        "processor": fact["processor"],
        "cores": fact["cores"],
        "threads": fact["threads"],
        "amx": fact["amx"],
        "platform": fact["platform"],
        "versions": json.dumps(fact["versions"], sort_keys=True),
    }


def _predictions(fact: dict[str, Any], test: dict[str, np.ndarray]) -> pd.DataFrame:
    columns = {name: test[name] for name in ("utterance", "speaker", "label")}
    scores = {f"p_{label}": test["probabilities"][:, index] for index, label in enumerate(fact["classes"])}
    return pd.DataFrame({"run": fact["run"], **columns, **scores})


def _features(fact: dict[str, Any], test: dict[str, np.ndarray]) -> pd.DataFrame:
    columns = {name: [row.astype("<f2").tobytes() for row in test[name]] for name in ("features", "attention")}
    return pd.DataFrame({"run": fact["run"], "utterance": test["utterance"], **columns})


def _unchanged(old: pd.DataFrame | None, new: pd.DataFrame) -> set[str]:
    """The runs whose features both hold, alike."""
    if old is None:
        return set()
    before, now = (dict(iter(frame.groupby("run")["features"])) for frame in (old, new))
    return {run for run in before.keys() & now.keys() if list(before[run]) == list(now[run])}


def _maps(deep: pd.DataFrame, unchanged: set[str], old: pd.DataFrame | None) -> pd.DataFrame:
    """UMAP of each run's features; in one fold all systems begin at the baseline's map. Unchanged folds keep theirs."""
    kept = pd.DataFrame(columns=["run", *MAP_COLUMNS]) if old is None else old
    maps = []
    for _, fold in deep.groupby(["seed", "fold"]):
        names = set(fold["run"])
        if names <= unchanged & set(kept["run"]):
            maps.append(kept[kept["run"].isin(names)])
            continue
        start = None
        for _, run in sorted(fold.groupby("system"), key=lambda item: (item[0] != "baseline", item[0])):
            if not geometry.enough(len(run)):
                continue
            points, trust = geometry.project(np.stack([halves(row) for row in run["features"]]), start=start)
            start = points if start is None else start
            x, y = points.T.astype(np.float32)
            maps.append(run[["run", "utterance"]].assign(x=x, y=y, trustworthiness=np.float32(trust)))
    return pd.concat([kept[:0], *maps], ignore_index=True).sort_values(["run", "utterance"], ignore_index=True)


def _merge(old: pd.DataFrame | None, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """`new` and what `old` holds of other runs, sorted."""
    kept = [] if old is None else [old[~old["run"].isin(new["run"].unique())]]
    return pd.concat([*kept, new], ignore_index=True).sort_values(key, ignore_index=True)

"""The published records: compact Parquet files that every table and figure is computed from, and nothing else.

| file | one row | columns |
| --- | --- | --- |
| `runs.parquet` | run | `RUN_COLUMNS`, and the classes, the engine, the processor and the versions |
| `history.parquet` | epoch of a run | run, epoch, train_loss, chooser_loss, chooser_wa, chooser_ua, seconds |
| `predictions/CORPUS-PROTOCOL.parquet` | test utterance of a run | run, utterance, speaker, label, and `p_LABEL` for each class |
| `features/CORPUS-PROTOCOL.parquet` | the same, first seeds and the claims' | run, utterance, features, attention (float16) |
| `maps/CORPUS-PROTOCOL.parquet` | the same, first seeds | run, utterance, x, y: UMAP of the features; trustworthiness |
| `utterances/CORPUS.parquet` | utterance | id, label, speaker, session, gender, sentence, duration |
| `pilot.parquet` | arm of a training of the pilot, and part | names, arm, part, a list of `MEASURES` by epoch, origin |
| `splits/CORPUS-PROTOCOL.csv` | utterance and fold | id, fold, part; its SHA-256 is the `split` of its runs |

`publish` gathers the runs of a machine into such a folder, beside what it holds already.
"""

from __future__ import annotations

import functools
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from .. import places
from ..config import Config
from ..corpora import protocol
from ..errors import SercoreError
from ..lab import records, systems
from . import geometry

RUN_COLUMNS = (
    *("run", "corpus", "protocol", "system", "seed", "fold", "ua", "wa", "ece", "epochs", "chosen_epoch", "chosen_by"),
    *("parameters", "seconds", "precision", "device", "commit", "config", "data", "split", "finished"),
)
EXTRA_COLUMNS = ("source", "classes", "engine", "processor", "cores", "threads", "amx", "platform", "versions")
NAME = ["corpus", "protocol", "system", "seed", "fold"]
MAP_COLUMNS = ["utterance", "x", "y", "trustworthiness"]
READS = "SERCORE_READS"
"""Names a file to which every reader adds the path that it asks for, there or not: what a chapter of the book depends on."""


@dataclass(frozen=True)
class Published:
    """What `publish` came to."""

    runs: int  # that the results hold
    new: int  # of them were not there before
    waiting: tuple[str, ...]  # runs that were left out until the other folds of their seed are there


def publish(
    runs: str | Path | None = None, results: str | Path | None = None, data_root: str | None = None, replace: bool = False
) -> Published:
    """Gather the finished runs under `runs` into `results`: every seed of a system of which all folds are there.

    A run that `results` already holds is replaced, one that it holds with other settings only where `replace` says so. Such
    runs, runs of one corpus on different data, of one protocol on different splits or of one seed with different settings
    raise `SercoreError`, all at once; so do runs none of which belongs to a whole seed, and corpora that cannot be loaded.
    Whatever fails, `results` stays as it was: the new files take their places at the end, together.
    """
    source, target = places.runs_folder(runs), places.results_folder(results)
    facts = records.all_facts(source)
    if not facts:
        raise SercoreError(f"no finished run under {source}: `sercore sweep` makes them")
    fresh = pd.DataFrame([_row(fact) for fact in facts])
    old = _read(target / "runs.parquet")
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
    _check(table, target)
    with _staged() as write:
        _gather(table, facts, target, data_root, write)
    return Published(len(table), len(set(table["run"]) - known), tuple(sorted(waiting)))


Write = Callable[[Path, "pd.DataFrame | bytes"], None]


@contextmanager
def _staged() -> Iterator[Write]:
    """A function that writes beside each place; all take their places when the block ends, and none where it fails."""
    written: dict[Path, Path] = {}

    def write(path: Path, content: pd.DataFrame | bytes) -> None:
        """A file that holds the same already stays as it is: equal frames may have other bytes."""
        if isinstance(content, pd.DataFrame) and (old := _read(path)) is not None and old.equals(content):
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        written[path] = partial = path.with_name(f"{path.name}.partial")
        if isinstance(content, pd.DataFrame):
            content.to_parquet(partial, index=False, compression="zstd")
        else:
            partial.write_bytes(content)

    try:
        yield write
        for path, partial in written.items():
            partial.replace(path)
    finally:
        for partial in written.values():
            partial.unlink(missing_ok=True)


def _gather(table: pd.DataFrame, facts: list[dict[str, Any]], target: Path, data_root: str | None, write: Write) -> None:
    sources = {fact["corpus"]: fact["source"] for fact in facts}
    _publish_corpora(table, sources, target, data_root, write)
    _publish_yardsticks(sources, target, data_root, write)
    histories, tests = [], defaultdict(list)
    for fact in facts:
        folder = Path(fact["folder"])
        histories.append(records.read_history(folder).assign(run=fact["run"]))
        tests[fact["corpus"], fact["protocol"]].append((fact, records.read_test(folder)))
    for (corpus, name), group in tests.items():
        file = f"{corpus}-{name}.parquet"
        predictions = pd.concat([_predictions(fact, test) for fact, test in group], ignore_index=True)
        write(target / "predictions" / file, _merge(_read(target / "predictions" / file), predictions, ["run", "utterance"]))
        wanted = set(with_features(table)["run"])
        deep = [_features(fact, test) for fact, test in group if fact["run"] in wanted]
        if deep:
            old = _read(target / "features" / file)
            features = _merge(old, pd.concat(deep, ignore_index=True), ["run", "utterance"])
            write(target / "features" / file, features)
            mapped = features.merge(first_seed(table)[["run", *NAME]], on="run")
            maps = _maps(mapped, _unchanged(old, features), _read(target / "maps" / file))
            if len(maps):
                write(target / "maps" / file, maps)
    history = _merge(_read(target / "history.parquet"), pd.concat(histories, ignore_index=True), ["run", "epoch"])
    write(target / "history.parquet", history)
    write(target / "runs.parquet", table)


def _refuse_other_settings(old: pd.DataFrame, fresh: pd.DataFrame, target: Path) -> None:
    """Runs that are published with other settings are not replaced by the way."""
    problems = []
    for run, before, now in old[["run", "config"]].merge(fresh[["run", "config"]], on="run").itertuples(index=False):
        was, is_ = _all_settings(before), _all_settings(now)
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
        if len(other := own[(own["data"] != prepared.data.mels.digest) | (own["split"] != checksums)]):
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


def _publish_yardsticks(sources: dict[str, str], target: Path, data_root: str | None, write: Write) -> None:
    """Each `sercore.lab.yardstick` that can be measured here, on each corpus under both clean protocols; one on the same data and
    parts stays as it is."""
    from ..lab import experiment, yardstick

    for corpus, source in sources.items():
        prepared = experiment.prepare(source, data_root)
        for name in protocol.CLEAN:
            try:
                split = protocol.checksum(protocol.splits(prepared.utterances, name))
            except SercoreError:  # too few speakers, or none named
                continue
            for kind, own in yardstick.YARDSTICKS.items():
                path = _yardstick_path(target, corpus, name, kind)
                old = _read(path)
                if old is not None and (old["data"].iloc[0], old["split"].iloc[0]) == (prepared.data.mels.digest, split):
                    continue
                if own.available(prepared):
                    write(path, yardstick.measure(prepared, name, kind))
                elif old is not None:
                    raise SercoreError(f"{path} is of other data: install {own.package} to measure it again, or delete it")


@functools.cache
def _all_settings(config: str) -> dict[str, Any]:
    """Every setting of a record's configuration, those too that came after it."""
    return json.loads(Config.from_dict(json.loads(config)).to_json())


def _settings(config: str) -> str:
    """What of a configuration makes another run of it: not how its numbers are computed."""
    return json.dumps({key: value for key, value in _all_settings(config).items() if key not in ("precision", "engine")})


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
            points, trust = geometry.project(np.stack([_halves(row) for row in run["features"]]), start=start)
            start = points if start is None else start
            x, y = points.T.astype(np.float32)
            maps.append(run[["run", "utterance"]].assign(x=x, y=y, trustworthiness=np.float32(trust)))
    return pd.concat([kept[:0], *maps], ignore_index=True).sort_values(["run", "utterance"], ignore_index=True)


def _merge(old: pd.DataFrame | None, new: pd.DataFrame, key: list[str]) -> pd.DataFrame:
    """`new` and what `old` holds of other runs, sorted."""
    kept = [] if old is None else [old[~old["run"].isin(new["run"].unique())]]
    return pd.concat([*kept, new], ignore_index=True).sort_values(key, ignore_index=True)


def _read(path: Path) -> pd.DataFrame | None:
    return pd.read_parquet(path) if _noted(path).exists() else None


def _noted(path: Path) -> Path:
    if log := os.environ.get(READS):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{path.resolve()}\n")
    return path


def _check(table: pd.DataFrame, where: Path) -> None:
    """Refuse records that no honest table can be made of."""
    problems = [f"no column {column}" for column in RUN_COLUMNS if column not in table]
    if not problems:
        honest = [protocol.chooser(name) == chosen for name, chosen in zip(table["protocol"], table["chosen_by"], strict=True)]
        problems += [f"{run}: its epoch was not chosen as its protocol says" for run in table.loc[~np.array(honest, bool), "run"]]
        settings = table.assign(settings=table["config"].map(_settings))
        for keys, column in ((["corpus"], "data"), (["corpus", "protocol"], "split"), (NAME[:-1], "settings")):
            counts = settings.groupby(keys)[column].nunique()
            problems += [
                f"{'-'.join(np.atleast_1d(name))}: runs on {count} different {column}"
                for name, count in counts.items()
                if count > 1
            ]
    if problems:
        raise SercoreError(f"{where}: records that cannot stand together:\n  " + "\n  ".join(problems))


# ---- readers: every table and figure begins here


def runs(results: str | Path | None = None) -> pd.DataFrame:
    """One row a run (`RUN_COLUMNS` and more); an empty folder gives an empty frame with the columns.

    `source` is what the corpus was asked for by, `changed` names settings of a run that neither its system nor its corpus
    explains, as `--set` makes them.
    """
    path = _noted(places.results_folder(results) / "runs.parquet")
    return (
        _read_runs(path.absolute(), _stamp(path)).copy()
        if path.exists()
        else pd.DataFrame(columns=[*RUN_COLUMNS, *EXTRA_COLUMNS, "changed"])
    )


@functools.lru_cache(maxsize=4)
def _read_runs(path: Path, stamp: tuple[int, int]) -> pd.DataFrame:
    table = pd.read_parquet(path)
    _check(table, path.parent)
    source = table["source"].fillna(table["corpus"]) if "source" in table else table["corpus"]
    return table.assign(source=source, changed=_changed(table, path.parent))


def _stamp(path: Path) -> tuple[int, int]:
    """What a file has, and another in its place has not: what is remembered of a file is remembered with it."""
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


def clean(runs: pd.DataFrame) -> pd.DataFrame:
    """Of `runs` those whose test part was read once, after the epoch was chosen: all but protocol `leaky`."""
    return runs[runs["protocol"].isin(protocol.CLEAN)]


def first_seed(runs: pd.DataFrame) -> pd.DataFrame:
    """Of `runs` those of the first seed of their corpus and protocol, which the most systems have."""
    return runs[runs["seed"] == runs.groupby(["corpus", "protocol"])["seed"].transform("min")]


def with_features(runs: pd.DataFrame) -> pd.DataFrame:
    """Of `runs` those whose deep features, most of the bytes, are to be published: under the clean protocols the first seed of
    each system, and every seed of the systems that carry a claim, for how far seeds alone lie apart."""
    ours = clean(runs)
    first = ours["seed"] == ours.groupby(["corpus", "protocol", "system"])["seed"].transform("min")
    return ours[first | ours["system"].isin(systems.CLAIMS)]


def counted(runs: pd.DataFrame) -> pd.DataFrame:
    """Of `runs` those that claims and Table 2 count: clean protocols, systems as the paper or a combination of it sets them."""
    ours = clean(runs)
    return ours[~ours["system"].astype(str).str.contains("@")]


def _changed(table: pd.DataFrame, folder: Path) -> pd.Series:
    """The settings (`max_epochs=1`) by which a run differs from what its corpus and system say; "" where none does.

    Where its entry does not say, or is not here, a corpus is trained by its size. How numbers are computed (precision and
    engine) does not count.
    """
    from .. import corpora
    from ..lab import systems

    def by_size(corpus: str) -> dict[str, int]:
        path = folder / "utterances" / f"{corpus}.parquet"
        if not path.exists():
            return {}
        epochs, patience = corpora.length_rule(pq.read_metadata(path).num_rows)
        return {"max_epochs": epochs, "patience": patience}

    def compare(corpus: str, system: str, settings: str) -> str:
        found = json.loads(settings)
        entry = corpora.get(corpus) if corpus in corpora.names() else None
        stated = {name: getattr(entry, name, None) for name in ("clip_seconds", "max_epochs", "patience")}
        lengths = by_size(corpus) | {name: value for name, value in stated.items() if value}
        base = Config(precision=found["precision"], engine=found["engine"], **({"clip_seconds": found["clip_seconds"]} | lengths))
        try:
            expected = json.loads(systems.config(system, base).to_json())
        except SercoreError:  # a system that an extension brought, and is not here
            return f"system={system}"
        return ",".join(f"{key}={_text(found[key])}" for key in sorted(found) if found[key] != expected.get(key))

    keys = ["corpus", "system", "config"]
    texts = {key: compare(*key) for key in set(table[keys].itertuples(index=False, name=None))}
    return pd.Series([texts[key] for key in table[keys].itertuples(index=False, name=None)], table.index, dtype=object)


def _text(value: Any) -> str:
    """A setting's value as a command line takes it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def history(results: str | Path | None = None) -> pd.DataFrame:
    """One row an epoch of a run, with the run's names: the columns of `NAME`, `train_loss`, the loss, WA and UA of the part that
    chose the epoch (`chooser_loss`, `chooser_wa`, `chooser_ua`, from 0 to 1), and `seconds`."""
    return _joined(places.results_folder(results) / "history.parquet", runs(results))


def predictions(corpus: str, protocol_name: str, results: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: names, utterance, speaker, label, `p_LABEL` columns, and `prediction`."""
    folder = places.results_folder(results)
    path = _present(folder / "predictions" / f"{corpus}-{protocol_name}.parquet")
    of_runs = _stamp(_present(folder / "runs.parquet"))
    return _read_predictions(path.absolute(), _stamp(path), folder.absolute(), of_runs).copy()


@functools.lru_cache(maxsize=8)
def _read_predictions(path: Path, stamp: tuple[int, int], folder: Path, of_runs: tuple[int, int]) -> pd.DataFrame:
    frame = _joined(path, runs(folder))
    columns = [column for column in frame if column.startswith("p_")]
    labels = np.array([column.removeprefix("p_") for column in columns])
    return frame.assign(prediction=labels[frame[columns].to_numpy().argmax(1)])


def features(corpus: str, protocol_name: str, results: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: names, utterance, `features` (features,) and `attention` (steps,), float32."""
    frame = _joined(places.results_folder(results) / "features" / f"{corpus}-{protocol_name}.parquet", runs(results))
    return frame.assign(**{name: [_halves(row) for row in frame[name]] for name in ("features", "attention")})


def maps(corpus: str, protocol_name: str, results: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: names, utterance, `x`, `y`, and the map's `trustworthiness`.

    Maps of one fold begin alike, so that systems can be compared by eye; each fold has a network of its own. The frame is
    empty where the folds have too few utterances for a map.
    """
    path = places.results_folder(results) / "maps" / f"{corpus}-{protocol_name}.parquet"
    return _joined(path, runs(results)) if _noted(path).exists() else pd.DataFrame(columns=["run", *NAME, *MAP_COLUMNS])


def utterances(corpus: str, results: str | Path | None = None) -> pd.DataFrame:
    """The corpus's table as it was when its runs were published, without paths."""
    return pd.read_parquet(_present(places.results_folder(results) / "utterances" / f"{corpus}.parquet"))


def pilot(results: str | Path | None = None) -> pd.DataFrame | None:
    """Curves of the pilot's trainings (`sercore.lab.pilot.gather`): one row an arm of a training on one part. None before."""
    return _read(places.results_folder(results) / "pilot.parquet")


def yardstick(corpus: str, protocol_name: str, results: str | Path | None = None, kind: str = "bands") -> pd.DataFrame | None:
    """What `sercore.lab.yardstick.measure` found on a corpus; None where it has not been published."""
    return _read(_yardstick_path(places.results_folder(results), corpus, protocol_name, kind))


def _yardstick_path(folder: Path, corpus: str, protocol_name: str, kind: str) -> Path:
    return folder / "yardsticks" / f"{corpus}-{protocol_name}-{kind}.parquet"


def published(results: str | Path | None = None) -> list[tuple[str, str]]:
    """The (corpus, protocol) pairs that have runs, sorted."""
    table = runs(results)
    return sorted(set(zip(table["corpus"], table["protocol"], strict=True)))


def _halves(row: bytes) -> np.ndarray:
    return np.frombuffer(row, "<f2").astype(np.float32)


def _joined(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    frame = pd.read_parquet(_present(path))
    unknown = sorted(set(frame["run"]) - set(table["run"]))
    if unknown:
        raise SercoreError(f"{path}: runs that runs.parquet does not know: {', '.join(unknown[:5])}")
    return table[["run", *NAME]].merge(frame, on="run")


def _present(path: Path) -> Path:
    if not _noted(path).exists():
        raise SercoreError(f"{path} is not there: `sercore publish` writes it from finished runs")
    return path

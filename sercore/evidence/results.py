"""The published records: compact Parquet files that every table and figure is computed from, and nothing else.

| file | one row | columns |
| --- | --- | --- |
| `runs.parquet` | run | `RUN_COLUMNS`, and the classes, the engine, the processor and the versions |
| `history.parquet` | epoch of a run | run, epoch, train_loss, chooser_loss, chooser_wa, chooser_ua, seconds |
| `predictions/CORPUS-PROTOCOL.parquet` | test utterance of a run | run, utterance, speaker, label, and `p_LABEL` for each class |
| `features/CORPUS-PROTOCOL.parquet` | the same, first seeds and the claims' | run, utterance, features, attention (float16) |
| `maps/CORPUS-PROTOCOL.parquet` | the same, first seeds | run, utterance, x, y: UMAP of the features; trustworthiness |
| `utterances/CORPUS.parquet` | utterance | id, label, speaker, session, gender, sentence, duration |
| `costs.parquet` | system | system, parameters, multiply_adds, training_ms, labelling_ms, and where it was measured |
| `trials.parquet` | model, corpus, trimmed, disturbance | measures of `sercore.inference.trials`, and where they were taken |
| `efficiency.parquet` | number of workers | workers, runs_an_hour, and where it was measured |
| `pilot.parquet` | arm of a training of the pilot, and part | names, arm, part, a list of `MEASURES` by epoch, origin |
| `splits/CORPUS-PROTOCOL.csv` | utterance and fold | id, fold, part; its SHA-256 is the `split` of its runs |

Folders among them that are results of their own hold runs that no table but one of theirs counts (`sercore.lab.study.WAY`).

`publication` writes them.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec

import numpy as np
import pandas as pd

from .. import bounds, places
from ..config import Config
from ..corpora import protocol
from ..errors import SercoreError
from ..lab import records, systems

RUN_COLUMNS = (
    *("run", "corpus", "protocol", "system", "seed", "fold", "ua", "wa", "ece", "epochs", "chosen_epoch", "chosen_by"),
    *("parameters", "seconds", "precision", "device", "commit", "config", "data", "split", "finished"),
)
EXTRA_COLUMNS = ("source", "classes", "engine", "processor", "cores", "threads", "amx", "platform", "versions")
NAME = ["corpus", "protocol", "system", "seed", "fold"]
MAP_COLUMNS = ["utterance", "x", "y", "trustworthiness"]
READS = "SERCORE_READS"
"""Names a file to which every reader adds the path that it asks for, there or not: what a chapter of the book depends on."""


@functools.cache
def all_settings(config: str) -> dict[str, Any]:
    """Every setting of a record's configuration, those too that came after it."""
    return json.loads(Config.from_dict(json.loads(config)).to_json())


def _settings(config: str) -> str:
    """What of a configuration makes another run of it: not how its numbers are computed."""
    return json.dumps({key: value for key, value in all_settings(config).items() if key not in ("precision", "engine")})


def read(path: Path) -> pd.DataFrame | None:
    """A table of the results; None where it is not there. Raises `SercoreError` where it is not whole."""
    return bounds.table(path) if _noted(path).exists() else None


def _noted(path: Path) -> Path:
    for read_meanwhile in _recording:
        read_meanwhile.add(path.absolute())
    if log := os.environ.get(READS):
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{path.resolve()}\n")
    return path


_recording: list[set[Path]] = []
"""What is read while the functions of `once` that are at work compute."""

P = ParamSpec("P")
KEPT = 256
"""How many answers each function of `once` keeps."""


def once(function: Callable[P, pd.DataFrame]) -> Callable[P, pd.DataFrame]:
    """For a table made of records and its arguments alone: asked for again, it is made again only where a file that it was made
    from has changed. A title and its page ask for the same."""
    kept: dict[Any, tuple[pd.DataFrame, dict[Path, tuple[int, int] | None]]] = {}

    @functools.wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> pd.DataFrame:
        key = _hashable(args), _hashable(kwargs), places.results_folder(None).absolute()
        if key in kept and all(_stamp_of(path) == stamp for path, stamp in kept[key][1].items()):
            for path in kept[key][1]:
                _noted(path)
            return kept[key][0].copy()
        own: set[Path] = set()
        _recording.append(own)
        try:
            table = function(*args, **kwargs)
        finally:
            _recording.pop()
        if len(kept) >= KEPT:
            kept.pop(next(iter(kept)))
        kept[key] = table.copy(), {path: _stamp_of(path) for path in own}
        return table

    return remembered


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((name, _hashable(part)) for name, part in value.items()))
    return tuple(map(_hashable, value)) if isinstance(value, list | tuple) else value


def _stamp_of(path: Path) -> tuple[int, int] | None:
    return _stamp(path) if path.exists() else None


def check(table: pd.DataFrame, where: Path) -> None:
    """Refuse records that no honest table can be made of."""
    problems = [f"no column {column}" for column in RUN_COLUMNS if column not in table] or _strange(table)
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


def _strange(table: pd.DataFrame) -> list[str]:
    """What a table of runs says that no record does (`records.FACTS`)."""
    problems = []
    for column in (name for name in (*RUN_COLUMNS, *EXTRA_COLUMNS) if name in table):
        kind = COLUMN_KINDS.get(column) or records.FACTS[column]
        if wrong := [value for value in _to_look_at(table[column], column in EXTRA_COLUMNS) if not kind.fits(value)]:
            problems.append(f"{column} is {bounds.shown(wrong[0])}, and must be {kind.words}")
    if not problems:
        names = [str(records.RunName(*row)) for row in table[NAME].itertuples(index=False, name=None)]
        pairs = zip(table["run"].tolist(), names, strict=True)
        problems += [f"run is {run}, and its names make {name}" for run, name in pairs if run != name]
        problems += [f"{run}: it is there twice" for run in table["run"][table["run"].duplicated()]]
    return problems[:20]


def _to_look_at(column: pd.Series, optional: bool) -> list[Any]:
    """Of a column's numbers the least and the largest, of other values each once; `optional` ones may lack."""
    found = column.dropna() if optional else column
    if found.dtype.kind in "iuf" and len(found):
        values = found.to_numpy()
        return [values.min().item(), values.max().item()]  # no numbers where one of them is none
    return found.unique().tolist()


def _are_settings(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(all_settings(value))
    except (ValueError, RecursionError):  # a `SercoreError` is one
        return False


def _json_of(fits: Callable[[Any], bool], words: str) -> bounds.Kind:
    def parsed(value: Any) -> bool:
        try:
            return isinstance(value, str) and fits(json.loads(value))
        except (ValueError, RecursionError):  # a `SercoreError` is one
            return False

    return bounds.Kind(parsed, f"as JSON {words}")


COLUMN_KINDS = {
    "config": bounds.Kind(_are_settings, "as JSON settings that there can be"),
    "classes": _json_of(*bounds.CLASSES),
    "versions": _json_of(*records.FACTS["versions"]),
}
"""Columns that hold in JSON what a record holds as it is."""


# ---- readers: every table and figure begins here


def runs(results: str | Path | None = None) -> pd.DataFrame:
    """One row a run (`RUN_COLUMNS` and more); an empty folder gives an empty frame with the columns.

    `source` is what the corpus was asked for by, `changed` names settings of a run that neither its system nor its corpus
    explains, as `--set` makes them. What is published beside the tables, in a folder within the records, has its name in
    `attrs["kept"]`.
    """
    path = _noted(places.results_folder(results) / "runs.parquet")
    if not path.exists():
        return pd.DataFrame(columns=[*RUN_COLUMNS, *EXTRA_COLUMNS, "changed"])
    found = _read_runs(path.absolute(), _stamp(path)).copy()
    main = places.results_folder().absolute()
    if main in path.absolute().parent.parents:
        found.attrs["kept"] = f"results/{path.absolute().parent.relative_to(main).as_posix()}"
    return found


@functools.lru_cache(maxsize=4)
def _read_runs(path: Path, stamp: tuple[int, int]) -> pd.DataFrame:
    table = bounds.table(path)
    check(table, path.parent)
    source = table["source"].fillna(table["corpus"]) if "source" in table else table["corpus"]
    return table.assign(source=source, changed=_changed(table, path.parent))


def files_now(corpus: str, protocol_name: str, results: str | Path | None = None) -> dict[str, tuple[int, int] | None]:
    """The files that hold a corpus under a protocol, but the table of runs, each with what tells it from another in its place."""
    folder = places.results_folder(results)
    files = [folder / kind / f"{corpus}-{protocol_name}.parquet" for kind in ("predictions", "features", "maps")]
    return {
        _noted(path).name + path.parent.name: _stamp_of(path) for path in [*files, folder / "utterances" / f"{corpus}.parquet"]
    }


def folds_of_systems(results: str | Path | None = None) -> dict[tuple[str, str], dict[str, int]]:
    """How many folds each system was run on, by corpus and protocol."""
    path = _noted(places.results_folder(results) / "runs.parquet")
    return _folds_of_systems(path.absolute(), _stamp(path)) if path.exists() else {}


@functools.lru_cache(maxsize=4)
def _folds_of_systems(path: Path, stamp: tuple[int, int]) -> dict[tuple[str, str], dict[str, int]]:
    folds: dict[tuple[str, str], dict[str, int]] = {}
    counted = _read_runs(path, stamp).groupby(["corpus", "protocol", "system"], sort=False)["fold"].nunique()
    for (corpus, name, system), count in counted.items():
        folds.setdefault((corpus, name), {})[system] = count
    return folds


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


def proposed(runs: pd.DataFrame) -> pd.DataFrame:
    """Of `runs` those of the paper's own network, however it is trained: all but the earlier systems of Table 1."""
    return runs[runs["system"].map(systems.family) != "prior"] if len(runs) else runs


def counted(runs: pd.DataFrame) -> pd.DataFrame:
    """Of `runs` those that Table 2 counts: clean protocols, systems as the paper or a combination of it sets them."""
    ours = proposed(clean(runs))
    return ours[~ours["system"].astype(str).str.contains("@")]


def _changed(table: pd.DataFrame, folder: Path) -> pd.Series:
    """The settings (`max_epochs=1`) by which a run differs from what its corpus and system say; "" where none does.

    Where its entry does not say, or is not here, a corpus is trained by its size. How numbers are computed (precision and
    engine) does not count.
    """
    from .. import corpora
    from ..lab import systems

    @functools.cache
    def by_size(corpus: str) -> dict[str, float]:
        path = folder / "utterances" / f"{corpus}.parquet"
        if not path.exists():
            return {}
        utterances = bounds.table(path)
        epochs, patience = corpora.length_rule(len(utterances))
        lengths: dict[str, float] = {"max_epochs": epochs, "patience": patience}
        if "duration" in utterances:
            durations = utterances["duration"].dropna()
            lengths |= {"clip_seconds": corpora.clip_rule(durations)} if len(durations) else {}
        return lengths

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
    folder = places.results_folder(results)
    path, of_runs = _present(folder / "history.parquet"), _present(folder / "runs.parquet")
    return _read_history(path.absolute(), _stamp(path), folder.absolute(), _stamp(of_runs)).copy()


@functools.lru_cache(maxsize=2)
def _read_history(path: Path, stamp: tuple[int, int], folder: Path, of_runs: tuple[int, int]) -> pd.DataFrame:
    return _joined(path, runs(folder), ["epoch"])


def predictions(corpus: str, protocol_name: str, results: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: names, utterance, speaker, label, `p_LABEL` columns, and `prediction`."""
    return _read_predictions(*predictions_now(corpus, protocol_name, results)).copy()


def predictions_now(corpus: str, protocol_name: str, results: str | Path | None = None) -> PredictionsNow:
    """Where predictions lie and what tells them from others in their place: what is computed from them is remembered by it."""
    folder = places.results_folder(results)
    path = _present(folder / "predictions" / f"{corpus}-{protocol_name}.parquet")
    of_runs = _stamp(_present(folder / "runs.parquet"))
    return PredictionsNow(path.absolute(), _stamp(path), folder.absolute(), of_runs)


class PredictionsNow(NamedTuple):
    """What `predictions_now` tells."""

    path: Path
    stamp: tuple[int, int]
    folder: Path
    of_runs: tuple[int, int]


@functools.lru_cache(maxsize=8)
def _read_predictions(path: Path, stamp: tuple[int, int], folder: Path, of_runs: tuple[int, int]) -> pd.DataFrame:
    frame = _joined(path, runs(folder), ["utterance", "speaker", "label"])
    columns = [column for column in frame if column.startswith("p_") and frame[column].dtype.kind == "f"]
    if not columns:
        raise SercoreError(f"{path}: no column p_CLASS with probabilities: bring it back as it was, or publish again")
    labels = np.array([column.removeprefix("p_") for column in columns])
    return frame.assign(prediction=labels[frame[columns].to_numpy().argmax(1)])


def features(corpus: str, protocol_name: str, results: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: names, utterance, `features` (features,) and `attention` (steps,), float32."""
    path = places.results_folder(results) / "features" / f"{corpus}-{protocol_name}.parquet"
    frame = _joined(path, runs(results), ["utterance", "features", "attention"])
    return frame.assign(**{name: _halves(frame[name]) for name in ("features", "attention")})


def maps(corpus: str, protocol_name: str, results: str | Path | None = None) -> pd.DataFrame:
    """One row a tested utterance of a run: names, utterance, `x`, `y`, and the map's `trustworthiness`.

    Maps of one fold begin alike, so that systems can be compared by eye; each fold has a network of its own. The frame is
    empty where the folds have too few utterances for a map.
    """
    path = places.results_folder(results) / "maps" / f"{corpus}-{protocol_name}.parquet"
    return (
        _joined(path, runs(results), MAP_COLUMNS) if _noted(path).exists() else pd.DataFrame(columns=["run", *NAME, *MAP_COLUMNS])
    )


def utterances(corpus: str, results: str | Path | None = None) -> pd.DataFrame:
    """The corpus's table as it was when its runs were published, without paths."""
    return bounds.table(_present(places.results_folder(results) / "utterances" / f"{corpus}.parquet"))


def pilot(results: str | Path | None = None) -> pd.DataFrame | None:
    """Curves of the pilot's trainings (`sercore.lab.pilot.gather`): one row an arm of a training on one part, with `run` and
    `precision` as of a run. None before."""
    found = read(places.results_folder(results) / "pilot.parquet")
    if found is None:
        return None
    runs = ["-".join([*map(str, names[:3]), f"seed{names[3]}", f"fold{names[4]}"]) for names in found[NAME].to_numpy()]
    return found.assign(run=runs, precision=[json.loads(config)["precision"] for config in found["config"]])


def costs(results: str | Path | None = None) -> pd.DataFrame | None:
    """What each system costs, as `sercore.lab.costs` measured it on one machine: one row a system. None before."""
    return read(places.results_folder(results) / "costs.parquet")


def efficiency(results: str | Path | None = None) -> pd.DataFrame | None:
    """How many runs an hour one and two workers do (`benchmarks/sweep.py`): one row a number of workers. None before."""
    return read(places.results_folder(results) / "efficiency.parquet")


_SYSTEM_OF_RUN = rf"^.+?-(?:{'|'.join(protocol.PROTOCOLS)})-(.+?)-seed\d+-fold\d+(?:, |$)"

UNDISTURBED = "as recorded"
"""The disturbance of `trials` that is none."""


def trials(results: str | Path | None = None) -> pd.DataFrame | None:
    """How models do on corpora that they were not trained on, and on disturbed recordings (`sercore.inference.trials`): one row a
    model, corpus, `trimmed` (the silence around recordings cut off) and disturbance; `system` is what its networks are, by the
    names of their runs. None before."""
    found = read(places.results_folder(results) / "trials.parquet")
    return None if found is None else found.assign(system=found["members"].str.extract(_SYSTEM_OF_RUN, expand=False))


def yardstick_now(
    corpus: str, protocol_name: str, results: str | Path | None = None, kind: str = "bands"
) -> tuple[Path, tuple[int, int]] | None:
    """Where lies what `sercore.lab.yardstick.measure` found on a corpus, and what tells it from another in its place; None where
    it has not been published."""
    path = _noted(yardstick_path(places.results_folder(results), corpus, protocol_name, kind))
    return (path.absolute(), _stamp(path)) if path.exists() else None


def yardstick_path(folder: Path, corpus: str, protocol_name: str, kind: str) -> Path:
    return folder / "yardsticks" / f"{corpus}-{protocol_name}-{kind}.parquet"


def published(results: str | Path | None = None) -> list[tuple[str, str]]:
    """The (corpus, protocol) pairs that have runs, sorted."""
    return sorted(folds_of_systems(results))


def _halves(column: pd.Series) -> list[np.ndarray]:
    """Each row of a column as `halves` reads it, all at once where they are equally long."""
    if len(column) and column.map(len).nunique() == 1:
        return list(np.frombuffer(b"".join(column), "<f2").astype(np.float32).reshape(len(column), -1))
    return [halves(row) for row in column]


def halves(row: bytes) -> np.ndarray:
    return np.frombuffer(row, "<f2").astype(np.float32)


def _joined(path: Path, table: pd.DataFrame, needed: Sequence[str]) -> pd.DataFrame:
    frame = bounds.table(_present(path), ["run", *needed])
    unknown = sorted(set(frame["run"].unique()) - set(table["run"]))
    if unknown:
        raise SercoreError(f"{path}: runs that runs.parquet does not know: {', '.join(map(bounds.shown, unknown[:5]))}")
    return table[["run", *NAME]].merge(frame, on="run")


def _present(path: Path) -> Path:
    if not _noted(path).exists():
        raise SercoreError(f"{path} is not there: `sercore publish` writes it from finished runs")
    return path

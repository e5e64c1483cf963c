"""What a run leaves behind: one folder, written whole or not at all.

| file | what it holds |
| --- | --- |
| `run.json` | names, configuration, checksums of data and split, what chose the epoch, measures, time, commit, machine |
| `history.csv` | one row an epoch |
| `test.npz` | `utterance`, `speaker`, `label` (text), `probabilities` float32, `features` and `attention` float16 |
| `model.pt` | the weights, with configuration and classes: all that `sercore predict` needs |
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from pickletools import genops
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import bounds, machine
from ..config import Config
from ..errors import SercoreError

if TYPE_CHECKING:  # reading records needs no PyTorch
    import pandas as pd

    from ..network.base import Network

ORIGIN = ("run", "corpus", "commit", "temperature", "code")
"""What a model says of where it comes from; the temperature is 1 where its run told none."""

FILES = ("run.json", "history.csv", "test.npz", "model.pt")
FAILED = ".failed.json"

FACTS = {
    "corpus": bounds.matching(bounds.NAME, "a name in small letters, digits and hyphens"),
    "protocol": bounds.one_of(*bounds.PROTOCOLS),
    "system": bounds.matching(bounds.SLUG, "a name of letters of English, digits and -+.@=,_"),
    "seed": bounds.whole(0, 2**63 - 1),
    "fold": bounds.whole(0, bounds.FOLDS - 1),
    "source": bounds.text(bounds.PATH_LETTERS),
    "classes": bounds.CLASSES,
    "config": bounds.Kind(lambda value: isinstance(value, dict), "a dictionary of settings"),
    **dict.fromkeys(("data", "split"), bounds.DIGEST),
    **dict.fromkeys(("run", "commit", "chosen_by", "precision", "engine", "front_end", "finished"), bounds.text()),
    **dict.fromkeys(("processor", "device", "platform"), bounds.text()),
    **dict.fromkeys(("ua", "wa", "ece"), bounds.SHARE),
    "recall": bounds.several(bounds.maybe(bounds.SHARE)),
    **dict.fromkeys(("epochs", "chosen_epoch", "parameters", "threads"), bounds.COUNT),
    "cores": bounds.maybe(bounds.COUNT),
    "amx": bounds.Kind(lambda value: isinstance(value, bool), "true or false"),
    **dict.fromkeys(("seconds", "seconds_last_start", "rounded_to"), bounds.number(0, 1e12)),
    "temperature": bounds.number(*bounds.TEMPERATURES),
    "utterances": bounds.by_name(bounds.COUNT),
    **dict.fromkeys(("versions", "code"), bounds.by_name(bounds.text())),
}
"""What `run.json` may say."""

NEEDED = (
    *("run", "corpus", "source", "protocol", "system", "seed", "fold"),
    *("classes", "config", "data", "split", "ua", "wa", "recall"),
)
"""What it must say, whatever version wrote it."""

TEST = {"utterance": "U", "speaker": "U", "label": "U", "probabilities": "f", "features": "f", "attention": "f"}
"""The arrays of `test.npz` and the kind of their values; texts have one axis, numbers two."""

MODEL = {
    "config": bounds.text(10**4),
    "classes": bounds.CLASSES,
    "origin": bounds.Kind(lambda value: isinstance(value, dict), "a dictionary"),
    "state": bounds.Kind(lambda value: isinstance(value, dict), "a dictionary"),
}
HISTORY_BYTES, HEADER = 2**26, 10**4
MODEL_GLOBALS = ("collections OrderedDict", "torch._utils _rebuild_tensor_v2")


@dataclass(frozen=True, order=True)
class RunName:
    """What tells one run from another; `str` of it names its folder."""

    corpus: str
    protocol: str
    system: str
    seed: int
    fold: int

    def __str__(self) -> str:
        return f"{self.corpus}-{self.protocol}-{self.system}-seed{self.seed}-fold{self.fold}"


def partial_folder(runs: Path, name: RunName) -> Path:
    """Where a run keeps its checkpoint, and is put together before it is given its own name."""
    return runs / f"{name}.partial"


def write(
    runs: Path,
    name: RunName,
    facts: dict[str, Any],
    history: list[dict[str, float]],
    test: dict[str, np.ndarray],
    model: Network,
    classes: tuple[str, ...],
) -> Path:
    """Write the run's folder beside its final name, then rename it; its checkpoint is gone with that."""
    partial = partial_folder(runs, name)
    partial.mkdir(parents=True, exist_ok=True)
    (partial / "run.json").write_text(machine.json_text(facts, indent=1, sort_keys=True) + "\n")
    import pandas as pd  # here: labelling a file does without it, and starts in less time

    pd.DataFrame(history).to_csv(partial / "history.csv", index=False)
    np.savez_compressed(partial / "test.npz", **test)  # type: ignore[arg-type]
    save_model(partial / "model.pt", model, classes, facts)
    for leftover in partial.iterdir():
        if leftover.name not in FILES:
            leftover.unlink()
    final = runs / str(name)
    os.replace(partial, final)
    failure(runs, name).unlink(missing_ok=True)
    return final


def save_model(path: Path, model: Network, classes: tuple[str, ...], facts: dict[str, Any]) -> None:
    """Weights with their configuration, classes and origin, in a file that loads without running any code."""
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    origin = {key: facts[key] for key in ORIGIN if key in facts}
    machine.save({"config": model.config.to_json(), "classes": list(classes), "origin": origin, "state": state}, path)


def load_model(path: Path) -> tuple[Network, tuple[str, ...], dict[str, Any]]:
    """(model in evaluation mode, class names, origin) from a file of `save_model`; another file raises `SercoreError`."""
    import torch

    from ..network.networks import of_state

    try:
        _check_model_file(path)
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if not (problems := bounds.wrong(saved, MODEL, MODEL)):
            origin = {key: saved["origin"][key] for key in ORIGIN if key in saved["origin"]}
            problems = bounds.wrong(origin, FACTS)
        if problems:
            raise SercoreError("; ".join(problems), problems)
        config = Config.from_dict(json.loads(saved["config"]))
        return of_state(config, len(saved["classes"]), saved["state"]), tuple(saved["classes"]), origin
    except FileNotFoundError:
        raise SercoreError(f"{path}: no such model file") from None
    except SercoreError as error:
        raise SercoreError(f"{path}: {error}", error.offenders) from None
    except Exception as error:
        raise SercoreError(f"{path} is not a model of sercore: name a run's folder, or the model.pt in it") from error


def _check_model_file(path: Path) -> None:
    """Refuse what `torch.load` would take memory or time for before anybody sees what it is: storages that are packed, and
    pickles of more than tensors, texts and numbers, or in which a tuple stands in several places, as it never does in ours: the
    key of a dictionary may be a tuple of tuples, twice the same each, and its hash would take for ever."""
    with zipfile.ZipFile(path) as packed:
        entries = bounds.members(path, packed)
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise SercoreError("its parts are packed, as those of a model of sercore never are")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise SercoreError("its parts lie in one another")
        (pickled,) = (entry for entry in entries if entry.filename.endswith("/data.pkl"))
        said = packed.read(pickled)
    tuples, last, places = set[int](), "", 0
    value: Any  # a text or a number, as the code has it
    for code, value, _ in genops(said):
        if code.name in ("GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "BUILD", "DUP"):
            name = str(value)
            if name not in MODEL_GLOBALS and not (name.startswith("torch ") and name.endswith("Storage")):
                raise SercoreError(f"it holds more than weights, texts and numbers: {bounds.shown(value)}")
        elif code.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = places if value is None else int(value)
            places += 1
            (tuples.add if last.startswith("TUPLE") else tuples.discard)(place)
        elif code.name in ("GET", "BINGET", "LONG_BINGET") and int(value) in tuples:
            raise SercoreError("its parts hold one another")
        last = code.name


def finished(runs: Path, name: RunName) -> bool:
    return (runs / str(name) / "run.json").exists()


def failure(runs: Path, name: RunName) -> Path:
    """The note of a run that failed: why, and when. It goes when the run is done."""
    return runs / f"{name}{FAILED}"


def note_failure(runs: Path, name: RunName, cause: str) -> None:
    """Leave the note of a failed run, so that its hole in the tables can be told."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    path = failure(runs, name)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(machine.json_text({"run": str(name), "cause": cause, "when": when}, indent=1) + "\n")
    os.replace(partial, path)


def refuse_half_copied(runs: Path, names: Iterable[RunName]) -> None:
    """Raise `SercoreError` where the folder of one of `names` is there and has no `run.json`: a copy that was broken off."""
    if broken := [str(name) for name in names if (runs / str(name)).exists() and not finished(runs, name)]:
        raise SercoreError(
            f"{runs} has {', '.join(broken)} in part, without run.json: bring the rest of it, or remove the folder", broken
        )


def _of_corpus(runs: Path, corpus: str | None) -> list[Path]:
    """What lies under `runs` and is called as runs of `corpus` are (all by default), sorted; one corpus's name may begin
    another's."""
    beginnings = ("",) if corpus is None else tuple(f"{corpus}-{protocol}-" for protocol in bounds.PROTOCOLS)
    return sorted(path for path in runs.iterdir() if path.name.startswith(beginnings)) if runs.exists() else []


def failures(runs: Path, corpus: str) -> list[dict[str, str]]:
    """The notes of the runs of `corpus` that have failed and were not done since, sorted by name; a damaged one raises
    `SercoreError` that names it."""
    notes = []
    for path in _of_corpus(runs, corpus):
        if not path.name.endswith(FAILED) or (runs / path.name.removesuffix(FAILED) / "run.json").exists():
            continue
        try:
            note = json.loads(path.read_text())
            notes.append({key: str(note[key]) for key in ("run", "cause", "when")})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SercoreError(f"{path}: this note of a failed run cannot be read ({error}): remove it") from error
    return notes


def read_facts(folder: Path) -> dict[str, Any]:
    """`run.json` of one run; one that is damaged, or says what no run says, raises `SercoreError` that names it."""
    try:
        facts = bounds.parsed(folder / "run.json")
    except Exception as error:  # whatever a damaged file comes to
        raise _damaged(folder, error) from error
    if problems := _wrong(facts):
        raise _damaged(folder, SercoreError(f"run.json: {'; '.join(problems)}", problems))
    facts["recall"] = [math.nan if value is None else value for value in facts["recall"]]
    return facts


def _wrong(facts: Any) -> list[str]:
    """What `run.json` says that no run says: each place alone, and then what does not go together."""
    if problems := bounds.wrong(facts, FACTS, NEEDED):
        return problems
    try:
        Config.from_dict(facts["config"])
    except SercoreError as error:
        problems.append(f"config: {error}")
    if facts["run"] != (name := str(RunName(*(facts[field.name] for field in dataclasses.fields(RunName))))):
        problems.append(f"run is {bounds.shown(facts['run'])}, and its names make {name}")
    if len(facts["recall"]) != len(facts["classes"]):
        problems.append(f"recall is of {len(facts['recall'])} classes, and there are {len(facts['classes'])}")
    return problems


def all_facts(runs: Path, corpus: str | None = None) -> list[dict[str, Any]]:
    """`run.json` of every finished run under `runs` (of `corpus`), sorted by name; remains of unfinished ones are passed over.

    Raises `SercoreError` for all that `read_facts` refuses, and for folders that are not called as their runs, together.
    """
    folders = [path for path in _of_corpus(runs, corpus) if not path.name.endswith(".partial") and (path / "run.json").exists()]
    facts, problems = [], []
    for folder in folders:
        try:
            own = read_facts(folder)
            if own["run"] != folder.name:
                raise _damaged(folder, SercoreError(f"run.json is of the run {own['run']}: give the folder that name"))
            facts.append(own | {"folder": str(folder)})
        except SercoreError as error:
            problems.append(str(error))
    if problems:
        raise SercoreError("\n".join(problems), problems)
    return [fact for fact in facts if corpus in (None, fact["corpus"])]


def read_history(folder: Path) -> pd.DataFrame:
    """`history.csv` of one run, numbers alone; a damaged one raises `SercoreError` that names the run."""
    import pandas as pd

    path = folder / "history.csv"
    try:
        with path.open(encoding="utf-8") as file:
            if path.stat().st_size > HISTORY_BYTES or len(file.readline(HEADER)) == HEADER:
                raise SercoreError("history.csv is too large")
        history = pd.read_csv(path)
        if strange := [column for column in history if history[column].dtype.kind not in "iuf"]:
            raise SercoreError(f"history.csv has no numbers in {', '.join(map(bounds.shown, strange[:5]))}")
        if "epoch" not in history:
            raise SercoreError("history.csv has no column epoch")
        return history
    except Exception as error:  # whatever a damaged file comes to
        raise _damaged(folder, error) from error


def read_test(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of `test.npz` of one run; a damaged file, or one of other classes than the run's, raises `SercoreError` that
    names the run."""
    classes = read_facts(folder)["classes"]
    try:
        arrays = bounds.arrays(folder / "test.npz", *TEST)
        rows, shares = len(arrays["utterance"]), arrays["probabilities"]
        axes = {"U": 1, "f": 2}
        if strange := [
            name
            for name, kind in TEST.items()
            if arrays[name].dtype.kind != kind or arrays[name].ndim != axes[kind] or len(arrays[name]) != rows
        ]:
            raise SercoreError(f"test.npz has other arrays than a run's: {', '.join(strange)}")
        if shares.shape[1] != len(classes) or not ((shares >= 0) & (shares <= 1.001)).all():
            raise SercoreError(f"test.npz has no probabilities of {len(classes)} classes")
        if unknown := sorted(set(arrays["label"].tolist()) - set(classes)):
            raise SercoreError(f"test.npz has labels that run.json does not: {', '.join(map(bounds.shown, unknown[:5]))}")
        return arrays
    except Exception as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> SercoreError:
    told = f"{folder}: the record cannot be read ({error}); remove the folder and run it again"
    return SercoreError(told, error.offenders if isinstance(error, SercoreError) else ())

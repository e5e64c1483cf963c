"""What a run leaves behind: one folder, written whole or not at all.

| file | what it holds |
| --- | --- |
| `run.json` | names, configuration, checksums of data and split, what chose the epoch, measures, time, commit, machine |
| `history.csv` | one row an epoch |
| `test.npz` | `utterance`, `speaker`, `label` (text), `probabilities` float32, `features` and `attention` float16 |
| `model.pt` | the weights, with configuration and classes: all that `sercore predict` needs |
"""

from __future__ import annotations

import datetime
import glob
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import machine
from ..config import Config
from ..errors import SercoreError

if TYPE_CHECKING:  # reading records needs no PyTorch
    import pandas as pd

    from ..network.base import Network

ORIGIN = ("run", "corpus", "commit", "temperature", "code")
"""What a model says of where it comes from; the temperature is 1 where its run told none."""

FILES = ("run.json", "history.csv", "test.npz", "model.pt")


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
    return final


def save_model(path: Path, model: Network, classes: tuple[str, ...], facts: dict[str, Any]) -> None:
    """Weights with their configuration, classes and origin, in a file that loads without running any code."""
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    origin = {key: facts[key] for key in ORIGIN if key in facts}
    machine.save({"config": model.config.to_json(), "classes": list(classes), "origin": origin, "state": state}, path)


def load_model(path: Path) -> tuple[Network, tuple[str, ...], dict[str, Any]]:
    """(model in evaluation mode, class names, origin) from a file of `save_model`; another file raises `SercoreError`."""
    import torch

    from ..network.networks import construct

    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        model = construct(Config.from_dict(json.loads(saved["config"])), len(saved["classes"]))
        model.load_state_dict(saved["state"])
        return model.eval(), tuple(map(str, saved["classes"])), dict(saved["origin"])
    except FileNotFoundError:
        raise SercoreError(f"{path}: no such model file") from None
    except SercoreError as error:
        raise SercoreError(f"{path}: {error}") from None
    except Exception as error:
        raise SercoreError(f"{path} is not a model of sercore: name a run's folder, or the model.pt in it") from error


def finished(runs: Path, name: RunName) -> bool:
    return (runs / str(name) / "run.json").exists()


def failure(runs: Path, name: RunName) -> Path:
    """The note of a run that failed: why, and when. It goes when the run is done."""
    return runs / f"{name}.failed.json"


def note_failure(runs: Path, name: RunName, cause: str) -> None:
    """Leave the note of a failed run, so that its hole in the tables can be told."""
    when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    failure(runs, name).write_text(machine.json_text({"run": str(name), "cause": cause, "when": when}, indent=1) + "\n")


def failures(runs: Path, corpus: str) -> list[dict[str, str]]:
    """The notes of the runs of `corpus` that have failed, sorted by name; a damaged one raises `SercoreError` that names it."""
    notes = []
    for path in sorted(runs.glob(f"{glob.escape(corpus)}-*.failed.json")):
        try:
            note = json.loads(path.read_text())
            notes.append({key: str(note[key]) for key in ("run", "cause", "when")})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SercoreError(f"{path}: this note of a failed run cannot be read ({error}): remove it") from error
    return notes


def read_facts(folder: Path) -> dict[str, Any]:
    """`run.json` of one run; a damaged one raises `SercoreError` that names it."""
    try:
        facts = json.loads((folder / "run.json").read_text())
        if lacking := [key for key in ("corpus", "source", "protocol", "system", "config", "data") if key not in facts]:
            raise ValueError(f"run.json lacks {', '.join(lacking)}")
        if "recall" in facts:
            facts["recall"] = [math.nan if value is None else value for value in facts["recall"]]
        return facts
    except Exception as error:  # whatever a damaged file comes to
        raise _damaged(folder, error) from error


def all_facts(runs: Path, corpus: str | None = None) -> list[dict[str, Any]]:
    """`run.json` of every finished run under `runs` (of `corpus`), sorted by name; remains of unfinished ones are passed over."""
    of_corpus = f"{glob.escape(corpus)}-*" if corpus else "*"
    folders = sorted(path.parent for path in runs.glob(f"{of_corpus}/run.json") if not path.parent.name.endswith(".partial"))
    facts = [read_facts(folder) | {"folder": str(folder)} for folder in folders]
    return [fact for fact in facts if corpus in (None, fact["corpus"])]


def read_history(folder: Path) -> pd.DataFrame:
    """`history.csv` of one run; a damaged one raises `SercoreError` that names the run."""
    import pandas as pd

    try:
        return pd.read_csv(folder / "history.csv")
    except Exception as error:  # whatever a damaged file comes to
        raise _damaged(folder, error) from error


def read_test(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of `test.npz` of one run; a damaged file raises `SercoreError` that names the run."""
    try:
        with np.load(folder / "test.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}
    except Exception as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> SercoreError:
    return SercoreError(f"{folder}: the record cannot be read ({error}); remove the folder and run it again")

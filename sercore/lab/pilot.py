"""The pilot: one training seen by every rule that could be the rule of all tables, before any of them is.

    python -m sercore.lab.pilot emodb ravdess --runs runs/pilot --jobs 2        # or bundles, where there is no audio

An arm is a way to evaluate: the toolkit's own, the same with recalibrated batch norm, and with averaged weights too. Since
none of them touches the training, one training gives the curves of all, at every epoch, without early stopping, on the validation
and on the test part. The curves on the test part compare the rules, and nothing else: no epoch of any table is chosen by them.

It can be killed and started again, and several can share one folder. `gather` puts what is finished into `results/pilot.parquet`.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import itertools
import json
import sys
from collections.abc import Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from .. import bounds, machine, places
from ..corpora import protocol
from ..errors import SercoreError
from ..network.networks import build
from . import experiment, sweep, training
from .records import RunName

ARMS = {"running": ("running", "last"), "recalibrated": ("recalibrated", "last"), "averaged": ("recalibrated", "averaged")}
"""Values of the settings `batch_norm` and `weights`."""

SYSTEMS = ("baseline", "ams-s10-m0.4")
SEEDS = (0, 1, 2)
EPOCHS = {"emodb": 200, "ravdess": 150}
MEASURES = ("loss", "wa", "ua")


def trainings() -> list[tuple[int, int, str]]:
    """(fold, seed, system) of a corpus's trainings, fold by fold: what varies within a fold is what is asked."""
    return list(itertools.product(range(protocol.FOLDS), SEEDS, SYSTEMS))


def train(
    corpus: str, system: str, seed: int, fold: int, folder: Path, epochs: int | None = None, device: str = "auto"
) -> Path | None:
    """Train once and write the curves of every arm: JSON with facts, and `arm/part` -> measure -> a value an epoch.

    `corpus` is a name or a bundle; `epochs` is the corpus's of `EPOCHS`. A training that is there stays as it is; None where
    another process is at it.
    """
    prepared = experiment.prepare(corpus)
    name = RunName(prepared.corpus.name, "speaker", system, seed, fold)
    path = folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / f"{name}.lock", timeout=0):
            if not path.exists():
                _train(prepared, name, path, epochs or EPOCHS[name.corpus], device)
            return path
    except Timeout:
        return None


def _train(prepared: experiment.Prepared, name: RunName, path: Path, epochs: int, device: str) -> None:
    machine.keep_pages()
    place = machine.choose_device(device)
    changes = {"max_epochs": epochs, "patience": epochs, "precision": "bfloat16"}
    config = experiment.configure(prepared, name.system, changes)
    split = protocol.splits(prepared.utterances, name.protocol)
    protocol.assert_disjoint(split, prepared.utterances)
    rows = {part: prepared.rows(ids) for part, ids in protocol.parts(split, name.fold).items()}
    choosers = {
        f"{arm}/{part}": training.Chooser(rows[part], *views) for arm, views in ARMS.items() for part in ("validation", "test")
    }
    model = build(config, prepared.data.classes, seed=experiment.weights_seed(name)).to(place)
    made_of = [config.to_dict(), prepared.data.inputs.digest, protocol.checksum(split), str(name), "pilot"]
    checkpoint = path.with_suffix(".checkpoint")
    kept = training.fit(
        model,
        prepared.data,
        rows["train"],
        choosers,
        seed=name.seed,
        checkpoint=checkpoint,
        identity=hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest(),
    )
    curves = {
        key: {measure: [epoch[f"chooser_{measure}"] for epoch in own.history.epochs] for measure in MEASURES}
        for key, own in kept.items()
    }
    facts = {
        **dataclasses.asdict(name),
        "config": config.to_dict(),
        "data": prepared.data.inputs.digest,
        "split": protocol.checksum(split),
        "updates": -(-len(rows["train"]) // config.batch_size),
        "train_loss": [epoch["train_loss"] for epoch in next(iter(kept.values())).history.epochs],
        "commit": machine.commit(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **machine.describe(place),
    }
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"facts": facts, "curves": curves}))
    partial.replace(path)
    checkpoint.unlink(missing_ok=True)


def run(corpora: Sequence[str], folder: Path, jobs: int = 1, device: str = "auto") -> dict[str, str]:
    """All trainings of the pilot that are missing under `folder`, `jobs` at once; the error of each that failed, by its name."""
    names = {corpus: experiment.prepare(corpus).corpus.name for corpus in corpora}
    if unknown := sorted(set(names.values()) - set(EPOCHS)):
        raise SercoreError(f"the pilot has no length for {', '.join(unknown)}: there are {', '.join(EPOCHS)}")
    failed = {}
    with sweep.executor(jobs) as pool:
        futures = {
            pool.submit(train, corpus, system, seed, fold, folder, None, device): f"{names[corpus]} {system} {seed} {fold}"
            for fold, seed, system in trainings()
            for corpus in corpora
        }
        for done, future in enumerate(as_completed(futures), 1):
            try:
                future.result()
            except Exception as error:
                failed[futures[future]] = f"{type(error).__name__}: {error}"
            print(machine.printable(f"{done} of {len(futures)}: {futures[future]}"), flush=True)
    return failed


def gather(folder: Path, results: str | Path | None = None) -> Path:
    """Put the finished trainings under `folder` into `pilot.parquet` of the results, beside what it holds of others.

    One row is an arm of a training on one part: names, `arm`, `part`, a list with a value an epoch for each of `MEASURES`, the
    training's loss, updates an epoch, and where it comes from.
    """
    rows: list[dict[str, Any]] = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        facts = record["facts"] | {key: json.dumps(record["facts"][key], sort_keys=True) for key in ("config", "versions")}
        facts["train_loss"] = np.float32(facts["train_loss"])
        for key, curves in record["curves"].items():
            arm, part = key.split("/")
            rows.append(facts | {"arm": arm, "part": part} | {name: np.float32(curve) for name, curve in curves.items()})
    if not rows:
        raise SercoreError(f"no finished training of the pilot under {folder}")
    key = ["corpus", "system", "seed", "fold", "arm", "part"]
    target = places.results_folder(results) / "pilot.parquet"
    with places.alone(target.parent):
        frames = [bounds.table(target, key)] if target.exists() else []
        table = pd.concat([*frames, pd.DataFrame(rows)], ignore_index=True).drop_duplicates(key, keep="last")
        partial = target.with_suffix(".partial")
        table.sort_values(key, ignore_index=True).to_parquet(partial, index=False, compression="zstd")
        partial.replace(target)
    return target


def main(arguments: list[str] | None = None) -> int:
    """Train what of the pilot is missing, or with --gather put what is finished into the results."""
    options = machine.Options("python -m sercore.lab.pilot", description=main.__doc__)
    options.add_argument("corpora", nargs="*", default=list(EPOCHS), help="names, or files of `sercore bundle` [emodb ravdess]")
    options.add_argument("--runs", type=Path, help="folder of the records [pilot in the folder of runs]")
    options.add_argument("--jobs", type=int, default=1, help="trainings at once [1]")
    options.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options.add_argument("--gather", action="store_true", help="train nothing")
    chosen = options.parse_args(arguments)
    folder = chosen.runs or places.runs_folder() / "pilot"

    def work() -> dict[str, str]:
        if chosen.gather:
            print(gather(folder))
            return {}
        return run(chosen.corpora, folder, chosen.jobs, chosen.device)

    return sweep.exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

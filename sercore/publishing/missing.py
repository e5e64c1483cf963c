"""What the published records lack of what a chapter shows, and how it is made: trained, then published.

PyTorch is imported when it is needed: most chapters only read records.
"""

from __future__ import annotations

import itertools
import shlex
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import machine, places
from ..corpora import protocol
from ..errors import SercoreError
from ..evidence.publication import ask_about_own, publish
from ..evidence.results import runs as published_runs
from ..lab.systems import expand

if TYPE_CHECKING:
    import pandas as pd

    from ..lab.records import RunName


def ensure_published(
    corpus: str, protocols: str, systems: str, seeds: str, results: str | Path | None = None, train_missing: bool = False
) -> None:
    """See that every run that a chapter shows is published; the texts list as in `sercore sweep`.

    What is missing is trained and published where `train_missing` says so; otherwise `SercoreError` lists it.
    """
    missing = missing_runs(corpus, protocols, systems, seeds, results)
    if missing and train_missing:
        train_and_publish(corpus, systems, protocols, seeds, results=results)
        missing = missing_runs(corpus, protocols, systems, seeds, results)
    if missing:
        command = f"sercore chapters --corpus {shlex.quote(corpus)} --systems {systems} --protocols {protocols} --seeds {seeds}"
        raise SercoreError(
            f"{len(missing)} runs are not in {places.results_folder(results)}; `{command}` trains and publishes them:\n  "
            + "\n  ".join(map(str, missing)),
            offenders=map(str, missing),
        )


def missing_runs(corpus: str, protocols: str, systems: str, seeds: str, results: str | Path | None = None) -> list[RunName]:
    """The runs that a chapter wants and the published records lack."""
    from ..lab import sweep

    table = published_runs(results)
    if corpus in set(table["corpus"]):  # also one of your own, which only its path makes known elsewhere
        chosen = [name.strip() for name in protocols.split(",")]
        numbers, folds = sweep.integers(seeds, "seeds"), range(protocol.FOLDS)
        grid = itertools.product([corpus], chosen, expand(systems), numbers, folds)
        runs: Iterable[RunName] = itertools.starmap(sweep.RunName, grid)
    else:
        runs = sweep.plan(corpus, systems, protocols, seeds).names
    there = set(table["run"])
    return [run for run in runs if str(run) not in there]


def train_and_publish(
    corpus: str,
    systems: str = "claims",
    protocols: str = "speaker",
    seeds: str = "0",
    runs: str | Path | None = None,
    results: str | Path | None = None,
    data_root: str | None = None,
    overrides: dict[str, Any] | None = None,
    device: str = "auto",
    jobs: int = 1,
    agree: Callable[[str], bool] = lambda question: True,
) -> None:
    """Train what the published records lack of a grid, with a progress bar, and publish it; `device` and `jobs` as in a sweep.

    Nothing else that lies finished under `runs` is published with it. `agree` is asked as by `publish`, before any training.

    `SercoreError` names all runs that failed.
    """
    from tqdm import tqdm

    from ..lab import sweep

    plan = sweep.plan(corpus, systems, protocols, seeds, data_root=data_root).without(published_runs(results), overrides)
    if not plan.names:
        return
    own = {name.corpus for name in plan.names}
    ask_about_own(own, results, agree)
    missing = plan.missing(places.runs_folder(runs))
    with tqdm(total=len(missing), unit="run", disable=None if missing else True, file=sys.stderr) as bar:

        def on_run(name: RunName, done: int, total: int) -> None:
            bar.set_description_str(machine.printable(str(name)))
            bar.update()

        def on_epoch(values: dict[str, float], config: Any) -> None:
            bar.set_postfix_str(f"epoch {values['epoch']:.0f} of {config.max_epochs}")

        outcome = sweep.sweep(plan, runs, data_root, overrides, device, jobs, None, on_run, on_epoch if jobs == 1 else None)
    if outcome.failed:
        problems = [f"{name}: {problem}" for name, problem in outcome.failed.items()]
        raise SercoreError("runs that failed:\n  " + "\n  ".join(problems), offenders=problems)
    publish(runs, results, data_root, agree=agree, corpora=own)


def whole_grid(runs: pd.DataFrame, slugs: Iterable[str]) -> tuple[list[str], list[str], list[int]]:
    """Protocols, systems and seeds of which every fold of every combination is there: as many systems as possible."""
    folds = runs.groupby(["protocol", "system", "seed"])["fold"].nunique()
    whole = folds[folds == protocol.FOLDS].index
    seeds: dict[tuple[str, str], set[int]] = {}
    for name, system, seed in whole:
        seeds.setdefault((name, system), set()).add(seed)
    by_protocol = {
        name: [slug for slug in slugs if (name, slug) in seeds] for name in sorted({name for name, _ in seeds}, reverse=True)
    }
    most = max(by_protocol.values(), key=len, default=[])
    protocols = [name for name, there in by_protocol.items() if set(most) <= set(there)]
    common = set.intersection(*(seeds[pair] for pair in itertools.product(protocols, most))) if most else set()
    return (protocols, most, sorted(common)) if common else ([], [], [])

"""Many runs: what is wanted, what is there, and the rest, on this machine's cores or a Dask cluster.

A sweep can be killed at any moment and started again: finished runs are kept, an unfinished one goes on from its last
epoch, and the records are those of an unbroken sweep. PyTorch is imported where training begins: planning needs none.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import corpora, places
from ..config import Config
from ..corpora import protocol
from ..errors import SercoreError
from . import records, systems
from .records import RunName

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Plan:
    """The runs of one corpus that are wanted, in the order in which they are done."""

    corpus: str  # as it was given: a name, or a path
    names: tuple[RunName, ...]
    data_root: str | None = None  # where it was looked for
    unheard: tuple[str, ...] = ()  # systems that were asked for and need audio, of which the corpus has none

    def missing(self, runs: Path) -> list[RunName]:
        """The runs that have no finished record under `runs`."""
        return [name for name in self.names if not records.finished(runs, name)]

    def without(self, published: pd.DataFrame, overrides: dict[str, Any] | None = None) -> Plan:
        """The same plan less what `published` (`results.runs`) holds with the settings that it would be run with."""
        there = published_as_wanted(self, published, overrides)
        return replace(self, names=tuple(name for name in self.names if not there.get(name, False)))


@dataclass
class Outcome:
    """What a sweep came to: folders of the records, and the error of every run that failed."""

    finished: list[Path] = field(default_factory=list)
    failed: dict[RunName, str] = field(default_factory=dict)


def plan(
    corpus: str,
    system_names: str | Sequence[str] = "claims",
    protocols: str | Sequence[str] = "speaker",
    seeds: str | Iterable[int] = "0",
    folds: str | Iterable[int] = f"0-{protocol.FOLDS - 1}",
    data_root: str | None = None,
) -> Plan:
    """Every fold of every system, seed and protocol; texts may list (`paper,speaker`) and range (`0-4`).

    Systems that cannot be measured on a corpus without audio are left out and named in `unheard`. Raises `SercoreError` where
    none is left, for a corpus, a system, a protocol or a fold that there is not, and for what is no list of numbers.
    """
    chosen = [name.strip() for name in (protocols.split(",") if isinstance(protocols, str) else protocols)]
    for name in chosen:
        protocol.chooser(name)
    numbers, parts = integers(seeds, "seeds"), integers(folds, "folds")
    beyond = [fold for fold in parts if fold >= protocol.FOLDS]
    if beyond:
        raise SercoreError(f"folds {beyond}: there are {protocol.FOLDS}, from 0")
    entry, slugs = corpora.get(corpus, data_root), systems.expand(system_names)
    wanted = [slug for slug in slugs if systems.measurable(slug, entry.spectra, entry.heard)]
    unheard = tuple(slug for slug in slugs if slug not in wanted)
    if not wanted:
        raise SercoreError(f"{', '.join(unheard)}: they hear what takes recordings, and {entry.name} is spectra alone")
    short = entry.name
    every = (
        RunName(short, name, system, seed, fold) for name in chosen for seed in numbers for system in wanted for fold in parts
    )
    names = tuple(dict.fromkeys(every))
    return Plan(corpus, names, data_root, unheard)


def published_as_wanted(wanted: Plan, published: pd.DataFrame, overrides: dict[str, Any] | None = None) -> dict[RunName, bool]:
    """Those runs of a plan that `published` (`results.runs`) holds: whether each has the settings that the plan would give it."""
    configs = dict(zip(published["run"], published["config"], strict=True))
    there = {name: json.loads(configs[str(name)]) for name in wanted.names if str(name) in configs}
    entry = corpora.get(wanted.corpus, wanted.data_root)
    return {name: _as_set(entry, name.system, config, overrides) for name, config in there.items()}


def as_wanted(corpus: str, name: RunName, runs: Path, overrides: dict[str, Any] | None = None) -> bool:
    """Whether the finished run `name` under `runs` is of this corpus and has these settings; precision and engine may differ.

    It looks at the record alone: changed audio is found when the run is asked for.
    """
    facts = records.read_facts(runs / str(name))
    same = facts["source"] == corpus or os.path.abspath(facts["source"]) == os.path.abspath(corpus)
    return same and _as_set(corpora.get(corpus), name.system, facts["config"], overrides)


def _as_set(entry: corpora.Corpus, system: str, config: dict[str, Any], overrides: dict[str, Any] | None) -> bool:
    """Whether a run of `system` with this configuration has the settings that it would be given on the corpus now."""
    found = Config.from_dict(config).to_dict()
    by_data = ("clip_seconds", "max_epochs", "patience")  # where the entry does not say: a run's data is compared elsewhere
    base = Config(**{name: getattr(entry, name) or found[name] for name in by_data})
    expected = systems.config(system, base, overrides).to_dict()
    free = ("precision", "engine")
    return all(found[key] == value for key, value in expected.items() if key not in free)


def integers(values: str | Iterable[int], what: str) -> list[int]:
    """`"0-2,5"` -> [0, 1, 2, 5]; anything else than numbers from 0 raises `SercoreError` that names `what`."""
    if not isinstance(values, str):
        return list(values)
    try:
        spans = [part.split("-") for part in values.split(",")]
        numbers = [n for span in spans for n in range(int(span[0]), int(span[-1]) + 1)]
        if not numbers or any(len(span) > 2 for span in spans):
            raise ValueError
    except ValueError:
        raise SercoreError(f"{what}={values!r}: write numbers from 0 as in 0, 0-4 or 0,2,5") from None
    return numbers


def sweep(
    wanted: Plan,
    runs: str | Path | None = None,
    data_root: str | None = None,
    overrides: dict[str, Any] | None = None,
    device: str = "auto",
    jobs: int = 1,
    dask: str | None = None,
    on_run: Callable[[RunName, int, int], None] | None = None,
    on_epoch: Callable[..., None] | None = None,
) -> Outcome:
    """Do the runs of `wanted` that are missing; a failing run does not stop the others.

    What could not stand together is refused before the first run: a protocol that the corpus does not bear, finished runs of
    the same name that were made otherwise, and finished runs of other data by the same name.

    Runs of `paper` and `leaky` that are both missing share one training (`trainings`). `jobs` of them go at once, each with
    its share of the cores; `dask` is the address of a scheduler instead. `on_run` is told name, done and total after each
    run; `on_epoch` goes to `experiment.run_together` where one process does it all.
    """
    from . import experiment

    if jobs < 1:
        raise SercoreError(f"jobs={jobs}: at least one run at once")
    folder = places.runs_folder(runs).absolute()  # a worker has a working folder of its own
    prepared = experiment.prepare(wanted.corpus, data_root, progress=on_epoch is not None)
    different = []
    for protocol_name in dict.fromkeys(name.protocol for name in wanted.names):
        try:
            protocol.splits(prepared.utterances, protocol_name)
        except SercoreError as error:
            different.append(f"protocol {protocol_name}: {error}")
    for name in wanted.names:
        if records.finished(folder, name):
            try:
                config = experiment.configure(prepared, name.system, overrides)
                experiment.check_same(folder / str(name), config, prepared)
            except SercoreError as error:
                different.append(str(error))
    others = [fact for fact in records.all_facts(folder, prepared.corpus.name) if fact["data"] != prepared.data.inputs.digest]
    if others and not different:
        different.append(
            f"{folder} has {len(others)} runs on other data by the name of {others[0]['corpus']} (from {others[0]['source']}), "
            f"{others[0]['run']} the first: choose another --runs folder, or another name for the file"
        )
    if different:
        raise SercoreError("\n".join(different))
    missing, outcome = wanted.missing(folder), Outcome()
    by_path = wanted.corpus not in corpora.names() and os.path.exists(wanted.corpus)
    for config in {experiment.configure(prepared, name.system, overrides) for name in missing}:
        prepared.heard_by(config, progress=on_epoch is not None)  # once, before the runs; and what is not installed is said now
    total, corpus = len(missing), os.path.abspath(wanted.corpus) if by_path else wanted.corpus

    def settle(names: Sequence[RunName], result: Callable[[], list[Path]]) -> None:
        try:
            done_there = result()
            if elsewhere := [name for name in names if not records.finished(folder, name)]:
                raise SercoreError(
                    f"done, but no record of {', '.join(map(str, elsewhere))} is in {folder}: the worker's disk is another one; "
                    "give a --runs folder that both see"
                )
            outcome.finished += done_there
        except Exception as error:  # a run's failure is reported with all others at the end
            outcome.failed |= dict.fromkeys(names, f"{type(error).__name__}: {error}")
        done = len(outcome.finished) + len(outcome.failed) - len(names)
        for number, name in enumerate(names, done + 1):
            if on_run is not None:
                on_run(name, number, total)

    def task(names: Sequence[RunName]) -> functools.partial[list[Path]]:
        where: dict[str, Any] = {"runs": str(folder), "data_root": data_root, "overrides": overrides, "device": device}
        protocols, name = [name.protocol for name in names], names[0]
        return functools.partial(experiment.run_together, corpus, protocols, name.system, name.seed, name.fold, **where)

    if jobs == 1 and dask is None:
        for names in trainings(missing):
            settle(names, functools.partial(task(names), report=on_epoch))
        return outcome
    with executor(min(jobs, max(total, 1)), dask) as pool:
        futures: dict[Future[list[Path]], list[RunName]] = {pool.submit(task(names)): names for names in trainings(missing)}
        for future in as_completed(futures):
            settle(futures[future], future.result)
    return outcome


def exit_status(work: Callable[[], Mapping[Any, str]]) -> int:
    """Do `work` for a command: tell bad input, or the error of each run that it returns as failed; 0, 1 for those, 2 for that."""
    try:
        failed = work()
    except SercoreError as error:
        print(f"sercore: {error}", file=sys.stderr)
        return 2
    for name, problem in failed.items():
        print(f"{name}: {problem}", file=sys.stderr)
    return 1 if failed else 0


def trainings(names: Iterable[RunName]) -> list[list[RunName]]:
    """The runs `names` put together where one training serves several: `leaky` differs from `paper` in the epoch alone."""
    together: dict[RunName, list[RunName]] = {}
    for name in names:
        together.setdefault(replace(name, protocol=protocol.split_of(name.protocol)), []).append(name)
    return list(together.values())


def _begin_worker(threads: int, parent: int) -> None:
    """In each process of a sweep: its share of the cores, and an end with the sweep, however that was killed."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all: the sweep alone answers
    torch.set_num_threads(threads)

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


@contextmanager
def executor(jobs: int, dask: str | None) -> Iterator[Executor]:
    """What does the runs. An exception, Ctrl-C above all, ends what goes on: the next sweep takes it up."""
    if dask is None:
        from joblib.externals.loky import ProcessPoolExecutor

        threads = max(1, (os.cpu_count() or 1) // jobs)
        # loky, unlike multiprocessing, does not run the caller's script again in each process
        pool = ProcessPoolExecutor(jobs, initializer=_begin_worker, initargs=(threads, os.getpid()))
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, kill_workers=True)
            raise
        pool.shutdown()
        return
    try:
        from distributed import Client
    except ImportError:
        raise SercoreError("a Dask cluster needs `pip install 'sercore[dask]'`") from None
    try:
        client = Client(dask, timeout=5)
    except (OSError, ValueError) as error:
        raise SercoreError(f"no Dask scheduler answers at {dask} ({error})") from None
    with client:
        yield client.get_executor()

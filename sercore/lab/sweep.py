"""Many runs: what is wanted, what is there, and the rest, on this machine's cores or a Dask cluster.

A sweep can be killed at any moment and started again: finished runs are kept, an unfinished one goes on from its last
epoch, and the records are those of an unbroken sweep. PyTorch is imported where training begins: planning needs none.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import json
import operator
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .. import corpora, machine, places
from ..config import Config
from ..corpora import bundled, protocol
from ..errors import INTERRUPTED, SercoreError, of_system
from . import records, systems
from .records import RunName

if TYPE_CHECKING:
    import pandas as pd

    from . import experiment
    from .cluster import Cluster, Job


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
    corpus = os.path.expanduser(corpus)
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


def as_wanted(wanted: Plan, name: RunName, runs: Path, overrides: dict[str, Any] | None = None) -> bool:
    """Whether the finished run `name` under `runs` is of the plan's corpus and set as it would be, but for precision and engine.

    It looks at the record alone: changed audio is found when the run is asked for.
    """
    facts = records.read_facts(runs / str(name))
    corpus = bundled.source(Path(wanted.corpus)) if bundled.is_bundle(wanted.corpus) else wanted.corpus
    same = facts["source"] == corpus or os.path.abspath(facts["source"]) == os.path.abspath(corpus)
    return same and _as_set(corpora.get(wanted.corpus, wanted.data_root), name.system, facts["config"], overrides)


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
    try:
        if not isinstance(values, str):
            spans = [[operator.index(value)] for value in values]
        else:
            spans = [[int(end) for end in part.split("-")] for part in values.split(",")]
        if not spans or any(len(span) > 2 or not 0 <= span[0] <= span[-1] for span in spans):
            raise ValueError
    except (TypeError, ValueError):
        raise SercoreError(f"{what}={values!r}: write numbers from 0 as in 0, 0-4 or 0,2,5") from None
    return [number for span in spans for number in range(span[0], span[-1] + 1)]


def check(wanted: Plan, folder: Path, prepared: experiment.Prepared, overrides: dict[str, Any] | None = None) -> None:
    """Raise `SercoreError` for what could not stand together: a protocol that the corpus does not bear, finished runs of the same
    name that were made otherwise, and finished runs of other data by the same name."""
    from . import experiment

    problems = []
    for protocol_name in dict.fromkeys(name.protocol for name in wanted.names):
        try:
            protocol.splits(prepared.utterances, protocol_name)
        except SercoreError as error:
            problems.append(f"protocol {protocol_name}: {error}")
    try:
        records.refuse_half_copied(folder, wanted.names)
    except SercoreError as error:
        problems.append(str(error))
    otherwise: dict[str, list[RunName]] = {}
    for name in wanted.names:
        if records.finished(folder, name):
            config = experiment.configure(prepared, name.system, overrides)
            if reasons := experiment.different(folder / str(name), config, prepared):
                otherwise.setdefault("; ".join(reasons), []).append(name)
    for reason, names in otherwise.items():
        which = (
            f"{folder / str(names[0])} was" if len(names) == 1 else f"{len(names)} runs in {folder}, {names[0]} the first, were"
        )
        it = "it" if len(names) == 1 else "them"
        problems.append(f"{which} made otherwise ({reason}): remove {it}, or choose another folder of runs")
    others = [fact for fact in records.all_facts(folder, prepared.corpus.name) if fact["data"] != prepared.data.inputs.digest]
    if others and not problems:
        problems.append(
            f"{folder} has {len(others)} runs on other data by the name of {others[0]['corpus']} (from {others[0]['source']}), "
            f"{others[0]['run']} the first: choose another folder of runs, or another name for the file"
        )
    if problems:
        raise SercoreError("\n".join(problems))


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

    What could not stand together is refused before the first run (`check`).

    Runs of `paper` and `leaky` that are both missing share one training (`trainings`). `jobs` of them go at once, each with its
    share of the cores; `dask` is the address of a scheduler instead, or `local:N` (`sercore.lab.cluster`). A run that fails is
    tried once more. `on_run` is told name, done and total after each run; `on_epoch` goes to `experiment.run_together` where one
    process does it all, and over Dask is called with run, epoch and how many there may be. `sweep.log` in the folder tells it
    all.
    """
    return sweep_all([wanted], runs, data_root, overrides, device, jobs, dask, on_run, on_epoch)


def sweep_all(
    plans: Sequence[Plan],
    runs: str | Path | None = None,
    data_root: str | None = None,
    overrides: dict[str, Any] | None = None,
    device: str = "auto",
    jobs: int = 1,
    dask: str | None = None,
    on_run: Callable[[RunName, int, int], None] | None = None,
    on_epoch: Callable[..., None] | None = None,
) -> Outcome:
    """`sweep` of several plans, one after the other and by the same processes: none waits for the last run of a plan.

    A cluster takes one plan at a time.
    """
    from . import experiment

    if jobs < 1:
        raise SercoreError(f"jobs={jobs}: at least one run at once")
    if dask is not None and len(plans) > 1:
        raise SercoreError("a Dask cluster does one plan at a time")
    if dask is not None and jobs > 1:
        raise SercoreError(
            f"jobs={jobs} are processes of this machine, and a Dask cluster has its own workers: choose one of both"
        )
    folder = places.runs_folder(runs).absolute()  # a worker has a working folder of its own
    missing: list[RunName] = []
    asked: dict[str, str] = {}
    outcome, told = Outcome(), []
    if dask is not None and any(wanted.missing(folder) for wanted in plans):
        from . import cluster

        cluster.check(dask)  # before the features are computed
    for wanted in plans:
        prepared = experiment.prepare(wanted.corpus, data_root, progress=on_epoch is not None)
        check(wanted, folder, prepared, overrides)
        if not (own := wanted.missing(folder)):
            continue
        configs = {experiment.configure(prepared, name.system, overrides) for name in own}
        for config in configs:
            prepared.heard_by(config, progress=on_epoch is not None)  # before the runs; and what is not installed is said now
        missing += own
        by_path = wanted.corpus not in corpora.names() and os.path.exists(wanted.corpus)
        source = os.path.abspath(wanted.corpus) if by_path else wanted.corpus
        if asked.setdefault(own[0].corpus, source) != source:
            first = asked[own[0].corpus]
            raise SercoreError(f"two corpora by the name of {own[0].corpus}, {first} and {source}: sweep each by itself")
        told.append(f"{len(own)} of {len(wanted.names)} runs to do, of {prepared.corpus.name}, {_where(jobs, dask)}")
    if not missing:
        return outcome
    folder.mkdir(parents=True, exist_ok=True)
    log, groups = Log(folder), trainings(missing)
    for line in told:
        log(line)

    def settle(names: Sequence[RunName], problem: str = "") -> None:
        for name in names:
            if problem:
                outcome.failed[name] = problem
                records.note_failure(folder, name, problem)
            else:
                outcome.finished.append(folder / str(name))
            done = len(outcome.finished) + len(outcome.failed)
            log(f"{'failed' if problem else 'done'} {name}, {done} of {len(missing)}{f': {problem}' if problem else ''}")
            if on_run is not None:
                on_run(name, done, len(missing))

    where: dict[str, Any] = {"runs": str(folder), "data_root": data_root, "overrides": overrides, "device": device}
    try:
        with _ending(), _workers(jobs, dask, len(missing), asked, where, prepared, configs, on_epoch, log) as workers:
            _drive(workers, groups, folder, settle, log)
    except BaseException as error:
        log(f"ended by {_told(error)}, {len(outcome.finished)} of {len(missing)} done")
        raise
    log(f"ended: {len(outcome.finished)} done, {len(outcome.failed)} failed")
    return outcome


REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}
"""What a disk says that is full, or is not to be written on."""

TRIES = 2
"""Of a run that fails: a machine may have been short of memory."""

BREAKS = 5
"""Tries of a run whose process was killed, by itself or with another that was."""


def _drive(
    workers: _Workers, groups: Iterable[list[RunName]], folder: Path, settle: Callable[..., None], log: Callable[[str], None]
) -> None:
    """Have each group of runs done that share a training, and settle it as it ends; what fails is tried once more."""
    waiting = {workers.submit(names): (names, 1) for names in groups}
    while waiting:
        future = workers.wait(waiting)
        names, tries = waiting.pop(future)
        try:
            workers.fetch(future, names)
            if elsewhere := [name for name in names if not records.finished(folder, name)]:
                raise SercoreError(f"done, but no record of {', '.join(map(str, elsewhere))} is in {folder}")
        except Exception as error:  # a run's failure is reported with all others at the end
            if isinstance(error, OSError) and error.errno in REFUSED:  # the next run could not be written either
                raise SercoreError(f"{of_system(error)}: no run can be written to {folder}; what is finished is kept") from error
            if tries < (BREAKS if isinstance(error, BrokenExecutor) else TRIES):
                log(f"failed {', '.join(map(str, names))}: {_told(error)}; it is tried once more")
                waiting[workers.submit(names)] = (names, tries + 1)
            else:
                settle(names, _told(error))
        else:
            settle(names)


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    return "SIGTERM" if isinstance(error, _Ended) else f"{type(error).__name__}: {error}".removesuffix(": ")


class _Ended(SystemExit):
    """A SIGTERM, as a batch system sends it where time is up."""


@contextmanager
def _ending() -> Iterator[None]:
    """SIGTERM ends a sweep as Ctrl-C does, with its last line in the log, unless the caller listens to it."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(*_: object) -> None:
        raise _Ended(128 + signal.SIGTERM)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Log:
    """A file that a person reads: what was asked for, and each run as it ended. Several sweeps may write it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sweep.log"

    def __call__(self, line: str) -> None:
        stamp = datetime.datetime.now().astimezone().isoformat(sep=" ", timespec="seconds")
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8") as file:  # a full disk is told by other means
            file.write(f"{stamp}  {machine.printable(' '.join(line.split()))}\n")


def _where(jobs: int, dask: str | None) -> str:
    return (
        f"on the Dask cluster {dask}" if dask else f"{jobs} at once on this machine" if jobs > 1 else "one after the other here"
    )


class _Workers(Protocol):
    """What does runs: this process, processes beside it, or a cluster."""

    def submit(self, names: Sequence[RunName]) -> Any:
        """Have runs that share a training done; what has failed before is done elsewhere, where there is another place."""

    def wait(self, futures: Iterable[Any]) -> Any:
        """One of these that has ended."""

    def fetch(self, future: Any, names: Sequence[RunName]) -> None:
        """See to it that the records lie in the folder, or raise what the run failed with."""


class _Here:
    """This process, one after the other; a training begins when it is waited for."""

    def __init__(self, task: Callable[[Sequence[RunName]], Callable[[], Any]]) -> None:
        self.task = task

    def submit(self, names: Sequence[RunName]) -> Callable[[], Any]:
        return self.task(names)

    def wait(self, futures: Iterable[Any]) -> Any:
        return next(iter(futures))

    def fetch(self, future: Any, names: Sequence[RunName]) -> None:
        future()


def processes(jobs: int) -> Executor:
    """Processes for trainings, each with its share of the cores; they end with this one."""
    from joblib.externals.loky import ProcessPoolExecutor

    threads = max(1, machine.cores() // jobs)
    # loky, unlike multiprocessing, does not run the caller's script again in each process
    return ProcessPoolExecutor(jobs, initializer=_begin_worker, initargs=(threads, os.getpid()))


@contextmanager
def executor(jobs: int) -> Iterator[Executor]:
    """`processes` for as long as it takes. An exception, Ctrl-C above all, ends what goes on."""
    pool = processes(jobs)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, kill_workers=True)  # type: ignore[call-arg]
        raise
    pool.shutdown()


class _Processes:
    """Processes of this machine, each with its share of the cores. One that is killed breaks all that go on: others take over."""

    def __init__(self, jobs: int, task: Callable[[Sequence[RunName]], Callable[[], Any]]) -> None:
        self.jobs, self.task, self.pool = jobs, task, processes(jobs)

    def submit(self, names: Sequence[RunName]) -> Future[Any]:
        try:
            return self.pool.submit(self.task(names))
        except BrokenExecutor:
            self.pool = processes(self.jobs)
            return self.pool.submit(self.task(names))

    def wait(self, futures: Iterable[Any]) -> Any:
        return wait(list(futures), return_when=FIRST_COMPLETED).done.pop()

    def fetch(self, future: Any, names: Sequence[RunName]) -> None:
        future.result()

    def close(self, kill: bool) -> None:
        self.pool.shutdown(wait=not kill, kill_workers=kill)  # type: ignore[call-arg]


class _Remote:
    """A Dask cluster: records come back through it."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self.failed: dict[tuple[RunName, ...], str] = {}  # on which worker

    def submit(self, names: Sequence[RunName]) -> Job:
        return self.cluster.submit(names, self.failed.get(tuple(names), ""))

    def wait(self, futures: Iterable[Any]) -> Any:
        return self.cluster.wait(futures)

    def fetch(self, future: Job, names: Sequence[RunName]) -> None:
        from .cluster import write

        if future.error is not None:
            self.failed[tuple(names)] = future.worker
            raise future.error
        for name, files in zip(names, future.found or [], strict=True):
            write(self.folder, name, files)


@contextmanager
def _workers(
    jobs: int,
    dask: str | None,
    total: int,
    asked: Mapping[str, str],
    where: dict[str, Any],
    prepared: experiment.Prepared,
    configs: Iterable[Config],
    on_epoch: Callable[..., None] | None,
    log: Callable[[str], None],
) -> Iterator[_Workers]:
    """What does the runs, each corpus by what it was `asked` for by. An exception, Ctrl-C above all, ends what goes on: the next
    sweep takes it up."""
    from . import experiment

    def task(names: Sequence[RunName]) -> functools.partial[list[Path]]:
        protocols, name = [name.protocol for name in names], names[0]
        corpus = asked[name.corpus]
        return functools.partial(experiment.run_together, corpus, protocols, name.system, name.seed, name.fold, **where)

    if dask is not None:
        from . import cluster as module

        packed = module.pack(prepared, configs)
        with module.connected(dask, packed, where["overrides"], where["device"], log) as cluster:
            if on_epoch is not None:
                cluster.follow(on_epoch)
            yield _Remote(cluster, Path(where["runs"]))
    elif jobs == 1:
        yield _Here(lambda names: functools.partial(task(names), report=on_epoch))
    else:
        workers = _Processes(min(jobs, max(total, 1)), task)
        try:
            yield workers
        except BaseException:
            workers.close(kill=True)
            raise
        workers.close(kill=False)


def exit_status(work: Callable[[], Mapping[Any, str]]) -> int:
    """Do `work` for a command, and tell what is wrong: 0, 1 where it returns the errors of runs that failed, 2 for bad input, 130
    for Ctrl-C."""
    try:
        failed = work()
    except SercoreError as error:
        print(f"sercore: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.strerror is None:
            raise
        print(f"sercore: {of_system(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"sercore: {INTERRUPTED}", file=sys.stderr)
        return 130
    for name, problem in failed.items():
        print(machine.printable(f"{name}: {problem}"), file=sys.stderr)
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

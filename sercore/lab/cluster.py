"""A sweep's runs on a Dask cluster, whose workers need nothing of the caller's disk.

The corpus goes out once to each worker, as the frames that its networks hear, with the user's extension files beside it;
whoever joins late gets it from the others. The sweep itself says which worker does which run, one at a time: so a worker that
cannot train is left out, and a run that fails goes to another. Records come back as bytes, and the caller writes them. What a
worker has begun lies on its own disk: a run that moves to another one starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import logging
import math
import os
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
from filelock import FileLock

from .. import corpora, extensions, machine
from ..config import Config
from ..corpora import bundled
from ..errors import SercoreError
from ..frontend.inputs import Inputs
from ..network.networks import find
from . import experiment, records, training
from .records import RunName

if TYPE_CHECKING:
    from distributed import Client, Future

QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "5s",
    "distributed.admin.system-monitor.interval": "10s",
}
"""Dask looks at itself a hundred times a second: some 4 % of a core that trains."""

TRAINS = ("config.py", "corpora", "frontend", "network", "lab")
"""What of the package a run is computed by."""

LOCAL = "local:"
"""Before a number: that many workers on this machine."""

SECONDS = 5
"""That a scheduler has to answer."""

DEATHS = 5
"""Workers that may end while they have a run, before the run itself has failed."""

SILENT = 60
"""Seconds after which a worker that has not answered is named, and a scheduler that has not is given up."""

FAILURES = 3
"""Runs in a row that fail on a worker by its own fault, a full disk perhaps, before others come first."""

GPU = "GPU"
"""The resource that a worker declares which has a GPU of its own: a run takes one of it."""

VERSION = metadata.version("sercore")

NOTES = logging.getLogger("sercore")
"""What is told while a sweep goes on: to the standard error, unless a program has other handlers."""

Files = dict[str, bytes]
"""Of a record: name -> content."""


@functools.cache
def code_checksum(package: Path = Path(__file__).parents[1]) -> str:
    """A checksum of the files that a run is computed by: two checkouts of one version may differ."""
    digest = hashlib.sha256()
    for path in sorted(path for name in TRAINS for path in (package / name, *(package / name).rglob("*.py")) if path.is_file()):
        digest.update(f"{path.relative_to(package).as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@dataclasses.dataclass(frozen=True)
class Shipment:
    """All that a worker needs of a corpus, and by what it knows that it is the right one."""

    code: str  # checksum of what computes
    commit: str  # where the sweep is
    source: str
    entry: dict[str, Any]  # of the corpus, less what is code
    utterances: pd.DataFrame
    ids: np.ndarray
    lengths: dict[str, np.ndarray]  # front end -> (utterances,)
    frames: dict[str, np.ndarray]  # front end -> (frames of all, bands) float32
    labels: np.ndarray
    classes: int
    digest: str
    step: float
    extensions: tuple[tuple[str, bytes], ...]  # (name, content) of the user's files
    checksum: str  # of all that is trained on: frames, labels, and what the corpus's entry says


def pack(prepared: experiment.Prepared, configs: Iterable[Config]) -> Shipment:
    """The corpus as the networks of `configs` hear it."""
    heard = {find(config).front_end: prepared.heard_by(config).inputs for config in configs}
    heard.setdefault("log_mel", prepared.data.inputs)
    frames = {name: np.concatenate(own.arrays) for name, own in heard.items()}
    code = ("adapter", "make", "source")
    names = (field.name for field in dataclasses.fields(corpora.Corpus) if field.name not in code)
    entry = {name: getattr(prepared.corpus, name) for name in names}
    inputs = prepared.data.inputs
    return Shipment(
        code=code_checksum(),
        commit=machine.commit(),
        source=prepared.source,
        entry=entry,
        utterances=prepared.utterances.assign(path=""),
        ids=np.asarray(inputs.ids),
        lengths={name: own.lengths for name, own in heard.items()},
        frames=frames,
        labels=prepared.data.labels,
        classes=prepared.data.classes,
        digest=inputs.digest,
        step=inputs.step,
        extensions=tuple((path.name, path.read_bytes()) for path in extensions.files()),
        checksum=_checksum(frames, prepared.data.labels, inputs.digest, entry),
    )


def unpack(shipment: Shipment) -> experiment.Prepared:
    """The corpus as it was packed; damaged on its way, it raises `SercoreError`."""
    found = _checksum(shipment.frames, shipment.labels, shipment.digest, shipment.entry)
    if found != shipment.checksum:
        raise SercoreError(f"the data came with checksum {found[:12]} and were sent with {shipment.checksum[:12]}")

    def inputs(name: str) -> Inputs:
        lengths = shipment.lengths[name]
        arrays = tuple(np.split(shipment.frames[name], np.cumsum(lengths)[:-1]))
        return Inputs(shipment.ids, lengths, arrays, shipment.digest, shipment.step, name)

    corpus = corpora.Corpus(**shipment.entry, adapter=bundled.no_audio)
    data = training.Labelled(inputs("log_mel"), shipment.labels, shipment.classes)
    beside = {name: inputs(name) for name in shipment.frames if name != "log_mel"}
    return experiment.Prepared(shipment.source, corpus, shipment.utterances, data, beside=beside)


def _checksum(frames: dict[str, np.ndarray], labels: np.ndarray, data: str, entry: dict[str, Any]) -> str:
    digest = hashlib.sha256(repr((data, labels.tolist(), sorted(entry.items()))).encode())
    for name in sorted(frames):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(frames[name]).data)
    return digest.hexdigest()


# ---- on a worker

KEPT = 2
"""Sweeps whose corpora a worker keeps: of more, each sends its own again."""

_ONE_AT_A_TIME = threading.Lock()
"""A worker may have several threads, and random numbers are drawn from one generator for all."""

_received: dict[str, tuple[Shipment, experiment.Prepared]] = {}
_loaded: tuple[tuple[str, bytes], ...] | None = ()


class Unprepared(Exception):
    """A worker, of this id, without the corpus: it is another process than the one that received it, or has forgotten it."""


class Abandoned(Exception):
    """Nobody waits for this run any more."""


def receive(shipment: Shipment, sweep: str, device: str) -> tuple[str, dict[str, float]]:
    """Get ready for the runs of a sweep, and return this worker's id and the resources that it declares. Raises `SercoreError`
    where its runs would not be those of the sweep."""
    from distributed import get_worker

    if shipment.code != (own := code_checksum()):
        known = f"checksum {own[:7]}, and the sweep's is {shipment.code[:7]}"
        raise SercoreError(f"it has other code of sercore {VERSION} ({known}): install the same everywhere")
    with _ONE_AT_A_TIME:
        machine.choose_device(device)
        _bring_extensions(shipment)
        _received.pop(sweep, None)
        _received[sweep] = shipment, unpack(shipment)
        while len(_received) > KEPT:
            del _received[next(iter(_received))]
        return get_worker().id, dict(get_worker().state.total_resources)


def work(sweep: str, names: Sequence[RunName], overrides: dict[str, Any] | None, device: str) -> list[Files]:
    """Do runs that share a training on this worker, and return the files of each record."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    with _ONE_AT_A_TIME:
        if sweep not in _received:
            raise Unprepared(worker.id)
        shipment, prepared = _received[sweep]
        _bring_extensions(shipment)

        def tell(values: dict[str, float], config: Config) -> None:
            task = worker.state.tasks.get(key)
            if task is None or task.state != "executing":
                raise Abandoned
            worker.log_event(sweep, {"run": str(names[0]), "epoch": int(values["epoch"]), "of": config.max_epochs})

        folders = experiment.run_prepared(prepared, names, overrides, _own_folder(), device, tell)
        found = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders]
        for folder in folders:
            shutil.rmtree(folder)
        return found


def _own_folder() -> Path:
    from distributed import get_worker

    folder = Path(get_worker().local_directory) / "sercore"
    folder.mkdir(exist_ok=True)
    return folder


def _bring_extensions(shipment: Shipment) -> None:
    """The user's files, and the name of the commit, as they were where the sweep began."""
    global _loaded
    os.environ["SERCORE_COMMIT"] = shipment.commit
    machine.commit.cache_clear()
    if shipment.extensions == _loaded:
        return
    paths = []
    for number, (name, content) in enumerate(shipment.extensions):
        paths.append(_own_folder() / "extensions" / str(number) / name)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(content)
    corpora.names()  # what is the package's own stays
    extensions.forget()
    _loaded = None
    os.environ[extensions.VARIABLE] = os.pathsep.join(map(str, paths))
    try:
        extensions.load()
    except SercoreError as error:
        raise SercoreError(
            f"{error}; a worker gets the files that {extensions.VARIABLE} names, and nothing beside them"
        ) from None
    _loaded = shipment.extensions


# ---- where the sweep is


@dataclasses.dataclass(eq=False)
class Job:
    """Runs that share a training, on their way to a record."""

    names: Sequence[RunName]
    avoided: str = ""  # the worker on which they failed before
    deaths: int = 0  # workers that ended while they had it
    found: list[Files] | None = None
    error: Exception | None = None
    worker: str = ""

    @property
    def ended(self) -> bool:
        return self.found is not None or self.error is not None

    def __str__(self) -> str:
        return ", ".join(map(str, self.names))


@dataclasses.dataclass(eq=False)
class Worker:
    """A worker as the sweep knows it: what it was asked last, and the run that it does."""

    address: str
    future: Future | None
    ready: bool = False
    refused: str = ""
    process: str = ""  # its id, which a worker that was started again does not share
    resources: dict[str, float] = dataclasses.field(default_factory=dict)
    job: Job | None = None
    failures: int = 0  # in a row, of the machine and not of the runs
    came: float = dataclasses.field(default_factory=time.monotonic)  # infinite: too long ago for one that has not answered


class Cluster:
    """Workers of a Dask scheduler, and the runs that they do."""

    def __init__(
        self,
        client: Client,
        address: str,
        packed: Shipment,
        overrides: dict[str, Any] | None,
        device: str,
        log: Callable[[str], None],
    ) -> None:
        self.client, self.address, self.packed = client, address, packed
        self.overrides, self.device, self.log = overrides, device, log
        self.sweep = f"sercore-{uuid.uuid4().hex}"  # what tells it from others, and the topic of the epochs that workers tell
        self.workers: dict[str, Worker] = {}
        self.queue: deque[Job] = deque()
        self.shipment: Future | None = None
        self.waiting = False

    def _tell(self, line: str) -> None:
        """What the user should know before the end."""
        NOTES.warning("%s", machine.printable(line))
        self.log(line)

    def submit(self, names: Sequence[RunName], avoided: str = "") -> Job:
        """Have runs that share a training done; those that failed on a worker are not tried on the same again, if there are
        others."""
        job = Job(names, avoided)
        self.queue.append(job)
        return job

    def wait(self, jobs: Iterable[Job]) -> Job:
        """One that has ended. Raises `SercoreError` when the scheduler has gone away, or refuses all of its workers."""
        jobs = list(jobs)
        while True:
            self._follow()
            if ended := next((job for job in jobs if job.ended), None):
                return ended
            self._give()
            self._rest()

    def _follow(self) -> None:
        """Take in who came, who went, and what was answered."""
        there = self._there()
        for address, threads in there.items():
            if address not in self.workers:
                self.workers[address] = Worker(address, self._ask(address, metadata.version, "sercore"))
                if threads > 1:
                    self._tell(
                        f"{address} has {threads} threads and does one run at a time: "
                        f"dask worker --nworkers {threads} --nthreads 1 starts as many workers"
                    )
        for address in [address for address in self.workers if address not in there]:
            worker = self.workers.pop(address)
            if worker.future is not None:
                worker.future.release()
            if worker.job is not None:
                self._moved(worker.job, f"its worker {address} is gone")
        for worker in list(self.workers.values()):
            if worker.future is not None and worker.future.done():
                future, worker.future = worker.future, None
                self._answered(worker, future)
            elif not worker.ready and not worker.refused and time.monotonic() > worker.came + SILENT:
                worker.came = math.inf
                self._tell(f"{worker.address} does not answer: it is busy with other work, or stands still")
        if self.workers and all(worker.refused for worker in self.workers.values()):
            refused = [f"{worker.address}: {worker.refused}" for worker in self.workers.values()]
            raise SercoreError("no worker can do runs of this sweep: " + "; ".join(refused), offenders=refused)
        if not self.workers and not self.waiting:
            self._tell(f"no worker is at {self.address}: waiting for one, as `dask worker {self.address} --nthreads 1` starts it")
        self.waiting = not self.workers

    def _there(self) -> dict[str, int]:
        """Address of each worker that the scheduler has -> its threads; one that is busy may take its time."""
        ask, until = cast(Any, self.client.scheduler), time.monotonic() + SILENT
        while self.client.status == "running" and time.monotonic() < until:
            with contextlib.suppress(OSError, TimeoutError):
                return dict(self.client.sync(ask.ncores, workers=None, callback_timeout=SECONDS))
        raise SercoreError(
            f"the Dask scheduler at {self.address} has gone away: what is finished is kept, and the same command goes on"
        )

    def _ask(self, address: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Future:
        return self.client.submit(function, *arguments, workers=[address], allow_other_workers=False, pure=False, **options)

    def _answered(self, worker: Worker, future: Future) -> None:
        try:
            answer = future.result()
        except Exception as error:
            self._failed(worker, error)
            return
        if worker.job is not None:
            job, worker.job, worker.failures = worker.job, None, 0
            job.found = answer
        elif isinstance(answer, str):  # its version
            if answer == VERSION:
                self._send(worker)
            else:
                self._refuse(worker, f"it has sercore {answer}, and the sweep is of {VERSION}")
        else:
            worker.ready, worker.came = True, 0
            worker.process, worker.resources = answer

    def _failed(self, worker: Worker, error: Exception) -> None:
        from distributed.scheduler import KilledWorker

        job, worker.job = worker.job, None
        if isinstance(error, (CancelledError, KilledWorker, Unprepared)):  # a process ended, and what it had went with it
            if job is not None and isinstance(error, Unprepared) and error.args == (worker.process,):
                self.queue.appendleft(job)  # the worker has meanwhile served other sweeps
            elif job is not None:
                self._moved(job, f"its worker {worker.address} was started again")
            worker.ready, worker.came = False, time.monotonic()
            self._send(worker)
        elif job is None:
            self._refuse(worker, str(error) if isinstance(error, SercoreError) else f"{type(error).__name__}: {error}")
        else:
            own = isinstance(error, SercoreError)  # of the run, wherever it is done
            worker.failures += not own
            job.error = error if own else SercoreError(f"on worker {worker.address}: {type(error).__name__}: {error}")

    def _refuse(self, worker: Worker, reason: str) -> None:
        worker.refused = reason
        self._tell(f"{worker.address} does no runs of this sweep: {reason}")

    def _send(self, worker: Worker) -> None:
        """The corpus to a worker: to the first one from here, to others from those that have it."""
        if self.shipment is None or self.shipment.status != "finished":
            try:
                self.shipment = self.client.scatter(self.packed, workers=[worker.address], hash=False)
            except Exception:  # it has gone meanwhile; should it still be there, it is asked again
                self.workers.pop(worker.address, None)
                return
        worker.future = self._ask(worker.address, receive, self.shipment, self.sweep, self.device)

    def _moved(self, job: Job, why: str) -> None:
        job.deaths += 1
        if job.deaths < DEATHS:
            self._tell(f"moved {job}: {why}, and the run starts again")
            self.queue.appendleft(job)
        else:
            job.error = SercoreError(
                f"{job.deaths} workers ended while they had it: more memory for each, or a longer time limit, may help"
            )

    def _give(self) -> None:
        """A run to each worker that has none. Those on which one run after the other fails wait until no others are left."""
        good = [worker for worker in self.workers.values() if not worker.refused and worker.came < math.inf]
        good = [worker for worker in good if worker.failures < FAILURES] or good
        for worker in good:
            if worker.ready and worker.future is None:
                job = next((job for job in self.queue if job.avoided != worker.address or len(good) == 1), None)
                if job is not None:
                    self.queue.remove(job)
                    self._begin(worker, job)

    def _begin(self, worker: Worker, job: Job) -> None:
        options = {"resources": {GPU: 1}} if GPU in worker.resources else {}
        worker.job, job.worker = job, worker.address
        wanted = self.sweep, job.names, self.overrides, self.device
        worker.future = self._ask(worker.address, work, *wanted, **options)
        self.log(f"begun {job} on {worker.address}")

    def _rest(self) -> None:
        """Until something is answered, or a second has passed."""
        from distributed import wait

        if asked := [worker.future for worker in self.workers.values() if worker.future is not None]:
            with contextlib.suppress(TimeoutError, CancelledError):
                wait(asked, timeout=1, return_when="FIRST_COMPLETED")
        else:
            time.sleep(0.2)

    def follow(self, on_epoch: Callable[[str, int, int], None]) -> None:
        """Call `on_epoch` with run, epoch and how many there may be, as workers tell them."""
        self.client.subscribe_topic(self.sweep, lambda event: on_epoch(*(event[1][name] for name in ("run", "epoch", "of"))))


def write(folder: Path, name: RunName, files: dict[str, bytes]) -> Path:
    """A record that came back, written whole or not at all; one that is there already stays."""
    with FileLock(folder / f"{name}.lock"):
        if not records.finished(folder, name):
            partial = Path(tempfile.mkdtemp(prefix=f"{name}.", suffix=".partial", dir=folder))
            try:
                for file in records.FILES:
                    (partial / file).write_bytes(files[file])
                shutil.rmtree(records.partial_folder(folder, name), ignore_errors=True)
                partial.chmod(0o777 & ~_umask())
                os.replace(partial, folder / str(name))
                records.failure(folder, name).unlink(missing_ok=True)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    (folder / f"{name}.lock").unlink(missing_ok=True)
    return folder / str(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def check(address: str) -> None:
    """Raise `SercoreError` where Dask is not installed, or where no scheduler answers at `address`."""
    try:
        from distributed import Security, rpc
    except ImportError:
        raise SercoreError("a Dask cluster needs `pip install distributed`") from None
    if address.startswith(LOCAL):
        number = address.removeprefix(LOCAL)
        if not (number.isdecimal() and int(number)):
            raise SercoreError(f"--dask {address}: write {LOCAL}2 for two workers on this machine")
        return

    async def asked() -> Any:
        async with rpc(address, connection_args=Security().get_connection_args("client")) as there:
            return await there.identity()

    try:
        with quiet(), ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own in this one
            kind = thread.submit(lambda: asyncio.run(asyncio.wait_for(asked(), SECONDS))).result()["type"]
        problem = "" if kind == "Scheduler" else f"but a {kind}"
    except Exception as error:  # whatever another program sends
        problem = f"{type(error).__name__}: {error}".removesuffix(": ")
    if problem:
        raise SercoreError(f"no Dask scheduler answers at {address!r} ({problem}): write its address as in tcp://10.0.0.7:8786")


@contextmanager
def connected(
    address: str, packed: Shipment, overrides: dict[str, Any] | None, device: str, log: Callable[[str], None]
) -> Iterator[Cluster]:
    """The cluster at `address`, a scheduler's or `local:N`."""
    import dask
    from distributed import Client, LocalCluster

    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        where: Any = address
        if address.startswith(LOCAL):
            dask.config.set(QUIET)
            number = int(address.removeprefix(LOCAL))
            with _without_interrupts():
                local = LocalCluster(
                    n_workers=number, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
                )
            where = stack.enter_context(local)
        client = stack.enter_context(Client(where, timeout=SECONDS))
        yield Cluster(client, address, packed, overrides, device, log)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Processes and threads that begin here never hear of Ctrl-C, which a terminal sends to all: the sweep alone answers."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Dask says of itself: what matters is told by the sweep."""
    import distributed  # noqa: F401  (it sets its loggers up)

    names = (
        "tornado.application",
        "asyncio",
        *(name for name in logging.root.manager.loggerDict if name.startswith("distributed")),
    )
    before = {logger: logger.level for logger in map(logging.getLogger, names)}
    for logger in before:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in before.items():
            logger.setLevel(level)

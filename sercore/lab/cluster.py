"""A sweep's runs on a Dask cluster, whose workers need nothing of the caller's disk.

The corpus goes out once, as the frames that its networks hear, with the user's extension files beside it; each worker keeps it,
and whoever joins late gets it from the others. Records come back as bytes, and the caller writes them. What a worker has begun
lies on its own disk: a run that moves to another one starts again.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock

from .. import corpora, extensions
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

TOPIC = "sercore"
"""Of the events by which a worker tells each epoch."""

LOCAL = "local:"
"""Before a number: that many workers on this machine."""

SECONDS = 5
"""That a scheduler has to answer."""

PATIENCE = 60
"""Seconds for another worker to come when all have gone."""

GPU = "GPU"
"""The resource that a worker declares which has a GPU of its own: such workers take one run each at a time."""


def code(package: Path = Path(__file__).parents[1]) -> str:
    """A checksum of the files that a run is computed by: two checkouts of one version may differ."""
    digest = hashlib.sha256()
    for path in sorted(path for name in TRAINS for path in (package / name, *(package / name).rglob("*.py")) if path.is_file()):
        digest.update(f"{path.relative_to(package).as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def version() -> str:
    """What a sweep and its workers must have in common."""
    return f"{metadata.version('sercore')} (code {code()[:7]})"


@dataclasses.dataclass(frozen=True)
class Shipment:
    """All that a worker needs of a corpus, and by what it knows that it is the right one."""

    version: str  # of sercore and its code
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
    extensions: tuple[tuple[str, str], ...]  # (name, text) of the user's files
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
        version=version(),
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
        extensions=tuple((path.name, path.read_text()) for path in extensions.files()),
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

_ONE_AT_A_TIME = threading.Lock()
"""A worker may have several threads, and random numbers are drawn from one generator for all."""

_unpacked: dict[str, experiment.Prepared] = {}


def work(shipment: Shipment, names: Sequence[RunName], overrides: dict[str, Any] | None, device: str) -> list[dict[str, bytes]]:
    """Do runs that share a training on this worker, and return the files of each record."""
    from distributed import get_worker

    worker = get_worker()
    with _ONE_AT_A_TIME:
        if shipment.version != version():
            raise SercoreError(f"worker {worker.address} has sercore {version()}, the sweep is of {shipment.version}")
        own = Path(worker.local_directory) / "sercore"
        own.mkdir(exist_ok=True)
        _bring_extensions(shipment, own)
        if shipment.checksum not in _unpacked:
            _unpacked.clear()
            _unpacked[shipment.checksum] = unpack(shipment)

        def tell(values: dict[str, float], config: Config) -> None:
            worker.log_event(TOPIC, {"run": str(names[0]), "epoch": int(values["epoch"]), "of": config.max_epochs})

        folders = experiment.run_prepared(_unpacked[shipment.checksum], names, overrides, own, device, tell)
        found = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders]
        for folder in folders:
            shutil.rmtree(folder)
        return found


def _bring_extensions(shipment: Shipment, folder: Path) -> None:
    """The user's files as they were where the sweep began."""
    paths = []
    for number, (name, text) in enumerate(shipment.extensions):
        paths.append(folder / "extensions" / str(number) / name)
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_text(text)
    wanted = os.pathsep.join(map(str, paths))
    known = hashlib.sha256(repr(shipment.extensions).encode()).hexdigest()
    if os.environ.get("SERCORE_SHIPPED") != known:
        os.environ |= {extensions.VARIABLE: wanted, "SERCORE_SHIPPED": known}
        extensions.load.cache_clear()
        extensions.load()


# ---- where the sweep is


class Cluster:
    """Workers of a Dask scheduler, with the corpus at hand."""

    def __init__(self, client: Client, address: str, prepared: experiment.Prepared, configs: Iterable[Config]) -> None:
        self.client, self.address, self.packed = client, address, pack(prepared, configs)
        self._check_versions()
        self.shipment = self._send()

    def _send(self) -> Future:
        """The corpus to every worker that is there."""
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise SercoreError(
                f"no worker is left at {self.address}: what is finished is kept, and the same command goes on"
            ) from None
        return self.client.scatter(self.packed, broadcast=True, hash=False)

    def _check_versions(self) -> None:
        """All workers that are there must have this sercore: others would train something else."""

        def theirs() -> str:  # sent as it stands: a worker may have no such module
            import importlib

            there = importlib.import_module("sercore.lab.cluster")
            return there.version() if hasattr(there, "version") else importlib.import_module("sercore").__version__

        found = self.client.run(theirs, on_error="return")
        other = [
            f"{worker} has {its if isinstance(its, str) else f'none ({its})'}"
            for worker, its in sorted(found.items())
            if its != version()
        ]
        if other:
            raise SercoreError(
                f"workers with another sercore than this one, {version()}: {'; '.join(other)}: install the same everywhere",
                offenders=other,
            )

    def submit(
        self, names: Sequence[RunName], overrides: dict[str, Any] | None, device: str, avoiding: Exception | None = None
    ) -> Future:
        """Have runs that share a training done; a run that failed on a worker is not tried on the same again, if there are
        others."""
        if self.shipment.status != "finished":  # the workers that had it are gone
            self.shipment = self._send()
        workers = self.client.scheduler_info()["workers"]
        rest = [address for address in workers if avoiding is None or address not in str(avoiding)]
        options: dict[str, Any] = {"workers": rest, "allow_other_workers": True} if avoiding is not None and rest else {}
        if any(GPU in (facts.get("resources") or {}) for facts in workers.values()):
            options["resources"] = {GPU: 1}
        return self.client.submit(work, self.shipment, names, overrides, device, pure=False, **options)

    def wait(self, futures: Iterable[Future]) -> Future:
        """One that is done. Raises `SercoreError` when the scheduler has gone away."""
        from distributed import wait

        futures = list(futures)
        while self.client.status == "running":
            if ended := next((future for future in futures if future.status != "pending"), None):
                return ended
            try:
                wait(futures, timeout=SECONDS, return_when="FIRST_COMPLETED")
            except (TimeoutError, CancelledError):
                time.sleep(0.1)
        raise self._gone()

    def _gone(self) -> SercoreError:
        return SercoreError(
            f"the Dask scheduler at {self.address} has gone away: what is finished is kept, and the same command goes on"
        )

    def follow(self, on_epoch: Callable[[str, int, int], None]) -> None:
        """Call `on_epoch` with run, epoch and how many there may be, as workers tell them."""
        self.client.subscribe_topic(TOPIC, lambda event: on_epoch(*(event[1][name] for name in ("run", "epoch", "of"))))


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
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
    (folder / f"{name}.lock").unlink(missing_ok=True)
    return folder / str(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def connected(address: str, prepared: experiment.Prepared, configs: Iterable[Config]) -> Iterator[Cluster]:
    """The cluster at `address`, a scheduler's or `local:N`. Raises `SercoreError` without Dask, and where nobody answers."""
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError:
        raise SercoreError("a Dask cluster needs `pip install distributed`") from None
    if address.startswith(LOCAL):
        number = address.removeprefix(LOCAL)
        if not (number.isdecimal() and int(number)):
            raise SercoreError(f"--dask {address}: write {LOCAL}2 for two workers on this machine")
        dask.config.set(QUIET)
        cluster = LocalCluster(n_workers=int(number), threads_per_worker=1, dashboard_address=":0")
        with cluster, Client(cluster) as client:
            yield Cluster(client, address, prepared, configs)
        return
    try:
        client = Client(address, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise SercoreError(f"no Dask scheduler answers at {address} ({error})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=SECONDS)
        except TimeoutError:
            raise SercoreError(f"the Dask scheduler at {address} has no workers: start some (dask worker {address})") from None
        yield Cluster(client, address, prepared, configs)

"""Sweeps over a real Dask scheduler and real workers, in other folders, without the corpus."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fresh_process
import numpy as np
import pytest

from sercore import SercoreError, extensions, machine
from sercore.lab import cluster, experiment, records, sweep, systems

distributed = pytest.importorskip("distributed")

QUICK = {"max_epochs": 2, "clip_seconds": 0.5}
SLOW = {"max_epochs": 12, "patience": 12, "clip_seconds": 0.5}


def start(*arguments, cwd, **variables):
    # workers know nothing of the caller: neither its folder nor where its corpora, caches and runs lie
    gone, command = {name for name in os.environ if name.startswith("SERCORE_")}, ["-m", f"distributed.cli.{arguments[0]}"]
    if "PYTHONPATH" not in variables:
        return fresh_process.start(*command, *arguments[1:], folder=cwd, cwd=cwd, **{**dict.fromkeys(gone), **variables})
    own = {name: value for name, value in os.environ.items() if name not in gone} | variables  # code of its own
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, *command, *arguments[1:]], cwd=cwd, env=own, **quiet)


class Started:
    """A scheduler, and workers that start in folders of their own."""

    def __init__(self, folder):
        self.folder, file = folder, folder / "scheduler.json"
        self.processes = [
            start("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(file), cwd=folder),
        ]
        deadline = time.time() + 60
        while not (file.exists() and file.read_text().endswith("}")) and time.time() < deadline:
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]

    def worker(self, name, *options, **variables):
        folder = self.folder / name
        folder.mkdir()
        plain = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder), *options)
        self.processes.append(start("dask_worker", self.address, *plain, cwd=folder, **variables))
        return self.processes[-1]

    def stop(self):
        for process in self.processes:
            process.kill()
            getattr(process, "join", getattr(process, "wait", None))()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Two workers for those who do them no harm."""
    started = Started(tmp_path_factory.mktemp("shared"))
    started.worker("first", "--resources", "GPU=1"), started.worker("second", "--resources", "GPU=1")
    yield started.address
    started.stop()


@pytest.fixture
def own(tmp_path):
    """A scheduler to be harmed."""
    started = Started(tmp_path)
    yield started
    started.stop()


def planned(corpus, system="baseline", folds="0", **options):
    return sweep.plan(str(corpus), system, folds=folds, **options)


def connected(address, corpus, overrides=QUICK):
    packed = cluster.pack(experiment.prepare(str(corpus)), [])
    return cluster.connected(address, packed, overrides, "cpu", lambda line: None)


def test_what_is_packed_comes_out_as_it_was(tones):
    prepared = experiment.prepare(str(tones))
    config = systems.config("3d-crnn")
    shipment = cluster.pack(prepared, [config])
    there = cluster.unpack(shipment)
    assert there.data.inputs.digest == prepared.data.inputs.digest and there.source == prepared.source
    for ours, theirs in zip(there.heard_by(config).inputs.arrays, prepared.heard_by(config).inputs.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not there.utterances["path"].any() and experiment.configure(there, "baseline") == experiment.configure(
        prepared, "baseline"
    )
    relabelled = dataclasses.replace(prepared, data=dataclasses.replace(prepared.data, labels=prepared.data.labels[::-1]))
    assert (
        cluster.pack(relabelled, [config]).checksum != shipment.checksum
    )  # a worker that has the one does not take it for the other
    shipment.frames["log_mel"][0, 0] += 1
    with pytest.raises(SercoreError, match="the data came with checksum .* and were sent with"):
        cluster.unpack(shipment)


def test_workers_without_the_corpus_give_the_records_of_this_machine(tones, tmp_path, shared, monkeypatch):
    monkeypatch.chdir(tones.parent)
    heard = []
    wanted = planned("tones.csv", "baseline,tdnn-lstm", protocols="paper,leaky")
    outcome = sweep.sweep(wanted, tmp_path / "runs", overrides=QUICK, dask=shared, on_epoch=lambda *told: heard.append(told))
    assert len(outcome.finished) == 4 and not outcome.failed
    here = sweep.sweep(wanted, tmp_path / "here", overrides=QUICK)
    for ours, theirs in zip(sorted(outcome.finished), sorted(here.finished), strict=True):
        assert ours.name == theirs.name and {file.name for file in ours.iterdir()} == set(records.FILES)
        first, second = records.read_test(ours), records.read_test(theirs)
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])
        assert records.read_facts(ours)["source"] == str(tones)
    assert {told[2] for told in heard} == {2} and {told[1] for told in heard} == {1, 2}
    assert not [path for path in (tmp_path / "runs").iterdir() if path.suffix in (".partial", ".lock")]
    assert not sweep.sweep(wanted, tmp_path / "runs", overrides=QUICK, dask=shared).finished  # nothing is left to do


def test_a_worker_that_is_killed_and_one_that_joins_late(tones, tmp_path, own):
    first = own.worker("first")
    begun = threading.Event()

    def meanwhile():
        begun.wait(120)
        own.worker("late")
        time.sleep(1)
        first.kill()

    helper = threading.Thread(target=meanwhile)
    helper.start()
    wanted = planned(tones, folds="0-2")
    outcome = sweep.sweep(wanted, tmp_path / "runs", overrides=SLOW, dask=own.address, on_epoch=lambda *told: begun.set())
    helper.join()
    assert len(outcome.finished) == 3 and not outcome.failed
    assert all(records.read_facts(folder)["epochs"] == 12 for folder in outcome.finished)


def test_a_scheduler_that_goes_away_ends_the_sweep_and_loses_nothing(tones, tmp_path, own):
    own.worker("first")
    wanted, done = planned(tones, folds="0-1"), []

    def after_the_first(name, number, total):
        done.append(name)
        if number == 1:
            own.processes[0].kill()

    with pytest.raises(SercoreError, match="scheduler at .* has gone away: what is finished is kept"):
        sweep.sweep(wanted, tmp_path / "runs", overrides=SLOW, dask=own.address, on_run=after_the_first)
    assert done and all(records.finished(tmp_path / "runs", name) for name in done)
    assert "ended by SercoreError" in (tmp_path / "runs" / "sweep.log").read_text()
    rest = sweep.sweep(wanted, tmp_path / "runs", overrides=SLOW, dask="local:1")
    assert len(rest.finished) == 2 - len(done) and not rest.failed


def test_other_versions_are_refused_by_name(tones, tmp_path, shared, monkeypatch):
    monkeypatch.setattr(cluster, "VERSION", "9.9.9")
    with pytest.raises(SercoreError, match=r"tcp://.*: it has sercore \d\S*, and the sweep is of 9\.9\.9") as refused:
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask=shared)
    assert len(refused.value.offenders) == 2


def test_other_code_of_the_same_version_is_another(tmp_path):
    package = tmp_path / "sercore"
    shutil.copytree(Path(cluster.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    checksum = cluster.code_checksum.__wrapped__
    assert checksum(package) == cluster.code_checksum()
    for name, matters in (("report/names.py", False), ("network/losses.py", True), ("config.py", True)):
        before = checksum(package)
        with (package / name).open("a") as file:
            file.write("\n")
        assert (checksum(package) != before) == matters


def changed_package(folder, name, old, new):
    """A folder for PYTHONPATH with this package, less a line."""
    shutil.copytree(Path(cluster.__file__).parents[1], folder / "sercore", ignore=shutil.ignore_patterns("__pycache__"))
    text = (folder / "sercore" / name).read_text()
    assert old in text
    (folder / "sercore" / name).write_text(text.replace(old, new))
    return str(folder)


def test_a_worker_that_comes_late_with_other_code_gets_no_run(tones, tmp_path, own, monkeypatch):
    other = changed_package(tmp_path / "other", "network/losses.py", "class Softmax", "class  Softmax")
    own.worker("right")
    monkeypatch.setattr(cluster, "SECONDS", 20)  # it takes its time beside other tests
    begun, notes = threading.Event(), []
    monkeypatch.setattr(cluster.NOTES, "warning", lambda form, line: notes.append(line))
    helper = threading.Thread(target=lambda: begun.wait(120) and own.worker("wrong", PYTHONPATH=other))
    helper.start()
    wanted = planned(tones, folds="0-3")
    outcome = sweep.sweep(wanted, tmp_path / "runs", overrides=SLOW, dask=own.address, on_epoch=lambda *told: begun.set())
    helper.join()
    assert len(outcome.finished) == 4 and not outcome.failed
    log = (tmp_path / "runs" / "sweep.log").read_text()
    assert log.count("begun ") == 4 and "it is tried once more" not in log
    told = [line for line in notes if "does no runs of this sweep: it has other code of sercore" in line]
    assert len(told) == 1 and told[0] in log


def test_runs_wait_for_the_first_worker(tones, tmp_path, own, monkeypatch):
    notes = []

    def note(form, line):
        notes.append(line)
        own.worker("late")

    monkeypatch.setattr(cluster.NOTES, "warning", note)
    outcome = sweep.sweep(planned(tones), tmp_path / "runs", overrides=QUICK, dask=own.address)
    assert len(outcome.finished) == 1
    assert notes == [f"no worker is at {own.address}: waiting for one, as `dask worker {own.address} --nthreads 1` starts it"]


def answering(reply):
    """A program at a port of its own that is no scheduler."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = server.accept()
            held.append(connection)
            if reply:
                connection.sendall(reply)

    held = []
    threading.Thread(target=serve, daemon=True).start()
    return f"tcp://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(255, 0, -1)) * 9])
def test_what_answers_and_is_no_scheduler_is_told_in_time(tones, tmp_path, monkeypatch, reply):
    monkeypatch.setattr(cluster, "SECONDS", 1)
    began = time.monotonic()
    with pytest.raises(SercoreError, match="no Dask scheduler answers at 'tcp://.*: write its address as in tcp://"):
        sweep.sweep(planned(tones), tmp_path / "runs", overrides=QUICK, dask=answering(reply))
    assert time.monotonic() - began < 5 and not (tmp_path / "runs").exists()


def test_wrong_words(tones, tmp_path):
    for wrong in ("local:0", "local:many"):
        with pytest.raises(SercoreError, match="write local:2 for two workers on this machine"):
            sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask=wrong)
    with pytest.raises(SercoreError, match="jobs=2 are processes of this machine, and a Dask cluster has its own workers"):
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask="local:1", jobs=2)
    with pytest.raises(SercoreError, match="no Dask scheduler answers at ''"):
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask="")


LOSS = """
from sercore.lab import systems
from sercore.network import LOSSES, Softmax

class Mine(Softmax):
    pass

LOSSES["mine"] = Mine
systems.register("mine", loss="mine")
"""


def test_files_of_ones_own_travel_along_and_may_change(tones, tmp_path, shared):
    command = ("-m", "sercore", "sweep", "--corpus", tones, "--systems", "mine", "--folds", "0-1")
    quick = ("--set", "max_epochs=1", "--set", "clip_seconds=0.5")
    for number, ends in enumerate(("\n", "\r\n")):  # the workers go on, and have the first file
        (tmp_path / "mine.py").write_bytes((LOSS + f"# {number}\n").replace("\n", ends).encode())
        runs = ("--runs", tmp_path / f"runs{number}")
        done = fresh_process.run(*command, *quick, *runs, "--dask", shared, cwd=tmp_path, SERCORE_EXTENSIONS="mine.py")
        assert done.returncode == 0 and "2 runs done" in done.stderr, done.stderr
    facts = records.read_facts(next((tmp_path / "runs1").glob("*fold0")))
    again = fresh_process.run(*command, *quick, *runs, cwd=tmp_path, SERCORE_EXTENSIONS="mine.py")
    assert again.returncode == 0 and list(facts["code"]) == ["loss"], again.stderr
    assert facts["commit"] == machine.commit()


def test_a_file_that_needs_its_neighbour_is_refused_before_the_first_run(tones, tmp_path, shared, monkeypatch):
    (tmp_path / "helper.py").write_text("")
    (tmp_path / "mine.py").write_text("import helper\n" + LOSS)
    monkeypatch.setenv(extensions.VARIABLE, str(tmp_path / "mine.py"))
    monkeypatch.syspath_prepend(tmp_path)
    extensions.forget()
    try:
        with pytest.raises(
            SercoreError, match="no worker can do runs .*No module named 'helper'.*; a worker gets the files that"
        ):
            sweep.sweep(planned(tones, "mine"), tmp_path / "runs", overrides=QUICK, dask=shared)
    finally:
        extensions.forget()


def test_what_fails_is_tried_on_another_worker(tones, shared, monkeypatch):
    with connected(shared, tones) as workers:
        asked = []

        def refuse(worker, job):
            worker.job, job.worker = job, worker.address
            asked.append(worker.address)
            worker.future = workers._ask(worker.address, os.listdir, "/not there")

        monkeypatch.setattr(workers, "_begin", refuse)
        names = planned(tones).names
        first = workers.wait([workers.submit(names)])
        second = workers.wait([workers.submit(names, first.worker)])
        assert len(set(asked)) == 2 and f"on worker {second.worker}: FileNotFoundError" in str(second.error)


def test_a_run_that_ends_its_workers_ends_with_a_word(tones, tmp_path, own, monkeypatch):
    monkeypatch.setattr(cluster, "DEATHS", 2)
    own.worker("a"), own.worker("b")
    with connected(own.address, tones) as workers:

        def end(worker, job):
            worker.job, job.worker = job, worker.address
            worker.future = workers._ask(worker.address, os._exit, 1)

        monkeypatch.setattr(workers, "_begin", end)
        job = workers.wait([workers.submit(planned(tones).names)])
    assert str(job.error).startswith("2 workers ended while they had it: more memory")


def test_workers_stop_when_nobody_waits(tones, tmp_path, own):
    own.worker("only")
    endless, begun = {**QUICK, "max_epochs": 10**6, "patience": 10**6}, threading.Event()
    with connected(own.address, tones, endless) as workers:
        workers.follow(lambda *told: begun.set())
        workers.submit(planned(tones).names)
        while not begun.is_set():
            workers._follow(), workers._give(), workers._rest()
    with ThreadPoolExecutor(1) as thread:
        rest = thread.submit(sweep.sweep, planned(tones), tmp_path / "runs", overrides=QUICK, dask=own.address)
        assert len(rest.result(timeout=120).finished) == 1


def test_a_worker_with_a_gpu_is_asked_for_it(tones, shared, monkeypatch):
    with connected(shared, tones) as workers:
        asked, submit = [], workers.client.submit
        monkeypatch.setattr(
            workers.client, "submit", lambda *given, **options: asked.append(options) or submit(*given, **options)
        )
        job = workers.wait([workers.submit(planned(tones).names)])
    assert [options["resources"] for options in asked if "resources" in options] == [{"GPU": 1}]
    assert job.error is None and job.found[0].keys() == set(records.FILES)


def test_sweeps_share_workers_and_keep_their_own(tones, tmp_path, own, monkeypatch):
    own.worker("only")
    monkeypatch.setattr(cluster, "NOTES", cluster.logging.getLogger("quiet"))
    wanted, heard = planned(tones, folds="0-1"), {number: set() for number in range(3)}

    def work(number):
        options = {"dask": own.address, "on_epoch": lambda *told: heard[number].add(told[2])}
        return sweep.sweep(wanted, tmp_path / f"{number}", overrides={**QUICK, "max_epochs": 2 + number}, **options)

    with ThreadPoolExecutor(3) as threads:
        outcomes = list(threads.map(work, heard))
    assert [len(outcome.finished) for outcome in outcomes] == [2, 2, 2] and not any(outcome.failed for outcome in outcomes)
    assert heard == {0: {2}, 1: {3}, 2: {4}}  # each is told of its own epochs

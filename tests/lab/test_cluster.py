"""Sweeps over a real Dask scheduler and real workers, in other folders, without the corpus."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import fresh_process
import numpy as np
import pytest

from sercore import SercoreError
from sercore.lab import cluster, experiment, records, sweep, systems

distributed = pytest.importorskip("distributed")

QUICK = {"max_epochs": 2, "clip_seconds": 0.5}
SLOW = {"max_epochs": 12, "patience": 12, "clip_seconds": 0.5}


def start(*arguments, cwd):
    # workers know nothing of the caller: neither its folder nor where its corpora, caches and runs lie
    own = {name: value for name, value in os.environ.items() if not name.startswith("SERCORE_")}
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:]]
    return subprocess.Popen(command, cwd=cwd, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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

    def worker(self, name, *options):
        folder = self.folder / name
        folder.mkdir()
        plain = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder), *options)
        self.processes.append(start("dask_worker", self.address, *plain, cwd=folder))
        return self.processes[-1]

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()


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
    monkeypatch.setattr(cluster, "version", lambda: "9.9.9 (code abc)")
    with pytest.raises(
        SercoreError, match=r"another sercore than this one, 9\.9\.9 \(code abc\): tcp://.* has \d.* \(code \w{7}\)"
    ):
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask=shared)


def test_other_code_of_the_same_version_is_another(tmp_path):
    package = tmp_path / "sercore"
    shutil.copytree(Path(cluster.__file__).parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    assert cluster.code(package) == cluster.code()
    for name, matters in (("report/names.py", False), ("network/losses.py", True), ("config.py", True)):
        before = cluster.code(package)
        with (package / name).open("a") as file:
            file.write("\n")
        assert (cluster.code(package) != before) == matters


def test_a_scheduler_without_workers_and_wrong_words(tones, tmp_path, own):
    with pytest.raises(SercoreError, match="has no workers: start some"):
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask=own.address)
    for wrong in ("local:0", "local:many"):
        with pytest.raises(SercoreError, match="write local:2 for two workers on this machine"):
            sweep.sweep(planned(tones), tmp_path, overrides=QUICK, dask=wrong)


LOSS = """
from sercore.network import LOSSES, Softmax

class Mine(Softmax):
    pass

LOSSES["mine"] = Mine
"""


def test_files_of_ones_own_travel_along(tones, tmp_path, shared):
    (tmp_path / "mine.py").write_text(LOSS)
    command = ("-m", "sercore", "sweep", "--corpus", tones, "--systems", "baseline@loss=mine", "--folds", "0")
    quick = ("--set", "max_epochs=1", "--set", "clip_seconds=0.5", "--runs", tmp_path / "runs")
    done = fresh_process.run(*command, *quick, "--dask", shared, cwd=tmp_path, SERCORE_EXTENSIONS="mine.py")
    assert done.returncode == 0 and "1 runs done" in done.stderr, done.stderr
    facts = records.read_facts(next((tmp_path / "runs").glob("*fold0")))
    again = fresh_process.run(*command, *quick, cwd=tmp_path, SERCORE_EXTENSIONS="mine.py")
    assert again.returncode == 0 and list(facts["code"]) == ["loss"], again.stderr


def test_a_worker_with_a_gpu_takes_one_run_at_a_time(tones, shared, monkeypatch):
    prepared = experiment.prepare(str(tones))
    with distributed.Client(shared) as client:
        sent = cluster.Cluster(client, shared, prepared, [experiment.configure(prepared, "baseline", QUICK)])
        asked, submit = [], client.submit
        monkeypatch.setattr(client, "submit", lambda *given, **options: asked.append(options) or submit(*given, **options))
        found = sent.submit(planned(tones).names, QUICK, "cpu").result()
        assert [options["resources"] for options in asked] == [{"GPU": 1}]
        assert found[0].keys() == set(records.FILES)

import errno
import json
import os
import signal
import threading
import time

import fresh_process
import numpy as np
import pandas as pd
import psutil
import pytest

from sercore import SercoreError
from sercore.evidence import publication, results
from sercore.lab import bundle, experiment, records, sweep

QUICK = {"max_epochs": "2", "clip_seconds": "0.35", "toolkit": "pytorch", "precision": "bfloat16"}
OPTIONS = [option for key, value in QUICK.items() for option in ("--set", f"{key}={value}")]


def planned(tones, systems="baseline", folds="0-1"):
    return sweep.plan(str(tones), systems, "speaker", "0", folds)


def test_plan_spells_out_the_grid(tones):
    wanted = sweep.plan(str(tones), "claims", "paper,speaker", "0-1,4", "0,2")
    assert len(wanted.names) == 4 * 2 * 3 * 2 and len(set(wanted.names)) == len(wanted.names)
    assert str(wanted.names[0]) == "tones-paper-baseline-seed0-fold0"


def test_what_is_asked_for_twice_is_done_once(tones):
    assert sweep.plan(str(tones), "baseline", "speaker,speaker", "0-1,1", "0,0").names == planned(tones, folds="0").names + tuple(
        sweep.plan(str(tones), "baseline", "speaker", "1", "0").names
    )
    with pytest.raises(SercoreError, match="jobs=0"):
        sweep.sweep(planned(tones), jobs=0)


def test_plan_without_what_is_published(tones, tmp_path):
    sweep.sweep(planned(tones, folds="1"), tmp_path, overrides=QUICK)
    config = records.all_facts(tmp_path)[0]["config"]
    published = pd.DataFrame({"run": ["tones-speaker-baseline-seed0-fold1", "another"], "config": [json.dumps(config)] * 2})
    assert [name.fold for name in planned(tones, folds="0-2").without(published, QUICK).names] == [0, 2]
    # published with other settings is not what is wanted
    assert [name.fold for name in planned(tones, folds="0-2").without(published, {**QUICK, "max_epochs": 9}).names] == [0, 1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        {"seeds": "a"},
        {"seeds": "1-2-3"},
        {"folds": "5"},
        {"protocols": "random"},
        {"system_names": "resnet"},
        {"seeds": "3-1"},
        {"seeds": "0,3-1"},
        {"seeds": [-1]},
        {"folds": [0.5]},
        {"seeds": []},
    ],
)
def test_bad_plans_are_refused(tones, arguments):
    with pytest.raises(SercoreError):
        sweep.plan(str(tones), **arguments)


def test_a_sweep_does_what_is_missing_and_nothing_twice(tones, tmp_path):
    told = []
    first = sweep.sweep(planned(tones, folds="0"), tmp_path, overrides=QUICK)
    outcome = sweep.sweep(planned(tones), tmp_path, overrides=QUICK, on_run=lambda *values: told.append(values[1:]))
    assert len(first.finished) == len(outcome.finished) == 1 and told == [(1, 1)]
    assert not planned(tones).missing(tmp_path)


def test_runs_in_several_processes_give_the_same_records(tones, tmp_path):
    sweep.sweep(planned(tones), tmp_path / "one", overrides=QUICK)
    outcome = sweep.sweep(planned(tones), tmp_path / "two", overrides=QUICK, jobs=2)
    assert len(outcome.finished) == 2 and not outcome.failed
    for name in planned(tones).names:
        one, two = (records.read_test(tmp_path / folder / str(name)) for folder in ("one", "two"))
        np.testing.assert_allclose(one["probabilities"], two["probabilities"], atol=1e-3)


def test_plans_share_their_processes_and_end_as_they_would_alone(tones, tmp_path):
    bundle.write(str(tones), tmp_path / "tones.bundle")
    plans = [planned(tones, folds="0"), planned(tones, folds="1,2")]
    told = []
    outcome = sweep.sweep_all(plans, tmp_path / "all", overrides=QUICK, jobs=2, on_run=lambda *values: told.append(values[1:]))
    assert told == [(number, 3) for number in (1, 2, 3)] and len(outcome.finished) == 3 and not outcome.failed
    sweep.sweep(planned(tones, folds="0-2"), tmp_path / "one", overrides=QUICK)
    for name in plans[1].names:
        one, two = (records.read_test(tmp_path / folder / str(name)) for folder in ("all", "one"))
        np.testing.assert_allclose(one["probabilities"], two["probabilities"], atol=1e-3)
    with pytest.raises(SercoreError, match="two corpora by the name of tones"):
        sweep.sweep_all([plans[0], sweep.plan(str(tmp_path / "tones.bundle"), folds="3")], tmp_path / "none", overrides=QUICK)
    with pytest.raises(SercoreError, match="one plan at a time"):
        sweep.sweep_all(plans, tmp_path / "none", dask="local:1")


def test_a_failing_run_is_told_and_does_not_stop_the_others(tones, tmp_path, monkeypatch):
    from sercore.lab import experiment

    true_run = experiment.run_together

    def sometimes(corpus, protocols, system, seed, fold, *rest, **settings):
        if fold == 0:
            raise RuntimeError("no memory")
        return true_run(corpus, protocols, system, seed, fold, *rest, **settings)

    monkeypatch.setattr(experiment, "run_together", sometimes)
    outcome = sweep.sweep(planned(tones), tmp_path, overrides=QUICK)
    assert len(outcome.finished) == 1 and "no memory" in next(iter(outcome.failed.values()))


def test_what_splits_alike_is_trained_once(tones, tmp_path, monkeypatch):
    epochs, told = [], []
    wanted = sweep.plan(str(tones), "baseline", "speaker,paper,leaky", folds="1")
    assert [[name.protocol for name in names] for names in sweep.trainings(wanted.names)] == [["speaker"], ["paper", "leaky"]]
    hear = {"on_epoch": lambda values, _: epochs.append(values["epoch"]), "on_run": lambda *what: told.append(what)}
    outcome = sweep.sweep(wanted, tmp_path, overrides=QUICK, **hear)
    assert len(outcome.finished) == 3 and [done for _, done, total in told] == [1, 2, 3] and len(epochs) == 2 * 2
    assert {name.protocol for name, *_ in told} == {"speaker", "paper", "leaky"}


def test_records_made_otherwise_are_all_named_before_anything_runs(tones, tmp_path):
    sweep.sweep(planned(tones), tmp_path, overrides=QUICK)
    with pytest.raises(SercoreError, match=r"2 runs in .*fold0 the first, were .*max_epochs: 2 then, 7 now"):
        sweep.sweep(planned(tones), tmp_path, overrides={**QUICK, "max_epochs": "7"})


def test_another_corpus_of_the_same_name_is_refused_before_anything_runs(tones, tmp_path):
    sweep.sweep(planned(tones, folds="0"), tmp_path / "runs", overrides=QUICK)
    table = pd.read_csv(tones).iloc[2:].assign(path=lambda t: [str(tones.parent / path) for path in t["path"]])
    other = tmp_path / tones.name
    table.to_csv(other, index=False)
    with pytest.raises(SercoreError, match=r"1 runs on other data by the name of tones .*tones-speaker-baseline-seed0-fold0 the"):
        sweep.sweep(sweep.plan(str(other), "baseline", "paper", folds="1"), tmp_path / "runs", overrides=QUICK)


def test_a_killed_sweep_started_again_ends_with_the_same_records(tones, tmp_path):
    def command(folder):
        options = ["--corpus", str(tones), "--systems", "baseline", "--runs", str(folder), *OPTIONS]
        return ["-m", "sercore", "sweep", *options]

    process = fresh_process.start(*command(tmp_path / "killed"), folder=tmp_path)
    deadline = time.time() + 90
    while not list((tmp_path / "killed").glob("*.partial/checkpoint.pt")) and time.time() < deadline and process.is_alive():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert fresh_process.run(*command(tmp_path / "killed")).returncode == 0
    sweep.sweep(planned(tones, folds="0-4"), tmp_path / "whole", overrides=QUICK)
    publication.publish(tmp_path / "killed", tmp_path / "a", None)
    publication.publish(tmp_path / "whole", tmp_path / "b", None)
    for corpus, name in results.published(tmp_path / "a"):
        one, two = (results.predictions(corpus, name, tmp_path / folder) for folder in "ab")
        assert one.equals(two)
    volatile = ["seconds", "finished"]
    assert results.runs(tmp_path / "a").drop(columns=volatile).equals(results.runs(tmp_path / "b").drop(columns=volatile))


def test_processes_of_a_killed_sweep_end_with_it(tones, tmp_path):
    options = ["--corpus", str(tones), "--systems", "baseline", "--runs", str(tmp_path), "--jobs", "2", "--set", "max_epochs=500"]
    process = fresh_process.start("-m", "sercore", "sweep", *options, folder=tmp_path)
    deadline = time.time() + 90
    while not list(tmp_path.glob("*.partial/checkpoint.pt")) and time.time() < deadline and process.is_alive():
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive


def test_a_folder_that_was_copied_in_part_is_refused_before_anything_runs(tones, tmp_path):
    (tmp_path / "tones-speaker-baseline-seed0-fold1").mkdir()
    (tmp_path / "tones-speaker-baseline-seed0-fold1" / "model.pt").touch()
    with pytest.raises(SercoreError, match="seed0-fold1 in part, without run.json: bring the rest of it, or remove the folder"):
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK)
    with pytest.raises(SercoreError, match="in part"):
        experiment.run(str(tones), "speaker", "baseline", fold=1, runs=tmp_path, overrides=QUICK)
    assert not list(tmp_path.glob("*.partial"))


def test_runs_on_other_folds_of_the_same_recordings_do_not_pass_for_the_same(tones, tmp_path):
    own = tmp_path / "own.csv"
    table = pd.read_csv(tones)
    table = table.assign(path=[str(tones.parent / path) for path in table["path"]])
    table.drop(columns="gender").to_csv(own, index=False)
    sweep.sweep(sweep.plan(str(own), "baseline", folds="0"), tmp_path / "runs", overrides=QUICK)
    table.assign(gender=["f" if speaker < "s2" else "m" for speaker in table["speaker"]]).to_csv(own, index=False)
    with pytest.raises(SercoreError, match="sessions or genders have changed, and its folds with them"):
        sweep.sweep(sweep.plan(str(own), "baseline", folds="0-1"), tmp_path / "runs", overrides=QUICK)


def test_sigterm_ends_a_sweep_with_its_last_line_in_the_log(tones, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "run_together", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(SystemExit) as ended:
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK)
    assert ended.value.code == 128 + signal.SIGTERM and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert (tmp_path / "sweep.log").read_text().splitlines()[-1].endswith("ended by SIGTERM, 0 of 2 done")


def test_ctrl_c_is_told_by_what_is_no_command_of_the_terminal_too(capsys):
    def work():
        raise KeyboardInterrupt

    assert sweep.exit_status(work) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_what_fails_is_tried_once_more_and_noted(tones, tmp_path, monkeypatch):
    calls = []

    def fails(corpus, protocols, system, seed, fold, **where):
        calls.append(fold)
        if fold == 1 or calls.count(fold) == 1:
            raise MemoryError("no room")
        return experiment_run_together(corpus, protocols, system, seed, fold, **where)

    experiment_run_together = experiment.run_together
    monkeypatch.setattr(experiment, "run_together", fails)
    wanted = planned(tones, folds="0,1")
    outcome = sweep.sweep(wanted, tmp_path, overrides=QUICK)
    assert calls == [0, 1, 0, 1] and len(outcome.finished) == 1
    first, second = wanted.names
    assert outcome.failed == {second: "MemoryError: no room"}
    noted = json.loads(records.failure(tmp_path, second).read_text())
    assert noted["cause"] == "MemoryError: no room" and not records.failure(tmp_path, first).exists()
    log = (tmp_path / "sweep.log").read_text()
    assert "2 of 2 runs to do, of tones, one after the other here" in log and f"done {first}" in log
    assert f"failed {first}: MemoryError: no room; it is tried once more" in log and "ended: 1 done, 1 failed" in log
    monkeypatch.undo()
    assert not sweep.sweep(wanted, tmp_path, overrides=QUICK).failed
    assert not records.failure(tmp_path, second).exists()


def test_a_process_that_is_killed_takes_no_run_with_it(tones, tmp_path, monkeypatch):
    slow = {**QUICK, "max_epochs": 8, "patience": 8}

    def kill_one(*told):
        for child in psutil.Process().children(recursive=True):
            if "loky" in " ".join(child.cmdline()) and child.cpu_times().user > 0.5:
                child.kill()
                return

    killed = []
    outcome = sweep.sweep(
        planned(tones, folds="0-2"),
        tmp_path,
        overrides=slow,
        jobs=2,
        on_run=lambda *told: killed.append(1) or (len(killed) == 1 and kill_one()),
    )
    assert len(outcome.finished) == 3 and not outcome.failed


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EFBIG])
def test_a_disk_that_refuses_ends_the_sweep_with_one_error(tones, tmp_path, monkeypatch, number):
    calls = []

    def refuse(*arguments, **where):
        calls.append(1)
        raise OSError(number, os.strerror(number), "model.pt")

    monkeypatch.setattr(experiment, "run_together", refuse)
    with pytest.raises(
        SercoreError, match=rf"model\.pt: {os.strerror(number)}: no run can be written to .*what is finished is kept"
    ):
        sweep.sweep(planned(tones), tmp_path, overrides=QUICK)
    assert len(calls) == 1

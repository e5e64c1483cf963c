"""Training on tones: what a run does, what it must never do, and that a kill changes nothing."""

import json
import os
import signal
import time
from pathlib import Path

import fresh_process
import numpy as np
import pandas as pd
import pytest
import torch
from short_trainings import QUICK, parts_of, same

from sercore import SercoreError, machine
from sercore.config import Config
from sercore.lab import experiment, metrics, records, sweep, training
from sercore.network.networks import build


@pytest.fixture(scope="module")
def prepared(tones):
    return experiment.prepare(str(tones))


def fitted(prepared, seed=0, checkpoint=None, identity="x", report=None, **settings):
    model, rows = build(Config(**{**QUICK, **settings})), parts_of(prepared)
    choosers = {"validation": training.Chooser(rows["validation"])}
    kept = training.fit(model, prepared.data, rows["train"], choosers, seed, checkpoint, identity, report)
    return model, kept["validation"].history


@pytest.mark.parametrize("loss", ["softmax", "ams", "focal", "ams+focal"])
@pytest.mark.parametrize("pooling", ["attentive", "combined"])
def test_every_system_learns_the_tones(prepared, loss, pooling):
    steps = {"max_epochs": 7, "patience": 9, "batch_size": 6, "learning_rate": 1e-3, "dropout": 0.0}
    _, history = fitted(prepared, loss=loss, pooling=pooling, **steps)
    assert history.epochs[-1]["train_loss"] < 0.5 * history.epochs[0]["train_loss"]
    assert all(np.isfinite(list(epoch.values())).all() for epoch in history.epochs)


def test_same_seed_same_result_other_seed_another(prepared):
    (first, a), (second, b), (other, _) = fitted(prepared, seed=1), fitted(prepared, seed=1), fitted(prepared, seed=2)
    assert same(first.state_dict(), second.state_dict())
    assert [e["train_loss"] for e in a.epochs] == [e["train_loss"] for e in b.epochs]
    assert not same(first.state_dict(), other.state_dict())


def broken_off(prepared, folder):
    """The checkpoint of a training that was interrupted in its second epoch."""
    path = folder / "checkpoint.pt"

    def break_off(values, config):
        if values["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(prepared, checkpoint=path, report=break_off)
    return path


def test_broken_off_training_goes_on_to_the_same_result_bit_for_bit(prepared, tmp_path):
    whole, history = fitted(prepared)
    path = broken_off(prepared, tmp_path)
    torch.randn(11)
    resumed, again = fitted(prepared, checkpoint=path)
    assert same(whole.state_dict(), resumed.state_dict())
    assert [e["chooser_loss"] for e in history.epochs] == [e["chooser_loss"] for e in again.epochs]


def test_training_that_an_optimiser_of_pytorch_began_goes_on(prepared, tmp_path):
    """As in checkpoints of version 0.1."""
    path = broken_off(prepared, tmp_path)
    saved = torch.load(path, weights_only=True)
    saved["optimiser"]["param_groups"] = [{"lr": 1.0, "capturable": True}]
    torch.save(saved, path)
    whole, resumed = fitted(prepared)[0], fitted(prepared, checkpoint=path)[0]
    assert same(whole.state_dict(), resumed.state_dict())


def test_checkpoints_of_other_settings_or_damaged_ones_start_over_and_say_so(prepared, tmp_path):
    path = tmp_path / "checkpoint.pt"
    fitted(prepared, checkpoint=path, identity="one")
    with pytest.warns(UserWarning, match="other settings or data"):
        model, _ = fitted(prepared, checkpoint=path, identity="two")
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="cannot be read"):
        again, _ = fitted(prepared, checkpoint=path, identity="two")
    assert same(model.state_dict(), again.state_dict())


def test_best_epoch_is_restored(prepared):
    model, history = fitted(prepared, max_epochs=6, patience=9)
    found = training.evaluate(model, prepared.data, parts_of(prepared)["validation"])
    assert found["chooser_wa"] == max(epoch["chooser_wa"] for epoch in history.epochs)
    assert history.epochs[history.chosen_epoch - 1]["chooser_loss"] == pytest.approx(found["chooser_loss"])


def test_a_training_that_diverges_ends_with_its_epoch(prepared, monkeypatch):
    monkeypatch.setattr(training, "_train_epoch", lambda *arguments: float("nan"))
    with pytest.raises(SercoreError, match=r"diverged: in epoch 1 its loss is nan.*learning_rate than 0\.003"):
        fitted(prepared)


def test_a_training_that_diverges_ends_with_its_batch(prepared):
    with pytest.raises(SercoreError, match=r"diverged: (in epoch 1 the loss of batch \d+ is (nan|inf)|its weights have grown)"):
        fitted(prepared, learning_rate=1e30, batch_size=4)


def test_early_stopping_counts_epochs_without_a_better_one():
    config = Config(max_epochs=100, patience=2)
    accuracies, history = [0.2, 0.5, 0.5, 0.4], training.History()
    stopped = []
    for epoch, accuracy in enumerate(accuracies, 1):
        history.epochs.append({"epoch": epoch, "chooser_wa": accuracy})
        stopped.append(history.exhausted(config))
    assert stopped == [False, False, False, True] and history.chosen_epoch == 2


class Guarded(training.Labelled):
    """Data that notes every access, and the moment at which training ended."""

    def batch(self, indices, frames):
        self.__dict__.setdefault("seen", []).append(np.asarray(indices))
        return super().batch(indices, frames)


@pytest.mark.parametrize(
    ("name", "batch_norm", "weights"),
    [
        ("speaker", "running", "last"),
        ("paper", "running", "last"),
        ("speaker", "recalibrated", "last"),
        ("speaker", "recalibrated", "averaged"),
    ],
)
def test_the_test_part_is_read_once_after_the_epoch_was_chosen(prepared, name, batch_norm, weights):
    data, rows = Guarded(prepared.data.inputs, prepared.data.labels, prepared.data.classes), parts_of(prepared, name)
    model = build(Config(**QUICK, batch_norm=batch_norm, weights=weights))
    chooser = training.Chooser(rows["validation"], batch_norm, weights)
    kept = training.fit(model, data, rows["train"], {"validation": chooser})["validation"]
    during = np.concatenate(data.seen)
    assert not set(during) & set(rows["test"])
    times = np.bincount(during)  # validation is evaluated on, and no statistics are averaged over it
    assert set(times[rows["validation"]]) == {len(kept.history.epochs)}
    assert set(during) == set(rows["train"]) | set(rows["validation"])
    data.seen.clear()
    training.predict(model, data, rows["test"])
    assert sorted(np.concatenate(data.seen)) == sorted(rows["test"])


def test_normalisation_never_sees_validation_or_test(prepared):
    model, _ = fitted(prepared, max_epochs=1)
    mean, _ = prepared.data.inputs.normalisation(parts_of(prepared)["train"], 35)
    assert torch.equal(model.mean, mean)


def test_a_record_is_complete_and_honest(tones, tmp_path):
    folder = experiment.run(str(tones), "speaker", "combined", seed=1, fold=2, runs=tmp_path, overrides=QUICK)
    facts, test, history = records.read_facts(folder), records.read_test(folder), records.read_history(folder)
    assert folder.name == "tones-speaker-combined-seed1-fold2" and sorted(p.name for p in folder.iterdir()) == sorted(
        records.FILES
    )
    assert facts["chosen_by"] == "validation" and facts["parameters"] == 359_812 + 256  # PyTorch's second bias is trained here
    assert facts["config"]["max_epochs"] == 3 and len(history) == facts["epochs"] == 3
    assert {"commit", "versions", "processor", "split", "data", "finished", "threads"} <= set(facts)
    assert test["probabilities"].dtype == np.float32 and test["features"].dtype == np.float16
    assert test["features"].shape == (8, 128)
    assert test["attention"].shape[0] == 8 and np.allclose(test["attention"].astype(float).sum(1), 1, atol=0.01)
    predicted = np.array(facts["classes"])[test["probabilities"].argmax(1)]
    assert facts["wa"] == np.mean(predicted == test["label"])
    assert set(test["speaker"]) == {test["speaker"][0]}
    model, classes, origin = records.load_model(folder / "model.pt")
    assert origin["run"] == folder.name and list(classes) == facts["classes"] and not model.training
    assert facts["temperature"] == pytest.approx(temperature_on(tones, model, "speaker", 2, "validation"), rel=1e-3)


def temperature_on(tones, model, name, fold, part):
    prepared = experiment.prepare(str(tones))
    rows = parts_of(prepared, name, fold)[part]
    return metrics.temperature(prepared.data.labels[rows], training.predict(model, prepared.data, rows).probabilities)


def test_leaky_says_that_the_test_part_chose(tones, tmp_path):
    folder = experiment.run(str(tones), "leaky", "baseline", runs=tmp_path, overrides={**QUICK, "max_epochs": 1})
    facts, (model, *_) = records.read_facts(folder), records.load_model(folder / "model.pt")
    assert facts["chosen_by"] == "test"
    assert facts["temperature"] == pytest.approx(temperature_on(tones, model, "leaky", 0, "test"), rel=1e-3)


def test_first_weights_are_one_draw_for_all_systems_of_a_seed_and_fold():
    draws = {
        (seed, fold): experiment.weights_seed(records.RunName("tones", "speaker", "baseline", seed, fold))
        for seed in (0, 1)
        for fold in (0, 1)
    }
    assert len(set(draws.values())) == 4
    assert experiment.weights_seed(records.RunName("tones", "speaker", "combined", 1, 0)) == draws[1, 0]


@pytest.mark.parametrize(("toolkit", "eps"), [("keras", 1e-7), ("pytorch", 1e-8)])
def test_adam_is_the_toolkits(prepared, monkeypatch, toolkit, eps):
    made, adam = [], training.Adam
    monkeypatch.setattr(training, "Adam", lambda *given, **named: made.append(adam(*given, **named)) or made[-1])
    fitted(prepared, toolkit=toolkit, max_epochs=1)
    assert [(own.eps, own.rate) for own in made] == [(eps, 3e-3)]


def test_the_loss_of_an_epoch_is_the_mean_over_utterances(prepared):
    settings = {**QUICK, "batch_size": 9, "learning_rate": 1e-12, "dropout": 0.0, "max_epochs": 1}
    model, rows = build(Config(**settings)), parts_of(prepared)["train"]
    assert len(rows) % 9  # the last batch is smaller
    told = training.fit(model, prepared.data, rows, {"x": training.Chooser(rows)})["x"].history.epochs[0]["train_loss"]
    drawn = int(np.random.SeedSequence([0, 1]).generate_state(1)[0])
    order = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(drawn)).numpy()]
    model.train()
    losses = []
    for start in range(0, len(order), 9):
        x, lengths, labels = prepared.data.batch(order[start : start + 9], 35)
        losses += [model.loss(x, labels, lengths).item()] * len(x)
    assert told == pytest.approx(np.mean(losses), rel=1e-4)


def test_runs_that_share_a_training_leave_what_each_leaves_by_itself(tones, tmp_path):
    settings = {**QUICK, "max_epochs": 8, "patience": 1, "batch_size": 6}
    names = "paper", "leaky"
    for fold in range(5):  # one in which they are so eager to stop that they stop at different epochs
        together = experiment.run_together(str(tones), names, "baseline", 0, fold, tmp_path / f"{fold}", overrides=settings)
        stopped = [records.read_facts(folder)["epochs"] for folder in together]
        if stopped[0] != stopped[1]:
            break
    assert stopped[0] != stopped[1]
    alone = [experiment.run(str(tones), name, "baseline", 0, fold, tmp_path / "alone", overrides=settings) for name in names]
    for ours, theirs in zip(together, alone, strict=True):
        for key, value in records.read_test(theirs).items():
            np.testing.assert_array_equal(records.read_test(ours)[key], value)
        volatile = {"seconds", "seconds_last_start", "finished"}
        a, b = (records.read_facts(folder) for folder in (ours, theirs))
        assert {k: v for k, v in a.items() if k not in volatile} == {k: v for k, v in b.items() if k not in volatile}
        assert records.read_history(ours).drop(columns="seconds").equals(records.read_history(theirs).drop(columns="seconds"))
        assert same(*(records.load_model(folder / "model.pt")[0].state_dict() for folder in (ours, theirs)))
    assert sorted(path.name for path in (tmp_path / f"{fold}").iterdir()) == sorted(path.name for path in together)


def test_a_training_that_was_shared_goes_on_for_one_of_its_runs(prepared, tmp_path):
    path, rows, settings = tmp_path / "checkpoint.pt", parts_of(prepared, "paper"), Config(**QUICK)
    both = {part: training.Chooser(rows[part]) for part in ("validation", "test")}

    def break_off(values, config):
        if values["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(build(settings), prepared.data, rows["train"], both, checkpoint=path, report=break_off)
    one = {"validation": training.Chooser(rows["validation"])}
    resumed = training.fit(build(settings), prepared.data, rows["train"], one, checkpoint=path)
    whole = training.fit(build(settings), prepared.data, rows["train"], one)
    assert same(resumed["validation"].weights, whole["validation"].weights)
    with pytest.warns(UserWarning, match="other settings"):  # the other's epochs were not seen in the meantime
        training.fit(build(settings), prepared.data, rows["train"], both, checkpoint=path)


def test_only_what_splits_alike_shares_a_training(tones, tmp_path):
    with pytest.raises(SercoreError, match="paper, speaker do not split alike"):
        experiment.run_together(str(tones), ["paper", "speaker"], "baseline", runs=tmp_path, overrides=QUICK)


def test_a_path_may_be_spelt_otherwise_and_its_files_may_change(tones, tmp_path):
    quick = {**QUICK, "max_epochs": 1}
    own = tmp_path / "own.csv"
    table = pd.read_csv(tones)
    table = table.assign(path=[str(tones.parent / path) for path in table["path"]])
    table.to_csv(own, index=False)
    first = experiment.run(own, "paper", "baseline", runs=tmp_path, overrides=quick)
    assert experiment.run(f"{tmp_path}/./own.csv", "paper", "baseline", runs=tmp_path, overrides=quick) == first
    assert sweep.as_wanted(
        sweep.plan(f"{tmp_path}/./own.csv", "baseline"), records.RunName("own", "paper", "baseline", 0, 0), tmp_path, quick
    )
    table.replace({"label": {"sad": "happy"}}).to_csv(own, index=False)
    assert experiment.prepare(str(own)).data.classes == 3
    with pytest.raises(SercoreError, match="audio, labels or features have changed"):
        experiment.run(own, "paper", "baseline", runs=tmp_path, overrides=quick)


def test_a_full_disk_says_so(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(OSError, match="No space left"):
        machine.save({"weights": torch.zeros(10)}, Path("/dev/full"))


def test_finished_runs_are_kept_and_other_settings_refused(tones, tmp_path):
    first = experiment.run(str(tones), "speaker", "baseline", runs=tmp_path, overrides={**QUICK, "max_epochs": 1})
    before = (first / "run.json").stat().st_mtime_ns
    again = experiment.run(str(tones), "speaker", "baseline", runs=tmp_path, overrides={**QUICK, "max_epochs": 1})
    assert again == first and (first / "run.json").stat().st_mtime_ns == before
    with pytest.raises(SercoreError, match="max_epochs: 1 then, 2 now"):
        experiment.run(str(tones), "speaker", "baseline", runs=tmp_path, overrides={**QUICK, "max_epochs": 2})


def test_a_killed_run_leaves_no_half_record_and_ends_as_an_unbroken_one(tones, tmp_path):
    settings = {**QUICK, "max_epochs": 5, "patience": 9}
    call = f"{str(tones)!r}, 'paper', 'baseline', runs={str(tmp_path / 'a')!r}, overrides={settings!r}"
    program = f"from sercore.lab import experiment\nexperiment.run({call})"
    process = fresh_process.start("-c", program, folder=tmp_path)
    checkpoint = tmp_path / "a" / "tones-paper-baseline-seed0-fold0.partial" / "checkpoint.pt"
    deadline = time.time() + 60
    while not checkpoint.exists() and time.time() < deadline and process.is_alive():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not records.finished(tmp_path / "a", records.RunName("tones", "paper", "baseline", 0, 0))
    resumed = experiment.run(str(tones), "paper", "baseline", runs=tmp_path / "a", overrides=settings)
    unbroken = experiment.run(str(tones), "paper", "baseline", runs=tmp_path / "b", overrides=settings)
    for key, value in records.read_test(unbroken).items():
        np.testing.assert_array_equal(records.read_test(resumed)[key], value)
    volatile = {"seconds", "seconds_last_start", "finished", "folder"}
    a, b = (records.read_facts(folder) for folder in (resumed, unbroken))
    assert json.dumps({k: v for k, v in a.items() if k not in volatile}) == json.dumps(
        {k: v for k, v in b.items() if k not in volatile}
    )


def test_a_damaged_model_file_is_named(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"nothing")
    with pytest.raises(SercoreError, match="model.pt is not a model"):
        records.load_model(path)
    with pytest.raises(SercoreError, match="no such model"):
        records.load_model(tmp_path / "absent.pt")


def test_a_gpu_gets_the_same_batches_from_the_whole_corpus_that_it_holds(prepared, monkeypatch):
    class Elsewhere:  # as far as a machine without a GPU can walk that path
        type = "elsewhere"

    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, device: tensor)
    indices = np.array([7, 0, 31])
    for ours, theirs in zip(
        training._batch(prepared.data, indices, 70, Elsewhere()), prepared.data.batch(indices, 70), strict=True
    ):
        assert torch.equal(ours, theirs)

"""What a chapter wants and the published records lack."""

import pytest
from published import publish

from sercore import Config
from sercore.corpora import protocol
from sercore.errors import SercoreError
from sercore.evidence import results
from sercore.lab import sweep
from sercore.publishing import missing


def test_missing_runs_are_listed(tmp_path):
    publish(tmp_path, "mine", "baseline", "speaker", "0")  # a corpus that only its runs make known
    assert missing.missing_runs("mine", "speaker", "baseline", "0", tmp_path) == []
    lacking = missing.missing_runs("mine", "speaker,paper", "baseline,combined", "0", tmp_path)
    assert len(lacking) == 15
    with pytest.raises(SercoreError, match="15 runs are not in") as caught:
        missing.ensure_published("mine", "speaker,paper", "baseline,combined", "0", tmp_path)
    assert set(caught.value.offenders) == {str(name) for name in lacking}
    assert "sercore chapters --corpus mine --systems baseline,combined --protocols speaker,paper" in str(caught.value)


def test_an_unknown_corpus_is_refused(tmp_path):
    with pytest.raises(SercoreError, match="unknown corpus 'emodbb'"):
        missing.ensure_published("emodbb", "speaker", "baseline", "0", tmp_path)


def test_missing_runs_are_trained_and_published(tones, tmp_path, monkeypatch):
    trained: list[str] = []

    def sweeping(plan, runs, data_root, overrides, device, jobs, dask, on_run, on_epoch):
        for number, name in enumerate(plan.names, 1):
            on_epoch({"epoch": 1.0}, Config())
            on_run(name, number, len(plan.names))
            trained.append(str(name))
        return sweep.Outcome()

    monkeypatch.setattr(sweep, "sweep", sweeping)
    given = []

    def publishing(runs, folder, data_root, agree, corpora):
        given.append(corpora)
        publish(folder, "tones", "baseline", size=40)

    monkeypatch.setattr(missing, "publish", publishing)
    missing.ensure_published(str(tones), "speaker", "baseline", "0", tmp_path, train_missing=True)
    assert trained == results.runs(tmp_path)["run"].tolist() and given == [{"tones"}]  # whatever else lies finished there
    missing.ensure_published(str(tones), "speaker", "baseline", "0", tmp_path, train_missing=True)
    assert len(trained) == protocol.FOLDS
    missing.train_and_publish(str(tones), "baseline,combined", results=tmp_path)  # the baseline is published already
    assert trained[protocol.FOLDS :] == [f"tones-speaker-combined-seed0-fold{fold}" for fold in range(protocol.FOLDS)]


def test_runs_that_fail_are_all_named(tones, tmp_path, monkeypatch):
    def failing(plan, *given, **named):
        return sweep.Outcome(failed={name: "MemoryError: too much" for name in plan.names})

    monkeypatch.setattr(sweep, "sweep", failing)
    with pytest.raises(SercoreError) as caught:
        missing.train_and_publish(str(tones), runs=tmp_path, results=tmp_path)
    assert len(caught.value.offenders) == 4 * protocol.FOLDS
    assert "fold4: MemoryError: too much" in str(caught.value)

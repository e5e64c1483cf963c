import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score

from sercore import SercoreError
from sercore.corpora import protocol
from sercore.evidence import publication, results
from sercore.lab import experiment, sweep, yardstick
from sercore.report import findings, tables

QUICK = {"max_epochs": "1", "clip_seconds": "0.35", "toolkit": "pytorch", "precision": "bfloat16"}


@pytest.fixture(scope="module")
def published(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("yardstick")
    sweep.sweep(sweep.plan(str(tones), "baseline", "speaker", "0-1"), folder / "runs", overrides=QUICK)
    publication.publish(folder / "runs", folder / "results")
    return folder


def test_every_utterance_is_tested_once_and_tones_are_told_apart(tones):
    prepared = experiment.prepare(str(tones))
    found = yardstick.measure(prepared, "speaker")
    assert found["utterance"].tolist() == sorted(prepared.utterances["id"]) and set(found["fold"]) == set(range(5))
    assert found["label"].tolist() == prepared.utterances.set_index("id").loc[found["utterance"], "label"].tolist()
    assert recall_score(found["label"], found["prediction"], average="macro") > 0.8
    assert found["data"].unique().tolist() == [prepared.data.inputs.digest]
    assert found["split"].unique().tolist() == [protocol.checksum(protocol.splits(prepared.utterances, "speaker"))]


def test_features_are_mean_and_deviation_of_each_band(tones):
    mels = experiment.prepare(str(tones)).data.inputs
    found = yardstick.statistics_of(mels)
    assert found.shape == (len(mels), 80)
    np.testing.assert_allclose(found[3, :40], mels.arrays[3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(found[3, 40:], mels.arrays[3].std(0), rtol=1e-4)


def test_standardised_within_each_speaker(tones):
    prepared = experiment.prepare(str(tones))
    found = yardstick.within_speakers(prepared)
    own = prepared.utterances.set_index("id").loc[list(prepared.data.inputs.ids), "speaker"].to_numpy() == "s2"
    np.testing.assert_allclose(found[own].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found[own].std(0), 1, rtol=1e-6)
    alone = prepared.utterances.assign(speaker="s0")
    assert not yardstick.YARDSTICKS["speakers"].available(experiment.dataclasses.replace(prepared, utterances=alone))


class Smile:
    """openSMILE's interface; what it computes is the pitch of a tone, with noise."""

    def __init__(self, *_):
        self.random = np.random.default_rng(0)

    def process_signal(self, signal, rate):
        assert signal.ndim == 1 and signal.dtype == np.float32 and rate == 16_000
        pitch = np.abs(np.fft.rfft(signal)).argmax() * rate / len(signal)
        return pd.DataFrame([pitch * self.random.normal(1, 0.01, 88)])


@pytest.fixture
def opensmile(monkeypatch):
    kinds = {"FeatureSet": SimpleNamespace(eGeMAPSv02=""), "FeatureLevel": SimpleNamespace(Functionals="")}
    monkeypatch.setitem(sys.modules, "opensmile", SimpleNamespace(Smile=Smile, __spec__=True, **kinds))
    yield
    yardstick._functionals.cache_clear()


def test_egemaps_is_measured_where_there_is_opensmile(tones, opensmile):
    prepared = experiment.prepare(str(tones))
    found = yardstick.measure(prepared, "speaker", "egemaps")
    assert found["utterance"].tolist() == sorted(prepared.utterances["id"])
    assert recall_score(found["label"], found["prediction"], average="macro") > 0.8  # of tones, which differ in pitch
    silent = experiment.dataclasses.replace(prepared, utterances=prepared.utterances.assign(path=""))
    with pytest.raises(SercoreError, match="needs the recordings"):
        yardstick.functionals(silent)


def test_the_functionals_are_those_of_opensmile(tones):
    smile = pytest.importorskip("opensmile", reason="openSMILE is an extra: pip install opensmile")
    prepared = experiment.prepare(str(tones))
    found = yardstick.functionals(prepared)
    assert found.shape == (40, 88) and np.isfinite(found).all()
    first = prepared.utterances.set_index("id").loc[prepared.data.inputs.ids[0], "path"]
    direct = smile.Smile(smile.FeatureSet.eGeMAPSv02, smile.FeatureLevel.Functionals).process_file(first)
    np.testing.assert_allclose(found[0], direct.to_numpy()[0], rtol=1e-3, atol=1e-3)


def test_the_test_part_is_not_looked_at():
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(90, 4)), random.integers(0, 3, 90)
    train, chooser, test = np.split(np.arange(90), [50, 70])
    first = yardstick.classify(yardstick.YARDSTICKS["bands"], x, labels, train, chooser, test)
    x[test[1:]], labels[test] = 1e3, 0  # one utterance stays: its label must not follow what becomes of the others
    again = yardstick.classify(yardstick.YARDSTICKS["bands"], x, labels, train, chooser, test)
    assert first[1] == again[1] and first[0][0] == again[0][0]


def test_publishing_brings_it_under_both_clean_protocols_and_keeps_it(published):
    paths = sorted((published / "results" / "yardsticks").iterdir())
    kinds = ["bands", *(["egemaps"] if importlib.util.find_spec("opensmile") else []), "speakers"]
    assert [path.name for path in paths] == [f"tones-{name}-{kind}.parquet" for name in ("paper", "speaker") for kind in kinds]
    before = [path.stat().st_mtime_ns for path in paths]
    publication.publish(published / "runs", published / "results")
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert results.yardstick_now("tones", "leaky", published / "results") is None


def test_tables_and_sentences_set_it_beside_the_baseline(published):
    folder = published / "results"
    table = tables.table_2("speaker", folder).set_index(("System", ""))
    assert "[" in table.at[tables.title("bands"), ("tones, ours", "UA")]
    rows = tables.table_1("tones", "speaker", folder).set_index("System")
    assert "[" in rows.at[tables.title("bands"), "UA"]
    over = tables.over_yardsticks(folder)
    found = tables.systems_table("tones", "speaker", ["baseline"], folder=folder).set_index("slug")["ua"]
    assert over.loc[0, "effect"] == pytest.approx(found["baseline"] - found["bands"])
    assert "does not lie clearly above logistic" in findings.yardstick_sentence(over)
    assert "has been published" in findings.yardstick_sentence(over[:0])
    assert "lies clearly above logistic" in findings.yardstick_sentence(over.assign(low=1.0, high=2.0))
    alone = findings.yardstick_sentence(over.assign(kind="egemaps", low=1.0, high=2.0).head(1))
    assert alone.endswith("eGeMAPS (88 measures of a voice).")
    several = pd.concat([over.assign(corpus=name, low=low) for name, low in (("a", 1.0), ("b", -9.0))])
    assert "bands' means and deviations on 1 of 2 corpora" in findings.yardstick_sentence(several.assign(effect=2.0, high=9.0))
    below = findings.yardstick_sentence(several.assign(effect=-2.0, low=-9.0, high=9.0))
    assert "on none of 2 corpora, and below it, though not clearly, on 2" in below
    assert list(findings.yardstick_table(over)["Where"]) == ["tones, speakers apart"]
    gaps = tables.yardstick_gaps(folder)
    assert "points too." in findings.yardstick_gap_sentence(gaps) and findings.yardstick_gap_sentence(gaps[:0]) == ""


def test_a_corpus_without_speakers_has_one_under_paper_alone(tones, tmp_path):
    nameless = experiment.prepare(str(tones)).utterances.assign(speaker="")
    prepared = experiment.dataclasses.replace(experiment.prepare(str(tones)), utterances=nameless)
    with pytest.raises(SercoreError, match="have none"):
        yardstick.measure(prepared, "speaker")
    assert len(yardstick.measure(prepared, "paper")) == len(nameless)

import numpy as np
import pytest
from sklearn.metrics import recall_score

from sercore import SercoreError, experiment, findings, protocol, results, sweep, tables, yardstick

QUICK = {"max_epochs": "1", "clip_seconds": "0.7", "toolkit": "pytorch"}


@pytest.fixture(scope="module")
def published(tones, tmp_path_factory):
    folder = tmp_path_factory.mktemp("yardstick")
    sweep.sweep(sweep.plan(str(tones), "baseline", "speaker", "0-1"), folder / "runs", overrides=QUICK)
    results.publish(folder / "runs", folder / "results")
    return folder


def test_every_utterance_is_tested_once_and_tones_are_told_apart(tones):
    prepared = experiment.prepare(str(tones))
    found = yardstick.measure(prepared, "speaker")
    assert found["utterance"].tolist() == sorted(prepared.utterances["id"]) and set(found["fold"]) == set(range(5))
    assert found["label"].tolist() == prepared.utterances.set_index("id").loc[found["utterance"], "label"].tolist()
    assert recall_score(found["label"], found["prediction"], average="macro") > 0.8
    assert found["data"].unique().tolist() == [prepared.data.mels.digest]
    assert found["split"].unique().tolist() == [protocol.checksum(protocol.splits(prepared.utterances, "speaker"))]


def test_features_are_mean_and_deviation_of_each_band(tones):
    mels = experiment.prepare(str(tones)).data.mels
    found = yardstick.statistics_of(mels)
    assert found.shape == (len(mels), 80)
    np.testing.assert_allclose(found[3, :40], mels.arrays[3].mean(0), rtol=1e-5)
    np.testing.assert_allclose(found[3, 40:], mels.arrays[3].std(0), rtol=1e-4)


def test_the_test_part_is_not_looked_at():
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(90, 4)), random.integers(0, 3, 90)
    train, chooser, test = np.split(np.arange(90), [50, 70])
    first = yardstick.classify(x, labels, train, chooser, test)
    x[test[1:]], labels[test] = 1e3, 0  # one utterance stays: its label must not follow what becomes of the others
    again = yardstick.classify(x, labels, train, chooser, test)
    assert first[1] == again[1] and first[0][0] == again[0][0]


def test_publishing_brings_it_under_both_clean_protocols_and_keeps_it(published):
    paths = sorted((published / "results" / "yardsticks").iterdir())
    assert [path.name for path in paths] == ["tones-paper.parquet", "tones-speaker.parquet"]
    before = [path.stat().st_mtime_ns for path in paths]
    results.publish(published / "runs", published / "results")
    assert [path.stat().st_mtime_ns for path in paths] == before
    assert results.yardstick("tones", "leaky", published / "results") is None


def test_tables_and_sentences_set_it_beside_the_baseline(published):
    folder = published / "results"
    table = tables.table_2("speaker", folder).set_index(("System", ""))
    assert "[" in table.at[tables.title("yardstick"), ("tones, ours", "UA")]
    rows = tables.table_1(folder).set_index("Method")
    assert (rows.loc[[tables.title("yardstick")], "Reported by"] == "this code").all()
    over = tables.over_yardstick(folder)
    found = tables.systems_table("tones", "speaker", ["baseline"], folder=folder).set_index("slug")["ua"]
    assert over.loc[0, "effect"] == pytest.approx(found["baseline"] - found["yardstick"])
    assert "on tones, speaker. " in findings.yardstick_sentence(over) and "not been published" in findings.yardstick_sentence(
        over[:0]
    )
    gaps = tables.yardstick_gaps(folder)
    assert "on tones." in findings.yardstick_gap_sentence(gaps) and findings.yardstick_gap_sentence(gaps[:0]) == ""


def test_a_corpus_without_speakers_has_one_under_paper_alone(tones, tmp_path):
    nameless = experiment.prepare(str(tones)).utterances.assign(speaker="")
    prepared = experiment.dataclasses.replace(experiment.prepare(str(tones)), utterances=nameless)
    with pytest.raises(SercoreError, match="have none"):
        yardstick.measure(prepared, "speaker")
    assert len(yardstick.measure(prepared, "paper")) == len(nameless)

import numpy as np
import pandas as pd
import pytest
from made_runs import make

from sercore import SercoreError
from sercore.evidence import results
from sercore.inference import models, trials
from sercore.report import findings, tables

QUIET = np.maximum(np.linspace(-0.2, 1, 16_000), 0)  # silent at first
SOUND = (0.3 * np.sin(np.arange(16_000) * 0.3) * QUIET).astype(np.float32)


@pytest.mark.parametrize("name", trials.DISTURBANCES)
def test_what_happens_to_a_recording_leaves_a_recording(name):
    found = trials.DISTURBANCES[name](SOUND)
    assert len(found) == pytest.approx(len(SOUND), abs=0.2 * len(SOUND)) and np.isfinite(found).all()
    assert np.abs(found).max() < 1.5 and not np.allclose(found[: len(SOUND)], SOUND[: len(found)])
    again = trials.DISTURBANCES[name](SOUND)
    np.testing.assert_array_equal(found, again)


def test_each_does_what_it_is_called():
    assert np.abs(trials.gain(-20)(SOUND)).max() == pytest.approx(0.1 * np.abs(SOUND).max())
    assert trials.gain(20)(SOUND).max() == 1
    added = trials.noise(10)(SOUND) - SOUND
    assert np.square(SOUND).mean() / np.square(added).mean() == pytest.approx(10, rel=0.1)
    low = 0.3 * np.sin(2 * np.pi * 100 * np.arange(16_000) / 16_000)
    assert np.square(trials.narrow(low)).mean() < 0.01 * np.square(low).mean()
    assert np.square(trials.room(0.5)(SOUND)).mean() == pytest.approx(np.square(SOUND).mean(), rel=0.05)


@pytest.fixture
def packed(tmp_path, monkeypatch):
    make(tmp_path / "runs", corpus="emodb", folds=2, clip_seconds=0.5)
    monkeypatch.setenv("SERCORE_RUNS", str(tmp_path / "runs"))
    return models.pack("emodb/baseline", tmp_path / "packed")


def test_a_trial_tells_what_a_model_does_and_what_changes_its_labels(packed, tones, tmp_path):
    found = trials.trial(str(packed), str(tones), ["gain -20 dB", trials.EIGHT_BITS], trimmed=True, progress=False)
    assert (
        found["disturbance"].tolist() == ["as recorded", "gain -20 dB", trials.EIGHT_BITS] and (found["utterances"] == 40).all()
    )
    assert found.loc[0, "changed"] == 0 and 0 <= found.loc[0, "ua"] <= 1 and found.loc[0, "low"] <= found.loc[0, "ua"]
    assert "emodb-speaker-baseline-seed0-fold1" in found.loc[0, "members"]
    assert found[[f"said_{label}" for label in ("angry", "happy", "sad", "neutral")]].sum(axis=1).tolist() == pytest.approx(
        [1, 1, 1]
    )


def test_a_corpus_that_a_model_was_trained_on_is_left_out(packed):
    assert trials.trained_on(str(packed)) == {"emodb"}
    assert not trials.main([str(packed), "--corpora", "emodb", "--disturbed", ""])


def test_its_rows_are_written_and_read_by_the_page(packed, tones, tmp_path, capsys):
    asked = [str(packed), "--corpora", str(tones), "--disturbed", "", "--results", str(tmp_path / "results")]
    for _ in range(2):
        assert not trials.main(asked)
    found = results.trials(tmp_path / "results")
    assert len(found) == 1 and found["system"].item() == "baseline"
    shown = tables.elsewhere(found)
    assert shown["Recordings"].tolist() == [40] and "[" in shown["UA"].item()
    assert "it labels" in findings.elsewhere_sentence(found, str(packed))
    assert "has not been tried" in findings.elsewhere_sentence(found, "another")


def test_a_disturbance_that_there_is_not_is_refused(packed):
    with pytest.raises(SercoreError, match="no such disturbance: white noise at 20dB; there are .*white noise at 20 dB"):
        trials.trial(str(packed), "emodb", ("white noise at 20dB",))


def test_parts_and_spectra_of_a_corpus_are_that_corpus():
    assert {trials._whole(name) for name in ("iemocap", "iemocap-improvised", "iemocap-scripted-spectra")} == {"iemocap"}


def test_the_page_says_what_harms():
    rows = [("as recorded", 0.5, 0.0), ("gain -20 dB", 0.5, 0.02), ("a room of 0.5 s", 0.3, 0.6)]
    found = pd.DataFrame(rows, columns=["disturbance", "ua", "changed"])
    found = found.assign(model="m", corpus="ravdess", trimmed=True, united=0.5, system="combined")
    said = findings.harm_sentence(found, "m", "ravdess")
    assert said == "20 dB softer, at most 2 % of the labels change. These change more than a quarter of them: a room of 0.5 s."
    louder = pd.concat([found, found[1:2].assign(disturbance="gain +10 dB", changed=0.01)])
    assert findings.harm_sentence(louder, "m", "ravdess").startswith("From 20 dB softer to 10 dB louder, at most 2 %")
    table = tables.disturbed(found, "ravdess")
    assert table["Combined attentive pooling", "UA"].tolist() == [50, 50, 30]
    assert findings.systems_disturbed_sentence(found, "ravdess") == ""


def test_systems_stand_beside_one_another_by_their_names():
    rows = [("as recorded", 0.5, 0.0), ("gain -20 dB", 0.5, 0.02), ("a room of 0.5 s", 0.3, 0.6)]
    one = pd.DataFrame(rows, columns=["disturbance", "ua", "changed"]).assign(corpus="ravdess", trimmed=True)
    other = one.assign(model="emodb/baseline", system="baseline", changed=one["changed"] / 2)
    found = pd.concat([other, one.assign(model="mine", system="combined")], ignore_index=True)
    shown = tables.disturbed(found, "ravdess", "mine").columns.get_level_values(0).unique()[1:]
    assert shown.tolist() == ["Combined attentive pooling", "Baseline (softmax, attentive pooling)"]
    said = findings.systems_disturbed_sentence(found, "ravdess")
    assert "16 % of the labels change with the baseline and 31 % with combined pooling" in said
    assert "They lie furthest apart under" in said
    twice = pd.concat([found, one.assign(model="yours", system="combined")], ignore_index=True)
    assert {"mine", "yours"} < set(tables.disturbed(twice, "ravdess").columns.get_level_values(0))


def test_what_a_model_is_called_on_its_page(packed):
    about = models.load(packed).about
    said = findings.model_sentence(about)
    assert said.startswith("It is two networks with the system *Baseline (softmax, attentive pooling)*, trained on EmoDB")
    assert "guessing would be right in 25 %" in said and "calibrated by one temperature" in findings.calibration_sentence(about)

"""The pilot on tones: its curves are those of runs, and what is gathered is what was trained."""

import json

import numpy as np
import pandas as pd
import pytest

from sercore import SercoreError
from sercore.lab import experiment, pilot, records


def test_curves_are_those_of_a_run_and_are_gathered_once(tones, tmp_path):
    path = pilot.train(str(tones), "baseline", 1, 0, tmp_path / "pilot", epochs=2)
    assert path == pilot.train(str(tones), "baseline", 1, 0, tmp_path / "pilot", epochs=2)
    assert [file.name for file in (tmp_path / "pilot").iterdir() if file.suffix != ".lock"] == [path.name]
    for arm, (batch_norm, weights) in pilot.ARMS.items():
        changes = {"max_epochs": 2, "patience": 2, "precision": "bfloat16", "batch_norm": batch_norm, "weights": weights}
        run = experiment.run(str(tones), "speaker", "baseline", 1, 0, tmp_path / arm, overrides=changes)
        curve = json.loads(path.read_text())["curves"][f"{arm}/validation"]
        for measure in pilot.MEASURES:
            assert curve[measure] == records.read_history(run)[f"chooser_{measure}"].tolist()
    for _ in range(2):
        table = pd.read_parquet(pilot.gather(tmp_path / "pilot", tmp_path))
    assert len(table) == 6 and set(table["arm"]) == set(pilot.ARMS) and set(table["part"]) == {"validation", "test"}
    assert all(len(values) == 2 and np.isfinite(values).all() for name in pilot.MEASURES for values in table[name])


def test_a_training_of_the_pilot_that_another_process_is_at_is_passed_over(tones, tmp_path):
    from filelock import FileLock

    name = records.RunName(experiment.prepare(str(tones)).corpus.name, "speaker", "baseline", 0, 0)
    with FileLock(tmp_path / f"{name}.lock"):
        assert pilot.train(str(tones), "baseline", 0, 0, tmp_path, epochs=2) is None


def test_corpora_without_a_length_and_empty_folders_are_told(tones, tmp_path, capsys):
    assert pilot.main([str(tones), "--runs", str(tmp_path)]) == 2
    assert "no length for tones: there are emodb, ravdess" in capsys.readouterr().err
    with pytest.raises(SercoreError, match="no finished training"):
        pilot.gather(tmp_path)

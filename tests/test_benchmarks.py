"""Each benchmark works at all: its smallest run, in one process. What it measures is not tested."""

import json
from pathlib import Path

import fresh_process
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


def smoke(name, *options):
    call = fresh_process.run(FOLDER / f"{name}.py", "--smoke", "--json", *options)
    assert call.returncode == 0, call.stderr
    return json.loads(call.stdout)


def test_every_benchmark_is_in_the_readme_and_can_write_there():
    text = (FOLDER / "README.md").read_text()
    for path in FOLDER.glob("*.py"):
        if path.stem != "measure":
            assert f"benchmarks/{path.name}" in text
            assert f"<!-- {path.stem} -->" in text and f"<!-- end of {path.stem} -->" in text


def test_train_step():
    facts = smoke("train_step")
    named = {"ours bfloat16", "ours float32", "torch bfloat16", "torch float32"}
    assert named <= set(facts["ms_per_utterance"])
    assert {"ratio_to_torch_float32", "ratio_to_best_keras", "gemm_bf16_gflops", "fraction_of_gemm"} <= set(facts)


def test_step_on_a_gpu():
    call = fresh_process.run(FOLDER / "gpu_step.py", "--smoke", "--json")
    assert call.returncode == 0, call.stderr
    if "no GPU" not in call.stderr:
        assert {"ours, replayed", "torch, launched"} <= set(json.loads(call.stdout)["ms_per_utterance"])


def test_parts_of_the_train_step():
    parts = smoke("train_step", "--parts")["parts"]
    assert all(row["ms"] > 0 for row in parts if row["part"] != "the rest")


@pytest.mark.parametrize("name", ["build", "losses", "predict", "recalibration", "scaling"])
def test_the_others(name):
    assert smoke(name)


def test_features(tones):
    assert smoke("features", "--corpus", str(tones))["ms_per_file"]["ours"] > 0


def test_a_sweep_by_one_worker_and_by_two(tones):
    pytest.importorskip("distributed")
    facts = smoke("sweep", "--corpus", str(tones))
    assert set(facts["runs_an_hour"]) == {"1", "2"} and facts["times"] > 0

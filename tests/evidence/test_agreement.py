"""The fast path and the float32 reference reach the same accuracy: published runs, five folds, three seeds, paired."""

from pathlib import Path

import pytest

from sercore.evidence import noise, results

PUBLISHED = Path(__file__).parents[2] / "results"
FAST = "baseline@learning_rate=3e-4,max_epochs=40,toolkit=pytorch"
REFERENCE = f"{FAST},engine=plain,precision=float32"
FLOAT32 = f"{FAST},precision=float32"


@pytest.fixture(scope="module")
def runs():
    table = results.runs(PUBLISHED)
    return table[
        (table["corpus"] == "emodb") & (table["protocol"] == "speaker") & table["system"].isin([FAST, REFERENCE, FLOAT32])
    ]


@pytest.mark.parametrize(("other", "one"), [(REFERENCE, FAST), (FLOAT32, FAST), (REFERENCE, FLOAT32)])
def test_fast_path_agrees_with_the_reference_within_the_noise_of_seeds(runs, other, one):
    found = noise.change(runs, other, one)
    assert found.seeds == 3
    assert not found.beyond_chance, f"UA differs by {found.difference:+.1f} points, seeds alone by {found.chance:.1f} at most"


@pytest.mark.parametrize(("other", "one"), [(REFERENCE, FAST), (FLOAT32, FAST), (REFERENCE, FLOAT32)])
def test_validation_accuracy_agrees_more_closely(runs, other, one):
    history = results.history(PUBLISHED)
    found = noise.validation_change(history[history["run"].isin(runs["run"])], other, one)
    assert found.low < 0 < found.high and found.high - found.low < 5


@pytest.mark.parametrize(
    ("system", "engine", "precision"),
    [(FAST, "fused", "bfloat16"), (REFERENCE, "plain", "float32"), (FLOAT32, "fused", "float32")],
)
def test_records_say_which_path_they_took(runs, system, engine, precision):
    own = runs[runs["system"] == system]
    assert set(own["precision"]) == {precision} and set(own["engine"]) == {engine}

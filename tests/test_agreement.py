"""The fast path and the float32 reference reach the same accuracy: published runs, five folds, three seeds, paired."""

from pathlib import Path

import pytest

from sercore import noise, results

PUBLISHED = Path(__file__).parents[1] / "results"
REFERENCE = "baseline@engine=plain,precision=float32"


waiting = pytest.mark.skipif(
    REFERENCE not in set(results.runs(PUBLISHED)["system"]), reason="THE REFERENCE RUNS ARE NOT PUBLISHED YET"
)


@waiting
def test_fast_path_agrees_with_the_reference_within_the_noise_of_seeds():
    runs = results.runs(PUBLISHED)
    runs = runs[(runs["corpus"] == "emodb") & (runs["protocol"] == "speaker")]
    found = noise.change(runs, "baseline", REFERENCE)
    assert found.pairs == 15
    assert not found.beyond_chance, f"UA differs by {found.difference:+.1f} points, seeds alone by {found.chance:.1f} at most"


@waiting
@pytest.mark.parametrize(("system", "engine", "precision"), [("baseline", "fused", "bfloat16"), (REFERENCE, "plain", "float32")])
def test_records_say_which_path_they_took(system, engine, precision):
    runs = results.runs(PUBLISHED)
    own = runs[(runs["corpus"] == "emodb") & (runs["protocol"] == "speaker") & (runs["system"] == system)]
    assert set(own["precision"]) == {precision} and set(own["engine"]) == {engine}

"""The roads that compute a network: near one another with the same weights."""

import numpy as np
import pandas as pd

import sercore
from sercore.lab import equal_weights, experiment
from sercore.report import findings


def test_the_same_weights_give_the_same_answers_by_every_road(tones):
    prepared = experiment.prepare(str(tones))
    model = sercore.build("combined", seed=2, clip_seconds=0.5)
    found = equal_weights.compare(model, prepared.data, np.arange(12)).set_index("road")
    assert list(found.index) == list(equal_weights.ROADS)[1:] and (found["utterances"] == 12).all()
    exact, rounded = (found.loc[f"fast path, {precision}"] for precision in ("float32", "bfloat16"))
    assert exact["largest"] < 1e-4 and exact["changed"] == 0
    assert exact["largest"] < rounded["largest"] < 0.2 * rounded["spread"] + 0.05
    assert model.config.precision == "float32"
    said = findings.same_weights_sentence(found.reset_index())
    assert "**6 digits**" in said or "**5 digits**" in said or "**7 digits**" in said
    assert findings.same_weights_table(found.reset_index())["Other labels"].iloc[0] == "0 of 12"
    two = findings.same_weights_sentence(found.reset_index().assign(changed=2))
    assert "no label of 12 changes" in findings.same_weights_sentence(found.reset_index().assign(changed=0))
    assert "2 labels of 12 change**" in two


def test_a_page_says_by_which_road_its_records_came():
    runs = pd.DataFrame({"engine": "fused", "precision": ["bfloat16"] * 19 + ["float32"]})
    assert findings.roads_sentence(runs).startswith("Nearly all of our records were computed by a fast path")
    assert findings.roads_sentence(runs[-1:]).endswith("through the CNN, in float32.") and findings.roads_sentence(runs[:0]) == ""

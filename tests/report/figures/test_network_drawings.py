"""The drawings of network and pooling show what the model really does."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import sercore
from sercore.corpora import LABELS, get
from sercore.evidence import paper
from sercore.report.figures import network_drawings

RATE = 16_000
SOUND = (0.3 * np.sin(2 * np.pi * 220 * np.arange(2 * RATE) / RATE)).astype(np.float32)


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def texts(figure) -> set[str]:
    return {text.get_text() for axes in figure.axes for text in axes.texts}


def test_example_is_padded_and_knows_its_length():
    x, length = network_drawings.example(SOUND, 7.5)
    assert x.shape == (1, 750, 40)
    assert length.item() == 201
    assert (x[0, 201:] == x[0, -1]).all() and (x[0, 200] != x[0, -1]).any()
    assert network_drawings.example(SOUND, 1.0)[1].item() == 100


@pytest.mark.parametrize(
    "system", ["baseline", "ams-s10-m0.4", "combined", "baseline@lstm_cells=64,lstm_merge=sum", "baseline@score=general"]
)
def test_layers_count_every_parameter_once(system):
    model = sercore.build(system)
    table = network_drawings.layers(model, *network_drawings.example(SOUND, 7.5)).set_index("stage")
    assert table["parameters"].sum() == model.num_parameters()
    assert table["output"]["CNN 5"] == "64 channels × 23 frames × 1 mels"
    assert table["step_ms"]["BLSTM"] == 320
    assert table["output"]["deep feature"] == ("128 features" if system == "combined" else "64 features")


def test_activations_end_in_the_scores_of_the_model_and_leave_no_hook():
    model, (x, length) = sercore.build("baseline"), network_drawings.example(SOUND, 2.0)
    caught = network_drawings.activations(model, x, length)
    with torch.inference_mode():
        torch.testing.assert_close(caught["scores"], model.eval()(x)[0])
    assert caught["attention"].sum().item() == pytest.approx(1)
    assert not any(block._forward_hooks for block in model.blocks)


@pytest.mark.parametrize("system", ["baseline", "combined", "baseline@lstm_merge=sum", "ams-s10-m0.4@masked=true"])
def test_network_names_stages_and_parameters(system):
    model = sercore.build(system)
    said = texts(network_drawings.network(model, *network_drawings.example(SOUND, 7.5)))
    assert {"CNN 6", "BLSTM", "attention", "deep feature", *LABELS} <= said
    assert "147,840" in said and "128 channels, 187 × 10" in said


def test_readings_label_each_count():
    assert {"359,556", "400,772", "383K"} <= texts(network_drawings.readings({"a": 359_556, "b": 400_772}, {"383K": 383_000}))


def test_reported_draws_each_row_of_table_2():
    axes = network_drawings.reported(paper.table_2(), get("iemocap").counts).axes[0]
    assert len(axes.get_yticks()) == 14
    dots = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert dots == paper.table_2()["ua"].tolist()


def test_learning_marks_the_kept_epoch():
    import pandas as pd

    history = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_loss": [1, 0.8, 0.7], "chooser_loss": [1, 0.9, 1], "chooser_wa": [0.4, 0.6, 0.6]}
    )
    (kept,) = [text for axes in network_drawings.learning(history).axes for text in axes.texts]
    assert kept.get_text() == "kept" and kept.xy == (2, 60)


def test_attention_has_a_panel_for_each_model():
    x, length = network_drawings.example(SOUND, 4.0)
    figure = network_drawings.attention(
        {"plain": sercore.build("baseline"), "masked": sercore.build("baseline@masked=true")}, x, length
    )
    heights = [[patch.get_height() for patch in axes.patches] for axes in figure.axes[1:]]
    assert [sum(panel) for panel in heights] == pytest.approx([100, 100], abs=1e-3)
    assert min(heights[0]) > 0 and heights[1][-1] == 0


def test_spread_writes_mean_and_deviation():
    first, second = network_drawings.spread({"held": [0.5] * 10, "moving": [0.1, 0.9] * 5}).axes
    assert first.get_title(loc="left") or first.get_title()
    said = [axes.get_title() + axes.get_title(loc="left") for axes in (first, second)]
    assert "μ = 0.50   σ = 0.00" in said[0] and "μ = 0.50   σ = 0.40" in said[1]


def test_padding_is_heard_without_a_mask_alone():
    models = {"plain": sercore.build("baseline"), "masked": sercore.build("baseline@masked=true")}
    effect = network_drawings.padding_effect(models, SOUND, (2.1, 4.0, 6.0)).set_index(["model", "clip_seconds"])
    assert effect.loc["masked"].abs().to_numpy().max() < 1e-6
    assert effect.loc[("plain", 6.0), "padding_share"] > 0.5
    assert effect.loc[("plain", 6.0), "probability_change"] > 1e-3
    figure = network_drawings.padding(effect.reset_index())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["plain", "masked"]

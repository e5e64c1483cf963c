"""The drawings of the losses use the losses of the package."""

import itertools
import math

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import sercore
from sercore.report.figures import loss_drawings


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def toys():
    return {name: loss_drawings.train_toy(slug) for name, slug in (("softmax", "baseline"), ("AMS", "ams-s10-m0.4"))}


def test_toys_learn_and_repeat(toys):
    assert all(toy.accuracy > 0.9 for toy in toys.values())
    again = loss_drawings.train_toy("ams-s10-m0.4")
    assert torch.equal(again.features, toys["AMS"].features)
    assert not torch.equal(loss_drawings.train_toy("ams-s10-m0.4", seed=1).features, again.features)


def test_toy_table_has_a_row_for_each_loss_and_scatter():
    table = loss_drawings.toy_table({"softmax": "baseline"}, (0.1, 0.5), seeds=1)
    assert table["ratio"].is_monotonic_increasing and table["accuracy"].is_monotonic_decreasing


def test_planes_show_every_point(toys):
    figure = loss_drawings.loss_plane(toys)
    for axes in figure.axes:
        points = [line for line in axes.lines if line.get_marker() == "o"]
        assert sum(len(line.get_xdata()) for line in points) == len(toys["AMS"].labels)
    assert len(loss_drawings.toy_problem((0.2, 0.4)).axes) == 2


def test_margin_names_the_angle_that_it_keeps_empty():
    said = {text.get_text() for text in loss_drawings.margin(margins=(0.4,), between=90).axes[0].texts}
    degrees = 2 * math.degrees(math.asin(0.4 / (2 * math.sin(math.radians(45)))))
    assert f"m = 0.4\n{degrees:.0f}°" in said


def test_margin_curves_rise_with_the_angle_and_the_margin():
    curves = [line.get_ydata() for line in loss_drawings.margin_curves().axes[0].lines[:4]]
    assert all((np.diff(curve) > 0).all() for curve in curves)
    assert all((above > below).all() for below, above in itertools.pairwise(curves))


def test_focal_curves_start_from_cross_entropy():
    plain, focused = loss_drawings.focal_curves((0.0, 2.0)).axes[0].lines
    assert np.allclose(plain.get_ydata(), -np.log(plain.get_xdata()), atol=1e-5)
    assert (focused.get_ydata() < plain.get_ydata()).all()


def test_a_constant_alpha_is_a_scale_that_adam_cancels():
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(4, 32, 40, generator=generator), torch.arange(4)
    ends = {}
    for optimiser in ("Adam", "SGD"):
        pair = [sercore.build("focal-g2-a1"), sercore.build("focal-g2-a4")]
        ends[optimiser] = loss_drawings.scaled_steps(pair, x, labels, optimiser, steps=3).query("step == 3").set_index("model")
    assert ends["SGD"]["moved"][1] / ends["SGD"]["moved"][0] == pytest.approx(4, rel=0.02)
    assert ends["Adam"]["moved"][1] / ends["Adam"]["moved"][0] == pytest.approx(1, rel=0.01)
    assert ends["Adam"]["apart"][1] < 0.1 * ends["Adam"]["moved"][0]

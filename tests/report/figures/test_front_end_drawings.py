"""The drawings of the front end agree with what they draw."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sercore.report.figures import front_end_drawings

RATE = 16_000


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_filters_are_forty_triangles():
    filters = front_end_drawings.filters()
    assert filters.shape == (257, 40)
    assert (filters.max(0) > 0).all() and (np.diff(filters.argmax(0)) >= 0).all()


def test_front_end_and_log_mels_draw():
    samples = (0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)).astype(np.float32)
    assert len(front_end_drawings.front_end(samples).axes) == 4
    figure = front_end_drawings.log_mels({"angry": samples, "sad": samples[: RATE // 2], "calm": samples}, 2.0)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_array().shape for axes in drawn] == [(40, 200)] * 3
    assert [axes.lines[0].get_xdata()[0] for axes in drawn] == pytest.approx([1.01, 0.51, 1.01])

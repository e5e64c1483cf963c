"""The drawings of folds, lengths and the front end agree with what they draw."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from sercore.corpora import protocol
from sercore.report.figures import data_drawings

RATE = 16_000


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def utterances() -> pd.DataFrame:
    speakers = [f"{gender}{number}" for gender in "fm" for number in range(5)]
    return pd.DataFrame([{"id": f"{who}-{k}", "speaker": who, "gender": who[0]} for who in speakers for k in range(6)])


def test_fold_map_shows_every_utterance_and_shares_no_speaker(utterances):
    upper, lower = data_drawings.fold_map(utterances, "speaker", "paper").axes
    for axes in (upper, lower):
        assert sum(patch.get_width() for patch in axes.patches) == len(utterances) * protocol.FOLDS
    in_fold = [[patch.get_facecolor() for patch in axes.patches if round(patch.get_y() + 0.4) == 0] for axes in (upper, lower)]
    assert len(in_fold[0]) == len(set(in_fold[0])) == 10
    assert len(in_fold[1]) > len(set(in_fold[1]))
    assert {text.get_text() for text in upper.texts} >= {"train", "validation", "test", "f0", "m4"}


def test_fold_map_without_genders(utterances):
    axes = data_drawings.fold_map(utterances.assign(gender=""), "speaker").axes[0]
    assert len({patch.get_facecolor() for patch in axes.patches if isinstance(patch, Rectangle)}) == 10


def test_durations_say_how_many_are_uncut():
    figure = data_drawings.durations({"mine": [1.0, 2.0, 3.0, 9.0]}, {"mine": 4.0})
    assert figure.axes[0].texts[0].get_text() == "4 s, 75% uncut"


def test_filters_are_forty_triangles():
    filters = data_drawings.filters()
    assert filters.shape == (257, 40)
    assert (filters.max(0) > 0).all() and (np.diff(filters.argmax(0)) >= 0).all()


def test_front_end_and_log_mels_draw():
    samples = (0.3 * np.sin(2 * np.pi * 300 * np.arange(RATE) / RATE)).astype(np.float32)
    assert len(data_drawings.front_end(samples).axes) == 4
    figure = data_drawings.log_mels({"angry": samples, "sad": samples[: RATE // 2], "calm": samples}, 2.0)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.images[0].get_array().shape for axes in drawn] == [(40, 200)] * 3
    assert [axes.lines[0].get_xdata()[0] for axes in drawn] == pytest.approx([1.01, 0.51, 1.01])

"""The drawings of folds and lengths agree with what they draw."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.patches import Rectangle

from sercore.corpora import protocol
from sercore.report.figures import data_drawings


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

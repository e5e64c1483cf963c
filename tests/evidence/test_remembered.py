"""What is remembered from one build to the next is what would be made anew, and nothing else is taken for it."""

import os

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sercore.evidence import remembered
from sercore.report import display, figures

asked: list[tuple] = []


@remembered.counted
def measured(values: np.ndarray, power: int = 1) -> dict[str, float]:
    asked.append((len(values), power))
    return {"sum": float((values**power).sum()), "nothing": float("nan")}


@pytest.fixture(autouse=True)
def nothing_asked():
    asked.clear()
    yield
    plt.close("all")


@pytest.fixture
def memory(tmp_path, monkeypatch):
    folder = tmp_path / "remembered" / "code"
    monkeypatch.setenv(remembered.FOLDER, str(folder))
    return folder


def test_what_was_counted_is_counted_once(memory):
    first = measured(np.array([0.1, 0.2]), power=3)
    again = measured(np.array([0.1, 0.2]), power=3)
    assert first["sum"] == again["sum"] and np.isnan(again["nothing"])
    assert asked == [(2, 3)]
    measured(np.array([0.1, 0.2000001]), power=3)
    measured(np.array([0.1, 0.2]), power=2)
    assert len(asked) == 3


def test_without_a_folder_all_is_made_anew(monkeypatch):
    monkeypatch.delenv(remembered.FOLDER, raising=False)
    measured(np.ones(2))
    measured(np.ones(2))
    assert len(asked) == 2


def test_what_cannot_be_read_is_made_anew(memory):
    measured(np.ones(2))
    (path,) = memory.iterdir()
    path.write_text('{"sum": ')
    assert measured(np.ones(2))["sum"] == 2
    assert len(asked) == 2


def counts(right: int) -> pd.DataFrame:
    return pd.DataFrame([[right, 1], [2, 7]], index=["calm", "怒"], columns=["calm", "怒"])


def test_a_remembered_figure_is_shown_as_the_one_that_was_drawn(memory):
    def shown(right: int) -> str:
        return display.figure_html(figures.confusion({"Baseline": counts(right)}), alt="Counts.", name="counts")

    first = shown(5)
    assert isinstance(figures.confusion({"Baseline": counts(5)}), remembered.Drawn)
    assert shown(5) == first
    assert shown(6) != first
    assert "怒" in first, "letters that the font lacks are left to the browser"


def test_many_points_are_remembered_as_a_picture(memory, monkeypatch):
    monkeypatch.setattr(display, "MAX_SVG", 10)
    plain = counts(5).rename(index={"怒": "b"}, columns={"怒": "b"})
    first, again = (display.figure_html(figures.confusion({"Baseline": plain}), "Counts.", "c") for _ in range(2))
    assert "data:image/png" in first and first == again


def test_what_other_code_kept_is_forgotten_and_what_nobody_asked_for(memory, monkeypatch):
    monkeypatch.setattr(remembered, "KEPT", 2)
    other = memory.parent / "other"
    remembered.keep(other / "old.json", 1)
    for power in range(4):
        measured(np.ones(2), power)
    for path in memory.iterdir():
        os.utime(path, (1, 1))
    measured(np.ones(2), 0)
    measured(np.ones(2), 3)
    remembered.forget(memory)
    assert not other.exists()
    asked.clear()
    measured(np.ones(2), 0)
    measured(np.ones(2), 3)
    assert asked == []

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sercore.corpora import LABELS, clip_rule, demo, find_root, get, load
from sercore.corpora.check import check
from sercore.errors import SercoreError
from sercore.frontend import audio


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Two voices and one sentence, in a cache folder of its own."""
    monkeypatch.setenv("SERCORE_CACHE", str(tmp_path))
    monkeypatch.setattr(demo, "WOMEN", ("f1",))
    monkeypatch.setattr(demo, "MEN", ("m1",))
    monkeypatch.setattr(demo, "SENTENCES", demo.SENTENCES[:1])


def test_table():
    table = load("demo")
    assert len(table) == 560 and table.label.value_counts().to_dict() == dict.fromkeys(LABELS, 140)
    assert table.speaker.nunique() == 20 and table.groupby("gender").speaker.nunique().to_dict() == {"f": 10, "m": 10}
    assert (table.groupby(["speaker", "label", "sentence"]).size() == 1).all()
    assert clip_rule(table.duration) == get("demo").clip_seconds
    assert get("demo").kind == "synthetic" and "synthetic" in get("demo").title


def test_it_passes_its_own_check():
    assert check("demo").offenders.empty


def test_learnable_but_not_trivial():
    table = load("demo")

    def features(path):
        samples = audio.read(path)
        loud = samples[np.abs(samples) > 0.1 * np.abs(samples).max()]
        crossings = np.mean(np.diff(np.signbit(samples)))
        return [np.log(np.mean(loud**2)), len(samples), crossings]

    values = np.array([features(path) for path in table.path])
    classifier = make_pipeline(StandardScaler(), LogisticRegression())
    scores = cross_val_score(classifier, values, table.label, groups=table.speaker, cv=GroupKFold(5))
    assert 0.5 < scores.mean() < 0.85


def test_the_same_every_time(small, tmp_path, monkeypatch):
    first = {path.name: audio.digest(path) for path in demo.make().iterdir()}
    monkeypatch.setenv("SERCORE_CACHE", str(tmp_path / "again"))
    second = {path.name: audio.digest(path) for path in demo.make().iterdir()}
    assert first == second and len(first) == 8 and len(set(first.values())) == 8


def test_made_once_and_anew_where_the_recipe_changes(small, monkeypatch):
    folder = demo.make()
    written = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert find_root("demo") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == written
    monkeypatch.setattr(demo, "SEED", 1)
    assert demo.make() != folder


def test_made_by_several_at_once(small):
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: demo.make(), range(4)))) == 1


def test_a_failure_is_clear_and_leaves_nothing(small, monkeypatch, tmp_path):
    monkeypatch.setattr(demo, "MEN", ("nobody",))
    with pytest.raises(SercoreError, match="no voice 'nobody'"):
        demo.make()
    monkeypatch.setattr(sys, "executable", "/bin/false" if os.path.exists("/bin/false") else "/usr/bin/false")
    with pytest.raises(SercoreError, match="exit code 1"):
        demo.make()
    assert not [path for path in (tmp_path / "demo").iterdir() if path.is_dir()]

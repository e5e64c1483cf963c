"""What the explorer is given: places, chances and attention of every test utterance, in the order of its ids."""

import base64
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sercore.evidence import results
from sercore.publishing import explorer

PUBLISHED = Path(__file__).parents[2] / "results"


def read(path):
    name, data = re.fullmatch(r'sercoreExplorer\("([^"]+)",(.*)\);\n', path.read_text(), re.DOTALL).groups()
    return name, json.loads(data)


def unpacked(text, dtype):
    return np.frombuffer(base64.b64decode(text), dtype)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("explorer")
    return folder, explorer.write(folder, PUBLISHED)


def test_index_names_every_cell_with_maps(written):
    folder, files = written
    _, cells = read(folder / "index.js")
    assert {cell["name"] for cell in cells} == {
        f"{c}-{p}" for c, p in results.published(PUBLISHED) if len(results.maps(c, p, PUBLISHED))
    }
    assert all(path.exists() for path in files)


def test_what_was_written_from_the_same_records_stays(tmp_path):
    published = tmp_path / "results"
    shutil.copytree(PUBLISHED, published)
    files = explorer.write(tmp_path / "explorer", published)
    before = {path: path.stat().st_mtime_ns for path in files}
    runs = pd.read_parquet(published / "runs.parquet")
    runs.loc[runs["corpus"] == "nemo", "ua"] += 0.01
    runs.loc[runs["corpus"] == "emodb", "seconds"] += 1  # which is not shown there
    runs.to_parquet(published / "runs.parquet")
    again = explorer.write(tmp_path / "explorer", published)
    assert set(again) == set(files)
    places = {path.name.split("-")[0] for path in again if path.suffix == ".js" and path.stat().st_mtime_ns != before[path]}
    assert places == {"nemo", "index.js"}
    next(path for path in files if path.name.startswith("emodb-")).unlink()
    assert all(path.exists() for path in explorer.write(tmp_path / "explorer", published))


def test_systems_say_what_the_records_say(written):
    folder, _ = written
    _, cell = read(folder / "emodb-speaker.js")
    entry = next(system for system in cell["systems"] if system["slug"] == "baseline")
    _, system = read(folder / entry["file"])
    predictions = (
        results.predictions("emodb", "speaker", PUBLISHED)
        .query("system == 'baseline' and seed == 0")
        .set_index("utterance")
        .loc[cell["ids"]]
    )
    chances = unpacked(system["chances"], np.uint8).reshape(-1, len(cell["labels"])) / 255
    np.testing.assert_allclose(chances, predictions[[f"p_{label}" for label in cell["labels"]]], atol=0.003)
    assert [cell["labels"][code] for code in cell["label"]] == predictions["label"].tolist()
    assert cell["fold"] == predictions["fold"].tolist()
    places = unpacked(system["places"], "<u2").reshape(-1, 2)
    assert len(places) == len(cell["ids"]) and places.max() > 60_000 and places.min() < 6_000
    attention = unpacked(system["attention"], np.uint8).reshape(-1, system["steps"])
    np.testing.assert_allclose(attention.sum(1), 255, atol=system["steps"])


def test_audio_that_may_not_be_passed_on_stays_away(tmp_path, monkeypatch):
    monkeypatch.delenv(explorer.SOUND, raising=False)
    assert explorer._bring_sound(tmp_path, "nemo", ["AO_anger_1"]) == {}


def test_one_run_within_a_page_has_its_sound(tones):
    from sercore import corpora

    table = corpora.load(str(tones)).head(8)
    test = {"utterance": table["id"].to_numpy(dtype=str), "probabilities": np.full((8, 4), 0.25, np.float32)}
    test["attention"] = np.full((8, 3), 1 / 3, np.float16)
    facts = {
        "fold": 0,
        "corpus": "tones",
        "protocol": "speaker",
        "system": "baseline",
        "ua": 0.5,
        "classes": ["angry", "happy", "sad", "neutral"],
    }
    data = explorer.inline(test, facts, table, np.random.default_rng(0).normal(size=(8, 2)))
    assert set(data["cell"]["sound"]) == set(data["cell"]["ids"])
    assert all(one["audio"].startswith("data:audio/mpeg;base64,") for one in data["cell"]["sound"].values())
    assert json.loads(re.search(r'json">(.*?)</script>', explorer.html(data))[1]) == data
    without = test | {"attention": np.zeros((8, 0), np.float16)}  # an earlier system that has none
    assert explorer.inline(without, facts | {"system": "lstm"}, table, np.zeros((8, 2)))["system"]["steps"] == 0

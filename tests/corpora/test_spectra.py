"""Corpora that are here as spectra alone: found by their name in a data root, and taken by whatever does without sound."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from sercore import SercoreError, corpora, places
from sercore.__main__ import app
from sercore.corpora import bundled
from sercore.corpora.check import check
from sercore.evidence import publication, results
from sercore.lab import bundle, experiment, sweep
from sercore.publishing import explorer

QUICK = {"max_epochs": "1", "clip_seconds": "0.35", "toolkit": "pytorch", "precision": "bfloat16"}


@pytest.fixture
def root(tones, tmp_path, monkeypatch):
    """A data root with the tones as spectra, and no audio."""
    (tmp_path / "data" / "spectra").mkdir(parents=True)
    bundle.write(str(tones), tmp_path / "data" / "spectra" / "tones.bundle")
    monkeypatch.setenv("SERCORE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_it_is_found_by_its_name_and_says_what_it_lacks(root, tones):
    corpus, table = corpora.get("tones"), corpora.load("tones")
    assert corpus.spectra and corpora.find_root("tones") == root / "spectra" / "tones.bundle"
    assert (table["path"] == "").all() and table.drop(columns="path").equals(corpora.load(str(tones)).drop(columns="path"))
    rows = {row["name"]: row for row in json.loads(call("corpora", "--json").stdout)}
    assert rows["tones"]["lacks"] == "audio" and rows["tones"]["folder"].endswith("tones.bundle")
    assert rows["cremad-spectra"]["lacks"] == "audio" and rows["cremad"]["lacks"] == "" and "demo" in rows


def test_it_is_run_and_published_like_any_other(root, tones, tmp_path):
    prepared = experiment.prepare("tones")
    assert prepared.source == "tones" and prepared.data.inputs.step == 1 / 64
    plan = sweep.plan("tones", "baseline", "speaker")
    sweep.sweep(plan, tmp_path / "runs", overrides=QUICK)
    assert not plan.missing(places.runs_folder(tmp_path / "runs"))
    assert publication.publish(tmp_path / "runs", tmp_path / "results").runs == 5
    assert len(results.utterances("tones", tmp_path / "results")) == 40
    assert results.yardstick_now("tones", "speaker", tmp_path / "results") is not None
    assert results.yardstick_now("tones", "speaker", tmp_path / "results", "egemaps") is None  # which needs the sound


def test_the_explorer_shows_pictures_of_it_and_no_sound(root, tmp_path, monkeypatch):
    names = corpora.load("tones")["id"].tolist()[:2]
    monkeypatch.delenv(explorer.SOUND, raising=False)
    assert explorer._bring_sound(tmp_path / "explorer", "tones", names) == {}  # nobody said that they may be shown
    monkeypatch.setenv(explorer.SOUND, "tones")
    found = explorer._bring_sound(tmp_path / "explorer", "tones", names)
    assert [set(one) for one in found.values()] == [{"image"}, {"image"}]
    with Image.open(tmp_path / "explorer" / f"{names[1]}.png") as picture:
        assert picture.size == (51, 40)


def test_another_data_root_is_looked_into_where_it_is_named(root, tmp_path, monkeypatch):
    monkeypatch.setenv("SERCORE_DATA", str(tmp_path))
    with pytest.raises(SercoreError, match="unknown corpus 'tones'"):
        corpora.get("tones")
    assert corpora.get("tones", root).spectra and sweep.plan("tones", "baseline", data_root=str(root)).names
    done = call("run", "tones", "speaker", "baseline", "--runs", tmp_path / "runs", "--data-root", root, "--set", "max_epochs=1")
    assert done.exit_code == 0, done.output


def test_check_looks_at_the_energies(root, monkeypatch):
    assert check("tones").offenders.empty
    mels = bundled.log_mels(root / "spectra" / "tones.bundle")
    arrays = list(mels.arrays)
    arrays[0], arrays[1], arrays[3] = np.full_like(arrays[0], -13.8), arrays[2], arrays[3] * np.nan
    monkeypatch.setattr(bundled, "log_mels", lambda path: type(mels)(mels.ids, mels.lengths, tuple(arrays), mels.digest))
    found = check("tones").offenders.set_index("problem")
    assert set(found.index) == {"silent", "duplicate", "unreadable"}
    assert found.at["duplicate", "detail"] == f"the same recording as {mels.ids[1]}"
    assert str(mels.ids[0]) in found.at["silent", "path"]


def test_a_bundle_by_another_name_and_one_that_is_absent_are_told(root):
    (root / "clinic.bundle").write_bytes((root / "spectra" / "tones.bundle").read_bytes())
    with pytest.raises(SercoreError, match="holds the corpus tones: call it tones.bundle"):
        corpora.get("clinic")
    (root / "damaged.bundle").write_bytes(b"PK")
    listed = call("corpora", "--json")
    assert listed.exit_code == 0 and "tones" in {row["name"] for row in json.loads(listed.stdout)}
    assert "call it tones.bundle" in listed.stderr and "damaged.bundle is not a whole bundle" in listed.stderr
    with pytest.raises(SercoreError, match="no cremad-spectra.bundle in .* It is no part of this project"):
        corpora.load("cremad-spectra")


@pytest.mark.parametrize("name, speakers", [("cremad-spectra", 91), ("emodb-spectra", 10), ("ravdess-spectra", 24)])
def test_real_spectra(corpora_root, monkeypatch, name, speakers):
    monkeypatch.setenv("SERCORE_DATA", str(corpora_root))
    if not (corpora_root / "spectra").is_dir():
        pytest.skip(f"SPECTRA NOT FOUND in {corpora_root}")
    table, corpus = corpora.load(name), corpora.get(name)
    assert tuple(table["label"].value_counts()[list(corpus.labels)]) == corpus.counts
    assert table["speaker"].nunique() == speakers and isinstance(table, pd.DataFrame)
    assert "spectra" in corpus.title

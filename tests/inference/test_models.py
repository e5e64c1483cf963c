import json
from pathlib import Path

import numpy as np
import pytest
import torch
from made_runs import CLASSES, make

import sercore
from sercore import SercoreError
from sercore.inference import models
from sercore.lab import metrics, records

SAMPLES = 0.1 * np.random.default_rng(0).standard_normal(24_000)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    folder = tmp_path / "runs"
    make(folder, clip_seconds=1.0)
    make(folder, "combined", folds=1, clip_seconds=1.0)
    monkeypatch.setenv("SERCORE_RUNS", str(folder))
    return folder


def test_a_model_by_name_is_the_mean_of_its_folds_each_at_its_temperature(runs):
    said = sercore.load_model("tones/baseline").predict(SAMPLES, 16_000)
    alone = []
    for fold in range(2):
        path = runs / f"tones-speaker-baseline-seed0-fold{fold}" / "model.pt"
        network, classes, origin = records.load_model(path)
        records.save_model(path, network, classes, {**origin, "temperature": 1.0})
        shares = [list(window.probabilities.values()) for window in sercore.load_model(path).predict(SAMPLES, 16_000).windows]
        alone.append(metrics.cooled(np.array(shares), 1.0 + fold).mean(0))
    expected = np.mean(alone, 0)
    np.testing.assert_allclose([said.probabilities[name] for name in CLASSES], expected, atol=1e-6)
    best = expected.argmax()
    assert said.label == CLASSES[best] and said.spread == pytest.approx(np.std([row[best] for row in alone], ddof=1), abs=1e-6)
    assert said.agree == sum(row.argmax() == best for row in alone)


def test_names_are_those_of_the_folder_of_runs_that_is_given(runs, tmp_path, monkeypatch):
    said = sercore.load_model("tones/baseline").predict(SAMPLES, 16_000)
    monkeypatch.setenv("SERCORE_RUNS", str(tmp_path / "none"))
    assert sercore.load_model("tones/baseline", runs=runs).predict(SAMPLES, 16_000) == said
    with pytest.raises(SercoreError, match="no such model"):
        sercore.load_model("tones/baseline")


def test_models_are_listed_by_name_with_what_they_do(runs):
    rows = {row["name"]: row for row in models.known()}
    assert {*models.shipped(), "tones/baseline", "tones/combined"} == set(rows)
    found = rows["tones/baseline"]
    facts = [records.read_facts(runs / f"tones-speaker-baseline-seed0-fold{fold}") for fold in range(2)]
    assert found["networks"] == 2 and found["from"] == "trained here"
    assert found["UA %"] == round(50 * (facts[0]["ua"] + facts[1]["ua"]), 1)


def test_what_is_published_is_listed_without_weights(runs):
    rows = {row["name"]: row for row in models.known(published=Path(__file__).parents[2] / "results")}
    assert rows["emodb/combined"]["from"] == "published" and rows["emodb/combined"]["networks"] == 5
    assert rows["tones/combined"]["from"] == "trained here" and "angry" in rows["emodb/combined"]["classes"]


def test_a_folder_of_its_name_that_holds_no_model_does_not_stand_in_its_way(runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("emodb", "tones/baseline"):
        (tmp_path / name / "wav").mkdir(parents=True)
        assert sercore.load_model(name).classes
    assert sercore.load_model().trained.about["name"] == "emodb"
    with pytest.raises(SercoreError, match=r"tones: no config.json"):
        sercore.load_model("tones")


def test_ua_of_speakers_that_were_heard_is_not_listed_as_of_others(runs):
    for folder in list(runs.iterdir()):
        facts = json.loads((folder / "run.json").read_text())
        name = folder.name.replace("-speaker-", "-leaky-")
        (folder / "run.json").write_text(json.dumps(facts | {"protocol": "leaky", "run": name}))
        folder.rename(runs / name)
    found = next(row for row in models.known(runs) if row["name"] == "tones/baseline")
    assert found["protocol"] == "leaky" and found["UA %"] is None
    card = (models.pack("tones/baseline", runs.parent / "packed", runs=runs) / "README.md").read_text()
    assert "of speakers that it had heard" in card and "also chose its epoch" in card


def test_a_second_seed_does_not_mix_with_the_first(runs):
    make(runs, seed=1, clip_seconds=1.0)
    assert {facts["seed"] for facts in models.trained_here()["tones/baseline"]} == {0}


def test_a_name_that_is_none_says_which_there_are(runs):
    with pytest.raises(SercoreError, match=r"tones/combind: no such model, file or folder; did you mean .*tones/combined"):
        sercore.load_model("tones/combind")


def test_a_packed_folder_says_the_same_and_tells_of_its_origin(runs, tmp_path):
    folder = models.pack("tones/baseline", tmp_path / "packed", licence="cc-by-4.0", text="Made for a test.")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    again, before = (
        sercore.load_model(folder).predict(SAMPLES, 16_000),
        sercore.load_model("tones/baseline").predict(SAMPLES, 16_000),
    )
    assert again == before
    about = json.loads((folder / "config.json").read_text())
    assert about["classes"] == list(CLASSES) and [member["fold"] for member in about["members"]] == [0, 1]
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name:") and 'license: "cc-by-4.0"' in card and "Made for a test." in card
    assert f"UA **{100 * about['estimate']['ua']:.1f} %**" in card and "8 speakers, 80 recordings" in card
    with pytest.raises(SercoreError, match="is there already"):
        models.pack("tones/baseline", folder)
    with pytest.raises(SercoreError, match="is packed already"):
        models.pack(folder, tmp_path / "again", half=True)
    assert not (tmp_path / "again").exists()
    (folder / "README.md").unlink()
    assert sorted(path.name for path in models.pack(folder, tmp_path / "again").iterdir()) == ["config.json", "model.safetensors"]


def test_a_class_that_no_test_part_has_is_a_dash_in_the_card_and_null_in_json(runs, tmp_path):
    for path in runs.glob("*/run.json"):
        facts = json.loads(path.read_text())
        path.write_text(json.dumps(facts | {"recall": [None, *facts["recall"][1:]]}))
    folder = models.pack("tones/baseline", tmp_path / "packed")

    def refuse(word):
        raise AssertionError(word)

    about = json.loads((folder / "config.json").read_text(), parse_constant=refuse)
    assert next(iter(about["estimate"]["recall"].values())) is None and "| – |" in (folder / "README.md").read_text()
    assert models.load(folder).about["name"] == "packed"


def test_half_precision_takes_half_the_space_and_says_nearly_the_same(runs, tmp_path):
    whole, half = (models.pack("tones/baseline", tmp_path / str(kept), half=kept) for kept in (False, True))
    assert (half / "model.safetensors").stat().st_size < 0.6 * (whole / "model.safetensors").stat().st_size
    said = [sercore.load_model(folder).predict(SAMPLES, 16_000) for folder in (whole, half)]
    for name in CLASSES:
        assert said[0].probabilities[name] == pytest.approx(said[1].probabilities[name], abs=2e-3)


def test_a_model_without_a_record_says_that_nothing_is_known_of_it(tmp_path):
    records.save_model(tmp_path / "model.pt", sercore.build("baseline"), CLASSES, {"run": "x"})
    folder = models.pack(tmp_path / "model.pt", tmp_path / "packed")
    assert "Nothing is known of how well it does" in (folder / "README.md").read_text()
    assert not sercore.load_model(folder).trained.calibrated


@pytest.mark.parametrize(
    "name, data, words",
    [
        ("config.json", b"{", "JSONDecodeError"),
        ("config.json", b'{"format": 7}', "config.json has format 7, this version reads 1"),
        ("model.safetensors", b"x", "is not a model's folder of sercore"),
        ("model.safetensors", None, "no model.safetensors in it"),
    ],
)
def test_a_damaged_folder_is_named(runs, tmp_path, name, data, words):
    folder = models.pack("tones/combined", tmp_path / "packed")
    if data is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(data)
    with pytest.raises(SercoreError, match=words) as caught:
        sercore.load_model(folder)
    assert str(folder) in str(caught.value)


def test_weights_that_are_lacking_are_refused(runs, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = models.pack("tones/combined", tmp_path / "packed")
    state = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in state.items() if "blstm" not in name}, folder / "model.safetensors")
    with pytest.raises(SercoreError, match="its weights are not of its configuration: .*blstm"):
        sercore.load_model(folder)


def test_hugging_faces_mixin_writes_and_reads_the_folder_offline(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("huggingface_hub", reason="the hub's mixin: pip install huggingface_hub")
    from sercore.inference.hub import HubModel

    with pytest.raises(SercoreError, match="nowhere: no such folder"):
        HubModel.from_pretrained(tmp_path / "nowhere")
    own = HubModel("tones/baseline")
    own.save_pretrained(tmp_path / "saved")
    again = HubModel.from_pretrained(tmp_path / "saved")
    assert again.predict(SAMPLES, 16_000) == own.predict(SAMPLES, 16_000)
    again.save_pretrained(tmp_path / "saved again")
    again.save_pretrained(tmp_path / "saved")  # onto itself
    assert HubModel.from_pretrained(tmp_path / "saved").predict(SAMPLES, 16_000) == own.predict(SAMPLES, 16_000)
    first = HubModel.from_pretrained(tmp_path / "saved", members=1, trim=True)
    assert first.trim and len(first.trained.networks) == 1
    with pytest.raises(SercoreError, match="knows no members_ and no revison"):
        HubModel.from_pretrained(tmp_path / "saved", revison="main", members_=1)
    card = tmp_path / "edited" / "README.md"
    card.parent.mkdir()
    card.write_text("my own words")
    own.save_pretrained(card.parent)
    assert card.read_text() == "my own words" and sercore.load_model(card.parent).predict(SAMPLES, 16_000).label
    with pytest.raises(SercoreError, match="not 1 of them"):
        HubModel("tones/baseline", members=1).save_pretrained(tmp_path / "some")
    monkeypatch.setenv("SERCORE_RUNS", str(tmp_path / "none"))
    HubModel("tones/baseline", runs=runs).save_pretrained(tmp_path / "of other runs")
    assert (tmp_path / "of other runs" / "README.md").exists()
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (tmp_path / "saved" / name).read_bytes() == (tmp_path / "saved again" / name).read_bytes()
    assert "# saved\n" in (tmp_path / "saved" / "README.md").read_text()


def test_what_comes_along_knows_what_to_expect_of_it():
    for name in models.shipped():
        trained = models.load(name)
        about, card = trained.about, (models.SHIPPED / name / "README.md").read_text()
        assert about["name"] == name and card.startswith("---\nlibrary_name:")
        assert all(len(member["commit"]) == 40 for member in about["members"])
        assert about["estimate"]["ua"] == pytest.approx(np.mean(about["estimate"]["ua_of_folds"]))
        assert not trained.calibrated or about["estimate"]["ece_calibrated"] < 0.25
        assert not any(torch.isnan(value).any() for network in trained.networks for value in network.parameters())


def strange(folder, **about):
    """The folder, whose config.json says something else."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | about))
    return folder


def test_a_folder_says_what_pack_writes(runs, tmp_path):
    folder = models.pack("tones/combined", tmp_path / "packed")
    about = json.loads((folder / "config.json").read_text())
    member, huge = about["members"][0], 10**400
    for change in (
        *({"config": about["config"] | {"lstm_cells": cells}} for cells in (20_000, 4000, huge, 0.5, "x", True)),
        *({"config": about["config"] | {"clip_seconds": seconds}} for seconds in (1e5, 1e300, huge, float("nan"), [1])),
        {"config": about["config"] | {"alpha": [1.0] * 10**4}},
        {"config": about["config"] | {"network": ["a"]}},
        *({"config": wrong} for wrong in ([], "x", None)),
        *({"members": [member | {"temperature": wrong}] * 2} for wrong in (0, -1, float("nan"), huge, "x", None, [1])),
        *({"members": [member | {"code": wrong}] * 2} for wrong in ("x", ["loss"], {"loss": 1}, {"loss": "os.system"})),
        *({"members": wrong} for wrong in ("ab", {"a": 1}, [1, 2], [], [{}] * 10**5, [member] * 3)),
        *({"name": wrong} for wrong in ("\x1b[31m", [1], None, "x" * 1000)),
        *({"classes": wrong} for wrong in ("abcd", {"a": 1}, ["a"] * 4, [1, 2, 3, 4], ["a", "b"], [f"{n}" for n in range(2000)])),
        *({"estimate": wrong} for wrong in ("x", [], {"ua": "x"})),
    ):
        with pytest.raises(SercoreError, match="packed") as told:
            models.load(strange(folder, **about | change))
        assert "\x1b" not in str(told.value) and len(str(told.value)) < 3000
    assert models.load(strange(folder, **about)).classes == tuple(about["classes"])


@pytest.mark.parametrize(
    "content",
    ["[]", "null", "5", "[" * 200_000, '{"a":' * 100_000, '{"format":' + "1" * 5000 + "}", " " * 2**21],
    ids=["list", "null", "number", "deep lists", "deep dictionaries", "digits", "large"],
)
def test_what_is_no_configuration_of_a_model_is_named(runs, tmp_path, content):
    folder = models.pack("tones/combined", tmp_path / "packed")
    (folder / "config.json").write_text(content)
    with pytest.raises(SercoreError, match="packed"):
        models.load(folder)


def test_a_name_of_any_length_is_no_model():
    with pytest.raises(SercoreError, match="no such model"):
        models.load("a" * 5000)

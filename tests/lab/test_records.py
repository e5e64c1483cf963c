"""What comes back of a record, and what of one that came from elsewhere is refused before anything is done by it."""

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import made_runs
import numpy as np
import pytest
import torch

from sercore import SercoreError
from sercore.evidence import publication
from sercore.lab import records

HUGE = 10**400


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made_runs.make(tmp_path_factory.mktemp("runs"), folds=1)[0]


@pytest.fixture
def own(run, tmp_path):
    """A copy that may be changed."""
    return Path(shutil.copytree(run, tmp_path / "runs" / run.name))


def say(folder, **facts):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def test_every_fact_is_of_the_kind_that_a_run_writes(own):
    facts = records.read_facts(own)
    for wrong in (None, 5, "x\x1b[31m", [1], {"a": [1]}, float("nan"), HUGE):
        for key, kind in records.FACTS.items():
            if kind.fits(wrong):
                continue
            say(own, **{key: wrong})
            with pytest.raises(SercoreError, match=f"{own.name}: the record cannot be read .*{key} is ") as told:
                records.read_facts(own)
            assert "\x1b" not in str(told.value) and len(str(told.value)) < 1000
            say(own, **{key: facts[key]} if key in facts else {})
            if key not in facts:
                (own / "run.json").write_text(json.dumps(facts))


def test_all_that_is_wrong_is_told_at_once(own):
    say(own, corpus="../../x", ua="x", fold=-1)
    with pytest.raises(SercoreError, match=r"corpus is '\.\./\.\./x'.*fold is -1.*ua is 'x'"):
        records.read_facts(own)


@pytest.mark.parametrize(
    "facts",
    [
        {"corpus": "../../ESCAPED"},
        {"corpus": "/ESCAPED"},
        {"system": "../../ESCAPED"},
        {"system": 'a{{lipsum.__globals__.os.system("id")}}'},
        {"system": "<img src=x onerror=alert(1)>"},
        {"protocol": "../../ESCAPED"},
    ],
)
def test_no_name_leads_out_of_the_folder(own, tmp_path, facts):
    before = json.loads((own / "run.json").read_text())
    name = records.RunName(*({**before, **facts}[key] for key in ("corpus", "protocol", "system", "seed", "fold")))
    say(own, **facts, run=str(name))
    for act in (records.read_facts, lambda folder: publication.publish(folder.parent, tmp_path / "a" / "b" / "results")):
        with pytest.raises(SercoreError, match=f"{own.name}.*{next(iter(facts))} is "):
            act(own)
    assert not list(tmp_path.rglob("*ESCAPED*"))


def test_a_run_is_called_by_its_names_and_so_is_its_folder(own):
    say(own, run="another")
    with pytest.raises(SercoreError, match=f"run is 'another', and its names make {own.name}"):
        records.read_facts(own)
    say(own, run=own.name)
    other = own.rename(own.with_name("another"))
    assert records.read_facts(other)["run"] == own.name  # a folder that is named by itself may be called anything
    with pytest.raises(SercoreError, match=f"another: .* is of the run {own.name}: give the folder that name"):
        records.all_facts(other.parent)


def test_all_damaged_records_are_told_together(run, tmp_path):
    for name in ("a", "b"):
        say(Path(shutil.copytree(run, tmp_path / name)), ua=5)
    with pytest.raises(SercoreError, match=r"(?s)/a: .*/b: "):
        records.all_facts(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["[]", '"corpus source protocol"', "5", "null", "", "[" * 200_000, '{"a": ' * 100_000, " " * 2**21],
    ids=["list", "text", "number", "null", "empty", "deep lists", "deep dictionaries", "large"],
)
def test_what_is_no_record_is_named(own, content):
    (own / "run.json").write_text(content)
    with pytest.raises(SercoreError, match=own.name):
        records.read_facts(own)


def test_what_a_record_lacks_is_told(own, tmp_path):
    for key in records.NEEDED:
        facts = json.loads((own / "run.json").read_text())
        del facts[key]
        (tmp_path / "run.json").write_text(json.dumps(facts))
        with pytest.raises(SercoreError, match=f"it lacks {key}"):
            records.read_facts(tmp_path)


@pytest.mark.parametrize(
    "history",
    ["epoch\nx\n", "train_loss\n1\n", "\0\1", "", ",".join(f"c{n}" for n in range(200_000)) + "\n"],
    ids=["text", "no epochs", "bytes", "empty", "wide"],
)
def test_a_history_is_numbers(own, history):
    (own / "history.csv").write_text(history)
    with pytest.raises(SercoreError, match=own.name):
        records.read_history(own)


def test_a_test_part_is_what_a_run_leaves(own):
    whole = records.read_test(own)
    shares = whole["probabilities"]
    for change in (
        {"utterance": np.zeros(3)},
        {"utterance": whole["utterance"][:-1]},
        {"label": np.full(len(whole["label"]), "another")},
        {"probabilities": shares[:, :-1]},
        {"probabilities": shares * np.nan},
        {"probabilities": shares - 1},
        {"features": whole["features"][0]},
    ):
        np.savez(own / "test.npz", **whole | change)
        with pytest.raises(SercoreError, match=own.name):
            records.read_test(own)
    np.savez(own / "test.npz", a=np.zeros(3))
    with pytest.raises(SercoreError, match=own.name):
        records.read_test(own)


def zeros(path, name="utterance", mebibytes=2048):
    """An .npz file of a few KiB with an array of zeros."""
    shape = {"descr": "|u1", "fortran_order": False, "shape": (mebibytes * 2**20,)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed,
        packed.open(f"{name}.npy", "w", force_zip64=True) as file,
    ):
        np.lib.format.write_array_header_2_0(file, shape)
        for _ in range(mebibytes):
            file.write(bytes(2**20))


def test_a_test_part_does_not_explode(own):
    zeros(own / "test.npz", mebibytes=300)
    with pytest.raises(SercoreError, match=rf"{own.name}.* bytes would become"):
        records.read_test(own)


def nested(depth):
    """A list of two lists, both the same, of two lists: small, and without end to whom walks through it."""
    found = ["x"]
    for _ in range(depth):
        found = [found, found]
    return found


def test_a_model_says_what_it_may(own):
    path, saved = own / "model.pt", torch.load(own / "model.pt", weights_only=True)
    config = json.loads(saved["config"])
    for change in (
        {"classes": [nested(40), "b", "c", "d"]},
        {"classes": "abcd"},
        {"classes": {"a": 1, "b": 2, "c": 3, "d": 4}},
        {"classes": ["a", "a", "b", "c"]},
        {"classes": [1, 2, 3, 4]},
        {"classes": [f"c{number}" for number in range(10_000)]},
        {"classes": ["x" * 10**6, "b", "c", "d"]},
        {"classes": ["angry", "happy", "sad"]},
        {"origin": {"run": nested(40)}},
        {"origin": {"run": "\x1b[31m"}},
        {"origin": {"code": {"loss": nested(40)}}},
        {"origin": [1]},
        *({"origin": {"temperature": wrong}} for wrong in (0, -1, float("nan"), float("inf"), 1e-300, HUGE, "1", None, [1])),
        {"state": None},
        {"state": {**saved["state"], "more": torch.zeros(3)}},
        {"state": {name: 1 for name in saved["state"]}},
        {"config": "[]"},
        {"config": config},
        *({"config": json.dumps(config | {"lstm_cells": cells})} for cells in (4000, 10**6, HUGE)),
        *({"config": json.dumps(config | {"clip_seconds": seconds})} for seconds in (1e5, 1e300, HUGE)),
        {"config": json.dumps(config | {"alpha": [1.0] * 10**4})},
        {"config": json.dumps(config | {"network": "../../x"})},
        {"config": json.dumps(config | {"pooling": "__class__"})},
    ):
        torch.save(saved | change, path)
        with pytest.raises(SercoreError, match=r"model\.pt") as told:
            records.load_model(path)
        assert "\x1b" not in str(told.value) and len(str(told.value)) < 2000


def test_a_model_that_is_packed_is_refused_before_it_is_read(own):
    path = own / "model.pt"
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(own / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in stored.infolist():
            packed.writestr(entry.filename, stored.read(entry))
    with pytest.raises(SercoreError, match=r"packed\.pt: its parts are packed"):
        records.load_model(own / "packed.pt")


def test_a_pickle_that_would_take_for_ever_is_refused_before_it_is_read(own):
    key = ("x",)
    for _ in range(60):
        key = (key, key)  # its hash is that of 2**60 texts
    for said, why in ((pickle.dumps([key], 2), "its parts hold one another"), (pickle.dumps(bytearray, 2), "more than weights")):
        with zipfile.ZipFile(own / "model.pt") as stored, zipfile.ZipFile(own / "strange.pt", "w") as packed:
            for entry in stored.infolist():
                packed.writestr(entry.filename, said if entry.filename.endswith("data.pkl") else stored.read(entry))
        with pytest.raises(SercoreError, match=rf"strange\.pt: .*{why}"):
            records.load_model(own / "strange.pt")


def test_what_is_no_archive_is_no_model(own):
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer, _use_new_zipfile_serialization=False)
    for content in (b"", b"PK", buffer.getvalue()):
        (own / "model.pt").write_bytes(content)
        with pytest.raises(SercoreError, match=r"model\.pt is not a model of sercore"):
            records.load_model(own / "model.pt")

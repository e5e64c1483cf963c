"""A corpus as one file: what it keeps, what it refuses, and a training from it without audio or its libraries."""

import json
import subprocess
import sys

import numpy as np
import pytest

from sercore import SercoreError, corpora
from sercore.corpora.bundled import log_mels
from sercore.evidence import publication
from sercore.lab import bundle, experiment, records

QUICK = {"max_epochs": 2, "toolkit": "pytorch"}
ABSENT = [
    "soundfile",
    "soxr",
    "torchaudio",
    "platformdirs",
    "typer",
    "rich",
    "requests",
    "urllib3",
    "tqdm",
    "numba",
    "matplotlib",
]


@pytest.fixture(scope="module")
def bundled(tones, tmp_path_factory):
    return bundle.write(str(tones), tmp_path_factory.mktemp("bundle") / "tones.bundle")


def test_it_keeps_table_energies_and_checksum(tones, bundled):
    ours, theirs = experiment.prepare(str(tones)), experiment.prepare(str(bundled))
    assert ours.utterances.drop(columns="path").equals(theirs.utterances.drop(columns="path"))
    assert (ours.source, ours.data.inputs.digest) == (theirs.source, theirs.data.inputs.digest)
    assert (ours.data.labels == theirs.data.labels).all() and (ours.data.inputs.ids == theirs.data.inputs.ids).all()
    assert theirs.data.inputs.step == 1 / 64 and ours.data.inputs.step == 0
    for exact, rounded in zip(ours.data.inputs.arrays, theirs.data.inputs.arrays, strict=True):
        assert np.abs(exact - rounded).max() <= 1 / 128 + 1e-6
        assert (rounded.astype(np.float16) == rounded).all()
    assert experiment.configure(ours, "baseline") == experiment.configure(theirs, "baseline")
    assert corpora.get(str(tones)).labels == corpora.get(str(bundled)).labels


def test_coarser_steps_where_it_would_grow_too_large(tones, tmp_path, monkeypatch):
    full = bundle.write(str(tones), tmp_path / "full.bundle").stat().st_size
    monkeypatch.setattr(bundle, "LIMIT", full * 3 // 4)
    small = bundle.write(str(tones), tmp_path / "small.bundle")
    assert small.stat().st_size < full * 3 // 4 and log_mels(small).step > 1 / 64
    monkeypatch.setattr(bundle, "LIMIT", 100)
    with pytest.raises(SercoreError, match="does not fit"):
        bundle.write(str(tones), tmp_path / "none.bundle")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.bundle", "small.bundle"]


def test_a_machine_with_few_packages_trains_from_it_and_its_records_are_published(tones, bundled, tmp_path):
    arguments = [
        str(bundled),
        "--systems",
        "baseline",
        "--folds",
        "0-4",
        "--runs",
        str(tmp_path / "runs"),
        "--precision",
        "float32",
    ]
    arguments += [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
    program = f"import sys; sys.modules.update(dict.fromkeys({ABSENT})); from sercore.lab import bundle; sys.exit(bundle.main())"
    call = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True)
    assert call.returncode == 0, call.stderr
    assert call.stdout.splitlines()[-1] == "5 of 5: tones-speaker-baseline-seed0-fold4"
    assert publication.publish(tmp_path / "runs", tmp_path / "results").runs == 5
    facts = json.loads((tmp_path / "runs" / "tones-speaker-baseline-seed0-fold0" / "run.json").read_text())
    assert (facts["engine"], facts["rounded_to"], facts["source"]) == ("plain", 1 / 64, str(tones))
    direct = experiment.run(str(tones), "speaker", "baseline", runs=tmp_path / "direct", overrides=QUICK)
    ours, theirs = (records.read_test(path) for path in (direct, tmp_path / "runs" / direct.name))
    assert (ours["utterance"] == theirs["utterance"]).all()
    np.testing.assert_allclose(ours["probabilities"], theirs["probabilities"], atol=0.05)


@pytest.mark.parametrize("content", [b"", b"not a bundle", b"PK\x03\x04 broken"])
def test_what_is_no_bundle_is_named(bundled, tmp_path, content):
    path = tmp_path / "broken.bundle"
    path.write_bytes(content)
    with pytest.raises(SercoreError, match=r"broken.bundle is not a whole bundle"):
        experiment.prepare(str(path))
    broken = bytearray(bundled.read_bytes())
    broken[len(broken) // 2] ^= 255
    path.write_bytes(broken)
    with pytest.raises(SercoreError, match=r"broken.bundle is not a whole bundle"):
        log_mels(path)
    with pytest.raises(SercoreError, match="no such bundle"):
        experiment.prepare(str(tmp_path / "absent.bundle"))
    assert bundle.main([str(path)]) == 2 and bundle.main(["emodb"]) == 2


def test_a_bundle_has_no_audio_to_load(bundled):
    assert (corpora.load(str(bundled))["path"] == "").all()
    with pytest.raises(SercoreError, match="log-Mel energies alone, and no audio"):
        corpora.adapted(corpora.get(str(bundled)), bundled)


def test_a_wrong_setting_is_told_in_one_line(bundled, tmp_path, capsys):
    assert bundle.main([str(bundled), "--runs", str(tmp_path), "--set", "epochs", "--set", "=3"]) == 2
    assert capsys.readouterr().err == "sercore: 'epochs', '=3': write setting=value, as in max_epochs=5\n"


def changed(bundle_path, path, arrays=None, **about):
    """A copy of a bundle that says something else."""
    with np.load(bundle_path) as file:
        whole = dict(file)
    said = json.loads(whole["about"].tobytes()) | about
    whole |= {"about": np.frombuffer(json.dumps(said).encode(), np.uint8), **(arrays or {})}
    with path.open("wb") as file:
        np.savez_compressed(file, **whole)
    return path


@pytest.mark.parametrize("name", ["../../x", "/x", "..", "", "a/b", "a\\b", "A", "x\ny", "x" * 100, 5, ["a"], None, {"a": 1}])
def test_a_bundle_is_called_as_a_corpus_may_be(bundled, tmp_path, name):
    path = changed(bundled, tmp_path / "strange.bundle", name=name)
    for act in (corpora.get, lambda path: experiment.run(path, "speaker", "baseline", runs=tmp_path / "a" / "b")):
        with pytest.raises(SercoreError, match=r"strange\.bundle: name is .* must be a name in small letters"):
            act(str(path))
    assert [found.name for found in tmp_path.rglob("*")] == ["strange.bundle"]


WRONG = [
    *(
        {key: wrong}
        for key in ("title", "language", "kind", "licence", "url", "source", "digest")
        for wrong in (5, ["a"], "\x1b[31m")
    ),
    *({"step": wrong} for wrong in (float("nan"), float("inf"), 1e308, 0, -1, "x", None, 10**400)),
    *({"clip_seconds": wrong} for wrong in (float("nan"), 1e12, -1, "x", [1])),
    *({key: wrong} for key in ("max_epochs", "patience") for wrong in (float("inf"), "5", -5, 0)),
    *({"labels": wrong} for wrong in ("abcd", [1, 2, 3, 4], ["angry"], ["angry", "angry"], [], None)),
    *({"counts": wrong} for wrong in (["a"], "1", [-1])),
    *({"scales": wrong} for wrong in ("abc", [["a"]], {"fourier": [0.0]}, {"fourier": ["x"]})),
    *({"table": wrong} for wrong in ([], "x", {}, {"id": "x"})),
]


@pytest.mark.parametrize("about", WRONG, ids=str)
def test_what_no_bundle_says_is_named(bundled, tmp_path, about):
    path = changed(bundled, tmp_path / "strange.bundle", **about)
    with pytest.raises(SercoreError, match=r"strange\.bundle: ") as told:
        corpora.get(str(path))
    assert "\x1b" not in str(told.value)


@pytest.mark.parametrize(
    "column", [{"id": ["a"] * 40}, {"id": [["a"]] * 40}, {"speaker": [{}] * 40}, {"label": [None] * 40}, {"label": ["x"] * 40}]
    + [{"duration": [wrong] * 40} for wrong in (float("nan"), 1e15, "x", -1)] + [{"id": ["a"]}, {"gender": ["x"] * 40}], ids=str
)  # fmt: skip
def test_a_table_is_texts_of_equal_number(bundled, tmp_path, column):
    with np.load(bundled) as file:
        table = json.loads(file["about"].tobytes())["table"]
    path = changed(bundled, tmp_path / "strange.bundle", table=table | column)
    with pytest.raises(SercoreError, match=r"strange\.bundle: .*table"):
        corpora.load(str(path))


def test_energies_are_those_of_sound(bundled, tmp_path):
    with np.load(bundled) as file:
        low, high, lengths = file["low"], file["high"], file["lengths"]
    loud = np.full_like(high, 127)
    for arrays in (
        {"lengths": -lengths},
        {"lengths": lengths.astype(float)},
        {"lengths": lengths[:, None]},
        {"lengths": lengths[:-1]},
        {"low": low[:, :1], "high": high[:, :1]},
        {"low": low[:, :0], "high": high[:, :0]},
        {"low": low.astype(np.uint16)},
        {"high": loud},
    ):
        path = changed(bundled, tmp_path / "strange.bundle", arrays)
        with pytest.raises(SercoreError, match=r"strange\.bundle"):
            log_mels(path)


def test_a_bundle_does_not_explode(bundled, tmp_path):
    path = changed(bundled, tmp_path / "bomb.bundle", {"low": np.zeros((2**28 // 40, 40), np.uint8)})
    for act in (corpora.get, log_mels):
        with pytest.raises(SercoreError, match=r"bomb\.bundle: its \d+ bytes would become \d+"):
            act(str(path))

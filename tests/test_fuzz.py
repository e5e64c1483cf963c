"""Files that are wrong in every way: each is read, or refused with an error that names it; nothing crashes, hangs or eats memory.

A few examples of each here; `make fuzz` tries FUZZ_EXAMPLES = 2000 of each.
"""

import contextlib
import copy
import io
import json
import math
import os
import re
import resource
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import published
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sercore import SercoreError, bounds, corpora
from sercore.config import Config
from sercore.corpora import bundled, check, fetch, iemocap
from sercore.evidence import publication, results
from sercore.frontend import audio
from sercore.inference import models, prediction
from sercore.lab import bundle, experiment, records, systems

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=20_000,  # milliseconds: whatever takes longer hangs
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


@pytest.fixture(autouse=True)
def no_unbounded_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 1500 + EXAMPLES, f"{grown:.0f} MB more than before"  # of each example hypothesis keeps what it drew


@st.composite
def damage(draw, data: bytes) -> bytes:
    """Bits flipped, ends cut, parts doubled, numbers in the header replaced by their extremes."""
    out = bytearray(data)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["flip", "cut", "insert", "number", "double", "zero"]))
        place = draw(st.one_of(st.integers(0, 64), st.integers(0, max(len(out) - 1, 0)))) % max(len(out), 1)
        if kind == "flip" and out:
            out[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del out[place:]
        elif kind == "insert":
            out[place:place] = draw(st.binary(max_size=40))
        elif kind == "number":
            number = draw(st.sampled_from([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            out[place : place + 4] = struct.pack(draw(st.sampled_from(["<I", ">I"])), number)
        elif kind == "double":
            out += out[place : place + 4096]
        else:
            count = draw(st.integers(1, 64))
            out[place : place + count] = bytes(count)
    return bytes(out)


HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [10**400, -1, 0, 1e308, "../../escaped", "/tmp/escaped", "..", "a/b", "x\x1b[31m", "{{7*7}}", "<b>", "a\ud800"]
    ),
    st.sampled_from(["", "x" * 10**4, [], {}, ["a"], [["a"]] * 4, ["a"] * 4, {"a": [1]}, [math.nan] * 4, "9" * 50, "1e999"]),
)
"""Values of every kind that is not wanted where another stands."""


@st.composite
def altered(draw, said):
    """The same dictionary, in which some values, at any depth, are others or not there."""
    out = copy.deepcopy(said)
    for _ in range(draw(st.integers(0, 3))):
        place = out
        while place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(min(len(place), 5))))
            if not isinstance(place[key], (dict, list)) or draw(st.booleans()):
                if draw(st.integers(0, 5)):
                    place[key] = copy.deepcopy(draw(HOSTILE))
                else:
                    del place[key]
                break
            place = place[key]
    return out


def refused_by_name(path, act):
    """Run `act`; a refusal must be a `SercoreError` that names the file, in a message that a terminal can show."""
    started = time.monotonic()
    try:
        return act()
    except SercoreError as error:
        assert path.name in str(error) and "\x1b" not in str(error) and len(str(error)) < 10**5, str(error)[:1000]
        return None
    finally:
        assert time.monotonic() - started < 20


SOUNDS = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("MP3", "MPEG_LAYER_III"),
    ("AIFF", "PCM_24"),
    ("AU", "ULAW"),
]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("sounds"), {}
    wave = np.random.default_rng(0).standard_normal(8_000) / 10
    for kind, subtype in SOUNDS:
        path = folder / f"{subtype}.{kind.lower()}"
        soundfile.write(path, wave, 16_000, format=kind, subtype=subtype)
        found[path.suffix] = path.read_bytes()
    return found


@fuzzed
@given(data=st.data())
def test_audio(sounds, tmp_path, data):
    suffix = data.draw(st.sampled_from(sorted(sounds)))
    path = tmp_path / f"case{suffix}"
    path.write_bytes(data.draw(damage(sounds[suffix])))
    samples = refused_by_name(path, lambda: audio.read(path))
    if samples is not None:
        assert samples.ndim == 1 and samples.size and samples.dtype == np.float32 and np.isfinite(samples).all()


@fuzzed
@given(
    rate=st.sampled_from([1, 10, 8_000, 44_100, 192_000, 10_000_000, 0x7FFFFFFF]),
    channels=st.integers(1, 8),
    values=st.lists(st.floats(width=32, allow_nan=True, allow_infinity=True), min_size=0, max_size=200),
)
def test_strange_samples(tmp_path, rate, channels, values):
    path = tmp_path / "strange.wav"
    frames = np.array(values[: len(values) // channels * channels], np.float32).reshape(-1, channels)
    body = frames.astype("<f4").tobytes()
    header = struct.pack("<HHIIHH", 3, channels, rate, min(rate * channels * 4, 2**32 - 1), channels * 4, 32)
    path.write_bytes(
        b"RIFF"
        + struct.pack("<I", 36 + len(body))
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + header
        + b"data"
        + struct.pack("<I", len(body))
        + body
    )
    samples = refused_by_name(path, lambda: audio.read(path))
    if samples is not None:
        assert np.isfinite(samples).all() and samples.size


@pytest.mark.parametrize("hours", [0.01, 2] if EXAMPLES >= 1000 else [0.01])
def test_hours_of_silence(tmp_path, hours):
    path = tmp_path / "silence.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC") as file:
        for _ in range(round(hours * 60)):
            file.write(np.zeros(60 * 16_000, np.int16))
    assert audio.read(path).size == round(hours * 60) * 60 * 16_000
    heard = prediction.predict([path])
    assert heard["windows"].item() > 1 and heard["seconds"].item() == round(hours * 60) * 60


CELLS = st.one_of(
    st.sampled_from(["", "angry-0-0.wav", "angry", "s0", "=1+1", "<script>", "NaN", "../../etc/passwd", "a,b", '"', "\x00", "é"]),
    st.text(max_size=12),
)


@fuzzed
@given(data=st.data())
def test_manifests(tones, tmp_path, data):
    path = tmp_path / "manifest.csv"
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(damage(tones.read_bytes())))
    else:
        names = data.draw(
            st.lists(st.one_of(st.sampled_from(["path", "label", "speaker", "id", "gender"]), st.text(max_size=6)), max_size=6)
        )
        rows = data.draw(st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=5))
        path.write_text("\n".join(",".join(row) for row in [names, *rows]), errors="replace")
    frame = refused_by_name(path, lambda: corpora.load(corpora.get(str(path))))
    if frame is not None:
        assert list(frame.columns) == list(corpora.COLUMNS) and len(frame)


EVALUATION = "".join(
    f"[{turn}.2901 - {turn}.9357]\tSes01F_impro01_F00{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]\nC-E2:\tNeutral;\t()\n\n"
    for turn, emotion in enumerate(["ang", "exc", "neu", "sad", "fru"])
)


@fuzzed
@given(data=st.data())
def test_evaluations_of_iemocap(sounds, tmp_path, data):
    root = tmp_path / "iemocap"
    evaluation, wav = root / "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt", root / "Session1/sentences/wav/Ses01F_impro01"
    if not wav.exists():
        wav.mkdir(parents=True)
        evaluation.parent.mkdir(parents=True)
        for turn in range(4):
            (wav / f"Ses01F_impro01_F00{turn}.wav").write_bytes(sounds[".wav"])
    evaluation.write_bytes(data.draw(damage(EVALUATION.encode())))
    found = refused_by_name(root, lambda: iemocap.read(root, part="impro"))
    assert found is None or set(found["label"]) <= set(corpora.LABELS)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**9), 10**9), st.floats(), st.text(max_size=8), st.lists(st.floats(), max_size=4)
)


@fuzzed
@given(
    given=st.dictionaries(st.one_of(st.sampled_from(sorted(Config().to_dict())), st.text(max_size=8)), VALUES, max_size=4),
    system=st.one_of(st.sampled_from(["baseline", "lstm", "combined"]), st.text(max_size=20)),
)
def test_configurations(given, system):
    try:
        config = systems.config(system, Config.from_dict(given))
    except SercoreError as error:
        assert str(error)
        return
    assert Config.from_dict(json.loads(config.to_json())) == config or any(
        isinstance(v, float) and math.isnan(v) for v in given.values()
    )


@pytest.fixture(scope="module")
def made(tones, tmp_path_factory):
    """A bundle, a record, and the model in it."""
    folder = tmp_path_factory.mktemp("made")
    path = bundle.write(str(tones), folder / "tones.bundle")
    record = experiment.run(str(tones), "speaker", "baseline", runs=folder, overrides={"max_epochs": 1, "clip_seconds": 0.35})
    return path.read_bytes(), {file.name: file.read_bytes() for file in record.iterdir()}


@fuzzed
@given(data=st.data())
def test_bundles(made, tmp_path, data):
    path = tmp_path / "case.bundle"
    path.write_bytes(data.draw(damage(made[0])))

    def act():
        entry = corpora.get(str(path))
        return entry, corpora.load(entry), bundled.log_mels(path)

    found = refused_by_name(path, act)
    if found is not None:
        assert len(found[1]) == len(found[2].arrays) and all(array.shape[1] == 40 for array in found[2].arrays)


@fuzzed
@given(data=st.data())
def test_records(made, tmp_path, data):
    folder = tmp_path / "tones-speaker-baseline-seed0-fold0"
    folder.mkdir(exist_ok=True)
    for name, content in made[1].items():
        (folder / name).write_bytes(data.draw(damage(content)) if name != "model.pt" else content)
    for read in (records.read_facts, records.read_history, records.read_test):
        refused_by_name(folder, lambda read=read: read(folder))


@fuzzed
@given(data=st.data())
def test_models(made, tmp_path, data):
    path = tmp_path / "case.pt"
    path.write_bytes(data.draw(damage(made[1]["model.pt"])))
    refused_by_name(path, lambda: records.load_model(path))


@fuzzed
@given(data=st.data())
def test_a_corpus_is_examined_whatever_it_holds(sounds, tmp_path, data):
    folder = tmp_path / "corpus"
    folder.mkdir(exist_ok=True)
    rows = []
    for number in range(3):
        path = folder / f"{number}.wav"
        path.write_bytes(data.draw(damage(sounds[".wav"])))
        rows.append({"path": path.name, "label": "ab"[number % 2], "speaker": f"s{number}"})
    table = folder / "table.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    report = refused_by_name(table, lambda: check.check(str(table)))
    assert report is None or str(report)


@fuzzed
@given(data=st.data())
def test_values_of_bundles(made, tmp_path, data):
    path = tmp_path / "case.bundle"
    with np.load(io.BytesIO(made[0])) as file:
        arrays = dict(file)
    about = data.draw(altered(json.loads(arrays["about"].tobytes())))
    with path.open("wb") as file:
        np.savez(file, **arrays | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)})

    def act():
        entry = corpora.get(str(path))
        return entry, corpora.load(entry), bundled.log_mels(path)

    found = refused_by_name(path, act)
    if found is not None:
        entry, table, mels = found
        assert re.fullmatch(bounds.NAME, entry.name) and set(table["label"]) <= set(entry.labels)
        assert len(table) == len(mels) and all(np.isfinite(array).all() for array in mels.arrays)


@fuzzed
@given(data=st.data())
def test_values_of_records(made, tmp_path, data):
    folder = tmp_path / "tones-speaker-baseline-seed0-fold0"
    folder.mkdir(exist_ok=True)
    facts = data.draw(altered(json.loads(made[1]["run.json"])))
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "test.npz").write_bytes(made[1]["test.npz"])
    found = refused_by_name(folder, lambda: records.read_facts(folder))
    if found is not None:
        paths = [tmp_path / f"{found['corpus']}-{found['protocol']}.parquet", tmp_path / found["run"]]
        assert all(path.resolve().parent == tmp_path.resolve() for path in paths)
        if set(facts) == set(json.loads(made[1]["run.json"])):
            assert not results._strange(pd.DataFrame([publication._row(found)]))
        refused_by_name(folder, lambda: records.read_test(folder))


@pytest.fixture(scope="module")
def model(made, tmp_path_factory):
    """What a `model.pt` holds, and the folder of it."""
    runs = tmp_path_factory.mktemp("runs") / "run"
    runs.mkdir()
    for name, content in made[1].items():
        (runs / name).write_bytes(content)
    return torch.load(runs / "model.pt", weights_only=True), models.pack(runs, runs.parent / "packed")


@fuzzed
@given(data=st.data())
def test_values_of_models(model, tmp_path, data):
    path, saved = tmp_path / "case.pt", model[0]
    said = {"config": json.loads(saved["config"]), "classes": saved["classes"], "origin": saved["origin"]}
    said = data.draw(altered(said))
    said |= {"config": json.dumps(said["config"])} if "config" in said else {}
    torch.save({"state": saved["state"], **said}, path)
    found = refused_by_name(path, lambda: models.load(path))
    if found is not None:
        assert all(0 < temperature < math.inf for temperature in found.temperatures)
        assert len(set(found.classes)) == found.networks[0].classes


@fuzzed
@given(data=st.data())
def test_values_and_bytes_of_model_folders(model, tmp_path, data):
    folder, whole = tmp_path / "packed", model[1]
    folder.mkdir(exist_ok=True)
    about = data.draw(altered(json.loads((whole / "config.json").read_text())))
    weights = (whole / "model.safetensors").read_bytes()
    (folder / "config.json").write_text(json.dumps(about))
    (folder / "model.safetensors").write_bytes(data.draw(damage(weights)) if data.draw(st.booleans()) else weights)
    found = refused_by_name(folder, lambda: models.load(folder))
    if found is not None:
        assert all(0 < temperature < math.inf for temperature in found.temperatures) and isinstance(found.about["name"], str)


@fuzzed
@given(data=st.data())
def test_published_tables(tmp_path, data):
    path = tmp_path / "results" / "runs.parquet"
    if not path.exists():
        published.publish(path.parent, "emodb", "baseline")
        (tmp_path / "whole").write_bytes(path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(damage((tmp_path / "whole").read_bytes())))
    else:
        table = pd.read_parquet(tmp_path / "whole").astype(object)
        table.at[data.draw(st.integers(0, 4)), data.draw(st.sampled_from(list(table)))] = data.draw(HOSTILE)
        with contextlib.suppress(Exception):  # not every value can stand in a table
            table.to_parquet(path)
    found = refused_by_name(path.parent, lambda: results.runs(path.parent))
    assert found is None or all(re.fullmatch(bounds.NAME, corpus) for corpus in found["corpus"])


def packed(kind, members):
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode=kind) as archive:
            for name, content in members.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


NAMES = st.one_of(
    st.sampled_from(["a.wav", "wav/b.wav", "../out", "/out", "wav", "..", ".", "a" * 300, "C:\\x"]),
    st.text(min_size=1, max_size=6).filter(lambda name: name[0] != "\0"),  # zipfile ends a name there, and falls over none
)


@fuzzed
@given(data=st.data(), kind=st.sampled_from(["zip", "w:", "w:gz", "w:bz2", "w:xz"]))
def test_archives(tmp_path, data, kind):
    path, folder = tmp_path / "case.archive", tmp_path / "inner" / "unpacked"
    folder.mkdir(parents=True, exist_ok=True)
    members = data.draw(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=3))
    with contextlib.suppress(UnicodeError, ValueError):  # a name that no archive can hold
        path.write_bytes(data.draw(damage(packed(kind, members))))
        refused_by_name(path, lambda: fetch.unpack(path, folder))
    assert {found.name for found in tmp_path.iterdir()} <= {"case.archive", "inner"}
    assert [found.name for found in (tmp_path / "inner").iterdir()] == ["unpacked"]


@fuzzed
@given(data=st.data())
def test_pointers_of_git_lfs(tmp_path, data):
    folder, objects = tmp_path / "corpus", tmp_path / "objects"
    folder.mkdir(exist_ok=True)
    (tmp_path / "precious").write_text("precious")
    ours = st.sampled_from(["0" * 64, "../precious", str(tmp_path / "precious"), ""])
    digest = data.draw(st.one_of(ours, st.text(max_size=70)))
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 5\n".encode(errors="replace")
    (folder / "a.wav").write_bytes(data.draw(damage(pointer)))
    with pytest.MonkeyPatch.context() as patched, contextlib.suppress(SercoreError):
        patched.setattr(fetch, "download", lambda url, path, progress: Path(path).write_bytes(b"sound"))
        fetch._fetch_lfs("http://nowhere", folder, objects, progress=False)
    assert (tmp_path / "precious").read_text() == "precious"
    assert {found.name for found in tmp_path.iterdir()} <= {"corpus", "objects", "precious"}

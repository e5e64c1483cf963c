"""Files that are wrong in every way: each is read, or refused with an error that names it; nothing crashes, hangs or eats memory.

A few examples of each here; `make fuzz` tries FUZZ_EXAMPLES = 2000 of each.
"""

import json
import math
import os
import resource
import struct
import time

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sercore import SercoreError, corpora
from sercore.config import Config
from sercore.corpora import bundled, check, iemocap
from sercore.frontend import audio
from sercore.inference import prediction
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
            out[place : place + draw(st.integers(1, 64))] = b""
    return bytes(out)


def refused_by_name(path, act):
    """Run `act`; a refusal must be a `SercoreError` that names the file."""
    started = time.monotonic()
    try:
        return act()
    except SercoreError as error:
        assert path.name in str(error), str(error)
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

"""The ONNX file gives the numbers of `sercore predict`, by onnxruntime alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_runs import CLASSES, make

import sercore
from sercore import SercoreError, corpora
from sercore.frontend import audio, log_mel
from sercore.inference import export, models, prediction
from sercore.lab import records

onnx = pytest.importorskip("onnx", reason="onnx writes what is exported: pip install onnx onnxscript")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime reads what is exported: pip install onnxruntime")

SYSTEMS = ("ams-s10-m0.4@normalisation=level", "combined@score=general,masked=true,normalisation=utterance,lstm_merge=sum")
"""Writing one takes ten seconds: between them they have every setting that matters to the graph."""


@pytest.fixture(scope="module", params=SYSTEMS)
def exported(request, tmp_path_factory):
    """A made-up model, and its ONNX file."""
    folder = tmp_path_factory.mktemp("exported")
    model = make(folder / "runs", request.param, folds=1, clip_seconds=1.0)[0]
    return model, export.export(folder / "model.onnx", model)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The first two networks of the model that comes along, as a folder of their own, and their ONNX file."""
    folder, two = tmp_path_factory.mktemp("shipped"), models.load(folded=False).first(2)
    model = models.write(two.networks, two.about, folder / "two")
    return model, export.export(folder / "model.onnx", model)


def in_eight_bits(path, target):
    proto = onnx.load(path)
    export.quantise(proto)
    onnx.save(proto, target)
    return target


def test_plain_samples_of_any_length_and_number_get_the_numbers_of_predict(exported):
    model, path = exported
    session, own, random = onnxruntime.InferenceSession(path), sercore.load_model(model), np.random.default_rng(0)
    for samples in (1, 700, 1_600, 9_000, 15_880, 16_000, 16_041, 24_000, 24_300, 50_000):
        batch = (0.1 * random.standard_normal((2, samples)) * np.linspace(0.1, 1, samples)).astype(np.float32)
        probabilities, by_network, attention = session.run(None, {"samples": batch})
        for row, waveform in enumerate(batch):
            expected = own.predict(waveform, 16_000)
            np.testing.assert_allclose(probabilities[row], list(expected.probabilities.values()), atol=2e-5, err_msg=str(samples))
        assert by_network.shape == (2, 1, 4) and len(attention) % 2 == 0
        np.testing.assert_allclose(attention.sum(1), 1, atol=1e-5)


def test_several_networks_are_one_file_that_tells_what_it_is(shipped):
    model, path = shipped
    session = onnxruntime.InferenceSession(path)
    about = json.loads(session.get_modelmeta().custom_metadata_map["sercore"])
    assert about["classes"] == list(CLASSES) and about["clip_seconds"] == 3.0 and "(batch, samples)" in about["samples"]
    assert [member["run"][-1] for member in about["model"]["members"]] == ["0", "1"] and about["model"]["trim"]
    waveform = 0.1 * np.random.default_rng(0).standard_normal(60_000).astype(np.float32)
    probabilities, by_network, _ = session.run(None, {"samples": waveform[None].astype(np.float32)})
    expected = sercore.load_model(model, trim=False).predict(waveform, 16_000)
    np.testing.assert_allclose(probabilities[0], list(expected.probabilities.values()), atol=2e-5)
    assert by_network[0, :, CLASSES.index(expected.label)].std(ddof=1) == pytest.approx(expected.spread, abs=2e-5)


def test_eight_bits_take_a_quarter_of_the_space_and_say_nearly_the_same(exported, tmp_path):
    _, whole = exported
    small = in_eight_bits(whole, tmp_path / "small.onnx")
    fixed = 1.2e6  # the front end's waves, which stay
    assert small.stat().st_size < 0.4 * (whole.stat().st_size - fixed) + fixed
    batch = 0.1 * np.random.default_rng(0).standard_normal((4, 16_000)).astype(np.float32)
    said = [onnxruntime.InferenceSession(path).run(None, {"samples": batch})[0] for path in (whole, small)]
    np.testing.assert_allclose(said[1], said[0], atol=0.02)


def test_pieces_of_a_recording_that_are_framed_already_and_weights_of_eight_bits(tmp_path):
    model = make(tmp_path / "runs", SYSTEMS[0], folds=1, clip_seconds=1.0)[0]
    session = onnxruntime.InferenceSession(export.export(tmp_path / "model.onnx", model, int8=True, framed=True))
    assert json.loads(session.get_modelmeta().custom_metadata_map["sercore"])["weights"] == "int8"
    trained = models.load(model)
    for samples in (700, 9_000, 16_000):
        waveform = (0.1 * np.random.default_rng(samples).standard_normal(samples)).astype(np.float32)
        found = session.run(None, {"samples": log_mel.framed(waveform)[None]})[0][0]
        expected = prediction.window_probabilities(trained, log_mel.log_mel(waveform))[0, 0]
        np.testing.assert_allclose(found, expected, atol=0.02)


def test_what_cannot_be_exported_is_named(tmp_path):
    network = sercore.build("lstm")
    records.save_model(tmp_path / "model.pt", network, CLASSES, {"run": "untrained"})
    with pytest.raises(SercoreError, match="cannot be written as ONNX: the paper's own can"):
        export.export(tmp_path / "model.onnx", tmp_path / "model.pt")


def corpus_files(number):
    """Recordings of EmoDB, or the synthetic ones where it is not there."""
    roots = (os.environ.get("SERCORE_DATA_OF_TESTS") or "/nowhere", Path(__file__).parents[3] / "shared" / "corpora")
    found = sorted(path for root in roots for path in Path(root, "emodb", "wav").glob("*.wav"))
    return found[:: max(len(found) // number, 1)][:number] or list(corpora.load("demo")["path"][:number])


def test_the_model_that_comes_along_on_real_files_of_a_tenth_of_a_second_to_a_minute(shipped):
    model, path = shipped
    own, session = sercore.load_model(model, trim=False), onnxruntime.InferenceSession(path)
    joined = np.concatenate([audio.read(path) for path in corpus_files(30)])
    for begin, seconds in ((0.4, 0.1), (1.0, 0.5), (3.0, 2.0), (5.0, 2.9), (8.0, 3.0), (2.0, 3.1), (10.0, 7.7), (0.0, 60.0)):
        samples = joined[int(begin * 16_000) : int((begin + seconds) * 16_000)]
        found = session.run(["probabilities"], {"samples": samples[None]})[0][0]
        expected = list(own.predict(samples, 16_000).probabilities.values())
        np.testing.assert_allclose(found, expected, atol=1e-4, err_msg=f"{seconds} s")


def test_the_pages_ten_lines_run_without_sercore(shipped, tmp_path):
    page = (Path(__file__).parents[2] / "book" / "notebooks" / "voice.md").read_text()
    (code,) = [code for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL) if "InferenceSession" in code]
    model, path = shipped
    in_eight_bits(path, tmp_path / "model.onnx")
    samples = audio.read(corpus_files(1)[0])
    soundfile.write(tmp_path / "speech.wav", samples, 16_000, subtype="FLOAT")
    without = "import sys; sys.modules['sercore'] = sys.modules['torch'] = None\n"
    done = subprocess.run([sys.executable, "-c", without + code], cwd=tmp_path, capture_output=True, text=True, check=True)
    shares = {name: float(value) for name, value in re.findall(r"'(\w+)': np.float32\(([\d.e-]+)\)", done.stdout)}
    expected = sercore.load_model(model, trim=False).predict(samples, 16_000).probabilities
    assert shares.keys() == expected.keys() and max(abs(shares[name] - expected[name]) for name in shares) < 0.05

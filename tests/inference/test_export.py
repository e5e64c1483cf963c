"""The ONNX file gives the numbers of `sercore predict`."""

import json

import numpy as np
import pytest

import sercore
from sercore import SercoreError
from sercore.frontend import log_mel
from sercore.inference import export, prediction
from sercore.lab import records

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime reads what is exported: pip install onnxruntime")


@pytest.fixture(scope="module", params=["ams-s10-m0.4", "combined@lstm_merge=sum,score=general,precision=bfloat16"])
def model_file(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    model = sercore.build(request.param, clip_seconds=1.0)
    records.save_model(path, model, ("angry", "happy", "sad", "neutral"), {"run": "untrained"})
    return path


def test_it_gives_the_numbers_of_predict(model_file, tmp_path):
    session = onnxruntime.InferenceSession(export.export(tmp_path / "model.onnx", model_file))
    about = json.loads(session.get_modelmeta().custom_metadata_map["sercore"])
    assert about["classes"] == ["angry", "happy", "sad", "neutral"] and about["clip_seconds"] == 1.0
    assert "put 176 zeros before" in about["samples"]
    network, _, _ = prediction.load(model_file)
    random = np.random.default_rng(0)
    for samples in (700, 9000, 16_000):
        waveform = (0.1 * random.standard_normal(samples)).astype(np.float32)
        probabilities, attention = session.run(None, {"samples": log_mel.framed(waveform)})
        expected = prediction.window_probabilities(network, log_mel.log_mel(waveform))[0]
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
        assert attention.shape == (3,) and attention.sum() == pytest.approx(1, abs=1e-5)


def test_a_masked_model_is_refused(tmp_path):
    model = sercore.build("baseline@masked=true")
    records.save_model(tmp_path / "model.pt", model, ("a", "b", "c", "d"), {"run": "untrained"})
    with pytest.raises(SercoreError, match="masked"):
        export.export(tmp_path / "model.onnx", tmp_path / "model.pt")

"""Labelling one file of five seconds: cold (a fresh process of `sercore predict`), and warm from Python.

The network alone is set beside onnxruntime, with the same weights and the same log-Mel energies.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measure

SECONDS = 5.0


def cold(wave: str, model: str) -> Callable[[], Any]:
    command = [sys.executable, "-m", "sercore", "predict", wave, "--model", model, "--json"]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def warm(wave: str, model: str) -> Callable[[], Any]:
    from sercore.inference import prediction

    return lambda: prediction.predict(wave, model)


def network(wave: str, model: str) -> Callable[[], Any]:
    from sercore.frontend import audio, log_mel
    from sercore.inference import prediction

    loaded, mels = prediction.load(model)[0], log_mel.log_mel(audio.read(wave))
    prediction.fold_batch_norm(loaded)
    return lambda: prediction.window_probabilities(loaded, mels)


def onnx(wave: str, model: str) -> Callable[[], Any]:
    import contextlib
    import io
    import warnings

    import onnxruntime
    import torch

    from sercore.frontend import audio, log_mel
    from sercore.inference import prediction

    loaded, mels = prediction.load(model)[0], log_mel.log_mel(audio.read(wave))
    frames = log_mel.clip_frames(loaded.config.clip_seconds)
    x = torch.full((1, frames, log_mel.MELS), log_mel.PADDING)
    x[0, : len(mels)] = torch.from_numpy(mels[:frames])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = str(Path(folder) / "model.onnx")
        torch.onnx.export(loaded, (x,), file, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(file)
    entry = session.get_inputs()[0].name
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(session.run(None, {entry: x.numpy()})[0]), loaded(x), atol=1e-3, rtol=1e-3)
    return lambda: session.run(None, {entry: x.numpy()})


def main() -> None:
    options = measure.parser(__doc__)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments = _files(Path(folder))
        seconds = measure.compare(
            {
                "sercore predict, cold": (cold, arguments),
                "sercore.predict, warm": (warm, arguments),
                "the network alone, ours": (network, arguments),
                "the network alone, onnxruntime": (onnx, arguments),
            },
            chosen,
        )
    rows = [{"one file": name, "ms": taken * 1e3} for name, taken in seconds.items()]
    title = f"Labelling one file of {SECONDS:g} s."
    measure.report("predict", chosen, title, rows, {"ms": {row["one file"]: row["ms"] for row in rows}})


def _files(folder: Path) -> tuple[str, str]:
    """A recording, and a model of a baseline: how long it takes does not depend on the weights."""
    import numpy as np
    import soundfile

    import sercore
    from sercore.lab import records

    wave, model = folder / "noise.wav", folder / "model.pt"
    soundfile.write(wave, 0.1 * np.random.default_rng(0).standard_normal(int(SECONDS * 16_000)), 16_000)
    built = sercore.build("baseline", clip_seconds=SECONDS)
    records.save_model(model, built, ("angry", "happy", "neutral", "sad"), {"run": "untrained"})
    return str(wave), str(model)


if __name__ == "__main__":
    main()

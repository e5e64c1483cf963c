"""Labelling recordings: one file cold (a fresh process) and warm, the network beside onnxruntime, and many short files.

One network and five of them averaged, each by `sercore predict`'s own way and by onnxruntime from the file that `sercore export`
writes, on an idle machine and beside as many busy processes as it has cores.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import measure

SECONDS = 5.0
SHORT, FILES = 3.0, 200
NETWORKS = (1, 5)
IN_A_ROW = 10
"""Calls of a network that are timed at once: the first meets the other candidate's threads, which still wait for work."""


def cold(wave: str, model: str) -> Callable[[], Any]:
    command = [sys.executable, "-m", "sercore", "predict", wave, "--model", model, "--json"]
    return lambda: subprocess.run(command, check=True, capture_output=True)


def only_torch() -> Callable[[], Any]:
    return lambda: subprocess.run([sys.executable, "-c", "import torch"], check=True)


def warm(wave: str, model: str) -> Callable[[], Any]:
    import sercore

    own = sercore.load_model(model)
    return lambda: list(own.label(wave))


def ours(wave: str, model: str) -> Callable[[], Any]:
    import sercore
    from sercore.frontend import audio

    own, samples = sercore.load_model(model), audio.read(wave)
    return lambda: own.predict(samples, audio.SAMPLE_RATE)


@functools.cache
def exported(model: str) -> bytes:
    from sercore.inference import export

    with tempfile.TemporaryDirectory() as folder:
        return export.export(Path(folder) / "model.onnx", model).read_bytes()


def onnx(wave: str, model: str) -> Callable[[], Any]:
    import numpy as np
    import onnxruntime

    import sercore
    from sercore.frontend import audio

    samples, session = audio.read(wave), onnxruntime.InferenceSession(exported(model))
    found = session.run(None, {"samples": samples[None]})[0][0]
    said = sercore.load_model(model).predict(samples, audio.SAMPLE_RATE)
    np.testing.assert_allclose(found, list(said.probabilities.values()), atol=1e-4)
    return lambda: session.run(None, {"samples": samples[None]})


def many(folder: str, model: str) -> Callable[[], Any]:
    import sercore

    own = sercore.load_model(model)
    return lambda: list(own.label(folder))


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """As many processes that compute as there are cores."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    chosen = measure.parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wave, short, models = _files(Path(folder), *((4, NETWORKS[:1]) if chosen.smoke else (FILES, NETWORKS)))
        beside = {
            f"{networks} network{'s' * (networks > 1)}, {name}": (build, (wave, model))
            for networks, model in models.items()
            for name, build in {"ours": ours, "onnxruntime": onnx}.items()
        }
        whole = {f"{networks}, many": (many, (short, model)) for networks, model in models.items()}
        alone: dict[str, Any] = {"`import torch`, and no more": (only_torch, ())}
        alone |= {
            f"sercore predict, cold, {networks} network{'s' * (networks > 1)}": (cold, (wave, model))
            for networks, model in models.items()
        }
        alone["label(file), warm, 1 network"] = (warm, (wave, models[1]))
        seconds = measure.compare(alone, chosen) | measure.compare(beside, chosen, IN_A_ROW)
        files = measure.compare(whole, chosen)
        if not chosen.smoke:
            with busy():
                seconds |= {f"{name}, busy machine": taken for name, taken in measure.compare(beside, chosen, IN_A_ROW).items()}
    rows = [{"one file": name, "ms": taken * 1e3} for name, taken in seconds.items()]
    heard = (4 if chosen.smoke else FILES) * SHORT
    fast = {name.removesuffix(", many"): heard / taken for name, taken in files.items()}
    title = (
        f"Labelling one file of {SECONDS:g} s. Of {FILES} files of {SHORT:g} s, "
        + " and ".join(f"{speed:.0f} times real time with {name} network{'s' * (name != '1')}" for name, speed in fast.items())
        + "."
    )
    facts = {"ms": {row["one file"]: row["ms"] for row in rows}, "times_real_time": fast}
    measure.report("predict", chosen, title, rows, facts)


def _files(folder: Path, number: int, ensembles: tuple[int, ...]) -> tuple[str, str, dict[int, str]]:
    """A recording, a folder of short ones, and models of untrained networks: how long it takes does not depend on the weights."""
    import numpy as np
    import soundfile

    import sercore
    from sercore.inference import models

    drawn = np.random.default_rng(0)
    wave, short = folder / "noise.wav", folder / "short"
    soundfile.write(wave, 0.1 * drawn.standard_normal(int(SECONDS * 16_000)), 16_000)
    short.mkdir()
    for name in range(number):
        soundfile.write(short / f"{name}.wav", 0.1 * drawn.standard_normal(int(SHORT * 16_000)), 16_000)
    found = {}
    for networks in ensembles:
        built = [sercore.build("combined", seed=seed, clip_seconds=SHORT) for seed in range(networks)]
        about = {"classes": ["angry", "happy", "neutral", "sad"], "members": [{"run": "untrained"}] * networks}
        found[networks] = str(models.write(built, about, folder / f"of-{networks}"))
    return str(wave), str(short), found


if __name__ == "__main__":
    main()

"""A trained model as one ONNX file, log-Mel energies included: what runs in a browser, or wherever ONNX does."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import SercoreError
from ..frontend import torchaudio_shim
from ..frontend.log_mel import EDGE, FFT, FLOOR, HOP, MELS, PADDING, SAMPLE_RATE, WINDOW, clip_frames
from ..network.model import SERModel
from . import prediction

INPUT = (
    f"One channel of float32 samples at {SAMPLE_RATE} Hz, from -1 to 1, framed: n samples make "
    f"ceil((n + {(WINDOW - HOP) // 2}) / {HOP}) frames; put {EDGE} zeros before them, and zeros after (or cut) to "
    f"(frames - 1) * {HOP} + {FFT} samples in all. sercore.frontend.log_mel.framed does it in Python. What is longer than "
    "`clip_seconds` is cut: to label it as sercore.predict does, give windows of that length that overlap by half, and average."
)
"""What the file's input `samples` is, as its metadata tells."""


class FromWaveform(nn.Module):
    """A model behind its own log-Mel front end: samples -> class probabilities and attention.

    What it takes is `log_mel.framed`. The spectrum is a convolution with the windowed cosines and sines of its
    frequencies, which every runtime has.
    """

    waves: Tensor  # (2 bins, 1, FFT)
    filters: Tensor  # (bins, mels)
    silence: Tensor  # (frames, mels)

    def __init__(self, model: SERModel) -> None:
        super().__init__()
        self.model, self.frames = model, clip_frames(model.config.clip_seconds)
        bins = FFT // 2 + 1
        window = F.pad(torch.hann_window(WINDOW, dtype=torch.float64), [(FFT - WINDOW) // 2] * 2)
        angle = 2 * torch.pi * torch.arange(bins, dtype=torch.float64)[:, None] * torch.arange(FFT, dtype=torch.float64) / FFT
        waves = torch.cat([angle.cos(), angle.sin()]) * window
        filters = torchaudio_shim.load().functional.melscale_fbanks(bins, 0.0, SAMPLE_RATE / 2, MELS, SAMPLE_RATE)
        self.register_buffer("waves", waves.float()[:, None])
        self.register_buffer("filters", filters)
        self.register_buffer("silence", torch.full((self.frames, MELS), PADDING))

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """(samples,) framed, at 16 kHz -> (classes,), (steps,); what is missing to the model's clip is silence."""
        spectrum = F.conv1d(samples[None, None], self.waves, stride=HOP)[0]  # (2 bins, frames)
        real, imaginary = spectrum.chunk(2)
        mels = (((real**2 + imaginary**2).T @ self.filters) + FLOOR).log()  # (frames, mels)
        x = torch.cat([mels, self.silence])[: self.frames]
        features, attention = self.model.features_and_attention(x[None])
        return self.model.head.scores(features).softmax(-1)[0], attention[0]


def export(path: str | os.PathLike[str], model: str | Path | None = None) -> Path:
    """Write `model` (a `model.pt`, a run's folder, or None for the package's own) to `path` as ONNX, and return the path.

    Input `samples` (n,), as `INPUT` says, outputs `probabilities` (classes,) and `attention` (steps,); the file's
    metadata `sercore` is JSON with the input, the classes, the clip in seconds and the model's origin. Needs `sercore[onnx]`.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # what torch.onnx writes with
    except ImportError:
        raise SercoreError("writing ONNX needs `pip install 'sercore[onnx]'`") from None
    network, classes, origin = prediction.load(model)
    if not isinstance(network, SERModel):
        raise SercoreError(
            f"{network.config.network}, an earlier system of Table 1, cannot be written as ONNX: the paper's own network can"
        )
    if network.config.masked or network.config.normalisation != "corpus":
        raise SercoreError("a model with masked padding or normalisation over each utterance cannot be written as ONNX yet")
    target = Path(path)
    if target.suffix != ".onnx":
        raise SercoreError(f"{target}: name a file that ends in .onnx")
    samples = torch.zeros(FFT + 99 * HOP)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it misses torchvision, which nothing here needs
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            FromWaveform(network).eval(),
            (samples,),
            input_names=["samples"],
            output_names=["probabilities", "attention"],
            dynamic_shapes={"samples": {0: torch.export.Dim("n", min=FFT + HOP)}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    about = {"samples": INPUT, "classes": list(classes), "clip_seconds": network.config.clip_seconds, "origin": origin}
    onnx.helper.set_model_props(proto, {"sercore": json.dumps(about)})
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.write_bytes(proto.SerializeToString())
    os.replace(partial, target)
    return target

"""A trained model as one ONNX file, from plain samples to probabilities: what runs in a browser, or wherever ONNX does."""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import os
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import machine
from ..errors import SercoreError
from ..frontend import torchaudio_shim
from ..frontend.log_mel import EDGE, FFT, FLOOR, HOP, MELS, PADDING, SAMPLE_RATE, WINDOW, clip_frames
from ..network.model import MIN_FRAMES, SERModel
from . import models

INPUT = (
    f"float32 (batch, samples): one channel each at {SAMPLE_RATE} Hz, from -1 to 1, recordings of one length. What is longer "
    "than `clip_seconds` is heard in windows of that length, half overlapping, as sercore.predict does."
)
OUTPUTS = {
    "probabilities": "float32 (batch, classes): the mean over windows and networks",
    "spread": "float32 (batch, networks, classes): the same of each network; how far they are apart is the model's doubt",
    "attention": "float32 (windows * batch, steps of 0.32 s): the mean of the networks, the windows of a "
    "recording in a row; where a regular one ends with it there is one more, at the end, which counts for nothing",
}


class FromWaveform(nn.Module):
    """A trained model behind its own log-Mel front end: (batch, samples) -> the `OUTPUTS`.

    With `framed` the samples are `log_mel.framed` already, as pieces of a recording that is heard bit by bit are. The
    spectrum is a convolution with the windowed cosines and sines of its frequencies, which every runtime has.
    """

    waves: Tensor  # (2 bins, 1, FFT)
    filters: Tensor  # (bins, mels)

    def __init__(self, trained: models.Trained, framed: bool = False) -> None:
        super().__init__()
        self.framed = framed
        self.networks = nn.ModuleList(copy.deepcopy(network) for network in trained.networks)
        self.temperatures, self.frames = trained.temperatures, clip_frames(trained.config.clip_seconds)
        self.masked = trained.config.masked
        for network in cast("Iterable[Any]", self.networks):  # a window is cut to what is in it: nothing is left to mask
            network.config = network.config.replace(masked=False)
            network.blstm = _Ends(network.blstm)
        bins = FFT // 2 + 1
        window = F.pad(torch.hann_window(WINDOW, dtype=torch.float64), [(FFT - WINDOW) // 2] * 2)
        angle = 2 * torch.pi * torch.arange(bins, dtype=torch.float64)[:, None] * torch.arange(FFT, dtype=torch.float64) / FFT
        waves = torch.cat([angle.cos(), angle.sin()]) * window
        filters = torchaudio_shim.load().functional.melscale_fbanks(bins, 0.0, SAMPLE_RATE / 2, MELS, SAMPLE_RATE)
        self.register_buffer("waves", waves.float()[:, None])
        self.register_buffer("filters", filters)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mels = self.log_mel(samples)  # (batch, frames, mels)
        x, lengths, weights = self.windows(mels)  # (batch * windows, clip, mels), (batch * windows,), (windows,)
        shares, attentions = [], []
        for network, temperature in zip(cast("Iterable[Any]", self.networks), self.temperatures, strict=True):
            features, attention = network.features_and_attention(x, lengths)
            by_window = (network.head.scores(features) / temperature).softmax(-1)
            by_window = by_window.view(samples.shape[0], -1, by_window.shape[-1])  # (batch, windows, classes)
            shares.append((by_window * weights[:, None]).sum(1) / weights.sum())
            attentions.append(attention)
        by_network = torch.stack(shares, 1)
        return by_network.mean(1), by_network, torch.stack(attentions).mean(0)

    def log_mel(self, samples: Tensor) -> Tensor:
        """(batch, samples) -> (batch, frames, mels), as `log_mel.log_mel` gives them."""
        padded = samples if self.framed else F.pad(samples, (EDGE, FFT + HOP))
        spectrum = F.conv1d(padded[:, None], self.waves, stride=HOP)  # (batch, 2 bins, frames)
        if not self.framed:
            spectrum = spectrum[:, :, : (samples.shape[1] + (WINDOW - HOP) // 2 + HOP - 1) // HOP]
        real, imaginary = spectrum.chunk(2, 1)
        return ((real**2 + imaginary**2).transpose(1, 2) @ self.filters + FLOOR).log()

    def windows(self, mels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Windows of the model's clip, half overlapping, the last at the end; the frames that count in each; their weights.

        The last weighs nothing where a regular one ends there already, as `prediction` has them.
        """
        batch, frames, clip = mels.shape[0], mels.shape[1], self.frames
        silence = mels.new_full((batch, clip, MELS), PADDING)
        whole = torch.cat([mels, silence], 1)[:, : torch.sym_max(frames, clip)]
        regular = whole.unfold(1, clip, clip // 2).transpose(2, 3)  # (batch, windows, clip, mels)
        over = whole.shape[1] - clip
        x = torch.cat([regular, whole[:, None, over:]], 1)
        weights = torch.ones(x.shape[1])
        ends = torch.scalar_tensor(over)
        weights[-1] = ((ends > 1) & (ends % (clip // 2) > 0)).float()
        lengths = torch.full((x.shape[0] * x.shape[1],), 1) * torch.sym_min(frames, clip)
        x = x.reshape(-1, clip, MELS)
        if self.masked:
            x = x[:, : torch.sym_min(torch.sym_max(frames, MIN_FRAMES), clip)]
        return x, lengths, weights


class _Ends(nn.Module):
    """A BLSTM whose last states are read from its sequence: where its length is free, PyTorch's exporter loses their shape."""

    def __init__(self, blstm: nn.LSTM) -> None:
        super().__init__()
        self.blstm = blstm

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, None]]:
        hidden, _ = self.blstm(x)
        forward, backward = hidden.chunk(2, -1)
        return hidden, (torch.stack([forward[:, -1], backward[:, 0]]), None)


def export(
    path: str | os.PathLike[str],
    model: str | os.PathLike[str] | None = None,
    int8: bool = False,
    framed: bool = False,
    runs: str | os.PathLike[str] | None = None,
) -> Path:
    """Write `model` (with `runs`, as `sercore.load_model` takes them) to `path` as ONNX, and return the path.

    Input `samples`, as `INPUT` says, outputs as `OUTPUTS`; the file's metadata `sercore` is JSON with both, the classes, the clip
    in seconds and the model's card. With `int8` weights are kept in 8 bits, each row of a matrix with its own scale: a quarter of
    the file, computed in float32 as before. With `framed` the file takes samples that are framed already (`FromWaveform`). Needs
    onnx and onnxscript.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401  # what torch.onnx writes with
    except ImportError:
        raise SercoreError("writing ONNX needs `pip install onnx onnxscript`") from None
    target = Path(path)
    if target.suffix != ".onnx":
        raise SercoreError(f"{target}: name a file that ends in .onnx")
    trained = models.load(model, runs=runs)
    if not all(isinstance(network, SERModel) for network in trained.networks):
        raise SercoreError(f"the network {trained.config.network!r} cannot be written as ONNX: the paper's own can")
    example = torch.zeros(2, 4 * clip_frames(trained.config.clip_seconds) * HOP)
    dim = torch.export.Dim
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), _only_errors("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            FromWaveform(trained, framed).eval(),
            (example,),
            input_names=["samples"],
            output_names=list(OUTPUTS),
            dynamic_shapes={"samples": {0: dim.DYNAMIC, 1: dim.DYNAMIC}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    if int8:
        quantise(proto)
    about = {
        "samples": INPUT,
        "outputs": OUTPUTS,
        "classes": list(trained.classes),
        "clip_seconds": trained.config.clip_seconds,
        "weights": "int8" if int8 else "float32",
        "model": trained.about,
        "card": models.card(trained.about) if "config" in trained.about else "",
    }
    onnx.helper.set_model_props(proto, {"sercore": machine.json_text(about)})
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.partial")
    partial.write_bytes(proto.SerializeToString())
    os.replace(partial, target)
    return target


@contextlib.contextmanager
def _only_errors(name: str) -> Iterator[None]:
    """PyTorch's exporter misses torchvision, which nothing here needs."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def quantise(proto: Any, least: int = 512) -> None:
    """Keep the weights of an ONNX model in 8 bits, each row with its own scale; the runtime makes float32 of them."""
    import onnx
    from onnx import numpy_helper

    kept, nodes = [], []
    for weight in proto.graph.initializer:
        values = numpy_helper.to_array(weight)
        if (
            values.dtype != np.float32
            or values.ndim < 2
            or values.size < least
            or "filters" in weight.name
            or "waves" in weight.name
        ):
            kept.append(weight)
            continue
        axis = 1 if values.ndim == 3 else 0  # an LSTM's first is its directions
        others = tuple(other for other in range(values.ndim) if other != axis)
        rows = np.abs(values).max(others, keepdims=True).clip(1e-12) / 127
        steps = np.round(values / rows).astype(np.int8)
        names = [f"{weight.name}_{part}" for part in ("int8", "scale")]
        kept += [
            numpy_helper.from_array(part, name)
            for part, name in zip((steps, rows.ravel().astype(np.float32)), names, strict=True)
        ]
        nodes.append(onnx.helper.make_node("DequantizeLinear", names, [weight.name], axis=axis))
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)
    nodes += proto.graph.node
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)

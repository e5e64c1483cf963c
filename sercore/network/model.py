"""The network of the paper's Figure 1: CNN, BLSTM, attention, logits.

`SERModel` is the definition. Shapes use one vocabulary: batch, frames (10 ms), mels, channels, steps (time after the
CNN), features (the deep feature), classes.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from .. import extensions
from ..config import POOLED, Config
from ..errors import SercoreError, nearest
from ..frontend.log_mel import levelled, regained
from .base import Network, Outputs
from .losses import LOSSES, AdditiveMargin, Softmax
from .pooling import POOLINGS

FILTERS = (128, 128, 64, 64, 64, 64)
MIN_FRAMES = 2**POOLED
"""Shorter inputs would leave no step after the CNN (0.32 s)."""

BATCH_NORM: dict[str, dict[str, Any]] = {"keras": {"eps": 1e-3, "momentum": 0.01}, "pytorch": {"eps": 1e-5, "momentum": 0.1}}
"""Keras's momentum of 0.99 is PyTorch's 0.01."""


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation whose statistics can leave padding out, and may be of a single place.

    x (batch, channels, frames, mels), mask (batch, frames) true where a frame counts, or None for all. A single place, as the
    last batch of short clips may have, varies by nothing: what comes out is the bias, as in Keras (PyTorch refuses).
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        if not self.training or (mask is None and x.numel() > x.shape[1]):
            return super().forward(x)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        weight = x.new_ones(1, 1, 1, 1) if mask is None else mask[:, None, :, None].to(torch.float32)
        count = weight.sum() * x.shape[3]
        mean = (x.float() * weight).sum((0, 2, 3)) / count
        centred = x.float() - mean[:, None, None]
        variance = (centred**2 * weight).sum((0, 2, 3)) / count
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp_min(1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]


class Block(nn.Module):
    """One CNN sub-module: 3 x 3 convolution, batch norm, ReLU, 2 x 2 average pooling (or none), dropout."""

    def __init__(self, inputs: int, outputs: int, pool: bool, config: Config) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)
        self.norm = BatchNorm(outputs, **BATCH_NORM[config.toolkit])
        self.pool, self.dropout = pool, config.dropout

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        # x: (batch, inputs, frames, mels); lengths: (batch,) frames that count, or None for all
        x = F.relu_(self.norm(self.conv(x), None if lengths is None else time_mask(lengths, x.shape[2])))
        if self.pool:
            x = F.avg_pool2d(x, kernel_size=2)  # (batch, outputs, frames // 2, mels // 2)
            lengths = None if lengths is None else lengths // 2
        if lengths is not None:
            x = x * time_mask(lengths, x.shape[2])[:, None, :, None]
        return dropout(x, self.dropout) if self.training and self.dropout else x, lengths


def check(config: Config, classes: int) -> None:
    """Raise `SercoreError` where `config` names a loss or a pooling that is not there, or weighs other classes than there are."""
    extensions.load()
    unknown = [
        f"unknown {name} {value!r} ({nearest(value, table)}there are: {', '.join(table)})"
        for name, value, table in (("loss", config.loss, LOSSES), ("pooling", config.pooling, POOLINGS))
        if value not in table
    ]
    hint = f"; {extensions.VARIABLE} names files that add to them" if unknown else ""
    if isinstance(config.alpha, tuple) and len(config.alpha) != classes:
        unknown.append(f"alpha has {len(config.alpha)} values for {classes} classes")
    if unknown:
        raise SercoreError(f"cannot build the model: {'; '.join(unknown)}{hint}")


def own_code(config: Config) -> dict[str, str]:
    """Checksums of the loss and the pooling where they come from a file of the user's own."""
    found = {"loss": extensions.checksum(LOSSES[config.loss]), "pooling": extensions.checksum(POOLINGS[config.pooling])}
    return {name: checksum for name, checksum in found.items() if checksum}


def try_own_code(model: SERModel) -> None:
    """Give two made-up utterances to a loss or a pooling of the user's own, so that its mistakes show before any training.

    Raises `SercoreError` that names what fails, or whose output has another shape than it must have, all at once.
    """
    pooling, head, steps, classes = model.pooling, model.head, 5, model.classes
    channels = model.head_inputs // pooling.multiple
    hidden = torch.linspace(-1, 1, 2 * steps * channels).view(2, steps, channels)
    deep, labels = torch.linspace(-1, 1, 2 * model.head_inputs).view(2, -1), torch.arange(2) % classes
    sequence = hidden, hidden[:, -1], torch.ones(2, steps, dtype=torch.bool) if model.config.masked else None
    trials: list[tuple[str, str, nn.Module, tuple[int, ...], Callable[[], Tensor]]] = [
        ("pooling", "output", pooling, (2, model.head_inputs), lambda: pooling(*sequence)),
        ("pooling", "weights", pooling, (2, steps), lambda: pooling.weights(*sequence)),
        ("loss", "value", head, (), lambda: head(deep, labels)),
        ("loss", "scores", head, (2, classes), lambda: head.scores(deep)),
    ]
    own, wrong = own_code(model.config), []
    model.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for kind, what, module, shape, compute in trials:
            if kind not in own:
                continue
            what = f"the {what} of {kind} {getattr(model.config, kind)!r}"
            try:
                found = tuple(compute().shape)
            except Exception as error:
                wrong.append(f"{what} fails: {extensions.told(error, type(module))}")
                continue
            if found != shape:
                wrong.append(
                    f"{what} has the shape {found} for two utterances, and must have {shape or 'none: it is one number'}"
                )
    model.train()
    if wrong:
        raise SercoreError("cannot build the model: " + "; ".join(wrong), offenders=wrong)


class SERModel(Network):
    """The whole system: log-Mel energies in, a deep feature and class scores out.

    Its `engine` computes the CNN: "plain" is this file, "fused" is `sercore.network.engines.cpu`, the same in less time, or on a
    GPU `sercore.network.engines.gpu`.
    """

    reads = tuple(Config().to_dict())
    head: Softmax | AdditiveMargin

    def __init__(self, config: Config, classes: int = 4) -> None:
        check(config, classes)
        super().__init__(config, classes)
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, index < POOLED, config)
            for index, (inputs, outputs) in enumerate(zip((1, *FILTERS[:-1]), FILTERS, strict=True))
        )
        self.blstm = nn.LSTM(FILTERS[-1], config.lstm_cells, batch_first=True, bidirectional=True)
        channels = config.lstm_cells * (2 if config.lstm_merge == "concat" else 1)
        self.pooling = POOLINGS[config.pooling](channels, config)
        self.head_inputs = channels * self.pooling.multiple
        self.head = LOSSES[config.loss](self.head_inputs, classes, config)
        if config.toolkit == "keras":
            initialise_as_keras(self)
        if own_code(config):
            try_own_code(self)

    def normalise(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Zero mean and unit deviation per band; (batch, frames, mels) -> the same."""
        if self.config.normalisation == "level":
            x = levelled(x, None if lengths is None else time_mask(lengths, x.shape[1]))
        if self.config.normalisation != "utterance":
            return (x - self.mean) / self.deviation
        x = regained(x, None if lengths is None else time_mask(lengths, x.shape[1]))
        if lengths is None:
            return (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, correction=0).clamp_min(1e-3)
        mask = time_mask(lengths, x.shape[1])[:, :, None]
        count = lengths[:, None, None]
        mean = (x * mask).sum(1, keepdim=True) / count
        deviation = (((x - mean) ** 2 * mask).sum(1, keepdim=True) / count).sqrt()
        return (x - mean) / deviation.clamp_min(1e-3)

    def hidden(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Hidden states (batch, steps, channels), last hidden state (batch, channels), mask (batch, steps) or None.

        x (batch, frames, mels) log-Mel energies; lengths (batch,) frames before the padding, read where `masked`.
        """
        x, kept = self.convolved(x, lengths)
        x = x.squeeze(3).transpose(1, 2).float()  # (batch, steps, 64)
        hidden, last = self._recur(x, kept)
        if self.config.lstm_merge == "sum":
            hidden, last = (torch.add(*value.chunk(2, dim=-1)) for value in (hidden, last))
        return hidden, last, None if kept is None else time_mask(kept, hidden.shape[1])

    def convolved(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What the BLSTM reads: x (batch, frames, mels) normalised and through the CNN, (batch, 64, steps, 1).

        With it come the steps that count (batch,), or None for all; lengths as in `hidden`."""
        if x.shape[1] < MIN_FRAMES:
            raise SercoreError(f"an input of {x.shape[1]} frames is too short: pad it to at least {MIN_FRAMES} (0.32 s)")
        if self.config.masked and lengths is None:
            raise SercoreError("a masked model needs the lengths of its inputs")
        kept = lengths.clamp(MIN_FRAMES, x.shape[1]) if self.config.masked and lengths is not None else None
        x = self.normalise(x, None if lengths is None else lengths.clamp(1, x.shape[1]))
        if kept is not None:
            x = x * time_mask(kept, x.shape[1])[:, :, None]
        return self.convolve(x, kept)

    def convolve(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The CNN: (batch, frames, mels) -> (batch, 64, steps, 1), with the steps that count."""
        if self.engine == "fused" and not x.requires_grad:
            # they load Numba or Triton, which labelling a file does without
            fused = importlib.import_module(f".engines.{'cpu' if x.device.type == 'cpu' else 'gpu'}", __package__)
            precision = torch.bfloat16 if self.config.precision == "bfloat16" else torch.float32
            x = fused.run_blocks(self.blocks, x, lengths, precision)
            return x, None if lengths is None else lengths // 2**POOLED
        reduced = self.config.precision == "bfloat16"
        x = x[:, None]
        with torch.autocast(x.device.type, torch.bfloat16, enabled=reduced):
            if reduced:
                x = x.to(torch.bfloat16, memory_format=torch.channels_last)
            for block in self.blocks:
                x, lengths = block(x, lengths)
        return x, lengths

    def _recur(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        steps = x.shape[1]
        if lengths is None:
            hidden, (last, _) = self.blstm(x)
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed_hidden, (last, _) = self.blstm(packed)
            hidden, _ = pad_packed_sequence(packed_hidden, batch_first=True, total_length=steps)
        return hidden, torch.cat([last[0], last[1]], dim=-1)

    def features(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The deep feature (batch, features) of log-Mel energies (batch, frames, mels)."""
        return self.pooling(*self.hidden(x, lengths))

    def attention(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Attention weights (batch, steps); a step is 32 frames, 0.32 s."""
        return self.pooling.weights(*self.hidden(x, lengths))

    def features_and_attention(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """`features` and `attention` of one pass."""
        hidden = self.hidden(x, lengths)
        return self.pooling(*hidden), self.pooling.weights(*hidden)

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        features, attention = self.features_and_attention(x, lengths)
        return Outputs(self.head.scores(features), features, attention)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.head.scores(self.features(x, lengths))

    def loss(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The training criterion, a scalar: x (batch, frames, mels), labels (batch,)."""
        return self.head(self.features(x, lengths), labels)


def dropout(x: Tensor, probability: float) -> Tensor:
    """Dropout of x (batch, channels, frames, mels) that draws eight elements from one random word on the CPU.

    Drawing is what dropout costs there. The probability is rounded to the next 256th (the paper's 0.25 is one).
    """
    if x.device.type != "cpu":
        return F.dropout(x, probability)
    batch, channels, frames, mels = x.shape
    drawn, dropped = dropout_bytes((batch, frames, mels, channels), probability)
    return x * (drawn >= dropped).permute(0, 3, 1, 2) * (256 / (256 - dropped))


def dropout_bytes(shape: Sequence[int], probability: float) -> tuple[Tensor, int]:
    """Random bytes of this shape, and the number below which the element that a byte stands for is dropped."""
    count = math.prod(shape)
    words = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)  # type: ignore[arg-type]
    return words.view(torch.uint8)[:count].view(*shape), min(round(probability * 256), 255)


def time_mask(lengths: Tensor, frames: int) -> Tensor:
    """(batch,) lengths -> (batch, frames), true before each length."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def initialise_as_keras(model: SERModel) -> None:
    """Keras's defaults: Glorot-uniform kernels, orthogonal recurrent kernels, zero biases, a forget bias of 1.

    Keras's LSTM has one bias vector; PyTorch's second stays at zero and is not trained.
    """
    for layer in model.blocks.modules():
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    cells = model.config.lstm_cells
    for name, parameter in model.blstm.named_parameters():
        if name.startswith("weight_ih"):
            # Keras's kernel is one matrix for the four gates, and its fan counts them together
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
            if name.startswith("bias_ih"):
                with torch.no_grad():
                    parameter[cells : 2 * cells] = 1.0
            else:
                parameter.requires_grad_(False)

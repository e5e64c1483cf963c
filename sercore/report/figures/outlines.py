"""Any network drawn from its own code: what each of its parts is, and what it makes of one utterance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from ...evidence.remembered import drawn
from ...frontend.front_ends import FRONT_ENDS, FrontEnd
from ...lab import systems
from ...network.base import Network
from ...network.networks import build, find
from ...network.prior.resnet_mha import Convolution, Residual
from ...network.prior.tdnn_lstm import TimeDelay
from .network_drawings import SIGNED, _image
from .plots import COOL, HEAT, MUTED


def stages(model: Network, x: Tensor, lengths: Tensor) -> list[tuple[str, Tensor, int]]:
    """(what it is, what it hands on of the first in the batch, trainable parameters) of each part, in the order in which they
    act; first of all the input. x (1, frames, bands)."""
    found: dict[str, tuple[str, Tensor, int]] = {}

    def keep(name: str) -> Any:
        def hook(module: nn.Module, given: Any, made: Any) -> None:
            tensor: Tensor = made[0] if isinstance(made, tuple) else made
            if isinstance(tensor, PackedSequence):
                tensor = tensor.data
            content = tensor if tensor.dim() == 2 and isinstance(module, nn.LSTM) else tensor[0]
            if isinstance(module, nn.Conv1d | TimeDelay | Convolution | Residual):
                content = content.T  # time first, as in all others
            count = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
            found.setdefault(name, (described(module), content.float(), count))

        return hook

    hooks = [part.register_forward_hook(keep(name)) for name, part in _parts(model)]
    model.train()  # in evaluation some of PyTorch's layers take a way past their parts
    dropping = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    for module in dropping:
        module.eval()
    try:
        with torch.no_grad():
            scores = model.outputs(x, lengths).scores
    finally:
        for hook in hooks:
            hook.remove()
        model.eval()
    own = list(found.values())
    own[-1] = (own[-1][0], scores.softmax(-1)[0], own[-1][2])
    return [(FRONT_ENDS[model.front_end].title, model.normalise(x, lengths)[0], 0), *own]


def _parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts that are worth a row of their own."""
    for name, part in model.named_children():
        if isinstance(part, nn.ModuleList):
            for number, child in enumerate(part):
                if isinstance(child, nn.ModuleList):
                    yield from ((f"{name}.{number}.{inner}", each) for inner, each in child.named_children())
                else:
                    yield f"{name}.{number}", child
        elif not isinstance(part, nn.Dropout | nn.BatchNorm1d):
            yield name, part


def described(module: nn.Module) -> str:
    """A part in words."""
    if isinstance(module, nn.Conv2d):
        return f"convolution {' × '.join(map(str, module.kernel_size))}, {module.out_channels} filters"
    if isinstance(module, Residual):
        wide = f", dilated by {module.first.conv.dilation[0]}" if module.first.conv.dilation[0] > 1 else ""
        return f"residual block, {module.first.conv.out_channels} channels{wide}"
    if isinstance(module, Convolution):
        return f"convolution over {module.conv.kernel_size[0]} frames, {module.conv.out_channels} channels"
    if isinstance(module, TimeDelay):
        return f"time delay, {module.splice.out_channels} units"
    if isinstance(module, nn.LSTM):
        layers = f"{module.num_layers} layers of " if module.num_layers > 1 else ""
        both = "BLSTM" if module.bidirectional else "LSTM"
        return f"{both}, {layers}{module.hidden_size} cells{' each way' if module.bidirectional else ''}"
    if isinstance(module, nn.MultiheadAttention):
        return f"self-attention, {module.num_heads} heads"
    if isinstance(module, nn.Sequential):
        linear = [layer for layer in module if isinstance(layer, nn.Linear)]
        if linear[-1].out_features == 1:
            return "score of each step"
        return " and ".join(f"dense, {layer.out_features}" for layer in linear)
    if isinstance(module, nn.Linear):
        return f"dense, {module.out_features}"
    return type(module).__name__


def front_end_of(slug: str) -> FrontEnd:
    """What a system hears."""
    return FRONT_ENDS[find(systems.config(slug)).front_end]


@drawn
def of_system(slug: str, frames: np.ndarray) -> Figure:
    """`outline` of a system as `sercore.build` makes it, of an utterance as its front end gives it: (frames, bands), float32."""
    return outline(build(systems.config(slug)), torch.from_numpy(frames)[None], torch.tensor([len(frames)]))


def outline(model: Network, x: Tensor, lengths: Tensor) -> Figure:
    """The network's parts from the input down, each with what it makes of x (1, frames, bands), and its parameters as a bar."""
    parts = stages(model, x, lengths)
    widest = max(count for _, _, count in parts)
    height, pitch = 0.34, 0.56
    figure = plt.figure(figsize=(5.0, pitch * len(parts) + 0.1), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 5.0), ylim=(pitch * len(parts) + 0.1, 0))
    axes.axis("off")
    left, right, text, edge = 0.05, 2.0, 2.2, 4.95
    for row, (does, content, count) in enumerate(parts):
        top = row * pitch + 0.12
        if row:
            ends = ((left + right) / 2, top - 0.02), ((left + right) / 2, top - pitch + height + 0.02)
            axes.annotate("", *ends, arrowprops=dict(arrowstyle="-|>", color=MUTED, shrinkA=0, shrinkB=0))
        picture = _flat(content)
        _image(axes, picture, (left, right), (top, top + height), HEAT if row == 0 or picture.min() >= 0 else SIGNED)
        last = row == len(parts) - 1
        axes.text(
            text,
            top + 0.1,
            "classes" if last else does,
            fontsize=10.5 if len(does) < 40 else 8.5,
            fontweight="bold" if last else None,
            va="center",
        )
        shape = " × ".join(map(str, content.shape))
        axes.text(text, top + 0.29, shape, fontsize=9, color=MUTED, va="center")
        if count:
            axes.text(edge, top + 0.29, f"{count:,}", fontsize=9, va="center", ha="right")
            axes.add_patch(Rectangle((text, top + 0.39), (edge - text) * count / widest, 0.035, color=COOL, linewidth=0))
    return figure


def _flat(content: Tensor) -> np.ndarray:
    """Contents of any shape as rows over time: (channels, time, bands) by their mean over channels, (time, bands) upright, a
    vector as one row."""
    values = content.numpy()
    if values.ndim == 1:
        return values[None]
    if values.ndim == 3:
        return values.mean(0).T
    return values.T

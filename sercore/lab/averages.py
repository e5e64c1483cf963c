"""What is averaged before a model is evaluated: statistics of batch norm over the training part, weights over the last epochs.

Training itself never sees either. References: batch statistics averaged over training batches are what Ioffe & Szegedy (ICML
2015), algorithm 2, evaluate with, and what Wu & Johnson (arXiv 2105.07576) call precise batch norm; averages of weights are
Polyak & Juditsky's (SIAM J. Control Optim. 1992), with exponential forgetting as most recipes have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..network.base import Network
from ..network.model import Block, SERModel

UTTERANCES = 512
"""Of the training part that statistics are averaged over at most; `benchmarks/README.md` has what fewer would change."""

DROPPING: dict[type[nn.Module], str] = {Block: "dropout", nn.Dropout: "p"}
"""Modules that drop, and the attribute that says how much."""

EPOCHS = 5
"""That an average of weights reaches back."""


@torch.no_grad()
def recalibrate(model: Network, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Put the mean over `batches` of each batch's statistics, as training computes them but without dropout, in the place of
    batch norm's moving averages.

    A batch is x (batch, frames, bands) and lengths (batch,); larger ones weigh more. As in training, a layer sees what the layers
    before it make of the batch's own statistics. Whatever engine the model has computes them; on a CPU no random number is drawn.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    dropping = [(module, name) for module in model.modules() for kind, name in DROPPING.items() if isinstance(module, kind)]
    momenta, dropped, seen = [norm.momentum for norm in norms], [getattr(*place) for place in dropping], 0
    was_training = model.training
    model.train()
    through = model.convolved if isinstance(model, SERModel) else model.outputs
    try:
        for place in dropping:
            setattr(*place, 0.0)
        for x, lengths in batches:
            seen += len(x)
            for norm in norms:
                norm.momentum = len(x) / seen  # moving averages that way are plain means
            through(x, lengths)
    finally:
        model.train(was_training)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for place, probability in zip(dropping, dropped, strict=True):
            setattr(*place, probability)


class AveragedWeights:
    """The exponential moving average of a model's trainable parameters, one step at a time.

    A new step weighs 1 / `window`, and before there have been so many, as much as each before it: what the weights were drawn as
    counts for nothing.
    """

    def __init__(self, model: Network, window: int) -> None:
        self.window, self.steps = window, 0
        self.parameters = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
        self.averages = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters as they are now into the average."""
        self.steps += 1
        share = 1 / min(self.steps, self.window)
        torch._foreach_lerp_(list(self.averages.values()), list(self.parameters.values()), share)

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs to go on from here."""
        return {"steps": self.steps, "averages": self.averages}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was taken."""
        self.steps = state["steps"]
        for name, average in self.averages.items():
            average.copy_(state["averages"][name])


@contextmanager
def as_evaluated(
    model: Network, batch_norm: str, averaged: AveragedWeights | None, batches: Iterable[tuple[Tensor, Tensor]]
) -> Iterator[None]:
    """The model as it is evaluated and kept: with `averaged` weights where there are any, and with statistics of `batches` where
    `batch_norm` is "recalibrated". At the end of the block it is again as it was trained."""
    if batch_norm == "running" and averaged is None:
        yield
        return
    trained = {name: value.clone() for name, value in model.state_dict().items()}
    if averaged is not None:
        model.load_state_dict(averaged.averages, strict=False)
    recalibrate(model, batches)
    try:
        yield
    finally:
        model.load_state_dict(trained)

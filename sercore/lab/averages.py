"""What is averaged before a model is evaluated: statistics of batch norm over the training part, weights over the last epochs.

Training itself never sees either. References: batch statistics averaged over training batches are what Ioffe & Szegedy (ICML
2015), algorithm 2, evaluate with, and what Wu & Johnson (arXiv 2105.07576) call precise batch norm; averages of weights are
Polyak & Juditsky's (SIAM J. Control Optim. 1992), with exponential forgetting as most recipes have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from ..network.model import Block, SERModel

UTTERANCES = 512
"""Of the training part that statistics are averaged over at most; `benchmarks/README.md` has what fewer would change."""

EPOCHS = 5
"""That an average of weights reaches back."""


@torch.no_grad()
def recalibrate(model: SERModel, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    """Put the mean over `batches` of each batch's statistics, as training computes them but without dropout, in the place of
    batch norm's moving averages.

    A batch is x (batch, frames, mels) and lengths (batch,); larger ones weigh more. As in training, a layer sees what the layers
    before it make of the batch's own statistics. Whatever engine the model has computes them; on a CPU no random number is drawn.
    """
    blocks = list(cast("Iterable[Block]", model.blocks))
    kept, seen = [(block.dropout, block.norm.momentum) for block in blocks], 0
    was_training = model.training
    model.train()
    try:
        for x, lengths in batches:
            seen += len(x)
            for block in blocks:
                block.dropout, block.norm.momentum = 0.0, len(x) / seen  # moving averages that way are plain means
            model.convolved(x, lengths)
    finally:
        model.train(was_training)
        for block, (dropout, momentum) in zip(blocks, kept, strict=True):
            block.dropout, block.norm.momentum = dropout, momentum


class AveragedWeights:
    """The exponential moving average of a model's trainable parameters, one step at a time.

    A new step weighs 1 / `window`, and before there have been so many, as much as each before it: what the weights were drawn as
    counts for nothing.
    """

    def __init__(self, model: SERModel, window: int) -> None:
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
    model: SERModel, batch_norm: str, averaged: AveragedWeights | None, batches: Iterable[tuple[Tensor, Tensor]]
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

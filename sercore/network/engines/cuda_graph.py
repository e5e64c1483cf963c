"""Training steps on a GPU, recorded once and replayed: a step is some hundred short kernels, and launching each of them from
Python takes longer than they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ..model import SERModel
from .adam import Adam

WARM_UP = 3
"""Steps before a recording, in which the libraries choose their kernels and take their memory."""


class Steps:
    """The steps of one training, a CUDA graph for each size of batch.

    `corpus` is what there is to train on, on the device: x (utterances, frames, mels), lengths (utterances,), labels
    (utterances,). Recording leaves the weights and the optimiser as they were.
    """

    def __init__(self, model: SERModel, optimiser: Adam, corpus: tuple[Tensor, Tensor, Tensor], sizes: Iterable[int]) -> None:
        self.model, self.optimiser, self.corpus = model, optimiser, corpus
        self.total = torch.zeros((), device=corpus[0].device)  # the loss, summed over utterances
        self.recorded = {size: self._record(size) for size in sizes}

    def __call__(self, order: Tensor, size: int, after_step: Callable[[], None] = lambda: None) -> float:
        """One step for every `size` of the utterances `order` (numbers into the corpus, on its device); the mean loss of one."""
        self.model.train()
        self.total.zero_()
        for rows in order.split(size):
            place, graph = self.recorded[len(rows)]
            place.copy_(rows)
            graph.replay()
            after_step()
        return self.total.item() / len(order)

    def _step(self, rows: Tensor) -> None:
        x, lengths, labels = (part[rows] for part in self.corpus)
        loss = self.model.loss(x, labels, lengths)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.total += loss.detach() * len(rows)

    def _record(self, size: int) -> tuple[Tensor, torch.cuda.CUDAGraph]:
        place = torch.zeros(size, dtype=torch.int64, device=self.total.device)
        weights = {name: value.clone() for name, value in self.model.state_dict().items()}
        moments = [{name: value.clone() for name, value in state.items()} for state in self.optimiser.state]
        self.model.train()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                self._step(place)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._step(place)
        self.model.load_state_dict(weights)
        self.optimiser.load_state_dict({"state": moments})
        return place, graph

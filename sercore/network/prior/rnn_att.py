"""Row 3 of Table 1, "RNN + Att [13]": S. Mirsamadi, E. Barsoum, C. Zhang, "Automatic speech emotion recognition using
recurrent neural networks with local attention", ICASSP 2017.

Known: 32 low-level descriptors a frame of 10 ms; two dense layers of 512 rectified units on each frame; a bidirectional LSTM of
128 cells in each direction; half of the units dropped; states weighted by the softmax of their product with one trained vector;
and a linear layer. Guessed: where the units are dropped (after both dense layers and the LSTM), Adam with 1e-4, and that
descriptors are normalised over the whole training part (the authors take their neutral speech alone).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs, by_steps
from .pieces import attend, counted, recurrent, reduced

UNITS, CELLS, DROPPED = 512, 128, 0.5


class LocalAttention(Network):
    """Dense layers on each frame, a BLSTM, and weighted pooling with one vector."""

    front_end = "descriptors"

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        self.frames = nn.Sequential(
            *(nn.Linear(len(self.mean), UNITS), nn.ReLU(), nn.Dropout(DROPPED)),
            *(nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Dropout(DROPPED)),
        )
        self.blstm = nn.LSTM(UNITS, CELLS, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(DROPPED)
        self.attention = nn.Parameter(torch.zeros(2 * CELLS))
        self.head = nn.Linear(2 * CELLS, classes)

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        kept = counted(x, lengths)
        x = self.normalise(x, lengths)  # (batch, frames, 32)
        with reduced(x, self.config.precision):
            x = self.frames(x)  # (batch, frames, 512)
        states, _ = recurrent(self.blstm, x.float(), kept)  # (batch, frames, 256)
        weights = attend(states @ self.attention, kept)  # (batch, frames)
        features = torch.einsum("bt,btc->bc", weights, states)  # (batch, 256)
        return Outputs(self.head(self.dropout(features)), features, by_steps(weights))

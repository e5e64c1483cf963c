"""Row 2 of Table 1, "LSTM + Att [12]": the same recurrent network with attention over its states.

Source: unknown; Huang & Narayanan (2016, "Attention assisted discovery of sub-utterance structure in speech emotion recognition")
is of this form. Guessed: all that the LSTM without attention guesses, and the additive score of Bahdanau, Cho & Bengio (2015)
with 64 hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs, by_steps
from .lstm import CELLS
from .pieces import attend, counted, recurrent

HIDDEN = 64


class AttentionLSTM(Network):
    """Two LSTM layers, and the mean of the upper one's states weighted by `v tanh(W h_t)`."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        self.lstm = nn.LSTM(len(self.mean), CELLS, num_layers=2, batch_first=True)
        self.score = nn.Sequential(nn.Linear(CELLS, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, 1, bias=False))
        self.head = nn.Linear(CELLS, classes)

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        kept = counted(x, lengths)
        x = self.normalise(x, lengths)  # (batch, frames, 40)
        states, _ = recurrent(self.lstm, x, kept)  # (batch, frames, 128)
        weights = attend(self.score(states).squeeze(2), kept)  # (batch, frames)
        features = torch.einsum("bt,btc->bc", weights, states)  # (batch, 128)
        return Outputs(self.head(features), features, by_steps(weights))

"""Row 1 of Table 1, "LSTM [11]": a recurrent network over the frames, whose last state is the utterance.

Source: unknown. The paper names neither authors nor features, and several works of 2015 to 2018 have such a baseline. Guessed:
the paper's own 40 log-Mel energies, two layers of 128 cells in one direction, Adam with 1e-3.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs
from .pieces import counted, recurrent

CELLS = 128


class LastStateLSTM(Network):
    """Two LSTM layers; what stands in the upper one after the utterance's last frame is classified."""

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        self.lstm = nn.LSTM(len(self.mean), CELLS, num_layers=2, batch_first=True)
        self.head = nn.Linear(CELLS, classes)

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        kept = counted(x, lengths)
        x = self.normalise(x, lengths)  # (batch, frames, 40)
        _, last = recurrent(self.lstm, x, kept)  # (batch, 128)
        return Outputs(self.head(last), last, x.new_zeros(len(x), 0))

"""Row 5 of Table 1, "TDNN + LSTM [4]": M. Sarma, P. Ghahremani, D. Povey, N. K. Goel, K. K. Sarma, N. Dehak, "Emotion
identification from raw speech signals using DNNs", Interspeech 2018.

Known: time-delay layers and LSTM layers in turn, of the form of Kaldi's TDNN-LSTM recipes; Fourier log-energies as one of its
front ends, the one that the paper names; the utterance's label on every frame, which worked best. Guessed: the recipes' layers
(two time-delay layers, then an LSTM that looks back 30 ms, three times over) at a quarter of their width, and plain Adam with
1e-3 for Kaldi's natural gradient. Posteriors are averaged over the frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs
from ..model import BatchNorm, time_mask
from .pieces import counted, mean_over, recurrent, reduced

UNITS, CELLS, PROJECTED = 256, 256, 128
RATE = 3  # frames from one step of an LSTM to its next


class TimeDelay(nn.Module):
    """One time-delay layer: a convolution over three frames, rectified and normalised. (batch, inputs, frames) -> (batch, 256,
    frames)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.splice = nn.Conv1d(inputs, UNITS, 3, padding=1)
        self.norm = BatchNorm(UNITS)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.norm(F.relu(self.splice(x)).float()[..., None], mask)[..., 0] * mask[:, None]


class TimeDelayLSTM(Network):
    """Three times two time-delay layers and a projected LSTM, from the second layer on every third frame, and a label for each
    of these."""

    front_end = "fourier"

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        inputs = (len(self.mean), PROJECTED, PROJECTED)
        self.delays = nn.ModuleList(nn.ModuleList([TimeDelay(given), TimeDelay(UNITS)]) for given in inputs)
        self.lstms = nn.ModuleList(nn.LSTM(UNITS, CELLS, batch_first=True, proj_size=PROJECTED) for _ in inputs)
        self.head = nn.Linear(PROJECTED, classes)

    def steps(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """States (batch, steps, 128) of 30 ms, and how many of them count (batch,)."""
        kept = counted(x, lengths)
        mask = time_mask(kept, x.shape[1])
        x = self.normalise(x, lengths) * mask[:, :, None]  # (batch, frames, 257)
        for number, (pair, lstm) in enumerate(zip(self.delays, cast("Iterable[nn.LSTM]", self.lstms), strict=True)):
            x = x.transpose(1, 2)
            for layer in cast("Iterable[nn.Module]", pair):
                with reduced(x, self.config.precision):
                    x = layer(x, mask)  # (batch, 256, frames)
            if number == 0:
                x, mask, kept = x[:, :, ::RATE], mask[:, ::RATE], -(-kept // RATE)
            x, _ = recurrent(lstm, x.float().transpose(1, 2), kept)  # (batch, steps, 128)
        return x, kept

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        states, kept = self.steps(x, lengths)
        posteriors = mean_over(self.head(states).softmax(-1), kept)  # (batch, classes)
        scores = posteriors.clamp_min(torch.finfo(torch.float32).tiny).log()
        return Outputs(scores, mean_over(states, kept), x.new_zeros(len(x), 0))

    def loss(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Cross-entropy of every step with its utterance's label."""
        states, kept = self.steps(x, lengths)
        own = time_mask(kept, states.shape[1])
        return F.cross_entropy(self.head(states)[own], labels[:, None].expand(own.shape)[own])

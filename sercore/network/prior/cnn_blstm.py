"""Row 4 of Table 1, "CNN + BLSTM [14]": A. Satt, S. Rozenberg, R. Hoory, "Efficient emotion recognition from speech using deep
learning on spectrograms", Interspeech 2017 (whose 59.4 % UA is the paper's figure).

Known: log spectrograms of Hamming windows of 40 ms up to 4 kHz, 20 Hz apart; utterances in equal parts of at most 3 s, which all
bear the utterance's label and whose posteriors are averaged; three convolutions with max pooling, and a bidirectional LSTM of 128
cells. Kernels of 12 x 16, 8 x 12 and 5 x 7 with 16, 24 and 32 filters are how we know their figure. Guessed: pooling of 2 x 2
after each, the mean of the LSTM's states, dropout of a quarter before the linear layer, Adam with 1e-3.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs
from .pieces import counted, cut, even_segments, log_of_mean, mean_by_owner, recurrent, reduced

LONGEST = 300  # frames, 3 s
KERNELS, FILTERS = ((12, 16), (8, 12), (5, 7)), (16, 24, 32)
CELLS, DROPPED = 128, 0.25


class ConvolutionsLSTM(Network):
    """Convolutions over a spectrogram of up to 3 s, a BLSTM over what is left of its time, and a vote of the segments."""

    front_end = "spectrogram"

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        inputs = (1, *FILTERS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(given, made, kernel) for given, made, kernel in zip(inputs, FILTERS, KERNELS, strict=True)
        )
        bands = len(self.mean) // 2 ** len(FILTERS)
        self.blstm = nn.LSTM(bands * FILTERS[-1], CELLS, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(DROPPED)
        self.head = nn.Linear(2 * CELLS, classes)

    def segments(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (segments, classes) and features (segments, 256) of each utterance's parts, and whose they are."""
        kept = counted(x, lengths)
        x, owner, sizes = cut(self.normalise(x, lengths), even_segments(kept, LONGEST), LONGEST)  # (segments, 300, 200)
        x = x[:, None]
        with reduced(x, self.config.precision):
            for convolution, (high, wide) in zip(self.convolutions, KERNELS, strict=True):
                x = F.pad(x, ((wide - 1) // 2, wide // 2, (high - 1) // 2, high // 2))  # as large behind as before
                x = F.max_pool2d(F.relu(convolution(x)), 2)
        x = x.float().permute(0, 2, 1, 3).flatten(2)  # (segments, 37 steps, 32 x 25)
        steps = (sizes // 2 ** len(FILTERS)).clamp_min(1)
        states, _ = recurrent(self.blstm, x, steps)  # (segments, 37, 256)
        features = states.sum(1) / steps[:, None]  # (segments, 256)
        return self.head(self.dropout(features)), features, owner

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        scores, features, owner = self.segments(x, lengths)
        batch = len(x)
        return Outputs(log_of_mean(scores, owner, batch), mean_by_owner(features, owner, batch), x.new_zeros(batch, 0))

    def loss(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Cross-entropy of each segment with its utterance's label."""
        scores, _, owner = self.segments(x, lengths)
        return F.cross_entropy(scores, labels[owner])

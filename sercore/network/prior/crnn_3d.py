"""Row 7 of Table 1, "3D CRNN [1]": M. Chen, X. He, J. Yang, H. Zhang, "3-D convolutional recurrent neural networks with
attention model for speech emotion recognition", IEEE Signal Processing Letters 25(10), 2018 (64.7 % UA). Their code:
github.com/xuanjihe/speech-emotion-recognition.

Known, from the code: 40 log-Mel energies, their deltas and the deltas of those as three maps, each normalised; segments of 3 s,
padded with zeros after that, of a longer utterance the first and the last; six convolutions of 5 x 3 with 128 and then 256
filters, a pooling of 2 x 4 after the first; a linear layer of 768 with batch norm on each step; a bidirectional LSTM of 128
cells; attention by one sigmoid unit; a dense layer of 64; leaky rectifiers. The utterance is what its surest segment says, class
by class. The code and the paper differ in the training; we take Adam with 1e-4 and batches of 40. Left out: a second softmax
within the code's loss, batch norm that never uses its averages, and the doubling of "happy". Weights are drawn as PyTorch does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs, by_steps
from .pieces import counted, cut, mean_by_owner, recurrent, reduced

SEGMENT = 300  # frames, 3 s
FILTERS = (128, 256, 256, 256, 256, 256)
LINEAR, CELLS, DENSE, LEAK = 768, 128, 64, 0.01


class ConvolutionsOfThreeMaps(Network):
    """Convolutions over energies, deltas and delta-deltas, a BLSTM, attention, and the surest of two segments."""

    front_end = "log_mel_deltas"

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        self.mels = len(self.mean) // 3
        inputs = (3, *FILTERS[:-1])
        self.convolutions = nn.ModuleList(
            nn.Conv2d(given, made, (5, 3), padding="same") for given, made in zip(inputs, FILTERS, strict=True)
        )
        self.linear = nn.Linear(FILTERS[-1] * (self.mels // 4), LINEAR)
        self.norm = nn.BatchNorm1d(LINEAR)
        self.blstm = nn.LSTM(LINEAR, CELLS, batch_first=True, bidirectional=True)
        self.score = nn.Sequential(nn.Linear(2 * CELLS, 1), nn.Sigmoid(), nn.Linear(1, 1, bias=False))
        self.dense = nn.Linear(2 * CELLS, DENSE)
        self.head = nn.Linear(DENSE, classes)

    def segments(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor, Tensor, list[tuple[int, int, int]]]:
        """Scores (segments, classes), features (segments, 64), attention (segments, 150), and which segments they are."""
        places = first_and_last(counted(x, lengths))
        x, _, _ = cut(self.normalise(x, lengths), places, SEGMENT)  # (segments, 300, 3 x 40)
        x = x.unflatten(2, (3, self.mels)).transpose(1, 2)  # (segments, 3, 300, 40)
        with reduced(x, self.config.precision):
            for number, convolution in enumerate(self.convolutions):
                x = F.leaky_relu(convolution(x), LEAK)
                if number == 0:
                    x = F.max_pool2d(x, (2, 4))  # (segments, 128, 150, 10)
            x = self.linear(x.permute(0, 2, 3, 1).flatten(2))  # (segments, 150, 768)
        x = F.leaky_relu(self.norm(x.float().transpose(1, 2)).transpose(1, 2), LEAK)
        states, _ = recurrent(self.blstm, x, torch.full((len(x),), x.shape[1]))  # (segments, 150, 256)
        weights = self.score(states).squeeze(2).softmax(1)  # (segments, 150)
        features = F.leaky_relu(self.dense(torch.einsum("bt,btc->bc", weights, states)), LEAK)  # (segments, 64)
        return self.head(features), features, weights, places

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        scores, features, weights, places = self.segments(x, lengths)
        owner, batch = torch.tensor([place[0] for place in places], device=x.device), len(x)
        said = scores.softmax(-1)
        surest = said.new_zeros(batch, self.classes).scatter_reduce(0, owner[:, None].expand_as(said), said, "amax")
        frames = x.new_zeros(len(places), x.shape[1])
        for row, (_, begin, end) in enumerate(places):
            own = weights[row].repeat_interleave(2)[: end - begin]
            frames[row, begin:end] = own / own.sum()
        attention = by_steps(mean_by_owner(frames, owner, batch))
        return Outputs(surest.clamp_min(torch.finfo(torch.float32).tiny).log(), mean_by_owner(features, owner, batch), attention)

    def loss(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Cross-entropy of each segment with its utterance's label."""
        scores, _, _, places = self.segments(x, lengths)
        return F.cross_entropy(scores, labels[[place[0] for place in places]])


def first_and_last(lengths: Tensor) -> list[tuple[int, int, int]]:
    """The first `SEGMENT` frames of each utterance, and of one that is longer the last: (utterance, begin, end)."""
    found = []
    for number, length in enumerate(lengths.tolist()):
        found.append((number, 0, min(length, SEGMENT)))
        if length > SEGMENT:
            found.append((number, length - SEGMENT, length))
    return found

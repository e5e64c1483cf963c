"""Row 6 of Table 1, "ResNet + MHA [3]": R. Li, Z. Wu, J. Jia, S. Zhao, H. Meng, "Dilated residual network with multi-head
self-attention for speech emotion recognition", ICASSP 2019 (67.4 % UA).

Known: low-level descriptors; a dilated residual network (Yu, Koltun & Funkhouser 2017) that keeps the resolution in time;
multi-head self-attention over what it makes of them. Guessed, and much is: convolutions over time alone, since descriptors have
no neighbours; of Yu et al.'s design a stem of 7, residual blocks of 64, 128, 256 and 256 channels of which the second and third
halve the time and the last ones are dilated by 2 and 4, and two plain layers against their grid; eight heads; the mean over time,
a dense layer of 128 with half of its units dropped; Adam with 1e-4.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ...config import Config
from ..base import Network, Outputs
from ..model import BatchNorm, time_mask
from .pieces import counted, mean_over, reduced

CHANNELS, HEADS, DENSE, DROPPED = 256, 8, 128, 0.5
BLOCKS = ((64, 1, 1), (128, 2, 1), (256, 2, 1), (256, 1, 2), (256, 1, 4))
"""Channels, stride and dilation of each residual block."""


class Convolution(nn.Module):
    """One over time, with batch norm: (batch, inputs, frames) -> (batch, outputs, frames / stride), zero where the mask is
    false."""

    def __init__(self, inputs: int, outputs: int, reach: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, reach, stride, dilation * (reach // 2), dilation, bias=False)
        self.norm = BatchNorm(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.norm(self.conv(x).float()[..., None], mask)[..., 0] * mask[:, None]


class Residual(nn.Module):
    """Two convolutions over three frames each, and the way past them."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, outputs, 3, stride, dilation)
        self.second = Convolution(outputs, outputs, 3, 1, dilation)
        same = inputs == outputs and stride == 1
        self.past = None if same else Convolution(inputs, outputs, 1, stride)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        made = self.second(F.relu(self.first(x, mask)), mask)
        return F.relu(made + (x if self.past is None else self.past(x, mask)))


class DilatedResidual(Network):
    """A dilated residual network over time, self-attention with eight heads, and the mean."""

    front_end = "descriptors"

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__(config, classes)
        self.stem = Convolution(len(self.mean), BLOCKS[0][0], 7)
        inputs = (BLOCKS[0][0], *(block[0] for block in BLOCKS[:-1]))
        self.blocks = nn.ModuleList(Residual(given, *block) for given, block in zip(inputs, BLOCKS, strict=True))
        self.against_grid = nn.ModuleList(Convolution(CHANNELS, CHANNELS, 3, dilation=dilation) for dilation in (2, 1))
        self.attention = nn.MultiheadAttention(CHANNELS, HEADS, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(CHANNELS, DENSE), nn.ReLU(), nn.Dropout(DROPPED))
        self.head = nn.Linear(DENSE, classes)

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        kept = counted(x, lengths)
        mask = time_mask(kept, x.shape[1])
        x = (self.normalise(x, lengths) * mask[:, :, None]).transpose(1, 2)  # (batch, 32, frames)
        with reduced(x, self.config.precision):
            x = F.relu(self.stem(x, mask))  # (batch, 64, frames)
            for block, (_, stride, _) in zip(self.blocks, BLOCKS, strict=True):
                mask = mask[:, ::stride]
                x = block(x, mask)
            for layer in self.against_grid:
                x = F.relu(layer(x, mask))  # (batch, 256, frames / 4)
        x = x.float().transpose(1, 2)
        mixed, _ = self.attention(x, x, x, key_padding_mask=~mask, need_weights=False)
        features = self.dense(mean_over(mixed, mask.sum(1)))  # (batch, 128)
        return Outputs(self.head(features), features, x.new_zeros(len(x), 0))

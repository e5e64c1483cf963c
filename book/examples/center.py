"""Center loss: cross-entropy, and a pull of each feature to the centre of its class.

Wen, Zhang, Li, Qiao: A discriminative feature learning approach, ECCV 2016.
"""

import torch
from torch import nn
from torch.nn import functional as F

from sercore.lab.systems import register
from sercore.network import LOSSES, Softmax

PULL = 0.1


class Center(Softmax):
    def __init__(self, features, classes, config):
        super().__init__(features, classes, config)
        self.centers = nn.Parameter(torch.zeros(classes, features))

    def forward(self, features, labels):
        away = (features - self.centers[labels]).square().sum(1).mean()
        return F.cross_entropy(self.scores(features), labels) + PULL / 2 * away


LOSSES["center"] = Center
register("center", title="Center loss", loss="center")

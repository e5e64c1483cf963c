"""The logits layer and its training criterion: softmax (eq. 1), additive margin softmax (eq. 2) and focal loss (eq. 3).

Each loss is a module that owns the classification weights, so that they are trained, saved and moved with the model:
`scores(features)` gives what is used at test time, calling it with labels gives the value to minimise. A new loss is
one class of this form under a new name in `LOSSES`.

References
----------
Eq. 2: F. Wang, J. Cheng, W. Liu, H. Liu, "Additive margin softmax for face verification", 2018.
Eq. 3: T.-Y. Lin, P. Goyal, R. Girshick, K. He, P. Dollar, "Focal loss for dense object detection", 2017.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import Config
from ..extensions import extensible


def focal_loss(scores: Tensor, labels: Tensor, gamma: float, alpha: Tensor | float = 1.0) -> Tensor:
    """Multi-class focal loss, eq. 3: the mean of `-alpha_t (1 - p_t)^gamma log p_t`.

    `scores` (batch, classes) are logits of any size, `labels` (batch,) class indices, `alpha` a constant or (classes,).
    With `gamma=0` and `alpha=1` it is the cross-entropy of eq. 1. It works on log-probabilities and is finite, with a
    finite gradient, wherever the logits are.
    """
    log_p = F.log_softmax(scores, dim=-1).gather(-1, labels[:, None]).squeeze(-1)
    miss = (-torch.expm1(log_p)).clamp_min(torch.finfo(scores.dtype).tiny)
    weight = alpha[labels] if isinstance(alpha, Tensor) else alpha
    return -(weight * miss**gamma * log_p).mean()


def class_weights(config: Config, classes: int) -> Tensor:
    """The alpha of eq. 3 for each class (classes,): the configuration's own, or its constant for all."""
    return torch.as_tensor(config.alpha, dtype=torch.float32).expand(classes).clone()


class Softmax(nn.Module):
    """Linear logits and cross-entropy, eq. 1: features (batch, features) -> scores (batch, classes)."""

    def __init__(self, features: int, classes: int, config: Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self.bias = nn.Parameter(torch.zeros(classes))
        nn.init.xavier_uniform_(self.weight)

    def scores(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight, self.bias)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.scores(features), labels)


class Focal(Softmax):
    """Linear logits and focal loss, eq. 3."""

    alpha: Tensor

    def __init__(self, features: int, classes: int, config: Config) -> None:
        super().__init__(features, classes, config)
        self.gamma = config.gamma
        self.register_buffer("alpha", class_weights(config, classes))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return focal_loss(self.scores(features), labels, self.gamma, self.alpha)


class AdditiveMargin(nn.Module):
    """Additive margin softmax, eq. 2: cosine scores without bias; the margin is in the training criterion alone."""

    def __init__(self, features: int, classes: int, config: Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self.scale, self.margin = config.scale, config.margin
        nn.init.xavier_uniform_(self.weight)

    def scores(self, features: Tensor) -> Tensor:
        """`s cos_j` (batch, classes), without the margin."""
        return self.scale * F.linear(F.normalize(features, dim=-1), F.normalize(self.weight, dim=-1))

    def margin_scores(self, features: Tensor, labels: Tensor) -> Tensor:
        """`s (cos_j - m)` at the true class, `s cos_j` elsewhere."""
        scores = self.scores(features)
        return scores - self.scale * self.margin * F.one_hot(labels, scores.shape[-1])

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.margin_scores(features, labels), labels)


class AdditiveMarginFocal(AdditiveMargin):
    """Eq. 3 over the scores of eq. 2: a combination that the paper leaves to future work."""

    alpha: Tensor

    def __init__(self, features: int, classes: int, config: Config) -> None:
        super().__init__(features, classes, config)
        self.gamma = config.gamma
        self.register_buffer("alpha", class_weights(config, classes))

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        return focal_loss(self.margin_scores(features, labels), labels, self.gamma, self.alpha)


LOSSES: dict[str, type[Softmax] | type[AdditiveMargin]] = extensible(
    "loss", {"softmax": Softmax, "ams": AdditiveMargin, "focal": Focal, "ams+focal": AdditiveMarginFocal}
)

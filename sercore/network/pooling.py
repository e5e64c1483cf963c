"""From the BLSTM's sequence to one deep feature: attentive pooling (eq. 4) and combined attentive pooling (eq. 4, 5).

A new pooling is one class of this form under a new name in `POOLINGS`.

References
----------
Score: M.-T. Luong, H. Pham, C. D. Manning, "Effective approaches to attention-based neural machine translation", 2015.
Eq. 5: K. Okabe, T. Koshinaka, K. Shinoda, "Attentive statistics pooling for deep speaker embedding", 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import Config
from ..extensions import extensible

VARIANCE_FLOOR = 1e-6
"""Below it a standard deviation counts as constant and hands back no gradient; float32 holds it with room to spare."""


class Attentive(nn.Module):
    """Attentive pooling, eq. 4: the weighted mean of the hidden states.

    hidden (batch, steps, channels), query (batch, channels) the BLSTM's last hidden state, mask (batch, steps) true
    where a step counts, or None for all -> (batch, channels).
    """

    multiple = 1
    """Length of the output in multiples of `channels`."""

    def __init__(self, channels: int, config: Config) -> None:
        super().__init__()
        self.general = nn.Linear(channels, channels, bias=False) if config.score == "general" else None
        if self.general is not None:
            nn.init.xavier_uniform_(self.general.weight)

    def weights(self, hidden: Tensor, query: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attention weights (batch, steps), each row summing to 1, exactly 0 where the mask is false."""
        key = query if self.general is None else self.general(query)
        score = torch.einsum("btc,bc->bt", hidden, key)
        if mask is not None:
            score = score.masked_fill(~mask, -torch.inf)
        return score.softmax(dim=-1)

    def forward(self, hidden: Tensor, query: Tensor, mask: Tensor | None = None) -> Tensor:
        hidden, query = hidden.float(), query.float()
        return weighted_mean(hidden, self.weights(hidden, query, mask))


class Combined(Attentive):
    """Combined attentive pooling, eq. 4 and 5: weighted mean and weighted standard deviation -> (batch, 2 channels)."""

    multiple = 2

    def forward(self, hidden: Tensor, query: Tensor, mask: Tensor | None = None) -> Tensor:
        hidden, query = hidden.float(), query.float()
        weights = self.weights(hidden, query, mask)
        mean = weighted_mean(hidden, weights)
        return torch.cat([mean, weighted_deviation(hidden, weights, mean)], dim=-1)


def weighted_mean(hidden: Tensor, weights: Tensor) -> Tensor:
    """`mu = sum_t a_t h_t`: (batch, steps, channels), (batch, steps) -> (batch, channels)."""
    return torch.einsum("bt,btc->bc", weights, hidden)


def weighted_deviation(hidden: Tensor, weights: Tensor, mean: Tensor) -> Tensor:
    """`sigma = sqrt(sum_t a_t h_t^2 - mu^2)`, computed about the mean so that rounding cannot make it negative."""
    variance = torch.einsum("bt,btc->bc", weights, (hidden - mean[:, None]) ** 2)
    return variance.clamp_min(VARIANCE_FLOOR).sqrt()


POOLINGS: dict[str, type[Attentive]] = extensible("pooling", {"attentive": Attentive, "combined": Combined})

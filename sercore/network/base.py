"""What every network of this house is: frames in, class scores, a deep feature and attention out."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import STEP_FRAMES, Config
from ..errors import SercoreError
from ..frontend.front_ends import FRONT_ENDS

COMMON = ("network", "clip_seconds", "batch_size", "learning_rate", "max_epochs", "patience", "batch_norm", "weights")
COMPUTED = ("precision", "engine")
"""Settings that change how numbers are computed, and are no choice of a system's."""


class Outputs(NamedTuple):
    """What a network says of a batch of utterances."""

    scores: Tensor  # (batch, classes), whose softmax is the probabilities
    features: Tensor  # (batch, features), the deep feature
    attention: Tensor  # (batch, steps) of 0.32 s, each row summing to 1; (batch, 0) of a network that has none


class Network(nn.Module):
    """A network by its configuration. A subclass has `outputs`, and its `loss` where that is not the cross-entropy of its scores.

    The per-band mean and deviation of the training part (`set_normalisation`) are buffers of the model, so that a saved
    model is all that labelling a file needs.
    """

    front_end: ClassVar[str] = "log_mel"
    """What it hears, of `FRONT_ENDS`."""

    reads: ClassVar[tuple[str, ...]] = COMMON
    """The settings that change it; another setting of any of the rest is refused."""

    engine: str = "plain"
    """What computes it: "plain" is PyTorch as it is written down, "fused" the same in less time, where there is such a way."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, config: Config, classes: int) -> None:
        super().__init__()
        self.config, self.classes = config, classes
        bands = FRONT_ENDS[self.front_end].bands
        self.register_buffer("mean", torch.zeros(bands))
        self.register_buffer("deviation", torch.ones(bands))

    def num_parameters(self, count_frozen: bool = False) -> int:
        """Trainable parameters; with `count_frozen` also those that are not, as the LSTM's second bias vector, which Keras
        lacks."""
        return sum(p.numel() for p in self.parameters() if count_frozen or p.requires_grad)

    def set_normalisation(self, mean: Tensor, deviation: Tensor) -> None:
        """Per-band statistics (bands,) of the training part."""
        self.mean.copy_(mean)
        self.deviation.copy_(deviation)

    def normalise(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Zero mean and unit deviation per band; (batch, frames, bands) -> the same."""
        return (x - self.mean) / self.deviation

    def outputs(self, x: Tensor, lengths: Tensor | None = None) -> Outputs:
        """All that is said of frames x (batch, frames, bands), of which lengths (batch,) are before the padding, or all."""
        raise NotImplementedError

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Class scores (batch, classes), without any margin; their softmax is the probabilities."""
        return self.outputs(x, lengths).scores

    def loss(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The training criterion, a scalar: x (batch, frames, bands), labels (batch,)."""
        return F.cross_entropy(self(x, lengths), labels)


def check_settings(network: type[Network], config: Config) -> None:
    """Raise `SercoreError` where `config` sets what `network` does not read: the setting would pass for one that was tried."""
    default = Config(network=config.network).to_dict()
    unread = [
        name for name, value in config.to_dict().items() if value != default[name] and name not in (*network.reads, *COMPUTED)
    ]
    if unread:
        raise SercoreError(
            f"{', '.join(unread)}: the network {config.network!r} has no such setting; it has "
            f"{', '.join(name for name in network.reads if name != 'network')}"
        )


def by_steps(weights: Tensor) -> Tensor:
    """Attention (batch, frames) of 10 ms as that of steps (batch, frames // 32), what is over in the last."""
    batch, frames = weights.shape
    steps = max(frames // STEP_FRAMES, 1)
    whole = F.pad(weights[:, : steps * STEP_FRAMES], (0, max(steps * STEP_FRAMES - frames, 0)))
    summed = whole.view(batch, steps, STEP_FRAMES).sum(2)
    summed[:, -1] += weights[:, steps * STEP_FRAMES :].sum(1)
    return summed

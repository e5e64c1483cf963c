"""The losses beside well-kept libraries: forward and backward of the logits layer and its criterion, microseconds a batch.

AMS (eq. 2) beside pytorch-metric-learning's CosFaceLoss, focal loss (eq. 3) beside kornia's; 64 features, 4 classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import measure

FEATURES, CLASSES, SCALE, MARGIN, GAMMA = 64, 4, 10.0, 0.4, 2.0


def ours(name: str, batch: int) -> Callable[[], Any]:
    from sercore.config import Config
    from sercore.network.losses import LOSSES

    head = LOSSES[name](FEATURES, CLASSES, Config(loss=name, scale=SCALE, margin=MARGIN, gamma=GAMMA))
    return _backward(head, batch)


def metric_learning(batch: int) -> Callable[[], Any]:
    from pytorch_metric_learning.losses import CosFaceLoss

    return _backward(CosFaceLoss(CLASSES, FEATURES, margin=MARGIN, scale=SCALE), batch)


def kornia(batch: int) -> Callable[[], Any]:
    import torch
    from kornia.losses import focal_loss

    layer = torch.nn.Linear(FEATURES, CLASSES)
    return _backward(lambda x, labels: focal_loss(layer(x), labels, alpha=None, gamma=GAMMA, reduction="mean"), batch)


def _backward(criterion: Callable, batch: int) -> Callable[[], Any]:
    import torch

    x, labels = torch.randn(batch, FEATURES, requires_grad=True), torch.arange(batch) % CLASSES
    return lambda: criterion(x, labels).backward()


def main() -> None:
    options = measure.parser(__doc__)
    chosen = options.parse_args()
    rows: list[dict[str, Any]] = []
    for batch in (32,) if chosen.smoke else (32, 4096):
        seconds = measure.compare(
            {
                "AMS, ours": (ours, ("ams", batch)),
                "AMS, pytorch-metric-learning": (metric_learning, (batch,)),
                "focal, ours": (ours, ("focal", batch)),
                "focal, kornia": (kornia, (batch,)),
            },
            chosen,
            times=200,
        )
        rows += [{"batch": batch, "loss": name, "microseconds": taken * 1e6} for name, taken in seconds.items()]
    title = f"The losses, forward and backward, {FEATURES} features, {CLASSES} classes."
    measure.report("losses", chosen, title, rows, {"microseconds": rows})


if __name__ == "__main__":
    main()

"""Adam in one call a step, on a CPU and on a GPU, alike and without what `torch.optim` loads: its first optimiser imports
PyTorch's compiler, which takes longer than a short training."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch


class Adam:
    """Algorithm 1 of Kingma & Ba (2015), with their beta of 0.9 and 0.999, in place on `parameters` (those that take gradients).

    A step can be recorded as a CUDA graph: all of its state, how many steps were taken among it, lies on the parameters' device.
    """

    def __init__(self, parameters: Iterable[torch.nn.Parameter], rate: float, eps: float = 1e-8) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.rate, self.eps = rate, eps
        self.state = [
            {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for parameter in self.parameters
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have a gradient."""
        moved = [
            (parameter, parameter.grad, *state.values())
            for parameter, state in zip(self.parameters, self.state, strict=True)
            if parameter.grad is not None
        ]
        if not moved:
            return
        parameters, gradients, steps, means, squares = map(list, zip(*moved, strict=True))
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self.rate,
            beta1=0.9,
            beta2=0.999,
            weight_decay=0.0,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps, under the names that `torch.optim.Adam` gives it."""
        return {"state": dict(enumerate(self.state))}

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Go on from `state_dict`, of this class or of `torch.optim.Adam`, made on any device."""
        for number, state in enumerate(self.state):
            for name, value in saved["state"][number].items():
                state[name].copy_(value)

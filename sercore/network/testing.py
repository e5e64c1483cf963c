"""The traps that a loss or a pooling of one's own can fall into, tried in one call: `sercore.testing.check("name")`."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from .. import extensions
from ..config import Config
from ..errors import SercoreError, nearest
from .losses import LOSSES
from .pooling import POOLINGS

BATCH, STEPS, CHANNELS, CLASSES = 24, 9, 12, 4
Trap = Callable[[], str | None]


def check(name: str, **settings: object) -> None:
    """Try the loss or the pooling `name` (an entry of `LOSSES` or `POOLINGS`, those of SERCORE_EXTENSIONS too) on every trap.

    Of a loss: gradients against finite differences, huge and zero features, half precision, the same number twice, scores that
    know neither labels nor the rest of the batch, a label order that does not count, and that it can learn two clouds apart. Of
    a pooling: weights that sum to 1, padding that changes nothing, constant states, half precision, gradients, the same twice.
    `settings` are of `Config`. Raises `AssertionError` that lists every trap it fell into.

    >>> check("focal", gamma=5.0)
    """
    extensions.load()
    found = [table for table in (LOSSES, POOLINGS) if name in table]
    if not found:
        known = [*LOSSES, *POOLINGS]
        raise SercoreError(f"no loss and no pooling is called {name!r}; {nearest(name, known)}there are: {', '.join(known)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        wrong = [f"{kind} {name!r}: {said}" for kind, said in _told(name, Config().replace(**settings))]
    assert not wrong, "\n".join(wrong)


def _told(name: str, config: Config) -> Iterator[tuple[str, str]]:
    traps: list[tuple[str, dict[str, Trap]]] = []
    if name in LOSSES:
        traps.append(("loss", _loss_traps(LOSSES[name](CHANNELS, CLASSES, config))))
    if name in POOLINGS:
        traps.append(("pooling", _pooling_traps(POOLINGS[name](CHANNELS, config))))
    for kind, tried in traps:
        for what, trap in tried.items():
            try:
                said = trap()
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            if said:
                yield kind, f"{what}: {said}"


def _loss_traps(loss: nn.Module) -> dict[str, Trap]:
    features, labels = torch.randn(BATCH, CHANNELS), torch.arange(BATCH) % CLASSES
    scores = loss.scores
    assert callable(scores)

    def gradient() -> str | None:
        return _slope(loss, lambda module, x: module(x, labels), features)

    def parameters() -> str | None:
        loss.zero_grad()
        loss(features, labels).backward()
        idle = [key for key, value in loss.named_parameters() if value.requires_grad and value.grad is None]
        return f"no gradient reaches {', '.join(idle)}" if idle else None

    def extremes() -> str | None:
        for what, x in (("features of 1e4", 1e4 * features), ("features of 0", 0 * features)):
            x = x.clone().requires_grad_()
            value = loss(x, labels)
            value.backward()
            if not (value.isfinite() and x.grad is not None and x.grad.isfinite().all()):
                return f"not finite, or its gradient is not, at {what}"
        return None

    def half() -> str | None:
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(features.bfloat16(), labels)
        whole = loss(features.bfloat16().float(), labels)
        return (
            None if abs(value.float() - whole) <= 0.05 * abs(whole) + 0.05 else f"{value:.4f} in bfloat16, {whole:.4f} in float32"
        )

    def alone() -> str | None:
        together, single = scores(features), torch.cat([scores(row[None]) for row in features])
        return None if torch.allclose(together, single, atol=1e-5) else "scores of an utterance depend on the others in its batch"

    def order() -> str | None:
        turned = torch.randperm(BATCH)
        same = torch.allclose(loss(features, labels), loss(features[turned], labels[turned]), rtol=1e-4, atol=1e-6)
        return None if same else "the order of a batch changes it"

    def learns() -> str | None:
        own = copy.deepcopy(loss).train()
        clouds = 3 * torch.eye(CLASSES, CHANNELS)[labels] + 0.3 * features
        optimiser = torch.optim.SGD(own.parameters(), 0.3)
        for _ in range(300):
            optimiser.zero_grad()
            own(clouds, labels).backward()
            optimiser.step()
        right = (own.eval().scores(clouds).argmax(1) == labels).float().mean()  # type: ignore[operator]
        return None if right > 0.95 else f"of clouds that lie apart it has learnt {right:.0%}"

    return {
        "gradient": gradient,
        "parameters": parameters,
        "extremes": extremes,
        "half precision": half,
        "determinism": lambda: _twice(lambda: loss(features, labels)),
        "scores": alone,
        "order": order,
        "learning": learns,
    }


def _pooling_traps(pooling: nn.Module) -> dict[str, Trap]:
    hidden, query = torch.randn(BATCH, STEPS, CHANNELS), torch.randn(BATCH, CHANNELS)
    mask = torch.arange(STEPS) < torch.arange(BATCH)[:, None] % STEPS + 1
    weights = pooling.weights
    assert callable(weights)

    def sums() -> str | None:
        for given in (None, mask):
            found = weights(hidden, query, given)
            if not torch.allclose(found.sum(1), torch.ones(BATCH), atol=1e-4) or (found < 0).any():
                return "attention weights are not shares of 1"
        return None if (weights(hidden, query, mask)[~mask] == 0).all() else "padding has attention"

    def padding() -> str | None:
        other = hidden.masked_fill(~mask[:, :, None], 7.0)
        same = torch.allclose(pooling(hidden, query, mask), pooling(other, query, mask), atol=1e-4)
        return None if same else "what stands in the padding changes the feature"

    def shape() -> str | None:
        multiple = pooling.multiple
        expected = (BATCH, CHANNELS * int(multiple))  # type: ignore[arg-type]
        found = tuple(pooling(hidden, query, None).shape)
        return None if found == expected else f"the feature has the shape {found}, not {expected}"

    def constant() -> str | None:
        for dtype in (torch.float32, torch.bfloat16):
            x = torch.ones(BATCH, STEPS, CHANNELS, dtype=dtype).requires_grad_()
            value = pooling(x, query.to(dtype), None)
            value.float().sum().backward()
            if not (value.isfinite().all() and x.grad is not None and x.grad.isfinite().all()):
                return f"not finite, or its gradient is not, for constant states in {dtype}"
        return None

    def half() -> str | None:
        found, whole = pooling(hidden.bfloat16(), query.bfloat16(), mask), pooling(hidden, query, mask)
        return None if (found.float() - whole).abs().max() < 0.1 else "far from float32 in bfloat16"

    return {
        "weights": sums,
        "padding": padding,
        "shape": shape,
        "constant states": constant,
        "half precision": half,
        "gradient": lambda: _slope(pooling, lambda module, x: module(x, query.double(), mask).square().sum(), hidden),
        "determinism": lambda: _twice(lambda: pooling(hidden, query, mask)),
    }


def _slope(module: nn.Module, value: Callable[[nn.Module, Tensor], Tensor], at: Tensor) -> str | None:
    """Whether the gradient at `at` is the slope of the value, along a drawn direction."""
    own, x = copy.deepcopy(module).double().eval(), at.double().requires_grad_()
    value(own, x).backward()
    if x.grad is None:
        return "no gradient reaches the input"
    direction = torch.randn_like(x)
    found = float((x.grad * direction).sum())
    for step in (1e-3, 1e-4, 1e-5):  # a short one crosses no kink, as maxima have; a long one outdoes what is rounded to float32
        with torch.no_grad():
            ahead, behind = (float(value(own, x + sign * step * direction)) for sign in (1, -1))
        expected = (ahead - behind) / (2 * step)
        if abs(found - expected) <= 0.02 * abs(expected) + 0.02:
            return None
    return f"{found:.4f} along a line whose slope is {expected:.4f}"


def _twice(compute: Callable[[], Tensor]) -> str | None:
    return None if torch.equal(compute(), compute()) else "the same input gives another value the second time"

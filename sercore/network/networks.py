"""The networks by name: the paper's own, and the earlier systems that its Table 1 sets beside it. `build` makes one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from .. import bounds, extensions
from ..bounds import shown
from ..config import Config
from ..errors import SercoreError, nearest
from ..extensions import extensible
from . import model
from .base import Network, check_settings
from .prior import PRIOR

NETWORKS: dict[str, type[Network]] = extensible("network", {"proposed": model.SERModel, **PRIOR})
"""name -> class; a network of your own is one class of the form of `sercore.network.prior` and an entry here."""


def find(config: Config) -> type[Network]:
    """The class that `config` names; a name that there is not raises `SercoreError`."""
    extensions.load()
    if config.network not in NETWORKS:
        raise SercoreError(
            f"cannot build the model: unknown network {config.network!r} ({nearest(config.network, NETWORKS)}there are: "
            f"{', '.join(NETWORKS)}); {extensions.VARIABLE} names files that add to them"
        )
    return NETWORKS[config.network]


def check(config: Config, classes: int) -> None:
    """Raise `SercoreError` where `config` names a network, a loss or a pooling that is not there, or sets what it does not
    read."""
    if isinstance(classes, bool) or not isinstance(classes, int) or not 1 <= classes <= bounds.MOST_CLASSES:
        raise SercoreError(f"classes={classes!r}: how many labels there are, a whole number to {bounds.MOST_CLASSES}")
    network = find(config)
    check_settings(network, config)
    if issubclass(network, model.SERModel):
        model.check(config, classes)


def own_code(config: Config) -> dict[str, str]:
    """Checksums of the network, the loss and the pooling where they come from a file of the user's own."""
    network = find(config)
    if issubclass(network, model.SERModel):
        return model.own_code(config)
    checksum = extensions.checksum(network)
    return {"network": checksum} if checksum else {}


def construct(config: Config, classes: int) -> Network:
    """A network with weights as they are drawn now."""
    check(config, classes)
    return find(config)(config, classes)


def of_state(config: Config, classes: int, state: Mapping[str, Tensor]) -> Network:
    """A network with the weights `state`, in evaluation mode.

    Raises `SercoreError` where these have other names or shapes, before any memory is taken; of a network with code of a user's
    own, which may not be made without, after it.
    """
    check(config, classes)
    if not own_code(config):
        wanted, found = _shapes(config, classes), {name: _shape(value) for name, value in state.items()}
        differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
        if differing:
            raise SercoreError(f"its weights are not of its configuration: {', '.join(map(shown, differing[:5]))}")
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, and then thrown away
        network = construct(config, classes)
    network.load_state_dict(dict(state))
    return network.eval()


@functools.lru_cache(maxsize=8)
def _shapes(config: Config, classes: int) -> dict[str, tuple[int, ...] | None]:
    """The names and shapes of the weights of a network of the package's, which takes no memory for them."""
    with torch.device("meta"):
        return {name: _shape(value) for name, value in find(config)(config, classes).state_dict().items()}


def _shape(value: Any) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def build(config: Config, classes: int = 4, seed: int = 0) -> Network:
    """A network with weights drawn from `seed`, whatever was drawn before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return construct(config, classes)

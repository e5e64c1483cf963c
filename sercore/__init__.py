"""sercore: speech emotion recognition with discriminative features, after Zhou and Liu (Interspeech 2020).

import sercore
model = sercore.build("combined")               # any system of Table 2, by its slug
table = sercore.load("emodb")                   # a corpus as a table of utterances
sercore.run("emodb", "speaker", "baseline")     # train and test one fold, leave a record
sercore.predict("speech.wav")                   # label a file
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import Config
from .errors import SercoreError

if TYPE_CHECKING:
    from .corpora import load
    from .evidence import publish
    from .inference import load_model, predict
    from .lab.experiment import run
    from .network import Network, testing

__version__ = "0.2.0"
__all__ = ["Config", "SercoreError", "__version__", "build", "load", "load_model", "predict", "publish", "run", "testing"]

_HOMES = {"load": "corpora", "run": "lab.experiment", "predict": "inference", "load_model": "inference", "publish": "evidence"}


def build(system: str = "baseline", classes: int = 4, seed: int = 0, **overrides: Any) -> Network:
    """The untrained model of a system, by its slug; `overrides` change any setting of `Config` that the slug does not set.

    Raises `SercoreError` for an unknown system or setting, and for overrides that the slug contradicts.

    >>> import torch
    >>> model = build("combined")
    >>> model(torch.zeros(2, 750, 40)).shape  # (batch, frames, mels) -> (batch, classes)
    torch.Size([2, 4])
    """
    from . import network
    from .lab import systems

    return network.build(systems.config(system, None, overrides), classes, seed)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    # imported when first used: training needs neither audio files nor the command line
    from importlib import import_module

    if name == "testing":
        return import_module(".network.testing", __name__)
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

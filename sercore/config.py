"""One configuration for one training: every setting of the paper, and every point it leaves open.

The defaults are the baseline of the paper in our default reading. A system of Table 2 is a few overrides over them
(`sercore.lab.systems`); a corpus sets `clip_seconds`, `max_epochs` and `patience` (`sercore.corpora`).
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .bounds import MOST_CLASSES, shown
from .errors import SercoreError, nearest

POOLED = 5
"""Sub-modules of the CNN that end in 2 x 2 pooling, whatever the settings: all but the last."""

STEP_FRAMES = 2**POOLED
"""Frames of 10 ms that a step after the CNN stands for."""

STEP_SECONDS = STEP_FRAMES / 100

CHOICES = {
    "lstm_merge": ("concat", "sum"),
    "score": ("dot", "general"),
    "toolkit": ("keras", "pytorch"),
    "normalisation": ("corpus", "utterance", "level"),
    "precision": ("float32", "bfloat16"),
    "engine": ("auto", "plain", "fused"),
    "batch_norm": ("running", "recalibrated"),
    "weights": ("last", "averaged"),
}


MOST = {"lstm_cells": 4096, "clip_seconds": 600, "batch_size": 2**16}
"""What takes memory, and the most of it that is no mistake."""

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "a text"}
_ACCEPTED: dict[type, tuple[type, ...]] = {float: (float, int)}


@dataclass(frozen=True)
class Config:
    """Settings of one training. Unknown names and impossible values raise `SercoreError`, all of them at once.

    The loss:

    - `loss`: "softmax" (eq. 1), "ams" (eq. 2), "focal" (eq. 3), "ams+focal", or one of your own.
    - `scale`, `margin`: s and m of AMS.
    - `gamma`: focusing parameter of the focal loss.
    - `alpha`: its balancing parameter: one constant as in the paper, or one for each class.

    The network:

    - `network`: "proposed", the paper's, which the settings below are of; an earlier system of its Table 1
      (`sercore.network.prior`), or one of your own, which have those of the training alone.
    - `pooling`: "attentive" (eq. 4), "combined" (eq. 4 and 5), or one of your own.
    - `score`: "dot" is Luong's score with the BLSTM's last hidden state; "general" has a weight matrix.
    - `lstm_cells`: in each direction.
    - `lstm_merge`: how the two directions meet, "concat" or "sum".
    - `dropout`: after every sub-module of the CNN.
    - `masked`: True leaves padding out of attention, statistics, batch norm and BLSTM.
    - `toolkit`: "keras" or "pytorch", whose defaults fill what the paper leaves out.
    - `normalisation`: "corpus" is per Mel band over the training part, "utterance" over each utterance, after its gain has been
      taken out (`log_mel.regained`); "level" is "corpus" after each utterance's loudest cell has been put at 0 dB, so that how
      far away a microphone was does not count.

    The input:

    - `clip_seconds`: utterances are cut or zero-padded to this length.

    The training:

    - `batch_size`, `learning_rate`, `max_epochs`: as named.
    - `patience`: epochs without a better validation accuracy before it ends.
    - `batch_norm`: what it is evaluated with: "running", moving averages as toolkits keep them, or "recalibrated", statistics
      averaged anew over the training part before each evaluation.
    - `weights`: what is evaluated and kept: the "last" of an epoch, or "averaged" over the last five (needs "recalibrated").
    - `precision`: "float32" or "bfloat16", of what convolutions read and write; all else stays float32.
    - `engine`: of the CNN: "plain" PyTorch, "fused" passes (Numba on a CPU, Triton on a GPU), or "auto".
    """

    loss: str = "softmax"
    scale: float = 10.0
    margin: float = 0.4
    gamma: float = 2.0
    alpha: float | tuple[float, ...] = 1.0

    network: str = "proposed"
    pooling: str = "attentive"
    score: str = "dot"
    lstm_cells: int = 32
    lstm_merge: str = "concat"
    dropout: float = 0.25
    masked: bool = False
    toolkit: str = "keras"
    normalisation: str = "corpus"

    clip_seconds: float = 7.5

    batch_size: int = 32
    learning_rate: float = 1e-4
    max_epochs: int = 100
    patience: int = 10
    batch_norm: str = "running"
    weights: str = "last"
    precision: str = "float32"
    engine: str = "auto"

    def __post_init__(self) -> None:
        types = {name: type(getattr(Config, name)) for name in self.to_dict() if name != "alpha"}
        strange = [name for name, kind in types.items() if not isinstance(getattr(self, name), _ACCEPTED.get(kind, kind))]
        if strange:
            kinds = [f"{name}={shown(getattr(self, name))} is not {_KINDS[types[name].__name__]}" for name in strange]
            raise SercoreError("impossible settings: " + "; ".join(kinds))
        wrong = [
            f"{name}={shown(getattr(self, name))} (choose from {', '.join(options)})"
            for name, options in CHOICES.items()
            if getattr(self, name) not in options
        ]
        positive = ("scale", "lstm_cells", "batch_size", "learning_rate", "max_epochs", "patience")
        wrong += [f"{name}={shown(value)} (must be above 0)" for name in positive if not _positive(value := getattr(self, name))]
        most = {name: high for name, high in MOST.items() if getattr(self, name) > high}
        wrong += [f"{name}={shown(getattr(self, name))} (must be {high} at most)" for name, high in most.items()]
        least = {"margin": 0, "gamma": 0, "clip_seconds": STEP_SECONDS}
        wrong += [
            f"{name}={shown(value)} (must be {low} or more)"
            for name, low in least.items()
            if not low <= (value := getattr(self, name)) < math.inf
        ]
        if not 0 <= self.dropout < 1:
            wrong.append(f"dropout={self.dropout!r} (must be in [0, 1))")
        alphas = self.alpha if isinstance(self.alpha, tuple) else (self.alpha,)
        if not 0 < len(alphas) <= MOST_CLASSES or not all(map(_positive, alphas)):
            wrong.append(f"alpha={shown(self.alpha)} (must be above 0, one number or one for each class)")
        if self.weights == "averaged" and self.batch_norm == "running":
            wrong.append("weights='averaged' with batch_norm='running' (moving averages belong to other weights: recalibrated)")
        if wrong:
            raise SercoreError("impossible settings: " + "; ".join(wrong))

    def replace(self, **overrides: Any) -> Config:
        """A copy with `overrides`; unknown names raise `SercoreError`. Text is read as the setting's own type.

        >>> Config().replace(loss="ams", scale="30").scale
        30.0
        """
        fields = {field.name: field for field in dataclasses.fields(self)}
        unknown = sorted(set(overrides) - set(fields))
        if unknown:
            few = [name if name.isidentifier() and len(name) < 80 else shown(name) for name in unknown[:20]]
            hint = "".join(nearest(name, fields) for name in few)
            raise SercoreError(f"unknown settings: {', '.join(few)}; {hint}There are: {', '.join(fields)}")
        typed = {name: _typed(name, value, getattr(Config, name)) for name, value in overrides.items()}
        return dataclasses.replace(self, **typed)

    def to_dict(self) -> dict[str, Any]:
        """Every setting by its name."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, so that equal configurations have equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        """The defaults with `settings`, as `to_dict` gives them; unknown names and impossible values raise `SercoreError`."""
        if not isinstance(settings, dict) or not all(isinstance(name, str) for name in settings):
            raise SercoreError(f"settings must be a dictionary of names, not {shown(settings)}")
        return cls().replace(**settings)


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """`setting=value` texts as a dictionary; all that are of another form raise `SercoreError`, together."""
    pairs = [(text, *text.partition("=")) for text in texts]
    if wrong := [text for text, name, equals, value in pairs if not (name and equals and value)]:
        raise SercoreError(f"{', '.join(map(repr, wrong))}: write setting=value, as in max_epochs=5", offenders=wrong)
    return {name: value for _, name, _, value in pairs}


def _positive(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value <= sys.float_info.max


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    try:
        if not isinstance(value, str) or isinstance(default, str):
            return float(value) if isinstance(default, float) and isinstance(value, int) else value
        if isinstance(default, bool):
            return {"true": True, "false": False}[value.lower()]
        if name == "alpha" and "," in value:
            return tuple(float(part) for part in value.split(","))
        return type(default)(value)
    except (KeyError, ValueError, OverflowError):
        raise SercoreError(f"{name}={shown(value)} is not {_KINDS[type(default).__name__]}") from None

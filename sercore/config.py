"""One configuration for one training: every setting of the paper, and every point it leaves open.

The defaults are the baseline of the paper in our default reading. A system of Table 2 is a few overrides over them
(`sercore.systems`); a corpus sets `clip_seconds`, `max_epochs` and `patience` (`sercore.corpora`).
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from .errors import SercoreError, nearest

POOLED = 5
"""Sub-modules of the CNN that end in 2 x 2 pooling, whatever the settings: all but the last."""

STEP_SECONDS = 2**POOLED / 100
"""Time that a step after the CNN stands for."""

CHOICES = {
    "lstm_merge": ("concat", "sum"),
    "score": ("dot", "general"),
    "toolkit": ("keras", "pytorch"),
    "normalisation": ("corpus", "utterance"),
    "precision": ("float32", "bfloat16"),
    "engine": ("auto", "plain", "fused", "compiled"),
}


@dataclass(frozen=True)
class Config:
    """Settings of one training. Unknown names and impossible values raise `SercoreError`, all of them at once."""

    # the loss: "softmax" (eq. 1), "ams" (eq. 2), "focal" (eq. 3) or "ams+focal"
    loss: str = "softmax"
    scale: float = 10.0  # s of AMS
    margin: float = 0.4  # m of AMS
    gamma: float = 2.0  # focusing parameter of the focal loss
    alpha: float | tuple[float, ...] = 1.0  # balancing parameter: one constant as in the paper, or one per class

    # the network
    pooling: str = "attentive"  # eq. 4, or "combined" (eq. 4 and 5)
    score: str = "dot"  # Luong's score with the BLSTM's last hidden state; "general" has a weight matrix
    lstm_cells: int = 32  # in each direction
    lstm_merge: str = "concat"  # how the two directions meet
    dropout: float = 0.25
    masked: bool = False  # True: padding is left out of attention, statistics, batch norm and BLSTM
    toolkit: str = "keras"  # whose defaults fill what the paper leaves out
    normalisation: str = "corpus"  # per Mel band over the training part, or over each utterance

    # the input
    clip_seconds: float = 7.5  # utterances are cut or zero-padded to this length

    # the training
    batch_size: int = 32
    learning_rate: float = 1e-4
    max_epochs: int = 100
    patience: int = 10  # epochs without a better validation accuracy
    precision: str = "float32"  # of what convolutions read and write; statistics, BLSTM, loss and weights stay float32
    engine: str = "auto"  # of the CNN: "plain" PyTorch, "fused" passes (default on a CPU), "compiled" (default on a GPU)

    def __post_init__(self) -> None:
        wrong = [
            f"{name}={getattr(self, name)!r} (choose from {', '.join(options)})"
            for name, options in CHOICES.items()
            if getattr(self, name) not in options
        ]
        positive = ("scale", "lstm_cells", "clip_seconds", "batch_size", "learning_rate", "max_epochs", "patience")
        wrong += [f"{name}={getattr(self, name)!r} (must be above 0)" for name in positive if getattr(self, name) <= 0]
        negative = [name for name in ("margin", "gamma") if getattr(self, name) < 0]
        wrong += [f"{name}={getattr(self, name)!r} (must be 0 or more)" for name in negative]
        if not 0 <= self.dropout < 1:
            wrong.append(f"dropout={self.dropout!r} (must be in [0, 1))")
        if wrong:
            raise SercoreError("impossible settings: " + "; ".join(wrong))

    def replace(self, **overrides: Any) -> Config:
        """A copy with `overrides`; unknown names raise `SercoreError`. Text is read as the setting's own type."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        unknown = sorted(set(overrides) - set(fields))
        if unknown:
            hint = "".join(nearest(name, fields) for name in unknown)
            raise SercoreError(f"unknown settings: {', '.join(unknown)}; {hint}There are: {', '.join(fields)}")
        typed = {name: _typed(name, value, getattr(Config, name)) for name, value in overrides.items()}
        return dataclasses.replace(self, **typed)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, so that equal configurations have equal texts."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Config:
        return cls().replace(**settings)


def _typed(name: str, value: Any, default: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str) or isinstance(default, str):
        return float(value) if isinstance(default, float) and isinstance(value, int) else value
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[value.lower()]
        if name == "alpha" and "," in value:
            return tuple(float(part) for part in value.split(","))
        return type(default)(value)
    except (KeyError, ValueError):
        kind = {"int": "a whole number", "float": "a number", "bool": "true or false"}[type(default).__name__]
        raise SercoreError(f"{name}={value!r} is not {kind}") from None

"""Fit one model on one split: Adam, early stopping on the accuracy of a part that chooses, best weights kept.

Everything random in an epoch is drawn from the seed and the epoch's number, so a run that was killed goes on from its
checkpoint to the result it would have had, bit for bit on the CPU.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import os
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import machine
from ..config import Config
from ..errors import SercoreError
from ..frontend.inputs import Inputs
from ..frontend.log_mel import clip_frames
from ..network.base import Network
from ..network.engines import cuda_graph
from ..network.engines.adam import Adam
from ..network.model import SERModel
from ..network.networks import own_code
from . import averages, metrics

EVALUATION_BATCH = {"cpu": 64, "cuda": 256}

CHECKPOINT_SECONDS = {"cpu": 0, "cuda": 10}
"""Between two checkpoints at least; a GPU has trained an epoch in less time than it takes to save it."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """Frames with class indices: what a model is fitted to."""

    inputs: Inputs
    labels: np.ndarray  # (utterances,) class indices
    classes: int

    def batch(self, indices: np.ndarray, frames: int) -> tuple[Tensor, Tensor, Tensor]:
        """Frames (batch, frames, bands), lengths (batch,), labels (batch,)."""
        x, lengths = self.inputs.batch(indices, frames)
        return x, lengths, torch.from_numpy(self.labels[indices].astype(np.int64))


class Predicted(NamedTuple):
    """What a model says of utterances, float32."""

    probabilities: np.ndarray  # (utterances, classes)
    features: np.ndarray  # (utterances, features), the deep feature
    attention: np.ndarray  # (utterances, steps), each row summing to 1; (utterances, 0) of a network that has none


@dataclass
class History:
    """One dictionary an epoch (from 1): losses and accuracies of the training and of the part that chooses."""

    epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def chosen_epoch(self) -> int:
        """The first epoch with the highest WA on the part that chooses; 0 before there is one."""
        best = max((epoch["chooser_wa"] for epoch in self.epochs), default=0.0)
        return next((int(epoch["epoch"]) for epoch in self.epochs if epoch["chooser_wa"] == best), 0)

    def exhausted(self, config: Config) -> bool:
        """True at `max_epochs`, or when `patience` epochs brought no better accuracy."""
        done = len(self.epochs)
        return done >= config.max_epochs or (done > 0 and done - self.chosen_epoch >= config.patience)


class Chooser(NamedTuple):
    """A part that chooses the epoch which is kept, and how the model is evaluated and kept for it (see `Config`)."""

    indices: np.ndarray
    batch_norm: str = "running"
    weights: str = "last"


@dataclass
class Kept:
    """What one choosing part came to: the epochs as it saw them, and the weights of the one that it chose."""

    history: History
    weights: dict[str, Tensor]


def fit(
    model: Network,
    data: Labelled,
    train: np.ndarray,
    choosers: Mapping[str, Chooser],
    seed: int = 0,
    checkpoint: Path | None = None,
    identity: str = "",
    report: Callable[[dict[str, float], Config], None] | None = None,
) -> dict[str, Kept]:
    """Train `model` in place on the utterances `train` (indices); each of `choosers` decides which epoch it keeps.

    Several choosers share the training and nothing else: each comes to what it would have come to alone, and training ends when
    the last has stopped. The model ends with the weights that the first chose. Returned is what each came to. The statistics for
    the normalisation come from `train` alone. With `checkpoint` (a file's path) every epoch is saved there (on a GPU what there
    is after ten seconds), and training goes on from it if it was made for the same `identity` (a text that names configuration
    and data) and for these choosers. `report` is called after each epoch with its values by the first chooser that goes on, and
    the configuration. Raises `SercoreError` where the loss is no longer finite, and for an engine that the device cannot run.
    """
    config, device = model.config, next(model.parameters()).device
    frames = clip_frames(config.clip_seconds)
    model.engine = choose_engine(config, device)
    if isinstance(model, SERModel) and model.engine != "fused":  # whose passes take weights as they are defined
        model.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third faster on a CPU
    model.set_normalisation(*data.inputs.normalisation(train, frames, model.config.normalisation == "level"))
    optimiser = Adam(model.parameters(), config.learning_rate, eps=1e-7 if config.toolkit == "keras" else 1e-8)
    kept, epoch = {part: Kept(History(), _copy(model.state_dict())) for part in choosers}, 0
    averaged = None
    if any(chooser.weights == "averaged" for chooser in choosers.values()):
        averaged = averages.AveragedWeights(model, averages.EPOCHS * math.ceil(len(train) / config.batch_size))
    if checkpoint is not None and (saved := _load(checkpoint, identity, kept, device)) is not None:
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        kept = {part: Kept(History(saved["histories"][part]), saved["weights"][part]) for part in kept}
        epoch = saved["epoch"]
        if averaged is not None:
            averaged.load_state_dict(saved["averaged"])
    after_step = averaged.update if averaged is not None else lambda: None
    steps, last_saved = _record(model, data, train, optimiser, frames), time.perf_counter()
    while open_ := [part for part in choosers if not kept[part].history.exhausted(config)]:
        started, epoch = time.perf_counter(), epoch + 1
        loss = _train_epoch(model, data, train, optimiser, frames, seed, epoch, steps, after_step)
        if not math.isfinite(loss):
            raise _diverged(config, f"in epoch {epoch} its loss is {loss}")
        trained = time.perf_counter() - started
        for batch_norm, weights in dict.fromkeys(choosers[part][1:] for part in open_):
            started = time.perf_counter()
            batches = _calibration_batches(data, train, config, seed, device)
            shown = averaged if weights == "averaged" else None
            with averages.as_evaluated(model, batch_norm, shown, batches):
                shared = trained + time.perf_counter() - started
                for part in open_:
                    if choosers[part][1:] != (batch_norm, weights):
                        continue
                    started, own = time.perf_counter(), kept[part]
                    values = {"epoch": epoch, "train_loss": loss, **evaluate(model, data, choosers[part].indices)}
                    own.history.epochs.append({**values, "seconds": shared + time.perf_counter() - started})
                    if own.history.chosen_epoch == epoch:
                        own.weights = _copy(model.state_dict())
        if checkpoint is not None and time.perf_counter() - last_saved >= CHECKPOINT_SECONDS.get(device.type, 0):
            _save(checkpoint, identity, epoch, model, optimiser, averaged, kept)
            last_saved = time.perf_counter()
        if report is not None:
            report(kept[open_[0]].history.epochs[-1], config)
    model.load_state_dict(next(iter(kept.values())).weights)
    return kept


def choose_engine(config: Config, device: torch.device) -> str:
    """The engine that the configuration names; by default what is fastest on the device. An earlier system has one alone."""
    if config.network != "proposed":
        return "plain"
    needs = {"cpu": "numba", "cuda": "triton"}.get(device.type)
    if config.engine == "fused" and needs is None:
        raise SercoreError(f"engine='fused' computes on a CPU or with CUDA, not on {device}: choose auto or plain")
    if config.engine != "auto":
        return config.engine
    return "fused" if needs and importlib.util.find_spec(needs) else "plain"


def _record(model: Network, data: Labelled, train: np.ndarray, optimiser: Adam, frames: int) -> cuda_graph.Steps | None:
    """The steps of this training as CUDA graphs. None on a CPU, and where a step may wait for the GPU's answer: at lengths
    that cuDNN packs by, as the earlier systems do, and in code of the user's own."""
    device, size = next(model.parameters()).device, model.config.batch_size
    if device.type != "cuda" or not isinstance(model, SERModel) or model.config.masked or own_code(model.config):
        return None
    sizes = {min(size, len(train)), len(train) % size} - {0}
    return cuda_graph.Steps(model, optimiser, _on_device(data, frames, device), sizes)


def _train_epoch(
    model: Network,
    data: Labelled,
    train: np.ndarray,
    optimiser: Adam,
    frames: int,
    seed: int,
    epoch: int,
    steps: cuda_graph.Steps | None = None,
    after_step: Callable[[], None] = lambda: None,
) -> float:
    """One pass over the training part in an order drawn from seed and epoch; the mean loss of an utterance."""
    device, size = next(model.parameters()).device, model.config.batch_size
    draw = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    order = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(draw)).numpy()]
    torch.manual_seed(draw)
    if steps is not None:
        return steps(torch.from_numpy(order).to(device), size, after_step)
    model.train()
    losses, sizes = [], []
    for start in range(0, len(order), size):
        x, lengths, labels = _batch(data, order[start : start + size], frames, device)
        loss = model.loss(x, labels, lengths)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        after_step()
        sizes.append(len(x))
        losses.append(loss.detach())  # without waiting for a GPU
    values = torch.stack(losses).tolist()
    if (batch := next((number for number, value in enumerate(values, 1) if not math.isfinite(value)), 0)) != 0:
        raise _diverged(model.config, f"in epoch {epoch} the loss of batch {batch} is {values[batch - 1]}")
    return float(np.average(values, weights=sizes))


def _diverged(config: Config, how: str) -> SercoreError:
    return SercoreError(
        f"the training has diverged: {how}. A smaller learning_rate than {config.learning_rate} may help; a loss of your own "
        f"(this one is {config.loss!r}) may divide by 0 or take the logarithm of it"
    )


def _calibration_batches(
    data: Labelled, train: np.ndarray, config: Config, seed: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Log-Mel and lengths of the same part of the training utterances each time, drawn from the seed."""
    drawn = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed)).numpy()[: averages.UTTERANCES]
    for start in range(0, len(drawn), config.batch_size):
        rows = train[drawn[start : start + config.batch_size]]
        x, lengths, _ = _batch(data, rows, clip_frames(config.clip_seconds), device)
        yield x, lengths


def _batch(data: Labelled, indices: np.ndarray, frames: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """`Labelled.batch` on the device; a GPU holds the whole corpus, cut and padded."""
    if device.type == "cpu":
        return data.batch(indices, frames)
    rows = torch.from_numpy(indices).to(device)
    x, lengths, labels = _on_device(data, frames, device)
    return x[rows], lengths[rows], labels[rows]


@functools.lru_cache(maxsize=1)
def _on_device(data: Labelled, frames: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    x, lengths, labels = data.batch(np.arange(len(data.labels)), frames)
    return x.to(device), lengths.to(device), labels.to(device)


def evaluate(model: Network, data: Labelled, indices: np.ndarray) -> dict[str, float]:
    """Loss (cross-entropy of the scores, without margin or focus), WA and UA of the part that chooses."""
    probabilities = predict(model, data, indices).probabilities
    if not np.isfinite(probabilities).all():
        raise _diverged(model.config, "its weights have grown beyond all numbers, and the model's probabilities are none")
    labels = data.labels[indices]
    true = probabilities[np.arange(len(labels)), labels]
    predictions = probabilities.argmax(1)
    return {
        "chooser_loss": float(-np.log(np.maximum(true, 1e-12)).mean()),
        "chooser_wa": metrics.wa(labels, predictions, data.classes),
        "chooser_ua": metrics.ua(labels, predictions, data.classes),
    }


@torch.inference_mode()
def predict(model: Network, data: Labelled, indices: np.ndarray) -> Predicted:
    """Probabilities, deep features and attention of the utterances `indices`."""
    device, frames = next(model.parameters()).device, clip_frames(model.config.clip_seconds)
    model.eval()
    found = []
    size = EVALUATION_BATCH.get(device.type, 64)
    for start in range(0, len(indices), size):
        x, lengths, _ = _batch(data, indices[start : start + size], frames, device)
        scores, deep, attention = model.outputs(x, lengths)
        found.append((scores.float().softmax(-1), deep.float(), attention.float()))
    return Predicted(*(torch.cat(parts).cpu().numpy() for parts in zip(*found, strict=True)))


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


def _save(
    path: Path,
    identity: str,
    epoch: int,
    model: Network,
    optimiser: Adam,
    averaged: averages.AveragedWeights | None,
    kept: Mapping[str, Kept],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "epoch": epoch}
    if averaged is not None:
        state["averaged"] = averaged.state_dict()
    state["histories"] = {part: own.history.epochs for part, own in kept.items()}
    state["weights"] = {part: own.weights for part, own in kept.items()}
    machine.save({"identity": identity, **state}, partial)
    os.replace(partial, path)


def _load(path: Path, identity: str, choosers: Collection[str], device: torch.device) -> dict[str, Any] | None:
    """The checkpoint, or None where there is none that is whole, of this identity and with these choosers (a warning says so)."""
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # whatever a damaged file raises, the answer is to start over
        warnings.warn(machine.printable(f"{path} cannot be read ({error}); training starts over"), stacklevel=3)
        return None
    if saved["identity"] != identity or not set(choosers) <= set(saved.get("histories", ())):
        warnings.warn(machine.printable(f"{path} belongs to other settings or data; training starts over"), stacklevel=3)
        return None
    return saved

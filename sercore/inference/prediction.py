"""Label audio files: class probabilities from a model that was trained here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..corpora.base import audio_files
from ..errors import SercoreError
from ..frontend.log_mel import MELS, PADDING, clip_frames, log_mel
from ..lab import records
from ..network.model import Block, SERModel

PRETRAINED = Path(__file__).parent / "pretrained" / "emodb.pt"
"""The model that comes with the package: trained on EmoDB, acted German speech of ten speakers.

It is `model.pt` of a published run under protocol `speaker`: of the system with the best mean validation accuracy over
the folds, the fold with the best. Neither choice looked at a test part.
"""


SHORT_SECONDS = 0.3
"""Shorter than the shortest word: what is left is silence that the model was padded with."""


def predict(
    files: str | Path | Iterable[str | Path],
    model: str | Path | None = None,
    unread: list[str] | None = None,
    doubtful: list[str] | None = None,
) -> pd.DataFrame:
    """Label files: columns file, label, one probability a class (named by it), seconds, windows.

    A probability is the network's, and tells of the recordings that it was trained on: it has not been calibrated, and can be
    as sure of noise as of speech. How well it did on speakers that it had not heard stands in the book, page `voice`.
    A folder stands for the audio files in it and below.

    `model` is a `model.pt` or the folder of a run (default: the one that comes with the package). Files longer than the
    model's clip are heard in windows of that length, half overlapping, whose probabilities are averaged. All files that
    cannot be read are named in one `SercoreError`; with `unread`, a list, their messages go there and the others are labelled.
    Files that are labelled but hold next to no speech (silent, or very short), and files of a folder that are passed over,
    are named in the list `doubtful`.
    """
    from ..frontend import audio

    given = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    if strange := sorted({type(name).__name__ for name in given if not isinstance(name, (str, os.PathLike))}):
        raise SercoreError(f"files are given by their paths, not as {', '.join(strange)}: write samples to a file first")
    doubts = [] if doubtful is None else doubtful
    network, classes, _ = load(model)
    fold_batch_norm(network)
    rows, problems = [], [] if unread is None else unread
    paths: list[str | Path] = []
    for name in given:
        dropped: Counter[str] = Counter()
        inside = list(audio_files(Path(name), dropped)) if Path(name).is_dir() else [name]
        over = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        if not inside:
            problems.append(f"{name}: no audio file in this folder" + (f" ({over})" if over else ""))
        elif over:
            doubts.append(f"{name}: passed over: {over}")
        paths += inside
    for path in paths:
        try:
            waveform = audio.read(path)
        except SercoreError as error:
            problems.append(str(error))
            continue
        probabilities = window_probabilities(network, log_mel(waveform))
        mean = probabilities.mean(0)
        scores = dict(zip(classes, mean.tolist(), strict=True))
        seconds = round(len(waveform) / audio.SAMPLE_RATE, 3)
        if seconds < SHORT_SECONDS or np.abs(waveform).max(initial=0) < audio.SILENT:
            doubts.append(f"{path}: {'silent' if seconds >= SHORT_SECONDS else f'only {seconds} s'}: its label means nothing")
        rows.append(
            {"file": str(path), "label": classes[int(mean.argmax())], **scores, "seconds": seconds, "windows": len(probabilities)}
        )
    if problems and unread is None:
        raise SercoreError("\n".join(problems))
    return pd.DataFrame(rows, columns=["file", "label", *classes, "seconds", "windows"])


def load(model: str | Path | None = None) -> tuple[SERModel, tuple[str, ...], dict]:
    """(model, classes, origin) of a `model.pt`, of a run's folder, or of the package's own model.

    It computes in float32, whatever it was trained in: the same answer on every machine.
    """
    path = Path(model) if model is not None else PRETRAINED
    if path.is_dir():
        path = path / "model.pt"
    if model is None and not path.exists():
        raise SercoreError("no model comes with this installation: name one by --model (a run's folder, or a model.pt)")
    network, classes, origin = records.load_model(path)
    network.config = network.config.replace(precision="float32")
    return network, classes, origin


def fold_batch_norm(network: SERModel) -> None:
    """Put batch norm's statistics into the convolutions before it, for labelling alone: the same answers in less time."""
    for block in cast("Iterable[Block]", network.blocks):
        block.conv = fuse_conv_bn_eval(block.conv, block.norm)
        block.norm = _Normalised()  # type: ignore[assignment]
    network.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _Normalised(nn.Identity):
    """What stands for a batch norm that is in the convolution already."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x


@torch.inference_mode()
def window_probabilities(model: SERModel, mels: np.ndarray) -> np.ndarray:
    """Class probabilities (windows, classes) of log-Mel energies (frames, mels), cut and padded as in training."""
    frames = clip_frames(model.config.clip_seconds)
    # an utterance of the clip's own length has one frame more, centred on its end
    starts = [0] if len(mels) <= frames + 1 else [*range(0, len(mels) - frames, frames // 2), len(mels) - frames]
    batch = np.full((len(starts), frames, MELS), PADDING, dtype=np.float32)
    lengths = np.empty(len(starts), dtype=np.int64)
    for row, start in enumerate(starts):
        window = mels[start : start + frames]
        batch[row, : len(window)], lengths[row] = window, len(window)
    return model(torch.from_numpy(batch), torch.from_numpy(lengths)).float().softmax(-1).numpy()

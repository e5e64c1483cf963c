"""Label audio files: class probabilities from a model that was trained here."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..corpora.base import audio_files
from ..errors import SercoreError, Unreadable
from ..frontend import audio
from ..frontend.front_ends import FRONT_ENDS
from ..frontend.log_mel import HOP, clip_frames, log_mel_blocks
from ..lab import records
from ..network.base import Network
from ..network.model import Block, SERModel

PRETRAINED = Path(__file__).parent / "pretrained" / "emodb.pt"
"""The model that comes with the package: trained on EmoDB, acted German speech of ten speakers.

It is `model.pt` of a published run under protocol `speaker`: of the system with the best mean validation accuracy over
the folds, the fold with the best. Neither choice looked at a test part.
"""


SHORT_SECONDS = 0.3
"""Shorter than the shortest word: what is left is silence that the model was padded with."""

WINDOWS = 8
"""That the network hears at once: more would take more memory and hardly less time."""


class Window(NamedTuple):
    """What the network says of a part of a recording, from `begin` to `end` (seconds)."""

    begin: float
    end: float
    label: str
    probabilities: dict[str, float]


class Prediction(NamedTuple):
    """What the network says of a recording: the mean of its windows' probabilities, and the class with the highest."""

    label: str
    probabilities: dict[str, float]
    seconds: float
    windows: tuple[Window, ...]
    doubt: str  # "silent", "only 0.2 s": why the label means nothing; "" where it may


class Classifier:
    """A trained model, loaded once: `predict` labels samples in memory, `label` files as they come."""

    def __init__(self, model: str | Path | None = None) -> None:
        self.network, self.classes, self.origin = load(model)
        fold_batch_norm(self.network)

    def predict(self, samples: ArrayLike, rate: int) -> Prediction:
        """Label samples (samples,) or (samples, channels) at `rate` Hz: floats in [-1, 1], or whole numbers of full scale.

        What is longer than the model's clip is heard in windows of that length, half overlapping. Raises `SercoreError` for what
        is no sound.
        """
        return self._said(_hear(self.network, iter([audio.of_samples(samples, rate)])))

    def label(
        self,
        files: str | Path | Iterable[str | Path],
        unread: list[Unreadable] | None = None,
        doubtful: list[str] | None = None,
        progress: bool = False,
    ) -> Iterator[tuple[str, Prediction]]:
        """(file, prediction) of each file, as it is read; arguments and errors as those of `predict`, the function."""
        from tqdm import tqdm

        given = [files] if isinstance(files, (str, os.PathLike)) else list(files)
        if strange := sorted({type(name).__name__ for name in given if not isinstance(name, (str, os.PathLike))}):
            raise SercoreError(
                f"files are given by their paths, not as {', '.join(strange)}; "
                "sercore.load_model().predict(samples, rate) takes samples"
            )
        doubts, problems = [] if doubtful is None else doubtful, [] if unread is None else unread
        with tqdm(_recordings(given, problems, doubts), unit="file", disable=not progress, delay=1) as bar:
            for path in bar:
                try:
                    heard = _hear(
                        self.network,
                        audio.blocks(path),
                        lambda seconds: bar.set_postfix_str(f"{seconds / 60:.0f} min", refresh=True),
                    )
                except Unreadable as error:
                    problems.append(error)
                    continue
                said = self._said(heard)
                if said.doubt:
                    doubts.append(f"{path}: {said.doubt}: its label means nothing")
                yield str(path), said
        if unread is None:
            audio.refuse(problems)

    def _said(self, heard: Heard) -> Prediction:
        clip = self.network.config.clip_seconds
        last = max(heard.seconds - clip, 0.0)
        windows = []
        for number, shares in enumerate(heard.probabilities):
            begin = min(number * clip / 2, last)
            windows.append(Window(begin, min(begin + clip, heard.seconds), *self._named(shares)))
        doubt = f"only {heard.seconds} s" if heard.seconds < SHORT_SECONDS else "silent" if heard.peak < audio.SILENT else ""
        mean = heard.probabilities.mean(0, dtype=np.float64)
        return Prediction(*self._named(mean), heard.seconds, tuple(windows), doubt)

    def _named(self, shares: np.ndarray) -> tuple[str, dict[str, float]]:
        return self.classes[int(shares.argmax())], dict(zip(self.classes, map(float, shares), strict=True))


def predict(
    files: str | Path | Iterable[str | Path],
    model: str | Path | None = None,
    unread: list[Unreadable] | None = None,
    doubtful: list[str] | None = None,
    progress: bool = False,
    windows: bool = False,
) -> pd.DataFrame:
    """Label files: columns file, label, one probability a class (named by it), seconds, windows.

    A probability is the network's, and tells of the recordings that it was trained on: it has not been calibrated, and can be as
    sure of noise as of speech. How well it did on speakers that it had not heard stands in the book, page `voice`. A folder
    stands for the audio files in it and below.

    `model` is a `model.pt` or the folder of a run (default: the one that comes with the package). Files longer than the model's
    clip are heard in windows of that length, half overlapping, whose probabilities are averaged; with `windows` each of these is
    a row, with the columns begin and end (seconds) for seconds and windows. A file is labelled as it is read, in memory that does
    not grow with its length. All files that cannot be read are named in one `SercoreError`; with `unread`, a list, their errors
    go there and the others are labelled. Files that are labelled but hold next to no speech (silent, or very short), and files of
    a folder that are passed over, are named in the list `doubtful`.
    """
    own = Classifier(model)
    labelled = own.label(files, unread, doubtful, progress)
    found = [row for file, said in labelled for row in rows(file, said, windows)]
    ends = ("begin", "end") if windows else ("seconds", "windows")
    return pd.DataFrame(found, columns=["file", "label", *own.classes, *ends])


def rows(file: str, said: Prediction, windows: bool = False) -> list[dict[str, Any]]:
    """A prediction as rows of `predict`."""
    if windows:
        return [
            {"file": file, "label": each.label, **each.probabilities, "begin": each.begin, "end": each.end}
            for each in said.windows
        ]
    return [{"file": file, "label": said.label, **said.probabilities, "seconds": said.seconds, "windows": len(said.windows)}]


def _recordings(given: Iterable[str | Path], problems: list[Unreadable], doubts: list[str]) -> list[str | Path]:
    """The files that are meant: those of a folder in its place."""
    paths: list[str | Path] = []
    for name in given:
        dropped: Counter[str] = Counter()
        inside = list(audio_files(Path(name), dropped)) if Path(name).is_dir() else [name]
        over = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        if not inside:
            problems.append(Unreadable(name, "no audio file in this folder", over))
        elif over:
            doubts.append(f"{name}: passed over: {over}")
        paths += inside
    return paths


class Heard(NamedTuple):
    """What the network says of a recording, window by window."""

    probabilities: np.ndarray  # (windows, classes)
    seconds: float
    peak: float


def _hear(model: Network, blocks: Iterator[np.ndarray], report: Callable[[float], None] = lambda seconds: None) -> Heard:
    """One recording, as it comes; `report` is called with the seconds that have been read."""
    samples, peak = 0, 0.0

    def watched() -> Iterator[np.ndarray]:
        nonlocal samples, peak
        for block in blocks:
            samples, peak = samples + len(block), max(peak, float(np.abs(block).max()))
            if samples > len(block):
                report(samples / audio.SAMPLE_RATE)
            yield block

    front_end = FRONT_ENDS[model.front_end]
    if front_end.of_log_mel is not None:
        windows = map(front_end.of_log_mel, _windows(log_mel_blocks(watched()), clip_frames(model.config.clip_seconds)))
    else:
        windows = map(front_end.compute, _windows(watched(), clip_frames(model.config.clip_seconds) * HOP))
    probabilities = np.concatenate(list(_by_windows(model, windows)))
    return Heard(probabilities, round(samples / audio.SAMPLE_RATE, 3), peak)


def load(model: str | Path | None = None) -> tuple[Network, tuple[str, ...], dict]:
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


def fold_batch_norm(network: Network) -> None:
    """Put batch norm's statistics into the convolutions before it, for labelling alone: the same answers in less time. (The
    paper's network; an earlier system stays as it is.)"""
    if not isinstance(network, SERModel):
        return
    for block in cast("Iterable[Block]", network.blocks):
        block.conv = fuse_conv_bn_eval(block.conv, block.norm)
        block.norm = _Normalised()  # type: ignore[assignment]
    network.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _Normalised(nn.Identity):
    """What stands for a batch norm that is in the convolution already."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x


def window_probabilities(model: Network, mels: np.ndarray) -> np.ndarray:
    """Class probabilities (windows, classes) of log-Mel energies (frames, mels), cut and padded as in training."""
    return np.concatenate(list(_by_windows(model, _windows([mels], clip_frames(model.config.clip_seconds)))))


@torch.inference_mode()
def _by_windows(model: Network, windows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Class probabilities of windows, each up to (frames, bands) of the model's clip, `WINDOWS` at a time."""
    frames, padding = clip_frames(model.config.clip_seconds), np.array(FRONT_ENDS[model.front_end].padding, np.float32)
    while some := list(itertools.islice(windows, WINDOWS)):
        batch = np.broadcast_to(padding, (len(some), frames, padding.size)).copy()
        for row, window in enumerate(some):
            batch[row, : len(window)] = window[:frames]
        lengths = torch.tensor([min(len(window), frames) for window in some])
        yield model(torch.from_numpy(batch), lengths).float().softmax(-1).numpy()


def _windows(blocks: Iterable[np.ndarray], frames: int) -> Iterator[np.ndarray]:
    """Windows of `frames` (frames of energies, or samples), each beginning in the middle of the one before, the last one at
    the end; a shorter whole is one.

    (An utterance of the clip's own length has one frame more, centred on its end: it is one window too.)
    """
    held: np.ndarray | None = None
    start = 0  # `start` is where in it the next window begins
    for block in blocks:
        held = block[:0] if held is None else held
        done = min(start, max(len(held) - frames, 0))  # the last window may reach back so far
        held, start = np.concatenate([held[done:], block]), start - done
        first = not done and start == 0
        while len(held) > start + frames + first:
            yield held[start : start + frames]
            start, first = start + frames // 2, False
    assert held is not None
    yield held[:frames] if start == 0 and len(held) <= frames + 1 else held[-frames:]

"""Label recordings, files or samples in memory: class probabilities from a trained model."""

from __future__ import annotations

import functools
import glob
import itertools
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from .. import machine
from ..errors import SercoreError, Unreadable
from ..frontend import audio
from ..frontend.front_ends import FRONT_ENDS
from ..frontend.log_mel import HOP, clip_frames, log_mel_blocks
from ..network.base import Network
from . import models

if TYPE_CHECKING:
    import pandas as pd

SHORT_SECONDS = 0.3
"""Shorter than the shortest word: what is left is silence that the model was padded with."""

TRIMMED_SECONDS = 60
"""Longer recordings are labelled as they are read, silence around them or not."""
AUDIBLE = 40.0
"""dB below its loudest 20 ms, up to which a recording's others count as sound."""

STEADY = 4.0
"""dB between a recording's quiet tenth and its loud tenth: noise and hum have less, speech that is not drowned has more."""

MANY = 4
"""Passes of a network over a window, a core, from which on each is computed on one core."""

WINDOWS = 8
"""That the network hears at once: more would take more memory and hardly less time."""


class Window(NamedTuple):
    """What the network says of a part of a recording, from `begin` to `end` (seconds)."""

    begin: float
    end: float
    label: str
    probabilities: dict[str, float]


class Prediction(NamedTuple):
    """What the model says of a recording: the mean of its windows' probabilities, and the class with the highest."""

    label: str
    probabilities: dict[str, float]
    seconds: float
    windows: tuple[Window, ...]
    doubt: str  # "silent", "only 0.2 s", "steady": why the label means nothing; "" where it may
    spread: float  # how far the model's networks are apart: the deviation of the label's probability; NaN of a single one
    agree: int  # how many of them say this label


class Classifier:
    """A trained model, loaded once: `predict` labels samples in memory, `label` files as they come.

    `model` is a name (`sercore models` lists them), a folder, or a `model.pt`; None is the model that comes with the package.
    With `trim`, silence before and after a recording of a minute or less is cut off (`audio.trimmed`); by default as the model
    asks: the one that comes along takes a second of silence around speech for sadness, and asks for it. Of a model of several
    networks the first `members` alone label, all by default: less sure, and that much faster. Names of models that were trained
    here are those of the folder `runs` (default: SERCORE_RUNS, else ./runs).

    >>> said = Classifier().predict(np.zeros(16_000), rate=16_000)
    >>> said.doubt, round(sum(said.probabilities.values()), 3)
    ('silent', 1.0)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        trim: bool | None = None,
        runs: str | os.PathLike[str] | None = None,
        members: int | None = None,
    ) -> None:
        trained = models.load(model, runs=runs)
        self.model, self.runs, self.members = model, runs, members
        self.trained = trained if members is None else trained.first(members)
        self.trim = bool(trained.about.get("trim", False)) if trim is None else trim

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of their probabilities."""
        return self.trained.classes

    def predict(self, samples: ArrayLike, rate: int) -> Prediction:
        """Label samples (samples,) or (samples, channels) at `rate` Hz: floats in [-1, 1], or whole numbers of full scale.

        What is longer than the model's clip is heard in windows of that length, half overlapping. Raises `SercoreError` for what
        is no sound.
        """
        return self._said(_hear(self.trained, iter([audio.of_samples(samples, rate)]), trim=self.trim))

    def networks(self, samples: ArrayLike, rate: int) -> np.ndarray:
        """What each network says of samples, as `predict` takes them: probabilities (networks, classes)."""
        heard = _hear(self.trained, iter([audio.of_samples(samples, rate)]), trim=self.trim)
        return heard.probabilities.mean(0, dtype=np.float64)

    def label(
        self,
        files: str | Path | Iterable[str | Path],
        unread: list[Unreadable] | None = None,
        doubtful: list[str] | None = None,
        progress: bool = False,
    ) -> Iterator[tuple[str, Prediction]]:
        """(file, prediction) of each file, as it is read; arguments and errors as those of `predict`, the function."""
        from tqdm import tqdm

        given = list(files) if isinstance(files, Iterable) and not isinstance(files, (str, os.PathLike)) else [files]
        if "" in given:
            raise SercoreError("an empty name is no file: a variable that is not set, perhaps? `.` is the folder one is in")
        if strange := sorted({type(name).__name__ for name in given if not isinstance(name, (str, os.PathLike))}):
            raise SercoreError(
                f"files are given by their paths, not as {', '.join(strange)}; "
                "sercore.load_model().predict(samples, rate) takes samples"
            )
        doubts, problems = [] if doubtful is None else doubtful, [] if unread is None else unread
        paths = _recordings(given, problems, doubts)
        with tqdm(total=len(paths), unit="file", disable=None if progress else True, delay=1) as bar:
            heard = self._one_by_one(paths, bar) if len(paths) < 2 else self._side_by_side(paths)
            for path, found in heard:
                bar.update()
                if isinstance(found, Unreadable):
                    problems.append(found)
                    continue
                said = self._said(found)
                if said.doubt:
                    doubts.append(f"{path}: {said.doubt}: its label means nothing")
                yield str(path), said
        if unread is None:
            audio.refuse(problems)

    def _one_by_one(self, paths: Iterable[str | Path], bar: Any) -> Iterator[tuple[str | Path, Heard | Unreadable]]:
        for path in paths:
            try:
                yield (
                    path,
                    _hear(
                        self.trained,
                        audio.blocks(path),
                        trim=self.trim,
                        report=lambda seconds: bar.set_postfix_str(f"{seconds / 60:.0f} min", refresh=True),
                    ),
                )
            except Unreadable as error:
                yield path, error

    def _side_by_side(self, paths: Iterable[str | Path]) -> Iterator[tuple[str | Path, Heard | Unreadable]]:
        """Each file in a thread of its own, a few ahead of the one that is asked for."""

        def work(path: str | Path) -> Heard | Unreadable:
            try:
                return _hear(self.trained, audio.blocks(path), alone=True, trim=self.trim)
            except Unreadable as error:
                return error

        waiting: deque[tuple[str | Path, Future]] = deque()
        try:
            for path in paths:
                waiting.append((path, threads().submit(work, path)))
                if len(waiting) > 2 * machine.cores():
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def _said(self, heard: Heard) -> Prediction:
        clip = self.trained.config.clip_seconds
        last = max(heard.end - heard.begin - clip, 0.0)
        windows = []
        for number, shares in enumerate(heard.probabilities.mean(1)):
            begin = heard.begin + min(number * clip / 2, last)
            windows.append(Window(begin, min(begin + clip, heard.end), *self._named(shares)))
        by_network = heard.probabilities.mean(0, dtype=np.float64)
        mean = by_network.mean(0)
        best = int(mean.argmax())
        spread = float(by_network[:, best].std(ddof=1)) if len(by_network) > 1 else float("nan")
        agree = int((by_network.argmax(1) == best).sum())
        return Prediction(*self._named(mean), heard.seconds, tuple(windows), heard.doubt, spread, agree)

    def _named(self, shares: np.ndarray) -> tuple[str, dict[str, float]]:
        return self.classes[int(shares.argmax())], dict(zip(self.classes, map(float, shares), strict=True))


def predict(
    files: str | Path | Iterable[str | Path],
    model: str | Path | Classifier | None = None,
    unread: list[Unreadable] | None = None,
    doubtful: list[str] | None = None,
    progress: bool = False,
    windows: bool = False,
    cautious: bool = False,
    trim: bool | None = None,
    runs: str | Path | None = None,
    members: int | None = None,
) -> pd.DataFrame:
    """Label files: columns file, label, one probability a class (named by it: `columns`), spread, seconds, windows, doubt.

    A probability is calibrated on validation parts where the model's card says so, and tells of speech as in the recordings that
    it was trained on: it can be as sure of noise as of speech. `spread` is how far the model's networks are apart, the deviation
    of the label's probability (NaN where there is one network). A folder stands for the audio files in it and below.

    `model` is a name (`sercore models`), a folder or a `model.pt` (default: the one that comes with the package), which `trim`,
    `runs` and `members` go with as in `load_model`, or what that gave, as it was loaded. Files longer
    than the model's clip are heard in windows of that length, half overlapping, whose probabilities are averaged; with `windows`
    each of these is a row, with the columns begin and end (seconds) for spread, seconds, windows and doubt. A file is labelled
    as it is read, in memory that does not grow with its length. All files that cannot be read are named in one `SercoreError`;
    with `unread`, a list, their errors go there and the others are labelled. `doubt` says why a label means nothing (silent,
    very short, a steady noise), "" where it may; such files, and those of a folder that are passed over, are named in the list
    `doubtful`, and with `cautious` the reason stands in the place of the label.
    """
    import pandas as pd  # here: the command line does without it, and starts in less time

    own = model if isinstance(model, Classifier) else Classifier(model, trim, runs, members)
    labelled = own.label(files, unread, doubtful, progress)
    found = [row for file, said in labelled for row in rows(_writable(file), said, windows, cautious)]
    return pd.DataFrame(found, columns=headings(own.classes, windows))


def _writable(name: str) -> str:
    """A file's name as a table can hold it: bytes of it that are no UTF-8 as their escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


COLUMNS = ("file", "label", "begin", "end", "spread", "seconds", "windows", "doubt")
"""Of `rows`, beside those of the classes."""


def columns(classes: Iterable[str]) -> dict[str, str]:
    """The column of each class in `rows`: its name, and `p_NAME` where a column of `COLUMNS` has that name."""
    names = list(classes)
    found = {}
    for name in names:
        column = name
        while column in COLUMNS or (column != name and column in names):
            column = f"p_{column}"
        found[name] = column
    return found


def headings(classes: Iterable[str], windows: bool = False) -> list[str]:
    """The columns of `rows`."""
    ends = ("begin", "end") if windows else ("spread", "seconds", "windows", "doubt")
    return ["file", "label", *columns(classes).values(), *ends]


def rows(file: str, said: Prediction, windows: bool = False, cautious: bool = False) -> list[dict[str, Any]]:
    """A prediction as rows of `predict`."""
    instead, named = said.doubt if cautious else "", columns(said.probabilities)

    def begun(part: Prediction | Window) -> dict[str, Any]:
        shares = {named[label]: share for label, share in part.probabilities.items()}
        return {"file": file, "label": instead or part.label, **shares}

    if windows:
        return [{**begun(each), "begin": each.begin, "end": each.end} for each in said.windows]
    return [{**begun(said), "spread": said.spread, "seconds": said.seconds, "windows": len(said.windows), "doubt": said.doubt}]


def _recordings(given: Iterable[str | Path], problems: list[Unreadable], doubts: list[str]) -> list[str | Path]:
    """The files that are meant: those of a folder in its place."""
    paths: list[str | Path] = []
    for name in given:
        dropped: Counter[str] = Counter()
        inside = list(audio.audio_files(Path(name), dropped, films=True)) if Path(name).is_dir() else [name]
        over = ", ".join(f"{reason} {count}" for reason, count in dropped.items())
        if not inside:
            problems.append(Unreadable(name, "no audio file in this folder", over))
        elif over:
            doubts.append(f"{name}: passed over: {over}")
        paths += inside
    return paths


class Heard(NamedTuple):
    """What the network says of a recording, window by window."""

    probabilities: np.ndarray  # (windows, networks, classes)
    seconds: float
    doubt: str
    begin: float
    end: float


class Levels:
    """How loud a recording is in each 20 ms of it, as a count of whole decibels, whatever its length."""

    STEP, LOWEST = audio.SAMPLE_RATE // 50, -120

    def __init__(self) -> None:
        self.counts, self.rest, self.samples, self.peak = np.zeros(1 - self.LOWEST, np.int64), np.empty(0, np.float32), 0, 0.0

    def add(self, samples: np.ndarray) -> None:
        """The next samples of the recording."""
        self.samples, self.peak = self.samples + len(samples), max(self.peak, float(np.abs(samples).max(initial=0)))
        joined = np.concatenate([self.rest, samples])
        whole = len(joined) // self.STEP * self.STEP
        power = np.square(joined[:whole].reshape(-1, self.STEP), dtype=np.float64).mean(1)
        decibels = (10 * np.log10(power + 1e-12)).round().astype(int).clip(self.LOWEST, 0)
        self.counts += np.bincount(decibels - self.LOWEST, minlength=len(self.counts))
        self.rest = joined[whole:]

    def doubt(self) -> str:
        """Why its label means nothing, or "" where it may."""
        seconds = self.samples / audio.SAMPLE_RATE
        if seconds < SHORT_SECONDS:
            return f"only {round(seconds, 3)} s"
        if self.peak < audio.SILENT:
            return "silent"
        reached = np.cumsum(self.counts) / self.counts.sum()
        loudest = int(np.flatnonzero(self.counts).max())
        sound = self.counts[max(loudest - int(AUDIBLE), 0) :].sum() * self.STEP / audio.SAMPLE_RATE
        if sound < SHORT_SECONDS:
            return f"next to no speech: only {round(float(sound), 2)} s of it are sound"
        quiet, loud = (int(np.searchsorted(reached, share)) for share in (0.1, 0.9))
        return "steady, as noise is and speech is not" if loud - quiet < STEADY else ""


def _hear(
    trained: models.Trained,
    blocks: Iterator[np.ndarray],
    alone: bool = False,
    trim: bool = False,
    report: Callable[[float], None] = lambda seconds: None,
) -> Heard:
    """One recording, as it comes, `alone` in this thread; `report` is called with the seconds that have been read."""
    levels, cut = Levels(), [0.0, 0.0]  # seconds that were cut off before and after

    def watched() -> Iterator[np.ndarray]:
        for block in blocks:
            levels.add(block)
            if levels.samples > len(block):
                report(levels.samples / audio.SAMPLE_RATE)
            yield block

    def inner() -> Iterator[np.ndarray]:
        """The same without the silence around it, where there is no more than `TRIMMED_SECONDS` of it."""
        source, kept = watched(), list[np.ndarray]()
        for block in source:
            kept.append(block)
            if levels.samples > TRIMMED_SECONDS * audio.SAMPLE_RATE:
                yield from itertools.chain(kept, source)
                return
        whole = np.concatenate(kept) if kept else np.empty(0, np.float32)
        sound, cut[0] = audio.trimmed(whole)
        cut[1] = (len(whole) - len(sound)) / audio.SAMPLE_RATE - cut[0]
        yield sound

    heard = inner() if trim else watched()
    clip, front_end = clip_frames(trained.config.clip_seconds), FRONT_ENDS[trained.networks[0].front_end]
    if front_end.of_log_mel is not None:
        windows = map(front_end.of_log_mel, _windows(log_mel_blocks(heard), clip))
    else:
        windows = map(front_end.compute, _windows(heard, clip * HOP))
    probabilities = np.concatenate(list(_by_windows(trained, windows, alone)))
    seconds = round(levels.samples / audio.SAMPLE_RATE, 3)
    return Heard(probabilities, seconds, levels.doubt(), cut[0], seconds - cut[1])


def window_probabilities(trained: models.Trained, mels: np.ndarray) -> np.ndarray:
    """Probabilities (windows, networks, classes) of log-Mel energies (frames, mels), cut and padded as in training."""
    return np.concatenate(list(_by_windows(trained, _windows([mels], clip_frames(trained.config.clip_seconds)))))


def _by_windows(trained: models.Trained, windows: Iterator[np.ndarray], alone: bool = False) -> Iterator[np.ndarray]:
    """Probabilities of windows, each up to (frames, bands) of the model's clip, `WINDOWS` at a time."""
    frames = clip_frames(trained.config.clip_seconds)
    padding = np.array(FRONT_ENDS[trained.networks[0].front_end].padding, np.float32)
    while some := _next(windows, alone):
        batch = np.broadcast_to(padding, (len(some), frames, padding.size)).copy()
        for row, window in enumerate(some):
            batch[row, : len(window)] = window[:frames]
        x, lengths = torch.from_numpy(batch), torch.tensor([min(len(window), frames) for window in some])
        # windows on threads of their own, so that none waits for one that another process keeps; few are sooner done together
        many = len(trained.networks) * len(some) >= MANY * machine.cores()
        shared = not alone and torch.get_num_threads() > 1 and (many or _busy())
        tasks = [
            (network, by, *part)
            for network, by in zip(trained.networks, trained.temperatures, strict=True)
            for part in (zip(x.split(1), lengths.split(1), strict=True) if shared else [(x, lengths)])
        ]
        if shared:
            found = [future.result() for future in [threads().submit(_shares, *task) for task in tasks]]
        else:
            found = [_shares(*task) for task in tasks]
        yield torch.cat(found).view(len(trained.networks), len(some), -1).transpose(0, 1).numpy()


def _next(windows: Iterator[np.ndarray], alone: bool) -> list[np.ndarray]:
    """The next `WINDOWS`, computed on one thread alone: so little work is not worth waiting for another."""
    some = itertools.islice(windows, WINDOWS)
    return list(some) if alone or torch.get_num_threads() == 1 else threads().submit(list, some).result()


@torch.inference_mode()
def _shares(network: Network, temperature: float, x: Tensor, lengths: Tensor) -> Tensor:
    """Probabilities (windows, classes) by one network."""
    return (network(x, lengths).float() / temperature).softmax(-1)


def _by_itself() -> None:
    torch.get_num_threads()  # a thread takes over the process's number when it is first asked for, and would later
    torch.set_num_threads(1)


@functools.cache
def threads() -> ThreadPoolExecutor:
    """One thread a core, each of which computes by itself, and one that goes on where another process has a core.

    PyTorch's own threads wait for each other at every layer; where another process has a core, they wait for that one too.
    """
    count, before = machine.cores() + 1, torch.get_num_threads()
    pool = ThreadPoolExecutor(count, initializer=_by_itself)
    together = threading.Barrier(count)
    for begun in [pool.submit(together.wait) for _ in range(count)]:  # each its own thread, and all begin now
        begun.result()
    torch.set_num_threads(before)  # which theirs had changed for threads to come
    return pool


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=threads.cache_clear)  # threads do not come along


def _busy() -> bool:
    """Whether other processes want this machine's cores just now; False where the system does not tell."""
    try:
        running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
        states = (Path(task, "stat").read_text().rpartition(")")[2].split()[0] for task in glob.glob("/proc/self/task/*"))
        return running > 1 and running > sum(state == "R" for state in states)  # our own threads are among them
    except (OSError, ValueError, IndexError):
        return False


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

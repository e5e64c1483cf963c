"""Audio files in, one channel of 16 kHz samples out.

Every format that libsndfile reads will do (WAV of any width, FLAC, Ogg, MP3, AIFF, ...). Stereo is averaged, other
sampling rates are resampled by soxr at its very high quality. A file is read block after block to its end, whatever its header
says of its length, and if several recordings lie in it, all of them. What cannot be trusted (cut short, empty, not audio) is
refused by name: a half-read utterance would train a model without anybody's notice. (Of an Ogg file that ends between two of its
pages nobody can tell: it is read as far as it goes.)
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shlex
import shutil
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SercoreError, Unreadable
from . import containers

if TYPE_CHECKING:
    import soundfile

SAMPLE_RATE = 16_000
SUFFIXES = containers.FOREIGN_SUFFIXES | {
    *(".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".rf64", ".sph", ".w64", ".wav")
}
"""What recordings are known by in a folder, those too that have to be converted first."""

RATES = range(1_000, 1_000_001)
"""Hz that a recording may have; a header with others lies."""

MOST_KINDS = 12
"""Of files that are passed over, which are counted each by itself."""

SILENT = 1e-3
"""Peak, of full scale, below which a file counts as silent: -60 dB."""

CANCELLED = 1e-2
"""Of the channels' own level: where their average is weaker, they are one sound with opposite signs."""

EDGE_DECIBELS, EDGE_SECONDS = 30, 0.1
"""What lies so far below the loudest 20 ms is silence to `trimmed`, which leaves so much of it."""

LONGEST = 3600
"""Seconds of one utterance at most: hours are no utterance, and a network that learns from it would take them all into memory."""

BLOCK = 2**22
"""Samples that are in memory at once, of all channels."""

SHORT_DATA = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
UNKNOWN_FORMAT = 1  # libsndfile's SF_ERR_UNRECOGNISED_FORMAT
UNKNOWN_LENGTH = 2**60
"""More samples than any file has: libsndfile says so where it does not know."""


def trimmed(samples: np.ndarray) -> tuple[np.ndarray, float]:
    """Samples (samples,) at 16 kHz without the silence before and after, but for `EDGE_SECONDS`; and the seconds cut off before.

    The sound begins and ends with the first and the last 20 ms that lie within `EDGE_DECIBELS` of the loudest.
    """
    step, margin = SAMPLE_RATE // 50, round(EDGE_SECONDS * SAMPLE_RATE)
    power = np.square(samples[: len(samples) // step * step].reshape(-1, step), dtype=np.float64).mean(1)
    loud = np.flatnonzero(power > power.max(initial=0) * 10 ** (-EDGE_DECIBELS / 10))
    if not len(loud):
        return samples, 0.0
    begin = max(0, int(loud[0]) * step - margin)
    return samples[begin : (int(loud[-1]) + 1) * step + margin], begin / SAMPLE_RATE


def audio_files(folder: Path, dropped: Counter[str], films: bool = False) -> Iterator[Path]:
    """Every audio file in `folder` and below it, and with `films` these too, sorted; others are counted in `dropped`.

    Hidden files (such as the `._*` that macOS leaves beside the true ones) are no recordings, whatever their
    suffix. Links to folders are followed.
    """
    for path in sorted(below(folder)):
        if any(part.startswith(".") for part in path.relative_to(folder).parts):
            dropped["hidden file"] += path.is_file()
        elif path.suffix.lower() in SUFFIXES or (films and path.suffix.lower() in containers.FILMS):
            yield path
        elif path.is_file():
            kind = f"not audio: *{path.suffix}"
            dropped[kind if kind in dropped or len(dropped) < MOST_KINDS else "not audio: others"] += 1


def below(folder: Path, within: frozenset[Path] = frozenset()) -> Iterator[Path]:
    """Every file in `folder` and below it, through links too, but for one that leads back to a folder `within` which it lies."""
    here = folder.resolve()
    for path in folder.iterdir() if folder.is_dir() and here not in within else ():
        if path.is_dir():
            yield from below(path, within | {here})
        else:
            yield path


def read(path: str | os.PathLike[str], longest: float = math.inf) -> np.ndarray:
    """The samples of one file: float32 (samples,) at 16 kHz, in [-1, 1]; silence is read like any sound.

    Raises `Unreadable`, which names the file, where it is missing, empty, not audio, truncated, or not finite, and where it has
    more than `longest` seconds, whatever its header says.
    """
    read, kept = 0, []
    for block in blocks(path):
        read += len(block)
        refuse_long(path, read / SAMPLE_RATE, longest)
        kept.append(block)
    return np.concatenate(kept)


def refuse_long(path: str | os.PathLike[str], seconds: float, longest: float = LONGEST) -> None:
    """Raise `Unreadable` where a recording is too long to be one utterance."""
    if seconds > longest:
        raise Unreadable(path, f"longer than {longest / 60:.0f} minutes: cut it into utterances", f"{seconds / 60:.0f} minutes")


def blocks(path: str | os.PathLike[str], look: Callable[[np.ndarray, int], None] | None = None) -> Iterator[np.ndarray]:
    """What `read` gives, block after block: a recording of any length in little memory. Raises as `read` does, at the end too.

    `look` is shown what is stored: samples (samples, channels) and their rate.
    """
    yield from _mixed(path, _stored(path), look)


def of_samples(samples: ArrayLike, rate: int) -> np.ndarray:
    """Samples in memory, (samples,) or (samples, channels) at `rate` Hz, as `read` gives those of a file.

    Whole numbers are taken to be of full scale, as in a WAV file. Raises `SercoreError` as `read` does, and for another shape or
    rate.
    """
    try:
        array = np.asarray(samples)
    except Exception as error:  # lists of unlike lengths, a tensor on a GPU or with a gradient
        raise SercoreError(f"samples are no array of numbers ({error})") from error
    if array.ndim not in (1, 2) or array.size == 0 or array.dtype.kind not in "iuf":
        raise SercoreError(f"samples must be numbers, (samples,) or (samples, channels), not {array.dtype} {array.shape}")
    if array.ndim == 2 and array.shape[1] > array.shape[0]:
        raise SercoreError(
            f"samples (samples, channels) with {array.shape[1]} channels of {array.shape[0]} samples: transpose them"
        )
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate not in RATES:
        raise SercoreError(f"rate={rate!r}: samples a second, a whole number from {RATES[0]} to {RATES[-1]}")
    if array.dtype.kind in "iu" and array.dtype.itemsize > 4:
        raise SercoreError(
            "whole numbers of 64 bits do not tell what full scale is: give floats in [-1, 1], or the numbers as they were "
            "recorded, as by samples.astype(numpy.int16)"
        )
    if array.dtype.kind == "u":
        array = array.astype(np.float32) / (np.iinfo(array.dtype).max / 2 + 0.5) - 1
    elif array.dtype.kind == "i":
        array = array.astype(np.float32) / (np.iinfo(array.dtype).max + 1)
    frames = np.ascontiguousarray(array, dtype=np.float32).reshape(len(array), -1)
    with _naming("samples"):
        _refuse_strange("samples", frames)
        return np.concatenate(list(_mixed("samples", iter([(frames, int(rate))]))))


def _mixed(
    path: str | os.PathLike[str],
    stored: Iterator[tuple[np.ndarray, int]],
    look: Callable[[np.ndarray, int], None] | None = None,
) -> Iterator[np.ndarray]:
    """What is stored, block after block, as one channel at 16 kHz."""
    import soxr

    resampler, at_rate = None, SAMPLE_RATE
    heard, there, given = 0.0, 0.0, 0

    def ready(mono: np.ndarray) -> Iterator[np.ndarray]:
        nonlocal given
        if len(mono):
            given += len(mono)
            yield np.clip(mono, -1.0, 1.0)  # not in place: they may be the caller's

    for samples, rate in stored:
        if look is not None:
            look(samples, rate)
        if rate != at_rate:
            if resampler is not None:
                yield from ready(resampler.resample_chunk(np.empty(0, np.float32), last=True))
            resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, "float32", "VHQ") if rate != SAMPLE_RATE else None
            at_rate = rate
        mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
        if samples.shape[1] > 1:
            heard += float(np.square(mono, dtype=np.float64).sum())
            there += float(np.square(samples, dtype=np.float64).sum()) / samples.shape[1]
        yield from ready(mono if resampler is None else resampler.resample_chunk(mono))
    if resampler is not None:
        yield from ready(resampler.resample_chunk(np.empty(0, np.float32), last=True))
    if not given:
        raise Unreadable(path, f"too short: at {SAMPLE_RATE} Hz it has no sample")
    if heard < CANCELLED**2 * there:
        raise Unreadable(path, "its channels cancel each other, their average is silence", "keep one of them in the file")


def _stored(path: str | os.PathLike[str]) -> Iterator[tuple[np.ndarray, int]]:
    """The samples as stored, float32 (samples, channels), and their sampling rate, block after block."""
    held = 0
    with _naming(path):
        for file in _opened(path):
            got, stated = 0, file.frames
            if stated >= UNKNOWN_LENGTH:
                file.seekable = lambda: False  # type: ignore[method-assign]  # it would look for its place in an unknown length
            while len(samples := file.read(max(BLOCK // file.channels, 1), dtype="float32", always_2d=True)):
                _refuse_strange(path, samples)
                got += len(samples)
                yield samples, file.samplerate
            if got < stated < UNKNOWN_LENGTH:
                raise Unreadable(path, "truncated", f"{got} of {stated} samples can be read")
            held += got
    if not held:
        raise Unreadable(path, "holds no samples")


def _refuse_strange(path: str | os.PathLike[str], samples: np.ndarray) -> None:
    peak = max(samples.max(), -samples.min())  # not finite where a sample is not
    if not np.isfinite(peak):
        raise Unreadable(path, "holds samples that are not finite numbers")
    # a float file may overshoot full scale by a few decibels; far beyond it are integers that nobody scaled
    if peak > 10:
        raise Unreadable(path, "float samples far beyond [-1, 1]: scale them", f"they reach {peak:.0f}")


def duration(path: str | os.PathLike[str]) -> float:
    """Seconds, by the file's header where that can be believed. Raises `Unreadable` as `read` does, as far as a header tells."""
    seconds = 0.0
    with _naming(path):
        for file in _opened(path):
            if file.frames >= UNKNOWN_LENGTH:
                return sum(len(samples) / rate for samples, rate in _stored(path))
            seconds += file.frames / file.samplerate
    if not seconds:
        raise Unreadable(path, "holds no samples")
    return seconds


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the file's bytes, in hexadecimal; raises `Unreadable` where it cannot be opened."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise Unreadable(path, *_refused(error)) from None


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Whatever goes wrong with the file inside is an `Unreadable` that names it."""
    import soundfile

    try:
        yield
    except Unreadable:
        raise
    except soundfile.LibsndfileError as error:
        if error.code == UNKNOWN_FORMAT and Path(path).suffix.lower() == ".raw":
            raise Unreadable(
                path, "samples without a header, whose rate and width nobody knows: make a WAV file of them"
            ) from None
        problem = "not audio" if error.code == UNKNOWN_FORMAT else "truncated or damaged"
        raise Unreadable(path, problem, error.error_string.strip()) from error
    except OSError as error:
        raise Unreadable(path, *_refused(error)) from None
    except Exception as error:  # whatever a file does, it is named and the others go on
        raise Unreadable(path, "cannot be read", f"{type(error).__name__}: {error}") from error


def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    """Each recording in the file, opened, one after the other."""
    import soundfile

    where = Path(path)
    head = _head(where)
    ranges = containers.parts(where, head)
    for start, end in ranges:
        whole = len(ranges) == 1
        with _source(where, start, end, whole) as source, soundfile.SoundFile(source) as file:
            if file.format == "MP3" and whole and (instead := containers.mp3_without_count(where)) is not None:
                with (
                    _piped(containers.Part(where, start, end, instead)) as pipe,
                    soundfile.SoundFile(pipe, closefd=False) as streamed,
                ):
                    yield _checked(where, streamed)
                return
            if file.format == "OGG" and end == where.stat().st_size and containers.ogg_cut_short(where):
                raise Unreadable(path, "truncated", "its last page is not whole")
            if head[:4] == b"RIFF" and whole:
                place, length, surplus = containers.wav_surplus(where)
                if surplus and not length:  # whoever wrote it was killed before the length was known
                    instead = place, struct.pack("<I", surplus)
                    with containers.Part(where, start, end, instead) as part, soundfile.SoundFile(part) as mended:
                        yield _checked(where, mended)
                    return
                if surplus > max(length // 100, 1024):
                    what = "its header states less sound than the file holds; repair it, as by ffmpeg -i IN OUT"
                    raise Unreadable(path, what, f"{length} bytes of sound, then {surplus} that are nothing known")
            yield _checked(where, file)


def _refused(error: OSError) -> tuple[str, str]:
    return "cannot be opened", error.strerror or str(error)


def _head(path: Path) -> bytes:
    """The file's first bytes. Raises `Unreadable` where they, or the lack of them, tell that it is no sound."""
    if not path.is_file():
        pipe = "not a file; what comes through a pipe is labelled as `-`, the standard input"
        what = "a folder; name the files in it" if path.is_dir() else pipe if path.exists() else "no such file"
        raise Unreadable(path, what)
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise Unreadable(path, "empty file (0 bytes)")
    if head.startswith(containers.LFS_POINTER):
        raise Unreadable(path, "only Git LFS's pointer to the sound; `git lfs pull` brings the sound itself")
    if kind := containers.foreign(head):
        example = shlex.join(["ffmpeg", "-i", path.name, f"{path.stem}.wav"])
        raise Unreadable(path, f"{kind}, which has to be converted first, as by ffmpeg", example)
    return head


@contextmanager
def _source(path: Path, start: int, end: int, whole: bool) -> Iterator[str | bytes | containers.Part]:
    """What libsndfile opens: the file by its name; or a part of it, and what has a name that would mislead, without one."""
    if whole and path.suffix.lower() != ".raw":
        yield os.fspath(path) if os.name == "nt" else os.fsencode(path)  # whose letters need not be UTF-8
        return
    with containers.Part(path, start, end) as part:
        yield part


def _checked(path: Path, file: soundfile.SoundFile) -> soundfile.SoundFile:
    """The same, where what its header says can be true."""
    if file.samplerate not in RATES:
        raise Unreadable(path, "its header states a sampling rate that no recording has", f"{file.samplerate} Hz")
    said = file.extra_info
    for promised, held in SHORT_DATA.findall(said):
        if int(promised) > int(held) and not _streamed(int(promised)):
            raise Unreadable(path, "truncated", f"{held} of {promised} bytes of sound are there")
    return file


def _streamed(length: int) -> bool:
    """Whether a header's length in bytes is what a program writes that cannot know the true one: nearly 2 or 4 GiB, or none."""
    return length == 0 or 0x7FFF0000 <= length <= 0x80000000 or length >= 0xFFFF0000


@contextmanager
def _piped(part: containers.Part) -> Iterator[int]:
    """A pipe that the file runs through: what libsndfile cannot seek in, it reads to the end."""
    there, here = os.pipe()

    def feed() -> None:
        try:
            with part, os.fdopen(here, "wb") as pipe:
                shutil.copyfileobj(part, pipe)
        except BrokenPipeError:
            pass  # whoever read has had enough

    feeder = threading.Thread(target=feed, daemon=True)
    feeder.start()
    try:
        yield there
    finally:
        os.close(there)
        feeder.join()


def told(problems: Iterable[Unreadable], show: int = 5) -> str:
    """Files that cannot be read, by reason: the reason first, then some of them, then how many more."""
    by_reason: dict[str, list[Unreadable]] = {}
    for problem in problems:
        by_reason.setdefault(problem.reason, []).append(problem)
    lines = []
    for reason, own in by_reason.items():
        named = [f"{problem.path}" + f" ({problem.detail})" * bool(problem.detail) for problem in own]
        if len(named) == 1:
            lines.append(f"{reason}: {named[0]}")
        else:
            lines += [f"{reason} ({len(named)}):", *(f"  {name}" for name in named[:show])]
            lines += [f"  ... and {len(named) - show} more"] * (len(named) > show)
    return "\n".join(lines)


def refuse(problems: Sequence[Unreadable], how: str = "") -> None:
    """Raise one `SercoreError` about all of `problems`, if there are any; `how` they can be mended ends it."""
    if problems:
        reasons = told(problems).replace("\n", "\n  ")
        many = "1 recording" if len(problems) == 1 else f"{len(problems)} recordings"
        raise SercoreError(
            f"{many} cannot be used:\n  {reasons}" + f"\n{how}" * bool(how), [str(problem) for problem in problems]
        )

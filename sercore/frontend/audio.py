"""Audio files in, one channel of 16 kHz samples out.

Every format that libsndfile reads will do (WAV of any width, FLAC, Ogg, MP3, AIFF, ...). Stereo is averaged, other
sampling rates are resampled by soxr at its very high quality. What cannot be trusted (cut
short, empty, not audio) is refused by name: a half-read utterance would train a model without anybody's notice. (Ogg alone
does not tell how long it should be: an Ogg file that was cut short is read as far as it goes.)
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SercoreError

if TYPE_CHECKING:
    import soundfile

SAMPLE_RATE = 16_000
SUFFIXES = frozenset(
    (
        ".aif",
        ".aifc",
        ".aiff",
        ".au",
        ".caf",
        ".flac",
        ".mp3",
        ".oga",
        ".ogg",
        ".opus",
        ".rf64",
        ".sph",
        ".w64",
        ".wav",
    )
)
SILENT = 1e-3
"""Peak, of full scale, below which a file counts as silent: -60 dB."""

SHORT_DATA = re.compile(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", re.MULTILINE)
LFS_POINTER = b"version https://git-lfs"
UNKNOWN_FORMAT = 1  # libsndfile's SF_ERR_UNRECOGNISED_FORMAT
STREAMED = {
    0,
    0x7FFFFFFF,
    0xFFFFFFFF,
}  # lengths that a program writes into a WAV header when it cannot know the true one


def read(path: str | os.PathLike[str]) -> np.ndarray:
    """The samples of one file: float32 (samples,) at 16 kHz, in [-1, 1]; silence is read like any sound.

    Raises `SercoreError`, naming the file, where it is missing, empty, not audio, truncated, or not finite.
    """
    samples, rate = read_channels(path)
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    if rate != SAMPLE_RATE:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE, quality="VHQ")
    return np.clip(mono, -1.0, 1.0, out=mono)


def read_channels(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """The samples as stored, float32 (samples, channels), and their sampling rate; raises as `read` does."""
    with _opened(path) as file:
        samples = file.read(dtype="float32", always_2d=True)
        if len(samples) < file.frames:
            raise SercoreError(f"{path}: truncated, {len(samples)} of {file.frames} samples can be read")
        rate = file.samplerate
    peak = max(samples.max(), -samples.min())  # not finite where a sample is not
    if not np.isfinite(peak):
        raise SercoreError(f"{path}: holds samples that are not finite numbers")
    # a float file may overshoot full scale by a few decibels; far beyond it are integers that nobody scaled
    if peak > 10:
        raise SercoreError(f"{path}: float samples reach {peak:.0f}; scale them to [-1, 1]")
    return samples, rate


def duration(path: str | os.PathLike[str]) -> float:
    """Seconds, by the file's header; raises `SercoreError` as `read` does, as far as the header tells."""
    with _opened(path) as file:
        return file.frames / file.samplerate


def digest(path: str | os.PathLike[str]) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[soundfile.SoundFile]:
    import soundfile

    if not Path(path).is_file():
        raise SercoreError(f"{path}: {'a folder; name the files in it' if os.path.isdir(path) else 'no such file'}")
    if not Path(path).stat().st_size:
        raise SercoreError(f"{path}: empty file (0 bytes)")
    with open(path, "rb") as start:
        if start.read(len(LFS_POINTER)) == LFS_POINTER:
            raise SercoreError(f"{path}: only Git LFS's pointer to the sound; `git lfs pull` brings the sound itself")
    try:
        with soundfile.SoundFile(os.fspath(path)) as file:
            for promised, held in SHORT_DATA.findall(file.extra_info):
                if int(promised) > int(held) and int(promised) not in STREAMED:
                    raise SercoreError(f"{path}: truncated, {held} of {promised} bytes of sound are there")
            if not file.frames:
                raise SercoreError(f"{path}: holds no samples")
            yield file
    except soundfile.LibsndfileError as error:
        problem = "not audio" if error.code == UNKNOWN_FORMAT else "truncated or damaged"
        raise SercoreError(f"{path}: {problem} ({error.error_string})") from error

"""Small recordings, good and bad, for the tests."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000


def tone(seconds=0.5, rate=RATE, frequency=220.0, level=0.3):
    """A tone that fades in and out, float32 (samples,)."""
    time = np.arange(round(seconds * rate)) / rate
    return (level * np.hanning(len(time)) * np.sin(2 * np.pi * frequency * time)).astype("float32")


def write(path, samples=None, rate=RATE, subtype="PCM_16"):
    """Write `samples` (a tone whose pitch depends on the name, so that no two files are alike) and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if samples is None:
        samples = tone(frequency=150 + sum(map(ord, str(path))) % 500 + len(str(path)))
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def cut(path, share=0.5):
    """Keep only the first part of the file's bytes."""
    whole = path.read_bytes()
    path.write_bytes(whole[: round(len(whole) * share)])


READABLE = {
    "silent": lambda path: write(path, np.zeros(RATE // 2, "float32")),
    "stereo": lambda path: write(path, np.stack([tone(), np.zeros(RATE // 2)], axis=1)),
    "8-bit": lambda path: write(path, tone(), subtype="PCM_U8"),
    "44.1 kHz": lambda path: write(path, tone(rate=44_100), rate=44_100),
}
UNREADABLE = {
    "truncated": lambda path: cut(write(path)),
    "empty": lambda path: path.write_bytes(b""),
    "not audio": lambda path: path.write_text("a shopping list"),
}

"""A corpus of synthetic speech, made on the spot by espeak-ng: for tests, first steps and the live chapter.

Twenty voices "act" by pitch, pitch range, rate and loudness alone. The emotions overlap, and every voice has
habits of its own, so that they can be learned but not read off. Nothing that is measured on it says anything
about people.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import machine, places
from ..errors import SercoreError
from ..frontend.audio import SAMPLE_RATE
from . import register
from .base import Corpus, table

WORKER = Path(__file__).with_name("espeak.py")
WOMEN = ("f1", "f2", "f3", "f4", "f5", "Andrea", "Annie", "belinda", "linda", "steph")
MEN = ("m1", "m2", "m3", "m4", "m6", "m7", "m8", "Diogo", "Hugo", "victor")
SENTENCES = (
    "The letter is on the table.",
    "They will be here at seven.",
    "I left my coat in the car.",
    "She is coming back on Monday.",
    "We can talk about it tomorrow.",
    "The bus stops behind the school.",
    "He never told me about this.",
)
# each emotion's mean pitch and range (0 to 99, 50 is the voice's own), words a minute, dB of full scale
EMOTIONS = {
    "angry": (56, 58, 206, -23.0),
    "happy": (70, 76, 194, -26.0),
    "sad": (36, 28, 158, -35.0),
    "neutral": (46, 44, 180, -31.0),
}
SPEAKER_SPREAD = (5, 6, 8, 1.5)  # standard deviation of a voice's habit
SPREAD = (8, 10, 14, 2.5)  # and of an utterance around it
LOWEST, HIGHEST = (5, 5, 120, -44.0), (95, 95, 260, -20.0)
NOISE = -65.0  # dB of full scale: a quiet room, instead of digital silence
SEED = 2020


def plan() -> list[dict[str, Any]]:
    """One job a voice: everything that `espeak.speak` needs, the same on every machine."""
    random = np.random.default_rng(SEED)
    jobs = []
    for seed, voice in enumerate(WOMEN + MEN):
        habit = random.normal(0, SPEAKER_SPREAD)
        utterances = []
        for emotion, means in EMOTIONS.items():
            for number, text in enumerate(SENTENCES, start=1):
                drawn = np.clip(means + habit + random.normal(0, SPREAD), LOWEST, HIGHEST)
                pitch, span, rate = (int(value) for value in drawn[:3].round())
                level = round(float(drawn[3]), 2)
                name = f"{voice}_{emotion}_{number}.flac"
                utterances.append(dict(path=name, text=text, pitch=pitch, range=span, rate=rate, level=level, noise=NOISE))
        jobs.append(dict(voice=voice, utterances=utterances, rate=SAMPLE_RATE, seed=seed))
    return jobs


def make() -> Path:
    """The folder of the corpus, made now if it is not yet in the cache: some seconds, no network.

    Raises `SercoreError` where espeak-ng fails. A folder is whole or not there, also when several processes
    make it.
    """
    from filelock import FileLock
    from tqdm import tqdm

    jobs = plan()
    recipe = json.dumps([jobs, version("espeakng-loader"), WORKER.read_text("utf-8")])
    folder = places.cache_folder() / "demo" / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if folder.is_dir():
            return folder
        partial = tempfile.mkdtemp(prefix="making-", dir=folder.parent)
        try:
            with ThreadPoolExecutor(machine.cores()) as pool:
                spoken = pool.map(lambda job: _speak(job, partial), jobs)
                list(tqdm(spoken, "making synthetic speech", len(jobs), unit="voice", leave=False, disable=None))
            os.replace(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder


def _speak(job: dict[str, Any], folder: str) -> None:
    done = subprocess.run(
        [sys.executable, str(WORKER)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        cwd=folder,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise SercoreError(f"demo: espeak-ng failed on the voice {job['voice']}: {reason[0]}")


def read(root: Path) -> pd.DataFrame:
    rows = []
    for path in sorted(root.glob("*.flac")):
        speaker, label, sentence = path.stem.split("_")
        gender = "f" if speaker in WOMEN else "m"
        rows.append(dict(id=path.stem, path=path, label=label, speaker=speaker, gender=gender, sentence=sentence))
    return table(rows)


register(
    Corpus(
        name="demo",
        title="demo (synthetic speech)",
        heading="demo (synthetic)",
        language="English",
        kind="synthetic",
        licence="made by the program itself",
        shareable=True,
        citation="",
        url="https://github.com/espeak-ng/espeak-ng",
        adapter=read,
        counts=(len(WOMEN + MEN) * len(SENTENCES),) * 4,
        clip_seconds=2.0,
        max_epochs=100,
        patience=100,
        make=make,
    )
)

"""Shared ground of the tests: where real corpora lie, a cache of their own, and a tiny corpus that trains in a second."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

# Before anything computes: tests run in one process a core (pyproject.toml), and threads that wait for one another would keep
# the cores of the others busy: four times the time. What tests of threads ask for they get.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np
import pandas as pd
import pytest
import soundfile
from filelock import FileLock

LABELS = ("angry", "happy", "sad", "neutral")


LONGEST = (
    "test_cluster",
    "test_any_corpus",
    "test_export",
    "test_benchmarks",
    "test_sweep",
    "test_cli",
    "test_book",
    "test_training",
)
"""Files whose tests take longest: begun first, none of them is left over for one process at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(LONGEST)))


@pytest.fixture(scope="session")
def corpora_root() -> Path:
    """The real corpora: SERCORE_DATA, or a folder shared/corpora beside the checkout; tests skip loudly without."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "corpora"
    for root in (os.environ.get("SERCORE_DATA_OF_TESTS"), str(beside)):
        if root and Path(root).is_dir():
            return Path(root)
    pytest.skip("REAL CORPORA NOT FOUND: set SERCORE_DATA to the folder that holds emodb, nemo and ravdess")


@pytest.fixture(scope="session", autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reads or writes the user's cache, runs or results; all processes of the tests share one cache."""
    os.environ["SERCORE_DATA_OF_TESTS"] = os.environ.pop("SERCORE_DATA", "")
    own = tmp_path_factory.getbasetemp()
    os.environ["SERCORE_CACHE"] = str((own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "cache")
    os.environ["SERCORE_RUNS"] = str(tmp_path_factory.mktemp("runs"))
    os.environ["SERCORE_RESULTS"] = str(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """`made_once(name, make)`: a folder that `make` filled, once for all processes of the tests, which only read it."""
    own = tmp_path_factory.getbasetemp()
    root = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        path = root / name
        with FileLock(root / f"{name}.lock"):
            if not (root / f"{name}.made").exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                make(path)
                (root / f"{name}.made").touch()
        return path

    return folder


@pytest.fixture(scope="session")
def tones(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Path:
    """A table of 40 half-second tones by five speakers: each class has its own pitch, each speaker its own colour."""
    return made_once("tones", _tones) / "tones.csv"


def _tones(folder: Path) -> None:
    random, rows = np.random.default_rng(0), []
    time = np.arange(8000) / 16_000
    for speaker in range(5):
        for index, label in enumerate(LABELS):
            for take in range(2):
                pitch = 200 * 2**index * (1 + 0.04 * speaker) * (1 + 0.02 * random.standard_normal())
                wave = 0.3 * np.sin(2 * np.pi * pitch * time) + 0.01 * random.standard_normal(time.size)
                name = f"{label}-{speaker}-{take}.wav"
                soundfile.write(folder / name, wave, 16_000)
                rows.append({"path": name, "label": label, "speaker": f"s{speaker}", "gender": "fm"[speaker % 2]})
    pd.DataFrame(rows).to_csv(folder / "tones.csv", index=False)

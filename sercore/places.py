"""Where things lie: the cache, the corpora, the records of runs, and what is published of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import SercoreError

PROJECT = Path(__file__).resolve().parents[1]
"""The project's own folder, where this package is used from a checkout of it."""


def cache_folder() -> Path:
    """What sercore downloads and computes: `SERCORE_CACHE`, else the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("SERCORE_CACHE") or platformdirs.user_cache_dir("sercore")).expanduser().absolute()


def made(folder: Path) -> Path:
    """A folder of the cache, made where it is not there. Raises `SercoreError` where it cannot be, or cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error.strerror or str(error)) from None
    if not os.access(folder, os.W_OK):
        raise _not_writable(folder, "not yours to write")
    return folder


def _not_writable(folder: Path, why: str) -> SercoreError:
    return SercoreError(f"{folder}: cannot be written ({why}): name a folder that can by the variable SERCORE_CACHE")


def data_roots(data_root: str | os.PathLike[str] | None = None) -> list[Path]:
    """Where corpora are looked for: `data_root` alone, or else `SERCORE_DATA` and then the cache folder."""
    if data_root is not None:
        return [Path(data_root).expanduser().absolute()]
    given = os.environ.get("SERCORE_DATA")
    return [*([Path(given).expanduser().absolute()] if given else []), cache_folder() / "corpora"]


def runs_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Records of runs: `folder`, else the variable SERCORE_RUNS, else `runs` in the working directory."""
    return Path(folder or os.environ.get("SERCORE_RUNS") or "runs").expanduser()


def results_folder(folder: str | os.PathLike[str] | None = None) -> Path:
    """Published records: `folder`, else the variable SERCORE_RESULTS, else `results` in the working directory."""
    return Path(folder or os.environ.get("SERCORE_RESULTS") or "results").expanduser()


def results_of_book(book: str | Path = "book", folder: str | Path | None = None) -> Path:
    """The published records of the book in `book`: as `results_folder`, but `results` stands beside the book by default."""
    return Path(folder or os.environ.get("SERCORE_RESULTS") or Path(book).parent / "results").expanduser().resolve()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Published records for this process alone, when another has done with them; the folder is made where it is not there."""
    from filelock import FileLock

    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        yield

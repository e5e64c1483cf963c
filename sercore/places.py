"""Where things lie: the cache, the corpora, the records of runs, and what is published of them."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
"""The project's own folder, where this package is used from a checkout of it."""


def cache_folder() -> Path:
    """What sercore downloads and computes: `SERCORE_CACHE`, else the user's cache folder."""
    import platformdirs

    return Path(os.environ.get("SERCORE_CACHE") or platformdirs.user_cache_dir("sercore")).expanduser().absolute()


def data_roots(data_root: str | os.PathLike[str] | None = None) -> list[Path]:
    """Where corpora are looked for: `data_root` alone, or else `SERCORE_DATA` and then the cache folder."""
    if data_root is not None:
        return [Path(data_root).expanduser().absolute()]
    given = os.environ.get("SERCORE_DATA")
    return [*([Path(given).expanduser().absolute()] if given else []), cache_folder() / "corpora"]


def runs_folder(folder: str | Path | None = None) -> Path:
    """Records of runs: `folder`, else the variable SERCORE_RUNS, else `runs` in the working directory."""
    return Path(folder or os.environ.get("SERCORE_RUNS") or "runs")


def results_folder(folder: str | Path | None = None) -> Path:
    """Published records: `folder`, else the variable SERCORE_RESULTS, else `results` in the working directory."""
    return Path(folder or os.environ.get("SERCORE_RESULTS") or "results")


def results_of_book(book: str | Path = "book", folder: str | Path | None = None) -> Path:
    """The published records of the book in `book`: as `results_folder`, but `results` stands beside the book by default."""
    return Path(folder or os.environ.get("SERCORE_RESULTS") or Path(book).parent / "results").resolve()

"""Losses, poolings and corpora of your own, from Python files that `SERCORE_EXTENSIONS` names.

    SERCORE_EXTENSIONS=mine.py sercore run emodb speaker baseline@loss=smoothed

Each file adds to `sercore.network.LOSSES` or `sercore.network.POOLINGS`, or calls `sercore.corpora.register`. It is imported
where a name is first looked up, in every process of a sweep. Several files are separated as in PATH.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from pathlib import Path
from typing import Any, TypeVar

from .errors import SercoreError

VARIABLE = "SERCORE_EXTENSIONS"
T = TypeVar("T")


def files() -> list[Path]:
    """The files that the variable names."""
    return [Path(name).expanduser().absolute() for name in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep))]


_tables: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}


def extensible(kind: str, table: dict[str, T]) -> dict[str, T]:
    """The table of a `kind` of things ("loss"), to which files may add and in which they may replace nothing that is there."""
    _tables[kind] = table, dict(table)
    return table


_added: list[tuple[dict[str, Any], str]] = []


@functools.cache
def load() -> None:
    """Import the files, once; one that is not there, fails, or replaces a name of the package raises `SercoreError`, and adds
    nothing."""
    known = [(table, set(table)) for table, _ in _tables.values()]

    def note() -> None:
        _added.extend((table, name) for table, names in known for name in table if name not in names)

    try:
        for path in files():
            _import(path)
    except BaseException:
        note()
        forget()
        raise
    note()


def forget() -> None:
    """Take away what the files have added: `load` begins anew, with other files or with changed ones."""
    for table, name in _added:
        table.pop(name, None)
    _added.clear()
    load.cache_clear()


def _import(path: Path) -> None:
    if not path.is_file():
        raise SercoreError(f"{VARIABLE}: {path} is not there")
    unique = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]  # two files may be called alike
    spec = importlib.util.spec_from_file_location(f"sercore_extension_{path.stem}_{unique}", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SercoreError(f"{VARIABLE}: {path} fails ({type(error).__name__}: {error})") from error
    for kind, (table, before) in _tables.items():
        if replaced := [name for name in before if table.get(name) is not before[name]]:
            table.update(before)
            raise SercoreError(f"{VARIABLE}: {path} replaces the {kind} {', '.join(map(repr, replaced))}: take a new name")


def told(error: Exception, of: type) -> str:
    """An error in a class of the user's own in one line, with the last line of its file that was reached."""
    try:
        file = inspect.getsourcefile(of)
    except TypeError:  # typed into a session
        file = None
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    where = f" ({file}, line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}: {error}{where}"


def checksum(of: type) -> str:
    """SHA-256 of the file of a class that is not the package's own, for what it calls there counts too; "" of one that is."""
    if of.__module__.partition(".")[0] == __package__:
        return ""
    try:
        return hashlib.sha256(Path(inspect.getfile(of)).read_bytes()).hexdigest()
    except (OSError, TypeError):  # typed into a session: it has no file
        return "unknown"

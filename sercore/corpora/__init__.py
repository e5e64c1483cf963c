"""The corpora: one small module each, found by itself; all give the same table of utterances.

A new corpus is one file in this package that calls `register(Corpus(...))`.
"""

from __future__ import annotations

import functools
import importlib
import os
import pkgutil
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from .. import bounds, extensions, places
from ..errors import SercoreError, Unreadable, nearest
from ..frontend import audio
from . import bundled
from .base import COLUMNS, LABELS, OWN, Corpus, clip_rule, complain, length_rule, updates_an_epoch

__all__ = [
    "COLUMNS",
    "LABELS",
    "OWN",
    "Corpus",
    "adapted",
    "clip_rule",
    "complain",
    "find_root",
    "get",
    "length_rule",
    "load",
    "names",
    "paths",
    "register",
    "updates_an_epoch",
]

_registered: dict[str, Corpus] = extensions.extensible("corpus", {})


def register(corpus: Corpus) -> Corpus:
    """Make a corpus known under its name; a name that is taken raises `SercoreError`."""
    if not isinstance(corpus.name, str) or not re.fullmatch(bounds.NAME, corpus.name):
        raise SercoreError(
            f"a corpus called {bounds.shown(corpus.name)}: write small letters, digits and hyphens, 80 at most; it names files "
            "and pages"
        )
    if corpus.name in _registered:
        raise SercoreError(f"two corpora are called {corpus.name!r}")
    _registered[corpus.name] = corpus
    return corpus


@functools.cache
def _discover() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    extensions.load()


def names() -> tuple[str, ...]:
    """Names of the built-in corpora, sorted."""
    _discover()
    return tuple(sorted(_registered))


def get(name: str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None) -> Corpus:
    """A corpus by its name, or the one that a folder, .csv or .tsv file of your own, or a bundle, holds.

    A bundle in a data root is also known by its name, that of the file.

    Raises `SercoreError` with the known names, and the closest, where it is neither.
    """
    if name in names():
        return _registered[str(name)]
    path = Path(name).expanduser()
    if bundled.is_bundle(path):
        return bundled.corpus(path)
    if re.fullmatch(bounds.NAME, str(name)) and (path_of_bundle := bundled.find(str(name), places.data_roots(data_root))):
        corpus = bundled.corpus(path_of_bundle)
        if corpus.name != name:
            raise SercoreError(f"{path_of_bundle} holds the corpus {corpus.name}: call it {corpus.name}{bundled.SUFFIX}")
        return corpus
    if os.path.isdir(path) or path.suffix.lower() in (".csv", ".tsv"):
        from .files import corpus_at

        return corpus_at(path)
    if os.path.exists(path):
        raise SercoreError(f"{name}: neither a folder nor a .csv or .tsv file")
    if path.suffix or len(path.parts) > 1:
        raise SercoreError(f"{name}: no such file or folder")
    raise SercoreError(
        f"unknown corpus {str(name)!r}: {nearest(str(name), names())}There are {', '.join(names())}, "
        "or the path of a folder (one sub-folder a label) or of a .csv or .tsv file (columns path and label)"
    )


def find_root(corpus: Corpus | str, data_root: str | os.PathLike[str] | None = None) -> Path:
    """The folder of `corpus`: a data root's sub-folder of its name, or a data root that looks like it.

    Raises `SercoreError` that says what was looked for where, and how to come by the corpus.
    """
    corpus = get(corpus, data_root) if isinstance(corpus, str) else corpus
    if corpus.make:
        return corpus.make()
    if corpus.spectra:
        return _bundle_of(corpus, data_root)
    known = {folder.lower() for folder in (corpus.name, *corpus.folders)}
    roots = places.data_roots(data_root)
    for root in filter(Path.is_dir, roots):
        for folder in sorted(root.iterdir()):
            if folder.name.lower() in known and folder.is_dir():
                return folder
        if corpus.matches(root):
            return root
    tried = "\n  ".join(f"{root}{'' if root.is_dir() else ' (no such folder)'}" for root in roots)
    wanted = " or ".join(dict.fromkeys((corpus.name, *corpus.folders)))
    how = corpus.obtain or f"`sercore fetch {corpus.name}` brings it"
    raise SercoreError(
        f"{corpus.title} is not here. Looked for a folder {wanted}, or {corpus.marker} itself, in\n"
        f"  {tried}\n{how}; if you have it, name the folder above it by --data-root or SERCORE_DATA"
    )


def _bundle_of(corpus: Corpus, data_root: str | os.PathLike[str] | None) -> Path:
    roots = places.data_roots(data_root)
    if (path := bundled.find(corpus.name, roots)) is None:
        tried = ", ".join(map(str, roots))
        raise SercoreError(
            f"{corpus.title} is not here: no {corpus.name}{bundled.SUFFIX} in {tried}, or in a folder there. {corpus.obtain}"
        )
    return path


def adapted(corpus: Corpus, root: Path) -> pd.DataFrame:
    """What the corpus's adapter makes of its folder. Raises `SercoreError` where columns of `COLUMNS` are absent."""
    frame = corpus.adapter(root)
    complain(f"{root}: columns that the adapter of {corpus.title} must give and does not", sorted(set(COLUMNS[:-1]) - set(frame)))
    frame.attrs.setdefault("dropped", {})
    return frame


def load(name: Corpus | str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """The corpus's utterances: columns `COLUMNS`, sorted by id; `attrs["dropped"]` counts what was left out.

    `path` is absolute, or "" of a corpus that is spectra alone, `duration` in seconds, `gender` "f", "m" or "" (unknown).
    Raises `SercoreError` where the corpus is not found, has nothing in it, ids twice, or files whose headers cannot be read, or
    that are longer than an utterance can be (all of them in one message).
    """
    corpus = name if isinstance(name, Corpus) else get(name, data_root)
    root = find_root(corpus, data_root)
    if corpus.spectra:
        return bundled.table(root)
    frame = adapted(corpus, root)
    if frame.empty:
        raise SercoreError(f"{root}: no utterance of {corpus.title} in it; expected files such as {corpus.marker}")
    frame = frame.assign(id=frame["id"].astype(str)).sort_values("id", ignore_index=True)
    twice = frame[frame.id.duplicated(keep=False)]
    complain(f"{root}: utterances that are there more than once", twice.path)
    strange = frame[~frame["label"].isin(corpus.labels)]
    complain(
        f"{root}: labels that {corpus.title} does not have ({', '.join(corpus.labels)})",
        strange["label"].astype(str) + ": " + strange["path"].astype(str),
    )
    with ThreadPoolExecutor(4) as pool:
        headers = list(pool.map(_duration, frame.path))
    audio.refuse([header for header in headers if isinstance(header, Unreadable)])
    return frame.assign(duration=headers).astype({"duration": float})[list(COLUMNS)]


def paths(name: Corpus | str | os.PathLike[str], data_root: str | os.PathLike[str] | None = None) -> pd.Series:
    """Where each utterance's file should lie, by its id, without a look into any: "" of a corpus that is spectra alone. Raises
    `SercoreError` where the corpus is not found."""
    corpus = name if isinstance(name, Corpus) else get(name, data_root)
    root = find_root(corpus, data_root)
    frame = bundled.table(root) if corpus.spectra else adapted(corpus, root)
    return frame.assign(id=frame["id"].astype(str)).set_index("id")["path"]


def _duration(path: str) -> float | Unreadable:
    try:
        seconds = audio.duration(path)
        audio.refuse_long(path, seconds)
        return seconds
    except Unreadable as error:
        return error

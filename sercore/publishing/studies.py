"""A study of one's own: a folder with its settings, its runs and results, and a book that holds it alone."""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
import shutil
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from .. import corpora, machine, places
from ..config import Config
from ..errors import SercoreError, nearest
from ..evidence import publication
from ..lab import costs, experiment, sweep
from ..report.names import in_markdown
from ..report.names import name as name_of

FILE = "study.toml"
LEFT_OUT = ("api", "extend", "live", "plan", "reproduce", "scale", "summary", "voice")
"""Pages of the project's own book that no other study has."""

SHIPPED = Path(__file__).parents[1] / "template"
"""The book's sources in an installed package; in a checkout they lie where they are written."""

SETTINGS = """\
# The study in this folder: `sercore study` does what is missing of it, and `jupyter-book build book` makes its book.
title = {title}

# What to train on: the name of a corpus (`sercore corpora`), a folder with one sub-folder a label, or a .csv or .tsv file with
# the columns path and label, and speaker where speakers are known.
data = {data}

# Which systems: slugs with commas. `claims` is the baseline and the paper's three best, `table2` its 14, `table1` the 7 earlier
# ones; `sercore systems` lists them, and one of your own is named in the variable SERCORE_EXTENSIONS.
systems = {systems}

# speaker: no speaker in two parts; paper: a random split. With commas, both.
protocols = {protocols}

# Seeds, as in "0-4". One seed tells little: what another draws moves a system by some points. Five make a verdict.
seeds = {seeds}

# Settings of the training that shall differ from the paper's, as in max_epochs = 50 (sercore.Config has them all).
[settings]
"""

TOC = """\
format: jb-book
root: intro
parts:
  - caption: The study
    chapters:
      - file: data
      - file: table-2
      - file: table-1
      - file: baseline
        sections: [{glob: baseline-*}]
      - file: ams
        sections: [{glob: ams-*}]
      - file: focal
        sections: [{glob: focal-*}]
      - file: combined
        sections: [{glob: combined-*}]
      - file: combinations
      - file: confusion
      - file: compactness
      - file: attention
      - file: explorer
      - file: per-speaker
      - file: protocols
      - file: readings
      - file: noise
      - file: verdicts
  - caption: The method
    chapters:
      - file: paper
      - file: features
      - file: model
      - file: losses
      - file: pooling
      - file: glossary
      - file: literature
"""


@dataclass(frozen=True)
class Study:
    """What a folder's `study.toml` says."""

    folder: Path
    title: str
    data: str
    systems: str = "claims"
    protocols: str = "speaker"
    seeds: str = "0"
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def results(self) -> Path:
        return self.folder / "results"

    @property
    def book(self) -> Path:
        return self.folder / "book"


def make(
    folder: str | os.PathLike[str],
    data: str,
    title: str = "",
    systems: str = "claims",
    protocols: str = "",
    seeds: str = "0",
    data_root: str | None = None,
) -> Study:
    """Make the folder of a study: `study.toml`, and the sources of its book. Nothing is trained.

    The protocol is `speaker` where the corpus names five speakers or more and their folds can be learnt from, else `paper`.
    Raises `SercoreError` for a folder that holds something, for data that cannot be read or learnt from, and for systems that
    are not there.
    """
    target = Path(folder)
    if target.exists() and any(target.iterdir()):
        raise SercoreError(f"{target} holds something already: name a new folder")
    corpus = corpora.get(data, data_root)
    utterances = corpora.load(corpus, data_root)
    protocols = protocols or ("paper" if experiment.unlearnable(utterances, ["speaker"]) else "speaker")
    _check_learnable(utterances, protocols, data)
    own = data not in corpora.names() and Path(data).expanduser().exists()  # else a bundle, found by its name
    named = str(Path(data).expanduser().resolve()) if own else data
    sweep.plan(data, systems, protocols, seeds, data_root=data_root)
    title = machine.printable(title or f"Speech emotion recognition on {corpus.heading or corpus.title}")
    source = SHIPPED if SHIPPED.exists() else places.PROJECT
    if not (source / "book" / "notebooks").exists():
        raise SercoreError("the sources of the book are not in this installation: install sercore from its wheel or a checkout")
    target.mkdir(parents=True, exist_ok=True)
    _copy_book(source, target, title)
    said = {"title": title, "data": named, "systems": systems, "protocols": protocols, "seeds": seeds}
    text = SETTINGS.format(**{key: json.dumps(value, ensure_ascii=False) for key, value in said.items()})
    (target / FILE).write_text(text, encoding="utf-8")
    return read(target)


def _check_learnable(utterances: Any, protocols: str, data: str) -> None:
    if problems := experiment.unlearnable(utterances, [each.strip() for each in protocols.split(",")]):
        raise SercoreError("\n".join([*problems, f"`sercore check {shlex.quote(data)}` tells more"]), offenders=problems)


def _copy_book(source: Path, target: Path, title: str) -> None:
    book, made = source / "book", target / "book"
    made.mkdir(exist_ok=True)
    for name in ("_ext", "_static", "_templates", "explorer", "toys", "voice"):
        shutil.copytree(book / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(book / "references.bib", made)
    (made / "notebooks").mkdir()
    own = {path.name: path for path in (book / "_study").glob("*.md")}
    pages = {path.name: path for path in (book / "notebooks").glob("*.md") if path.stem not in LEFT_OUT} | own
    for name, path in pages.items():
        text = re.sub(r"(?ms)^% of this book alone\n.*?^% to here\n", "", path.read_text(encoding="utf-8"))
        text = text.replace("{study}", in_markdown(name_of(title)))
        (made / "notebooks" / name).write_text(without_links(text, LEFT_OUT), encoding="utf-8")
    (target / "_toc.yml").write_text(TOC, encoding="utf-8")
    (made / "_toc.yml").write_text(TOC, encoding="utf-8")  # Jupyter Book looks for it there
    (target / "_config.yml").write_text(titled((source / "_config.yml").read_text(encoding="utf-8"), title), encoding="utf-8")


def titled(settings: str, title: str) -> str:
    """The text of the project's `_config.yml` for a book of another title."""
    settings = re.sub(r"(?m)^title: .*", lambda _: f"title: {json.dumps(title, ensure_ascii=False)}", settings)
    settings = re.sub(r"(?m)^author: .*", 'author: ""', settings)
    return settings.replace("text: Measured again", f"text: {json.dumps(escape(title), ensure_ascii=False)}")


def without_links(text: str, pages: tuple[str, ...]) -> str:
    """A page's source whose links to `pages`, which are not there, are words."""
    for page in pages:
        text = re.sub(rf"{{doc}}`([^`<]+?) <{page}>`", r"\1", text)
        text = re.sub(rf"{{doc}}`{page}`", f"*{page}* of sercore's own book", text)
    return text


def read(folder: str | os.PathLike[str] = ".") -> Study:
    """The study in a folder; `SercoreError` names what `study.toml` lacks, and what it has too much."""
    path = Path(folder) / FILE
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SercoreError(f"{path}: no study here; `sercore init FOLDER --data ...` makes one") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SercoreError(f"{path}: {error}") from None
    known = ("title", "data", "systems", "protocols", "seeds", "settings")
    wrong = [f"no {name}" for name in known[:2] if name not in said]
    wrong += [f"unknown {name!r}; {nearest(name, known)}there are {', '.join(known)}" for name in said if name not in known]
    kinds = {name: dict if name == "settings" else str for name in known}
    wrong += [
        f"{name} must be {'a table' if kinds[name] is dict else 'a text'}"
        for name in known
        if name in said and not isinstance(said[name], kinds[name])
    ]
    if wrong:
        raise SercoreError(f"{path}: {'; '.join(wrong)}")
    try:
        Config().replace(**said.get("settings", {}))
    except SercoreError as error:
        raise SercoreError(f"{path}, [settings]: {error}") from None
    return Study(Path(folder).absolute(), **said)


def forecast(study: Study, data_root: str | None = None, device: str = "auto") -> str:
    """How many runs are missing, and about how long they will take here, by one measured step of each system; "" for none."""
    wanted = sweep.plan(study.data, study.systems, study.protocols, study.seeds, data_root=data_root)
    missing = wanted.missing(study.runs)
    prepared = experiment.prepare(study.data, data_root, progress=True)
    _check_learnable(prepared.utterances, study.protocols, study.data)
    sweep.check(wanted, study.runs, prepared, study.settings)
    seconds = dict[str, float]()
    for slug in dict.fromkeys(name.system for name in missing):
        config = experiment.configure(prepared, slug, study.settings)
        seconds[slug] = costs.epoch_seconds(prepared, config, device) * config.max_epochs
    took = _time(sum(seconds[name.system] for name in missing))
    return f"{len(missing)} runs to do: about {took} here, and less where validation ends them sooner" if missing else ""


def work(
    study: Study,
    jobs: int = 1,
    device: str = "auto",
    data_root: str | None = None,
    told: Callable[[str], None] = lambda text: None,
    **how: Any,
) -> sweep.Outcome:
    """Do the runs that are missing, and publish all of them to the study's own results."""
    wanted = sweep.plan(study.data, study.systems, study.protocols, study.seeds, data_root=data_root)
    expected = forecast(study, data_root, device)
    if expected:
        told(expected)
    begun = time.monotonic()
    outcome = sweep.sweep(wanted, study.runs, data_root, study.settings, device, jobs, **how)
    if expected:
        told(f"the runs took {_time(time.monotonic() - begun)}")
    if any(study.runs.glob("*/run.json")):
        told("publishing: yardsticks and maps, minutes where there are thousands of recordings")
        begun = time.monotonic()
        try:
            publication.publish(study.runs, study.results, data_root=data_root, agree=lambda question: True)
        except SercoreError:
            if not outcome.failed:
                raise
            told(f"not published: {len(outcome.failed)} runs failed, and no seed of a system has all its folds")
            return outcome
        told(f"published in {_time(time.monotonic() - begun)}")
    return outcome


def _time(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))

"""The book's chapters: notebooks in `book/notebooks`, executed by papermill into `book/` where they are out of date.

A chapter is out of date when its source, its parameters, this package, a package that it computes with or a file of the
published records that it read has changed. `sercore.evidence.results` notes what is read: chapters read records through it alone.
The front matter of a source may say `sercore: {each: corpus}`: a template, which becomes one chapter for every experiment
on every published corpus; or `sercore: {first: true}`: slow, and so begun before the others.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .. import extensions, machine, places
from ..corpora.protocol import CLEAN
from ..errors import SercoreError
from ..evidence import remembered
from ..evidence.results import READS
from ..evidence.results import runs as published_runs
from ..lab.systems import OWN, TABLE_2, family, is_own
from ..report.names import in_markdown, name
from ..report.tables import corpus_title, read_ahead
from . import notebooks
from .missing import ensure_published, train_and_publish, whole_grid

if TYPE_CHECKING:
    from nbformat import NotebookNode


__all__ = ["EXPERIMENTS", "Chapter", "check_outputs", "complaints", "ensure_published", "execute", "train_and_publish", "wanted"]

EXPERIMENTS: dict[str, tuple[str, ...]] = {
    name: tuple(slug for slug in TABLE_2 if slug == "baseline" or family(slug) == name)
    for name in ("baseline", "ams", "focal", "combined")
}
"""experiment -> the rows of Table 2 that it compares, the baseline first."""

PACKAGE = Path(__file__).parents[1]
CODE = (".py", ".csv", ".mplstyle", ".json", ".safetensors")
PACKAGES = ("torch", "numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "matplotlib", "umap-learn", "soundfile", "soxr")
KERNEL = "python3"
MANY = 8
"""So many chapters ask for the same records often enough that these are better read before them."""


@dataclass(frozen=True)
class Chapter:
    """A page of the book: its name in the address, the source of its notebook, and what papermill gives it."""

    name: str
    source: Path
    parameters: dict[str, Any] = field(default_factory=dict)
    title: str = ""  # what `{title}` in its headings stands for
    first: bool = False  # begun before the others


def wanted(book: str | Path = "book", results: str | Path | None = None) -> list[Chapter]:
    """Every chapter that the book should have, by name: each notebook, and each template once per experiment and corpus."""
    folder = Path(book).resolve()
    sources = sorted((folder / "notebooks").glob("*.md"))
    if not sources:
        raise SercoreError(f"no notebook in {folder / 'notebooks'}: is {book} the folder of the book?")
    chapters: list[Chapter] = []
    for source in sources:
        settings = dict(_read(source).metadata.get("sercore", {}))
        if settings == {"each": "corpus"}:
            chapters += _of_template(source, places.results_of_book(folder, results))
        elif settings in ({}, {"first": True}):
            chapters.append(Chapter(source.stem, source, first=bool(settings)))
        else:
            raise SercoreError(f"{source.name}: sercore: {settings} in its front matter is neither each: corpus nor first: true")
    names = [chapter.name for chapter in chapters]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SercoreError(f"two chapters are called {', '.join(twice)}")
    return sorted(chapters, key=lambda chapter: chapter.name)


def _of_template(source: Path, published: Path) -> Iterator[Chapter]:
    top = source.parents[2]
    inside = published.is_relative_to(top)
    table = published_runs(published)
    table = table[table["protocol"].isin(CLEAN)]
    for experiment, slugs in EXPERIMENTS.items():
        for corpus, runs in table[table["system"].isin(slugs)].groupby("corpus", sort=True):
            protocols, there, seeds = whole_grid(runs, slugs)
            if there and (experiment == "baseline" or there != ["baseline"]):
                parameters = {
                    "experiment": experiment,
                    "corpus": corpus,
                    "protocol": ",".join(protocols),
                    "systems": ",".join(there),
                    "seeds": ",".join(map(str, seeds)),
                    "results": (published.relative_to(top) if inside else published).as_posix(),
                    "train_missing": False,
                }
                title = f"{experiment.capitalize() if experiment != 'ams' else 'AMS'} on {name(corpus_title(str(corpus)))}"
                yield Chapter(f"{experiment}-{corpus}", source, parameters, title)


# ---- execution


def execute(
    book: str | Path = "book",
    results: str | Path | None = None,
    force: bool = False,
    only: Iterable[str] | None = None,
    jobs: int | None = None,
    report: Callable[[str], None] | None = None,
) -> list[str]:
    """Execute what is out of date (`force`: everything; `only`: none but these) and remove what is no longer wanted.

    Returns the names of the executed chapters. `jobs` chapters go at once (default: two); `report` is told each that is
    done. All chapters that fail are named in one `SercoreError`; those that succeed are kept.
    """
    folder = Path(book).resolve()
    published = places.results_of_book(folder, results)
    chapters = wanted(folder, published)
    known = {chapter.name for chapter in chapters}
    if report is not None and (foreign := _without_their_code(published)):
        report(f"without its code here, a system goes by its slug: {', '.join(foreign)} (SERCORE_EXTENSIONS names such files)")
    if unknown := sorted(set(only or ()) - known):
        raise SercoreError(f"no chapter {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    _check_parameters(chapters)
    for output in folder.glob("*.ipynb"):
        if output.stem not in known and _made_from(output):
            output.unlink()
    code = _surroundings()
    surroundings = f"{code} {published}"  # pages tell where their records are
    checksum = functools.cache(functools.partial(_checksum, published))
    due = []
    for chapter in chapters:
        key = _key(chapter, surroundings)
        if (only is None or chapter.name in only) and (force or not _up_to_date(folder / f"{chapter.name}.ipynb", key, checksum)):
            due.append((chapter, key))
    due.sort(key=lambda pair: not pair[0].first)
    failed = []
    jobs = min(jobs or min(2, machine.cores()), max(len(due), 1))
    memory = folder.parent / "_build" / "remembered" / code[:16]
    with _environment_of_kernels(published, jobs, memory):
        for name, problem, seconds in _run_all(due, folder, jobs):
            if problem:
                failed.append(problem)
            if report is not None:
                report(f"chapter {name}: {'failed' if problem else 'executed'} in {seconds:.0f} s")
    remembered.forget(memory)
    if failed:
        raise SercoreError("\n\n".join(sorted(failed)), offenders=failed)
    return [chapter.name for chapter, _ in due]


def _without_their_code(published: Path) -> list[str]:
    """Published systems of the user's own that no extension brings now."""
    found = published_runs(published)["system"].unique()
    return sorted(slug for slug in found if is_own(slug) and "@" not in slug and slug not in OWN)


def _run_all(due: list[tuple[Chapter, str]], folder: Path, jobs: int) -> Iterator[tuple[str, str, float]]:
    """What `_execute` returns of each chapter, as it is done."""
    if jobs == 1:
        yield from (_execute(chapter, key, folder) for chapter, key in due)
        return
    # processes, because papermill changes the working directory of the one that it runs in
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_begin, initargs=(len(due) > MANY,)) as pool:
        futures = [pool.submit(_execute, chapter, key, folder) for chapter, key in due]
        yield from (future.result() for future in as_completed(futures))


def _begin(many: bool) -> None:
    """Make this process one that notebooks are forked from."""
    notebooks.warm()
    if many:
        with suppress(Exception):  # what is wrong with records is said by the chapters that read them
            read_ahead()


def _execute(chapter: Chapter, key: str, folder: Path) -> tuple[str, str, float]:
    """Execute one chapter: its name, its problem in words or "" where its output was written, and the seconds it took."""
    begin = time.monotonic()
    problem = _output(chapter, key, folder)
    return chapter.name, problem, time.monotonic() - begin


def _output(chapter: Chapter, key: str, folder: Path) -> str:
    """Make a chapter's output; the problem in words, or ""."""
    try:
        with _noting(places.results_of_book(folder)) as reads:
            done = _papermill(chapter, folder.parent)
        check_outputs(done, chapter.name)
    except SercoreError as error:
        return str(error)
    except Exception as error:
        return f"chapter {chapter.name} ({chapter.source.name}): {_last_words(error)}"
    _tidy(done)
    done.metadata["sercore"] = {"key": key, "source": chapter.source.name, "records": reads}
    _write(done, folder / f"{chapter.name}.ipynb")
    return ""


def _write(notebook: NotebookNode, target: Path) -> None:
    """Whole or not at all; a chapter whose cells came out the same keeps its time, and Sphinx its page."""
    import nbformat

    time_ns = target.stat().st_mtime_ns if target.exists() and nbformat.read(target, 4).cells == notebook.cells else None
    partial = target.with_suffix(".partial")
    nbformat.write(notebook, partial)
    if time_ns is not None:
        os.utime(partial, ns=(time_ns, time_ns))
    partial.replace(target)


def _tidy(notebook: NotebookNode) -> None:
    """Leave out what only this execution knew (times, paths, names) and the defaults that its own parameters replaced."""
    tags = [cell.metadata.setdefault("tags", []) for cell in notebook.cells]
    given = any("injected-parameters" in own for own in tags)
    notebook.cells = [cell for cell in notebook.cells if not (given and "parameters" in cell.metadata.tags)]
    for part in (notebook, *notebook.cells):
        part.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.cells, 1):
        cell.metadata.pop("execution", None)
        cell.id = f"cell-{number}"
    for own in tags:
        if "injected-parameters" in own:
            own.append("hide-input")


def _papermill(chapter: Chapter, cwd: Path) -> NotebookNode:
    import papermill

    return papermill.execute_notebook(
        _titled(chapter), None, chapter.parameters, notebooks.ENGINE, kernel_name=KERNEL, cwd=cwd, progress_bar=False
    )


def _titled(chapter: Chapter) -> NotebookNode:
    """The source with the chapter's own title: Sphinx takes headings from the source, not from what cells show."""
    from ..report import titles

    notebook = _read(chapter.source)
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "{title}" in cell.source:
            cell.source = cell.source.replace("{title}", in_markdown(chapter.title or titles.of(chapter.name)))
    return notebook


def check_outputs(notebook: NotebookNode, name: str) -> None:
    """Refuse a notebook with an error in its outputs or a code cell that was not executed; `SercoreError` names them all."""
    problems = []
    for index, cell in enumerate(notebook.cells, 1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        errors = [output for output in cell.outputs if output.output_type == "error"]
        if errors or cell.metadata.get("papermill", {}).get("exception"):
            said = "; ".join(f"{error.ename}: {error.evalue}" for error in errors) or "it failed"
        elif cell.execution_count is None:
            said = "it was not executed"
        else:
            continue
        problems.append(f"chapter {name}, cell {index}: {said}\n{_indented(cell.source)}")
    if problems:
        raise SercoreError("\n".join(problems), offenders=problems)


def complaints(book: str | Path = "book") -> list[str]:
    """What the executed chapters said on their standard error, which no page shows: mostly warnings, with the cell's number."""
    import nbformat

    found = []
    for path in sorted(Path(book).glob("*.ipynb")):
        for number, cell in enumerate(nbformat.read(path, 4).cells, 1):
            said = "".join(output.text for output in cell.get("outputs", ()) if output.get("name") == "stderr")
            if said.strip():
                found.append(f"chapter {path.stem}, cell {number} said: {said.strip()}\n{_indented(cell.source)}")
    return found


def _check_parameters(chapters: Iterable[Chapter]) -> None:
    """papermill itself would pass over a misspelt parameter and run with the default."""
    import papermill

    problems = []
    given = {chapter.source: set(chapter.parameters) for chapter in chapters if chapter.parameters}
    for source, parameters in given.items():
        names = set(papermill.inspect_notebook(_read(source)))
        there = f"it has {', '.join(sorted(names))}" if names else "no cell of it is tagged `parameters`"
        problems += [f"{source.name} has no parameter {parameter!r}: {there}" for parameter in sorted(parameters - names)]
    if problems:
        raise SercoreError("\n".join(problems), offenders=problems)


# ---- what is out of date


def _surroundings() -> str:
    """One checksum of what every chapter depends on: this package, extensions of it, and the versions of other packages."""
    digest = hashlib.sha256()
    for path in sorted(path for path in PACKAGE.rglob("*") if path.suffix in CODE):
        digest.update(f"{path.relative_to(PACKAGE).as_posix()} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    for path in filter(Path.is_file, extensions.files()):
        digest.update(path.read_bytes())
    versions = {name: _version(name) for name in PACKAGES} | {"python": platform.python_version()}
    digest.update(json.dumps(versions, sort_keys=True).encode())
    return digest.hexdigest()


def _key(chapter: Chapter, surroundings: str) -> str:
    parts = [chapter.source.read_text(encoding="utf-8"), json.dumps(chapter.parameters, sort_keys=True), surroundings]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _made_from(output: Path) -> dict[str, Any]:
    """The key and the records that an executed chapter was made from; empty where there is none, or the file is not ours."""
    try:
        return dict(json.loads(output.read_text(encoding="utf-8"))["metadata"]["sercore"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _up_to_date(output: Path, key: str, checksum: Callable[[str], str]) -> bool:
    made = _made_from(output)
    return made.get("key") == key and all(checksum(name) == then for name, then in made.get("records", {}).items())


def _checksum(published: Path, name: str) -> str:
    """Of one file of the records as it is now; "" where it is not there."""
    path = published / name
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@contextmanager
def _noting(published: Path) -> Iterator[dict[str, str]]:
    """Gives a dictionary that holds, at the end, the files of the records that were read meanwhile and their checksums."""
    reads: dict[str, str] = {}
    with TemporaryDirectory(prefix="sercore-") as folder:
        log = Path(folder) / "reads"
        log.touch()
        os.environ[READS] = str(log)
        try:
            yield reads
        finally:
            del os.environ[READS]
        for path in sorted(set(log.read_text(encoding="utf-8").splitlines())):
            name = Path(os.path.relpath(path, published)).as_posix()
            reads[name] = _checksum(published, name)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


# ---- small things


@contextmanager
def _environment_of_kernels(published: Path, jobs: int, memory: Path) -> Iterator[None]:
    """What the kernels inherit: where the records are, and what is remembered, each its share of the cores, the book's style for
    matplotlib."""
    before, threads = dict(os.environ), str(max(1, machine.cores() // jobs))
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), threads))
    os.environ["SERCORE_RESULTS"] = str(published)
    os.environ[remembered.FOLDER] = str(memory)
    os.environ["MATPLOTLIBRC"] = str(PACKAGE / "report" / "book.mplstyle")
    os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # tqdm asks for widgets, which pages do not have
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _read(source: Path) -> NotebookNode:
    import jupytext

    notebook = jupytext.read(source)
    notebook.metadata["kernelspec"] = {"name": KERNEL, "display_name": "Python 3", "language": "python"}
    return notebook


def _last_words(error: Exception) -> str:
    """What went wrong, and in which cell: papermill's message without its long traceback."""
    source = getattr(error, "source", None)
    if source is None:
        return f"{type(error).__name__}: {error}"
    return f"{error.ename}: {error.evalue}, in the cell\n{_indented(source)}"  # type: ignore[attr-defined]


def _indented(source: str) -> str:
    return "\n".join(f"    {line}" for line in source.splitlines())

"""The command line: thin, every command is one call of the Python API."""

from __future__ import annotations

import csv
import datetime
import io
import math
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from . import __version__, machine, places
from .config import Config, assignments
from .errors import INTERRUPTED, SercoreError, Unreadable, of_system

# Before PyTorch comes: its idle threads otherwise keep the cores busy that ours need (a fifth of a training step on two cores).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


class Commands(typer.core.TyperGroup):
    """The commands. What is wrong with a call may quote a file's name: no letter of it steers the terminal."""

    def make_context(self, *given: Any, **options: Any) -> Any:
        with _quoted():
            return super().make_context(*given, **options)

    def invoke(self, ctx: Any) -> Any:
        with errors_told(lambda: INTERRUPTED if ctx.invoked_subcommand in GO_ON else "interrupted"), _quoted():
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # what cannot be written is told as well


GO_ON = ("run", "sweep", "study", "chapters", "fetch", "bundle")
"""Commands that begin where they stopped."""

WrongCall: Any = typer.BadParameter.__base__
"""What typer raises for a call that is none: the class has its name in a module that moves with its versions."""


@contextmanager
def _quoted() -> Iterator[None]:
    try:
        yield
    except WrongCall as error:
        error.message = machine.printable(error.message)
        raise


app = typer.Typer(
    cls=Commands,
    help=(
        "Speech emotion recognition with discriminative features, after Zhou and Liu (2020).\n\n"
        "First steps, without any data:  sercore run demo speaker baseline\n\n"
        "A real corpus:  sercore fetch emodb;  sercore sweep --corpus emodb;  sercore publish"
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


class Terminal(Console):
    """A console that shows every letter of a name, and is steered by none of them."""

    def render_str(self, text: str, **options: Any) -> Any:
        return super().render_str(machine.printable(text), **options)


# names of files and labels are neither markup nor pictures
AS_IT_IS: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
out, err = Terminal(soft_wrap=True, **AS_IT_IS), Terminal(stderr=True, soft_wrap=True, **AS_IT_IS)


def corpus_names() -> list[str]:
    from . import corpora as module
    from .corpora import bundled

    return sorted({*module.names(), *bundled.found(places.data_roots(None))})


def system_slugs() -> list[str]:
    from .lab.systems import GROUPS, TABLE_1, TABLE_2

    return [*GROUPS, *TABLE_2, *TABLE_1]


def protocol_names() -> list[str]:
    from .corpora.protocol import PROTOCOLS

    return list(PROTOCOLS)


def model_names() -> list[str]:
    from .inference import models as module

    return [*module.shipped(), *module.trained_here()]


def setting_names() -> list[str]:
    return [f"{name}=" for name in Config().to_dict()]


def _paths(incomplete: str) -> list[str]:
    """The files and folders whose path begins so, as a shell completes them."""
    folder, slash, last = incomplete.rpartition("/")
    with suppress(OSError):
        there = sorted(path for path in Path(folder + slash or ".").expanduser().iterdir() if path.name.startswith(last))
        return [f"{folder}{slash}{path.name}{'/' if path.is_dir() else ''}" for path in there]
    return []


def one_of(names: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    """Completes what is typed to names, after a comma the last of several, or to files and folders."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        with errors_told(lambda: "interrupted"):
            found = [before + comma + name for name in names() if name.startswith(last)]
        return found or _paths(incomplete)

    return complete


DataRoot = Annotated[Path | None, typer.Option(help="Folder that holds the corpora [default: SERCORE_DATA, else the cache]")]
Systems = Annotated[
    str,
    typer.Option(
        help="Slugs with commas; `table2` is its 14, `claims` the baseline and the three best, `table1` the 7 earlier ones",
        autocompletion=one_of(system_slugs),
    ),
]
Runs = Annotated[Path | None, typer.Option(help="Folder of the runs [default: SERCORE_RUNS, else ./runs]")]
Results = Annotated[Path | None, typer.Option(help="Folder of the published records [default: SERCORE_RESULTS, else ./results]")]
Model = Annotated[
    str | None,
    typer.Option(
        help="A name (`sercore models`), a folder or a model.pt [default: the model of this package]",
        autocompletion=one_of(model_names),
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for a machine to read")]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at once; each gets its share of the cores")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Precision = Annotated[
    str, typer.Option(help="float32, or bfloat16 in the convolutions; a finished run stands, whatever it was computed in")
]
Protocols = Annotated[
    str,
    typer.Option(
        help="With commas: speaker (no speaker in two parts), paper (a random split, speakers in all parts), leaky (as paper, "
        "but the test part chooses the epoch)",
        autocompletion=one_of(protocol_names),
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a setting of the training, as in --set max_epochs=5; may be repeated",
        autocompletion=one_of(setting_names),
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask")]
CorpusName = Annotated[
    str,
    typer.Argument(
        help="A corpus (`sercore corpora` lists them), or a folder, .csv or .tsv of your own", autocompletion=one_of(corpus_names)
    ),
]


def agreed(yes: bool) -> Callable[[str], bool]:
    """Asks a question at the terminal; where there is none the answer is `yes`."""
    return lambda question: yes or (sys.stdin.isatty() and typer.confirm(machine.printable(question)))


@contextmanager
def errors_told(interrupted: Callable[[], str]) -> Iterator[None]:
    """Bad input ends with its message and exit code 2, without a traceback; so does Ctrl-C, with 130."""
    try:
        yield
    except SercoreError as error:
        err.print(f"sercore: {error}", style="red")
        raise typer.Exit(2) from None
    except BrokenPipeError:  # who reads has enough
        _leave_output()
        raise typer.Exit(1) from None
    except OSError as error:
        if error.strerror is None:
            raise
        _leave_output()
        err.print(f"sercore: {of_system(error)}", style="red")
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        err.print(f"sercore: {interrupted()}", style="red")
        raise typer.Exit(130) from None


def _leave_output() -> None:
    """Where the standard output takes no more, what is still to be written of it goes nowhere."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(rows: list[dict[str, Any]], as_json: bool, as_csv: bool = False, digits: int = 3) -> None:
    """Rows as a table, as JSON or as CSV."""
    if as_json:
        print(machine.json_text(rows, indent=1, default=str))
        return
    if as_csv:
        for row in ({name: name for name in rows[0]}, *rows):
            csv_row(row)
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name, no_wrap=True)
    for row in rows:
        told = (
            "–" if value is None or value != value else f"{value:.{digits}f}" if isinstance(value, float) else _line(str(value))
            for value in row.values()
        )
        table.add_row(*told)
    # as wide as it needs: a terminal wraps a line that is too long, a file keeps it
    wide = Measurement.get(out, out.options.update(max_width=10_000), table).maximum
    Terminal(width=wide, **AS_IT_IS).print(table)


def _line(text: str) -> str:
    """A text in one line of a table, a line's end in it as its escape."""
    return text.replace("\n", "\\n")


def csv_row(row: dict[str, Any]) -> None:
    """A line of CSV, at once."""
    csv.writer(sys.stdout, lineterminator="\n").writerow(
        [machine.no_formula("" if value is None or value != value else value) for value in row.values()]
    )
    sys.stdout.flush()


def located(corpus: str, runs: Path | None) -> str:
    """A corpus of the user's own that is called by its name: where it lay when its runs here were made."""
    from . import corpora as module
    from .lab import records

    folder = places.runs_folder(runs)
    if corpus in module.names() or Path(corpus).exists() or not folder.exists():
        return corpus
    found = (str(facts.get("source", "")) for facts in records.all_facts(folder, corpus))
    return next((source for source in found if os.path.isabs(source) and Path(source).exists()), corpus)


def root_text(data_root: Path | None) -> str | None:
    return None if data_root is None else str(data_root)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and stop")] = False) -> None:
    for stream in (sys.stdout, sys.stderr):  # a terminal without the letters of a name shows their numbers
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def corpora(as_json: AsJson = False, data_root: DataRoot = None) -> None:
    """List the corpora, and where each lies on this machine."""
    from . import corpora as module
    from .corpora import bundled

    rows = []
    names = sorted({*module.names(), *bundled.found(places.data_roots(data_root))})
    for name in names:
        try:
            corpus = module.get(name, data_root)
        except SercoreError as error:  # a bundle that is none: the others are listed all the same
            err.print(f"sercore: {error}", style="yellow")
            continue
        where: str | None
        try:
            where = str(module.find_root(corpus, data_root)) if corpus.kind != "synthetic" else "made when first used"
        except SercoreError:
            where = None if as_json else "not here"
        rows.append(
            {
                "name": name,
                "title": corpus.title,
                "language": corpus.language,
                "kind": corpus.kind,
                "licence": corpus.licence,
                "lacks": "audio" if corpus.spectra else "",
                "folder": where,
            }
        )
    show(rows, as_json)


@app.command()
def fetch(name: CorpusName, data_root: DataRoot = None) -> None:
    """Bring a corpus from its publisher; a broken-off download goes on where it stopped."""
    from .corpora.fetch import fetch as bring

    out.print(str(bring(name, root_text(data_root))))


@app.command()
def check(name: CorpusName, data_root: DataRoot = None, as_json: AsJson = False) -> None:
    """Look through a corpus: counts, durations, and every file that is unreadable, silent, clipped, doubled or unlabelled.

    The exit code is 1 where there is any.
    """
    from .corpora.check import check as examine

    report = examine(name, root_text(data_root))
    if as_json:
        print(machine.json_text(report.to_dict(), indent=1, default=str))
    else:
        out.print(str(report))
    raise typer.Exit(1 if len(report.offenders) else 0)


@app.command()
def systems(as_json: AsJson = False) -> None:
    """List the systems: the 14 of Table 2 and the 7 earlier ones of Table 1, with the paper's UA and WA on IEMOCAP, parameters,
    and where they come from."""
    from . import build
    from .evidence import paper

    rows = [
        {
            "slug": row.slug,
            "table": row.table,
            "paper_ua": row.ua,
            "paper_wa": row.wa,
            "parameters": build(row.slug).num_parameters(),
            "source": row.source,
        }
        for row in paper.systems().itertuples()
    ]
    show(rows, as_json)


@app.command()
def run(
    corpus: CorpusName,
    protocol: Annotated[
        str,
        typer.Argument(
            help="speaker (no speaker in two parts), paper (a random split) or leaky (the test part chooses)",
            autocompletion=one_of(protocol_names),
        ),
    ],
    system: Annotated[str, typer.Argument(help="A slug, such as baseline or ams-s10-m0.4", autocompletion=one_of(system_slugs))],
    seed: Annotated[int, typer.Option(help="From 0")] = 0,
    fold: Annotated[int, typer.Option(help="0 to 4")] = 0,
    runs: Runs = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    precision: Precision = "float32",
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Train and test one system on one fold, and leave a record."""
    from . import corpora as corpora_module
    from .lab import experiment, records

    with epoch_bar() as report:
        changes = {"precision": precision} | assignments(settings or [])
        name = records.RunName(corpora_module.get(corpus, data_root).name, protocol, system, seed, fold)
        there = records.finished(places.runs_folder(runs), name)
        folder = experiment.run(corpus, protocol, system, seed, fold, runs, root_text(data_root), changes, device, report)
    facts = records.read_facts(folder)
    if there:
        err.print(
            f"it was there already, computed in {facts['precision']} at {facts['finished']}: remove its folder to train it again",
        )
    if absent := [label for label, recall in zip(facts["classes"], facts["recall"], strict=True) if math.isnan(recall)]:
        err.print(f"the test part has no {' and no '.join(absent)}: UA is the mean over the other classes")
    if as_json:
        print(machine.json_text(facts, indent=1))
        return
    out.print(
        f"UA {facts['ua']:.1%}, WA {facts['wa']:.1%} on the test fold; epoch {facts['chosen_epoch']} of {facts['epochs']}, "
        f"chosen on {facts['chosen_by']}\n{folder}",
    )


@app.command()
def sweep(
    corpus: Annotated[
        str, typer.Option(help="A corpus, or a folder, .csv or .tsv of your own", autocompletion=one_of(corpus_names))
    ],
    systems: Systems = "claims",
    protocols: Protocols = "speaker",
    seeds: Annotated[str, typer.Option(help="As in 0-4 or 0,2")] = "0",
    folds: Annotated[str, typer.Option(help="As in 0-4 or 0,2")] = "0-4",
    jobs: Jobs = 1,
    dask: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler to work on instead, or local:N for N workers on this machine")
    ] = None,
    skip_published: Annotated[bool, typer.Option("--skip-published", help="Leave out what the published records hold")] = False,
    runs: Runs = None,
    results: Results = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    precision: Precision = "float32",
    settings: Settings = None,
) -> None:
    """Do all runs that are missing. It can be killed and started again at any time.

    A run that fails is tried once more. The exit code is 1 where one has failed twice; `sweep.log` in the folder of the runs has
    the whole story. Over Dask the workers need sercore and nothing else: the corpus goes out to them, and records come back.

    The seed and the slug are part of a run's name, its other settings are not: asked for with others, a finished run is
    refused, and never done again by the way.
    """
    import logging

    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    from .evidence import results as published
    from .lab import sweep as module

    changes = {"precision": precision} | assignments(settings or [])
    corpus = located(corpus, runs)
    whole = wanted = module.plan(corpus, systems, protocols, seeds, folds, root_text(data_root))
    if skip_published:
        wanted = wanted.without(published.runs(results), changes)
        err.print(f"{len(whole.names) - len(wanted.names)} of {len(whole.names)} runs are published and left out")
    if not wanted.names:
        return
    missing = wanted.missing(places.runs_folder(runs))
    if wanted.unheard:
        err.print(f"left out, for {corpus} is spectra alone and they need the audio: {', '.join(wanted.unheard)}")
    err.print(f"{len(wanted.names) - len(missing)} of {len(wanted.names)} runs are there, {len(missing)} to do")
    alone, started = jobs == 1 and dask is None, time.monotonic()
    with (
        logging_redirect_tqdm([logging.getLogger("sercore")]),
        tqdm(total=len(missing), unit="run", disable=None if missing else True, delay=1) as bar,
        epoch_bar(1, shown=alone) as report,
    ):

        def told(name: module.RunName, done: int, total: int) -> None:
            bar.set_description_str(machine.printable(str(name)))
            bar.update()

        def heard(run: str, epoch: int, most: int) -> None:
            bar.set_postfix_str(machine.printable(f"{run} in epoch {epoch} of {most} at most"))

        root, on_epoch = root_text(data_root), report if alone else heard if dask else None
        outcome = module.sweep(wanted, runs, root, changes, device, jobs, dask, told, on_epoch)
    if missing:
        took = datetime.timedelta(seconds=round(time.monotonic() - started))
        there = len(whole.names) - len(missing)
        err.print(f"{len(outcome.finished)} runs done in {took}, {there} were there before, {len(outcome.failed)} failed")
    for problem in dict.fromkeys(outcome.failed.values()):
        runs_of_it = ", ".join(str(name) for name in outcome.failed if outcome.failed[name] == problem)
        err.print(f"{runs_of_it}: {problem}", style="red")
    if outcome.finished:
        from .evidence.standing import standing

        chosen = dict.fromkeys(name.protocol for name in wanted.names)
        show(standing(wanted.names[0].corpus, chosen, runs, results), False, digits=1)
    raise typer.Exit(1 if outcome.failed else 0)


@app.command()
def status(
    corpus: CorpusName,
    systems: Systems = "claims",
    protocols: Protocols = "speaker",
    seeds: Annotated[str, typer.Option(help="As in 0-4 or 0,2")] = "0",
    runs: Runs = None,
    results: Results = None,
    data_root: DataRoot = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Count what of a grid is published, finished on this machine, begun, failed (a sweep tries it again) or missing.

    `otherwise` counts runs of the same names with other settings (give yours by --set) or from another corpus, published
    or finished: a sweep refuses those that are finished.
    """
    from .evidence import results as published
    from .lab import records, sweep

    corpus = located(corpus, runs)
    wanted = sweep.plan(corpus, systems, protocols, seeds, data_root=root_text(data_root))
    folder = places.runs_folder(runs)
    changes = assignments(settings or [])
    there = sweep.published_as_wanted(wanted, published.runs(results), changes)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    counts = dict.fromkeys(("published", "finished", "otherwise", "begun", "failed", "missing"), 0)
    for name in wanted.names:
        row = rows.setdefault((name.protocol, name.system), {"protocol": name.protocol, "system": name.system, **counts})
        if name in there:
            row["published" if there[name] else "otherwise"] += 1
        elif records.finished(folder, name):
            row["finished" if sweep.as_wanted(wanted, name, folder, changes) else "otherwise"] += 1
        elif records.failure(folder, name).exists():
            row["failed"] += 1
        else:
            row["begun" if records.partial_folder(folder, name).exists() else "missing"] += 1
    if wanted.unheard:
        err.print(f"not measurable, for {corpus} is spectra alone and they need the audio: {', '.join(wanted.unheard)}")
    show(list(rows.values()), as_json)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="A new folder for the study")],
    data: Annotated[str, typer.Option(help="A corpus by its name, a folder with one sub-folder a label, or a .csv or .tsv file")],
    title: Annotated[str, typer.Option(help="Of its book [default: by the corpus]")] = "",
    systems: Annotated[str, typer.Option(help="As `sercore sweep` takes them")] = "claims",
    protocols: Annotated[
        str, typer.Option(help="As `sercore sweep` takes them [default: speaker where speakers are named]")
    ] = "",
    seeds: Annotated[str, typer.Option(help="As in 0-4 or 0,2")] = "0",
    data_root: DataRoot = None,
) -> None:
    """Make a study of your own: a folder with its settings, and a book that holds it alone."""
    from .publishing import studies

    made = studies.make(folder, data, title, systems, protocols, seeds, root_text(data_root))
    if not protocols and made.protocols == "paper":
        out.print(
            "The protocol is paper, a random split: to keep speakers apart takes five or more that are named, and each label "
            "from enough of them."
        )
    root = "" if data_root is None else f" --data-root {shlex.quote(str(data_root.expanduser().absolute()))}"
    out.print(f"Whether a file is silent, clipped or there twice: sercore check {shlex.quote(data)}{root}")
    out.print(f"{made.folder / studies.FILE} says what the study is: look it through, then")
    out.print(f"  cd {shlex.quote(str(folder))}\n  sercore study{root}\n  jupyter-book build book")


@app.command()
def study(
    folder: Annotated[Path, typer.Argument(help="The folder that `sercore init` made")] = Path("."),
    jobs: Jobs = 1,
    dask: Annotated[str | None, typer.Option(help="As `sercore sweep` takes it")] = None,
    data_root: DataRoot = None,
    device: Device = "auto",
    forecast: Annotated[bool, typer.Option("--forecast", help="Only say how long it will take")] = False,
) -> None:
    """Do what is missing of the study in a folder, and put it into the study's results; `jupyter-book build book` shows it.

    It can be killed and started again at any time. The exit code is 1 where a run failed.
    """
    from tqdm import tqdm

    from .evidence.standing import standing
    from .publishing import studies

    own = studies.read(folder)
    if forecast:
        out.print(studies.forecast(own, root_text(data_root), device) or "Every run of it is there.")
        return
    with tqdm(unit="run", disable=None, delay=1) as bar, epoch_bar(1, shown=jobs == 1 and dask is None) as report:

        def told(name: Any, done: int, total: int) -> None:
            bar.total = total
            bar.set_description_str(machine.printable(str(name)))
            bar.update()

        alone = jobs == 1 and dask is None
        how = {"dask": dask, "on_run": told, "on_epoch": report if alone else None}
        outcome = studies.work(own, jobs, device, root_text(data_root), tqdm.write, **how)
    from . import corpora

    name = corpora.get(own.data, root_text(data_root)).name
    show(standing(name, own.protocols.split(","), own.runs, own.results), False, digits=1)
    for run, problem in outcome.failed.items():
        err.print(f"{run}: {problem}", style="red")
    raise typer.Exit(1 if outcome.failed else 0)


@app.command("results")
def standing(
    corpus: Annotated[str, typer.Argument(help="A corpus, by its name", autocompletion=one_of(corpus_names))],
    protocols: Protocols = "speaker,paper",
    runs: Runs = None,
    results: Results = None,
    data_root: DataRoot = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV")] = False,
) -> None:
    """What the runs of a corpus come to, published or not yet: UA, WA and the gain in UA over the baseline, with 95 % intervals.

    Intervals are over speakers and seeds, or over speakers alone where no system has two seeds.
    """
    from . import corpora
    from .corpora import protocol
    from .evidence.standing import standing as module
    from .lab import records

    name = corpora.get(corpus, root_text(data_root)).name if Path(corpus).expanduser().exists() else corpus
    chosen = [each.strip() for each in protocols.split(",")]
    for each in chosen:
        protocol.chooser(each)
    rows, failed = module(name, chosen, runs, results), records.failures(places.runs_folder(runs), name)
    if not rows and not failed:
        raise SercoreError(f"{corpus}: no run of it is published or finished here under {', '.join(chosen)}")
    if rows or as_json:
        show(rows, as_json, as_csv, digits=1)
    if failed:
        first = f"{failed[0]['run']}: {failed[0]['cause']}"
        err.print(f"failed, and in no row: {len(failed)} of its runs. {'The first' if len(failed) > 1 else 'It is'} {first}")


@app.command()
def bundle(
    corpus: CorpusName,
    out_file: Annotated[Path | None, typer.Option("--out", help="The file to write [default: NAME.bundle]")] = None,
    front_ends: Annotated[
        str,
        typer.Option(
            help="With commas: spectrogram, fourier, descriptors. What earlier systems of Table 1 hear beside log-Mel energies"
        ),
    ] = "",
    data_root: DataRoot = None,
) -> None:
    """Write a corpus's features into one file, to train from on a machine without audio: python -m sercore.lab FILE."""
    from .lab import bundle as module

    heard = [name for name in front_ends.split(",") if name]
    out.print(str(module.write(corpus, out_file, root_text(data_root), progress=True, front_ends=heard)))


@app.command()
def publish(
    runs: Runs = None,
    results: Results = None,
    data_root: DataRoot = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also put runs in the place of those with other settings")] = False,
    corpus: Annotated[str | None, typer.Option(help="Only the runs of these corpora, with commas [default: all]")] = None,
    yes: Yes = False,
) -> None:
    """Gather finished runs into the Parquet files that the book is made from: seeds of which all folds are there."""
    from .evidence import publication as module

    only = None if corpus is None else {name.strip() for name in corpus.split(",")}
    done = module.publish(runs, results, root_text(data_root), replace, agreed(yes), only)
    out.print(f"{done.runs} runs in {places.results_folder(results)}, {done.new} of them new")
    if done.waiting:
        err.print(f"left out until the other folds of their seed are there: {', '.join(done.waiting)}")


@app.command()
def unpublish(
    corpus: Annotated[str, typer.Argument(help="A corpus that the results hold")], results: Results = None, yes: Yes = False
) -> None:
    """Take a corpus out of the published records: its runs, predictions, splits and all. Runs stay where they were made."""
    from .evidence import publication as module

    folder = places.results_folder(results)
    if not agreed(yes)(f"Everything about {corpus} in {folder} is removed. Shall it?"):
        raise SercoreError("nothing was removed: agree by --yes")
    done = module.unpublish(corpus, results)
    out.print(f"{done.runs} runs and {done.files} files of {corpus} removed from {folder}; the next build leaves its pages out")


@app.command()
def chapters(
    book: Annotated[Path, typer.Option(help="Folder of the book")] = Path("book"),
    results: Results = None,
    corpus: Annotated[str | None, typer.Option(help="Train and publish this corpus first: your IEMOCAP in one command")] = None,
    systems: Systems = "claims",
    protocols: Protocols = "speaker,paper",
    seeds: Annotated[str, typer.Option(help="As in 0-4 or 0,2")] = "0",
    data_root: DataRoot = None,
    runs: Runs = None,
    jobs: Jobs = 1,
    device: Device = "auto",
    precision: Precision = "float32",
    settings: Settings = None,
    force: Annotated[bool, typer.Option(help="Execute every chapter, also those that are up to date")] = False,
    yes: Yes = False,
) -> None:
    """Execute the book's chapters that are out of date; with --corpus on your own data too."""
    try:
        from .publishing import chapters as module
    except ModuleNotFoundError as error:
        needed = "'jupyter-book<2' jupytext papermill matplotlib umap-learn sphinxcontrib-bibtex django-static-mathjax"
        raise SercoreError(f"a book takes more than sercore ({error.name} is not here): pip install {needed}") from None
    module.wanted(book, places.results_of_book(book, results))  # a folder without a book is refused before any training
    if corpus is not None:
        changes = {"precision": precision} | assignments(settings or [])
        root = root_text(data_root)
        module.train_and_publish(corpus, systems, protocols, seeds, runs, results, root, changes, device, jobs, agreed(yes))
    done = module.execute(book, results, force)
    build = shlex.join(["jupyter-book", "build", str(book)])
    if (own := places.results_of_book(book, results)) != places.results_of_book(book):  # else it would build from others
        build = f"SERCORE_RESULTS={shlex.quote(str(own))} {build}"
    out.print(f"{len(done)} chapters executed in {book}; `{build}` makes the site")


@contextmanager
def as_files(files: list[str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The files, with what comes on the standard input as one where `-` is among them; and what such a file is called."""
    files = list(dict.fromkeys(files)) if "-" in files else files  # it can be read once
    if "-" not in files:
        yield files, {}
        return
    with tempfile.TemporaryDirectory() as folder:
        given = os.path.join(folder, "standard-input")
        with open(given, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [given if file == "-" else file for file in files], {given: "-"}


@app.command()
def predict(
    files: Annotated[
        list[str],
        typer.Argument(
            help="Audio files of any format that libsndfile reads, folders, or - for one on the standard input",
            autocompletion=_paths,
        ),
    ],
    model: Model = None,
    runs: Runs = None,
    form: Annotated[
        str, typer.Option("--format", help="table, json, or as soon as a file is labelled: jsonl (a line a file) or csv")
    ] = "table",
    windows: Annotated[
        bool, typer.Option("--windows", help="A row for each window of a recording, with its times in seconds")
    ] = False,
    cautious: Annotated[
        bool,
        typer.Option(
            "--cautious", help="Where a file is silent, too short or a steady noise, say that in the place of its label"
        ),
    ] = False,
    trim: Annotated[
        bool | None,
        typer.Option(
            "--trim/--no-trim",
            help="Cut off the silence before and after a recording of a minute or less [default: as the model asks; the one "
            "that comes along asks for it]",
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option("--members", min=1, help="Of a model of several networks the first so many alone: less sure, faster"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Label audio files with class probabilities; a folder stands for the audio files in it and below.

    The model knows how the corpus that it was trained on sounds, and little else: it can be as sure of noise as of
    speech. `spread` is how far its networks are apart, the deviation of the label's probability. `seconds` is a file's length;
    one that is longer than the model's clip is heard in `windows` that overlap by half, whose probabilities are averaged.

    Files that cannot be read are named on the standard error, the others labelled; the exit code is 1 then. In CSV a name that
    a spreadsheet would compute has an apostrophe before it; JSON has names as they are.
    """
    from .frontend import audio
    from .inference import prediction

    unread: list[Unreadable] = []
    doubtful: list[str] = []
    form = "json" if as_json else form
    machine.keep_pages()
    with as_files(files) as (paths, called):
        if form not in ("table", "json", "jsonl", "csv"):
            raise SercoreError(f"--format {form}: there are table, json, jsonl and csv")
        classifier = prediction.Classifier(model, trim, runs, members)
        trained = classifier.trained
        calibrated = "calibrated on validation" if trained.calibrated else "not calibrated"
        err.print(f"model: {trained.about['name']}; it knows how its corpus sounds, and little else; probabilities {calibrated}")
        rows: list[dict[str, Any]] = []
        columns = [*prediction.headings(classifier.classes, windows)]
        if form == "csv":
            csv_row(dict(zip(columns, columns, strict=True)))
        try:
            for file, said in classifier.label(paths, unread, doubtful, progress=True):
                for row in prediction.rows(called.get(file, file), said, windows, cautious):
                    if form == "csv":
                        csv_row(row)
                    elif form == "jsonl":
                        print(machine.json_text(row), flush=True)
                    else:
                        rows.append(row)
        finally:  # what is labelled is shown, whatever ends it
            if form in ("table", "json"):
                doubted = form == "json" or any(row.get("doubt") for row in rows)
                show([{name: row[name] for name in row if doubted or name != "doubt"} for row in rows], form == "json")
    for doubt in doubtful:
        err.print(f"sercore: {doubt}", style="yellow")
    if unread:
        named = [Unreadable(called.get(each.path, each.path), each.reason, each.detail) for each in unread]
        err.print(f"sercore: {audio.told(named)}", style="red")
    raise typer.Exit(1 if unread else 0)


@app.command()
def models(
    published: Annotated[bool, typer.Option("--published", help="Also what is published, whose weights are not here")] = False,
    runs: Runs = None,
    results: Results = None,
    as_json: AsJson = False,
) -> None:
    """List the models by name: what comes with sercore, and what was trained here (`emodb/combined` is all folds of that system).

    `UA %` is on speakers that a network had not heard, each on its own test part; there is none where speakers were shared.
    """
    from .inference import models as module

    show(module.known(runs, places.results_folder(results) if published else None), as_json, digits=1)


@app.command()
def pack(
    model: Annotated[str, typer.Argument(help="A model that was trained here, as emodb/combined (`sercore models`)")],
    folder: Annotated[Path, typer.Argument(help="The folder to write")],
    licence: Annotated[str, typer.Option(help="Of the weights, as the card names it")] = "",
    half: Annotated[bool, typer.Option("--half", help="Keep the weights in half precision, in half the space")] = False,
    text: Annotated[str, typer.Option(help="A paragraph for its card")] = "",
    runs: Runs = None,
) -> None:
    """Write a model as a folder of its own: weights, configuration and a card with what it does on speakers not heard.

    `--model FOLDER` takes it from there, and so do Hugging Face's tools.
    """
    from .inference import models as module

    out.print(str(module.pack(model, folder, licence, half, text, runs)))


@app.command()
def export(
    out_file: Annotated[Path, typer.Argument(metavar="FILE", help="The .onnx file to write")],
    model: Model = None,
    runs: Runs = None,
    int8: Annotated[bool, typer.Option("--int8", help="Keep the large weights in 8 bits: a smaller file")] = False,
) -> None:
    """Write a model as ONNX, from plain samples (batch, samples) at 16 kHz to class probabilities: onnxruntime is all it needs.

    The file's metadata `sercore` tells its input, outputs and classes.
    """
    from .inference import export as module

    out.print(str(module.export(out_file, model, int8, runs=runs)))


@contextmanager
def epoch_bar(position: int = 0, shown: bool = True) -> Iterator[Any]:
    """A progress bar over the epochs of a run, as the `report` of `experiment.run`."""
    from tqdm import tqdm

    bar = tqdm(unit="epoch", leave=False, position=position, file=sys.stderr, disable=None if shown else True, delay=1)

    def report(values: dict[str, float], config: Any) -> None:
        if values["epoch"] <= bar.n:  # the next run of a sweep
            bar.reset()
        bar.total = config.max_epochs
        bar.update(int(values["epoch"]) - bar.n)
        bar.set_postfix(loss=f"{values['train_loss']:.3f}", accuracy=f"{values['chooser_wa']:.3f}")

    try:
        yield report
    finally:
        bar.close()


if __name__ == "__main__":
    app()

"""The study of the page `plan`, written down before it runs, and the command that does what of it is missing.

    python -m sercore.lab.study --bundles FOLDER --runs runs --jobs 14          # every line, in its order
    python -m sercore.lab.study --lines 1,2 --runs runs --jobs 2                # where the corpora themselves are at hand

It needs torch, numpy, pandas, pyarrow and scikit-learn. Each finished run is kept, however the command ends, and what is
published is not done again; `sercore publish` takes the records.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from .. import bounds, machine, places
from ..corpora import protocol
from ..errors import SercoreError
from . import sweep
from .records import RunName
from .systems import CLAIMS, NEEDS_AUDIO, TABLE_1, TABLE_2

RATES = ("3e-05", "0.0001", "0.0003")
"""Of the equal search: the paper's own, which lines 2 and 3 have, and about half a power of ten to either side."""


class Line(NamedTuple):
    """Systems on one corpus under one protocol: `number` is its place in the plan, `why` what it is for, `folder` where among the
    results its runs are published."""

    number: int
    corpus: str
    protocol: str
    systems: tuple[str, ...]
    seeds: tuple[int, ...]
    why: str
    folder: str = ""

    def names(self) -> list[RunName]:
        """Its runs, fold by fold within a seed and system."""
        return [
            RunName(self.corpus, self.protocol, system, seed, fold)
            for seed in self.seeds
            for system in self.systems
            for fold in range(protocol.FOLDS)
        ]


def _searched(systems: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"{system}@learning_rate={rate}" for system in systems for rate in RATES if float(rate) != 1e-4)


HEAR_LOG_MEL = tuple(slug for slug in TABLE_1 if slug not in NEEDS_AUDIO)
OTHERS = tuple(slug for slug in TABLE_2 if slug not in CLAIMS)
COMBINATIONS = (
    "ams-s10-m0.4+combined",
    "focal-g2-a2+combined",
    "ams-s10-m0.4+focal-g2-a2",
    "ams-s10-m0.4+focal-g2-a2+combined",
)

COMPARED = CLAIMS[:2]
"""The baseline and AMS, which are to show what a way of taking energies costs."""

CUT = tuple(f"{system}@clip_seconds=3.0" for system in COMPARED)
READ_OTHERWISE = tuple(f"{CLAIMS[0]}@{reading}" for reading in ("toolkit=pytorch", "normalisation=utterance"))
WAY = "way"
"""Where the results lie of what the way from pictures back to energies costs: no table but its own counts them."""

LINES = (
    Line(1, "cremad-spectra", "speaker", CLAIMS, (0, 1, 2, 3, 4), "91 speakers: a corpus that can show four points"),
    Line(2, "ravdess", "speaker", CLAIMS, (0, 1, 2), "a second corpus of the same language, from its own audio"),
    Line(3, "emodb", "speaker", CLAIMS, (0, 1, 2), "another language; again where the pilot changes the rule"),
    Line(4, "cremad-spectra", "paper", CLAIMS, (0,), "the paper's random split, at the size of its corpus"),
    Line(4, "ravdess", "paper", CLAIMS, (0,), "the same where speakers are few"),
    Line(5, "cremad-spectra", "speaker", OTHERS, (0,), "the other settings of Table 2"),
    Line(5, "cremad-spectra", "speaker", COMBINATIONS, (0, 1), "do the schemes add up?"),
    Line(6, "ravdess", "speaker", CLAIMS, (3, 4), "five seeds, as the rules ask"),
    Line(6, "emodb", "speaker", CLAIMS, (3, 4), "five seeds, as the rules ask"),
    Line(6, "cremad-spectra", "paper", CLAIMS, (1, 2), "more seeds of line 4"),
    Line(6, "ravdess", "paper", CLAIMS, (1, 2), "more seeds of line 4"),
    Line(7, "ravdess", "speaker", _searched(CLAIMS), (0, 1), "an equal search of learning rates, chosen on validation"),
    Line(7, "emodb", "speaker", _searched(CLAIMS), (0, 1), "an equal search of learning rates, chosen on validation"),
    Line(8, "emodb", "speaker", tuple(TABLE_1), (0, 1), "the earlier systems of Table 1, on equal terms"),
    Line(8, "ravdess", "speaker", tuple(TABLE_1), (0, 1), "the same on a second corpus"),
    Line(8, "cremad-spectra", "speaker", HEAR_LOG_MEL, (0, 1), "those of them that hear log-Mel energies, on 91 speakers"),
    Line(8, "emodb", "paper", tuple(TABLE_1), (0, 1), "the earlier systems under the paper's split"),
    Line(8, "ravdess", "paper", tuple(TABLE_1), (0, 1), "the same on a second corpus"),
    Line(9, "emodb", "speaker", CUT, (0, 1, 2), "recordings cut at 3 s, beside the next line", WAY),
    Line(9, "emodb-spectra", "speaker", COMPARED, (0, 1, 2), "the same through pictures: what the way costs", WAY),
    Line(9, "ravdess", "speaker", CUT, (0, 1, 2), "likewise on a second corpus", WAY),
    Line(9, "ravdess-spectra", "speaker", COMPARED, (0, 1, 2), "likewise on a second corpus", WAY),
    Line(10, "ravdess", "speaker", READ_OTHERWISE, (0, 1), "two points that the paper leaves open, read otherwise"),
    Line(10, "cremad-spectra", "speaker", READ_OTHERWISE, (0, 1), "the same on 91 speakers"),
)
"""In the order in which they are run."""


def run(
    lines: Iterable[Line],
    runs: Path,
    bundles: Path | None = None,
    jobs: int = 1,
    device: str = "auto",
    precision: str = "bfloat16",
) -> dict[RunName, str]:
    """Do what of `lines` is neither finished under `runs` nor published; the error of each run that failed.

    A corpus is read from its bundle in `bundles` where there is one, else from its audio.
    """
    overrides, plans = {"precision": precision}, []
    for line in lines:
        bundle = None if bundles is None else bundles / f"{line.corpus}.bundle"
        source = str(bundle) if bundle is not None and bundle.exists() else line.corpus
        wanted = sweep.plan(source, line.systems, line.protocol, line.seeds).without(_published(line.folder), overrides)
        missing = len(wanted.missing(runs))
        print(f"line {line.number}, {line.corpus}, {line.protocol}: {missing} of {len(line.names())} runs", flush=True)
        if wanted.unheard:
            print(f"  left out, for {source} has not what they hear: {', '.join(wanted.unheard)}", flush=True)
        if missing:
            plans.append(wanted)
    return sweep.sweep_all(plans, runs, overrides=overrides, device=device, jobs=jobs, on_run=_tell).failed


def _published(folder: str) -> pd.DataFrame:
    table = places.results_folder() / folder / "runs.parquet"
    return bounds.table(table, only=["run", "config"]) if table.exists() else pd.DataFrame(columns=["run", "config"])


def _tell(name: RunName, done: int, total: int) -> None:
    print(f"  {done} of {total}: {name}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run what of the study is missing."""
    options = machine.Options("python -m sercore.lab.study", description=main.__doc__)
    options.add_argument("--lines", default=f"1-{LINES[-1].number}", help="which, as in 1,2 or 1-4 [all]")
    options.add_argument("--bundles", type=Path, help="folder that holds CORPUS.bundle, as `sercore bundle` writes it")
    options.add_argument("--runs", type=Path, help="folder of the records [SERCORE_RUNS, else ./runs]")
    options.add_argument("--jobs", type=int, default=1, help="runs at once [1]")
    options.add_argument("--device", default="auto", help="auto, cpu or cuda")
    options.add_argument("--precision", default="bfloat16", help="float32, or bfloat16 in the convolutions [bfloat16]")
    chosen = options.parse_args(arguments)

    def work() -> dict[RunName, str]:
        numbers = set(sweep.integers(chosen.lines, "lines"))
        lines = [line for line in LINES if line.number in numbers]
        if unknown := sorted(numbers - {line.number for line in lines}):
            raise SercoreError(f"the study has no line {', '.join(map(str, unknown))}: its lines are 1 to {LINES[-1].number}")
        return run(lines, chosen.runs or places.runs_folder(), chosen.bundles, chosen.jobs, chosen.device, chosen.precision)

    return sweep.exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

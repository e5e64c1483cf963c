"""What the page about many machines says: how much of a second worker arrives, and what 64 GPUs would wait for."""

from __future__ import annotations

import pandas as pd

from ..names import name as named

STUDY = 21 * 5 * 2 * 5
"""Runs of a full study: systems, folds, protocols, seeds."""

GPUS = 64
RECORD_MB = 1.6
"""Of a record, nearly all of it the weights."""

NETWORK_MB = 1000
"""Megabytes a second of a network of 10 Gbit/s, less what it is slowed by."""

TASKS = 200
"""Tasks a second that Dask's documentation trusts a scheduler with, at the least."""


def efficiency_sentence(found: pd.DataFrame | None) -> str:
    """Runs an hour by one and by two workers (`results.efficiency`)."""
    if found is None:
        return "*Not measured yet: `python benchmarks/sweep.py --save`.*"
    one, two = (found.loc[found["workers"] == number, "runs_an_hour"].item() for number in (1, 2))
    return (
        f"**Two workers do {two / one:.1f} times the runs of one**, measured on a machine with {found['cores'].iloc[0]} cores "
        f"({named(found['processor'].iloc[0])}), each worker with one thread."
    )


def scale_sentence(runs: pd.DataFrame) -> str:
    """What a full study would take on 64 GPUs, and what would be short first, by the runs that were made on a GPU."""
    own = runs[runs["device"] != "cpu"] if len(runs) else runs
    if own.empty:
        return ""
    seconds = own["seconds"].median()
    rate = GPUS / seconds
    names = ("the network", "the scheduler", "the disk of the caller")
    shares = (rate * RECORD_MB / NETWORK_MB, rate / TASKS, rate * RECORD_MB / 150)
    first = max(zip(shares, names, strict=True))
    if first[0] >= 0.5:
        return (
            f"With {GPUS} GPUs {first[1]} would be short first: their {rate:.1f} runs a second take {100 * first[0]:.0f} % of it."
        )
    return (
        f"A calculation for {GPUS} GPUs with one run each: by the median of our own runs on a GPU, {seconds:.0f} s, they finish "
        f"{rate:.1f} runs a second, and a full study of {STUDY:,} in {STUDY / rate / 60:.0f} minutes. First to be short would be "
        f"{first[1]}, of which that takes {100 * first[0]:.0f} %: nothing stands in the way but the longest run."
    )

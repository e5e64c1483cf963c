"""Runs an hour by one worker of a Dask cluster on this machine, and by two, each with one thread.

A worker's first run, in which it loads and compiles, is not counted. `--save` also writes `results/efficiency.parquet`, which
the page `scale` is computed from.
"""

from __future__ import annotations

import datetime
import tempfile
import time
from pathlib import Path

import measure

FOLDS, SEEDS, EPOCHS = "0-4", "0-3", 1


def runs_an_hour(workers: int, corpus: str, seeds: str, folds: str, **changes: float) -> float:
    """Over the runs that come back after each worker has done one."""
    from sercore.lab import sweep

    wanted, ends = sweep.plan(corpus, "baseline", "speaker", seeds, folds), []
    with tempfile.TemporaryDirectory() as folder:
        outcome = sweep.sweep(
            wanted,
            folder,
            overrides={"max_epochs": EPOCHS, "patience": EPOCHS, **changes},
            device="cpu",
            dask=f"local:{workers}",
            on_run=lambda *told: ends.append(time.monotonic()),
        )
    assert not outcome.failed, outcome.failed
    counted = ends[workers - 1 :]
    return 3600 * (len(counted) - 1) / (counted[-1] - counted[0])


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--corpus", default="demo", help="another than the synthetic one")
    chosen = options.parse_args()
    seeds, folds, changes = ("0", "0-2", {"clip_seconds": 0.5}) if chosen.smoke else (SEEDS, FOLDS, {})
    rounds = 1 if chosen.smoke else chosen.rounds
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for workers in rates:
            rates[workers].append(runs_an_hour(workers, chosen.corpus, seeds, folds, **changes))
    middle = {workers: sorted(found)[len(found) // 2] for workers, found in rates.items()}
    rows = [
        {"workers": number, "runs an hour": round(rate), "times one": round(rate / middle[1], 2)}
        for number, rate in middle.items()
    ]
    title = "Runs of the synthetic corpus, one epoch each, one thread a worker."
    measure.report("sweep", chosen, title, rows, {"runs_an_hour": middle, "times": middle[2] / middle[1]})
    if chosen.save:
        import pandas as pd

        from sercore import machine, places

        where = {"commit": machine.commit(), "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
        where |= machine.describe(machine.choose_device("cpu"))
        frame = pd.DataFrame([{"workers": number, "runs_an_hour": rate, **where} for number, rate in middle.items()])
        frame.to_parquet(Path(places.results_folder()) / "efficiency.parquet", index=False)


if __name__ == "__main__":
    main()

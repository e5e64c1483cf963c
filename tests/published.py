"""Made-up published records for tests: names alone, no measures."""

import itertools
from pathlib import Path

import pandas as pd

from sercore import protocol, results, sweep
from sercore.systems import config as configure


def publish(folder: Path, corpus: str, systems: str, protocols: str = "speaker", seeds: str = "0", folds: int = 5) -> None:
    """Made-up runs in `folder`, beside what it holds."""
    grid = itertools.product(protocols.split(","), sweep.integers(seeds, "seeds"), systems.split(","), range(folds))
    rows = [
        {
            **dict.fromkeys(results.RUN_COLUMNS, 0),
            "corpus": corpus,
            "protocol": name,
            "system": system,
            "seed": seed,
            "fold": fold,
            "config": configure(system).to_json(),
        }
        | {"run": f"{corpus}-{name}-{system}-seed{seed}-fold{fold}", "chosen_by": protocol.chooser(name)}
        for name, seed, system, fold in grid
    ]
    folder.mkdir(exist_ok=True)
    path = folder / "runs.parquet"
    old = [pd.read_parquet(path)] if path.exists() else []
    pd.concat([*old, pd.DataFrame(rows)], ignore_index=True).to_parquet(path)

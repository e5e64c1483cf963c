"""Made-up published records for tests: names alone, no measures."""

import itertools
from pathlib import Path

import pandas as pd

from sercore import corpora
from sercore.config import Config
from sercore.corpora import protocol
from sercore.evidence import results
from sercore.lab import sweep
from sercore.lab.systems import config as configure


def publish(
    folder: Path, corpus: str, systems: str, protocols: str = "speaker", seeds: str = "0", folds: int = 5, size: int = 5531
) -> None:
    """Made-up runs in `folder`, beside what it holds, of a corpus of `size` utterances, or of those that it holds of it."""
    grid = itertools.product(protocols.split(","), sweep.integers(seeds, "seeds"), systems.split(","), range(folds))
    utterances = folder / "utterances" / f"{corpus}.parquet"
    max_epochs, patience = corpora.length_rule(len(pd.read_parquet(utterances)) if utterances.exists() else size)
    lengths = Config(max_epochs=max_epochs, patience=patience)
    rows = [
        {
            **dict.fromkeys(results.RUN_COLUMNS, 0),
            **dict.fromkeys(("precision", "device", "commit", "data", "split", "finished"), "0"),
            "corpus": corpus,
            "protocol": name,
            "system": system,
            "seed": seed,
            "fold": fold,
            "config": configure(system, lengths).to_json(),
        }
        | {"run": f"{corpus}-{name}-{system}-seed{seed}-fold{fold}", "chosen_by": protocol.chooser(name)}
        for name, seed, system, fold in grid
    ]
    folder.mkdir(exist_ok=True)
    path = folder / "runs.parquet"
    old = [pd.read_parquet(path)] if path.exists() else []
    pd.concat([*old, pd.DataFrame(rows)], ignore_index=True).to_parquet(path)

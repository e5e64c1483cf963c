"""Made-up finished runs with models, for tests of what is done with models: untrained networks, drawn test parts."""

from pathlib import Path

import numpy as np

import sercore
from sercore.lab import metrics, records, systems
from sercore.lab.records import RunName

CLASSES = ("angry", "happy", "sad", "neutral")


def make(runs: Path, system: str = "baseline", folds: int = 2, corpus: str = "tones", seed: int = 0, **settings) -> list[Path]:
    """Runs of all folds under the protocol `speaker`, each with a temperature of its own."""
    folders = []
    for fold in range(folds):
        name = RunName(corpus, "speaker", system, seed, fold)
        network = sercore.build(system, seed=10 * seed + fold, **settings).eval()
        rng = np.random.default_rng(fold)
        labels, shares = rng.integers(0, 4, 40), rng.dirichlet(np.ones(4), 40).astype(np.float32)
        facts = {
            **{key: getattr(name, key) for key in ("corpus", "protocol", "system", "seed", "fold")},
            **{"run": str(name), "source": corpus, "data": "0" * 64, "split": "1" * 64, "commit": "2" * 40},
            **{"classes": list(CLASSES), "config": systems.config(system, None, settings).to_dict(), "temperature": 1.0 + fold},
            **metrics.summary(labels, shares),
        }
        test = {
            "utterance": np.array([f"u{fold}-{number}" for number in range(40)]),
            "speaker": np.array([f"{fold}-{number % 4}" for number in range(40)]),
            "label": np.array(CLASSES)[labels],
            "probabilities": shares,
            "features": np.zeros((40, 64), np.float16),
            "attention": np.zeros((40, 3), np.float16),
        }
        runs.mkdir(parents=True, exist_ok=True)
        folders.append(records.write(runs, name, facts, [{"epoch": 1, "train_loss": 1.0}], test, network, CLASSES))
    return folders

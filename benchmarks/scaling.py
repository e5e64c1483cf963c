"""How cost grows: a training step with frames and batch, features with the number of files, an epoch with the corpus.

The exponent is the slope of log time over log size; linear growth is 1, below it something fixed is paid off.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import features
import measure
import train_step


def step(frames: int, batch: int) -> Callable[[], Any]:
    return train_step.ours(batch, frames, "bfloat16")


def extraction(files: int) -> Callable[[], Any]:
    """Features of so many files of two seconds of noise, into an empty cache each time."""
    from sercore.frontend.inputs import extract

    table = features.corpus_of_noise(Path(tempfile.mkdtemp()), files, 2.0)

    def work() -> Any:
        with tempfile.TemporaryDirectory() as cache:
            return extract(table, Path(cache), workers=1, progress=False)

    return work


def epoch(utterances: int, frames: int) -> Callable[[], Any]:
    """One epoch of training on so many utterances, the features in memory, without the evaluation."""
    import numpy as np

    import sercore
    from sercore import machine
    from sercore.frontend.inputs import Inputs
    from sercore.lab import training
    from sercore.network.engines.adam import Adam

    machine.keep_pages()
    model = sercore.build("baseline", precision="bfloat16")
    model.engine = "fused"
    arrays = tuple(np.random.default_rng(0).standard_normal((utterances, frames, 40), dtype=np.float32))
    ids = np.array([f"{index:05d}" for index in range(utterances)])
    data = training.Labelled(Inputs(ids, np.full(utterances, frames), arrays, ""), np.arange(utterances) % 4, 4)
    optimiser = Adam(model.parameters(), 1e-3)
    return lambda: training._train_epoch(model, data, np.arange(utterances), optimiser, frames, 0, 1)


def main() -> None:
    chosen = measure.parser(__doc__).parse_args()
    import numpy as np

    small = chosen.smoke
    frames, batches = ((64, 128), (2, 4)) if small else ((250, 500, 1000, 2000), (8, 16, 32, 64))
    files, utterances = ((4, 8), (32, 64)) if small else ((100, 200, 400, 800), (64, 128, 256, 512))
    sweeps: dict[str, dict[int, tuple[measure.Build, tuple]]] = {
        "frames of a step (batch 16)": {n: (step, (n, 16)) for n in frames},
        "batch of a step (500 frames)": {n: (step, (500, n)) for n in batches},
        "files whose features are computed": {n: (extraction, (n,)) for n in files},
        "utterances of an epoch (250 frames)": {n: (epoch, (n, 250)) for n in utterances},
    }
    rows = []
    for name, builds in sweeps.items():
        values = list(builds)
        seconds = measure.compare({str(n): build for n, build in builds.items()}, chosen)
        slope = float(np.polyfit(np.log(values), np.log([seconds[str(value)] for value in values]), 1)[0])
        shown = ", ".join(f"{value}: {seconds[str(value)] * 1e3:.0f}" for value in values)
        rows.append({"cost against": name, "ms": shown, "exponent": slope})
    title = "How cost grows with size."
    measure.report("scaling", chosen, title, rows, {"exponent": {row["cost against"]: row["exponent"] for row in rows}})


if __name__ == "__main__":
    main()

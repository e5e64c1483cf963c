"""Recalibrated batch norm: what it costs beside an epoch, and how many utterances it needs.

The cost is measured at the size of a corpus's training part. How many utterances are enough is asked of a model in the
middle of its training: by how much its probabilities for utterances that it has not seen differ from those with statistics
of the whole training part, and beside it how much the next epoch of training moves them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import measure
import scaling

FRAMES = 250
PARTS = {"EmoDB": 213, "RAVDESS": 392, "CREMA-D": 2544}
"""Utterances of the training part of the first fold with separate speakers."""

SUBSETS = (32, 64, 128, 256, 512)


def recalibration(utterances: int, frames: int) -> Callable[[], Any]:
    """Statistics of so many utterances, in batches of training's size."""
    import numpy as np
    import torch

    import sercore
    from sercore import machine
    from sercore.lab import averages

    machine.keep_pages()
    model = sercore.build("baseline", precision="bfloat16")
    model.engine = "fused"
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((32, frames, 40), dtype=np.float32))
    batches = [(x, torch.full((32,), frames))] * (utterances // 32)
    return lambda: averages.recalibrate(model, batches)


def enough(corpus: str, epochs: int, subsets: tuple[int, ...], draws: int) -> list[dict[str, Any]]:
    """How far the probabilities of the first fold's validation and test part depend on the subset."""
    import numpy as np
    import torch

    from sercore import machine
    from sercore.corpora import protocol
    from sercore.lab import averages, experiment, training
    from sercore.network.engines.adam import Adam
    from sercore.network.networks import build

    prepared = experiment.prepare(corpus)
    config = experiment.configure(prepared, "baseline", {"precision": "bfloat16"})
    split = protocol.splits(prepared.utterances, "speaker")
    rows = {part: prepared.rows(ids) for part, ids in protocol.parts(split, 0).items()}
    unseen = np.concatenate([rows["validation"], rows["test"]])

    machine.keep_pages()
    model = build(config, prepared.data.classes, seed=0)
    model.engine = training.choose_engine(config, torch.device("cpu"))
    model.set_normalisation(*prepared.data.inputs.normalisation(rows["train"], FRAMES))
    optimiser = Adam(model.parameters(), config.learning_rate)

    def said(model: Any, drawn: Any) -> Any:
        batches = []
        for start in range(0, len(drawn), config.batch_size):
            x, lengths, _ = prepared.data.batch(drawn[start : start + config.batch_size], FRAMES)
            batches.append((x, lengths))
        averages.recalibrate(model, batches)
        return training.predict(model, prepared.data, unseen).probabilities

    for epoch in range(1, epochs + 1):
        training._train_epoch(model, prepared.data, rows["train"], optimiser, FRAMES, 0, epoch)
    rng = np.random.default_rng(0)
    whole = said(model, rng.permutation(rows["train"]))

    def row(name: str, others: list[Any]) -> dict[str, Any]:
        change = np.mean([np.abs(other - whole).sum(1).mean() / 2 for other in others])
        labels = np.mean([(other.argmax(1) != whole.argmax(1)).mean() for other in others])
        return {"statistics of": name, "probability moved, %": 100 * float(change), "labels changed, %": 100 * float(labels)}

    found = [
        row(f"{size} utterances", [said(model, rng.permutation(rows["train"])[:size]) for _ in range(draws)])
        for size in subsets
        if size < len(rows["train"])
    ]
    training._train_epoch(model, prepared.data, rows["train"], optimiser, FRAMES, 0, epochs + 1)
    return [*found, row("all, one epoch later", [said(model, rng.permutation(rows["train"]))])]


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--corpus", default="ravdess", help="whose utterances tell how many are enough [ravdess]")
    options.add_argument("--epochs", type=int, default=30, help="that its model has been trained [30]")
    chosen = options.parse_args()
    small = chosen.smoke
    frames = 64 if small else FRAMES
    builds: dict[str, tuple[measure.Build, tuple]] = {
        "epoch": (scaling.epoch, (256 if not small else 32, frames)),
        "recalibration": (recalibration, (256 if not small else 32, frames)),
    }
    seconds = measure.compare(builds, chosen)
    share = seconds["recalibration"] / seconds["epoch"]
    from sercore.lab import averages

    costs = [
        {"training part of": name, "utterances": size, "recalibrated on": used, "% of an epoch": 100 * share * used / size}
        for name, size in PARTS.items()
        for used in [min(size, averages.UTTERANCES)]
    ]
    title = f"An utterance costs {100 * share:.0f}% of what training on it costs ({frames} frames, batches of 32)."
    measure.report("recalibration", chosen, title, costs, {"share": share})
    if small:
        return
    found = enough(chosen.corpus, chosen.epochs, SUBSETS, 8)
    title = f"Statistics of a part beside those of the whole training part: {chosen.corpus}, after {chosen.epochs} epochs."
    measure.report("recalibration_subset", chosen, title, found, {"rows": found})


if __name__ == "__main__":
    main()

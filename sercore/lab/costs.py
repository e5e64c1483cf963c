"""What each system costs: parameters, multiply-adds, and milliseconds an utterance on this machine, all measured in one go.

    python -m sercore.lab.costs                # writes results/costs.parquet; nothing else should be running

An utterance here is `SECONDS` of made-up frames: what a network hears does not change what it computes. The front ends are not
counted, and every network computes as it trains: the paper's by its fused engine, the earlier systems by plain PyTorch.
"""

from __future__ import annotations

import datetime
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from .. import machine, places
from ..config import Config
from ..frontend.front_ends import FRONT_ENDS
from ..frontend.log_mel import clip_frames
from ..network.base import Network
from ..network.engines.adam import Adam
from ..network.networks import build
from . import experiment, sweep, systems, training

SECONDS = 3.0
BATCH = 32
REPEATS = 9
SYSTEMS = (*systems.TABLE_1, *systems.CLAIMS)


def multiply_adds(model: Network, x: Tensor, lengths: Tensor | None = None) -> int:
    """Multiplications that are added up in the convolutions, recurrent and linear layers for x (batch, frames, bands)."""
    total = 0

    def count(module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
        nonlocal total
        if isinstance(module, nn.Conv1d | nn.Conv2d):
            total += made.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            total += made.numel() * module.in_features
        elif isinstance(module, nn.LSTM):
            data = given[0].data  # of a packed sequence the frames that count
            steps = data.shape[0] if data.dim() == 2 else data.shape[0] * data.shape[1]
            total += steps * sum(weight.numel() for name, weight in module.named_parameters() if name.startswith("weight"))
        elif isinstance(module, nn.MultiheadAttention):
            batch, steps, channels = given[0].shape
            total += batch * steps * channels * (4 * channels + 2 * steps)  # projections; scores and sums

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    attending = [module for module in model.modules() if isinstance(module, nn.MultiheadAttention)]
    engine, model.engine = model.engine, "plain"
    try:
        model.train(bool(attending))  # in evaluation it takes a way of its own, past the layers
        with torch.no_grad():
            model.outputs(x, lengths)
    finally:
        model.engine = engine
        for hook in hooks:
            hook.remove()
    return total


def measure(slugs: Iterable[str] = SYSTEMS, device: str = "auto", repeats: int = REPEATS) -> pd.DataFrame:
    """One row a system: `system, parameters, multiply_adds, training_ms, labelling_ms` an utterance, and where it was measured.

    `training_ms` is a step on `BATCH` utterances over their number, `labelling_ms` one utterance alone; both the median of
    `repeats`, in which the systems take turns, so that a slow minute of the machine meets all of them.
    """
    place = machine.choose_device(device)
    facts = {"commit": machine.commit(), "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")}
    rows, acts = [], []
    for slug in slugs:
        config = systems.config(slug).replace(clip_seconds=SECONDS)
        model = build(config, 4).to(place)
        bands, frames = FRONT_ENDS[model.front_end].bands, clip_frames(SECONDS)
        x = torch.randn(BATCH, frames, bands, generator=torch.Generator().manual_seed(0)).to(place)
        lengths, labels = torch.full((BATCH,), frames, device=place), torch.arange(BATCH, device=place) % 4
        row = {"system": slug, "parameters": model.num_parameters(), "seconds": SECONDS}
        row["multiply_adds"] = multiply_adds(model, x[:1], lengths[:1])
        model.engine = training.choose_engine(config, place)
        optimiser = Adam(model.parameters(), config.learning_rate)

        def step(model=model, optimiser=optimiser, x=x, labels=labels, lengths=lengths) -> None:
            model.train()
            optimiser.zero_grad()
            model.loss(x, labels, lengths).backward()
            optimiser.step()

        def label(model=model, x=x, lengths=lengths) -> None:
            model.eval()
            with torch.inference_mode():
                model.outputs(x[:1], lengths[:1])

        rows.append(row | facts | machine.describe(place))
        acts.append((step, label))
    taken = [[[_ms(act, place) for act in pair] for pair in acts] for _ in range(repeats + 1)][1:]  # the first loads and compiles
    for number, row in enumerate(rows):
        training_ms, labelling_ms = (statistics.median(turn[number][act] for turn in taken) for act in (0, 1))
        row |= {"training_ms": training_ms / BATCH, "labelling_ms": labelling_ms}
    return pd.DataFrame(rows)


def epoch_seconds(prepared: experiment.Prepared, config: Config, device: str = "auto") -> float:
    """What an epoch of a system takes here on a corpus with nothing else running, by its second step."""
    place, inputs = machine.choose_device(device), prepared.heard_by(config).inputs
    model = build(config, prepared.data.classes).to(place)
    model.engine = training.choose_engine(config, place)
    optimiser, rows = Adam(model.parameters(), config.learning_rate), range(min(config.batch_size, len(inputs)))
    x, lengths = (part.to(place) for part in inputs.batch(rows, clip_frames(config.clip_seconds)))
    labels = torch.arange(len(rows), device=place) % prepared.data.classes
    model.set_normalisation(*inputs.normalisation(rows, len(x[0]), config.normalisation == "level"))

    def step() -> None:
        optimiser.zero_grad()
        model.loss(x, labels, lengths).backward()
        optimiser.step()

    def hear() -> None:
        with torch.inference_mode():
            model.outputs(x, lengths)

    step()  # which loads and compiles
    training_ms = _ms(step, place)
    model.eval()
    hear()
    hearing_ms = _ms(hear, place)
    return len(inputs) / len(rows) * (0.6 * training_ms + 0.2 * hearing_ms) / 1000  # the shares of the parts


def _ms(act: Callable[[], None], place: torch.device) -> float:
    started = time.perf_counter()
    act()
    if place.type == "cuda":
        torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - started)


def main(arguments: list[str] | None = None) -> int:
    """Measure what every system costs here, and write it to the results."""
    options = machine.Options("python -m sercore.lab.costs", description=main.__doc__)
    options.add_argument("--results", type=Path, help="folder of the published records [SERCORE_RESULTS, else ./results]")
    options.add_argument("--device", default="auto", help="auto, cpu or cuda")
    chosen = options.parse_args(arguments)

    def work() -> dict[str, str]:
        machine.keep_pages()
        folder = places.results_folder(chosen.results)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "costs.parquet"
        measured = measure(device=chosen.device)
        partial = path.with_suffix(".partial")
        measured.to_parquet(partial, index=False)
        partial.replace(path)
        columns = ["system", "parameters", "multiply_adds", "training_ms", "labelling_ms"]
        print(measured[columns].round(1).to_string(index=False))
        return {}

    return sweep.exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

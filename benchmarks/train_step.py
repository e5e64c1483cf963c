"""One training step of the paper's network: forward, backward and Adam, ours beside its peers.

Milliseconds an utterance of 750 frames, each candidate in its own process, in turn. "torch" is stock PyTorch: the plain
network with PyTorch's own dropout and allocator settings; Keras is the authors' toolkit, with its own defaults.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import measure

FRAMES = 750
OURS, TORCH, COMPILED, KERAS = (
    {"float32": f"{name} float32", "bfloat16": f"{name} bfloat16"} for name in ("ours", "torch", "torch.compile", "keras")
)

TOGETHER = 32
"""Above this batch the candidates' activations do not fit into 24 GB at once."""

EVALUATION = "ours bfloat16, evaluation"


def gflop(frames: int = FRAMES) -> float:
    """Operations of the convolutions and the BLSTM in one step, in 1e9 an utterance; backward costs twice the forward."""
    from sercore.config import POOLED
    from sercore.frontend.log_mel import MELS
    from sercore.network.model import FILTERS

    total, mels, inputs = 0.0, MELS, 1
    for index, outputs in enumerate(FILTERS):
        forward = 2 * 9 * inputs * outputs * frames * mels
        total += forward * (3 if index else 2)  # nothing wants the gradient of the input
        if index < POOLED:
            frames, mels = frames // 2, mels // 2
        inputs = outputs
    return (total + 3 * frames * 2 * 2 * 4 * 32 * (FILTERS[-1] + 32)) / 1e9


def ours(batch: int, frames: int, precision: str) -> Callable[[], Any]:
    from sercore import machine

    machine.keep_pages()
    return _torch_step(batch, frames, precision, engine="fused")


def evaluation(batch: int, frames: int, precision: str) -> Callable[[], Any]:
    """The pass over validation and test utterances: forward alone."""
    import torch

    import sercore
    from sercore import machine

    machine.keep_pages()
    model = sercore.build("baseline", precision=precision).eval()
    model.engine = "fused"
    x = torch.randn(batch, frames, 40)
    return torch.inference_mode()(lambda: model(x))


def plain(batch: int, frames: int, precision: str, compiled: bool = False) -> Callable[[], Any]:
    import torch.nn.functional as F

    from sercore.network import model

    model.dropout = lambda x, probability: F.dropout(x, probability)  # type: ignore[assignment]
    return _torch_step(batch, frames, precision, engine="plain", compiled=compiled)


def _torch_step(batch: int, frames: int, precision: str, engine: str, compiled: bool = False) -> Callable[[], Any]:
    import torch

    import sercore
    from sercore.network.engines.adam import Adam

    model = sercore.build("baseline", precision=precision).train()
    model.engine = engine
    loss_of = torch.compile(model.loss) if compiled else model.loss
    optimiser = Adam(model.parameters(), 1e-4, eps=1e-7)
    x, labels = torch.randn(batch, frames, 40), torch.arange(batch) % 4

    def step() -> float:
        loss = loss_of(x, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    return step


def keras(batch: int, frames: int, precision: str) -> Callable[[], Any]:
    """The same network as the authors' toolkit builds it."""
    import os

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import numpy as np
    from keras import layers

    from sercore.config import POOLED
    from sercore.network.model import FILTERS

    keras.mixed_precision.set_global_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    x = entry = keras.Input((frames, 40, 1))
    for index, filters in enumerate(FILTERS):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(x)))
        if index < POOLED:
            x = layers.AveragePooling2D(2)(x)
        x = layers.Dropout(0.25)(x)
    x = layers.Reshape((-1, FILTERS[-1]))(x)
    hidden, forward, _, backward, _ = layers.Bidirectional(layers.LSTM(32, return_sequences=True, return_state=True))(x)
    query = layers.Reshape((-1, 1))(layers.Concatenate()([forward, backward]))
    weights = layers.Softmax(axis=1)(layers.Dot((2, 1))([hidden, query]))
    feature = layers.Flatten()(layers.Dot((1, 1))([weights, hidden]))
    model = keras.Model(entry, layers.Dense(4, dtype="float32")(feature))
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    inputs, labels = np.random.randn(batch, frames, 40, 1).astype("float32"), np.arange(batch) % 4
    return lambda: model.train_on_batch(inputs, labels)


def parts(batch: int, frames: int) -> list[dict[str, Any]]:
    """Where the time of our step goes: milliseconds an utterance, and GFLOP/s of what is a matrix product."""
    from torch.profiler import profile

    from sercore.frontend.log_mel import MELS
    from sercore.network.model import FILTERS

    step = ours(batch, frames, "bfloat16")
    for _ in range(3):
        step()
    with _quiet(), profile(record_shapes=True) as profiled:
        step()
    groups = {
        "first block, forward": ("_First",),
        "first block, backward": ("_FirstBackward",),
        "other blocks but their convolutions, forward": ("_Activate",),
        "other blocks but their convolutions, backward": ("_ActivateBackward",),
        "convolutions 2 and 3 by Winograd, forward": ("_Convolve",),
        "convolutions 2 and 3 by Winograd, backward": ("_ConvolveBackward",),
        "BLSTM": ("aten::mkldnn_rnn_layer", "aten::mkldnn_rnn_layer_backward"),
        "Adam": ("Optimizer.step#Adam.step",),
    }
    rows, counted, events = [], 0.0, profiled.key_averages(group_by_input_shape=True)
    total = sum(event.self_cpu_time_total for event in events) / 1e3 / batch
    for index, (inputs, outputs) in enumerate(itertools.pairwise(FILTERS), 1):
        height, width = frames >> index, MELS >> index
        forward = 2 * 9 * inputs * outputs * height * width / 1e9
        shapes = [[batch, inputs, height, width], [outputs, inputs, 3, 3]]  # of the convolution's input and kernel
        for way, key, at, work in (
            ("forward", "aten::mkldnn_convolution", 0, forward),
            ("backward", "aten::convolution_backward", 1, 2 * forward),
        ):
            same = [event for event in events if event.key == key and event.input_shapes[at : at + 2] == shapes]
            taken = sum(event.cpu_time_total for event in same) / 1e3 / batch
            counted += taken
            rows.append(
                {"part": f"convolution {index + 1}, {way}", "ms": taken, "GFLOP/s": work / taken * 1e3 if taken else None}
            )
    for name, keys in groups.items():
        taken = sum(event.cpu_time_total for event in events if event.key in keys) / 1e3 / batch
        counted += taken
        rows.append({"part": name, "ms": taken, "GFLOP/s": None})
    rows = [row for row in rows if row["ms"]]  # what this processor's step has
    rows.append({"part": "the rest", "ms": total - counted, "GFLOP/s": None})
    return rows


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The profiler's library writes to the terminal by itself."""
    import os

    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--batch", default="8,32,64", help="batch sizes, with commas; the ratios are those of 32 [8,32,64]")
    options.add_argument("--frames", type=int, default=FRAMES)
    options.add_argument("--parts", action="store_true", help="only where the time of our step goes")
    chosen = options.parse_args()
    batches, frames, size = [int(n) for n in chosen.batch.split(",")], chosen.frames, measure.GEMM
    if chosen.smoke:
        batches, frames, size = [2], 64, 64
    if chosen.parts:
        rows = parts(batches[0] if chosen.smoke else 32, frames)
        title = f"Our step in bfloat16, part by part: batch 32, {frames} frames, ms an utterance."
        measure.report("train_step_parts", chosen, title, rows, {"parts": rows})
        return
    rows = []
    facts: dict[str, Any] = {"frames": frames, "gflop_per_utterance": gflop(frames), "ms_per_utterance": {}}
    for batch in batches:
        builds: dict[str, tuple[measure.Build, tuple]] = {
            f"GEMM {dtype}": (measure.matrix_product, (dtype, size)) for dtype in ("bfloat16", "float32")
        }
        for precision in ("bfloat16", "float32"):
            builds[OURS[precision]] = ours, (batch, frames, precision)
            builds[TORCH[precision]] = plain, (batch, frames, precision)
            builds[KERAS[precision]] = keras, (batch, frames, precision)
        if chosen.smoke:
            print("torch.compile: left out of the smoke test", file=sys.stderr)
        elif shutil.which("g++") or shutil.which("clang++"):
            builds[COMPILED["bfloat16"]] = plain, (batch, frames, "bfloat16", True)
        else:
            print("torch.compile: no C++ compiler", file=sys.stderr)
        builds[EVALUATION] = evaluation, (batch, frames, "bfloat16")
        seconds = measure.compare(builds, chosen, together=batch <= TOGETHER)
        forward = seconds.pop(EVALUATION) / batch * 1e3
        peaks = {dtype: measure.gemm_gflops(seconds.pop(f"GEMM {dtype}"), size) for dtype in ("bfloat16", "float32")}
        ms = {name: taken / batch * 1e3 for name, taken in sorted(seconds.items(), key=lambda item: item[1])}
        for name, value in ms.items():
            rate, peak = gflop(frames) / value * 1e3, peaks["float32"] if name.endswith("float32") else max(peaks.values())
            row = {"batch": batch, "step": name, "ms an utterance": value, "times torch float32": ms[TORCH["float32"]] / value}
            rows.append(row | {"GFLOP/s": rate, "of the GEMM peak": f"{rate / peak:.0%}"})
        facts["ms_per_utterance"][str(batch)] = ms
        if batch == 32 or len(batches) == 1:
            best = min((ms[name] for name in KERAS.values() if name in ms), default=None)
            facts |= {
                "batch": batch,
                "ratio_to_torch_float32": ms[TORCH["float32"]] / ms[OURS["bfloat16"]],
                "ratio_to_best_keras": best and best / ms[OURS["bfloat16"]],
                "ratio_float32_to_torch_float32": ms[TORCH["float32"]] / ms[OURS["float32"]],
                "evaluation_ms_per_utterance": forward,
                "evaluation_share_of_step": forward / ms[OURS["bfloat16"]],
                "gemm_bf16_gflops": peaks["bfloat16"],
                "gemm_float32_gflops": peaks["float32"],
                "fraction_of_gemm": gflop(frames) / ms[OURS["bfloat16"]] * 1e3 / max(peaks.values()),
            }
    facts["ms_per_utterance_by_batch"] = facts["ms_per_utterance"]
    facts["ms_per_utterance"] = facts["ms_per_utterance_by_batch"][str(facts.get("batch", batches[0]))]
    share = facts["evaluation_share_of_step"]
    title = (
        f"One training step, {frames} frames, {gflop(frames):.1f} GFLOP an utterance. "
        f"The machine's own matrix product: {json.dumps({k: round(v) for k, v in peaks.items()})} GFLOP/s. "
        f"An evaluation pass costs {share:.0%} of our training step."
    )
    from sercore import machine

    region = {"amx": "train_step", "avx512": "train_step_avx512", "": "train_step_without_amx"}[machine.bfloat16_unit()]
    measure.report(region, chosen, title, rows, facts)


if __name__ == "__main__":
    main()

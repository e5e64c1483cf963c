"""One training step on a GPU: ours, launched kernel by kernel and replayed as a CUDA graph, beside stock PyTorch.

Milliseconds an utterance, in bfloat16. "torch" is the plain network; with --compile also as `torch.compile` fuses it.
Several processes may share a GPU: `sercore sweep --jobs` tells how much that gains, this tells of one.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import measure
import train_step


def step(batch: int, frames: int, engine: str, replayed: bool, compiled: bool = False) -> Callable[[int], None]:
    """`call(times)`: so many training steps, until the GPU has done them."""
    import torch

    import sercore
    from sercore.network.engines import cuda_graph
    from sercore.network.engines.adam import Adam
    from sercore.network.model import SERModel

    model = sercore.build("baseline", precision="bfloat16").to("cuda").train()
    assert isinstance(model, SERModel)
    model.engine = engine
    if engine == "plain":
        model.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss_of = torch.compile(model.loss) if compiled else model.loss
    optimiser = Adam(model.parameters(), 1e-4, eps=1e-7)
    x = torch.randn(batch, frames, 40, device="cuda")
    labels, lengths = torch.arange(batch, device="cuda") % 4, torch.full((batch,), frames, device="cuda")
    order = torch.arange(batch, device="cuda")
    steps = cuda_graph.Steps(model, optimiser, (x, lengths, labels), {batch}) if replayed else None

    def call(times: int) -> None:
        if steps is not None:
            steps(order.repeat(times), batch)
            return
        for _ in range(times):
            loss = loss_of(x, labels, lengths)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        torch.cuda.synchronize()

    return call


def peak(size: int = 8192) -> float:
    """GFLOP/s of a square matrix product in bfloat16."""
    import torch

    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * measure.gemm_gflops(time.perf_counter() - started, size)


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--frames", type=int, default=train_step.FRAMES)
    options.add_argument("--times", type=int, default=50, help="steps in a round [50]")
    options.add_argument("--compile", action="store_true", help="also torch.compile")
    chosen = options.parse_args()
    try:
        import torch
    except ImportError:
        sys.exit("torch is not installed")
    if not torch.cuda.is_available():
        print("no GPU: nothing to measure", file=sys.stderr)
        return
    ways: dict[str, tuple[Any, ...]] = {
        "ours, replayed": ("fused", True),
        "ours, launched": ("fused", False),
        "torch, replayed": ("plain", True),
        "torch, launched": ("plain", False),
    }
    if chosen.compile:
        ways["torch.compile, launched"] = ("plain", False, True)
    calls = {name: step(chosen.batch, chosen.frames, *way) for name, way in ways.items()}
    times, rounds = (1, 1) if chosen.smoke else (chosen.times, chosen.rounds)
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call(times)
            if number:  # the first round warms up
                taken[name].append((time.perf_counter() - started) / times)
    work, top = train_step.gflop(chosen.frames), peak()
    seconds = {name: statistics.median(values) / chosen.batch for name, values in taken.items()}
    rows = [
        {
            "step": name,
            "ms an utterance": each * 1e3,
            "times torch, launched": seconds["torch, launched"] / each,
            "GFLOP/s": work / each,
            "of the GEMM peak": f"{work / each / top:.0%}",
        }
        for name, each in sorted(seconds.items(), key=lambda item: item[1])
    ]
    device = torch.cuda.get_device_name()
    title = (
        f"One training step in bfloat16, batch {chosen.batch}, {chosen.frames} frames, {work:.1f} GFLOP an utterance, on one "
        f"{device}. Its matrix product: {top / 1e3:.0f} TFLOP/s."
    )
    measure.report("gpu_step", chosen, title, rows, {"device": device, "peak_gflops": top, "ms_per_utterance": seconds})


if __name__ == "__main__":
    main()

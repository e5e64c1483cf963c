"""What the benchmarks share: candidates in their own processes, timed in turn; the machine's peak; tables and figures.

A candidate lives in a process of its own, so that no library's threads or memory settings reach another's; one at a time
works, in turn and in several rounds, so that a slow minute of the machine meets all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import multiprocessing
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

README = Path(__file__).with_name("README.md")
Build = Callable[..., Callable[[], Any]]
"""Called once in its process; what it returns is what is timed."""


class Candidate:
    """One candidate in a process of its own; `build(*arguments)` is called there."""

    def __init__(self, build: Build, *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, there = context.Pipe()
        self.process = context.Process(target=_work, args=(there, build, arguments))
        self.process.start()
        there.close()
        self.absent = self._answer()  # why it cannot run, or None

    def seconds(self, times: int) -> float:
        """Seconds of one call, the mean of `times` in a row."""
        self.pipe.send(times)
        return float(self._answer()) / times

    def close(self) -> None:
        """End its process; nothing happens where it has ended already."""
        with contextlib.suppress(OSError):
            self.pipe.send(0)
        self.process.join()

    def _answer(self) -> Any:
        try:
            kind, value = self.pipe.recv()
        except EOFError:
            raise RuntimeError(f"the process of a candidate ended: exit code {self.process.exitcode}") from None
        if kind == "error":
            raise RuntimeError(value)
        return value


def _work(pipe: Any, build: Build, arguments: tuple) -> None:
    try:
        call = build(*arguments)
        call()
    except ImportError as error:
        pipe.send(("ready", f"not installed: {error}"))
        return
    except Exception as error:
        pipe.send(("error", f"{build.__name__}: {type(error).__name__}: {error}"))
        return
    pipe.send(("ready", None))
    while times := pipe.recv():
        started = time.perf_counter()
        for _ in range(times):
            call()
        pipe.send(("seconds", time.perf_counter() - started))
    if loky := sys.modules.get("joblib.externals.loky"):
        loky.get_reusable_executor().shutdown()  # its idle workers would keep this process for minutes


def compare(
    builds: dict[str, tuple[Build, tuple]], chosen: argparse.Namespace, times: int = 1, together: bool = True
) -> dict[str, float]:
    """Median seconds of a call of each candidate over --rounds in turn; those that are not installed are left out.

    Where the memory does not hold them all (`together` False) one after the other is measured, all its rounds at once. The
    smoke test calls each once, here.
    """
    if chosen.smoke:
        return dict(_once(builds))
    if not together:
        return {name: seconds for each in builds.items() for name, seconds in compare(dict([each]), chosen, times).items()}
    seconds: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        candidates = {}
        for name, (build, arguments) in builds.items():
            candidate = Candidate(build, *arguments)
            stack.callback(candidate.close)
            if candidate.absent:
                print(f"{name}: {candidate.absent}", file=sys.stderr)
            else:
                candidates[name] = candidate
        for number in range(chosen.rounds + 1):
            for name, candidate in candidates.items():
                taken = candidate.seconds(times)
                if number:  # the first round warms up
                    seconds.setdefault(name, []).append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def _once(builds: dict[str, tuple[Build, tuple]]) -> Iterator[tuple[str, float]]:
    for name, (build, arguments) in builds.items():
        try:
            call = build(*arguments)
        except ImportError as error:
            print(f"{name}: not installed: {error}", file=sys.stderr)
            continue
        started = time.perf_counter()
        call()
        yield name, time.perf_counter() - started


GEMM = 3072
"""Rows and columns of the matrices whose product a processor is measured by."""


def matrix_product(dtype: str, size: int = GEMM) -> Callable[[], Any]:
    """A square matrix product of PyTorch, 2 size^3 operations: what this machine can do at most."""
    import torch

    a, b = (torch.randn(size, size).to(getattr(torch, dtype)) for _ in range(2))
    return lambda: a @ b


def gemm_gflops(seconds: float, size: int = GEMM) -> float:
    return 2 * size**3 / seconds / 1e9


def parser(text: str | None) -> argparse.ArgumentParser:
    """Options that every benchmark has."""
    options = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=5, help="measurements of each candidate, in turn [5]")
    options.add_argument("--smoke", action="store_true", help="the smallest possible run: does it work at all?")
    options.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options.add_argument("--save", action="store_true", help="write the figures into benchmarks/README.md")
    return options


def report(name: str, chosen: argparse.Namespace, title: str, rows: Sequence[dict[str, Any]], facts: dict[str, Any]) -> None:
    """Print rows as a table, or `facts` as JSON; with --save also into the README, between this benchmark's marks."""
    if chosen.json:
        print(json.dumps(facts, indent=1))
    else:
        print(f"{title}\n\n{markdown(rows)}\n\n{machine_line()}")
    if chosen.save:
        text = README.read_text()
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        body = f"{marks[0]}\n{title}\n\n{markdown(rows)}\n\n{machine_line()}\n{marks[1]}"
        README.write_text(re.sub(f"{marks[0]}.*?{marks[1]}", lambda _: body, text, flags=re.DOTALL))


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of one kind as a Markdown table; numbers to three figures, to the right."""
    names = list(rows[0])
    cells = [[_text(row.get(name)) for name in names] for row in rows]
    numeric = [any(isinstance(row.get(name), (int, float)) for row in rows) for name in names]
    widths = [max(len(name), *(len(line[i]) for line in cells)) for i, name in enumerate(names)]

    def line(values: Sequence[str]) -> str:
        padded = [v.rjust(w) if right else v.ljust(w) for v, w, right in zip(values, widths, numeric, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join(f"{'-' * (w + 1)}{':' if right else '-'}" for w, right in zip(widths, numeric, strict=True))
    return "\n".join([line(names), f"|{rule}|", *map(line, cells)])


def machine_line() -> str:
    import torch

    from sercore import machine

    about = machine.describe(torch.device("cpu"))
    versions = about["versions"]
    amx = "AMX" if about["amx"] else "no AMX"
    place = f"{about['processor']}, {about['cores']} cores, {amx}"
    software = f"Python {versions['python']}, torch {versions['torch']}, sercore {machine.commit()[:12]}"
    return f"*{datetime.date.today().isoformat()}, {place}, {software}*"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"

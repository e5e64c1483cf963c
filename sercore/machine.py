"""What the code runs on: provenance for the records, the choice of a device, memory that is kept, and files written whole."""

from __future__ import annotations

import argparse
import ctypes
import functools
import io
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import SercoreError, printable

if TYPE_CHECKING:
    import torch

_NUMBERS = re.compile(r"[-+−–±\d.,;:%\[\] ]+")
_COMPUTED = re.compile(r"\s*[=+\-@＝＋－＠]|\t")
PACKAGES = ("torch", "torchaudio", "numpy", "pandas", "scikit-learn")


def describe(device: torch.device) -> dict[str, Any]:
    """The machine and its software, for a record: processor, cores, threads, device, Python and package versions."""
    import torch

    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "amx": bfloat16_unit() == "amx",
        "platform": platform.platform(terse=True),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
    }


@functools.cache
def commit() -> str:
    """The commit of this source tree, `-dirty` where its package differs from it.

    Without its history it is what the variable SERCORE_COMMIT says, or else `v<version>`, as of an installed package.
    """
    package = Path(__file__).resolve().parent
    try:
        head = _git(package, "rev-parse", "HEAD")
        tracked = _git(package, "ls-files", "--error-unmatch", "machine.py")
        return head + ("-dirty" if _git(package, "status", "--porcelain", "--", ".") else "") if tracked else ""
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("SERCORE_COMMIT") or f"v{_version('sercore')}"


ARCHIVE = "sercore.zip"
"""What a built site calls the file with code and records that it was built from."""


def history(name: str) -> list[tuple[str, str, str]]:
    """(commit, day, what was done) of each change of a file of the package, newest first; none without its history."""
    package = Path(__file__).resolve().parent
    try:
        told = _git(package, "log", "--follow", "--date=short", "--format=%h%x09%ad%x09%s", "--", name)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [(commit, day, what) for commit, day, what in (line.split("\t", 2) for line in told.splitlines())]


@functools.cache
def cores() -> int:
    """How many of this machine's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is the GPU where PyTorch sees one, the CPU elsewhere."""
    import torch

    there = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if there else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise SercoreError(f"unknown device {name!r}: choose auto, cpu, cuda, or cuda:1 for the second of several")
    if name.startswith("cuda") and not there:
        raise SercoreError(f"device {name!r}: this PyTorch sees no GPU; choose auto or cpu")
    device = torch.device(name)
    if (device.index or 0) >= (count := torch.cuda.device_count() if device.type == "cuda" else 1):
        raise SercoreError(f"device {name!r}: PyTorch sees {count} of them, numbered from 0")
    return device


def keep_pages() -> None:
    """Ask glibc to keep freed memory instead of giving every large tensor back to the system.

    The page faults otherwise cost a third of a training step on the CPU. Elsewhere than on glibc nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    mmap_max, trim_threshold, top_pad = -4, -1, -2  # the names in malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, -1)  # never
        mallopt(top_pad, 2**29)


def _git(folder: Path, *arguments: str) -> str:
    call = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return call.stdout.strip()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _processor() -> str:
    return " ".join(_cpu_facts()["model name"]) or platform.processor() or platform.machine()


@functools.cache
def bfloat16_unit() -> str:
    """What multiplies bfloat16 faster than float32: "amx", "avx512", or "" where nothing does.

    AMD's AVX-512 does at two to four times the rate; Intel's has the instruction too, at the rate of float32.
    """
    facts = _cpu_facts()
    if "amx_bf16" in facts["flags"]:
        return "amx"
    return "avx512" if facts["vendor_id"] == ["AuthenticAMD"] and "avx512_bf16" in facts["flags"] else ""


def _cpu_facts() -> dict[str, list[str]]:
    """The words that /proc/cpuinfo says of the first processor under each key; none under any other."""
    facts: dict[str, list[str]] = defaultdict(list)
    for line in _cpuinfo():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.split())
    return facts


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def json_text(value: Any, **options: Any) -> str:
    """`json.dumps` of plain values, where a number that is none (NaN, infinite) is null: JSON has no other word for it."""

    def plain(part: Any) -> Any:
        if isinstance(part, float):
            return part if math.isfinite(part) else None
        if isinstance(part, dict):
            return {key: plain(each) for key, each in part.items()}
        return [plain(each) for each in part] if isinstance(part, (list, tuple)) else part

    return json.dumps(plain(value), allow_nan=False, **options)


class Options(argparse.ArgumentParser):
    """A parser whose errors are `printable`: they quote what was given."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def no_formula(value: Any) -> Any:
    """A cell of a CSV file as a spreadsheet shall show it: `printable`, and a text that it would compute, as a label or a file's
    name could be, begins with an apostrophe. Numbers with a sign, and their intervals, stay."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _COMPUTED.match(text) and not _NUMBERS.fullmatch(text) else text


def save(state: dict[str, Any], path: Path) -> None:
    """`torch.save` to a file; a disk that is full or refuses is an `OSError` that says so."""
    import torch

    buffer = io.BytesIO()
    torch.save(state, buffer)
    path.write_bytes(buffer.getbuffer())

"""What the compiled passes of `cpu` and `winograd` share: how they are compiled and threaded, how they see activations."""

from __future__ import annotations

import functools
import itertools
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np
import torch
from numba.extending import overload
from torch import Tensor

from ... import places

_processor = llvmlite.binding.get_host_cpu_features()
if _processor.get("avx512f") and numba.config.CPU_FEATURES is None:  # type: ignore[attr-defined]
    # of its own LLVM uses half the width that the processor has
    numba.config.CPU_FEATURES = f"{_processor.flatten()},-prefer-256-bit"  # type: ignore[attr-defined]


def cached(beside: Path) -> bool:
    """Whether compiled code can be kept: in the package (`beside`), or where that cannot be written, in the cache folder."""
    if _writable(beside / "__pycache__"):
        return True
    own = places.cache_folder() / "numba"
    if _writable(own):
        numba.config.CACHE_DIR = str(own)  # type: ignore[attr-defined]
        return True
    return False


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


compiled = numba.njit(
    nogil=True, cache=cached(Path(__file__).parent), error_model="numpy", fastmath={"contract", "nsz", "reassoc"}
)


def widen(value):
    """A stored activation as float32: bfloat16 is the upper half of its bits."""
    raise NotImplementedError("only compiled code calls this: Numba takes `_widen_for` in its place")


def narrow(value, like):
    """float32 as it is stored, in the type of the array `like`; bfloat16 rounds to nearest, ties to even."""
    raise NotImplementedError("only compiled code calls this: Numba takes `_narrow_for` in its place")


@overload(widen, inline="always")
def _widen_for(value):
    if isinstance(value, numba.types.Float):
        return lambda value: value
    return lambda value: np.uint32(np.uint32(value) << np.uint32(16)).view(np.float32)


@overload(narrow, inline="always")
def _narrow_for(value, like):
    if isinstance(like.dtype, numba.types.Float):
        return lambda value, like: value

    def rounded(value, like):
        bits = np.float32(value).view(np.uint32)
        even = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
        return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + even) >> np.uint32(16))

    return rounded


def as_rows(x: Tensor) -> np.ndarray:
    """(batch, channels, frames, mels) in channels_last -> (batch, frames, mels, channels); bfloat16 as uint16."""
    x = x.detach().permute(0, 2, 3, 1)
    assert x.is_contiguous()
    return x.view(torch.uint16).numpy() if x.dtype == torch.bfloat16 else x.numpy()


def in_parts(kernel: Callable[..., None], count: int, *arguments: Any) -> None:
    """`kernel(first, last, *arguments)` over `count` things, on as many threads as PyTorch uses; each of several uses one."""
    threads = torch.get_num_threads()
    parts = min(threads, count)
    if parts == 1:
        kernel(0, count, *arguments)
        return
    bounds = [count * part // parts for part in range(parts + 1)]
    torch.set_num_threads(1)  # of this thread: the others have set theirs
    try:
        calls = [_pool(parts).submit(kernel, a, b, *arguments) for a, b in itertools.pairwise(bounds[1:])]
        kernel(0, bounds[1], *arguments)
        for call in calls:
            call.result()
    finally:
        torch.set_num_threads(threads)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="sercore-kernels", initializer=torch.set_num_threads, initargs=(1,))

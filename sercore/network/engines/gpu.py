"""What `cpu` does with Numba, on a GPU: the CNN that `model.Block` defines in a few passes over memory, as Triton kernels.

Activations are (pixels, channels): batch, frames and mels in one, channels_last as PyTorch has it. cuDNN computes the
convolutions from the second on, without their bias: batch norm takes it out again. Each sum over pixels is kept for each
program and added in one order, so that it is the same every time. What dropout drops is drawn from PyTorch's generator of
the device, and drawn again in the backward instead of kept.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from ..model import Block

TAPS = 9
"""Of a 3 x 3 kernel, row by row: frames before mels. The kernels see `LANES` numbers: the taps, a 1, and zeros."""

LANES = 16
PROGRAMS = 512
"""That share the pixels of a sum, at most."""

ADDED = 64
"""Programs whose sums are added at once."""

TILE = 4096
"""Elements that one program of a pass works on at once."""

PIXELS = 32
"""That a program of the first convolution works on at once."""


def run_blocks(blocks: Iterable[Any], x: Tensor, lengths: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The whole CNN, a list of `model.Block`: x (batch, frames, mels) float32 -> (batch, 64, steps, 1).

    `lengths` (batch,) are the frames that count, None for all; `dtype` (float32 or bfloat16) is that of the stored
    activations and of the convolutions from the second on.
    """
    kept = x.new_full((len(x),), x.shape[1], dtype=torch.int32) if lengths is None else lengths.int()
    first, *others = blocks
    assert first.pool
    # a pair each, so that all lie alike in memory: for any other alignment the kernels would be compiled anew
    seeds = torch.randint(2**62, (len(others) + 1, 2), device=x.device) if first.training else kept
    x = _First.apply(x, kept, first.conv.weight, first.norm.weight, first.norm.bias, first, dtype, seeds)
    halvings = 1
    for number, block in enumerate(others, 1):
        kernel = block.conv.weight.to(dtype, memory_format=torch.channels_last)
        y = F.conv2d(x, kernel, padding=1)
        x = _Activate.apply(y, kept, block.norm.weight, block.norm.bias, block, halvings, seeds[number:])
        halvings += int(block.pool)
    return x


class _Activate(torch.autograd.Function):
    """Batch norm, ReLU, pooling and dropout of a stored convolution output (batch, channels, frames, mels)."""

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor, block: Block, halvings: int, seed: Tensor
    ) -> Tensor:
        y = y.contiguous(memory_format=torch.channels_last)
        batch, channels, frames, mels = y.shape
        norm, window, dropped = block.norm, 2 if block.pool else 1, _dropped(block)
        size = {"frames": frames, "mels": mels, "CHANNELS": channels, "BLOCK": TILE // channels}
        pixels = batch * frames * mels
        programs = _programs(pixels, size["BLOCK"])
        sums = y.new_empty((programs, 2, channels), dtype=torch.float32)
        scaling = y.new_empty((4, channels), dtype=torch.float32)
        if block.training:
            _moments[(programs,)](y, lengths, halvings, pixels, sums, **size)
        count = {"lengths": lengths, "halvings": halvings, "batch": batch, "mels": mels}
        count |= {"programs": programs, "CHANNELS": channels, "ADDED": ADDED}
        # fmt: off
        _scaling[(1,)](sums, weight, bias, block.conv.bias, norm.running_mean, norm.running_var, norm.momentum, norm.eps,
                       scaling, TRAINING=block.training, **count)
        # fmt: on
        shape = (batch, channels, frames // window, mels // window)
        x = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=torch.channels_last)
        pooled = x.numel() // channels
        blocks = triton.cdiv(pooled, size["BLOCK"])
        _activate[(blocks,)](y, lengths, halvings, pooled, scaling, seed, dropped, x, WINDOW=window, DROPS=dropped > 0, **size)
        ctx.save_for_backward(y, lengths, scaling, seed)
        ctx.extra = halvings, dropped, window, programs, size, count
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        y, lengths, scaling, seed = ctx.saved_tensors
        halvings, dropped, window, programs, size, count = ctx.extra
        batch, channels, frames, mels = y.shape
        gradient = gradients[0].to(y.dtype).contiguous(memory_format=torch.channels_last)
        sums = y.new_empty((programs, 2, channels), dtype=torch.float32)
        lines = y.new_empty((4, channels), dtype=torch.float32)
        pixels = batch * frames * mels
        received = (y, lengths, halvings, pixels, scaling, seed, dropped, gradient)
        _activate_sums[(programs,)](*received, sums, WINDOW=window, DROPS=dropped > 0, **size)
        _lines[(1,)](sums, scaling, lines, **count)
        dy = torch.empty_like(y)
        blocks = triton.cdiv(pixels, size["BLOCK"])
        _activate_gradient[(blocks,)](*received, lines, dy, WINDOW=window, DROPS=dropped > 0, **size)
        return dy, None, lines[2], lines[3], None, None, None


class _First(torch.autograd.Function):
    """The first block from its input: x (batch, frames, mels), no gradient for it, nothing of its convolution stored."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        lengths: Tensor,
        kernel: Tensor,
        weight: Tensor,
        bias: Tensor,
        block: Block,
        dtype: torch.dtype,
        seed: Tensor,
    ) -> Tensor:
        batch, frames, mels = x.shape
        channels, norm, dropped = len(kernel), block.norm, _dropped(block)
        assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
        assert block.conv.bias is not None
        padded = F.pad(x.float(), (1, 1, 1, 1))
        taps = kernel.reshape(channels, TAPS).T.double()  # (taps, channels)
        start = block.conv.bias.double()
        size: dict[str, Any] = {"frames": frames, "mels": mels, "BLOCK": PIXELS}
        first = second = None
        if block.training:
            pixels = batch * frames * mels
            moments = x.new_empty((_programs(pixels, PIXELS), LANES, LANES), dtype=torch.float32)
            _patch_moments[(len(moments),)](padded, lengths, pixels, moments, **size)
            total = moments.double().sum(0)
            count = total[TAPS, TAPS]
            first, second = total[TAPS, :TAPS] / count, total[:TAPS, :TAPS] / count
            mean = first @ taps + start
            variance = (taps * ((second - torch.outer(first, first)) @ taps)).sum(0).clamp_min(0)
            norm.running_mean.lerp_(mean.float(), norm.momentum)
            norm.running_var.lerp_((variance * count / (count - 1).clamp_min(1)).float(), norm.momentum)
        else:
            mean, variance = norm.running_mean.double(), norm.running_var.double()
        deviation = (variance + norm.eps).sqrt()
        gain = weight.double() / deviation
        folded = F.pad(taps * gain, (0, 0, 0, LANES - TAPS)).float()
        offset = (bias.double() + (start - mean) * gain).float()
        shape = (batch, channels, frames // 2, mels // 2)
        out = torch.empty(shape, dtype=dtype, device=x.device, memory_format=torch.channels_last)
        pooled = out.numel() // channels
        size |= {"CHANNELS": channels, "DROPS": dropped > 0, "PRECISION": "ieee" if dtype == torch.float32 else "tf32"}
        blocks = triton.cdiv(pooled, PIXELS)
        _first_activate[(blocks,)](padded, lengths, pooled, folded, offset, seed, dropped, out, num_warps=8, **size)
        ctx.save_for_backward(padded, lengths, taps, start - mean, deviation, gain, folded, offset, seed, first, second)
        ctx.extra = pooled, dropped, size
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        padded, lengths, taps, start, deviation, gain, folded, offset, seed, first, second = ctx.saved_tensors
        pooled, dropped, size = ctx.extra
        channels = taps.shape[1]
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        sums = padded.new_empty((_programs(pooled, PIXELS), LANES, channels))
        received = (padded, lengths, pooled, folded, offset, seed, dropped, gradient)
        _first_sums[(len(sums),)](*received, sums, num_warps=8, **size)
        total = sums.double().sum(0)
        by_tap, plain = total[:TAPS], total[TAPS]  # sums of gradient times input, and of the gradient
        centred = (taps * by_tap).sum(0) + start * plain  # of gradient times output less its mean
        output_by_tap = second @ taps + torch.outer(first, start)  # mean of (output less its mean) times input
        kernel = gain * (by_tap - torch.outer(first, plain) - output_by_tap * centred / deviation**2)
        shape = (channels, 1, 3, 3)
        return None, None, kernel.T.reshape(shape).float(), (centred / deviation).float(), plain.float(), None, None, None


def _dropped(block: Block) -> int:
    """Of 256 elements so many are dropped, in training."""
    return min(round(block.dropout * 256), 255) if block.training else 0


def _programs(pixels: int, tile: int) -> int:
    """How many share the pixels: a multiple of `ADDED`."""
    return min(PROGRAMS, triton.cdiv(pixels, tile * ADDED) * ADDED)


SIZES = ("frames", "mels", "halvings", "pixels", "pooled", "dropped", "batch", "programs", "momentum", "eps")
"""Numbers that no kernel is compiled anew for."""


def kernel(function: Any) -> Any:
    return triton.jit(function, do_not_specialize=[name for name in inspect.signature(function).parameters if name in SIZES])


# The kernels. A pixel's number counts batch, frames and mels; lengths (batch,) are in frames of the input, which
# `halvings` blocks have halved.


@kernel
def _frames_kept(pixel, inside, lengths, halvings, frames, mels):
    """For each pixel its utterance, its frame, its mel, and how many frames of the utterance count."""
    n = pixel // (frames * mels)
    kept = tl.load(lengths + n, mask=inside, other=0) >> halvings
    return n, (pixel // mels) % frames, pixel % mels, kept


@kernel
def _survives(seed, pixel, dropped, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    """(pixels, channels) true where dropout leaves the element."""
    words = pixel[:, None] * (CHANNELS // 4) + tl.arange(0, CHANNELS // 4)[None, :]
    a, b, c, d = tl.randint4x(tl.load(seed), words)
    drawn = tl.reshape(tl.join(tl.join(a, b), tl.join(c, d)), (BLOCK, CHANNELS))
    return (drawn & 255).to(tl.int32) >= dropped


@kernel
def _moments(y, lengths, halvings, pixels, sums, frames, mels, CHANNELS: tl.constexpr, BLOCK: tl.constexpr):
    channel = tl.arange(0, CHANNELS)
    total = tl.zeros((CHANNELS,), tl.float32)
    square = tl.zeros((CHANNELS,), tl.float32)
    for begin in range(tl.program_id(0) * BLOCK, pixels, tl.num_programs(0) * BLOCK):
        pixel = begin + tl.arange(0, BLOCK)
        _, t, _, kept = _frames_kept(pixel, pixel < pixels, lengths, halvings, frames, mels)
        value = tl.load(y + pixel[:, None] * CHANNELS + channel[None, :], mask=(t < kept)[:, None], other=0).to(tl.float32)
        total += tl.sum(value, 0)
        square += tl.sum(value * value, 0)
    target = sums + tl.program_id(0) * 2 * CHANNELS + channel
    tl.store(target, total)
    tl.store(target + CHANNELS, square)


@kernel
def _added(sums, programs, CHANNELS: tl.constexpr, ADDED: tl.constexpr):
    """The two sums (channels,) over all programs, float64."""
    channel = tl.arange(0, CHANNELS)
    total = tl.zeros((CHANNELS,), tl.float64)
    other = tl.zeros((CHANNELS,), tl.float64)
    for begin in range(0, programs, ADDED):
        source = sums + (begin + tl.arange(0, ADDED))[:, None] * 2 * CHANNELS + channel[None, :]
        total += tl.sum(tl.load(source).to(tl.float64), 0)
        other += tl.sum(tl.load(source + CHANNELS).to(tl.float64), 0)
    return total, other


@kernel
def _count(lengths, halvings, batch, mels):
    """Pixels that count, float64."""
    n = tl.arange(0, 64)
    frames = tl.zeros((64,), tl.int32)
    for begin in range(0, batch, 64):
        frames += tl.load(lengths + begin + n, mask=begin + n < batch, other=0) >> halvings
    return (tl.sum(frames, 0) * mels).to(tl.float64)


@kernel
def _scaling(
    sums,
    weight,
    bias,
    conv_bias,
    running_mean,
    running_variance,
    momentum,
    eps,
    scaling,
    lengths,
    halvings,
    batch,
    mels,
    programs,
    TRAINING: tl.constexpr,
    CHANNELS: tl.constexpr,
    ADDED: tl.constexpr,
):
    """Of the convolution's output without bias: gain, offset, mean, and one over the deviation."""
    channel = tl.arange(0, CHANNELS)
    start = tl.load(conv_bias + channel).to(tl.float64)
    tracked_mean = tl.load(running_mean + channel).to(tl.float64)
    tracked_variance = tl.load(running_variance + channel).to(tl.float64)
    if TRAINING:
        count = _count(lengths, halvings, batch, mels)
        total, square = _added(sums, programs, CHANNELS, ADDED)
        mean = total / count
        variance = square / count - mean * mean
        variance = tl.where(variance < 0, 0.0, variance)
        tracked_mean += momentum * (mean + start - tracked_mean)
        tracked_variance += momentum * (variance * count / tl.maximum(count - 1, 1) - tracked_variance)
        tl.store(running_mean + channel, tracked_mean.to(tl.float32))
        tl.store(running_variance + channel, tracked_variance.to(tl.float32))
    else:
        mean = tracked_mean - start
        variance = tracked_variance
    inverse = 1.0 / tl.sqrt(variance + eps)
    gain = tl.load(weight + channel).to(tl.float64) * inverse
    tl.store(scaling + channel, gain.to(tl.float32))
    tl.store(scaling + CHANNELS + channel, (tl.load(bias + channel).to(tl.float64) - mean * gain).to(tl.float32))
    tl.store(scaling + 2 * CHANNELS + channel, mean.to(tl.float32))
    tl.store(scaling + 3 * CHANNELS + channel, inverse.to(tl.float32))


@kernel
def _activate(
    y,
    lengths,
    halvings,
    pooled,
    scaling,
    seed,
    dropped,
    x,
    frames,
    mels,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    WINDOW: tl.constexpr,
    DROPS: tl.constexpr,
):
    channel = tl.arange(0, CHANNELS)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pooled
    n, t, m, kept = _frames_kept(pixel, inside, lengths, halvings, frames // WINDOW, mels // WINDOW)
    counts = (inside & (t < kept // WINDOW))[:, None]
    gain = tl.load(scaling + channel)[None, :]
    offset = tl.load(scaling + CHANNELS + channel)[None, :]
    total = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for i in tl.static_range(WINDOW):
        for j in tl.static_range(WINDOW):
            source = (n * frames + t * WINDOW + i) * mels + m * WINDOW + j
            value = tl.load(y + source[:, None] * CHANNELS + channel[None, :], mask=counts, other=0).to(tl.float32)
            value = gain * value + offset
            total += tl.where(value <= 0, 0.0, value)
    total *= 256.0 / (256 - dropped) / (WINDOW * WINDOW)
    if DROPS:
        total = tl.where(_survives(seed, pixel, dropped, CHANNELS, BLOCK), total, 0.0)
    total = tl.where(counts, total, 0.0)
    tl.store(x + pixel[:, None] * CHANNELS + channel[None, :], total.to(x.dtype.element_ty), mask=inside[:, None])


@kernel
def _received(
    y,
    pixel,
    inside,
    lengths,
    halvings,
    scaling,
    seed,
    dropped,
    gradient,
    frames,
    mels,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    WINDOW: tl.constexpr,
    DROPS: tl.constexpr,
):
    """For each pixel of the convolution's output: itself less its mean, the gradient behind batch norm, whether it counts."""
    channel = tl.arange(0, CHANNELS)
    n, t, m, kept = _frames_kept(pixel, inside, lengths, halvings, frames, mels)
    pooled = (n * (frames // WINDOW) + t // WINDOW) * (mels // WINDOW) + m // WINDOW
    receives = inside & (t // WINDOW < kept // WINDOW) & (m // WINDOW < mels // WINDOW)
    source = gradient + pooled[:, None] * CHANNELS + channel[None, :]
    received = tl.load(source, mask=receives[:, None], other=0).to(tl.float32)
    received *= 256.0 / (256 - dropped) / (WINDOW * WINDOW)
    if DROPS:
        received = tl.where(_survives(seed, pooled, dropped, CHANNELS, BLOCK), received, 0.0)
    counts = inside & (t < kept)
    value = tl.load(y + pixel[:, None] * CHANNELS + channel[None, :], mask=counts[:, None], other=0).to(tl.float32)
    passes = tl.load(scaling + channel)[None, :] * value + tl.load(scaling + CHANNELS + channel)[None, :] > 0
    return value - tl.load(scaling + 2 * CHANNELS + channel)[None, :], tl.where(passes, received, 0.0), counts


@kernel
def _activate_sums(
    y,
    lengths,
    halvings,
    pixels,
    scaling,
    seed,
    dropped,
    gradient,
    sums,
    frames,
    mels,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    WINDOW: tl.constexpr,
    DROPS: tl.constexpr,
):
    channel = tl.arange(0, CHANNELS)
    plain = tl.zeros((CHANNELS,), tl.float32)
    centred = tl.zeros((CHANNELS,), tl.float32)
    for begin in range(tl.program_id(0) * BLOCK, pixels, tl.num_programs(0) * BLOCK):
        pixel = begin + tl.arange(0, BLOCK)
        # fmt: off
        value, received, _ = _received(y, pixel, pixel < pixels, lengths, halvings, scaling, seed, dropped, gradient,
                                       frames, mels, CHANNELS, BLOCK, WINDOW, DROPS)
        # fmt: on
        plain += tl.sum(received, 0)
        centred += tl.sum(received * value, 0)
    target = sums + tl.program_id(0) * 2 * CHANNELS + channel
    tl.store(target, plain)
    tl.store(target + CHANNELS, centred)


@kernel
def _lines(
    sums,
    scaling,
    lines,
    lengths,
    halvings,
    batch,
    mels,
    programs,
    CHANNELS: tl.constexpr,
    ADDED: tl.constexpr,
):
    """What batch norm adds to the gradient, a constant and a multiple of the value; gradients of its weight and its bias."""
    channel = tl.arange(0, CHANNELS)
    count = _count(lengths, halvings, batch, mels)
    plain, centred = _added(sums, programs, CHANNELS, ADDED)
    gain = tl.load(scaling + channel).to(tl.float64)
    inverse = tl.load(scaling + 3 * CHANNELS + channel).to(tl.float64)
    tl.store(lines + channel, (-gain * plain / count).to(tl.float32))
    tl.store(lines + CHANNELS + channel, (-gain * centred / count * inverse * inverse).to(tl.float32))
    tl.store(lines + 2 * CHANNELS + channel, (centred * inverse).to(tl.float32))
    tl.store(lines + 3 * CHANNELS + channel, plain.to(tl.float32))


@kernel
def _activate_gradient(
    y,
    lengths,
    halvings,
    pixels,
    scaling,
    seed,
    dropped,
    gradient,
    lines,
    dy,
    frames,
    mels,
    CHANNELS: tl.constexpr,
    BLOCK: tl.constexpr,
    WINDOW: tl.constexpr,
    DROPS: tl.constexpr,
):
    channel = tl.arange(0, CHANNELS)
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pixels
    # fmt: off
    value, received, counts = _received(y, pixel, inside, lengths, halvings, scaling, seed, dropped, gradient,
                                        frames, mels, CHANNELS, BLOCK, WINDOW, DROPS)
    # fmt: on
    result = tl.load(scaling + channel)[None, :] * received + tl.load(lines + channel)[None, :]
    result += tl.load(lines + CHANNELS + channel)[None, :] * value
    result = tl.where(counts[:, None], result, 0.0)
    tl.store(dy + pixel[:, None] * CHANNELS + channel[None, :], result.to(dy.dtype.element_ty), mask=inside[:, None])


@kernel
def _patch(x, corner, mels, LANES: tl.constexpr):
    """The patches (pixels, lanes) of the padded input whose first frame and mel are at `corner`: 9 taps, a 1, zeros."""
    k = tl.arange(0, LANES)
    source = corner[:, None] + (k // 3 * (mels + 2) + k % 3)[None, :]
    return tl.where((k == 9)[None, :], 1.0, tl.load(x + source, mask=(k < 9)[None, :], other=0.0))


@kernel
def _patch_moments(x, lengths, pixels, moments, frames, mels, BLOCK: tl.constexpr):
    k = tl.arange(0, 16)
    total = tl.zeros((16, 16), tl.float32)
    for begin in range(tl.program_id(0) * BLOCK, pixels, tl.num_programs(0) * BLOCK):
        pixel = begin + tl.arange(0, BLOCK)
        n, t, m, kept = _frames_kept(pixel, pixel < pixels, lengths, 0, frames, mels)
        counts = t < kept
        corner = tl.where(counts, (n * (frames + 2) + t) * (mels + 2) + m, 0)
        patch = tl.where(counts[:, None], _patch(x, corner, mels, 16), 0.0)
        total += tl.dot(tl.trans(patch), patch, input_precision="ieee")
    tl.store(moments + tl.program_id(0) * 256 + k[:, None] * 16 + k[None, :], total)


@kernel
def _first_activate(
    x,
    lengths,
    pooled,
    folded,
    offset,
    seed,
    dropped,
    out,
    frames,
    mels,
    BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
    DROPS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    channel = tl.arange(0, CHANNELS)
    taps = tl.load(folded + tl.arange(0, 16)[:, None] * CHANNELS + channel[None, :])
    shift = tl.load(offset + channel)[None, :]
    pixel = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < pooled
    n, t, m, kept = _frames_kept(pixel, inside, lengths, 0, frames // 2, mels // 2)
    counts = inside & (t < kept // 2)
    corner = tl.where(counts, (n * (frames + 2) + 2 * t) * (mels + 2) + 2 * m, 0)
    total = tl.zeros((BLOCK, CHANNELS), tl.float32)
    for i in tl.static_range(2):
        for j in tl.static_range(2):
            patch = _patch(x, corner + i * (mels + 2) + j, mels, 16)
            value = tl.dot(patch, taps, input_precision=PRECISION) + shift
            total += tl.where(value <= 0, 0.0, value)
    total *= 64.0 / (256 - dropped)
    if DROPS:
        total = tl.where(_survives(seed, pixel, dropped, CHANNELS, BLOCK), total, 0.0)
    total = tl.where(counts[:, None], total, 0.0)
    tl.store(out + pixel[:, None] * CHANNELS + channel[None, :], total.to(out.dtype.element_ty), mask=inside[:, None])


@kernel
def _first_sums(
    x,
    lengths,
    pooled,
    folded,
    offset,
    seed,
    dropped,
    gradient,
    sums,
    frames,
    mels,
    BLOCK: tl.constexpr,
    CHANNELS: tl.constexpr,
    DROPS: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """Sums of the gradient behind batch norm times each lane of the patches: lane 9 is the gradient's own."""
    k = tl.arange(0, 16)
    channel = tl.arange(0, CHANNELS)
    taps = tl.load(folded + k[:, None] * CHANNELS + channel[None, :])
    shift = tl.load(offset + channel)[None, :]
    total = tl.zeros((16, CHANNELS), tl.float32)
    for begin in range(tl.program_id(0) * BLOCK, pooled, tl.num_programs(0) * BLOCK):
        pixel = begin + tl.arange(0, BLOCK)
        inside = pixel < pooled
        n, t, m, kept = _frames_kept(pixel, inside, lengths, 0, frames // 2, mels // 2)
        counts = inside & (t < kept // 2)
        corner = tl.where(counts, (n * (frames + 2) + 2 * t) * (mels + 2) + 2 * m, 0)
        source = gradient + pixel[:, None] * CHANNELS + channel[None, :]
        received = tl.load(source, mask=counts[:, None], other=0).to(tl.float32)
        if DROPS:
            received = tl.where(_survives(seed, pixel, dropped, CHANNELS, BLOCK), received, 0.0)
        for i in tl.static_range(2):
            for j in tl.static_range(2):
                patch = _patch(x, corner + i * (mels + 2) + j, mels, 16)
                value = tl.dot(patch, taps, input_precision=PRECISION) + shift
                passing = tl.where(value > 0, received, 0.0)
                total += tl.dot(tl.trans(patch), passing, input_precision=PRECISION)
    total *= 64.0 / (256 - dropped)
    tl.store(sums + tl.program_id(0) * 16 * CHANNELS + k[:, None] * CHANNELS + channel[None, :], total)

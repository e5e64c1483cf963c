"""The CNN in a few passes over memory: what `model.Block` defines, several times faster on a CPU.

Normalisation, ReLU, pooling and dropout of a block are one pass that reads the convolution's output and writes a quarter
of it; the backward computes the middle again instead of keeping it. The first convolution has one input channel, so its
output is never stored, but for a bit each that says where the gradient passes: its batch statistics follow from the 9 x 9
moments of its input patches, because they are linear and quadratic in them, and so do the terms that batch norm adds to its
gradient.

Outputs and gradients are those of the plain model, up to rounding; the same seed drops the same elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import machine
from ..model import FILTERS, Block, dropout_bytes
from . import winograd
from .kernels import as_rows, compiled, in_parts, narrow, widen

TAPS = 9
"""Of a 3 x 3 kernel, row by row: frames before mels."""

SMALLEST_TILED = 8
"""Mel bands from which on Winograd's tiles gain more than the way there and back costs."""

CHANNELS = FILTERS[0]
"""Of the first convolution: a constant, so that the compiler knows how far its rows lie apart."""


def run_blocks(blocks: Iterable[Any], x: Tensor, lengths: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The whole CNN, a list of `model.Block`: x (batch, frames, mels) float32 -> (batch, 64, steps, 1).

    `lengths` (batch,) are the frames that count, None for all; `dtype` (float32 or bfloat16) is that of the stored
    activations and of the convolutions from the second on.
    """
    kept = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
    first, *others = blocks
    assert first.pool
    x = _First.apply(x, kept, first.conv.weight, first.conv.bias, first.norm.weight, first.norm.bias, first, dtype)
    for block in others:
        kept = kept // 2
        y = block.conv(x) if dtype == torch.float32 else _convolve_bfloat16(block.conv, x)
        x = _Activate.apply(y, kept, block.norm.weight, block.norm.bias, block)
    return x


def _convolve_bfloat16(conv: torch.nn.Conv2d, x: Tensor) -> Tensor:
    """Inputs, kernels and outputs in bfloat16, sums in float32; what multiplies is the fastest that the processor has."""
    assert conv.bias is not None
    unit = machine.bfloat16_unit()
    if unit != "amx" and x.shape[3] >= SMALLEST_TILED:
        out = winograd.convolve(x, conv.weight, conv.bias, winograd.TWO if unit else winograd.FOUR)
    elif unit:
        with torch.autocast(x.device.type, torch.bfloat16):
            out = conv(x)
    else:
        out = F.conv2d(x.float(), conv.weight.bfloat16().float(), conv.bias.bfloat16().float(), padding=1).bfloat16()
    return out


class _Activate(torch.autograd.Function):
    """Batch norm, ReLU, pooling and dropout of a stored convolution output (batch, channels, frames, mels)."""

    @staticmethod
    def forward(ctx: Any, y: Tensor, lengths: Tensor, weight: Tensor, bias: Tensor, block: Block) -> Tensor:
        y = y.contiguous(memory_format=torch.channels_last)
        rows, kept = as_rows(y), lengths.numpy()
        batch, frames, mels, channels = rows.shape
        count = int(kept.sum()) * mels
        if block.training:
            sums = np.empty((batch, 2, channels))
            in_parts(_moments, batch, rows, kept, sums)
            mean, mean_square = sums.sum(0) / count
            variance = (mean_square - mean**2).clip(0)
            _track(block, mean, variance, count)
        else:
            mean, variance = _tracked(block)
        deviation = np.sqrt(variance + block.norm.eps)
        gain = weight.detach().double().numpy() / deviation
        offset = bias.detach().double().numpy() - mean * gain
        scaling = _single(gain, offset)
        window = 2 if block.pool else 1
        shape = (batch, channels, frames // window, mels // window)
        x = torch.empty(shape, dtype=y.dtype, memory_format=torch.channels_last)
        bits, dropped = _draw(block, x)
        in_parts(_activate, batch, rows, kept, scaling, bits, dropped, window, as_rows(x))
        ctx.save_for_backward(y, lengths)
        ctx.extra = mean, deviation, gain, scaling, bits, dropped, window, count
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        y, lengths = ctx.saved_tensors
        mean, deviation, gain, scaling, bits, dropped, window, count = ctx.extra
        rows, kept = as_rows(y), lengths.numpy()
        batch, _, _, channels = rows.shape
        gradient = as_rows(gradients[0].to(y.dtype).contiguous(memory_format=torch.channels_last))
        shift = mean.astype(np.float32)
        sums = np.empty((batch, 2, channels))
        in_parts(_activate_sums, batch, rows, kept, scaling, shift, bits, dropped, window, gradient, sums)
        plain, centred = sums.sum(0)
        lines = _single(gain, -gain * plain / count, -gain * centred / count / deviation**2, mean)
        dy = torch.empty_like(y)
        in_parts(_activate_gradient, batch, rows, kept, scaling, lines, bits, dropped, window, gradient, as_rows(dy))
        return dy, None, _tensor(centred / deviation), _tensor(plain), None


class _First(torch.autograd.Function):
    """The first block from its input: x (batch, frames, mels), no gradient for it, nothing of its convolution stored."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        lengths: Tensor,
        kernel: Tensor,
        kernel_bias: Tensor,
        weight: Tensor,
        bias: Tensor,
        block: Block,
        dtype: torch.dtype,
    ) -> Tensor:
        kept = lengths.numpy()
        batch, frames, mels = x.shape
        channels = len(kernel)
        padded = np.zeros((batch, frames + 2, mels + 2), np.float32)
        padded[:, 1:-1, 1:-1] = x.detach().numpy()
        taps = kernel.detach().double().reshape(channels, TAPS).numpy().T  # (taps, channels)
        start = kernel_bias.detach().double().numpy()
        count, first, second = int(kept.sum()) * mels, None, None
        if block.training:
            moments = np.empty((batch, TAPS + 1, TAPS))
            in_parts(_patch_moments, batch, padded, kept, moments)
            total = moments.sum(0)
            first, second = total[TAPS] / count, total[:TAPS] / count
            mean = first @ taps + start
            variance = np.einsum("kc,kj,jc->c", taps, second - np.outer(first, first), taps).clip(0)
            _track(block, mean, variance, count)
        else:
            mean, variance = _tracked(block)
        deviation = np.sqrt(variance + block.norm.eps)
        gain = weight.detach().double().numpy() / deviation
        folded = _single(*(taps * gain), bias.detach().double().numpy() + (start - mean) * gain)
        out = torch.empty((batch, channels, frames // 2, mels // 2), dtype=dtype, memory_format=torch.channels_last)
        bits, dropped = _draw(block, out)
        in_parts(_first_activate, batch, padded, kept, folded, bits, dropped, block.training, as_rows(out))
        ctx.extra = padded, kept, taps, start - mean if block.training else None, deviation, gain, bits, dropped
        ctx.moments, ctx.dtype = (first, second), dtype
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        padded, kept, taps, start, deviation, gain, passed, dropped = ctx.extra
        (first, second), batch, channels = ctx.moments, len(padded), taps.shape[1]
        gradient = as_rows(gradients[0].to(ctx.dtype).contiguous(memory_format=torch.channels_last))
        sums = np.empty((batch, TAPS + 1, channels))
        in_parts(_first_sums, batch, padded, kept, passed, dropped, gradient, sums)
        total = sums.sum(0)
        by_tap, plain = total[:TAPS], total[TAPS]  # sums of gradient times input, and of the gradient
        centred = (taps * by_tap).sum(0) + start * plain  # of gradient times output less its mean
        output_by_tap = second @ taps + np.outer(first, start)  # mean of (output less its mean) times input
        kernel = gain * (by_tap - np.outer(first, plain) - output_by_tap * centred / deviation**2)
        shape = (channels, 1, 3, 3)
        return None, None, _tensor(kernel.T).reshape(shape), None, _tensor(centred / deviation), _tensor(plain), None, None


def _tensor(values: np.ndarray) -> Tensor:
    with np.errstate(over="ignore"):  # of a training that diverges, which is told elsewhere
        return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _single(*lines: np.ndarray) -> np.ndarray:
    return np.stack(lines).astype(np.float32)


def _draw(block: Block, x: Tensor) -> tuple[np.ndarray, int]:
    """In training random bytes, one an element of x, and the number below which an element is dropped (0: none is)."""
    shape = as_rows(x).shape if block.training else (1, 1, 1, 1)
    if not block.training or not block.dropout:
        return np.empty(shape, np.uint8), 0
    bits, dropped = dropout_bytes(shape, block.dropout)
    return bits.numpy(), dropped


def _track(block: Block, mean: np.ndarray, variance: np.ndarray, count: int) -> None:
    norm = block.norm
    assert norm.running_mean is not None and norm.running_var is not None and norm.momentum is not None
    norm.running_mean.lerp_(_tensor(mean), norm.momentum)
    norm.running_var.lerp_(_tensor(variance * (count / max(count - 1, 1))), norm.momentum)


def _tracked(block: Block) -> tuple[np.ndarray, np.ndarray]:
    assert block.norm.running_mean is not None and block.norm.running_var is not None
    return block.norm.running_mean.double().numpy(), block.norm.running_var.double().numpy()


# The kernels. Arrays are (batch, frames, mels, channels), the inner loops run over channels; sums are kept for each
# utterance, so that they do not depend on the number of threads.


@compiled
def _moments(first, last, y, lengths, sums):
    mels, channels = y.shape[2], y.shape[3]
    total, square = np.empty(channels, np.float32), np.empty(channels, np.float32)
    for n in range(first, last):
        sums[n] = 0
        for t in range(lengths[n]):
            total[:] = 0
            square[:] = 0
            for m in range(mels):
                row = y[n, t, m]
                for c in range(channels):
                    value = widen(row[c])
                    total[c] += value
                    square[c] += value * value
            for c in range(channels):
                sums[n, 0, c] += total[c]
                sums[n, 1, c] += square[c]


@compiled
def _activate(first, last, y, lengths, scaling, bits, dropped, window, out):
    channels = y.shape[3]
    share = np.float32(256.0 / (256 - dropped) / (window * window))
    gain, offset, total = scaling[0], scaling[1], np.empty(channels, np.float32)
    for n in range(first, last):
        kept = lengths[n] // window
        out[n, kept:] = 0
        for t in range(kept):
            for m in range(out.shape[2]):
                total[:] = 0
                for i in range(window):
                    for j in range(window):
                        row = y[n, window * t + i, window * m + j]
                        for c in range(channels):
                            value = gain[c] * widen(row[c]) + offset[c]
                            total[c] += np.float32(0) if value <= 0 else value
                target = out[n, t, m]
                if dropped > 0:
                    drawn = bits[n, t, m]
                    for c in range(channels):
                        target[c] = narrow(total[c] * share if drawn[c] >= dropped else np.float32(0), target)
                else:
                    for c in range(channels):
                        target[c] = narrow(total[c] * share, target)


@compiled
def _received(gradient, bits, dropped, share, received):
    """The gradient of one output pixel before pooling and dropout, for each of the inputs that it pools."""
    if dropped > 0:
        for c in range(len(received)):
            received[c] = widen(gradient[c]) * share if bits[c] >= dropped else np.float32(0)
    else:
        for c in range(len(received)):
            received[c] = widen(gradient[c]) * share


@compiled
def _activate_sums(first, last, y, lengths, scaling, mean, bits, dropped, window, gradient, sums):
    channels = y.shape[3]
    share = np.float32(256.0 / (256 - dropped) / (window * window))
    gain, offset = scaling[0], scaling[1]
    received, plain, centred = np.empty(channels, np.float32), np.empty(channels, np.float32), np.empty(channels, np.float32)
    for n in range(first, last):
        sums[n] = 0
        for t in range(lengths[n] // window):
            plain[:] = 0
            centred[:] = 0
            for m in range(gradient.shape[2]):
                _received(gradient[n, t, m], bits[n, t, m] if dropped > 0 else bits[0, 0, 0], dropped, share, received)
                for i in range(window):
                    for j in range(window):
                        row = y[n, window * t + i, window * m + j]
                        for c in range(channels):
                            value = widen(row[c])
                            passed = np.float32(0) if gain[c] * value + offset[c] <= 0 else received[c]
                            plain[c] += passed
                            centred[c] += passed * (value - mean[c])
            for c in range(channels):
                sums[n, 0, c] += plain[c]
                sums[n, 1, c] += centred[c]


@compiled
def _activate_gradient(first, last, y, lengths, scaling, lines, bits, dropped, window, gradient, out):
    channels = y.shape[3]
    share = np.float32(256.0 / (256 - dropped) / (window * window))
    gain, offset = scaling[0], scaling[1]
    factor, constant, slope, mean = lines[0], lines[1], lines[2], lines[3]
    received = np.empty(channels, np.float32)
    for n in range(first, last):
        kept, length = lengths[n] // window, lengths[n]
        out[n, length:] = 0
        for t in range(kept):
            for m in range(gradient.shape[2]):
                _received(gradient[n, t, m], bits[n, t, m] if dropped > 0 else bits[0, 0, 0], dropped, share, received)
                for i in range(window):
                    for j in range(window):
                        row, target = y[n, window * t + i, window * m + j], out[n, window * t + i, window * m + j]
                        for c in range(channels):
                            value = widen(row[c])
                            passed = np.float32(0) if gain[c] * value + offset[c] <= 0 else received[c]
                            target[c] = narrow(factor[c] * passed + constant[c] + slope[c] * (value - mean[c]), target)
        for t in range(length):  # what pooling leaves over counts in the statistics alone
            for m in range(0 if t >= kept * window else gradient.shape[2] * window, y.shape[2]):
                row, target = y[n, t, m], out[n, t, m]
                for c in range(channels):
                    target[c] = narrow(constant[c] + slope[c] * (widen(row[c]) - mean[c]), target)


@compiled
def _patch_moments(first, last, x, lengths, moments):
    """Sums of products of all pairs of taps (rows 0 to 8) and of the taps (row 9); x is padded by 1 on each side."""
    mels = x.shape[2] - 2
    for n in range(first, last):
        moments[n] = 0
        for t in range(lengths[n]):
            for j in range(TAPS):
                left = x[n, t + j // 3, j % 3 : j % 3 + mels]
                total = np.float32(0)
                for m in range(mels):
                    total += left[m]
                moments[n, TAPS, j] += total
                for k in range(j, TAPS):
                    right = x[n, t + k // 3, k % 3 : k % 3 + mels]
                    product = np.float32(0)
                    for m in range(mels):
                        product += left[m] * right[m]
                    moments[n, j, k] += product
        for j in range(TAPS):
            for k in range(j):
                moments[n, j, k] = moments[n, k, j]


@compiled
def _first_activate(first, last, x, lengths, folded, bits, dropped, training, out):
    """In training each random byte is replaced by which of its element's four inputs the gradient passes to, a bit each."""
    zero, share = np.float32(0), np.float32(64.0 / (256 - dropped))
    w, total, passed = folded.copy().reshape(-1), np.empty(CHANNELS, np.float32), np.empty(CHANNELS, np.int32)
    for n in range(first, last):
        kept = lengths[n] // 2
        out[n, kept:] = 0
        for t in range(kept):
            p, q, r, s = x[n, 2 * t], x[n, 2 * t + 1], x[n, 2 * t + 2], x[n, 2 * t + 3]
            for m in range(out.shape[2]):
                i = 2 * m
                p0, p1, p2, p3 = p[i], p[i + 1], p[i + 2], p[i + 3]
                q0, q1, q2, q3 = q[i], q[i + 1], q[i + 2], q[i + 3]
                r0, r1, r2, r3 = r[i], r[i + 1], r[i + 2], r[i + 3]
                s0, s1, s2, s3 = s[i], s[i + 1], s[i + 2], s[i + 3]
                for c in range(CHANNELS):
                    w0, w1, w2 = w[c], w[CHANNELS + c], w[2 * CHANNELS + c]
                    w3, w4, w5 = w[3 * CHANNELS + c], w[4 * CHANNELS + c], w[5 * CHANNELS + c]
                    w6, w7, w8, b = w[6 * CHANNELS + c], w[7 * CHANNELS + c], w[8 * CHANNELS + c], w[9 * CHANNELS + c]
                    v0 = b + p0 * w0 + p1 * w1 + p2 * w2 + q0 * w3 + q1 * w4 + q2 * w5 + r0 * w6 + r1 * w7 + r2 * w8
                    v1 = b + p1 * w0 + p2 * w1 + p3 * w2 + q1 * w3 + q2 * w4 + q3 * w5 + r1 * w6 + r2 * w7 + r3 * w8
                    v2 = b + q0 * w0 + q1 * w1 + q2 * w2 + r0 * w3 + r1 * w4 + r2 * w5 + s0 * w6 + s1 * w7 + s2 * w8
                    v3 = b + q1 * w0 + q2 * w1 + q3 * w2 + r1 * w3 + r2 * w4 + r3 * w5 + s1 * w6 + s2 * w7 + s3 * w8
                    total[c] = (v0 if v0 > 0 else zero) + (v1 if v1 > 0 else zero)
                    total[c] += (v2 if v2 > 0 else zero) + (v3 if v3 > 0 else zero)
                    passed[c] = (1 if v0 > 0 else 0) + (2 if v1 > 0 else 0) + (4 if v2 > 0 else 0) + (8 if v3 > 0 else 0)
                target = out[n, t, m]
                if training:
                    drawn = bits[n, t, m]
                    for c in range(CHANNELS):
                        stays = drawn[c] >= dropped
                        target[c] = narrow(total[c] * share if stays else zero, target)
                        drawn[c] = np.uint8(passed[c] if stays else 0)
                else:
                    for c in range(CHANNELS):
                        target[c] = narrow(total[c] * share, target)


@compiled
def _first_sums(first, last, x, lengths, passed, dropped, gradient, sums):
    """For each utterance: sums of the gradient times each tap's input (rows 0 to 8), and of the gradient (row 9)."""
    zero, share = np.float32(0), np.float32(64.0 / (256 - dropped))
    part = np.empty(10 * CHANNELS, np.float32)
    for n in range(first, last):
        sums[n] = 0
        for t in range(lengths[n] // 2):
            part[:] = 0
            p, q, r, s = x[n, 2 * t], x[n, 2 * t + 1], x[n, 2 * t + 2], x[n, 2 * t + 3]
            for m in range(gradient.shape[2]):
                received, bits = gradient[n, t, m], passed[n, t, m]
                i = 2 * m
                p0, p1, p2, p3 = p[i], p[i + 1], p[i + 2], p[i + 3]
                q0, q1, q2, q3 = q[i], q[i + 1], q[i + 2], q[i + 3]
                r0, r1, r2, r3 = r[i], r[i + 1], r[i + 2], r[i + 3]
                s0, s1, s2, s3 = s[i], s[i + 1], s[i + 2], s[i + 3]
                for c in range(CHANNELS):
                    g, to = widen(received[c]) * share, np.int32(bits[c])
                    v0 = g if to & 1 else zero
                    v1 = g if to & 2 else zero
                    v2 = g if to & 4 else zero
                    v3 = g if to & 8 else zero
                    part[c] += v0 * p0 + v1 * p1 + v2 * q0 + v3 * q1
                    part[CHANNELS + c] += v0 * p1 + v1 * p2 + v2 * q1 + v3 * q2
                    part[2 * CHANNELS + c] += v0 * p2 + v1 * p3 + v2 * q2 + v3 * q3
                    part[3 * CHANNELS + c] += v0 * q0 + v1 * q1 + v2 * r0 + v3 * r1
                    part[4 * CHANNELS + c] += v0 * q1 + v1 * q2 + v2 * r1 + v3 * r2
                    part[5 * CHANNELS + c] += v0 * q2 + v1 * q3 + v2 * r2 + v3 * r3
                    part[6 * CHANNELS + c] += v0 * r0 + v1 * r1 + v2 * s0 + v3 * s1
                    part[7 * CHANNELS + c] += v0 * r1 + v1 * r2 + v2 * s1 + v3 * s2
                    part[8 * CHANNELS + c] += v0 * r2 + v1 * r3 + v2 * s2 + v3 * s3
                    part[9 * CHANNELS + c] += v0 + v1 + v2 + v3
            for k in range(TAPS + 1):
                for c in range(CHANNELS):
                    sums[n, k, c] += part[k * CHANNELS + c]

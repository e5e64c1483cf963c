"""3 x 3 convolutions by Winograd's minimal filtering, for a CPU that multiplies bfloat16 no faster than float32.

An output tile of 4 x 4 comes from an input tile of 6 x 6 with 36 products a pair of channels instead of 144. With the
matrices of Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016), F(4 x 4, 3 x 3):

    Y = A' [(G g G') * (B' d B)] A        d input tile, g kernel, * element by element, ' transposed

The sum over channels turns the 36 products into 36 matrix products. Activations are stored in bfloat16 and kernels are
rounded to it; products and sums are float32, whose rounding grows about tenfold on the way and stays far below bfloat16's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .kernels import as_rows, compiled, in_parts, narrow, widen

TILE, PATCH = 4, 6
"""Side of an output tile, and of the input tile that it needs."""

SPOTS = PATCH * PATCH

LANES = 64
"""Channels that a pass takes at once: a constant, so that the compiler knows how far its lines lie apart."""

TILES = 160
"""Of a matrix product, about: enough to run at full rate, few enough to stay in the cache."""

G = torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`conv2d` with padding 1 of a bfloat16 x (batch, inputs, frames, mels) in channels_last -> (batch, outputs, frames, mels).

    weight (outputs, inputs, 3, 3) and bias (outputs,) are float32. Channels in multiples of 64.
    """
    out: Tensor = _Convolve.apply(x, weight, bias)
    return out


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _filter(x, weight.bfloat16().float(), bias.bfloat16().float())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].to(x.dtype).contiguous(memory_format=torch.channels_last)
        turned = weight.bfloat16().float().flip(2, 3).transpose(0, 1)
        return _filter(gradient, turned, torch.zeros(len(turned))), *_correlate(x, gradient)


def _filter(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    outputs, inputs = weight.shape[:2]
    batch, _, frames, mels = x.shape
    kernel = torch.einsum("ai,bj,ocij->abco", G, G, weight.contiguous()).reshape(SPOTS, inputs, outputs).contiguous()
    out = torch.empty((batch, outputs, frames, mels), dtype=x.dtype, memory_format=torch.channels_last)
    source, target, offset = as_rows(x), as_rows(out), bias.detach().numpy()
    rows, across, step = _grid(batch, frames, mels)
    patches, products = torch.empty(SPOTS, step * across, inputs), torch.empty(SPOTS, step * across, outputs)
    for start in range(0, rows, step):
        count = min(step, rows - start)
        tiles = count * across
        in_parts(_to_patches, count, start, source, patches.numpy())
        torch.bmm(patches[:, :tiles], kernel, out=products[:, :tiles])
        in_parts(_from_products, count, start, products.numpy(), offset, target)
    return out


def _correlate(x: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the kernel and of the bias."""
    (batch, inputs, frames, mels), outputs = x.shape, gradient.shape[1]
    source, received = as_rows(x), as_rows(gradient)
    rows, across, step = _grid(batch, frames, mels)
    patches, spread = torch.empty(SPOTS, step * across, inputs), torch.empty(SPOTS, step * across, outputs)
    total, bias = torch.zeros(SPOTS, inputs, outputs), torch.zeros(outputs)
    for start in range(0, rows, step):
        count = min(step, rows - start)
        tiles = count * across
        in_parts(_to_patches, count, start, source, patches.numpy())
        in_parts(_spread, count, start, received, spread.numpy())
        total.baddbmm_(patches[:, :tiles].transpose(1, 2), spread[:, :tiles])
        bias += spread[PATCH + 1, :tiles].sum(0)  # the second row of A' is ones
    kernel = torch.einsum("ai,bj,abco->ocij", G, G, total.reshape(PATCH, PATCH, inputs, outputs)).contiguous()
    return kernel, bias


def _grid(batch: int, frames: int, mels: int) -> tuple[int, int, int]:
    """Rows of tiles in the batch, tiles in a row, and how many rows to take at once."""
    across = -(-mels // TILE)
    return batch * -(-frames // TILE), across, max(1, torch.get_num_threads() * TILES // across)


# The kernels take rows of tiles, from `start` on. Images are (batch, frames, mels, channels), tiles (36, tiles, channels);
# the inner loops run over channels. Each works in `a` and `b`, lines of 64 channels, six to a row of the tile.


@compiled
def _to_patches(first, last, start, x, patches):
    """B' d B of each tile."""
    frames, mels, channels = x.shape[1:]
    down, across = (frames + 3) // 4, (mels + 3) // 4
    a, b = np.empty(36 * LANES, np.float32), np.empty(36 * LANES, np.float32)
    for row in range(first, last):
        n, top = (start + row) // down, 4 * ((start + row) % down) - 1
        for tile in range(across):
            left = 4 * tile - 1
            for lane in range(0, channels, LANES):
                for i in range(6):
                    for j in range(6):
                        line = a[(6 * i + j) * LANES : (6 * i + j + 1) * LANES]
                        t, m = top + i, left + j
                        if t >= 0 and t < frames and m >= 0 and m < mels:
                            pixel = x[n, t, m, lane : lane + LANES]
                            for c in range(LANES):
                                line[c] = widen(pixel[c])
                        else:
                            line[:] = 0
                for j in range(6):  # down the columns
                    for c in range(j * LANES, (j + 1) * LANES):
                        d0, d1, d2 = a[c], a[c + 6 * LANES], a[c + 12 * LANES]
                        d3, d4, d5 = a[c + 18 * LANES], a[c + 24 * LANES], a[c + 30 * LANES]
                        even, odd, near, far = d4 - 4 * d2, d3 - 4 * d1, d4 - d2, 2 * (d3 - d1)
                        b[c] = 4 * d0 - 5 * d2 + d4
                        b[c + 6 * LANES] = even + odd
                        b[c + 12 * LANES] = even - odd
                        b[c + 18 * LANES] = near + far
                        b[c + 24 * LANES] = near - far
                        b[c + 30 * LANES] = 4 * d1 - 5 * d3 + d5
                for i in range(6):  # along the rows
                    for c in range(6 * i * LANES, (6 * i + 1) * LANES):
                        d0, d1, d2 = b[c], b[c + LANES], b[c + 2 * LANES]
                        d3, d4, d5 = b[c + 3 * LANES], b[c + 4 * LANES], b[c + 5 * LANES]
                        even, odd, near, far = d4 - 4 * d2, d3 - 4 * d1, d4 - d2, 2 * (d3 - d1)
                        a[c] = 4 * d0 - 5 * d2 + d4
                        a[c + LANES] = even + odd
                        a[c + 2 * LANES] = even - odd
                        a[c + 3 * LANES] = near + far
                        a[c + 4 * LANES] = near - far
                        a[c + 5 * LANES] = 4 * d1 - 5 * d3 + d5
                for k in range(36):
                    target, line = patches[k, row * across + tile, lane : lane + LANES], a[k * LANES : (k + 1) * LANES]
                    for c in range(LANES):
                        target[c] = line[c]


@compiled
def _from_products(first, last, start, products, offset, out):
    """A' M A of each tile, and the bias."""
    frames, mels, channels = out.shape[1:]
    down, across = (frames + 3) // 4, (mels + 3) // 4
    a, b = np.empty(36 * LANES, np.float32), np.empty(36 * LANES, np.float32)
    for row in range(first, last):
        n, top = (start + row) // down, 4 * ((start + row) % down)
        for tile in range(across):
            left = 4 * tile
            for lane in range(0, channels, LANES):
                for k in range(36):
                    product, line = products[k, row * across + tile, lane : lane + LANES], a[k * LANES : (k + 1) * LANES]
                    for c in range(LANES):
                        line[c] = product[c]
                for j in range(6):
                    for c in range(j * LANES, (j + 1) * LANES):
                        m0, m5 = a[c], a[c + 30 * LANES]
                        near, odd = a[c + 6 * LANES] + a[c + 12 * LANES], a[c + 6 * LANES] - a[c + 12 * LANES]
                        far, wide = a[c + 18 * LANES] + a[c + 24 * LANES], a[c + 18 * LANES] - a[c + 24 * LANES]
                        b[c] = m0 + near + far
                        b[c + 6 * LANES] = odd + 2 * wide
                        b[c + 12 * LANES] = near + 4 * far
                        b[c + 18 * LANES] = odd + 8 * wide + m5
                for i in range(4):
                    for c in range(6 * i * LANES, (6 * i + 1) * LANES):
                        m0, m5 = b[c], b[c + 5 * LANES]
                        near, odd = b[c + LANES] + b[c + 2 * LANES], b[c + LANES] - b[c + 2 * LANES]
                        far, wide = b[c + 3 * LANES] + b[c + 4 * LANES], b[c + 3 * LANES] - b[c + 4 * LANES]
                        a[c] = m0 + near + far
                        a[c + LANES] = odd + 2 * wide
                        a[c + 2 * LANES] = near + 4 * far
                        a[c + 3 * LANES] = odd + 8 * wide + m5
                added = offset[lane : lane + LANES]
                for i in range(min(4, frames - top)):
                    for j in range(min(4, mels - left)):
                        target = out[n, top + i, left + j, lane : lane + LANES]
                        line = a[(6 * i + j) * LANES : (6 * i + j + 1) * LANES]
                        for c in range(LANES):
                            target[c] = narrow(line[c] + added[c], target)


@compiled
def _spread(first, last, start, gradient, spread):
    """A dY A' of each tile of the gradient."""
    frames, mels, channels = gradient.shape[1:]
    down, across = (frames + 3) // 4, (mels + 3) // 4
    a, b = np.empty(36 * LANES, np.float32), np.empty(36 * LANES, np.float32)
    for row in range(first, last):
        n, top = (start + row) // down, 4 * ((start + row) % down)
        for tile in range(across):
            left = 4 * tile
            for lane in range(0, channels, LANES):
                for i in range(4):
                    for j in range(4):
                        line = a[(6 * i + j) * LANES : (6 * i + j + 1) * LANES]
                        if top + i < frames and left + j < mels:
                            pixel = gradient[n, top + i, left + j, lane : lane + LANES]
                            for c in range(LANES):
                                line[c] = widen(pixel[c])
                        else:
                            line[:] = 0
                for j in range(4):
                    for c in range(j * LANES, (j + 1) * LANES):
                        y0, y1, y2, y3 = a[c], a[c + 6 * LANES], a[c + 12 * LANES], a[c + 18 * LANES]
                        near, odd, far, wide = y0 + y2, y1 + y3, y0 + 4 * y2, 2 * y1 + 8 * y3
                        b[c] = y0
                        b[c + 6 * LANES] = near + odd
                        b[c + 12 * LANES] = near - odd
                        b[c + 18 * LANES] = far + wide
                        b[c + 24 * LANES] = far - wide
                        b[c + 30 * LANES] = y3
                for i in range(6):
                    for c in range(6 * i * LANES, (6 * i + 1) * LANES):
                        y0, y1, y2, y3 = b[c], b[c + LANES], b[c + 2 * LANES], b[c + 3 * LANES]
                        near, odd, far, wide = y0 + y2, y1 + y3, y0 + 4 * y2, 2 * y1 + 8 * y3
                        a[c] = y0
                        a[c + LANES] = near + odd
                        a[c + 2 * LANES] = near - odd
                        a[c + 3 * LANES] = far + wide
                        a[c + 4 * LANES] = far - wide
                        a[c + 5 * LANES] = y3
                for k in range(36):
                    target, line = spread[k, row * across + tile, lane : lane + LANES], a[k * LANES : (k + 1) * LANES]
                    for c in range(LANES):
                        target[c] = line[c]

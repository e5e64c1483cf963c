"""3 x 3 convolutions by Winograd's minimal filtering, for a CPU without matrix instructions.

With the matrices of Lavin and Gray, *Fast Algorithms for Convolutional Neural Networks* (CVPR 2016):

    Y = A' [(G g G') * (B' d B)] A        d input tile, g kernel, * element by element, ' transposed

The sum over channels turns the products at each spot of a tile into one matrix product. There are two schemes:

- `FOUR`, F(4 x 4, 3 x 3): 36 products a pair of channels instead of 144, in float32, whose rounding grows about tenfold on
  the way and stays far below bfloat16's.
- `TWO`, F(2 x 2, 3 x 3): 16 instead of 36, in bfloat16, for a processor that multiplies that several times faster. Tiles are
  rounded before and after the product, so that the error is about twice that of a direct convolution in bfloat16.

Activations are stored in bfloat16, sums are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .kernels import as_rows, compiled, in_parts, narrow, widen

LANES = 64
"""Channels that a pass takes at once: a constant, so that the compiler knows how far its lines lie apart."""


def convolve(x: Tensor, weight: Tensor, bias: Tensor, scheme: Scheme) -> Tensor:
    """`conv2d` with padding 1 of a bfloat16 x (batch, inputs, frames, mels) in channels_last -> (batch, outputs, frames, mels).

    weight (outputs, inputs, 3, 3) and bias (outputs,) are float32 and rounded to bfloat16. Channels in multiples of 64.
    """
    out: Tensor = _Convolve.apply(x, weight, bias, scheme)
    return out


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, scheme: Scheme) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.scheme = scheme
        return _filter(x, weight.bfloat16().float(), bias.bfloat16().float(), scheme)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0].to(x.dtype).contiguous(memory_format=torch.channels_last)
        turned = weight.bfloat16().float().flip(2, 3).transpose(0, 1)
        return _filter(gradient, turned, torch.zeros(len(turned)), ctx.scheme), *_correlate(x, gradient, ctx.scheme), None


def _filter(x: Tensor, weight: Tensor, bias: Tensor, scheme: Scheme) -> Tensor:
    outputs, inputs = weight.shape[:2]
    batch, _, frames, mels = x.shape
    kernel = torch.einsum("ai,bj,ocij->abco", scheme.G, scheme.G, weight.contiguous())
    kernel = kernel.reshape(scheme.spots, inputs, outputs).to(scheme.dtype).contiguous()
    out = torch.empty((batch, outputs, frames, mels), dtype=x.dtype, memory_format=torch.channels_last)
    source, target, offset = as_rows(x), as_rows(out), bias.detach().numpy()
    rows, across, step = scheme.grid(batch, frames, mels)

    def blocks(first: int, last: int) -> None:
        patches, products = scheme.tiles(step * across, inputs), scheme.tiles(step * across, outputs)
        for start in range(first * step, min(last * step, rows), step):
            count = min(step, rows - start)
            scheme.to_patches(start, count, source, _numbers(patches))
            torch.bmm(patches[:, : count * across], kernel, out=products[:, : count * across])
            scheme.from_products(start, count, _numbers(products), offset, target)

    in_parts(blocks, -(-rows // step))
    return out


def _correlate(x: Tensor, gradient: Tensor, scheme: Scheme) -> tuple[Tensor, Tensor]:
    """Gradients of the kernel and of the bias."""
    (batch, inputs, frames, mels), outputs = x.shape, gradient.shape[1]
    source, received = as_rows(x), as_rows(gradient)
    rows, across, step = scheme.grid(batch, frames, mels)
    parts: dict[int, tuple[Tensor, Tensor]] = {}

    def blocks(first: int, last: int) -> None:
        patches, spread = scheme.tiles(step * across, inputs), scheme.tiles(step * across, outputs)
        total, bias = torch.zeros(scheme.spots, inputs, outputs), torch.zeros(outputs)
        for start in range(first * step, min(last * step, rows), step):
            count = min(step, rows - start)
            scheme.to_patches(start, count, source, _numbers(patches))
            scheme.spread(start, count, received, _numbers(spread))
            left, right = patches[:, : count * across].transpose(1, 2), spread[:, : count * across]
            if scheme.dtype == total.dtype:
                total.baddbmm_(left, right)
            else:
                total += torch.bmm(left, right)
            bias += right[scheme.patch + 1].sum(0, dtype=torch.float32)  # the second row of A' is ones
        parts[first] = total, bias

    in_parts(blocks, -(-rows // step))
    total, bias = (torch.stack(sums).sum(0) for sums in zip(*(parts[first] for first in sorted(parts)), strict=True))
    kernel = torch.einsum("ai,bj,abco->ocij", scheme.G, scheme.G, total.unflatten(0, (scheme.patch, scheme.patch)))
    return kernel.contiguous(), bias


def _numbers(tiles: Tensor) -> np.ndarray:
    return tiles.view(torch.uint16).numpy() if tiles.dtype == torch.bfloat16 else tiles.numpy()


@dataclass(frozen=True)
class Scheme:
    """One of Winograd's filterings: sizes, matrices, and the kernels that take images to tiles and back."""

    tile: int  # side of an output tile; that of the input tile that it needs is 2 more
    dtype: torch.dtype  # of the tiles in the matrix product
    G: Tensor
    to_patches: Callable[..., None]  # B' d B of each tile
    from_products: Callable[..., None]  # A' M A of each tile, and the bias
    spread: Callable[..., None]  # A dY A' of each tile of the gradient
    at_once: int  # tiles in a matrix product, about: enough to run at full rate, few enough to stay in the cache

    @property
    def patch(self) -> int:
        """Side of an input tile."""
        return self.tile + 2

    @property
    def spots(self) -> int:
        """Products of a tile and a pair of channels."""
        return self.patch**2

    def tiles(self, count: int, channels: int) -> Tensor:
        """Room for the input tiles of an image, or for their products."""
        return torch.empty(self.spots, count, channels, dtype=self.dtype)

    def grid(self, batch: int, frames: int, mels: int) -> tuple[int, int, int]:
        """Rows of tiles in the batch, tiles in a row, and how many rows to take at once."""
        across = -(-mels // self.tile)
        return batch * -(-frames // self.tile), across, max(1, self.at_once // across)


# The kernels take `count` rows of tiles, from `start` on. Images are (batch, frames, mels, channels), tiles (spots, tiles,
# channels); the inner loops run over channels. Those of `FOUR` work in `a` and `b`, lines of 64 channels, six to a row of a tile.


@compiled
def _to_patches_4(start, count, x, patches):
    frames, mels, channels = x.shape[1:]
    down, across = (frames + 3) // 4, (mels + 3) // 4
    a, b = np.empty(36 * LANES, np.float32), np.empty(36 * LANES, np.float32)
    for row in range(count):
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
def _from_products_4(start, count, products, offset, out):
    frames, mels, channels = out.shape[1:]
    down, across = (frames + 3) // 4, (mels + 3) // 4
    a, b = np.empty(36 * LANES, np.float32), np.empty(36 * LANES, np.float32)
    for row in range(count):
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
def _spread_4(start, count, gradient, spread):
    frames, mels, channels = gradient.shape[1:]
    down, across = (frames + 3) // 4, (mels + 3) // 4
    a, b = np.empty(36 * LANES, np.float32), np.empty(36 * LANES, np.float32)
    for row in range(count):
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


# Those of `TWO` take whole rows of an image at once: first what combines rows, then what combines columns.


@compiled
def _to_patches_2(start, count, x, patches):
    frames, mels, channels = x.shape[1:]
    down, across, width = (frames + 1) // 2, (mels + 1) // 2, mels * channels
    outside, lines = np.zeros(width, x.dtype), np.zeros((4, 2 * across + 2, channels), np.float32)
    for row in range(count):
        image, top = x[(start + row) // down].reshape(frames, width), 2 * ((start + row) % down) - 1
        x0 = image[top] if top >= 0 else outside
        x1 = image[top + 1]
        x2 = image[top + 2] if top + 2 < frames else outside
        x3 = image[top + 3] if top + 3 < frames else outside
        line = lines[0].reshape(-1)[channels:]
        for c in range(width):
            line[c] = widen(x0[c]) - widen(x2[c])
        line = lines[1].reshape(-1)[channels:]
        for c in range(width):
            line[c] = widen(x1[c]) + widen(x2[c])
        line = lines[2].reshape(-1)[channels:]
        for c in range(width):
            line[c] = widen(x2[c]) - widen(x1[c])
        line = lines[3].reshape(-1)[channels:]
        for c in range(width):
            line[c] = widen(x1[c]) - widen(x3[c])
        for i in range(4):
            d = lines[i]
            target = patches[4 * i, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(d[2 * tile, c] - d[2 * tile + 2, c], target)
            target = patches[4 * i + 1, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(d[2 * tile + 1, c] + d[2 * tile + 2, c], target)
            target = patches[4 * i + 2, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(d[2 * tile + 2, c] - d[2 * tile + 1, c], target)
            target = patches[4 * i + 3, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(d[2 * tile + 1, c] - d[2 * tile + 3, c], target)


@compiled
def _from_products_2(start, count, products, offset, out):
    frames, mels, channels = out.shape[1:]
    down, across = (frames + 1) // 2, (mels + 1) // 2
    width, lines = across * channels, np.empty((4, across, channels), np.float32)
    for row in range(count):
        n, top = (start + row) // down, 2 * ((start + row) % down)
        for i in range(min(2, frames - top)):
            for j in range(4):
                line = lines[j].reshape(-1)
                m1 = products[4 + j, row * across : (row + 1) * across].reshape(-1)
                m2 = products[8 + j, row * across : (row + 1) * across].reshape(-1)
                if i == 0:
                    m0 = products[j, row * across : (row + 1) * across].reshape(-1)
                    for c in range(width):
                        line[c] = widen(m0[c]) + widen(m1[c]) + widen(m2[c])
                else:
                    m3 = products[12 + j, row * across : (row + 1) * across].reshape(-1)
                    for c in range(width):
                        line[c] = widen(m1[c]) - widen(m2[c]) - widen(m3[c])
            target, l0, l1, l2, l3 = out[n, top + i], lines[0], lines[1], lines[2], lines[3]
            for tile in range(across):
                for c in range(channels):
                    target[2 * tile, c] = narrow(l0[tile, c] + l1[tile, c] + l2[tile, c] + offset[c], target)
            for tile in range(mels // 2):
                for c in range(channels):
                    target[2 * tile + 1, c] = narrow(l1[tile, c] - l2[tile, c] - l3[tile, c] + offset[c], target)


@compiled
def _spread_2(start, count, gradient, spread):
    frames, mels, channels = gradient.shape[1:]
    down, across, width = (frames + 1) // 2, (mels + 1) // 2, mels * channels
    outside, lines = np.zeros(width, gradient.dtype), np.zeros((4, 2 * across, channels), np.float32)
    for row in range(count):
        image, top = gradient[(start + row) // down].reshape(frames, width), 2 * ((start + row) % down)
        y0, y1 = image[top], image[top + 1] if top + 1 < frames else outside
        line = lines[0].reshape(-1)
        for c in range(width):
            line[c] = widen(y0[c])
        line = lines[1].reshape(-1)
        for c in range(width):
            line[c] = widen(y0[c]) + widen(y1[c])
        line = lines[2].reshape(-1)
        for c in range(width):
            line[c] = widen(y0[c]) - widen(y1[c])
        line = lines[3].reshape(-1)
        for c in range(width):
            line[c] = -widen(y1[c])
        for i in range(4):
            y = lines[i]
            target = spread[4 * i, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(y[2 * tile, c], target)
            target = spread[4 * i + 1, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(y[2 * tile, c] + y[2 * tile + 1, c], target)
            target = spread[4 * i + 2, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(y[2 * tile, c] - y[2 * tile + 1, c], target)
            target = spread[4 * i + 3, row * across : (row + 1) * across]
            for tile in range(across):
                for c in range(channels):
                    target[tile, c] = narrow(-y[2 * tile + 1, c], target)


FOUR = Scheme(
    tile=4,
    dtype=torch.float32,
    G=torch.tensor([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
    to_patches=_to_patches_4,
    from_products=_from_products_4,
    spread=_spread_4,
    at_once=160,
)
TWO = Scheme(
    tile=2,
    dtype=torch.bfloat16,
    G=torch.tensor([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2,
    to_patches=_to_patches_2,
    from_products=_from_products_2,
    spread=_spread_2,
    at_once=640,
)

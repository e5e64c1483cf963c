"""Winograd's convolution is `conv2d`: outputs and gradients, of images that tiles fill and of those that they overlap."""

import pytest
import torch
import torch.nn.functional as F

from sercore.network.engines import winograd


def problem(inputs, outputs, batch, frames, mels):
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch, inputs, frames, mels), (outputs, inputs, 3, 3), (outputs,), (batch, outputs, frames, mels))
    x, weight, bias, gradient = (torch.randn(shape, generator=generator).bfloat16() for shape in shapes)
    return [image.contiguous(memory_format=torch.channels_last) for image in (x, gradient)], [weight.float(), bias.float()]


def differentiated(convolution, x, weight, bias, gradient):
    """Output and gradients."""
    given = [value.clone().requires_grad_() for value in (x, weight, bias)]
    out = convolution(*given)
    out.backward(gradient)
    return [out.detach(), *(value.grad for value in given)]


SCHEMES = pytest.mark.parametrize("scheme", [winograd.FOUR, winograd.TWO], ids=["four", "two"])
SIZES = [(64, 64, 2, 8, 8), (64, 128, 3, 13, 10), (128, 64, 1, 1, 1), (64, 64, 5, 6, 5)]
SHAPES = pytest.mark.parametrize("shape", SIZES, ids=str)


def compared(x, kernel, gradient, scheme):
    """Output and gradients of ours and of `conv2d` in float64."""
    found = differentiated(lambda *given: winograd.convolve(*given, scheme), x, *kernel, gradient)
    exact = (value.double() for value in (x, *kernel, gradient))
    expected = differentiated(lambda *given: F.conv2d(*given, padding=1), *exact)
    assert [value.dtype for value in found] == [torch.bfloat16, torch.bfloat16, torch.float32, torch.float32]
    return list(zip((value.double() for value in found), expected, strict=True))


@SHAPES
def test_in_float32_it_is_the_convolution(shape):
    (x, gradient), kernel = problem(*shape)
    for (value, reference), rounding in zip(compared(x, kernel, gradient, winograd.FOUR), (2**-8, 2**-8, 0, 0), strict=True):
        error = (value - reference).abs()
        assert (error <= rounding * reference.abs() + 1e-5 * reference.abs().max()).all()


@SHAPES
def test_in_bfloat16_it_is_near_the_convolution(shape):
    (x, gradient), kernel = problem(*shape)
    for value, reference in compared(x, kernel, gradient, winograd.TWO):
        assert (value - reference).norm() < 0.007 * reference.norm()


@SHAPES
def test_in_bfloat16_numbers_of_few_bits_are_exact(shape):
    (x, gradient), kernel = problem(*shape)
    few = [(value > 1.8).to(value.dtype) - (value < -1.8).to(value.dtype) for value in (x, gradient, *kernel)]
    for value, reference in compared(few[0], [4 * few[2], few[3]], few[1], winograd.TWO):
        assert torch.equal(value, reference)


@SCHEMES
def test_kernels_are_rounded_as_bfloat16_rounds_them(scheme):
    (x, _), kernel = problem(64, 64, 1, 8, 8)
    fine = [value * 1.003 for value in kernel]
    rounded = [value.bfloat16().float() for value in fine]
    assert torch.equal(winograd.convolve(x, *fine, scheme), winograd.convolve(x, *rounded, scheme))


@SCHEMES
def test_result_does_not_depend_on_the_number_of_threads(scheme):
    (x, gradient), kernel = problem(64, 64, 7, 50, 20)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(differentiated(lambda *given: winograd.convolve(*given, scheme), x, *kernel, gradient))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5 * a.abs().max().item(), rtol=2**-7 if a.dtype == torch.bfloat16 else 0)

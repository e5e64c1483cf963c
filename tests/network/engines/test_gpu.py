"""The CNN as Triton kernels gives what the plain one defines; steps that are replayed train as those that are launched.

Without a GPU the kernels go through Triton's interpreter (`pip install triton`), and what needs CUDA is skipped.
"""

import copy
import os

import numpy as np
import pytest
import torch

GPU = torch.cuda.is_available()
if not GPU:
    os.environ.setdefault("TRITON_INTERPRET", "1")
pytest.importorskip("triton", reason="no Triton: pip install triton")

from test_cpu import assert_a_single_place_gives_the_bias, assert_passes_agree, batch, pair, relative, trained  # noqa: E402

from sercore import build  # noqa: E402
from sercore.config import Config  # noqa: E402
from sercore.lab import training  # noqa: E402
from sercore.network.engines import cuda_graph, gpu  # noqa: E402
from sercore.network.engines.adam import Adam  # noqa: E402
from sercore.network.networks import build as build_model  # noqa: E402

DEVICE = torch.device("cuda" if GPU else "cpu")
needs_gpu = pytest.mark.skipif(not GPU, reason="no GPU")


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Plain PyTorch multiplies in float32 proper; and the interpreter has few programs to go through."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(gpu, "PROGRAMS", gpu.PROGRAMS if GPU else 64)


def on_device(**settings):
    """(plain model, the same model with these kernels)."""
    plain, fused = (model.to(DEVICE) for model in pair(**settings))
    if not GPU:
        precision = torch.bfloat16 if fused.config.precision == "bfloat16" else torch.float32

        def convolve(x, lengths):
            return gpu.run_blocks(fused.blocks, x, lengths, precision), None if lengths is None else lengths // 32

        fused.convolve = convolve
    return plain, fused


def inputs(frames=137, size=3):
    return [part.to(DEVICE) for part in batch(frames, size)]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("frames", [96, 137])
def test_float32_training_pass_agrees(masked, frames):
    assert_passes_agree(*on_device(masked=masked, dropout=0.0), inputs(frames))


def test_a_single_place_gives_the_bias():
    assert_a_single_place_gives_the_bias(*on_device(dropout=0.0), *inputs(50))


@pytest.mark.parametrize("precision, tolerance", [("float32", 1e-5), ("bfloat16", 0.02)])
@pytest.mark.parametrize("masked", [False, True])
def test_evaluation_agrees(precision, tolerance, masked):
    plain, fused = (model.eval() for model in on_device(precision=precision, masked=masked))
    x, _, lengths = inputs()
    with torch.inference_mode():
        torch.testing.assert_close(fused.features(x, lengths), plain.features(x, lengths), atol=tolerance, rtol=tolerance)


def test_dropout_drops_its_share_and_hands_back_no_gradient_where_it_dropped():
    _, fused = on_device(dropout=0.25)
    first, second = fused.train().blocks[:2]
    x = inputs()[0]
    torch.manual_seed(7)
    out = gpu.run_blocks([first], x, None, torch.float32)
    positive = out.detach() > 0
    first.dropout = 0.0
    torch.manual_seed(7)
    whole = gpu.run_blocks([first], x, None, torch.float32).detach()
    assert 0.24 < 1 - (positive.sum() / (whole > 0).sum()).item() < 0.26
    torch.testing.assert_close(out.detach()[positive], whole[positive] / 0.75)

    def difference(step):
        """The loss where a weight of the second block is moved by `step`: what is dropped is drawn alike."""
        torch.manual_seed(7)
        with torch.no_grad():
            second.norm.bias[3] += step
            value = gpu.run_blocks([first, second], x, None, torch.float32).double().square().sum()
            second.norm.bias[3] -= step
        return value

    torch.manual_seed(7)
    gpu.run_blocks([first, second], x, None, torch.float32).square().sum().backward()
    numeric = (difference(1e-2) - difference(-1e-2)) / 2e-2
    assert second.norm.bias.grad[3].item() == pytest.approx(numeric.item(), rel=0.01)


def test_bfloat16_is_hardly_further_from_float32_than_plain_bfloat16():
    errors = []
    for draw in range(8 if GPU else 2):
        exact, _ = on_device(draw=draw, dropout=0.0)
        plain, fused = on_device(draw=draw, dropout=0.0, precision="bfloat16")
        (_, truth), (_, rounded), (_, found) = (trained(model, *inputs(), draw) for model in (exact, plain, fused))
        names = [name for name in truth if name.endswith(("conv.weight", "norm.weight", "norm.bias"))]
        errors += [(relative(found[name], truth[name]), relative(rounded[name], truth[name])) for name in names]
    ours, theirs = (sum(values) / len(values) for values in zip(*errors, strict=True))
    assert ours < 1.1 * theirs, (ours, theirs)


@needs_gpu
@pytest.mark.parametrize("system", ["baseline", "ams-s10-m0.4", "focal-g2-a2", "ams-s10-m0.4+focal-g2-a2+combined"])
def test_replayed_steps_train_as_launched_ones(system):
    launched = build(system, seed=1, precision="bfloat16", dropout=0.0).to(DEVICE)
    launched.engine = "fused"
    replayed = copy.deepcopy(launched)
    x, labels, lengths = (torch.cat([part] * 14)[:70] for part in batch(96))
    x = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(8))
    corpus, order = (x.to(DEVICE), lengths.to(DEVICE), labels.to(DEVICE)), torch.randperm(70).to(DEVICE)
    losses = []
    for model in (launched, replayed):
        model.train()
        optimiser = Adam(model.parameters(), 1e-4, eps=1e-7)
        steps = cuda_graph.Steps(model, optimiser, corpus, {32, 6})
        if model is launched:  # the same steps, kernel by kernel
            total = 0.0
            for rows in order.split(32):
                loss = model.loss(x.to(DEVICE)[rows], corpus[2][rows], corpus[1][rows])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total += loss.item() * len(rows)
            losses.append(total / 70)
        else:
            losses.append(steps(order, 32))
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for (name, value), other in zip(launched.state_dict().items(), replayed.state_dict().values(), strict=True):
        if value.is_floating_point():
            torch.testing.assert_close(other, value, atol=1e-3, rtol=1e-3, msg=name)


@needs_gpu
@pytest.mark.parametrize(
    "settings", [{}, {"masked": True}, {"score": "general"}, {"batch_norm": "recalibrated", "weights": "averaged"}]
)
def test_a_gpu_learns_what_can_be_learnt(settings):
    from sercore.frontend.inputs import Inputs

    draw = np.random.default_rng(3)
    labels = np.arange(96) % 4
    arrays = [draw.normal(size=(90 + 3 * (i % 7), 40)).astype(np.float32) for i in range(96)]
    for array, label in zip(arrays, labels, strict=True):
        array[:, label * 10 : label * 10 + 10] += 1.5
    ids, lengths = np.array([f"u{i:02}" for i in range(96)]), np.array([len(array) for array in arrays])
    mels = Inputs(ids, lengths, tuple(arrays), "made up")
    config = Config(clip_seconds=1.0, max_epochs=30, patience=30, learning_rate=1e-3, precision="bfloat16", **settings)
    rows = np.arange(96)
    choosers = {"validation": training.Chooser(rows[64:], config.batch_norm, config.weights)}
    kept = training.fit(build_model(config).to(DEVICE), training.Labelled(mels, labels, 4), rows[:64], choosers, seed=0)
    assert max(epoch["chooser_ua"] for epoch in kept["validation"].history.epochs) > 0.9

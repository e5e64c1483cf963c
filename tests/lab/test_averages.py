"""Statistics and weights that are averaged before a model is evaluated, against naive computations."""

import copy

import numpy as np
import pytest
import torch
from short_trainings import QUICK, parts_of, same

from sercore import SercoreError, build
from sercore.config import Config
from sercore.lab import averages, training

DRAW = torch.Generator().manual_seed(0)
BATCHES = [(torch.randn(size, 70, 40, generator=DRAW), torch.full((size,), 50)) for size in (4, 4, 2)]


def naive(model, batches, masked):
    """Algorithm 2 of Ioffe & Szegedy by the book: per layer the mean over batches of mean and unbiased variance."""
    means, variances, weights = [[] for _ in model.blocks], [[] for _ in model.blocks], []
    for x, lengths in batches:
        kept = lengths if masked else torch.full_like(lengths, x.shape[1])
        x = ((x - model.mean) / model.deviation)[:, None].double()
        x = x * (torch.arange(x.shape[2]) < kept[:, None])[:, None, :, None]
        weights.append(len(x))
        for number, block in enumerate(model.blocks):
            y = torch.nn.functional.conv2d(x, block.conv.weight.double(), block.conv.bias.double(), padding=1)
            there = torch.cat([row[:, :length].flatten(1) for row, length in zip(y, kept, strict=True)], 1)  # (channels, places)
            mean, variance = there.mean(1), there.var(1, correction=0)
            means[number].append(mean)
            variances[number].append(there.var(1))
            scale = (variance + block.norm.eps).rsqrt() * block.norm.weight.double()
            x = torch.relu((y - mean[:, None, None]) * scale[:, None, None] + block.norm.bias.double()[:, None, None])
            if block.pool:
                x, kept = torch.nn.functional.avg_pool2d(x, 2), kept // 2
            x = x * (torch.arange(x.shape[2]) < kept[:, None])[:, None, :, None]
    return [
        [np.average([value.numpy() for value in values], axis=0, weights=weights) for values in of_block]
        for of_block in zip(means, variances, strict=True)
    ]


@pytest.mark.parametrize("engine", ["plain", "fused"])
@pytest.mark.parametrize("masked", [False, True])
@torch.no_grad()
def test_recalibrated_statistics_are_those_of_a_naive_computation(engine, masked):
    model = build("baseline", masked=masked)
    model.engine = engine
    for block in model.blocks:  # what was there before must not count
        block.norm.running_mean.fill_(7.0)
        block.norm.weight.uniform_(0.5, 2.0)
        block.norm.bias.uniform_(-1.0, 1.0)
    before = torch.get_rng_state()
    averages.recalibrate(model.eval(), BATCHES)
    assert torch.equal(before, torch.get_rng_state())
    assert not model.training and {block.dropout for block in model.blocks} == {0.25}
    for block, (mean, variance) in zip(model.blocks, naive(model, BATCHES, masked), strict=True):
        assert block.norm.momentum == 0.01
        np.testing.assert_allclose(block.norm.running_mean.numpy(), mean, rtol=2e-3, atol=2e-4)
        np.testing.assert_allclose(block.norm.running_var.numpy(), variance, rtol=2e-3, atol=2e-4)


@torch.no_grad()
def test_averaged_weights_are_a_plain_mean_and_then_forget():
    model = build("baseline")
    averaged, weight = averages.AveragedWeights(model, window=3), model.head.weight
    taken = []
    for step in range(5):
        weight.fill_(10.0**step)
        averaged.update()
        taken.append(averaged.averages["head.weight"][0, 0].item())
    assert taken[:3] == pytest.approx([1, 5.5, 37])
    assert taken[3] == pytest.approx(37 * 2 / 3 + 1000 / 3)
    assert taken[4] == pytest.approx(taken[3] * 2 / 3 + 10_000 / 3)


@torch.no_grad()
def test_a_model_is_trained_on_as_if_it_had_not_been_shown():
    model = build("baseline").train()
    averaged = averages.AveragedWeights(model, window=2)
    averaged.update()
    trained = copy.deepcopy(model.state_dict())
    for average in averaged.averages.values():
        average.mul_(2)
    with averages.as_evaluated(model, "recalibrated", averaged, BATCHES):
        assert torch.equal(model.head.weight, averaged.averages["head.weight"])
        assert not torch.equal(model.blocks[0].norm.running_mean, trained["blocks.0.norm.running_mean"])
    assert same(model.state_dict(), trained)
    with averages.as_evaluated(model, "running", None, BATCHES):
        assert same(model.state_dict(), trained)


def test_averaged_weights_go_with_recalibrated_statistics_alone():
    with pytest.raises(SercoreError, match="moving averages belong to other weights"):
        Config(weights="averaged")


@pytest.fixture(scope="module")
def prepared(tones):
    from sercore.lab import experiment

    return experiment.prepare(str(tones))


def fitted(prepared, choosers, seed=0, checkpoint=None, report=None, **settings):
    rows = parts_of(prepared)
    model = build("baseline", **{**QUICK, "max_epochs": 4, "patience": 4, "batch_size": 8, **settings})
    wanted = {name: training.Chooser(rows["validation"], *views) for name, views in choosers.items()}
    return model, training.fit(model, prepared.data, rows["train"], wanted, seed, checkpoint, "x", report)


ARMS = {"toolkit": ("running", "last"), "statistics": ("recalibrated", "last"), "weights": ("recalibrated", "averaged")}


def test_arms_share_one_training_and_each_is_what_it_is_alone(prepared):
    _, together = fitted(prepared, ARMS)
    for arm, views in ARMS.items():
        alone = fitted(prepared, {arm: views})[1][arm]
        assert same(alone.weights, together[arm].weights)
        for first, second in zip(alone.history.epochs, together[arm].history.epochs, strict=True):
            assert first | {"seconds": 0} == second | {"seconds": 0}
    losses = {arm: [epoch["chooser_loss"] for epoch in own.history.epochs] for arm, own in together.items()}
    assert len({tuple(values) for values in losses.values()}) == 3


def test_a_training_with_averages_that_was_broken_off_goes_on_bit_for_bit(prepared, tmp_path):
    def break_off(values, config):
        if values["epoch"] == 2:
            raise KeyboardInterrupt

    _, whole = fitted(prepared, ARMS)
    with pytest.raises(KeyboardInterrupt):
        fitted(prepared, ARMS, checkpoint=tmp_path / "checkpoint.pt", report=break_off)
    torch.randn(5)
    _, resumed = fitted(prepared, ARMS, checkpoint=tmp_path / "checkpoint.pt")
    assert all(same(whole[arm].weights, resumed[arm].weights) for arm in ARMS)


def test_what_is_kept_is_what_was_evaluated(prepared):
    model, kept = fitted(prepared, {"weights": ARMS["weights"]})
    found = training.evaluate(model, prepared.data, parts_of(prepared)["validation"])
    history = kept["weights"].history
    assert found["chooser_loss"] == pytest.approx(history.epochs[history.chosen_epoch - 1]["chooser_loss"], abs=1e-6)


def test_recalibrated_statistics_leave_chance_where_moving_averages_have_not(prepared):
    """The audit's plateau: Keras's momentum, few updates."""
    arms = {name: ARMS[name] for name in ("toolkit", "statistics")}
    settings = {"toolkit": "keras", "max_epochs": 6, "patience": 6, "dropout": 0.0, "learning_rate": 1e-3}
    _, kept = fitted(prepared, arms, **settings)
    last = {arm: own.history.epochs[-1] for arm, own in kept.items()}
    assert last["toolkit"]["chooser_ua"] <= 0.5 < 0.9 <= last["statistics"]["chooser_ua"]
    assert last["statistics"]["chooser_loss"] < 0.6 * last["toolkit"]["chooser_loss"]

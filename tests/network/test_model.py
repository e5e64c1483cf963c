import math

import numpy as np
import pytest
import torch

import sercore
from sercore import SercoreError
from sercore.config import Config
from sercore.frontend.log_mel import FLOOR, LOUDEST, PADDING, RANGE, levelled, log_mel, regained
from sercore.network.losses import LOSSES, Softmax
from sercore.network.model import MIN_FRAMES, BatchNorm, SERModel, dropout
from sercore.network.networks import build
from sercore.network.pooling import POOLINGS, Attentive


def small(**settings):
    model = build(Config(**settings), seed=3)
    for block in model.blocks:  # statistics that are not those of a fresh layer
        torch.nn.init.uniform_(block.norm.running_mean, -0.2, 0.2)
        torch.nn.init.uniform_(block.norm.running_var, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize(
    "system, settings, count",
    [
        ("baseline", {}, 359_556),
        ("combined", {}, 359_812),
        ("ams-s10-m0.4", {}, 359_552),
        ("focal-g2-a2", {}, 359_556),
        ("baseline", {"lstm_cells": 64, "lstm_merge": "sum"}, 400_772),
        ("baseline", {"score": "general"}, 359_556 + 64 * 64),
        ("baseline", {"toolkit": "pytorch"}, 359_812),
    ],
)
def test_parameter_counts(system, settings, count):
    assert sercore.build(system, **settings).num_parameters() == count


STORED = {
    "baseline": [-0.0012, -0.0038, 0.0011, -0.0011, 0.001, 0.3333],
    "ams-s10-m0.4": [-1.083, -3.4797, 0.9982, -0.9296, 0.001, 0.3333],
    "combined": [-0.0013, -0.0017, 0.0029, 0.0014, 0.0007, 0.3333],
    "baseline, score=general": [-0.0011, 0.0024, -0.0023, -0.0006, 0.0014, 0.3333],
    "baseline, lstm_merge=sum": [0.005, 0.0009, -0.0002, 0.0014, 0.002, 0.3333],
}


@pytest.mark.parametrize("name", STORED)
def test_every_network_answers_as_it_always_did(name):
    """The right answers of a network whose weights are drawn and whose input is a wave, to four digits."""
    system, _, setting = name.partition(", ")
    model = sercore.build(system, seed=3, **dict([setting.split("=")] if setting else [])).eval()
    x = torch.sin(torch.arange(2 * 96 * 40, dtype=torch.float64) ** 1.01).view(2, 96, 40).float()
    with torch.no_grad():
        outputs = model.outputs(x, torch.tensor([96, 70]))
    found = [*outputs.scores[0].tolist(), outputs.features[1].std().item(), outputs.attention[0, 0].item()]
    assert found == pytest.approx(STORED[name], abs=2e-4)


@pytest.mark.parametrize("classes", [0, -1, 2.0, True, ["angry", "sad"], 10**6])
def test_a_number_of_classes_that_is_none_is_refused(classes):
    with pytest.raises(SercoreError, match="classes="):
        sercore.build(classes=classes)


def test_merged_cells_are_the_sum_of_both_directions():
    model = small(lstm_merge="sum")
    x = torch.randn(2, 96, 40)
    merged, last, _ = model.hidden(x)
    both, (ends, _) = model.blstm(model.convolved(x)[0].squeeze(3).transpose(1, 2).float())
    torch.testing.assert_close(merged, both[..., : both.shape[2] // 2] + both[..., both.shape[2] // 2 :])
    torch.testing.assert_close(last, ends[0] + ends[1])


def test_second_bias_of_the_lstm_is_frozen_at_zero():
    model = sercore.build()
    assert model.num_parameters(count_frozen=True) - model.num_parameters() == 256
    assert not model.blstm.bias_hh_l0.requires_grad and model.blstm.bias_hh_l0.abs().sum() == 0


def test_keras_defaults():
    model = sercore.build()
    norm, lstm, cells = model.blocks[0].norm, model.blstm, 32
    assert (norm.eps, norm.momentum) == (1e-3, 0.01)
    assert torch.equal(lstm.bias_ih_l0[cells : 2 * cells], torch.ones(cells)) and lstm.bias_ih_l0.sum() == cells
    gram = lstm.weight_hh_l0.T @ lstm.weight_hh_l0
    torch.testing.assert_close(gram, torch.eye(cells), atol=1e-5, rtol=0)
    limit = (6 / (9 * 128 + 9 * 128)) ** 0.5
    assert model.blocks[1].conv.weight.abs().max() <= limit and model.blocks[1].conv.bias.abs().sum() == 0
    pytorch = sercore.build(toolkit="pytorch").blocks[0].norm
    assert (pytorch.eps, pytorch.momentum) == (1e-5, 0.1)


def test_shapes_of_the_papers_input():
    model = small()
    x = torch.randn(2, 750, 40)
    hidden, last, mask = model.hidden(x)
    assert hidden.shape == (2, 23, 64) and last.shape == (2, 64) and mask is None
    assert model.features(x).shape == (2, 64) and model(x).shape == (2, 4)
    assert model.attention(x).sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)
    assert small(pooling="combined").features(x).shape == (2, 128)


def test_last_hidden_state_is_the_end_of_each_direction():
    hidden, last, _ = small().hidden(torch.randn(2, 96, 40))
    torch.testing.assert_close(last, torch.cat([hidden[:, -1, :32], hidden[:, 0, 32:]], 1))


@pytest.mark.parametrize("pooling", ["attentive", "combined"])
@pytest.mark.parametrize("normalisation", ["corpus", "utterance", "level"])
def test_masked_model_gives_one_by_one_what_a_batch_gives(pooling, normalisation):
    model = small(masked=True, pooling=pooling, normalisation=normalisation)
    lengths = torch.tensor([64, 150, 97])
    x = torch.randn(3, 150, 40)
    for row, length in enumerate(lengths):
        x[row, length:] = -13.8
    with torch.no_grad():
        together = model(x, lengths)
        more = torch.cat([x, torch.full((3, 40, 40), 5.0)], 1)
        torch.testing.assert_close(model(more, lengths), together, rtol=1e-4, atol=1e-4)
        for row, length in enumerate(lengths):
            alone = model(x[row : row + 1, :length], lengths[row : row + 1])
            torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)


def test_masked_batch_norm_counts_only_what_is_real():
    norm, x = BatchNorm(3, eps=1e-3, momentum=0.5), torch.randn(4, 3, 8, 5)
    lengths = torch.tensor([8, 3, 5, 1])
    mask = torch.arange(8) < lengths[:, None]
    out = norm(x, mask)
    real = x.permute(0, 2, 3, 1)[mask].reshape(-1, 3)
    expected = (real - real.mean(0)) / (real.var(0, correction=0) + 1e-3).sqrt()
    torch.testing.assert_close(out.permute(0, 2, 3, 1)[mask].reshape(-1, 3), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_mean, 0.5 * real.mean(0), rtol=1e-4, atol=1e-6)
    full, plain = BatchNorm(3, eps=1e-3, momentum=0.5), torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.5)
    torch.testing.assert_close(full(x, torch.ones(4, 8, dtype=torch.bool)), plain(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(full.running_var, plain.running_var)


def test_unmasked_model_hears_the_padding_as_in_the_paper():
    model, x = small(), torch.randn(1, 64, 40)
    padded = torch.cat([x, torch.full((1, 64, 40), -13.8)], 1)
    assert not torch.allclose(model(x), model(padded), atol=1e-4)


@pytest.mark.parametrize("masked", [False, True])
def test_level_makes_the_gain_of_a_recording_count_for_nothing(masked):
    model, lengths = small(normalisation="level", masked=masked), torch.tensor([70, 96])
    x = torch.randn(2, 96, 40)
    x[0, 70:] = PADDING
    louder = x + 3
    louder[0, 70:] = PADDING
    torch.testing.assert_close(model(louder, lengths), model(x, lengths), rtol=1e-4, atol=1e-5)
    other = small(masked=masked)
    assert not torch.allclose(other(louder, lengths), other(x, lengths), atol=1e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_by_utterance_the_gain_of_a_recording_counts_for_nothing_down_to_the_floor(masked):
    model, lengths = small(normalisation="utterance", masked=masked), torch.tensor([70, 96])
    samples = np.random.default_rng(0).standard_normal((2, 96 * 160)) * np.linspace(0.001, 0.3, 96 * 160)
    loud, soft = (
        torch.from_numpy(np.stack([log_mel(row.astype(np.float32))[:96] for row in gain * samples])) for gain in (1, 10**-1.5)
    )
    for x in (loud, soft):
        x[0, 70:] = PADDING
    assert (soft < math.log(2 * FLOOR)).float().mean() > 0.1  # many cells lie below what is added to them
    torch.testing.assert_close(model(soft, lengths), model(loud, lengths), rtol=1e-3, atol=1e-3)


def test_a_regained_recording_has_its_loudest_cell_where_a_voice_has_it():
    x = torch.tensor([[[0.0, PADDING], [3.0, 2.0], [9.0, 9.0]]])
    expected = torch.tensor([[[math.log(LOUDEST) - 3, PADDING], [math.log(LOUDEST), math.log(LOUDEST) - 1], [PADDING, PADDING]]])
    torch.testing.assert_close(regained(x, torch.tensor([[True, True, False]])), expected, rtol=1e-4, atol=1e-4)
    silence = torch.full((1, 5, 2), PADDING)
    assert torch.isfinite(regained(silence)).all()


def test_levels_are_below_the_loudest_cell_and_end_80_db_below():
    x = torch.tensor([[[0.0, -5.0], [3.0, -30.0], [9.0, 9.0]]])
    expected = torch.tensor([[[-3.0, -8.0], [0.0, -RANGE], [-RANGE, -RANGE]]])
    torch.testing.assert_close(levelled(x, torch.tensor([[True, True, False]])), expected)
    torch.testing.assert_close(levelled(x[:, :2]), expected[:, :2])
    assert pytest.approx(80 / (10 / math.log(10))) == RANGE


def test_normalisation_is_part_of_the_model():
    model, x = small(), torch.randn(1, 64, 40)
    plain = model(x)
    model.set_normalisation(torch.full((40,), 2.0), torch.full((40,), 3.0))
    torch.testing.assert_close(model(3 * x + 2), plain, rtol=1e-4, atol=1e-5)
    assert {"mean", "deviation"} <= set(model.state_dict())


def test_seeds_decide_the_weights_whatever_was_drawn_before():
    first = build(Config(), seed=5).state_dict()
    torch.randn(7)
    second, other = build(Config(), seed=5).state_dict(), build(Config(), seed=6).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_bfloat16_is_close_to_float32():
    x = torch.randn(2, 96, 40)
    exact, reduced = small(), small(precision="bfloat16")
    reduced.load_state_dict(exact.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(exact(x).softmax(-1), reduced(x).softmax(-1), atol=0.03, rtol=0)
    reduced.train()
    reduced.loss(x, torch.tensor([0, 1])).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in reduced.parameters())


def test_dropout_drops_its_share_and_keeps_the_mean():
    torch.manual_seed(0)
    for x in (torch.ones(4, 16, 30, 20), torch.ones(4, 16, 30, 20).to(memory_format=torch.channels_last)):
        out = dropout(x, 0.25)
        assert out.shape == x.shape
        torch.testing.assert_close(out[out != 0], torch.full_like(out[out != 0], 4 / 3))
    share = (dropout(torch.ones(10, 100, 100, 10), 0.25) == 0).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.002)


def test_dropout_drops_the_same_elements_in_every_memory_format():
    outputs = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(1)
        outputs.append(dropout(torch.ones(2, 16, 9, 5).to(memory_format=layout), 0.5))
    assert torch.equal(*outputs)


def test_errors_say_what_to_do():
    with pytest.raises(sercore.SercoreError, match=r"(?s)loss 'arcface'.*pooling 'max'"):
        SERModel(Config(loss="arcface", pooling="max"))
    with pytest.raises(sercore.SercoreError, match="alpha has 2 values for 4 classes"):
        SERModel(Config(loss="focal", alpha=(1.0, 2.0)))
    with pytest.raises(sercore.SercoreError, match=f"at least {MIN_FRAMES}"):
        small()(torch.randn(1, 20, 40))
    with pytest.raises(sercore.SercoreError, match="needs the lengths"):
        small(masked=True)(torch.randn(1, 64, 40))


def test_more_classes_than_four():
    assert sercore.build("ams-s10-m0.4", classes=6)(torch.randn(1, 64, 40)).shape == (1, 6)


class OneEach(Softmax):
    def forward(self, features, labels):
        return super().forward(features, labels) * torch.ones(len(features))  # should be one number


class Narrow(Attentive):
    multiple = 2

    def weights(self, hidden, query, mask=None):
        raise RuntimeError("my own mistake")

    def forward(self, hidden, query, mask=None):
        return hidden.mean(1)


def test_mistakes_in_ones_own_loss_and_pooling_are_named_together_before_training(monkeypatch):
    monkeypatch.setitem(LOSSES, "each", OneEach)
    monkeypatch.setitem(POOLINGS, "narrow", Narrow)
    with pytest.raises(SercoreError) as caught:
        build(Config(loss="each", pooling="narrow"))
    said = str(caught.value)
    assert "the value of loss 'each' has the shape (2,)" in said and "one number" in said
    assert "the output of pooling 'narrow' has the shape (2, 64) for two utterances, and must have (2, 128)" in said
    assert "RuntimeError: my own mistake" in said and "test_model.py, line" in said and len(caught.value.offenders) == 3

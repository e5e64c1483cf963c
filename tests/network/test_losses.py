import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sercore.config import Config
from sercore.network.losses import LOSSES, focal_loss


def head(loss, features=6, classes=4, **settings):
    torch.manual_seed(0)
    return LOSSES[loss](features, classes, Config(loss=loss, **settings))


def reference_focal(scores, labels, gamma, alpha):
    scores = scores.double().numpy()
    p = np.exp(scores - scores.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    p_t = p[np.arange(len(labels)), labels]
    return float(np.mean(-alpha * (1 - p_t) ** gamma * np.log(p_t)))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_focal_agrees_with_a_float64_reference(gamma, alpha):
    torch.manual_seed(1)
    scores, labels = torch.randn(32, 4) * 3, torch.randint(0, 4, (32,))
    assert focal_loss(scores, labels, gamma, alpha).item() == pytest.approx(
        reference_focal(scores, labels, gamma, alpha), rel=1e-5
    )


def test_focal_without_focus_is_cross_entropy():
    scores, labels = torch.randn(16, 4), torch.randint(0, 4, (16,))
    assert focal_loss(scores, labels, gamma=0.0).item() == pytest.approx(F.cross_entropy(scores, labels).item(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal_is_finite_with_finite_gradient_at_huge_logits(gamma):
    for label in (0, 1):
        scores = torch.tensor([[1e4, -1e4, 0.0, 0.0]], requires_grad=True)
        loss = focal_loss(scores, torch.tensor([label]), gamma)
        loss.backward()
        assert torch.isfinite(loss) and torch.isfinite(scores.grad).all()


def test_focal_takes_one_alpha_a_class():
    features, labels = torch.randn(8, 6), torch.randint(0, 4, (8,))
    plain = head("focal", gamma=2, alpha=1.0)
    weighted = head("focal", gamma=2, alpha=(3.0, 3.0, 3.0, 3.0))
    assert weighted(features, labels).item() == pytest.approx(3 * plain(features, labels).item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["focal", "ams+focal"])
def test_every_class_has_its_own_alpha(loss):
    features, labels, alpha = torch.randn(8, 6), torch.tensor([0, 1, 2, 3, 0, 1, 2, 2]), (1.0, 2.0, 3.0, 4.0)
    own = head(loss, gamma=2, alpha=alpha)(features, labels).item()
    plain = head(loss, gamma=2, alpha=1.0)
    each = [plain(features[row : row + 1], labels[row : row + 1]).item() for row in range(8)]
    assert own == pytest.approx(np.mean([alpha[label] * value for label, value in zip(labels, each, strict=True)]), rel=1e-5)


def test_ams_by_hand():
    ams = head("ams", features=2, classes=2, scale=10.0, margin=0.4)
    ams.weight.data = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    features, labels = torch.tensor([[3.0, 4.0]]), torch.tensor([0])
    assert ams.scores(features).tolist()[0] == pytest.approx([6.0, 8.0])
    expected = -math.log(math.exp(2.0) / (math.exp(2.0) + math.exp(8.0)))
    assert ams(features, labels).item() == pytest.approx(expected, rel=1e-6)


def test_ams_scores_hold_no_margin_and_do_not_know_the_label():
    wide, narrow = head("ams", margin=0.4), head("ams", margin=0.1)
    features = torch.randn(5, 6)
    assert torch.equal(wide.scores(features), narrow.scores(features))
    assert wide.scores(features).abs().max() <= 10.0001


def test_ams_without_margin_is_cross_entropy_of_its_scores():
    ams = head("ams", margin=0.0, scale=7.0)
    features, labels = torch.randn(9, 6), torch.randint(0, 4, (9,))
    assert ams(features, labels).item() == pytest.approx(F.cross_entropy(ams.scores(features), labels).item(), rel=1e-6)


def test_ams_survives_a_zero_feature():
    features = torch.zeros(2, 6, requires_grad=True)
    head("ams")(features, torch.tensor([0, 1])).backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_are_parameters_of_the_loss_and_receive_gradients(loss):
    module = head(loss)
    module(torch.randn(8, 6), torch.randint(0, 4, (8,))).backward()
    assert "weight" in module.state_dict()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_finite_at_huge_features(loss):
    features = (torch.randn(8, 6) * 1e4).requires_grad_()
    value = head(loss)(features, torch.randint(0, 4, (8,)))
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(features.grad).all()


def test_combination_reduces_to_its_parts():
    features, labels = torch.randn(8, 6), torch.randint(0, 4, (8,))
    both = head("ams+focal", gamma=0.0, alpha=1.0)
    assert both(features, labels).item() == pytest.approx(head("ams")(features, labels).item(), rel=1e-5)

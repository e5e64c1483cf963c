import pytest
import torch
from torch.nn import functional as F

import sercore
from sercore.network.losses import LOSSES, Softmax
from sercore.network.pooling import POOLINGS, Attentive, weighted_mean


@pytest.mark.parametrize("name", [*LOSSES, *POOLINGS])
def test_what_comes_along_falls_into_no_trap(name):
    sercore.testing.check(name)


class Loudest(Attentive):
    def forward(self, hidden, query, mask=None):
        weights = self.weights(hidden, query, mask)
        return (hidden.float() * weights[..., None]).amax(1)


def test_a_maximum_has_kinks_and_a_gradient_nonetheless(monkeypatch):
    monkeypatch.setitem(POOLINGS, "loudest", Loudest)
    for seed in range(5):
        torch.manual_seed(seed)
        sercore.testing.check("loudest")


class OfTheBatch(Softmax):
    def scores(self, features):
        return super().scores(features - features.mean(0))


class Drawn(Softmax):
    def forward(self, features, labels):
        return F.cross_entropy(self.scores(F.dropout(features, 0.5)), labels)


class Detached(Softmax):
    def forward(self, features, labels):
        return F.cross_entropy(self.scores(features.detach()), labels)


class Logarithm(Softmax):
    def forward(self, features, labels):
        return -self.scores(features).softmax(1).gather(1, labels[:, None]).log().mean()


class HearsPadding(Attentive):
    def forward(self, hidden, query, mask=None):
        return weighted_mean(hidden.float(), self.weights(hidden, query)) + hidden.float().mean(1)


class Deviation(Attentive):
    def forward(self, hidden, query, mask=None):
        hidden = hidden.float()
        return (hidden - hidden.mean(1, keepdim=True)).square().mean(1).sqrt()


@pytest.mark.parametrize(
    "table, broken, words",
    [
        (LOSSES, OfTheBatch, "scores of an utterance depend on the others"),
        (LOSSES, Drawn, "the same input gives another value"),
        (LOSSES, Detached, "no gradient reaches the input"),
        (LOSSES, Logarithm, "not finite, or its gradient is not, at features of 1e4"),
        (POOLINGS, HearsPadding, "what stands in the padding changes the feature"),
        (POOLINGS, Deviation, "not finite, or its gradient is not, for constant states"),
    ],
)
def test_each_trap_is_found(monkeypatch, table, broken, words):
    monkeypatch.setitem(table, "own", broken)
    state = torch.get_rng_state()
    with pytest.raises(AssertionError, match=words):
        sercore.testing.check("own")
    assert torch.equal(torch.get_rng_state(), state)


def test_a_name_that_is_none_says_which_there_are():
    with pytest.raises(sercore.SercoreError, match="no loss and no pooling is called 'focall'; did you mean focal"):
        sercore.testing.check("focall")

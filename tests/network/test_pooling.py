import numpy as np
import pytest
import torch

from sercore.config import Config
from sercore.network.pooling import POOLINGS, VARIANCE_FLOOR, weighted_deviation, weighted_mean


def pooled(name, score="dot", channels=6):
    torch.manual_seed(0)
    return POOLINGS[name](channels, Config(pooling=name, score=score))


def test_attentive_pooling_by_hand():
    hidden = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    query = torch.tensor([[np.log(3.0), 0.0]], dtype=torch.float32)
    assert pooled("attentive", channels=2)(hidden, query).tolist()[0] == pytest.approx([0.75, 0.25])


def test_combined_pooling_appends_the_weighted_deviation():
    hidden, query = torch.randn(3, 7, 6), torch.randn(3, 6)
    module = pooled("combined")
    weights = module.weights(hidden, query).double().numpy()
    h = hidden.double().numpy()
    mean = np.einsum("bt,btc->bc", weights, h)
    deviation = np.sqrt(np.einsum("bt,btc->bc", weights, h**2) - mean**2)
    np.testing.assert_allclose(module(hidden, query).numpy(), np.concatenate([mean, deviation], 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_constant_input_has_finite_deviation_and_gradient(dtype):
    hidden = torch.full((2, 5, 6), 3.0, dtype=dtype, requires_grad=True)
    out = pooled("combined")(hidden, torch.ones(2, 6, dtype=dtype))
    out.sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(hidden.grad).all()
    assert out[:, 6:].max().item() == pytest.approx(VARIANCE_FLOOR**0.5)


@pytest.mark.parametrize("name", POOLINGS)
@pytest.mark.parametrize("score", ["dot", "general"])
def test_padding_never_changes_a_masked_output(name, score):
    module, lengths = pooled(name, score), [3, 7, 5]
    hidden, query = torch.randn(3, 7, 6), torch.randn(3, 6)
    mask = torch.arange(7) < torch.tensor(lengths)[:, None]
    before = module(hidden, query, mask)
    after = module(torch.where(mask[..., None], hidden, torch.tensor(1e3)), query, mask)
    torch.testing.assert_close(before, after)
    assert (module.weights(hidden, query, mask)[~mask] == 0).all()
    for row, length in enumerate(lengths):
        alone = module(hidden[row : row + 1, :length], query[row : row + 1])
        torch.testing.assert_close(alone[0], before[row])


def test_the_general_score_is_that_of_the_query_through_its_matrix():
    hidden, query, module = torch.randn(3, 7, 6), torch.randn(3, 6), pooled("attentive", "general")
    scores = torch.einsum("btc,cd,bd->bt", hidden, module.general.weight, query)
    torch.testing.assert_close(module.weights(hidden, query), scores.softmax(1))


def test_general_score_adds_one_matrix():
    assert sum(p.numel() for p in pooled("attentive", "general").parameters()) == 36
    assert sum(p.numel() for p in pooled("combined").parameters()) == 0


def test_mean_and_deviation_of_equal_weights_are_the_usual_ones():
    hidden, weights = torch.randn(2, 9, 4), torch.full((2, 9), 1 / 9)
    mean = weighted_mean(hidden, weights)
    torch.testing.assert_close(mean, hidden.mean(1))
    torch.testing.assert_close(weighted_deviation(hidden, weights, mean), hidden.std(1, correction=0), rtol=1e-4, atol=1e-5)

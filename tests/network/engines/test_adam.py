"""Adam: what PyTorch's own computes, begun anew or gone on from its state."""

import copy

import pytest
import torch

import sercore
from sercore.network.engines.adam import Adam


@pytest.fixture
def model():
    built = sercore.build("baseline", seed=1)
    built.blocks.to(memory_format=torch.channels_last)
    return built


def trained(model):
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def steps(model, optimiser, numbers):
    """Steps with gradients that are drawn, of all sizes: those of a network are next to 0 here and there, and noise decides."""
    for number in numbers:
        draw = torch.Generator().manual_seed(number)
        for size, parameter in enumerate(trained(model)):
            parameter.grad = torch.empty_like(parameter).copy_(10.0 ** (-size % 7) * torch.randn(parameter.shape, generator=draw))
        optimiser.step()


def theirs(model):
    return torch.optim.Adam(trained(model), lr=1e-3, eps=1e-7)


def assert_equal(first, second):
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name], atol=1e-6, rtol=1e-6, msg=name)


def test_it_steps_as_pytorchs_own(model):
    other = copy.deepcopy(model)
    steps(model, Adam(model.parameters(), 1e-3, eps=1e-7), range(3))
    steps(other, theirs(other), range(3))
    assert_equal(model, other)


def test_it_goes_on_from_pytorchs_state(model):
    before = theirs(model)
    steps(model, before, range(3))
    state, other = copy.deepcopy(before.state_dict()), copy.deepcopy(model)
    ours, again = Adam(model.parameters(), 1e-3, eps=1e-7), theirs(other)
    ours.load_state_dict(state), again.load_state_dict(state)
    steps(model, ours, [3]), steps(other, again, [3])
    assert_equal(model, other)


def test_what_has_no_gradient_stays(model):
    weight, optimiser = model.head.weight.detach().clone(), Adam(model.parameters(), 1e-3)
    model.blstm.bias_ih_l0.grad = torch.ones_like(model.blstm.bias_ih_l0)
    optimiser.step()
    assert torch.equal(model.head.weight, weight)
    assert sum(state["step"] for state in optimiser.state) == 1

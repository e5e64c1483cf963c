"""The earlier systems of Table 1: what is checked of the paper's network, checked of each of them."""

import math

import pytest
import torch

import sercore
from sercore import SercoreError
from sercore.config import Config
from sercore.frontend.front_ends import FRONT_ENDS
from sercore.lab import systems
from sercore.network import NETWORKS, build
from sercore.network.engines.adam import Adam
from sercore.network.prior import PRIOR, cnn_blstm, crnn_3d
from sercore.network.prior.crnn_3d import first_and_last
from sercore.network.prior.pieces import even_segments

LENGTHS = torch.tensor([340, 301, 300, 33, 5])
PARAMETERS = {
    "lstm": 219_652,
    "lstm-att": 227_972,
    "rnn-att": 938_244,
    "cnn-blstm": 1_020_236,
    "tdnn-lstm": 2_273_028,
    "resnet-mha": 1_930_500,
    # of their code: 7,334,726, since TensorFlow's LSTM has one bias vector for PyTorch's two
    "3d-crnn": 7_334_726 + 2 * 4 * 128,
}
STORED = {
    "lstm": [0.241, 0.2553, 0.2528, 0.2509],
    "lstm-att": [0.2501, 0.2512, 0.2544, 0.2443],
    "rnn-att": [0.2493, 0.249, 0.2417, 0.26],
    "cnn-blstm": [0.244, 0.2627, 0.2404, 0.2529],
    "tdnn-lstm": [0.2351, 0.26, 0.2407, 0.2641],
    "resnet-mha": [0.2352, 0.2369, 0.249, 0.2789],
    "3d-crnn": [0.2466, 0.2769, 0.2456, 0.2308],
}


@pytest.fixture(scope="module", params=systems.TABLE_1)
def slug(request):
    return request.param


def network(slug, **settings):
    return build(systems.config(slug).replace(**settings), 4, seed=3)


def batch(model, frames=350):
    bands = FRONT_ENDS[model.front_end].bands
    x = torch.sin(torch.arange(len(LENGTHS) * frames * bands, dtype=torch.float64) ** 1.01).view(len(LENGTHS), frames, bands)
    return x.float(), torch.tensor([0, 1, 2, 3, 0])


@pytest.fixture
def narrow(monkeypatch):
    """Its convolutions take seconds at full width, and minutes where bfloat16 is emulated."""
    monkeypatch.setattr(crnn_3d, "FILTERS", (8,) * 6)


def test_table_1_is_what_the_networks_are():
    assert list(systems.TABLE_1) == list(PRIOR) == list(PARAMETERS)
    assert all(changes["network"] == slug for slug, changes in systems.TABLE_1.items())
    deaf = {slug: own.front_end for slug, own in PRIOR.items() if FRONT_ENDS[own.front_end].of_log_mel is None}
    assert deaf == systems.NEEDS_AUDIO


def test_parameter_counts(slug):
    assert sercore.build(slug).num_parameters() == PARAMETERS[slug]


def test_shapes(slug, narrow):
    model = network(slug).eval()
    x, _ = batch(model)
    with torch.no_grad():
        scores, features, attention = model.outputs(x, LENGTHS)
    assert scores.shape == (5, 4) and features.shape[0] == 5 and torch.isfinite(scores).all()
    assert attention.shape in ((5, 0), (5, 350 // 32))
    if attention.shape[1]:
        torch.testing.assert_close(attention.sum(1), torch.ones(5))
        assert (attention[3, 2:] == 0).all()  # nothing beyond an utterance's end
    torch.testing.assert_close(model(x, LENGTHS), scores)


def test_padding_and_company_change_nothing(slug, narrow):
    model = network(slug).eval()
    x, _ = batch(model)
    with torch.no_grad():
        whole = model.outputs(x, LENGTHS)
        noise = torch.cat([torch.where((torch.arange(350) < LENGTHS[:, None])[:, :, None], x, torch.tensor(7.0)), 9 + x], 1)
        padded = model.outputs(noise, LENGTHS)
        for row, length in enumerate(LENGTHS.tolist()):
            alone = model.outputs(x[row : row + 1, :length], LENGTHS[row : row + 1])
            for ours, theirs, other in zip(whole[:2], alone[:2], padded[:2], strict=True):
                torch.testing.assert_close(theirs[0], ours[row], atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(other[row], ours[row], atol=1e-5, rtol=1e-4)


def test_a_step_of_training_moves_every_parameter_and_lowers_the_loss(slug, narrow):
    model = network(slug)
    x, labels = batch(model)
    torch.manual_seed(0)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimiser, losses = Adam(model.parameters(), 1e-3), []
    for _ in range(4):
        loss = model.loss(x, labels, LENGTHS)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert min(losses[1:]) < losses[0] and losses[0] == pytest.approx(math.log(4), abs=0.35)
    still = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    assert not still


def test_half_precision_is_close(slug, narrow, monkeypatch):
    monkeypatch.setattr(cnn_blstm, "FILTERS", (4, 4, 4))
    full, half = network(slug).eval(), network(slug, precision="bfloat16").eval()
    x, labels = batch(full)
    half.load_state_dict(full.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(half.outputs(x, LENGTHS)[:2], full.outputs(x, LENGTHS)[:2], strict=True):
            assert ours.dtype == torch.float32
            torch.testing.assert_close(ours, theirs, atol=0.05, rtol=0.05)
        assert half.loss(x, labels, LENGTHS).item() == pytest.approx(full.loss(x, labels, LENGTHS).item(), abs=0.05)


def test_the_same_answer_as_ever(slug, narrow):
    """Stored when it was written: whoever changes the numbers of a network knows it."""
    model = network(slug).eval()
    x, _ = batch(model)
    with torch.no_grad():
        found = model(x, LENGTHS)[0].softmax(-1)
    torch.testing.assert_close(found, torch.tensor(STORED[slug]), atol=2e-4, rtol=0)


def test_segments_of_equal_length_and_of_both_ends():
    assert even_segments(torch.tensor([300, 301, 700]), 300) == [
        *[(0, 0, 300), (1, 0, 150), (1, 150, 301), (2, 0, 233), (2, 233, 467), (2, 467, 700)],
    ]
    assert first_and_last(torch.tensor([299, 300, 450])) == [(0, 0, 299), (1, 0, 300), (2, 0, 300), (2, 150, 450)]


def test_segments_vote():
    model = network("cnn-blstm").eval()
    x, labels = batch(model, 600)
    lengths = torch.full((5,), 600)
    with torch.no_grad():
        scores, features, owner = model.segments(x, lengths)
        assert owner.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        outputs = model.outputs(x, lengths)
        torch.testing.assert_close(outputs.scores.softmax(-1), scores.softmax(-1).view(5, 2, 4).mean(1))
        torch.testing.assert_close(outputs.features, features.view(5, 2, -1).mean(1))
        expected = torch.nn.functional.cross_entropy(scores, labels.repeat_interleave(2))
        torch.testing.assert_close(model.loss(x, labels, lengths), expected)


def test_the_surest_of_both_ends_decides(narrow):
    model = network("3d-crnn").eval()
    x, _ = batch(model, 500)
    lengths = torch.full((5,), 500)
    with torch.no_grad():
        first, last = (model(part, torch.full((5,), 300)).softmax(-1) for part in (x[:, :300], x[:, 200:]))
        expected = torch.maximum(first, last)
        torch.testing.assert_close(model(x, lengths).softmax(-1), expected / expected.sum(1, keepdim=True))


@pytest.mark.parametrize("setting", ["masked=true", "pooling=combined", "loss=ams", "dropout=0.1", "toolkit=pytorch"])
def test_settings_of_another_network_are_refused(setting):
    name = setting.partition("=")[0]
    with pytest.raises(SercoreError, match=rf"{name}: the network 'lstm' has no such setting; it has clip_seconds, batch_size"):
        sercore.build(f"lstm@{setting}")


def test_what_is_not_there_or_does_not_combine_is_refused():
    with pytest.raises(SercoreError, match=r"unknown network 'lsmt' \(did you mean lstm\?.*SERCORE_EXTENSIONS"):
        build(Config(network="lsmt"))
    with pytest.raises(SercoreError, match="lstm is a network of its own, and combines with nothing"):
        sercore.build("lstm+combined")
    assert systems.family("lstm-att") == "prior" and systems.expand("table1") == list(systems.TABLE_1)
    assert next(iter(NETWORKS)) == "proposed"

"""The earlier systems of Table 1 go the way of all others: run, record, label, and what a corpus without audio cannot give."""

import fresh_process
import numpy as np
import pytest

from sercore import SercoreError
from sercore.frontend.front_ends import FRONT_ENDS
from sercore.inference import prediction
from sercore.lab import bundle, experiment, metrics, records, sweep, systems
from sercore.network.networks import NETWORKS
from sercore.network.prior import crnn_3d

QUICK = {"max_epochs": 1, "clip_seconds": 0.5}


@pytest.mark.parametrize("slug", systems.TABLE_1)
def test_a_run_leaves_a_record_and_a_model_that_labels_alike(slug, tones, tmp_path, monkeypatch):
    monkeypatch.setattr(crnn_3d, "FILTERS", (8,) * 6)
    heard = NETWORKS[slug].front_end
    if not FRONT_ENDS[heard].available():
        pytest.skip(f"{FRONT_ENDS[heard].package} is not installed")
    folder = experiment.run(str(tones), "speaker", slug, runs=tmp_path, overrides=QUICK)
    facts, test = records.read_facts(folder), records.read_test(folder)
    assert facts["system"] == facts["config"]["network"] == slug and facts["front_end"] == heard and facts["engine"] == "plain"
    assert facts["config"]["learning_rate"] == systems.TABLE_1[slug].get("learning_rate", 1e-4)
    assert test["attention"].shape in ((8, 0), (8, 1))
    found = prediction.predict([tones.parent / str(name) for name in test["utterance"]], folder)
    cooled = metrics.cooled(test["probabilities"], facts["temperature"])
    np.testing.assert_allclose(found[facts["classes"]].to_numpy(), cooled, atol=1e-4)
    assert experiment.run(str(tones), "speaker", slug, runs=tmp_path, overrides=QUICK) == folder


def test_long_recordings_are_heard_in_windows_by_every_front_end(tones, tmp_path):
    wave = np.random.default_rng(0).standard_normal(4 * 8_000).astype(np.float32) / 10
    seen = []
    for heard in ("spectrogram", "log_mel_deltas"):
        own = FRONT_ENDS[heard]
        samples = [part.copy() for part in prediction._windows(iter(np.split(wave, 8)), 8_000)]
        seen.append(len(samples))
        assert all(own.compute(part)[:50].shape == (50, own.bands) for part in samples)
    assert seen == [7, 7]


def test_spectra_alone_are_heard_by_those_that_need_no_more(tones, tmp_path):
    path = bundle.write(str(tones), tmp_path / "tones.bundle")
    plan = sweep.plan(str(path), "table1")
    assert plan.unheard == tuple(systems.NEEDS_AUDIO)
    assert {name.system for name in plan.names} == {"lstm", "lstm-att", "3d-crnn"}
    with pytest.raises(SercoreError, match="rnn-att: they hear what takes recordings, and tones is spectra alone"):
        sweep.plan(str(path), "rnn-att")
    spectra, audio = experiment.prepare(str(path)), experiment.prepare(str(tones))
    with pytest.raises(SercoreError, match="tdnn-lstm hears 257 Fourier log-energies up to 8 kHz, which takes recordings"):
        experiment.configure(spectra, "tdnn-lstm")
    config = systems.config("3d-crnn")
    for coarse, fine in zip(spectra.heard_by(config).inputs.arrays, audio.heard_by(config).inputs.arrays, strict=True):
        np.testing.assert_allclose(coarse, fine, atol=1 / 64)


def test_a_bundle_can_have_what_the_others_hear(tones, tmp_path):
    path = bundle.write(str(tones), tmp_path / "tones.bundle", front_ends=("spectrogram", "fourier"))
    assert {name.system for name in sweep.plan(str(path), "table1").names} == set(systems.TABLE_1) - {"rnn-att", "resnet-mha"}
    spectra, audio = experiment.prepare(str(path)), experiment.prepare(str(tones))
    for slug in ("cnn-blstm", "tdnn-lstm"):
        ours, theirs = (prepared.heard_by(systems.config(slug)).inputs for prepared in (spectra, audio))
        assert ours.front_end == theirs.front_end == systems.NEEDS_AUDIO[slug] and ours.digest == theirs.digest
        _, deviation = theirs.normalisation(range(len(theirs)), 1000)
        for coarse, fine in zip(ours.arrays, theirs.arrays, strict=True):
            assert (np.abs(coarse - fine) <= deviation.numpy() / 64 + 1e-4).all()
    folder = experiment.run(str(path), "speaker", "tdnn-lstm", runs=tmp_path, overrides=QUICK)
    assert records.read_facts(folder)["front_end"] == "fourier"
    with pytest.raises(SercoreError, match="front ends log_mel, nonsense: a bundle can have spectrogram, fourier, descriptors"):
        bundle.write(str(tones), tmp_path / "other.bundle", front_ends=("log_mel", "nonsense"))


NETWORK = """
import torch
from torch import nn
from sercore.network import NETWORKS, Network, Outputs


class Mean(Network):
    def __init__(self, config, classes):
        super().__init__(config, classes)
        self.head = nn.Linear(len(self.mean), classes)

    def outputs(self, x, lengths=None):
        mean = self.normalise(x, lengths).mean(1)
        return Outputs(self.head(mean), mean, x.new_zeros(len(x), 0))


NETWORKS["mean"] = Mean
"""


def test_a_network_of_ones_own_is_one_small_file(tones, tmp_path):
    (tmp_path / "mine.py").write_text(NETWORK)
    command = ("-m", "sercore", "run", tones, "speaker", "baseline@network=mean,learning_rate=0.01", "--set", "max_epochs=2")
    runs = ("--runs", tmp_path / "runs")
    done = fresh_process.run(*command, *runs, cwd=tmp_path, SERCORE_EXTENSIONS="mine.py")
    assert done.returncode == 0 and "UA" in done.stdout, done.stderr
    facts = records.read_facts(next((tmp_path / "runs").glob("*fold0")))
    assert facts["parameters"] == 41 * 4 and list(facts["code"]) == ["network"]
    done = fresh_process.run(*command, "--set", "masked=true", *runs, cwd=tmp_path, SERCORE_EXTENSIONS="mine.py")
    assert done.returncode == 2 and "masked: the network 'mean' has no such setting" in done.stderr

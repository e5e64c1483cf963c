import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

import sercore
from sercore import SercoreError
from sercore.frontend import audio
from sercore.frontend.log_mel import log_mel
from sercore.inference import models, prediction
from sercore.inference.prediction import _windows, window_probabilities
from sercore.lab import records

CLASSES = ("angry", "happy", "sad", "neutral")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pt"
    model = sercore.build("ams-s10-m0.4", clip_seconds=1.0)
    records.save_model(path, model, CLASSES, {"run": "untrained", "corpus": "none", "commit": "none"})
    return path


def wave(seconds, rate=16_000):
    return 0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))


def test_a_saved_model_gives_what_the_model_gave(model_file, tmp_path):
    soundfile.write(tmp_path / "a.wav", wave(0.8), 16_000)
    row = sercore.predict(tmp_path / "a.wav", model_file).iloc[0]
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    expected = window_probabilities(models.load(model_file, folded=False), log_mel(samples))[0, 0]
    assert [row[label] for label in CLASSES] == pytest.approx(expected.tolist(), abs=1e-6)  # float32, batch norm folded
    assert row["label"] == CLASSES[int(expected.argmax())] and row["windows"] == 1


def test_a_class_that_is_called_as_a_column_has_one_of_its_own(tmp_path):
    classes = ("doubt", "file", "p_doubt", "begin")
    model = sercore.build("baseline", clip_seconds=1.0)
    records.save_model(tmp_path / "model.pt", model, classes, {"run": "untrained"})
    soundfile.write(tmp_path / "a.wav", wave(0.8), 16_000)
    named = ["p_p_doubt", "p_file", "p_doubt", "p_begin"]
    for windows in (False, True):
        table = sercore.predict(tmp_path / "a.wav", tmp_path / "model.pt", windows=windows)
        assert table.columns.is_unique and table["file"].tolist() == [str(tmp_path / "a.wav")]
        assert table[named].to_numpy().sum() == pytest.approx(1) and table["label"].iat[0] in classes


def test_long_files_are_heard_in_windows_to_their_end(model_file):
    trained = models.load(model_file)
    mels = np.random.default_rng(1).standard_normal((260, 40)).astype(np.float32)
    found, model = window_probabilities(trained, mels)[:, 0], trained.networks[0]
    with torch.inference_mode():
        alone = [
            model(torch.from_numpy(mels[None, s : s + 100]), torch.tensor([100])).softmax(-1)[0].numpy()
            for s in (0, 50, 100, 150, 160)
        ]
    np.testing.assert_allclose(found, np.stack(alone), atol=1e-5)


@pytest.mark.parametrize("length", [1, 99, 100, 101, 102, 149, 150, 151, 260, 1000])
def test_windows_of_energies_that_come_in_blocks_are_those_of_the_whole(length):
    mels = np.random.default_rng(length).standard_normal((length, 40)).astype(np.float32)
    starts = [0] if length <= 101 else [*range(0, length - 100, 50), length - 100]
    for size in (1, 7, 100, 101, 1000):
        found = list(_windows([mels[at : at + size] for at in range(0, length, size)], 100))
        assert len(found) == len(starts)
        for start, window in zip(starts, found, strict=True):
            np.testing.assert_array_equal(window, mels[start : start + 100])


def test_a_long_file_is_labelled_as_it_is_read(model_file, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", wave(9.3, 22_050), 22_050)
    whole = sercore.predict(tmp_path / "a.wav", model_file)
    monkeypatch.setattr(audio, "BLOCK", 5_000)
    pieces = sercore.predict(tmp_path / "a.wav", model_file)
    assert pieces["windows"].tolist() == whole["windows"].tolist() == [18]
    np.testing.assert_allclose(pieces[list(CLASSES)], whole[list(CLASSES)], atol=1e-5)


def test_a_file_of_the_clips_own_length_is_one_window(model_file, tmp_path):
    clip = models.load(model_file).config.clip_seconds
    for name, seconds in (("whole", clip), ("more", clip + 0.02)):
        soundfile.write(tmp_path / f"{name}.wav", wave(seconds), 16_000)
    found = sercore.predict([tmp_path / "whole.wav", tmp_path / "more.wav"], model_file)
    assert found["windows"].tolist() == [1, 2]


def test_any_format_and_every_bad_file_named(model_file, tmp_path):
    soundfile.write(tmp_path / "a.flac", np.stack([wave(0.5, 44_100)] * 2, 1), 44_100)
    soundfile.write(tmp_path / "b.ogg", wave(0.5), 16_000)
    assert len(sercore.predict([tmp_path / "a.flac", tmp_path / "b.ogg"], model_file)) == 2
    (tmp_path / "c.wav").write_bytes(b"")
    with pytest.raises(sercore.SercoreError, match=r"(?s)c\.wav.*d\.wav"):
        sercore.predict([tmp_path / "a.flac", tmp_path / "c.wav", tmp_path / "d.wav"], model_file)


def test_samples_instead_of_files_are_refused(model_file):
    with pytest.raises(
        sercore.SercoreError, match=r"not as float64; sercore.load_model\(\).predict\(samples, rate\) takes samples"
    ):
        sercore.predict(wave(1.0), model_file)


def test_a_folded_network_gives_the_same_answers():
    (model, *_), (folded, *_) = (models.load(folded=kept).networks for kept in (False, True))
    x, lengths = torch.randn(3, 320, 40), torch.tensor([320, 100, 40])
    with torch.inference_mode():
        torch.testing.assert_close(folded(x, lengths), model(x, lengths), atol=1e-5, rtol=1e-5)


def test_very_short_and_silent_files_are_labelled(model_file, tmp_path):
    soundfile.write(tmp_path / "short.wav", wave(0.05), 16_000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(8_000), 16_000)
    doubts: list[str] = []
    table = sercore.predict([tmp_path / "short.wav", tmp_path / "silent.wav"], model_file, doubtful=doubts)
    assert len(doubts) == 2 and "only 0.05 s" in doubts[0] and "silent.wav: silent" in doubts[1]
    assert table[list(CLASSES)].sum(1).tolist() == pytest.approx([1, 1], abs=1e-5)


@pytest.mark.parametrize("busy", [False, True])
def test_labels_do_not_depend_on_what_else_the_machine_does(model_file, monkeypatch, busy):
    whole = sercore.load_model(model_file).networks(wave(3.3), 16_000)
    monkeypatch.setattr(prediction, "_busy", lambda: busy)
    prediction.threads()  # which remembers how many PyTorch has
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    np.testing.assert_allclose(sercore.load_model(model_file).networks(wave(3.3), 16_000), whole, atol=1e-6)


def test_the_model_that_comes_along_labels(tmp_path):
    soundfile.write(tmp_path / "a.wav", wave(1.5), 16_000)
    assert sercore.predict(tmp_path / "a.wav").loc[0, "label"] in CLASSES


def test_samples_in_memory_are_labelled_as_their_file(model_file, tmp_path):
    own = sercore.load_model(model_file)
    random = np.random.default_rng(0)
    for rate, channels in ((16_000, 1), (44_100, 2), (8_000, 1)):
        samples = random.standard_normal((2 * rate, channels)) / 10
        path = tmp_path / f"{rate}.wav"
        soundfile.write(path, samples, rate, subtype="FLOAT")
        row = sercore.predict(path, model_file).iloc[0]
        for given in (samples, samples.astype(np.float32), (samples[:, 0] if channels == 1 else samples).tolist()):
            said = own.predict(given, rate)
            assert said.label == row["label"] and said.seconds == row["seconds"] and len(said.windows) == row["windows"]
            np.testing.assert_allclose(
                [said.probabilities[name] for name in own.classes], row[list(own.classes)].astype(float), atol=1e-5
            )
    whole = np.round(random.standard_normal(16_000) * 3_000).astype(np.int16)
    assert own.predict(whole, 16_000).probabilities == own.predict(whole / 32_768, 16_000).probabilities
    assert own.predict(np.zeros(16_000), 16_000).doubt == "silent" and own.predict(whole[:1_600], 16_000).doubt == "only 0.1 s"


@pytest.mark.parametrize(
    "samples, rate, words",
    [
        (np.zeros((2, 3, 4)), 16_000, r"must be numbers, \(samples,\) or \(samples, channels\), not float64 \(2, 3, 4\)"),
        ([], 16_000, "must be numbers"),
        (["a"], 16_000, "must be numbers"),
        (np.zeros((2, 16_000)), 16_000, "with 16000 channels of 2 samples: transpose them"),
        (np.zeros(100), 0, "rate=0: samples a second"),
        (np.full(100, np.nan), 16_000, "samples: holds samples that are not finite numbers"),
        (np.full(100, 3e4), 16_000, "samples: float samples far beyond"),
    ],
)
def test_what_is_no_sound_is_refused(model_file, samples, rate, words):
    with pytest.raises(SercoreError, match=words):
        sercore.load_model(model_file).predict(samples, rate)


def test_windows_have_their_times(model_file, tmp_path):
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(40_000) / 10, 16_000)
    whole, parts = sercore.predict(path, model_file), prediction.predict(path, model_file, windows=True)
    clip = models.load(model_file).config.clip_seconds
    assert len(parts) == whole["windows"].item() > 2 and list(parts.columns[-2:]) == ["begin", "end"]
    assert parts["begin"].iloc[0] == 0 and parts["end"].iloc[-1] == 2.5
    np.testing.assert_allclose(parts["begin"].diff().iloc[1:-1], clip / 2)
    np.testing.assert_allclose(parts["end"] - parts["begin"], clip)
    classes = [name for name in whole.columns if name not in ("file", "label", "spread", "seconds", "windows", "doubt")]
    np.testing.assert_allclose(parts[classes].mean(), whole[classes].iloc[0].astype(float), atol=1e-6)


def speech(seconds):
    """Noise that comes in syllables, four a second."""
    samples = wave(seconds)
    return samples * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(len(samples)) / 16_000))


@pytest.mark.parametrize(
    "samples, doubt",
    [
        (speech(2.0), ""),
        (0.02 * speech(2.0), ""),
        (speech(0.2), "only 0.2 s"),
        (np.zeros(16_000), "silent"),
        (wave(2.0), "steady, as noise is and speech is not"),
        (0.3 * np.sin(np.arange(32_000)), "steady, as noise is and speech is not"),
        (np.concatenate([np.zeros(16_000), wave(0.1), np.zeros(16_000)]), "next to no speech: only 0.1 s of it are sound"),
    ],
)
def test_what_is_no_speech_is_doubted_and_says_so_in_the_place_of_a_label_when_asked(model_file, tmp_path, samples, doubt):
    said = sercore.load_model(model_file).predict(samples, 16_000)
    assert said.doubt == doubt and said.label in CLASSES
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    cautious = prediction.predict(tmp_path / "a.wav", model_file, cautious=True)
    assert cautious["label"].item() == (doubt or said.label) and cautious["doubt"].item() == doubt
    parts = prediction.predict(tmp_path / "a.wav", model_file, windows=True, cautious=True)
    assert set(parts["label"]) == {doubt} if doubt else set(parts["label"]) <= set(CLASSES)


def test_levels_are_the_same_however_a_recording_comes():
    samples, whole = speech(1.3).astype(np.float32), prediction.Levels()
    whole.add(samples)
    pieces = prediction.Levels()
    for start in range(0, len(samples), 777):
        pieces.add(samples[start : start + 777])
    assert np.array_equal(whole.counts, pieces.counts) and whole.samples == pieces.samples


def test_silence_around_a_recording_is_left_out_where_that_is_asked_for(tmp_path):
    time = np.arange(20_000) / 16_000
    sound = (0.2 * np.sin(900 * time) * (1 + np.sin(20 * time))).astype(np.float32)
    quiet = np.concatenate([np.zeros(16_000, np.float32), sound, np.zeros(9_600, np.float32)])
    soundfile.write(tmp_path / "quiet.wav", quiet, 16_000, subtype="FLOAT")
    cutting = prediction.Classifier(trim=True)
    said, whole = cutting.predict(quiet, 16_000), prediction.Classifier().predict(audio.trimmed(quiet)[0], 16_000)
    assert said.probabilities == pytest.approx(whole.probabilities) and said.seconds == pytest.approx(
        len(quiet) / 16_000, abs=1e-3
    )
    assert said.windows[0].begin == pytest.approx(0.9, abs=0.03) and said.windows[-1].end < said.seconds
    (_, by_file), *_ = cutting.label(tmp_path / "quiet.wav")
    assert by_file.probabilities == pytest.approx(said.probabilities, abs=1e-5)
    long = np.tile(quiet, 30)  # more than a minute: as it is read
    assert cutting.predict(long, 16_000).windows[0].begin == 0
    assert prediction.Classifier(trim=False).predict(quiet, 16_000).probabilities != pytest.approx(said.probabilities, abs=1e-3)
    assert prediction.Classifier().predict(quiet, 16_000) == said  # as this model asks


def test_the_first_of_several_networks_can_label_alone():
    samples = np.sin(np.arange(16_000) * np.linspace(0.05, 0.3, 16_000)).astype(np.float32)
    whole, alone = prediction.Classifier(), prediction.Classifier(members=1)
    first = whole.networks(samples, 16_000)[0]
    said = alone.predict(samples, 16_000)
    np.testing.assert_allclose(list(said.probabilities.values()), first, atol=1e-6)
    assert np.isnan(said.spread) and len(alone.trained.about["members"]) == 1
    with pytest.raises(SercoreError, match="5 networks: of these 6 cannot"):
        prediction.Classifier(members=6)


def test_what_a_loaded_model_is_asked_for_by_files_it_labels_as_it_is(model_file, tmp_path):
    soundfile.write(tmp_path / "a.wav", wave(1.2), 16_000)
    own = sercore.load_model(model_file)
    found = sercore.predict(tmp_path / "a.wav", model=own)
    assert found.equals(sercore.predict(tmp_path / "a.wav", model=model_file))


@pytest.mark.parametrize("rate", [True, 0, 1, 999, 2_000_000, 16_000.0, "16000"])
def test_a_rate_that_no_recording_has_is_refused(model_file, rate):
    with pytest.raises(SercoreError, match="rate="):
        sercore.load_model(model_file).predict(wave(1.0), rate)


def test_whole_numbers_tell_what_full_scale_is_by_their_kind(model_file):
    own, samples = sercore.load_model(model_file), wave(1.0)
    whole = (samples * 32767).astype(np.int16)
    assert own.predict(whole, 16_000).probabilities == pytest.approx(own.predict(samples, 16_000).probabilities, abs=1e-2)
    for given in (whole.astype(int), whole.tolist()):
        with pytest.raises(SercoreError, match="64 bits do not tell"):
            own.predict(given, 16_000)


def test_what_is_no_array_of_numbers_is_refused(model_file):
    for samples in ([[0.1, 0.2], [0.3]], torch.zeros(100, requires_grad=True), torch.zeros(100, dtype=torch.bfloat16), "a.wav"):
        with pytest.raises(SercoreError, match="samples"):
            sercore.load_model(model_file).predict(samples, 16_000)


@pytest.mark.parametrize("model", [5, ["emodb"], ""])
def test_what_is_no_name_of_a_model_is_refused(model):
    with pytest.raises(SercoreError, match="model"):
        sercore.load_model(model)


def test_no_file_at_all_is_refused(model_file):
    for files in (None, 3, ""):
        with pytest.raises(SercoreError, match=r"paths|empty name"):
            sercore.predict(files, model_file)


def test_a_name_in_any_letters_is_read(model_file, tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    soundfile.write(tmp_path / "a.wav", wave(1.0), 16_000)
    try:
        os.rename(tmp_path / "a.wav", path)
    except OSError:
        pytest.skip("FILE SYSTEM WITHOUT SUCH NAMES")
    assert len(sercore.predict(os.fsdecode(path), model_file)) == 1


def test_labelling_leaves_the_callers_pytorch_as_it_was(model_file, tmp_path):
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.wav")
        soundfile.write(files[-1], wave(1.0 + number / 10), 16_000)
    code = (
        "import sys, threading, torch, sercore\n"
        "torch.set_num_threads(2); torch.manual_seed(0); state = torch.get_rng_state()\n"
        "sercore.predict(sys.argv[2:], sys.argv[1])\n"
        "found = []; thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))\n"
        "thread.start(); thread.join()\n"
        "print(torch.equal(state, torch.get_rng_state()), torch.get_num_threads(), *found)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, model_file, *files], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == ["True", "2", "2"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="NO FORK on this system")
def test_a_forked_child_labels_too(model_file, tmp_path):
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.wav")
        soundfile.write(files[-1], wave(1.0), 16_000)
    code = (
        "import multiprocessing, sys, torch, sercore\n"
        "torch.set_num_threads(1); model = sercore.load_model(sys.argv[1])\n"
        "def label():\n    return len(list(model.label(sys.argv[2:])))\n"
        "label(); child = multiprocessing.get_context('fork').Process(target=label); child.start(); child.join(60)\n"
        "print(child.exitcode); child.kill()\n"
    )
    done = subprocess.run([sys.executable, "-c", code, model_file, *files], capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["0"]

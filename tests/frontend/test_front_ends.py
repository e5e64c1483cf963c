import numpy as np
import pytest

from sercore import SercoreError
from sercore.frontend import deltas, descriptors, spectrogram
from sercore.frontend.front_ends import FRONT_ENDS
from sercore.frontend.log_mel import FLOOR, HOP, log_mel, num_frames

WAVE = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) / 10


@pytest.mark.parametrize("name", FRONT_ENDS)
def test_as_many_frames_as_log_mel_has(name):
    own = FRONT_ENDS[name]
    if not own.available():
        pytest.skip(f"{own.package} is not installed")
    for length in (1, 300, 959, 961, 16_000):
        frames = own.compute(WAVE[:length])
        assert frames.shape == (num_frames(length), own.bands) and frames.dtype == np.float32
        assert np.isfinite(frames).all()
    assert len(own.padding) == own.bands
    with pytest.raises(SercoreError, match="at least one sample"):
        own.compute(WAVE[:0])


@pytest.mark.parametrize("name", [name for name, own in FRONT_ENDS.items() if not own.package])
def test_padding_is_the_frame_of_digital_silence(name):
    own = FRONT_ENDS[name]
    silence = own.compute(np.zeros(3_200, np.float32))
    np.testing.assert_allclose(silence, np.broadcast_to(np.float32(own.padding), silence.shape), atol=1e-5)


@pytest.mark.parametrize("parameters", [spectrogram.SATT, spectrogram.SARMA], ids=["satt", "sarma"])
def test_spectra_against_librosa(parameters):
    librosa = pytest.importorskip("librosa")
    fft, length, window = parameters["fft"], parameters["length"], parameters["window"]
    padded = np.concatenate([np.zeros((fft - HOP) // 2, np.float32), WAVE, np.zeros(fft, np.float32)])
    theirs = np.abs(librosa.stft(padded, n_fft=fft, hop_length=HOP, win_length=length, window=window, center=False)) ** 2
    ours = spectrogram.log_spectrum(WAVE, **parameters)
    np.testing.assert_allclose(ours, np.log(theirs.T[: len(ours), : parameters["bins"]] + FLOOR), atol=2e-3)
    assert spectrogram.hertz(fft, parameters["bins"])[-1] == {"hamming": 3_980, "hann": 8_000}[window]


def test_a_tone_stands_where_its_frequency_is():
    tone = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000).astype(np.float32)
    assert spectrogram.hertz(800, 200)[spectrogram.spectrogram(tone)[50].argmax()] == 1_000
    assert spectrogram.hertz(512, 257)[spectrogram.fourier(tone)[50].argmax()] == 1_000


def test_deltas_against_a_straight_line_and_librosa():
    line = np.outer(np.arange(30), [1.0, -0.5])
    np.testing.assert_allclose(deltas.delta(line)[2:-2], np.tile([1.0, -0.5], (26, 1)), rtol=1e-6)
    mels = log_mel(WAVE)
    theirs = pytest.importorskip("librosa").feature.delta(mels.T, width=5, mode="nearest").T
    np.testing.assert_allclose(deltas.delta(mels), theirs, atol=1e-4)
    both = deltas.with_two_deltas(mels)
    np.testing.assert_array_equal(both[:, 80:], deltas.delta(both[:, 40:80]))
    assert deltas.with_two_deltas(mels[:1]).shape == (1, 120)


def test_descriptors_against_opensmile():
    opensmile = pytest.importorskip("opensmile")
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
    wave = (WAVE + np.sin(2 * np.pi * 150 * np.arange(16_000) / 16_000).astype(np.float32)) / 3
    theirs = smile.process_signal(wave, 16_000)[list(descriptors.NAMES)].to_numpy()
    ours = descriptors.descriptors(wave)
    np.testing.assert_allclose(ours[10:90, :16], theirs[9:89], rtol=1e-3, atol=1e-3)  # a frame later: the silence before it
    assert abs(np.median(ours[20:80, 0]) - 150) < 3
    np.testing.assert_array_equal(ours[:, 16:], deltas.delta(ours[:, :16]))

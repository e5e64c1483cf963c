import numpy as np
import pytest

from sercore import SercoreError
from sercore.frontend.log_mel import FLOOR, HOP, PADDING, clip_frames, log_mel, log_mel_blocks, num_frames


def test_the_papers_clip_is_750_frames_of_40_bands():
    assert clip_frames(7.5) == 750
    wave = np.random.default_rng(0).standard_normal(120_000).astype(np.float32)
    assert log_mel(wave).shape == (num_frames(120_000), 40) == (751, 40)


def test_against_an_independent_reference():
    """Mel energies by hand: framing, Hann window, power spectrum, triangular HTK filters."""
    wave = np.random.default_rng(1).standard_normal(4_000).astype(np.float32)
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    padded = np.concatenate([np.zeros(176), wave, np.zeros(600)])
    frames = np.stack([padded[t * HOP : t * HOP + 512] for t in range(num_frames(4_000))]) * window
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 42)
    edges = 700 * (10 ** (mel / 2595) - 1)
    bins = np.linspace(0, 8000, 257)
    rise = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    expected = np.log(power @ np.maximum(0, np.minimum(rise, fall)) + FLOOR)
    np.testing.assert_allclose(log_mel(wave), expected, atol=1e-3)


def test_padding_frames_is_padding_the_waveform():
    wave = np.random.default_rng(2).standard_normal(5_000).astype(np.float32)
    short, long = log_mel(wave), log_mel(np.concatenate([wave, np.zeros(8_000, np.float32)]))
    np.testing.assert_allclose(long[: len(short)], short, atol=1e-5)
    np.testing.assert_allclose(long[len(short) :], PADDING, atol=1e-5)


def test_silence_is_padding():
    np.testing.assert_allclose(log_mel(np.zeros(1600, np.float32)), PADDING, atol=1e-6)


@pytest.mark.parametrize("length", [1, 39, 40, 41, 159, 500, 4_001])
def test_a_waveform_in_blocks_has_the_energies_of_the_whole(length):
    waveform = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    for size in (1, 100, 333, 5_000):
        if length / size < 600:
            blocks = list(log_mel_blocks(waveform[at : at + size] for at in range(0, length, size)))
            np.testing.assert_allclose(np.concatenate(blocks), log_mel(waveform), atol=1e-4)


def test_empty_waveform_is_refused():
    with pytest.raises(SercoreError, match="at least one sample"):
        log_mel(np.zeros(0, np.float32))

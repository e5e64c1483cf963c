import hashlib

import numpy as np
import pytest
import soundfile
from recordings import READABLE, UNREADABLE, cut, tone, write

from sercore.errors import SercoreError
from sercore.frontend import audio


@pytest.mark.parametrize("suffix, subtype", [
    ("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "PCM_U8"), ("wav", "FLOAT"), ("flac", "PCM_16"),
    ("aiff", "PCM_16"), ("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III"),
])  # fmt: skip
def test_every_format_gives_the_same_sound(tmp_path, suffix, subtype):
    path = write(tmp_path / f"a.{suffix}", tone(), subtype=subtype)
    samples = audio.read(path)
    assert samples.dtype == np.float32 and samples.shape == (8000,)
    assert np.corrcoef(samples, tone())[0, 1] > 0.99
    assert audio.duration(path) == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate):
    samples = audio.read(write(tmp_path / "a.wav", tone(rate=rate), rate=rate))
    assert samples.shape == (8000,)
    assert np.abs(samples - tone()).max() < 1e-3


def test_stereo_is_averaged(tmp_path):
    path = write(tmp_path / "a.wav", np.stack([tone(), np.zeros(8000)], axis=1))
    np.testing.assert_allclose(audio.read(path), tone() / 2, atol=1e-4)


@pytest.mark.parametrize("make", READABLE.values(), ids=READABLE)
def test_unusual_files_are_read(tmp_path, make):
    path = tmp_path / "a.wav"
    make(path)
    assert audio.read(path).shape == (8000,)


@pytest.mark.parametrize("read", [audio.read, audio.duration])
@pytest.mark.parametrize("make", UNREADABLE.values(), ids=UNREADABLE)
def test_bad_files_are_named(tmp_path, make, read):
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(SercoreError, match=r"a.wav"):
        read(path)


@pytest.mark.parametrize("suffix, subtype", [("flac", "PCM_16"), ("aiff", "PCM_16"), ("wav", "FLOAT"),
                                             ("mp3", "MPEG_LAYER_III")])  # fmt: skip
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_files_of_every_format(tmp_path, suffix, subtype, share):
    path = write(tmp_path / f"a.{suffix}", tone(5.0) + 0.01 * np.random.default_rng(0).random(80_000), subtype=subtype)
    cut(path, share)
    with pytest.raises(SercoreError, match="truncated"):
        audio.read(path)


def test_streamed_wav_without_a_true_length_is_read(tmp_path):
    path = write(tmp_path / "a.wav", tone())
    header = bytearray(path.read_bytes())
    header[4:8] = header[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(header)
    assert audio.read(path).shape == (8000,)


def test_missing_folder_and_headers_alone(tmp_path):
    with pytest.raises(SercoreError, match="no such file"):
        audio.read(tmp_path / "none.wav")
    with pytest.raises(SercoreError, match="a folder; name the files in it"):
        audio.read(tmp_path)
    with pytest.raises(SercoreError, match="no samples"):
        audio.read(write(tmp_path / "a.wav", np.zeros(0, "float32")))


def test_git_lfs_pointer_says_so(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(SercoreError, match="git lfs pull"):
        audio.duration(path)


def test_float_samples_beyond_all_measure(tmp_path):
    samples = tone()
    assert np.abs(audio.read(write(tmp_path / "loud.wav", samples * 4, subtype="FLOAT"))).max() == 1.0
    with pytest.raises(SercoreError, match="scale them"):
        audio.read(write(tmp_path / "integers.wav", samples * 32768, subtype="FLOAT"))
    samples[7] = np.nan
    with pytest.raises(SercoreError, match="not finite"):
        audio.read(write(tmp_path / "nan.wav", samples, subtype="FLOAT"))


def test_digest_is_of_the_bytes(tmp_path):
    path = write(tmp_path / "a.wav")
    assert audio.digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_known_suffixes_are_those_that_libsndfile_reads():
    readable = {suffix.lower() for suffix in soundfile.available_formats()}
    spellings = {"aif": "aiff", "aifc": "aiff", "oga": "ogg", "opus": "ogg", "sph": "nist"}
    assert {spellings.get(suffix[1:], suffix[1:]) for suffix in audio.SUFFIXES} <= readable

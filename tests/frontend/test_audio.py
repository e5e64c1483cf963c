import hashlib
import os
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recordings import RATE, READABLE, UNREADABLE, cut, tone, write

from sercore.errors import SercoreError
from sercore.frontend import audio, containers


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


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path):
    for name in ("angry", "sad"):
        (tmp_path / "elsewhere" / name).mkdir(parents=True)
        soundfile.write(tmp_path / "elsewhere" / name / "a.wav", np.zeros(10), RATE)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "angry").symlink_to(tmp_path / "elsewhere" / "angry")
    (tmp_path / "elsewhere" / "angry" / "back").symlink_to(tmp_path / "here")
    (tmp_path / "elsewhere" / "angry" / "other").symlink_to(tmp_path / "elsewhere" / "sad")
    (tmp_path / "elsewhere" / "sad" / "other").symlink_to(tmp_path / "elsewhere" / "angry")
    found = [str(path.relative_to(tmp_path / "here")) for path in audio.audio_files(tmp_path / "here", Counter())]
    assert found == ["angry/a.wav", "angry/other/a.wav"]


def test_the_callers_samples_stay_as_they_are():
    given = np.full(1600, 2.0, np.float32)
    assert audio.of_samples(given, 16_000).max() == 1 and given.max() == 2
    given.setflags(write=False)
    assert len(audio.of_samples(given, 16_000)) == 1600


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
    known = audio.SUFFIXES - containers.FOREIGN_SUFFIXES
    assert {spellings.get(suffix[1:], suffix[1:]) for suffix in known} <= readable


def subtypes():
    """Every format of libsndfile that it can write and read back here; the names of those that it cannot are below."""
    broken = {"SD2", "RAW", "PAF PCM_24", "AIFF DWVW_16", "AIFF DWVW_24", "AIFF DWVW_12"}
    names = [(kind, sub) for kind in soundfile.available_formats() for sub in soundfile.available_subtypes(kind)]
    return [(kind, sub) for kind, sub in names if not {kind, f"{kind} {sub}"} & broken]


def test_every_format_that_can_be_written_is_read_back_whole(tmp_path):
    """At odd rates and lengths, of one to three channels: block codecs may add to their last block, nothing is lost."""
    random, seen = np.random.default_rng(0), set()
    for kind, sub in subtypes():
        for rate, channels, length in [(16_000, 1, 8_000), *zip(
            random.choice([7_350, 8_000, 11_127, 22_050, 44_056, 48_000, 96_000], 2), random.integers(1, 4, 2),
            random.integers(500, 9_000, 2), strict=True,
        )]:  # fmt: skip
            path, samples = tmp_path / f"a.{kind.lower()}", tone(length / rate, rate)[:length, None].repeat(channels, axis=1)
            try:
                soundfile.write(path, samples, int(rate), format=kind, subtype=sub)
            except (soundfile.LibsndfileError, ValueError):
                continue  # not with this rate or so many channels
            heard = audio.read(path)
            with soundfile.SoundFile(path) as file:
                stated = file.samplerate  # some formats know only their own
            short = len(heard) / RATE - length / stated
            assert -1e-3 <= short < 0.1, (kind, sub, rate, channels, length, short)
            again = audio.read(write(tmp_path / "b.wav", samples, stated))
            assert np.corrcoef(heard[: len(again)], again[: len(heard)])[0, 1] > 0.97, (kind, sub, rate)
            seen.add((kind, sub))
    assert len(seen) > 100


def mp3(path, seconds=4.0, **options):
    time = np.arange(round(seconds * RATE)) / RATE
    swelling = 0.3 * np.sin(2 * np.pi * 440 * time) * np.linspace(0, 1, len(time))
    soundfile.write(path, swelling, RATE, format="MP3", subtype="MPEG_LAYER_III", **options)
    return path


def test_an_mp3_file_is_read_to_its_end_whatever_it_says_of_its_length(tmp_path):
    path = mp3(tmp_path / "a.mp3", bitrate_mode="VARIABLE", compression_level=0.5)
    whole = path.read_bytes()
    second = whole.index(whole[:2], 4)
    path.write_bytes(whole[second:])  # without the frame that counts
    assert soundfile.info(path).duration < 2
    assert len(audio.read(path)) / RATE == pytest.approx(4, abs=0.15) and audio.duration(path) == pytest.approx(4, abs=0.15)
    path.write_bytes(whole + whole)
    assert len(audio.read(path)) / RATE == pytest.approx(8, abs=0.3)
    path.write_bytes(whole + b"TAG" + bytes(125))  # ID3v1 at its end is no sound
    assert len(audio.read(path)) / RATE == pytest.approx(4, abs=0.001)
    path.write_bytes(b"ID3\x04\x00\x00\x00\x00\x02\x00" + bytes(256) + whole)
    assert len(audio.read(path)) / RATE == pytest.approx(4, abs=0.001)


@pytest.mark.parametrize("kind, subtype", [
    ("wav", "PCM_16"), ("wav", "FLOAT"), ("aiff", "PCM_16"), ("au", "PCM_16"), ("flac", "PCM_16"), ("ogg", "VORBIS"),
    ("ogg", "OPUS"),
])  # fmt: skip
def test_parts_one_after_the_other_are_all_read(tmp_path, kind, subtype):
    first, second = (tmp_path / f"{name}.{kind}" for name in "ab")
    soundfile.write(first, tone(1.0), RATE, subtype=subtype)
    soundfile.write(second, np.stack([tone(2.0, 48_000)] * 2, 1), 48_000, subtype=subtype)  # another rate, another width
    first.write_bytes(first.read_bytes() + second.read_bytes())
    assert len(audio.read(first)) / RATE == pytest.approx(3, abs=0.01) and audio.duration(first) == pytest.approx(3, abs=0.01)
    assert np.abs(audio.read(first)[24_000:40_000]).max() > 0.2


def with_lengths(path, riff, data):
    content = bytearray(path.read_bytes())
    content[4:8], content[40:44] = (struct.pack("<I", length) for length in (riff, data))
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("data", [0, 0x7FFFF000, 0x7FFFFFDB, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB, 0xFFFFFFFF])
def test_what_a_pipe_wrote_is_what_stands_in_the_file(tmp_path, data):
    path = with_lengths(write(tmp_path / "a.wav", tone()), min(data + 36, 0xFFFFFFFF), data)
    np.testing.assert_array_equal(audio.read(path), audio.read(write(tmp_path / "b.wav", tone())))
    assert audio.duration(path) == pytest.approx(0.5)


def test_headers_that_lie_are_named(tmp_path):
    with pytest.raises(SercoreError, match=r"a.wav: its header states less sound than the file holds.*200 bytes of sound"):
        audio.read(with_lengths(write(tmp_path / "a.wav", tone()), 236, 200))
    for rate in (0, 1, 2_000_000_000):
        path = write(tmp_path / "a.wav", tone())
        content = bytearray(path.read_bytes())
        content[24:28] = struct.pack("<I", rate)
        path.write_bytes(content)
        with pytest.raises(SercoreError, match=r"a\.wav: "):
            audio.read(path)
    with pytest.raises(SercoreError, match=r"a.wav: too short"):
        audio.read(write(tmp_path / "a.wav", np.ones(1), 48_000))


def test_flac_without_a_length_is_read_whole(tmp_path):
    path = write(tmp_path / "a.flac", tone())
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert audio.read(path).shape == (8000,) and audio.duration(path) == pytest.approx(0.5)


def test_ogg_cut_within_a_page_is_truncated(tmp_path):
    path = write(tmp_path / "a.ogg", 0.1 * np.random.default_rng(0).standard_normal(80_000), subtype="VORBIS")
    cut(path, 0.7)
    with pytest.raises(SercoreError, match="truncated"):
        audio.read(path)


def test_long_recordings_come_in_blocks_and_to_the_same(tmp_path, monkeypatch):
    stereo = np.stack([tone(3.0, 44_100), tone(3.0, 44_100, 330)], 1)
    path = write(tmp_path / "a.flac", stereo, 44_100)
    whole = audio.read(path)
    monkeypatch.setattr(audio, "BLOCK", 10_000)
    pieces = list(audio.blocks(path))
    assert len(pieces) > 20 and max(map(len, pieces)) <= 10_000
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_channels_that_cancel_each_other_are_refused(tmp_path):
    samples = 0.2 * np.random.default_rng(0).standard_normal(8_000)
    with pytest.raises(SercoreError, match="cancel each other"):
        audio.read(write(tmp_path / "a.wav", np.stack([samples, -samples], 1)))
    assert audio.read(write(tmp_path / "a.wav", np.stack([samples, -0.5 * samples], 1))).shape == (8000,)
    assert not audio.read(write(tmp_path / "a.wav", np.zeros((8_000, 2)))).any()  # silence is silence


@pytest.mark.parametrize("head, name", [
    (b"\x00\x00\x00\x20ftypM4A ", "MPEG-4"), (b"\x1aE\xdf\xa3\x9fB\x86", "WebM"), (b"#!AMR\n", "AMR"), (b"\xff\xf1\x50", "AAC"),
])  # fmt: skip
def test_recordings_for_other_programs_are_called_by_their_name(tmp_path, head, name):
    path = tmp_path / "my voice.m4a"
    path.write_bytes(head + bytes(100))
    with pytest.raises(SercoreError, match=rf"my voice.m4a: {name}.* converted .*ffmpeg -i 'my voice.m4a' 'my voice.wav'"):
        audio.read(path)


def test_raw_samples_and_files_that_may_not_be_read_are_named(tmp_path):
    path = tmp_path / "a.raw"
    path.write_bytes(tone().tobytes())
    with pytest.raises(SercoreError, match=r"a\.raw: samples without a header"):
        audio.read(path)
    path.write_bytes(write(tmp_path / "a.wav", tone()).read_bytes())  # whatever it is called
    assert audio.read(path).shape == (8000,)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(SercoreError, match=r"pipe\.wav: not a file"):
        audio.read(tmp_path / "pipe.wav")


@pytest.mark.parametrize("look", [audio.read, audio.duration, audio.digest])
def test_a_file_that_may_not_be_read_is_named(tmp_path, monkeypatch, look):
    path = write(tmp_path / "a.wav", tone())
    path.chmod(0)
    if not os.geteuid():  # root may read everything

        def refuse(*arguments, **options):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(SercoreError, match=r"a\.wav: cannot be opened \(Permission denied\)"):
        look(path)


def test_many_bad_files_are_told_by_reason(tmp_path):
    problems = [audio.Unreadable(f"{name}.wav", "not audio", "unknown") for name in "abcdefg"]
    text = audio.told([*problems, audio.Unreadable("z.wav", "truncated")])
    assert text.splitlines() == [
        "not audio (7):", *(f"  {name}.wav (unknown)" for name in "abcde"), "  ... and 2 more", "truncated: z.wav",
    ]  # fmt: skip


def test_the_torn_beginnings_of_files_are_named(tmp_path):
    mp3(tmp_path / "whole.mp3")
    beginnings = {"a.au": b".snd" + bytes(20), "b.mp3": (tmp_path / "whole.mp3").read_bytes()[:30], "c.ogg": b"OggS" + bytes(30)}
    for name, content in beginnings.items():
        for length in range(4, len(content) + 1):
            (tmp_path / name).write_bytes(content[:length])
            with pytest.raises(SercoreError, match=name):
                audio.read(tmp_path / name)


def test_silence_around_a_sound_is_cut_off_but_for_a_tenth_of_a_second():
    sound = np.concatenate([np.full(16_000, 1e-4), 0.5 * np.sin(np.arange(8_000)), np.full(12_000, -1e-4)]).astype(np.float32)
    kept, begin = audio.trimmed(sound)
    assert begin == pytest.approx(0.9, abs=0.02) and len(kept) == pytest.approx(8_000 + 3_200, abs=640)
    assert np.array_equal(kept, sound[round(begin * 16_000) :][: len(kept)])
    for whole in (np.zeros(1_000, np.float32), np.zeros(3, np.float32), 0.5 * np.ones(5_000, np.float32)):
        same, begin = audio.trimmed(whole)
        assert np.array_equal(same, whole) and begin == 0

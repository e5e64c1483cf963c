import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fresh_process
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from sercore import SercoreError
from sercore.frontend import inputs as module
from sercore.frontend.front_ends import FRONT_ENDS
from sercore.frontend.inputs import extract
from sercore.frontend.log_mel import PADDING, levelled, log_mel, num_frames


def table(folder, lengths, seed=0):
    random, rows = np.random.default_rng(seed), []
    for index, length in enumerate(lengths):
        path = folder / f"{index:03d}.wav"
        soundfile.write(path, 0.1 * random.standard_normal(length), 16_000)
        rows.append({"id": path.stem, "path": str(path), "label": "sad", "speaker": f"s{index % 2}"})
    return pd.DataFrame(rows)


def test_batches_are_cut_and_padded(tmp_path):
    mels = extract(table(tmp_path, [16_000, 4_000]), cache=tmp_path / "cache", progress=False)
    x, lengths = mels.batch([1, 0], 50)
    assert x.shape == (2, 50, 40) and lengths.tolist() == [num_frames(4_000), 50]
    assert (x[0, lengths[0] :] == PADDING).all()
    np.testing.assert_array_equal(x[1].numpy(), mels.arrays[0][:50])


def test_normalisation_comes_from_the_frames_of_the_given_utterances_alone(tmp_path):
    mels = extract(table(tmp_path, [16_000, 4_000, 9_000]), cache=tmp_path / "cache", progress=False)
    mean, deviation = mels.normalisation([0, 2], 60)
    frames = np.concatenate([mels.arrays[0][:60], mels.arrays[2][:60]])
    np.testing.assert_allclose(mean, frames.mean(0), rtol=1e-4)
    np.testing.assert_allclose(deviation, frames.std(0), rtol=1e-4)


def test_normalisation_of_one_loudness_is_of_the_frames_as_they_are_then_heard(tmp_path):
    mels = extract(table(tmp_path, [16_000, 4_000]), cache=tmp_path / "cache", progress=False)
    mean, deviation = mels.normalisation([0, 1], 60, level=True)
    frames = np.concatenate(
        [levelled(torch.from_numpy(mels.arrays[row][:60].astype(np.float32)[None]))[0].numpy() for row in (0, 1)]
    )
    np.testing.assert_allclose(mean, frames.mean(0), rtol=1e-3)
    np.testing.assert_allclose(deviation, frames.std(0), rtol=1e-3)
    assert not np.allclose(mean, mels.normalisation([0, 1], 60)[0], rtol=1e-2)


def test_cache_is_used_and_knows_changed_audio(tmp_path, monkeypatch):
    utterances = table(tmp_path, [3_000] * 5)
    first = extract(utterances, cache=tmp_path / "cache", progress=False)
    monkeypatch.setattr(module, "_write_part", lambda *task: pytest.fail("computed again"))
    again = extract(utterances, cache=tmp_path / "cache", progress=False)
    assert again.digest == first.digest
    part = next(path for path in (tmp_path / "cache").rglob("*.npy") if "index" not in path.name)
    if os.path.exists("/proc/self/maps"):
        assert str(part) in Path("/proc/self/maps").read_text()  # mapped, not read
    np.testing.assert_array_equal(again.arrays[3], first.arrays[3])
    monkeypatch.undo()
    soundfile.write(utterances["path"][2], np.full(3_000, 0.1), 16_000)
    changed = extract(utterances, cache=tmp_path / "cache", progress=False)
    assert changed.digest != first.digest and not np.array_equal(changed.arrays[2], first.arrays[2])


def test_digest_knows_labels_and_speakers(tmp_path):
    utterances = table(tmp_path, [3_000] * 3)
    one = extract(utterances, cache=tmp_path / "cache", progress=False).digest
    assert extract(utterances.assign(label="happy"), cache=tmp_path / "cache", progress=False).digest != one
    assert extract(utterances.assign(speaker="x"), cache=tmp_path / "cache", progress=False).digest != one


def test_several_processes_give_the_same(tmp_path, monkeypatch):
    utterances = table(tmp_path, [2_000] * (module.PART + 3))
    alone = extract(utterances, cache=tmp_path / "one", workers=1, progress=False)
    shared = extract(utterances, cache=tmp_path / "two", workers=2, progress=False)
    assert alone.digest == shared.digest
    for first, second in zip(alone.arrays, shared.arrays, strict=True):
        np.testing.assert_array_equal(first, second)


def test_all_unreadable_files_are_named_at_once(tmp_path):
    utterances = table(tmp_path, [3_000] * 4)
    for index in (1, 3):
        (tmp_path / f"{index:03d}.wav").write_bytes(b"not audio")
    with pytest.raises(SercoreError, match=r"(?s)2 recordings cannot be used.*001\.wav.*003\.wav"):
        extract(utterances, cache=tmp_path / "cache", workers=1, progress=False)


def test_a_corpus_of_many_parts_holds_no_file_open(tmp_path, monkeypatch):
    utterances = table(tmp_path, [3_000] * 40)
    monkeypatch.setattr(module, "PART", 1)
    before = len(os.listdir("/proc/self/fd"))
    mels = extract(utterances, cache=tmp_path / "cache", workers=1, progress=False)
    assert len(os.listdir("/proc/self/fd")) <= before + 2
    np.testing.assert_array_equal(mels.arrays[7], log_mel(soundfile.read(utterances["path"][7], dtype="float32")[0]))


def test_a_damaged_part_and_a_cache_that_cannot_be_written_are_named(tmp_path):
    utterances = table(tmp_path, [3_000] * 4)
    extract(utterances, cache=tmp_path / "cache", workers=1, progress=False)
    part = next(path for path in (tmp_path / "cache").rglob("*.npy") if "index" not in path.name)
    part.write_bytes(part.read_bytes()[:-100])
    with pytest.raises(SercoreError, match=rf"{part.name}: not what was written there; remove it"):
        extract(utterances, cache=tmp_path / "cache", workers=1, progress=False)
    (tmp_path / "file").touch()
    with pytest.raises(SercoreError, match=r"features: cannot be written \(Not a directory\).*SERCORE_CACHE"):
        extract(utterances, cache=tmp_path / "file", workers=1, progress=False)


def test_a_kill_in_the_middle_costs_nothing_that_was_finished(tmp_path):
    utterances = table(tmp_path, [12_000] * (3 * module.PART))
    utterances.to_csv(tmp_path / "table.csv", index=False)
    program = (
        "import sys, pandas as pd\nfrom pathlib import Path\nfrom sercore.frontend.inputs import extract\n"
        f"frame = pd.read_csv({str(tmp_path / 'table.csv')!r}, dtype=str)\n"
        f"extract(frame, cache=Path({str(tmp_path / 'cache')!r}), workers=1, progress=False)\n"
    )
    process = fresh_process.start("-c", program, folder=tmp_path)
    deadline = time.time() + 60
    while not list((tmp_path / "cache").rglob("*.index.npy")) and time.time() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    whole = extract(utterances, cache=tmp_path / "cache", workers=1, progress=False)
    fresh = extract(utterances, cache=tmp_path / "other", workers=1, progress=False)
    assert whole.digest == fresh.digest
    assert all(np.array_equal(a, b) for a, b in zip(whole.arrays, fresh.arrays, strict=True))


def test_a_script_without_a_main_guard_can_extract(tmp_path):
    table(tmp_path, [2_000] * (module.PART + 3)).to_csv(tmp_path / "table.csv", index=False)
    script = tmp_path / "script.py"
    script.write_text(
        "import pandas as pd\nfrom pathlib import Path\nfrom sercore.frontend.inputs import extract\nprint('once')\n"
        f"frame = pd.read_csv({str(tmp_path / 'table.csv')!r}, dtype=str)\n"
        f"extract(frame, cache=Path({str(tmp_path / 'cache')!r}), workers=2, progress=False)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "once\n", done.stderr


def test_every_front_end_has_a_cache_of_its_own(tmp_path):
    utterances, cache = table(tmp_path, [16_000, 4_000]), tmp_path / "cache"
    digests = set()
    for parts, name in enumerate(name for name, own in FRONT_ENDS.items() if own.available()):
        found = extract(utterances, cache=cache, workers=1, progress=False, front_end=name)
        assert len(list(cache.rglob("*.index.npy"))) == parts + 1
        digests.add(found.digest)
        x, lengths = found.batch([1, 0], 50)
        own = FRONT_ENDS[name]
        assert x.shape == (2, 50, own.bands) and lengths.tolist() == [num_frames(4_000), 50]
        np.testing.assert_array_equal(x[0, -1], np.float32(own.padding))
        mean, deviation = found.normalisation([0, 1], 60)
        assert mean.shape == deviation.shape == (own.bands,)
    assert len(digests) == 1  # of the data, whoever listens


def test_other_front_ends_of_spectra_alone(tmp_path):
    utterances, cache = table(tmp_path, [16_000, 4_000]), tmp_path / "cache"
    mels = extract(utterances, cache=cache, workers=1, progress=False)
    heard = extract(utterances, cache=cache, workers=1, progress=False, front_end="log_mel_deltas")
    for ours, theirs in zip(mels.through("log_mel_deltas").arrays, heard.arrays, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert mels.through("log_mel").arrays is mels.arrays
    with pytest.raises(SercoreError, match="257 Fourier log-energies up to 8 kHz need the recordings, and here are 40 log-Mel"):
        mels.through("fourier")


def test_what_a_front_end_lacks_is_said_before_any_file_is_read(tmp_path, monkeypatch):
    from sercore.frontend import descriptors

    monkeypatch.setitem(sys.modules, "opensmile", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    descriptors._smile.cache_clear()
    with pytest.raises(SercoreError, match=r"need openSMILE: pip install opensmile"):
        extract(table(tmp_path, [4_000]), cache=tmp_path / "cache", front_end="descriptors")
    assert not (tmp_path / "cache").exists()

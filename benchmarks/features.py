"""From audio files to log-Mel energies: decode, resample to 16 kHz, 40 bands; files of nEMO, on every core.

The same recordings twice: as 16 kHz FLAC, most of whose time is libsndfile's decoding, which all share; and as 24 kHz WAV,
which is how nEMO's publisher gives them.
Each candidate works through the same files in as many processes as there are cores. librosa, torchaudio and
kaldi-native-fbank compute the same kind of features with their own defaults for what they leave open.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import measure

CORES = os.cpu_count() or 1


def ours(path: str) -> int:
    from sercore.frontend import audio, log_mel

    return len(log_mel.log_mel(audio.read(path)))


def torchaudio(path: str) -> int:
    import soundfile
    import torch

    from sercore.frontend import torchaudio_shim

    library = torchaudio_shim.load()
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = library.functional.resample(torch.from_numpy(samples.mean(1)), rate, 16_000)
    mel = library.transforms.MelSpectrogram(16_000, n_fft=512, win_length=400, hop_length=160, n_mels=40)
    return (mel(wave) + 1e-6).log().shape[1]


def librosa(path: str) -> int:
    import librosa as library
    import numpy as np

    wave, _ = library.load(path, sr=16_000)
    mel = library.feature.melspectrogram(y=wave, sr=16_000, n_fft=512, win_length=400, hop_length=160, n_mels=40)
    return np.log(mel + 1e-6).shape[1]


def kaldi(path: str) -> int:
    import kaldi_native_fbank as library
    import soundfile
    import soxr

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = samples.mean(1)
    if rate != 16_000:
        wave = soxr.resample(wave, rate, 16_000)
    options = library.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither, options.mel_opts.num_bins = 16_000, 0.0, 40
    fbank = library.OnlineFbank(options)
    fbank.accept_waveform(16_000, wave)
    fbank.input_finished()
    return len([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])


def over_files(one: Callable[[str], int], paths: Sequence[str]) -> Callable[[], Any]:
    """The whole list on every core; processes start once, as in a long job."""
    from joblib import Parallel, delayed, parallel_config

    pieces = [list(paths[start::CORES]) for start in range(CORES)]
    one(paths[0])  # what is not installed says so here

    def work() -> Any:
        with parallel_config("loky", inner_max_num_threads=1):
            return Parallel(CORES)(delayed(_each)(one, piece) for piece in pieces)

    return work


def _each(one: Callable[[str], int], paths: Sequence[str]) -> int:
    import torch

    torch.set_num_threads(1)
    return sum(one(path) for path in paths)


def main() -> None:
    options = measure.parser(__doc__)
    options.add_argument("--files", type=int, default=400)
    options.add_argument("--memory", action="store_true", help="also the peak memory for a corpus of IEMOCAP's size (minutes)")
    options.add_argument("--corpus", default="nemo", help="a corpus that `sercore corpora` finds, or a folder of your own [nemo]")
    chosen = options.parse_args()
    import sercore

    table = sercore.load(chosen.corpus)
    table = table.iloc[:: max(1, len(table) // (4 if chosen.smoke else chosen.files))]
    paths = [str(Path(path)) for path in table["path"]]
    hours = float(table["duration"].sum()) / 3600
    rows, facts = [], {}
    with tempfile.TemporaryDirectory() as folder:
        kinds = {"as found": paths} if chosen.smoke else {"FLAC 16 kHz": paths, "WAV 24 kHz": as_published(paths, Path(folder))}
        for kind, files in kinds.items():
            builds: dict[str, tuple[measure.Build, tuple]] = {
                name: (over_files, (one, files))
                for name, one in (("ours", ours), ("torchaudio", torchaudio), ("librosa", librosa), ("kaldi-native-fbank", kaldi))
            }
            seconds = measure.compare(builds, chosen)
            facts[kind] = {name: taken / len(files) * 1e3 for name, taken in seconds.items()}
            rows += [
                {"files": kind, "features": name, "ms a file": ms, "hours of speech an hour": hours * 3.6e6 / (ms * len(files))}
                | {"times librosa": facts[kind]["librosa"] / ms if "librosa" in seconds else None}
                for name, ms in sorted(facts[kind].items(), key=lambda item: item[1])
            ]
    title = f"Log-Mel energies of {len(paths)} files of {chosen.corpus} ({hours * 60:.1f} minutes) in {CORES} processes."
    found: dict[str, Any] = {"ms_per_file": next(iter(facts.values())), "ms_per_file_by_kind": facts}
    if chosen.memory:
        found["peak_memory_mib"] = peak_memory(4, 1.0) if chosen.smoke else peak_memory()
        title += (
            " The features of a corpus of IEMOCAP's size (5531 files, 6.9 hours) take "
            f"{found['peak_memory_mib']:.0f} MiB of memory at most, all processes together."
        )
    measure.report("features", chosen, title, rows, found)


def corpus_of_noise(folder: Path, files: int, seconds: float) -> Any:
    """A table of so many WAV files of noise, written into `folder`."""
    import numpy as np
    import pandas as pd
    import soundfile

    random, rows = np.random.default_rng(0), []
    for index in range(files):
        path = folder / f"{index:05d}.wav"
        soundfile.write(path, 0.1 * random.standard_normal(int(seconds * 16_000)), 16_000)
        rows.append({"id": path.stem, "path": path, "label": "sad", "speaker": "one"})
    return pd.DataFrame(rows)


def peak_memory(files: int = 5531, seconds: float = 4.5) -> float:
    """Mebibytes that the features of a corpus of IEMOCAP's size take at most, all processes together, each page once."""
    import multiprocessing
    import time

    import psutil

    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        table = corpus_of_noise(Path(folder), files, seconds)
        process = multiprocessing.get_context("spawn").Process(target=_extract, args=(table, cache))
        process.start()
        highest, tree = 0, psutil.Process(process.pid)
        while process.is_alive():
            try:
                highest = max(highest, sum(each.memory_full_info().pss for each in (tree, *tree.children(recursive=True))))
            except psutil.Error:
                continue  # one of them has just ended
            time.sleep(0.2)
    return highest / 2**20


def _extract(table: Any, cache: str) -> None:
    from sercore.frontend.inputs import extract

    extract(table, Path(cache), progress=False)


def as_published(paths: Sequence[str], folder: Path) -> list[str]:
    """The recordings as WAV of 24 kHz and 16 bits."""
    import soundfile
    import soxr

    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32")
        soundfile.write(folder / f"{Path(path).stem}.wav", soxr.resample(samples, rate, 24_000), 24_000)
    return [str(path) for path in sorted(folder.glob("*.wav"))]


if __name__ == "__main__":
    import features  # worker processes find the functions by this module's name

    features.main()

"""How a model does on what it was not trained on: other corpora, and recordings that something happened to.

    python -m sercore.inference.trials emodb cremad --corpora ravdess,emodb,nemo    # writes results/trials.parquet

A corpus that a model was trained on is left out for it: what to expect there stands in its card, fold by fold.
"""

from __future__ import annotations

import datetime
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import bounds, corpora, machine, places
from ..errors import SercoreError
from ..evidence import statistics
from ..evidence.results import UNDISTURBED
from ..frontend import audio
from ..frontend.audio import SAMPLE_RATE
from ..lab import metrics, sweep
from . import models
from .prediction import Classifier

KEY = ["model", "corpus", "trimmed"]
"""What rows are replaced by."""

EIGHT_BITS = "as recorded, weights in 8 bits"
"""Not the recordings but the model: what `sercore export --int8` writes, by onnxruntime."""


def gain(decibels: float) -> Callable[[np.ndarray], np.ndarray]:
    """Louder or softer; what leaves [-1, 1] is clipped, as a recorder does."""
    return lambda samples: np.clip(samples * 10 ** (decibels / 20), -1, 1)


def noise(decibels: float) -> Callable[[np.ndarray], np.ndarray]:
    """White noise so far below the recording's own power."""

    def disturbed(samples: np.ndarray) -> np.ndarray:
        drawn = np.random.default_rng(len(samples)).standard_normal(len(samples))
        return np.clip(samples + drawn * np.sqrt(np.square(samples).mean() / 10 ** (decibels / 10)), -1, 1)

    return disturbed


def room(seconds: float) -> Callable[[np.ndarray], np.ndarray]:
    """A room whose sound fades by 60 dB in `seconds`: the direct sound, and noise that decays behind it with as much energy."""

    def disturbed(samples: np.ndarray) -> np.ndarray:
        from scipy.signal import fftconvolve

        times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        tail = np.random.default_rng(0).standard_normal(len(times)) * 10 ** (-3 * times / seconds)
        response = tail / np.sqrt(np.square(tail).sum())
        response[0] += 1
        heard = fftconvolve(samples, response)[: len(samples)]
        return np.clip(heard * np.sqrt(np.square(samples).mean() / max(np.square(heard).mean(), 1e-12)), -1, 1)

    return disturbed


def narrow(samples: np.ndarray) -> np.ndarray:
    """300 to 3400 Hz at 8 kHz, the band of a telephone."""
    import soxr
    from scipy.signal import butter, sosfiltfilt

    slow = soxr.resample(samples, SAMPLE_RATE, 8_000)
    heard = sosfiltfilt(butter(4, (300, 3400), "bandpass", fs=8_000, output="sos"), slow)
    return soxr.resample(np.ascontiguousarray(heard), 8_000, SAMPLE_RATE)


def codec(name: str, subtype: str, rate: int, **how: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Written at `rate` in a format that loses, and read again."""

    def disturbed(samples: np.ndarray) -> np.ndarray:
        import soundfile
        import soxr

        there = soxr.resample(samples, SAMPLE_RATE, rate) if rate != SAMPLE_RATE else samples
        kept = io.BytesIO()
        soundfile.write(kept, there, rate, format=name, subtype=subtype, **how)
        kept.seek(0)
        back, found = soundfile.read(kept, dtype="float32")
        return back if found == SAMPLE_RATE else soxr.resample(back, found, SAMPLE_RATE)

    return disturbed


DISTURBANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gain -30 dB": gain(-30),
    "gain -20 dB": gain(-20),
    "gain -10 dB": gain(-10),
    "gain +10 dB": gain(10),
    "white noise at 20 dB": noise(20),
    "white noise at 10 dB": noise(10),
    "a room of 0.5 s": room(0.5),
    "300 to 3400 Hz": narrow,
    "GSM 06.10, 8 kHz": codec("WAV", "GSM610", 8_000),
    "MP3, smallest": codec("MP3", "MPEG_LAYER_III", SAMPLE_RATE, compression_level=0.99),
    "Opus, smallest": codec("OGG", "OPUS", SAMPLE_RATE, compression_level=0.99),
}
"""What may happen to a recording of one channel at 16 kHz, by name."""


def trial(
    model: str, corpus: str, disturbances: Sequence[str] = (), trimmed: bool = False, progress: bool = True
) -> pd.DataFrame:
    """One row a disturbance, the first without any: UA with its 95 % interval over speakers, WA, calibration error, how many
    labels are others than undisturbed, and WA where all networks agree and where they do not.

    With `trimmed`, silence around a recording, whatever happened to it, is cut off before it is labelled.
    """
    from tqdm import tqdm

    if unknown := [name for name in disturbances if name not in (EIGHT_BITS, *DISTURBANCES)]:
        raise SercoreError(f"no such disturbance: {', '.join(unknown)}; there are {'; '.join((EIGHT_BITS, *DISTURBANCES))}")
    classifier = Classifier(model, trimmed)
    table = corpora.load(corpus)
    table = table[table["label"].isin(classifier.classes)]
    if table.empty:
        raise SercoreError(f"{corpus} has none of the labels of {model}: {', '.join(classifier.classes)}")
    codes = {label: code for code, label in enumerate(classifier.classes)}
    labels = table["label"].map(codes).to_numpy()
    sounds = [audio.read(path) for path in table["path"]]
    small = _in_eight_bits(model) if EIGHT_BITS in disturbances else None

    def networks(sound: np.ndarray, name: str) -> np.ndarray:
        if name == EIGHT_BITS:
            assert small is not None
            return small(audio.trimmed(sound)[0] if trimmed else sound)
        return classifier.networks(sound, SAMPLE_RATE)

    rows, first = [], None
    for name in (UNDISTURBED, *disturbances):
        by_network = np.array(
            [
                networks(DISTURBANCES.get(name, lambda samples: samples)(sound), name)
                for sound in tqdm(
                    sounds, desc=machine.printable(f"{model} on {corpus}, {name}"), disable=not progress, leave=False
                )
            ]
        )  # (utterances, networks, classes)
        shares = by_network.mean(1)
        labelled = shares.argmax(1)
        united = (by_network.argmax(2) == labelled[:, None]).all(1)
        first = labelled if first is None else first
        counted = pd.DataFrame(
            {"utterance": table["id"], "speaker": table["speaker"], "label": labels, "prediction": labelled}
        ).astype({"prediction": int})
        found = statistics.bootstrap_speakers(counted)
        rows.append(
            {
                "model": model,
                "corpus": corpus,
                "trimmed": trimmed,
                "disturbance": name,
                "utterances": len(table),
                "speakers": table["speaker"].nunique(),
                "ua": found.estimate,
                "low": found.low,
                "high": found.high,
                "wa": metrics.wa(labels, labelled, len(codes)),
                "ece": metrics.ece(shares, labels),
                "changed": float((labelled != first).mean()),
                "united": float(united.mean()),
                "wa_united": float((labelled == labels)[united].mean()) if united.any() else float("nan"),
                "wa_apart": float((labelled == labels)[~united].mean()) if not united.all() else float("nan"),
            }
            | {f"said_{label}": float((labelled == code).mean()) for label, code in codes.items()}
        )
    where = {
        "members": ", ".join(str(member.get("run", "?")) for member in classifier.trained.about["members"]),
        "commit": machine.commit(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **machine.describe(machine.choose_device("cpu")),
    }
    return pd.DataFrame([row | where for row in rows])


def _in_eight_bits(model: str) -> Callable[[np.ndarray], np.ndarray]:
    import onnxruntime

    from . import export

    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime.InferenceSession(export.export(Path(folder) / "model.onnx", model, int8=True))
    return lambda sound: session.run(["spread"], {"samples": sound[None].astype(np.float32)})[0][0]


def trained_on(model: str) -> set[str]:
    """The corpora whose recordings a model has heard, by their names without what tells spectra or a part of one from it."""
    return {_whole(str(member.get("corpus", ""))) for member in models.load(model).about["members"]}


def _whole(corpus: str) -> str:
    return corpus.removesuffix("-spectra").removesuffix("-improvised").removesuffix("-scripted")


def main(arguments: list[str] | None = None) -> int:
    """Try models on corpora that they were not trained on, and on recordings that something happened to; write the rows to the
    results, in the place of those of the same model and corpus (with the silence cut off, or as they are)."""
    options = machine.Options("python -m sercore.inference.trials", description=main.__doc__)
    options.add_argument("models", nargs="+", help="names, folders or model.pt files")
    options.add_argument("--corpora", default="emodb,ravdess,nemo", help="with commas")
    options.add_argument("--disturbed", default="ravdess,emodb", help="the corpora whose recordings are disturbed too")
    options.add_argument("--trim", action="store_true", help="cut off the silence around a recording before it is labelled")
    named = "; ".join((EIGHT_BITS, *DISTURBANCES))
    options.add_argument("--disturbances", help=f"some of them, with semicolons (all by default): {named}")
    options.add_argument("--results", type=Path, help="folder of the published records [SERCORE_RESULTS, else ./results]")
    chosen = options.parse_args(arguments)

    def work() -> dict[str, str]:
        machine.keep_pages()
        path = places.results_folder(chosen.results) / "trials.parquet"
        for model in chosen.models:
            for corpus in chosen.corpora.split(","):
                if _whole(corpus) in trained_on(model):
                    continue
                named = [each.strip() for each in (chosen.disturbances or "").split(";") if each.strip()]
                asked = named or (EIGHT_BITS, *DISTURBANCES)
                disturbed = tuple(asked) if corpus in chosen.disturbed.split(",") else ()
                found = trial(model, corpus, disturbed, chosen.trim)
                with places.alone(path.parent):
                    before = bounds.table(path, KEY) if path.exists() else found.iloc[:0]
                    others = before[(before[KEY] != found[KEY].iloc[0]).any(axis=1)]
                    partial = path.with_suffix(".partial")
                    pd.concat([others, found], ignore_index=True).to_parquet(partial, index=False)
                    partial.replace(path)
                told = [*KEY, "disturbance", "ua", "low", "high", "ece", "changed", "united"]
                print(machine.printable(found[told].round(3).to_string()))
        return {}

    return sweep.exit_status(work)


if __name__ == "__main__":
    sys.exit(main())

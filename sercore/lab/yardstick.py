"""Yardsticks for the networks: linear models on what an utterance is like on average.

`bands` is logistic regression on eighty numbers, mean and deviation over the frames of each of the 40 log-Mel bands. They hold
neither order nor rhythm. `speakers` is the same on these numbers standardised within each speaker: it uses the unlabelled audio
of the speakers that it is tested on, which the networks do not. `egemaps` is the field's established baseline, a linear support
vector machine on the 88 functionals of eGeMAPS (Eyben et al. 2016), as openSMILE computes them from the audio; its package is
an extra, because its licence is for research alone. All are trained and tested on the same parts as the networks, and their one
setting is chosen on the part that chooses the networks' epoch.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import machine
from ..corpora import protocol
from ..errors import SercoreError
from ..frontend import audio

if TYPE_CHECKING:
    from ..frontend.inputs import Inputs
    from .experiment import Prepared


@dataclass(frozen=True)
class Yardstick:
    """What describes an utterance, what classifies it, and the inverse strengths of the classifier's penalty that are tried.

    The strongest penalty is first: of several that do equally well on the part that chooses it is kept.
    """

    describe: Callable[[Prepared], NDArray[np.float64]]  # -> (utterances, numbers), in the order of `Prepared.data`
    classifier: Callable[[float], Any]
    strengths: tuple[float, ...]
    package: str = ""  # that it needs beside those of sercore
    hears: bool = False  # whether it needs the audio, which a bundle does not have
    knows: bool = False  # whether it needs the speakers' names

    def available(self, prepared: Prepared) -> bool:
        """Whether it can be measured here, on this corpus."""
        there = not self.package or importlib.util.find_spec(self.package) is not None
        heard = not self.hears or bool(prepared.utterances["path"].ne("").all())
        return there and heard and (not self.knows or prepared.utterances["speaker"].nunique() > 1)


def statistics_of(mels: Inputs) -> NDArray[np.float64]:
    """(utterances, 2 mels): mean and standard deviation over the frames of each band."""
    return np.stack([np.concatenate([array.mean(0, dtype=float), array.std(0, dtype=float)]) for array in mels.arrays])


def within_speakers(prepared: Prepared) -> NDArray[np.float64]:
    """(utterances, 2 mels): `statistics_of`, each number with mean 0 and deviation 1 over the utterances of its speaker."""
    x = pd.DataFrame(statistics_of(prepared.data.inputs))
    speaker = prepared.utterances.set_index("id").loc[list(prepared.data.inputs.ids), "speaker"].to_numpy()
    centred = x - x.groupby(speaker).transform("mean")
    deviation = np.sqrt((centred**2).groupby(speaker).transform("mean"))
    return (centred / deviation.where(deviation > 0, 1.0)).to_numpy()


def functionals(prepared: Prepared) -> NDArray[np.float64]:
    """(utterances, 88): eGeMAPSv02 of each recording, mono at 16 kHz. Raises `SercoreError` without openSMILE or the audio."""
    if not YARDSTICKS["egemaps"].available(prepared):
        raise SercoreError("eGeMAPS needs the recordings, and openSMILE: pip install opensmile")
    paths = prepared.utterances.set_index("id").loc[list(prepared.data.inputs.ids), "path"]
    return _functionals(prepared.data.inputs.digest, tuple(paths))


@functools.lru_cache(maxsize=1)  # both protocols ask, one after the other
def _functionals(digest: str, paths: tuple[str, ...]) -> NDArray[np.float64]:
    import opensmile

    def described(some: tuple[str, ...]) -> list[NDArray[np.float64]]:
        smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
        return [smile.process_signal(audio.read(path), audio.SAMPLE_RATE).to_numpy(float)[0] for path in some]

    share = -(-len(paths) // machine.cores())
    with ThreadPoolExecutor(machine.cores()) as pool:
        found = pool.map(described, (paths[at : at + share] for at in range(0, len(paths), share)))
        return np.stack([row for rows in found for row in rows])


def measure(prepared: Prepared, protocol_name: str, name: str = "bands") -> pd.DataFrame:
    """The predictions of the yardstick `name` on the test part of every fold of a protocol: one row an utterance, sorted.

    Columns: utterance, speaker, label, prediction (by name), fold, strength, and what a record holds: data and split
    (checksums), commit. Raises `SercoreError` where the protocol is not for this corpus, or a package is missing.
    """
    from .experiment import corpus_labels

    split = protocol.splits(prepared.utterances, protocol_name)
    own = YARDSTICKS[name]
    x, codes = own.describe(prepared), prepared.data.labels
    names = np.array(corpus_labels(prepared.corpus, prepared.utterances))
    table = prepared.utterances.reset_index(drop=True)

    def of_fold(fold: int) -> pd.DataFrame:
        rows = {part: prepared.rows(ids) for part, ids in protocol.parts(split, fold).items()}
        predicted, strength = classify(own, x, codes, rows["train"], rows[protocol.chooser(protocol_name)], rows["test"])
        tested = table.iloc[rows["test"]][["id", "speaker", "label"]].rename(columns={"id": "utterance"}).astype(str)
        return tested.assign(prediction=names[predicted], fold=fold, strength=strength)

    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), ThreadPoolExecutor(machine.cores()) as pool:  # its matrices are small: a fold takes one core
        found = list(pool.map(of_fold, range(protocol.FOLDS)))
    facts = {"data": prepared.data.inputs.digest, "split": protocol.checksum(split), "commit": machine.commit()}
    return pd.concat(found, ignore_index=True).sort_values("utterance", ignore_index=True).assign(**facts)


def classify(
    own: Yardstick, x: NDArray[np.float64], labels: NDArray, train: NDArray, chooser: NDArray, test: NDArray
) -> tuple[NDArray[np.int64], float]:
    """Predictions (test,) of a yardstick with the strength that is most often right on `chooser`, and that strength.

    Where the part that trains knows one class alone, that is what is predicted.
    """
    if len(set(labels[train])) == 1:
        return np.full(len(test), labels[train][0], np.int64), own.strengths[0]
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    best, right = None, -1.0
    for strength in own.strengths:
        model = make_pipeline(StandardScaler(), own.classifier(strength)).fit(x[train], labels[train])
        if (share := model.score(x[chooser], labels[chooser])) > right:
            best, right = (model, strength), share
    assert best is not None
    return best[0].predict(x[test]), best[1]


def _logistic(strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=5000)


def _vector_machine(strength: float) -> Any:
    from sklearn.svm import SVC

    return SVC(C=strength, kernel="linear", class_weight="balanced")


_LOGISTIC = (0.001, 0.01, 0.1, 1.0, 10.0)

YARDSTICKS = {
    "bands": Yardstick(lambda prepared: statistics_of(prepared.data.inputs), _logistic, _LOGISTIC),
    "speakers": Yardstick(within_speakers, _logistic, _LOGISTIC, knows=True),
    "egemaps": Yardstick(functionals, _vector_machine, (0.0001, 0.001, 0.01, 0.1, 1.0, 10.0), "opensmile", hears=True),
}

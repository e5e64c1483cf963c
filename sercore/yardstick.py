"""A yardstick for the networks: logistic regression on what an utterance's log-Mel energies are like on average.

Eighty numbers stand for an utterance, mean and deviation over its frames of each of the 40 bands. They hold neither order nor
rhythm: what a network is worth shows in how far it lies above this. It is trained and tested on the same parts as the
networks, and its one setting is chosen on the part that chooses their epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import machine, protocol

if TYPE_CHECKING:
    from .experiment import Prepared
    from .features import LogMels

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the L2 penalty that are tried, the strongest penalty first: of several that do equally well it is kept."""


def statistics_of(mels: LogMels) -> NDArray[np.float64]:
    """(utterances, 2 mels): mean and standard deviation over the frames of each band."""
    return np.stack([np.concatenate([array.mean(0, dtype=float), array.std(0, dtype=float)]) for array in mels.arrays])


def measure(prepared: Prepared, protocol_name: str) -> pd.DataFrame:
    """Its predictions on the test part of every fold of a protocol: one row an utterance, sorted.

    Columns: utterance, speaker, label, prediction (by name), fold, strength, and what a record holds: data and split
    (checksums), commit. Raises `SercoreError` where the protocol is not for this corpus.
    """
    from .experiment import corpus_labels

    split = protocol.splits(prepared.utterances, protocol_name)
    x, codes = statistics_of(prepared.data.mels), prepared.data.labels
    names = np.array(corpus_labels(prepared.corpus, prepared.utterances))
    table, found = prepared.utterances.reset_index(drop=True), []
    for fold in range(protocol.FOLDS):
        rows = {part: np.searchsorted(prepared.data.mels.ids, ids) for part, ids in protocol.parts(split, fold).items()}
        predicted, strength = classify(x, codes, rows["train"], rows[protocol.chooser(protocol_name)], rows["test"])
        own = table.iloc[rows["test"]][["id", "speaker", "label"]].rename(columns={"id": "utterance"}).astype(str)
        found.append(own.assign(prediction=names[predicted], fold=fold, strength=strength))
    facts = {"data": prepared.data.mels.digest, "split": protocol.checksum(split), "commit": machine.commit()}
    return pd.concat(found, ignore_index=True).sort_values("utterance", ignore_index=True).assign(**facts)


def classify(
    x: NDArray[np.float64], labels: NDArray, train: NDArray, chooser: NDArray, test: NDArray
) -> tuple[NDArray[np.int64], float]:
    """Predictions (test,) of the regression with the strength that is most often right on `chooser`, and that strength."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    best, right = None, -1.0
    with threadpool_limits(1):  # its matrices are small: threads would wait for one another
        for strength in STRENGTHS:
            model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=5000)).fit(x[train], labels[train])
            if (share := model.score(x[chooser], labels[chooser])) > right:
                best, right = (model, strength), share
    assert best is not None
    return best[0].predict(x[test]), best[1]

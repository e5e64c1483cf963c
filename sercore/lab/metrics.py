"""Measures of a classifier on one set of utterances.

UA (unweighted accuracy) is the mean of the per-class recalls and comes first; WA (weighted accuracy) is the
share of all utterances that are right (Zhou & Liu 2020, section 4.1). Labels are int arrays (utterances,)
that index the classes, probabilities are float arrays (utterances, classes).

References: expected calibration error after Naeini, Cooper & Hauskrecht (AAAI 2015) and Guo et al. (ICML
2017).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SercoreError


def _labels_of(rows: NDArray, labels: ArrayLike) -> NDArray[np.int64]:
    """The labels of rows (utterances, classes), one a row."""
    true = _indices(labels, rows.shape[1], "labels")
    if len(true) != len(rows):
        raise SercoreError(f"one row of probabilities a label: {len(rows)} rows, {len(true)} labels")
    return true


def confusion(labels: ArrayLike, predictions: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): rows are the true classes, columns the predicted ones.

    `labels` and `predictions` are integers (utterances,) in 0..classes-1. Raises SercoreError for other
    shapes, for values that are not integers or lie outside, and for no utterance.
    """
    true = _indices(labels, classes, "labels")
    predicted = _indices(predictions, classes, "predictions")
    if true.shape != predicted.shape:
        raise SercoreError(f"labels and predictions must pair up: {true.size} labels, {predicted.size} predictions")
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def recalls(matrix: ArrayLike) -> NDArray[np.float64]:
    """Recall of every class (..., classes) from confusion counts (..., classes, classes); NaN for an absent
    class."""
    counts = np.asarray(matrix, dtype=np.float64)
    present = counts @ np.ones(counts.shape[-1])  # whole numbers: exact, and faster than a sum over so few
    right = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.divide(right, present, out=np.full(present.shape, np.nan), where=present > 0)


def ua(labels: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """Unweighted accuracy: the mean recall over the classes that occur in `labels`, each class counting the
    same.

    Equals scikit-learn's `balanced_accuracy_score`; arguments and errors as for `confusion`.

    >>> ua([0, 0, 0, 1], [0, 0, 1, 1], classes=2)
    0.8333333333333333
    """
    return float(np.nanmean(recalls(confusion(labels, predictions, classes))))


def wa(labels: ArrayLike, predictions: ArrayLike, classes: int) -> float:
    """Weighted accuracy: the share of all utterances that are right, so that a frequent class counts more.

    Equals scikit-learn's `accuracy_score`; arguments and errors as for `confusion`.

    >>> wa([0, 0, 0, 1], [0, 0, 1, 1], classes=2)
    0.75
    """
    matrix = confusion(labels, predictions, classes)
    return float(np.trace(matrix) / matrix.sum())


def ece(probabilities: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy, weighted by the bins' sizes.

    `probabilities` (utterances, classes), `labels` (utterances,); the confidence is the largest probability,
    the bins ]0, 1/bins], ]1/bins, 2/bins], ... are equally wide (Guo et al. 2017, equation 3). Raises
    SercoreError where the rows are not probabilities.
    """
    scores = _probabilities(probabilities)
    true = _labels_of(scores, labels)
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == true
    edges = np.linspace(0.0, 1.0, bins + 1)[1:-1]
    where = np.digitize(confidence, edges, right=True)
    gaps = np.bincount(where, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(true))


TEMPERATURES = (0.25, 10.0)
"""The coldest and the hottest that is believed of a small validation part: one that is all right would have none."""


def temperature(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """The temperature that makes these probabilities likeliest: `cooled` by it, they are as sure as they are right.

    Guo et al. (ICML 2017), section 4.2; labels and probabilities as for `ece`, of a part that was not trained on.
    """
    log = np.log(_probabilities(probabilities).clip(1e-12))
    true = _labels_of(log, labels)
    of_true = log[np.arange(len(true)), true]
    low, high = 1 / TEMPERATURES[1], 1 / TEMPERATURES[0]  # of its inverse, in which the likelihood has one peak
    for _ in range(50):
        middle = (low * high) ** 0.5
        shares = np.exp(middle * log)
        shares /= shares.sum(1, keepdims=True)
        if ((shares * log).sum(1) - of_true).mean() > 0:
            high = middle
        else:
            low = middle
    return 1 / middle


def cooled(probabilities: NDArray, by: float) -> NDArray:
    """Probabilities (..., classes) at another temperature: their logarithms divided by it; above 1 they are less sure.

    >>> cooled(np.array([0.9, 0.1]), 2.0).round(2).tolist()
    [0.75, 0.25]
    """
    log = np.log(probabilities.clip(1e-12)) / by
    shares = np.exp(log - log.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def summary(labels: ArrayLike, probabilities: ArrayLike) -> dict[str, Any]:
    """All measures of one run: `ua`, `wa`, `ece` and `recall`, a list with one value a class (NaN where
    absent).

    `labels` (utterances,), `probabilities` (utterances, classes); the prediction is the largest probability.
    """
    scores = _probabilities(probabilities)
    classes, predictions = scores.shape[1], scores.argmax(axis=1)
    return {
        "ua": ua(labels, predictions, classes),
        "wa": wa(labels, predictions, classes),
        "ece": ece(scores, labels),
        "recall": recalls(confusion(labels, predictions, classes)).tolist(),
    }


def _indices(values: ArrayLike, classes: int, name: str) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise SercoreError(f"{name} must be a non-empty integer array (utterances,), not {array.dtype} {array.shape}")
    outside = np.unique(array[(array < 0) | (array >= classes)])
    if outside.size:
        raise SercoreError(f"{name} must lie in 0..{classes - 1}, found {outside.tolist()}")
    return array.astype(np.int64)


def _probabilities(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise SercoreError(f"probabilities must have the shape (utterances, classes), not {array.shape}")
    # The tolerance leaves room for probabilities that were stored in half precision.
    good = (array >= 0).all(axis=1) & (np.abs(array.sum(axis=1) - 1) < 0.01)
    if not good.all():
        rows = np.flatnonzero(~good)
        raise SercoreError(
            f"{rows.size} rows are not probabilities (first: row {rows[0]}, {array[rows[0]].tolist()}): "
            "every row must be >= 0 and sum to 1; apply a softmax to logits first"
        )
    return array

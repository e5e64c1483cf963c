"""Geometry of deep features: how compact the classes are and how far apart, in numbers beside the picture.

Deep features are float arrays (utterances, features), labels any array (utterances,). Distances are cosine, 1
- cos: the direction is what the margin of AMS acts on. A zero vector has no direction; its cosine with
anything counts as 0.

References: silhouette after Rousseeuw (1987), trustworthiness after Venna & Kaski (2001), UMAP after McInnes,
Healy & Melville (2018).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import SercoreError

MEASURES = ("within", "between", "ratio", "silhouette", "purity")


def compactness(features: ArrayLike, labels: ArrayLike, neighbours: int = 10) -> dict[str, float]:
    """All measures: `within`, `between` and `ratio` of `within_between`, `silhouette` and `purity`.

    `features` (utterances, features), `labels` (utterances,). Raises SercoreError for shapes that do not fit,
    features that are not finite, fewer than two classes, and too few utterances.
    """
    distances = _cosine_distances(_checked(features, labels)[0])
    return {
        **within_between(features, labels),
        "silhouette": silhouette(features, labels, distances),
        "purity": neighbour_purity(features, labels, neighbours, distances),
    }


def within_between(features: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Mean cosine distance over all pairs within a class and over all pairs between classes, and their ratio.

    `features` (utterances, features), `labels` (utterances,); a lower `ratio` is a more compact class. Exact,
    from sums of unit vectors, in memory proportional to the utterances.
    """
    unit, classes = _checked(features, labels)
    sums = np.zeros((classes.max() + 1, unit.shape[1]))
    np.add.at(sums, classes, unit)
    sizes = np.bincount(classes)
    squares = (sums**2).sum(axis=1)
    within_pairs = (sizes * (sizes - 1)).sum()
    if within_pairs == 0:
        raise SercoreError("no class has two utterances: a distance within a class needs a pair")
    # |sum of unit vectors|^2 holds the cosines of all ordered pairs, each vector with itself included.
    within = 1 - (squares.sum() - (unit**2).sum()) / within_pairs
    between = 1 - ((unit.sum(axis=0) ** 2).sum() - squares.sum()) / (len(unit) ** 2 - (sizes**2).sum())
    return {"within": float(within), "between": float(between), "ratio": float(within / between)}


def silhouette(features: ArrayLike, labels: ArrayLike, distances: NDArray | None = None) -> float:
    """Mean silhouette with cosine distance, from -1 to 1 (scikit-learn's); higher is better separated.

    `distances` (utterances, utterances) are those between the features, where they are at hand.
    """
    from sklearn.metrics import silhouette_score

    unit, classes = _checked(features, labels)
    if len(unit) <= classes.max() + 1:
        raise SercoreError("no class has two utterances: a silhouette needs a pair")
    between = _cosine_distances(unit) if distances is None else distances
    return float(silhouette_score(between, classes, metric="precomputed"))


def neighbour_purity(features: ArrayLike, labels: ArrayLike, k: int = 10, distances: NDArray | None = None) -> float:
    """The share of each utterance's `k` nearest others (cosine) that have its class, averaged over the utterances.

    `distances` as for `silhouette`.
    """
    unit, classes = _checked(features, labels)
    if not 1 <= k < len(unit):
        raise SercoreError(f"k={k} neighbours need more than {k} utterances and k >= 1, found {len(unit)}")
    others = (_cosine_distances(unit) if distances is None else distances).copy()
    np.fill_diagonal(others, np.inf)
    nearest = np.argpartition(others, k - 1, axis=1)[:, :k]
    return float((classes[nearest] == classes[:, None]).mean())


NEIGHBOURS = 15


def project(
    features: ArrayLike, seed: int = 0, neighbours: int = NEIGHBOURS, min_dist: float = 0.8, start: NDArray | None = None
) -> tuple[NDArray[np.float64], float]:
    """UMAP onto the plane: coordinates (utterances, 2), and the projection's trustworthiness from 0 to 1.

    `features` (utterances, features); cosine distance, one thread and a fixed `seed`, so that a machine repeats its picture.
    Trustworthiness counts the same number of neighbours. `start` (utterances, 2), another map of the same utterances, is where
    the layout begins and what it is turned towards, so that the two can be compared by eye. A wide `min_dist` keeps neighbours
    of small folds better than UMAP's own 0.1. Raises SercoreError for too few utterances, and without umap-learn.
    """
    array = _finite(features)
    if not enough(len(array), neighbours):
        raise SercoreError(f"{neighbours} neighbours need more than {2 * neighbours} utterances, found {len(array)}")
    from sklearn.manifold import trustworthiness

    unit = _unit(array)
    init = "spectral" if start is None else np.asarray(start, dtype=np.float32)
    with _pytorch_as_it_was():
        mapper = _umap().UMAP(n_neighbors=neighbours, min_dist=min_dist, metric="cosine", init=init, random_state=seed, n_jobs=1)
        coordinates = np.asarray(mapper.fit_transform(unit), dtype=np.float64)
    if start is not None:
        coordinates = turned(coordinates, np.asarray(start, dtype=np.float64))
    return coordinates, float(trustworthiness(unit, coordinates, n_neighbors=neighbours, metric="cosine"))


def turned(points: NDArray[np.float64], towards: NDArray[np.float64]) -> NDArray[np.float64]:
    """`points` (utterances, 2) turned and mirrored, not stretched, to lie as near to `towards` as they can (Procrustes)."""
    centre = points.mean(0)
    left, _, right = np.linalg.svd((points - centre).T @ (towards - towards.mean(0)))
    return (points - centre) @ left @ right + centre


def enough(utterances: int, neighbours: int = NEIGHBOURS) -> bool:
    """Whether so many utterances can be projected."""
    return utterances > 2 * neighbours


@contextmanager
def _pytorch_as_it_was() -> Iterator[None]:
    """UMAP's Numba sets the threads of OpenMP, which are PyTorch's too: a training after it would round otherwise."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch is not None else 0
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def _umap() -> ModuleType:
    """umap-learn without the TensorFlow that it loads, for seconds and with messages, where that is installed."""
    blocked = {} if "tensorflow" in sys.modules else {"tensorflow": None}
    sys.modules.update(blocked)  # type: ignore[arg-type]
    try:
        import umap
    except ImportError:
        raise SercoreError("a map of the features is UMAP's: pip install umap-learn") from None
    finally:
        for name in blocked:
            del sys.modules[name]
    return umap


def _finite(features: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise SercoreError(f"features must have the shape (utterances, features), not {array.shape}")
    if not np.isfinite(array).all():
        raise SercoreError(f"{(~np.isfinite(array)).any(axis=1).sum()} utterances have features that are not finite")
    return array


def _unit(array: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.linalg.norm(array, axis=1, keepdims=True)
    return np.divide(array, length, out=np.zeros_like(array), where=length > 0)


def _cosine_distances(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between all pairs of unit vectors (utterances, features): (utterances, utterances), 0 from each to itself."""
    distances = np.clip(1 - unit @ unit.T, 0, 2)
    np.fill_diagonal(distances, 0)
    return distances


def _checked(features: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Unit vectors and classes numbered from 0."""
    array = _finite(features)
    names = np.asarray(labels)
    if names.shape != (len(array),):
        raise SercoreError(f"one label an utterance: {len(array)} rows of features, labels {names.shape}")
    found, classes = np.unique(names, return_inverse=True)
    if len(found) < 2:
        raise SercoreError(f"the geometry of classes needs two of them or more, found {found.tolist()}")
    return _unit(array), classes

"""How compact the deep features are, and their maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import SercoreError
from ...evidence import results
from ...evidence.remembered import counted
from .measured import label_order
from .words import title


def geometry_of_systems(runs: pd.DataFrame) -> pd.DataFrame:
    """`geometry_of_runs` of the first seed, which all systems have, averaged over the folds: one row a system."""
    own = runs[runs["seed"] == runs["seed"].min()].drop(columns=["run", "seed", "fold"]) if len(runs) else runs
    return own.groupby("slug", sort=False).mean().reset_index() if len(runs) else runs


@results.once
def geometry_of_runs(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """Compactness of the deep features of each run's test utterances, beside its UA: slug, run, seed, fold, measures, ua.

    In the order of `slugs`.
    """
    frame = results.features(corpus, protocol, folder)
    labels = results.utterances(corpus, folder).set_index("id")["label"]
    codes = {label: index for index, label in enumerate(label_order(labels.unique()))}
    accuracy = results.runs(folder).query("corpus == @corpus and protocol == @protocol").set_index("run")["ua"]
    rows = []
    for (slug, run, seed, fold), own in frame.groupby(["system", "run", "seed", "fold"]):
        if slug in slugs:
            classes = own["utterance"].map(labels).map(codes).to_numpy()
            found = _compactness(np.stack(own["features"]), classes)
            rows.append({"slug": slug, "run": run, "seed": seed, "fold": fold, **found, "ua": 100 * accuracy[run]})
    return pd.DataFrame(sorted(rows, key=lambda row: (slugs.index(row["slug"]), row["seed"], row["fold"])))


@counted
def _compactness(features: np.ndarray, classes: np.ndarray) -> dict[str, float]:
    """`geometry.compactness`, NaN where a fold has too few utterances for it."""
    from ...evidence import geometry

    try:
        return geometry.compactness(features, classes)
    except SercoreError:
        return dict.fromkeys(geometry.MEASURES, np.nan)


def shown_geometry(table: pd.DataFrame) -> pd.DataFrame:
    """`geometry_of_systems` with readable headers."""
    names = {
        "ratio": "Within / between",
        "within": "Within",
        "between": "Between",
        "silhouette": "Silhouette",
        "purity": "Neighbour purity",
    }
    shown = table.assign(**{"System": table["slug"].map(title), "UA, mean of folds": table["ua"]})
    return shown.rename(columns=names)[["System", *names.values(), "UA, mean of folds"]]


def projections(
    corpus: str, protocol: str, slugs: Sequence[str], fold: int = 0, folder: str | Path | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray, float]]:
    """UMAP of one test fold's deep features: slug -> (coordinates (utterances, 2), labels, trustworthiness)."""
    frame = results.maps(corpus, protocol, folder).query("fold == @fold")
    labels = results.utterances(corpus, folder).set_index("id")["label"]
    panels = {}
    for slug in [slug for slug in slugs if slug in frame["system"].unique()]:
        own = frame[frame["system"] == slug]
        panels[slug] = own[["x", "y"]].to_numpy(), own["utterance"].map(labels).to_numpy(dtype=str), own["trustworthiness"].iat[0]
    return panels

"""What there is to make tables of: the places that were measured, their systems and seeds, and the counts of predictions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...corpora import LABELS
from ...corpora.protocol import CLEAN, FOLDS
from ...evidence import claims, results, statistics
from ...lab import systems

RESAMPLES = claims.RESAMPLES


def label_order(labels: Sequence[str]) -> list[str]:
    """The classes in the order of the paper where they are its four, in the alphabet's elsewhere."""
    found = set(labels)
    return [label for label in LABELS if label in found] if found <= set(LABELS) else sorted(found)


def coded(predictions: pd.DataFrame) -> pd.DataFrame:
    """The frame with `label` and `prediction` as numbers in the order of `label_order`."""
    order = label_order(predictions["label"].unique())
    codes = {name: pd.Categorical(predictions[name], order).codes.astype(int) for name in ("label", "prediction")}
    return predictions.assign(**codes)


def all_predictions(folder: str | Path | None = None, protocols: Sequence[str] = CLEAN) -> pd.DataFrame:
    """Every prediction published under `protocols`, with whole labels: what `sercore.evidence.claims.settle` takes."""
    frames = [results.predictions(corpus, name, folder) for corpus, name in results.published(folder) if name in protocols]
    columns = [*results.NAME, "utterance", "speaker", "label", "prediction"]
    return pd.concat([frame[columns] for frame in frames], ignore_index=True) if frames else pd.DataFrame(columns=columns)


def cells(folder: str | Path | None = None) -> list[tuple[str, str]]:
    """Published (corpus, protocol) pairs under the two honest protocols with a system on every fold, speakers apart first."""
    there = results.published(folder)
    pairs = [(corpus, name) for name in CLEAN for corpus, found in there if found == name]
    return [pair for pair in pairs if measured_systems(*pair, folder) or measured_earlier(*pair, folder)]


def tallied(
    corpus: str,
    protocol: str,
    slugs: Sequence[str],
    folder: str | Path | None = None,
    seeds: Sequence[int] | None = None,
    by: str = "speaker",
) -> dict[str, statistics.Tally]:
    """The counts of each of these systems that was measured there, with one of `seeds` or any, in the order of `slugs`.

    Each is counted once, and remembers what was resampled of it: pages ask for the same ones many times.
    """
    now = results.predictions_now(corpus, protocol, folder)
    found = {}
    for slug in slugs:
        counted = _tally(now, slug, by)
        kept = () if counted is None else tuple(seed for seed in counted.seeds if seeds is None or seed in seeds)
        if counted is not None and kept:
            found[slug] = counted.select(kept)
    return found


def read_ahead(folder: str | Path | None = None) -> None:
    """Read and count what most pages ask for, for the processes that are forked from this one."""
    for corpus, protocol in cells(folder):
        there = list(results.folds_of_systems(folder)[corpus, protocol])
        for by in ("speaker", "fold"):
            tallied(corpus, protocol, there, folder, by=by)
    if len(results.runs(folder)):
        results.history(folder)


@functools.lru_cache(maxsize=1024)
def _tally(now: results.PredictionsNow, slug: str, by: str) -> statistics.Tally | None:
    frame = _coded(now)
    own = frame[frame["system"] == slug]
    return None if own.empty else statistics.tally(own, by)


@functools.lru_cache(maxsize=8)
def _coded(now: results.PredictionsNow) -> pd.DataFrame:
    """What is counted of predictions, with texts as categories: each system is counted in a fraction of the time."""
    corpus, _, protocol = now.path.stem.rpartition("-")
    frame = results.predictions(corpus, protocol, now.folder)
    texts = dict.fromkeys(("system", "utterance", "speaker"), "category")
    return coded(frame[[*results.NAME, "utterance", "speaker", "label", "prediction"]]).astype(texts)


def trained_alike(corpus: str, protocol: str, folder: str | Path | None) -> dict[str, statistics.Tally]:
    """The counts of every system of the paper's network that changes no setting: what the spread between seeds is pooled over."""
    there = results.folds_of_systems(folder).get((corpus, protocol), {})
    return tallied(corpus, protocol, [slug for slug in there if "@" not in slug and slug not in systems.TABLE_1], folder)


def shared_seeds(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> list[int]:
    """The seeds that all of `slugs` were run with, or all where they share none: what sets systems side by side takes these."""
    runs = results.runs(folder).query("corpus == @corpus and protocol == @protocol and system in @slugs")
    each = [set(own["seed"]) for _, own in runs.groupby("system")]
    return sorted(set.intersection(*each) or set.union(*each)) if each else []


def predictions_of_shared_seeds(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None) -> pd.DataFrame:
    """The predictions of `slugs` over the seeds that all of them have."""
    frame = results.predictions(corpus, protocol, folder)
    return frame[frame["system"].isin(slugs) & frame["seed"].isin(shared_seeds(corpus, protocol, slugs, folder))]


def measured_systems(corpus: str, protocol: str, folder: str | Path | None = None) -> list[str]:
    """Systems of the paper's network, and of the user's own, that were run on every fold, those of Table 2 first."""
    whole = _whole(corpus, protocol, folder) - set(systems.TABLE_1)
    return [slug for slug in systems.TABLE_2 if slug in whole] + sorted(whole - set(systems.TABLE_2))


def claims_and_own(corpus: str, protocol: str, folder: str | Path | None = None) -> list[str]:
    """Of `measured_systems` the baseline, each family's best as the paper names it, and those of the user's own."""
    there = measured_systems(corpus, protocol, folder)
    return [slug for slug in systems.CLAIMS if slug in there] + [slug for slug in there if systems.is_own(slug)]


def measured_earlier(corpus: str, protocol: str, folder: str | Path | None = None) -> list[str]:
    """Earlier systems of Table 1 that were run on every fold, in the table's order."""
    whole = _whole(corpus, protocol, folder)
    return [slug for slug in systems.TABLE_1 if slug in whole]


def _whole(corpus: str, protocol: str, folder: str | Path | None) -> set[str]:
    folds = results.folds_of_systems(folder).get((corpus, protocol), {})
    return {slug for slug, count in folds.items() if count == FOLDS and ("@" not in slug or systems.is_own(slug))}


def source_name(corpus: str, folder: str | Path | None = None) -> str:
    """The name under which a corpus is published: its own, or the one that its path gives it."""
    from ...corpora import get

    return corpus if corpus in {name for name, _ in results.published(folder)} else get(corpus).name

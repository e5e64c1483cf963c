"""What the pilot (`sercore.lab.pilot`) says of the ways to evaluate a training, and the rule that follows.

Written down on 26 November 2026, before the pilot was computed:

- Each training keeps the first epoch with the highest validation WA, without early stopping.
- The arm with the smallest standard deviation of the kept test UA between seeds, within fold and system, over both corpora,
  becomes the rule of all tables, if that deviation is a third or more below that of `running` on one corpus at least and its mean
  UA is at most one point below that of `running` on each. Else the toolkit's way stays the rule.
- A corpus that is smaller than the paper's is trained until the validation UA of the rule, averaged over all trainings and over
  `SMOOTHED` epochs, is level: it never again rises by more than a point. The test part has no say in that.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

BELOW = 1 / 3
"""The share of the deviation of `running` by which an arm's must be smaller."""

LOSS = 1.0
"""Points of mean UA that an arm may lie below `running`."""

LEVEL = 1.0
"""Points of validation UA by which a level curve does not rise any more."""

SMOOTHED = 11
"""Epochs."""

USUAL = "running"
"""The arm that is the rule unless another is better by all that is asked: the toolkit's way."""


def kept(curves: pd.DataFrame) -> pd.DataFrame:
    """What each arm of each training keeps: one row a corpus, system, seed, fold and arm, from `results.pilot`.

    Columns: the names, `epoch` (from 1), `validation` (WA) and `wa` and `ua` of the test part, in percent, and `step`: how many
    points the test UA moves by from one epoch to the next, on average over the second half of the training.
    """
    names = ["corpus", "system", "seed", "fold", "arm"]
    parts = {part: own.set_index(names) for part, own in curves.groupby("part")}
    rows = []
    for key, validation in parts["validation"].iterrows():
        test = parts["test"].loc[key]
        epoch = int(np.argmax(validation["wa"]))
        half = test["ua"][len(test["ua"]) // 2 :]
        row = dict(zip(names, key, strict=True)) | {"epoch": epoch + 1, "validation": 100 * validation["wa"][epoch]}
        row |= {name: 100 * float(test[name][epoch]) for name in ("wa", "ua")}
        rows.append(row | {"step": 100 * float(np.abs(np.diff(half)).mean())})
    return pd.DataFrame(rows, columns=[*names, "epoch", "validation", "wa", "ua", "step"])


def compared(curves: pd.DataFrame) -> pd.DataFrame:
    """The arms side by side: one row a corpus and arm.

    Columns: `corpus`, `arm`, `trainings`, `ua` (mean of the kept test UA, percent), `deviation` (of it between seeds, within fold
    and system, points) with its `freedom`, `correlation` (of kept validation WA and test WA, within folds), `step`, and `epochs`
    until validation is level.
    """
    rows = []
    for (corpus, arm), own in kept(curves).groupby(["corpus", "arm"], sort=False):
        centred = own[["validation", "wa"]] - own.groupby("fold")[["validation", "wa"]].transform("mean")
        deviation, freedom = between_seeds(own)
        part = curves[(curves["corpus"] == corpus) & (curves["arm"] == arm) & (curves["part"] == "validation")]
        row = {"corpus": corpus, "arm": arm, "trainings": len(own), "ua": own["ua"].mean(), "deviation": deviation}
        row |= {"freedom": freedom, "correlation": centred["validation"].corr(centred["wa"]), "step": own["step"].mean()}
        rows.append(row | {"epochs": level(np.stack(part["ua"].to_list()).mean(0))})
    return pd.DataFrame(rows)


def between_seeds(own: pd.DataFrame) -> tuple[float, int]:
    """Standard deviation of `ua` between seeds within fold and system, and its degrees of freedom."""
    groups = own.groupby(["system", "fold"])["ua"]
    freedom = int((groups.size() - 1).sum())
    squares = ((own["ua"] - groups.transform("mean")) ** 2).sum()
    return (float(np.sqrt(squares / freedom)) if freedom else float("nan")), freedom


def level(curve: np.ndarray) -> int:
    """The first epoch (from 1) after which the smoothed curve (epochs,), of accuracies from 0 to 1, is level."""
    width = min(SMOOTHED, len(curve))
    smooth = 100 * np.convolve(curve, np.ones(width) / width, mode="valid")
    highest_after = np.maximum.accumulate(smooth[::-1])[::-1]
    return int(np.argmax(highest_after - smooth <= LEVEL)) + (width + 1) // 2


def steadiest(table: pd.DataFrame) -> str:
    """The arm with the smallest deviation between seeds over all corpora, from `compared`."""
    deviation = table.pivot(index="arm", columns="corpus", values="deviation")
    return str(np.sqrt((deviation**2).mean(axis=1)).idxmin())


def chosen(table: pd.DataFrame) -> str:
    """The arm that becomes the rule, from `compared`."""
    by_arm = table.pivot(index="arm", columns="corpus", values=["deviation", "ua"])
    best = steadiest(table)
    smaller = (by_arm["deviation"].loc[best] <= (1 - BELOW) * by_arm["deviation"].loc[USUAL]).any()
    as_good = (by_arm["ua"].loc[best] >= by_arm["ua"].loc[USUAL] - LOSS).all()
    return best if smaller and as_good else USUAL

"""What models that label do elsewhere: on corpora that they were not trained on, and on disturbed recordings."""

from __future__ import annotations

import pandas as pd

from ...evidence.results import UNDISTURBED
from .words import corpus_title, interval_text


def elsewhere(trials: pd.DataFrame) -> pd.DataFrame:
    """One row a model and a corpus that it was not trained on, as recorded or trimmed, of `results.trials`: UA, and what
    agreement means."""
    rows = []
    for _, row in trials[trials["disturbance"] == UNDISTURBED].sort_values(["model", "corpus", "trimmed"]).iterrows():
        several = "," in row["members"]
        rows.append(
            {
                "Model": row["model"],
                "Tried on": corpus_title(row["corpus"]),
                "Silence around": "cut off" if row["trimmed"] else "as recorded",
                "UA": interval_text(*(100 * row[key] for key in ("ua", "low", "high"))),
                "Recordings": row["utterances"],
                "Speakers": row["speakers"],
                "All networks agree": 100 * row["united"] if several else None,
                "Right where they do": 100 * row["wa_united"] if several else None,
                "Right elsewhere": 100 * row["wa_apart"] if several else None,
                "Calibration error": 100 * row["ece"],
            }
        )
    return pd.DataFrame(rows)


def disturbed(trials: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """One row a disturbance of the recordings of `corpus`, trimmed before they are labelled, and for each model its UA and how
    many labels change (percent)."""
    own = trials[(trials["corpus"] == corpus) & trials["trimmed"]]
    own = own[own["model"].isin(own.loc[own["disturbance"] != UNDISTURBED, "model"])]
    order = list(dict.fromkeys(own["disturbance"]))
    rows = []
    for name in order:
        row: dict[tuple[str, str], object] = {("What happened to it", ""): name}
        for model, found in own[own["disturbance"] == name].groupby("model", sort=True):
            row[str(model), "UA"] = 100 * found["ua"].item()
            row[str(model), "labels changed"] = 100 * found["changed"].item()
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(list(dict.fromkeys(key for row in rows for key in row))))

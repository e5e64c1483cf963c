"""What models that label do elsewhere: on corpora that they were not trained on, and on disturbed recordings."""

from __future__ import annotations

import pandas as pd

from ...evidence.results import UNDISTURBED
from .words import corpus_title, interval_text, title


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


def disturbed(trials: pd.DataFrame, corpus: str, first: str = "") -> pd.DataFrame:
    """One row a disturbance of the recordings of `corpus`, trimmed before they are labelled, and for each model its UA and how
    many labels change (percent), for the model `first` first. A model is called by its system where no other has the same."""
    own = trials_disturbed(trials, corpus)
    systems = own.drop_duplicates("model").set_index("model")["system"]
    called = {model: str(model) if systems.eq(slug).sum() > 1 else title(slug) for model, slug in systems.items()}
    rows = []
    for name in dict.fromkeys(own["disturbance"]):
        row: dict[tuple[str, str], object] = {("What happened to it", ""): name}
        there = own[own["disturbance"] == name].set_index("model")
        for model in sorted(there.index, key=lambda model: (model != first, model)):
            row[called[model], "UA"] = 100 * there.at[model, "ua"]
            row[called[model], "labels changed"] = 100 * there.at[model, "changed"]
        rows.append(row)
    return pd.DataFrame(rows, columns=pd.MultiIndex.from_tuples(list(dict.fromkeys(key for row in rows for key in row))))


def trials_disturbed(trials: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """Of `results.trials` those of recordings of `corpus`, trimmed, by models that disturbed ones were given to."""
    own = trials[(trials["corpus"] == corpus) & trials["trimmed"]]
    return own[own["model"].isin(own.loc[own["disturbance"] != UNDISTURBED, "model"])]

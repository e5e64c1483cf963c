"""UA by speaker and by gender."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ...evidence import results, statistics
from .measured import RESAMPLES, predictions_of_shared_seeds, shared_seeds, tallied
from .words import interval_text, title


@results.once
def speaker_table(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """UA of each speaker in percent, over the classes that the speaker has and the seeds that all of `slugs` have: one row a
    system and speaker.

    Columns: slug, speaker, gender, utterances, ua.
    """
    seeds = shared_seeds(corpus, protocol, slugs, folder)
    people = results.utterances(corpus, folder).groupby("speaker")["gender"].agg(["first", "size"])
    rows = []
    for slug, tally in tallied(corpus, protocol, slugs, folder, seeds).items():
        ua = 100 * statistics.MEASURES["ua"](tally.counts).mean(axis=0)
        for speaker, value in zip(tally.groups, ua, strict=True):
            about = people.loc[speaker]
            rows.append({"slug": slug, "speaker": speaker, "gender": about["first"], "utterances": about["size"], "ua": value})
    return pd.DataFrame(rows, columns=["slug", "speaker", "gender", "utterances", "ua"])


def speaker_spread(people: pd.DataFrame) -> pd.DataFrame:
    """`speaker_table` as one row a system: the speakers that it does worst and best on, and what lies between."""
    rows = []
    for slug, own in people.groupby("slug", sort=False):
        worst, best = own.loc[own["ua"].idxmin()], own.loc[own["ua"].idxmax()]
        rows.append(
            {
                "System": title(str(slug)),
                "Worst speaker": str(worst["speaker"]),
                "Lowest UA": worst["ua"],
                "Median": own["ua"].median(),
                "Highest UA": best["ua"],
                "Best speaker": str(best["speaker"]),
            }
        )
    return pd.DataFrame(rows, columns=["System", "Worst speaker", "Lowest UA", "Median", "Highest UA", "Best speaker"])


def speaker_range_by_chance(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> float:
    """How far apart in UA the baseline's best and worst speaker of `speaker_table` would lie were speakers alike
    (`statistics.range_by_chance`), points; NaN without a baseline."""
    frame = predictions_of_shared_seeds(corpus, protocol, slugs, folder)
    own = frame[frame["system"] == "baseline"]
    if own.empty:
        return float("nan")
    right = (own["prediction"] == own["label"]).groupby(own["utterance"]).mean()
    about = own.drop_duplicates("utterance").set_index("utterance").loc[right.index]
    return 100 * statistics.range_by_chance(right, about["speaker"].astype(str), about["label"].astype(str), 500)


def gender_table(corpus: str, protocol: str, slugs: Sequence[str], folder: str | Path | None = None) -> pd.DataFrame:
    """UA over the women and over the men, and the difference with its interval: one row a system, where both are two or more.

    Over the seeds that all of `slugs` have."""
    seeds = shared_seeds(corpus, protocol, slugs, folder)
    genders = results.utterances(corpus, folder).groupby("speaker")["gender"].first()
    women, men = (genders.index[genders == code].tolist() for code in "fm")
    rows = []
    enough = min(len(women), len(men)) > 1
    for slug, tally in tallied(corpus, protocol, slugs if enough else [], folder, seeds).items():
        row: dict[str, object] = {"System": title(slug)}
        for name, speakers in (("Women", women), ("Men", men)):
            found = statistics.bootstrap_speakers(tally.of(speakers), "ua", RESAMPLES).percent()
            row[name] = interval_text(found.estimate, found.low, found.high)
        gap = statistics.difference_of_groups(tally, women, men, "ua", RESAMPLES).percent()
        row["Difference"] = interval_text(gap.estimate, gap.low, gap.high, sign=True)
        rows.append(row | {"p": gap.p})
    return pd.DataFrame(rows, columns=["System", "Women", "Men", "Difference", "p"])

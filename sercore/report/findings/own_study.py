"""What the pages of a study of one's own say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from ..names import name as named
from ..tables import corpus_title, interval_text, label_order, title
from .words import inside, listed, signed


def standing_sentence(corpus: str, protocol: str, rows: Sequence[dict[str, Any]]) -> str:
    """What differs from the baseline on a corpus, by the rows of `evidence.standing`."""
    place = f"{named(corpus_title(corpus))} ({protocol})"
    others, compared = ([row for row in rows if not math.isnan(row[key])] for key in ("gain", "gain low"))
    base = next((row for row in rows if row["system"] == "baseline"), None)
    begin = f"On {place} the baseline labels {base['UA %']:.0f} % right (UA). " if base else ""
    if others and not compared:
        return f"{begin}**Whether another differs from it cannot be told:** an interval needs speakers that are named."
    if not compared:
        return f"{begin}**No other system has been measured beside it yet.**"
    clear = [row for row in compared if row["gain low"] > 0 or row["gain high"] < 0]
    seeds = max(row["seeds"] for row in rows)
    few = "" if seeds > 1 else " One seed has been run: what another would do is not known."
    if not clear:
        one = f"{named(title(compared[0]['system']))} does not differ clearly from it."
        many = one if len(compared) == 1 else f"None of {len(compared)} other systems differs clearly from it."
        return f"{begin}**{many}**{few}"
    parts = [f"{named(inside(title(row['system'])))} by {signed(row['gain'])} points" for row in clear]
    return f"{begin}**Clearly different from it: {listed(parts)}**, of {len(compared)} compared.{few}"


def standing_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The rows of `evidence.standing` as a page shows them."""
    return pd.DataFrame(
        [
            {
                "System": title(row["system"]),
                "UA": interval_text(row["UA %"], row["UA low"], row["UA high"]),
                "WA": row["WA %"],
                "Gain in UA": None
                if math.isnan(row["gain"])
                else interval_text(row["gain"], row["gain low"], row["gain high"], sign=True),
                "Seeds": row["seeds"],
                "Interval over": row["interval"],
            }
            for row in rows
        ]
    )


def corpus_sentence(corpus: str, utterances: pd.DataFrame) -> str:
    """How large a corpus is."""
    speakers = utterances["speaker"].dropna().nunique() if "speaker" in utterances else 0
    length = f", {utterances['duration'].median():.1f} s long in the middle" if "duration" in utterances else ""
    people = f" of {speakers} speakers" if speakers > 1 else " whose speakers are not named"
    return f"**{named(corpus_title(corpus))}** has {len(utterances):,} utterances{people}{length}."


def corpus_table(utterances: pd.DataFrame) -> pd.DataFrame:
    """Utterances by speaker (rows) and label; one row of all where speakers are not named, or are many."""
    labels = label_order(utterances["label"].unique())
    speaker = utterances["speaker"] if "speaker" in utterances else pd.Series(index=utterances.index, dtype=object)
    counts = pd.crosstab(speaker.fillna("not named"), utterances["label"]).reindex(columns=labels, fill_value=0)
    if len(counts) > 40:
        counts = counts.iloc[:0]
    every = utterances["label"].value_counts().reindex(labels, fill_value=0).to_frame().T
    table = pd.concat([counts, every]).rename_axis(columns=None)
    table.insert(0, "Speaker", [*counts.index, "all"], allow_duplicates=True)  # a label may be called so too
    return table.reset_index(drop=True)

"""What the page `data` says of the way from pictures back to energies (`tables.way`)."""

from __future__ import annotations

import pandas as pd

from ..names import name as named
from ..tables.pictures import PICTURES, SHORT
from ..tables.words import corpus_title
from .words import listed, listed_names, signed


def measured_way(table: pd.DataFrame) -> bool:
    """Whether anything tells by how many points UA moves through pictures (`tables.way`)."""
    return bool(len(table)) and bool(table.loc[table["how"] == PICTURES, "moved"].notna().any())


def way_sentence(table: pd.DataFrame) -> str:
    """By how many points UA moves through pictures, and whether the gain of AMS does."""
    if not measured_way(table):
        return "*What the way costs has not been measured yet.*"
    pictures = table[(table["how"] == PICTURES) & table["moved"].notna()]
    untold = pictures["moved_low"].isna()
    if untold.any():
        parts = [f"{signed(row.moved)} points on {named(corpus_title(row.corpus))}" for row in pictures.itertuples()]
        moved = f"**Through pictures the baseline's UA moves by {listed(parts)}**"
        if untold.all():
            return f"{moved}; with one seed nothing can be said of chance, and more are wanted."
        beyond = (pictures["moved_low"] > 0) | (pictures["moved_high"] < 0)
        kinds = (
            (beyond, "that is more than speakers and seeds explain"),
            (~beyond & ~untold, "that is within what speakers and seeds do"),
            (untold, "one seed says nothing of chance yet"),
        )
        said = [f"on {listed_names(map(corpus_title, pictures.loc[own, 'corpus']))} {what}" for own, what in kinds if own.any()]
        return f"{moved}; {listed(said)}."
    clear = pictures[(pictures["moved_low"] > 0) | (pictures["moved_high"] < 0)]
    level = pictures.drop(clear.index)
    where = listed_names(map(corpus_title, level["corpus"]))
    if clear.empty:
        moved = f"**Through pictures the baseline is neither clearly better nor clearly worse** on {where}"
    else:
        parts = [f"{signed(row.moved)} points on {named(corpus_title(row.corpus))}" for row in clear.itertuples()]
        moved = f"**Through pictures the baseline's UA moves by {listed(parts)}**"
        moved += f", and not clearly on {where}" if len(level) else ""
    short = table[table["how"] == SHORT].set_index("corpus")["gain"]
    both = [
        (row, short[row.corpus]) for row in pictures.itertuples() if pd.notna(row.gain_low) and pd.notna(short.get(row.corpus))
    ]
    if not both:
        return f"{moved}."
    apart = max(abs(row.gain - other) for row, other in both)
    told = [row.gain_low <= other <= row.gain_high for row, other in both]
    within = "within what speakers and seeds do" if all(told) else "more than speakers and seeds explain"
    most = " at most" if len(both) > 1 else ""
    return f"{moved}; the gain of AMS is another by {apart:.1f} points{most}, {within}."

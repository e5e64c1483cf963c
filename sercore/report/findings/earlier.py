"""What the page about Table 1 says of the earlier systems."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ...lab import systems
from ..names import name as named
from ..tables import place_title, title
from .words import inside, listed

SWEEP = "`sercore sweep --corpus NAME --systems table1 --protocols speaker,paper --seeds 0,1`, then `sercore publish`"


def earlier_sentence(found: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """Over how many of the earlier systems the baseline lies, place by place (`tables.on_equal_terms`)."""
    parts, waiting = [], []
    for place, table in found.items():
        own = table[table["slug"].isin(systems.TABLE_1)].dropna(subset=["over_low"])
        if own.empty:
            waiting.append(named(place_title(*place)))
            continue
        above, below = int((own["over_low"] > 0).sum()), int((own["over_high"] < 0).sum())
        count = f"{above or 'none'} of the {len(own)}" if len(own) > 1 else ("the one" if above else "not the one")
        parts.append(f"{count} measured on {named(place_title(*place))}" + (f", and below {below}" if below else ""))
    if not parts:
        return (
            "**None of the seven has been measured yet.** Everything that measures them is there: "
            f"{SWEEP}, fill this page and give claim 5 its verdict."
        )
    text = f"**The baseline lies clearly above {listed(parts)}**, by intervals over speakers and seeds."
    return text + (f" Not measured yet: {listed(waiting)}." if waiting else "")


def costs_sentence(costs: pd.DataFrame) -> str:
    """Where and by which code the costs were measured (`tables.costs`)."""
    if costs.empty:
        return "*The costs have not been measured yet: `python -m sercore.lab.costs`.*"
    own = costs.iloc[0]
    day, commit = str(own["finished"])[:10], str(own["commit"])[:12]
    return f"Measured on {day} on {named(own['processor'])}, {own['cores']} cores, by the code of commit `{named(commit)}`."


def ranks_sentence(found: Mapping[tuple[str, str], pd.DataFrame]) -> str:
    """What is left of the order in which Table 1 reports its systems, where five or more of them were measured; "" elsewhere."""
    parts = []
    for place, table in found.items():
        own = table[table["slug"].isin([*systems.TABLE_1, "baseline"])].dropna(subset=["ua"])
        if len(own) < 5:
            continue
        kept = sum(
            (a.reported - b.reported) * (a.ua - b.ua) > 0
            for i, a in enumerate(own.itertuples())
            for b in list(own.itertuples())[i + 1 :]
        )
        pairs = len(own) * (len(own) - 1) // 2
        first = own.loc[own["reported"].idxmax()]
        rank = int((own["ua"] > first["ua"]).sum()) + 1
        parts.append(
            f"on {named(place_title(*place))} {kept} of the {pairs} pairs keep their order, and "
            f"{named(inside(title(first['slug'])))}, reported best, comes {_ORDINALS[rank - 1]} of {len(own)}"
        )
    if not parts:
        return ""
    return (
        f"How much of the reported order is left: {'; '.join(parts)}. If the order meant nothing, half of the pairs would keep "
        "it. The reported numbers come from seven papers, each with its own part of IEMOCAP, its own split and its own way to "
        "choose the epoch."
    )


_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")

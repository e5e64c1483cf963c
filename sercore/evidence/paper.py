"""What the paper reports: the numbers of its Tables 1 and 2, measured by the authors on IEMOCAP, in percent.

Source: Zhou & Liu, Interspeech 2020; `reported.csv` beside this file holds every number of both tables.
"""

from __future__ import annotations

from importlib.resources import files

import pandas as pd


def table_1() -> pd.DataFrame:
    """Table 1: `row`, `system`, `group` ("prior" or "baseline") and `ua` in percent, in the paper's order."""
    return _table(1)[["row", "system", "group", "ua"]]


def table_2() -> pd.DataFrame:
    """Table 2: `row`, `slug`, `system`, `group`, `ua` and `wa` in percent and `note`, in the paper's
    order."""
    table = _table(2)
    table.insert(1, "slug", [_slug(row) for row in table.itertuples()])
    return table[["row", "slug", "system", "group", "ua", "wa", "note"]]


def _table(number: int) -> pd.DataFrame:
    with files(__package__).joinpath("reported.csv").open(encoding="utf-8") as text:
        reported = pd.read_csv(text)
    table = reported[reported["table"] == number].reset_index(drop=True)
    return table.rename(columns={"ua_percent": "ua", "wa_percent": "wa"}).fillna({"note": ""})


def _slug(row) -> str:
    if row.group == "ams":
        return f"ams-s{row.scale_s:g}-m{row.margin_m:g}"
    if row.group == "focal":
        return f"focal-g{row.gamma:g}-a{row.alpha:g}"
    return {"baseline": "baseline", "cap": "combined"}[row.group]

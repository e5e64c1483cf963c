"""What the paper reports: the numbers of its Tables 1 and 2, measured by the authors on IEMOCAP, in percent.

Source: Zhou & Liu, Interspeech 2020; `reported.csv` beside this file holds every number of both tables.
"""

from __future__ import annotations

import functools
from importlib.resources import files

import pandas as pd


def table_1() -> pd.DataFrame:
    """Table 1: `row`, `system`, `group` ("prior" or "baseline") and `ua` in percent, in the paper's order."""
    return _table(1)[["row", "system", "group", "ua"]]


SOURCES = {
    "lstm": "unknown",
    "lstm-att": "unknown",
    "rnn-att": "Mirsamadi, Barsoum & Zhang 2017",
    "cnn-blstm": "Satt, Rozenberg & Hoory 2017",
    "tdnn-lstm": "Sarma et al. 2018",
    "resnet-mha": "Li, Wu, Jia, Zhao & Meng 2019",
    "3d-crnn": "Chen, He, Yang & Zhang 2018",
}
"""Whose the earlier systems of Table 1 are, in its order; `sercore.network.prior` says how each was built, and guessed."""


def systems() -> pd.DataFrame:
    """All that have a number in the paper: `slug`, `table`, `ua` and `wa` in percent, and `source`."""
    first = table_1().query("group == 'prior'")
    earlier = pd.DataFrame({"slug": list(SOURCES), "table": 1, "ua": first["ua"].to_numpy(), "source": list(SOURCES.values())})
    own = table_2()[["slug", "ua", "wa"]].assign(table=2, source="the paper")
    return pd.concat([own, earlier], ignore_index=True)


def table_2() -> pd.DataFrame:
    """Table 2: `row`, `slug`, `system`, `group`, `ua` and `wa` in percent and `note`, in the paper's
    order."""
    table = _table(2)
    table.insert(1, "slug", [_slug(row) for row in table.itertuples()])
    return table[["row", "slug", "system", "group", "ua", "wa", "note"]]


@functools.cache
def _reported() -> pd.DataFrame:
    with files(__package__).joinpath("reported.csv").open(encoding="utf-8") as text:
        return pd.read_csv(text)


def _table(number: int) -> pd.DataFrame:
    reported = _reported()
    table = reported[reported["table"] == number].reset_index(drop=True)
    return table.rename(columns={"ua_percent": "ua", "wa_percent": "wa"}).fillna({"note": ""})


def _slug(row) -> str:
    if row.group == "ams":
        return f"ams-s{row.scale_s:g}-m{row.margin_m:g}"
    if row.group == "focal":
        return f"focal-g{row.gamma:g}-a{row.alpha:g}"
    return {"baseline": "baseline", "cap": "combined"}[row.group]

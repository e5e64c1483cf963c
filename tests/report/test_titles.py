"""Titles hold on the published records, on none, and under records made up to say the opposite."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sercore.report import tables, titles

TOP = Path(__file__).resolve().parents[2]


def test_every_page_without_a_title_of_its_own_has_one_here():
    untitled = {
        path.stem for path in (TOP / "book" / "notebooks").glob("*.md") if re.search(r"^# \{title\}", path.read_text(), re.M)
    }
    assert untitled - {"experiment"} == set(titles.TITLES)


@pytest.mark.parametrize("page", titles.TITLES)
def test_titles_of_the_published_records_and_of_none(page, monkeypatch, tmp_path):
    for folder in (TOP / "results", tmp_path):
        monkeypatch.setenv("SERCORE_RESULTS", str(folder))
        title = titles.of(page)
        assert 2 < len(title) < 90 and "nan" not in title.lower()


@pytest.mark.parametrize(
    ("low", "high", "title"),
    [
        ([1, -2], [3, 2], "AMS helps on EmoDB, not on nEMO"),
        ([1, 2], [3, 4], "AMS helps on EmoDB and nEMO"),
        ([-3, -2], [-1, 2], "AMS lies below the baseline on EmoDB, with no clear gain on nEMO"),
        ([-3, -2], [1, 2], "AMS: no clear gain on EmoDB and nEMO"),
        ([], [], "AMS"),
    ],
)
def test_a_family_is_titled_by_its_intervals(low, high, title, monkeypatch):
    groups = ["EmoDB, speakers apart", "nEMO, speakers apart"][: len(low)]
    frame = pd.DataFrame({"group": groups, "slug": "ams-s10-m0.4", "wide_low": low, "wide_high": high}, dtype=object)
    other = pd.DataFrame({"group": ["EmoDB, random split"], "slug": ["ams-s10-m0.4"], "wide_low": [-9], "wide_high": [-8]})
    monkeypatch.setattr(tables, "gains", lambda slugs: pd.concat([frame, other], ignore_index=True))
    assert titles.of("ams") == title


@pytest.mark.parametrize(
    ("low", "high", "title"),
    [
        ([1, -2], [3, 2], "Table 2: 1 of 2 gains stands out from speakers and seeds"),
        ([-4, -2], [-3, 2], "Table 2: no gain stands out from speakers and seeds; 1 of 2 lies below 0"),
        ([-1, -2], [3, 2], "Table 2: no gain stands out from speakers and seeds"),
        ([np.nan], [np.nan], "Table 2: no gain can be told from chance with one seed"),
        ([], [], "Table 2: every system"),
    ],
)
def test_table_2_is_titled_by_what_speakers_and_seeds_leave(low, high, title, monkeypatch):
    frame = pd.DataFrame({"wide_low": low, "wide_high": high}, dtype=float)
    monkeypatch.setattr(tables, "gains", lambda: frame)
    assert titles.of("table-2") == title


@pytest.mark.parametrize(
    ("low", "high", "seeds", "title"),
    [
        ([1, -2], [5, 4], 2, "By F1 the focal loss hears happy better on EmoDB, speakers apart, so far"),
        ([-3, -2], [5, -1], 5, "By F1 the focal loss hears happy worse on nEMO, speakers apart"),
        ([-3, -9], [5, -0.1], 5, "The focal loss does not clearly hear happy better"),
        ([-3, np.nan], [5, np.nan], 1, "The focal loss does not clearly hear happy better, so far"),
        ([], [], 1, "What is taken for what"),
    ],
)
def test_happy_is_heard_better_where_f1_says_so(low, high, seeds, title, monkeypatch):
    groups = ["EmoDB, speakers apart", "nEMO, speakers apart"][: len(low)]
    p = [0.5 if end < 0 < other else 0.04 if other - end > 5 else 0.001 for end, other in zip(low, high, strict=True)]
    found = pd.DataFrame({"group": groups, "f1_low": low, "f1_high": high, "f1_p": p, "seeds": seeds})
    monkeypatch.setattr(tables, "criterion", lambda *_: found)
    assert titles.of("confusion") == title

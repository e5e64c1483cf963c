import math
from pathlib import Path

import pytest
from made_runs import make

from sercore.evidence.standing import standing
from sercore.report import tables

PUBLISHED = Path(__file__).parents[2] / "results"


def test_published_systems_have_their_gain_over_speakers_and_seeds(tmp_path):
    rows = standing("emodb", ["speaker"], tmp_path, PUBLISHED)
    by_slug = {row["system"]: row for row in rows}
    assert rows[0]["system"] == "baseline" and math.isnan(by_slug["baseline"]["gain"])
    own = by_slug["ams-s10-m0.4"]
    assert own["seeds"] == 5 and own["interval"] == "speakers and seeds" and own["unpublished"] == 0
    assert own["UA low"] < own["UA %"] < own["UA high"] and own["gain low"] < own["gain"] < own["gain high"]
    assert own["gain"] == pytest.approx(own["UA %"] - by_slug["baseline"]["UA %"], abs=0.11)
    book = tables.gains(["ams-s10-m0.4"], PUBLISHED).set_index("group").loc["EmoDB, speakers apart"]
    assert [own["gain low"], own["gain high"]] == pytest.approx([round(book["wide_low"], 1), round(book["wide_high"], 1)])


def test_runs_that_are_not_published_count_too_and_incomplete_seeds_say_so(tmp_path):
    make(tmp_path, folds=5)
    make(tmp_path, "combined", folds=3)
    rows = standing("tones", ["speaker", "paper"], tmp_path, tmp_path / "none")
    assert [(row["protocol"], row["system"], row["runs"], row["unpublished"], row["seeds"]) for row in rows] == [
        ("speaker", "baseline", 5, 5, 1),
        ("speaker", "combined", 3, 3, 0),
    ]
    assert rows[0]["interval"] == "speakers" and rows[0]["UA low"] < rows[0]["UA %"]
    assert rows[1]["interval"] == "none: not all of 5 folds" and math.isnan(rows[1]["gain"]) and 0 < rows[1]["UA %"] < 100
    assert standing("tones", ["speaker"], tmp_path, tmp_path / "none", published_alone=True) == []

"""Systems of the user's own: known by their slug, and in the tables beside the paper's."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from sercore import SercoreError
from sercore.evidence import noise, results
from sercore.lab import systems
from sercore.report import findings, tables

PUBLISHED = Path(__file__).parents[2] / "results"


@pytest.fixture(autouse=True)
def none_stays(monkeypatch):
    monkeypatch.setattr(systems, "OWN", {})


def test_a_registered_system_is_one_as_the_papers_are():
    systems.register("narrow", title="A narrow network", lstm_cells=16)
    assert systems.config("narrow").lstm_cells == 16 and systems.config("narrow+combined").pooling == "combined"
    assert systems.is_own("narrow") and systems.is_own("narrow@dropout=0.5") and systems.family("narrow") == "own"
    assert tables.title("narrow") == "A narrow network" and systems.expand("baseline,narrow") == ["baseline", "narrow"]


@pytest.mark.parametrize("slug", ["baseline", "lstm", "ams-s7-m0.3"])
def test_a_name_that_is_taken_is_refused(slug):
    with pytest.raises(SercoreError, match="take a new name"):
        systems.register(slug, lstm_cells=16)


def test_a_name_that_names_no_file_and_a_setting_that_is_none_are_refused():
    with pytest.raises(SercoreError, match="small letters"):
        systems.register("My system", lstm_cells=16)
    with pytest.raises(SercoreError, match="unknown settings: cells"):
        systems.register("mine", cells=16)


@pytest.mark.parametrize(
    "slug, own",
    [
        *((slug, False) for slug in (*systems.TABLE_2, *systems.TABLE_1, "ams-s7-m0.3+combined", "baseline@masked=true")),
        *((slug, False) for slug in ("baseline@loss=focal,alpha=1,2,1,1", "baseline@learning_rate=3e-4,toolkit=pytorch")),
        *((slug, True) for slug in ("baseline@loss=smoothed", "baseline@masked=true,pooling=mine", "supcon", "supcon+combined")),
    ],
)
def test_which_are_ones_own(slug, own):
    assert systems.is_own(slug) == own
    assert tables.title(slug)


@pytest.fixture(params=["supcon", "baseline@loss=smoothed"])
def with_own(request, tmp_path):
    """The published records, as if one of their systems had been the user's own; the extension is not here any more."""
    for name in ("predictions", "utterances", "splits", "yardsticks"):
        shutil.copytree(PUBLISHED / name, tmp_path / name)
    runs = pd.read_parquet(PUBLISHED / "runs.parquet")
    theirs = runs["system"] == "focal-g5-a4"
    runs.loc[theirs, "system"] = request.param
    new = {run: run.replace("focal-g5-a4", request.param) for run in runs.loc[theirs, "run"]}
    runs["run"] = runs["run"].replace(new)
    runs.to_parquet(tmp_path / "runs.parquet")
    for path in (tmp_path / "predictions").glob("*.parquet"):
        predicted = pd.read_parquet(path)
        predicted["run"] = predicted["run"].astype(str).replace(new)
        predicted.to_parquet(path)
    return tmp_path, request.param


def test_it_has_its_row_beside_the_baseline_and_is_no_reading_of_the_paper(with_own):
    folder, own = with_own
    table = tables.table_2("speaker", folder)
    row = table[table["System", ""] == tables.title(own)].iloc[0]
    assert "[" in row["EmoDB, ours", "UA"] and "[" in row["EmoDB, ours", "gain"] and pd.isna(row["Paper on IEMOCAP", "UA"])
    assert own in tables.claims_and_own("emodb", "speaker", folder) and "focal-g5-a4" not in tables.claims_and_own(
        "emodb", "speaker"
    )
    found = tables.combinations("emodb", "speaker", folder)
    assert found[found["slug"] == own]["other"].tolist() == ["baseline"]
    assert tables.title(own) in findings.own_sentence(found).replace("\x02", "").replace("\x03", "")
    assert own not in findings.combination_sentence(found)
    compared = noise.readings(results.runs(folder))
    assert own not in compared["system"].tolist() and own not in compared["against"].tolist()
    assert own not in set(results.counted(results.runs(folder))["system"]) or "@" not in own

"""What the way from pictures back to energies costs, told from records whose accuracies are known."""

import numpy as np
import pandas as pd
import pytest
from published import publish

from sercore.corpora import LABELS
from sercore.lab import study
from sercore.report import findings, tables
from sercore.report.tables import pictures

SPEAKERS, EACH = ("f1", "f2", "m1", "m2"), 20


def measured(folder, corpus, recalls, seeds=(0, 1)):
    """Publish runs of `corpus` that label this share of every class right, a little more with each seed."""
    folder.mkdir(exist_ok=True)
    (folder / "predictions").mkdir(exist_ok=True)
    publish(folder, corpus, ",".join(recalls), seeds=",".join(map(str, seeds)))
    rows = [(speaker, label, number) for speaker in SPEAKERS for label in LABELS for number in range(EACH)]
    own = pd.DataFrame(rows, columns=["speaker", "label", "number"])
    other = own["label"].map(dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True)))
    frames = []
    for system, recall in recalls.items():
        for seed in seeds:
            said = own["label"].where((own["number"] < EACH * recall + seed) | (own["speaker"] == "f1"), other)
            names = [f"{corpus}-speaker-{system}-seed{seed}-fold{number % 5}" for number in own["number"]]
            ids = [f"{row.speaker}-{row.label}-{row.number:02d}" for row in own.itertuples()]
            frame = pd.DataFrame({"run": names, "utterance": ids, "speaker": own["speaker"], "label": own["label"]})
            frames.append(frame.assign(**{f"p_{label}": (said == label).astype("float32") for label in LABELS}))
    pd.concat(frames, ignore_index=True).to_parquet(folder / "predictions" / f"{corpus}-speaker.parquet")


@pytest.fixture
def folder(tmp_path):
    baseline, ams = study.COMPARED
    measured(tmp_path, "emodb", {baseline: 0.6, ams: 0.7})
    measured(tmp_path / study.WAY, "emodb", dict(zip(study.CUT, (0.5, 0.6), strict=True)))
    measured(tmp_path / study.WAY, "emodb-spectra", {baseline: 0.4, ams: 0.5})
    return tmp_path


def test_each_way_is_set_beside_the_cut_recordings(folder):
    table = tables.way(folder).set_index("how")
    assert list(table.index) == [pictures.WHOLE, pictures.SHORT, pictures.PICTURES] and set(table["corpus"]) == {"emodb"}
    assert table.loc[pictures.WHOLE, "moved"] == pytest.approx(7.5)  # three of four speakers move by ten points
    assert table.loc[pictures.PICTURES, "moved"] == pytest.approx(-7.5) and np.isnan(table.loc[pictures.SHORT, "moved"])
    assert table["gain"].to_numpy() == pytest.approx(7.5) and (table["gain_low"] < 7.5).all() and (table["seeds"] == 2).all()
    assert len(tables.way_runs(folder)) == 40
    shown = tables.shown_way(table.reset_index())
    moved = shown["Less the cut recordings, same seeds"]
    assert moved.iloc[2].startswith("\u22127.5 [") and pd.isna(moved.iloc[1])


def test_a_book_without_it_says_so(tmp_path):
    measured(tmp_path, "emodb", {"baseline": 0.6})
    empty = tables.way(tmp_path)
    assert empty.empty and "not been measured" in findings.way_sentence(empty) and tables.way_runs(tmp_path).empty


def test_what_it_costs_is_told(folder):
    table = tables.way(folder)
    assert findings.way_sentence(table) == (
        "**Through pictures the baseline is neither clearly better nor clearly worse** on EmoDB; the gain of AMS is another by "
        "0.0 points, within what speakers and seeds do."
    )
    through = table["how"] == pictures.PICTURES
    table.loc[through, ["moved_low", "moved_high"]] = (-9.0, -6.0)
    table.loc[through, ["gain", "gain_low", "gain_high"]] = (1.0, 0.0, 2.0)
    assert findings.way_sentence(table) == (
        "**Through pictures the baseline's UA moves by \u22127.5 points on EmoDB**; the gain of AMS is another by 6.5 points, "
        "more than speakers and seeds explain."
    )
    other = table.assign(corpus="ravdess", moved_low=np.nan, moved_high=np.nan)
    assert findings.way_sentence(pd.concat([table, other])) == (
        "**Through pictures the baseline's UA moves by \u22127.5 points on EmoDB and \u22127.5 points on RAVDESS**; on EmoDB "
        "that is more than speakers and seeds explain and on RAVDESS one seed says nothing of chance yet."
    )
    one_seed = table.assign(**dict.fromkeys(("moved_low", "moved_high", "gain_low", "gain_high"), np.nan))
    assert findings.way_sentence(one_seed) == (
        "**Through pictures the baseline's UA moves by \u22127.5 points on EmoDB**; with one seed nothing can be said of chance, "
        "and more are wanted."
    )

"""The page about Table 1: the earlier systems as reported, as measured, drawn, and what they cost."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from published import publish

import sercore
from sercore.corpora.base import LABELS
from sercore.evidence import results
from sercore.frontend.front_ends import FRONT_ENDS
from sercore.lab import systems
from sercore.report import findings, tables
from sercore.report.figures import cost_plots, outlines

SHARES = {"baseline": 0.6, "lstm": 0.4, "lstm-att": 0.45, "rnn-att": 0.8, "cnn-blstm": 0.5, "tdnn-lstm": 0.6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One corpus of ten speakers; each system is right on a share of the utterances that differs a little by seed and speaker."""
    path, random = tmp_path_factory.mktemp("results"), np.random.default_rng(0)
    rows = [(f"s{speaker}", label, number) for speaker in range(10) for label in LABELS for number in range(10)]
    utterances = pd.DataFrame(rows, columns=["speaker", "label", "number"])
    utterances["id"] = [f"{speaker}-{label}-{number}" for speaker, label, number in rows]
    utterances["gender"] = "f"
    (path / "utterances").mkdir()
    utterances.drop(columns="number").to_parquet(path / "utterances" / "mine.parquet")
    (path / "predictions").mkdir()
    publish(path, "mine", ",".join(SHARES), seeds="0,1")
    frames, wrong = [], dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True))
    for system, share in SHARES.items():
        for seed in (0, 1):
            right = random.random(len(utterances)) < share + 0.01 * seed
            said = utterances["label"].where(right, utterances["label"].map(wrong))
            fold = utterances["speaker"].str[1:].astype(int) % 5
            frame = pd.DataFrame({"run": [f"mine-speaker-{system}-seed{seed}-fold{number}" for number in fold]})
            frame = frame.assign(utterance=utterances["id"], speaker=utterances["speaker"], label=utterances["label"])
            frames.append(frame.assign(**{f"p_{label}": (said == label).astype("float32") for label in LABELS}))
    pd.concat(frames, ignore_index=True).to_parquet(path / "predictions" / "mine-speaker.parquet")
    return path


def test_on_equal_terms(folder):
    found = tables.on_equal_terms("mine", "speaker", folder).set_index("slug")
    assert list(found.index) == ["lstm", "lstm-att", "rnn-att", "cnn-blstm", "tdnn-lstm", "baseline"]
    assert found["seeds"].eq(2).all() and found.at["rnn-att", "reported"] == 59.7
    assert found.at["lstm", "over_low"] > 0 and found.at["rnn-att", "over_high"] < 0
    assert found.at["tdnn-lstm", "over_low"] < 0 < found.at["tdnn-lstm", "over_high"]
    assert (
        (found["ua_low"] < found["ua"]).all()
        and (found["ua"] < found["ua_high"]).all()
        and np.isnan(found.at["baseline", "over"])
    )
    assert "resnet-mha" not in found.index
    shown = tables.table_1("mine", "speaker", folder).set_index("System")
    assert shown.at["LSTM", "Baseline's gain over it"].startswith("+") and shown.at["LSTM", "Seeds"] == 2


def test_earlier_systems_are_no_part_of_the_other_tables(folder):
    assert tables.measured_systems("mine", "speaker", folder) == ["baseline"]
    assert tables.measured_earlier("mine", "speaker", folder) == [slug for slug in SHARES if slug != "baseline"]
    assert set(results.counted(results.runs(folder))["system"]) == {"baseline"}
    assert set(results.proposed(results.runs(folder))["system"]) == {"baseline"}
    assert results.proposed(results.runs(folder)[:0]).empty
    assert tables.table_2("speaker", folder)["mine, ours", "UA"].notna().sum() == 1 + 2


def test_they_go_from_speaker_to_speaker_too(folder):
    compared = ["baseline", *tables.measured_earlier("mine", "speaker", folder)]
    spread = tables.speaker_spread(tables.speaker_table("mine", "speaker", compared, folder)).set_index("System")
    assert list(spread.index) == [tables.title(slug) for slug in compared]
    assert (spread["Lowest UA"] <= spread["Median"]).all() and (spread["Median"] <= spread["Highest UA"]).all()


def test_what_is_said_of_them(folder):
    found = {("mine", "speaker"): tables.on_equal_terms("mine", "speaker", folder)}
    said = findings.earlier_sentence(found)
    assert "clearly above 3 of the 5 measured on mine, speakers apart, and below 1**" in said
    ranks = findings.ranks_sentence(found)
    assert "of the 15 pairs keep their order" in ranks and "reported best, comes" in ranks
    nothing = {("mine", "speaker"): found["mine", "speaker"].query("slug == 'baseline'")}
    assert findings.earlier_sentence(nothing).startswith("**None of the seven has been measured yet.**")
    assert findings.ranks_sentence(nothing) == ""


def test_where_they_come_from_is_told_from_their_files():
    sources = tables.sources().set_index("slug")
    assert list(sources.index) == list(systems.TABLE_1) == list(tables.ATTRIBUTION)
    assert sources.at["cnn-blstm", "source"].startswith("A. Satt, S. Rozenberg, R. Hoory")
    assert all("uessed" in notes for slug, notes in sources["notes"].items() if slug != "3d-crnn")
    assert "Left out" in sources.at["3d-crnn", "notes"]
    assert not sources["notes"].str.contains("`").any()  # a page shows them as they are


def test_costs_stand_beside_what_is_reported(folder, tmp_path):
    empty = tables.with_costs(folder)
    assert len(empty) == 11 and empty["Parameters"].isna().all() and empty["Reported UA"].notna().all()
    rows = [(slug, 1000, 2e8, 1.0, 2.0) for slug in SHARES]
    columns = ["system", "parameters", "multiply_adds", "training_ms", "labelling_ms"]
    pd.DataFrame(rows, columns=columns).to_parquet(tmp_path / "costs.parquet")
    found = tables.with_costs(tmp_path).set_index("System")
    assert found.at["LSTM", "Million multiply-adds"] == 200 and found.at["LSTM", "Whose it is"] == "unknown"
    assert "have not been measured yet" in findings.costs_sentence(tables.costs(folder))
    measured = tables.costs(tmp_path).assign(finished="2026-11-26T22:00", processor="made up", cores=2, commit="0123456789abcdef")
    assert (
        findings.costs_sentence(measured) == "Measured on 2026-11-26 on made up, 2 cores, by the code of commit `0123456789ab`."
    )
    known = tables.on_equal_terms("mine", "speaker", folder).merge(tables.costs(tmp_path), left_on="slug", right_index=True)
    figure = cost_plots.accuracy_against_cost(known)
    assert {text.get_text() for text in figure.axes[0].texts} == {tables.title(slug).partition(" (")[0] for slug in SHARES}
    plt.close(figure)


@pytest.mark.parametrize("slug", systems.TABLE_1)
def test_every_network_is_drawn_from_its_code(slug):
    model = sercore.build(slug)
    bands = FRONT_ENDS[model.front_end].bands
    x, lengths = torch.randn(1, 96, bands, generator=torch.Generator().manual_seed(0)), torch.tensor([96])
    stages = outlines.stages(model, x, lengths)
    assert stages[0][1].shape == (96, bands) and stages[-1][1].shape == (4,)
    own = sum(count for _, _, count in stages)
    loose = {"rnn-att": 256, "3d-crnn": 2 * 768}.get(slug, 0)  # a vector, and batch norm, that are no part of their own
    assert own + loose == model.num_parameters()
    assert not model.training
    figure = outlines.outline(model, x, lengths)
    assert "classes" in [text.get_text() for text in figure.axes[0].texts]
    plt.close(figure)


def test_an_eighth_system_has_its_row_and_no_part_in_the_papers_claim(folder, monkeypatch):
    monkeypatch.setitem(systems.TABLE_1, "eighth", {"network": "lstm"})
    monkeypatch.setattr(tables.earlier, "ORDER", (*systems.TABLE_1, *systems.CLAIMS))
    rows = tables.with_costs(folder).set_index("System")
    assert rows.at["eighth", "Whose it is"] == "not in the paper" and np.isnan(rows.at["eighth", "Reported UA"])
    assert "eighth" in tables.table_1("mine", "speaker", folder)["System"].tolist()

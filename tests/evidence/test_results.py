import hashlib
import json
import shutil
from pathlib import Path

import fresh_process
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published import publish
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from typer.testing import CliRunner

from sercore import SercoreError, bounds, corpora, places
from sercore.__main__ import app
from sercore.evidence import claims, publication, results
from sercore.lab import sweep, systems
from sercore.lab.systems import config
from sercore.report import findings, tables

QUICK = {"max_epochs": "1", "clip_seconds": "0.35", "toolkit": "pytorch", "precision": "bfloat16"}


@pytest.fixture(scope="module")
def published(tones, made_once):
    """(runs, results) of two systems on all folds under both protocols."""

    def make(folder):
        sweep.sweep(sweep.plan(str(tones), "baseline,combined", "speaker,paper"), folder / "runs", overrides=QUICK)
        assert publication.publish(folder / "runs", folder / "results") == publication.Published(20, 20, ())

    folder = made_once("published", make)
    return folder / "runs", folder / "results"


@pytest.mark.parametrize("of", ["made here", "the book's"])
def test_every_published_number_follows_from_its_probabilities(of, published):
    target = published[1] if of == "made here" else Path(__file__).parents[2] / "results"
    runs = results.runs(target).set_index("run")
    for corpus, name in results.published(target):
        for run, frame in results.predictions(corpus, name, target).groupby("run"):
            assert accuracy_score(frame["label"], frame["prediction"]) == pytest.approx(runs.at[run, "wa"], abs=1e-12)
            assert balanced_accuracy_score(frame["label"], frame["prediction"]) == pytest.approx(runs.at[run, "ua"], abs=1e-12)


def test_the_schema_is_the_documented_one(published):
    _, target = published
    assert set(results.RUN_COLUMNS) <= set(results.runs(target).columns)
    raw = pd.read_parquet(target / "predictions" / "tones-speaker.parquet")
    assert list(raw.columns) == ["run", "utterance", "speaker", "label", "p_angry", "p_happy", "p_sad", "p_neutral"]
    assert len(raw) == 2 * 40 and raw["p_angry"].dtype == np.float32
    features = results.features("tones", "speaker", target)
    assert {len(values) for values in features["features"]} == {64, 128}
    assert all(abs(weights.sum() - 1) < 0.01 for weights in features["attention"])
    assert list(results.history(target).columns[-6:]) == [
        "epoch",
        "train_loss",
        "chooser_loss",
        "chooser_wa",
        "chooser_ua",
        "seconds",
    ]


def test_split_files_carry_the_checksum_of_their_runs(published):
    _, target = published
    for name, group in results.runs(target).groupby("protocol"):
        text = (target / "splits" / f"tones-{name}.csv").read_bytes()
        assert set(group["split"]) == {hashlib.sha256(text).hexdigest()}


def test_publishing_again_changes_nothing_and_keeps_what_came_from_elsewhere(published, tones, tmp_path):
    runs, target = published[0], shutil.copytree(published[1], tmp_path / "results")
    before = {path: path.read_bytes() for path in sorted(target.rglob("*.*"))}
    publication.publish(runs, target)
    assert {path: path.read_bytes() for path in sorted(target.rglob("*.*"))} == before
    sweep.sweep(sweep.plan(str(tones), "baseline", "speaker", "3"), tmp_path, overrides=QUICK)
    assert publication.publish(tmp_path, target).runs == 25
    assert set(results.predictions("tones", "speaker", target)["seed"]) == {0, 3}
    assert set(results.features("tones", "speaker", target)["seed"]) == {0, 3}
    assert set(results.maps("tones", "speaker", target)["seed"]) <= {0}
    publication.publish(tmp_path, tmp_path / "alone")
    assert set(results.features("tones", "speaker", tmp_path / "alone")["seed"]) == {3}


def test_features_are_published_of_first_seeds_and_of_the_systems_with_claims(tmp_path):
    publish(tmp_path, "mine", "baseline,ams-s10-m0.1,combined", "speaker,leaky", "1-2")
    kept = results.with_features(results.runs(tmp_path))
    assert {(row.protocol, row.system, row.seed) for row in kept.itertuples()} == {
        *(("speaker", system, seed) for system in ("baseline", "combined") for seed in (1, 2)),
        ("speaker", "ams-s10-m0.1", 1),
    }


def test_runs_with_other_settings_replace_published_ones_only_where_that_is_asked_for(published, tones, tmp_path):
    target = shutil.copytree(published[1], tmp_path / "results")
    other = {**QUICK, "patience": "7"}
    sweep.sweep(sweep.plan(str(tones), "baseline", "speaker", "0"), tmp_path / "runs", overrides=other)
    before = results.runs(target)
    with pytest.raises(SercoreError, match=r"(?s)5 of these runs with other settings.*fold0: patience=\d+ there, 7 here.*fold4"):
        publication.publish(tmp_path / "runs", target)
    assert results.runs(target).equals(before)
    assert publication.publish(tmp_path / "runs", target, replace=True) == publication.Published(len(before), 0, ())
    replaced = results.runs(target).query("system == 'baseline' and protocol == 'speaker' and seed == 0")
    assert replaced["changed"].str.contains("patience=7").all()


def test_where_publishing_fails_the_results_stay_as_they_were(published, tones, tmp_path):
    target = shutil.copytree(published[1], tmp_path / "results")
    before = {path: path.read_bytes() for path in sorted(target.rglob("*.*"))}
    moved = tmp_path / "moved.csv"
    table = pd.read_csv(tones)
    table.assign(path=[str(tones.parent / path) for path in table["path"]]).to_csv(moved, index=False)
    sweep.sweep(sweep.plan(str(moved), "baseline", "speaker", "0"), tmp_path / "runs", overrides=QUICK)
    moved.unlink()
    with pytest.raises(SercoreError, match=r"(?s)nothing was published.*moved, that its runs call .*moved.csv.*no such file"):
        publication.publish(tmp_path / "runs", target)
    assert {path: path.read_bytes() for path in sorted(target.rglob("*.*"))} == before


def test_who_publishes_at_once_adds_to_what_the_others_wrote(published, tmp_path):
    parts = {}
    for run in sorted(path for path in published[0].iterdir() if path.is_dir()):
        part = "-".join(run.name.split("-")[1:3])  # protocol and system
        parts.setdefault(part, tmp_path / part)
        shutil.copytree(run, tmp_path / part / run.name)
    assert len(parts) == 4
    target = tmp_path / "results"
    started = [
        fresh_process.start("-m", "sercore", "publish", "--runs", folder, "--results", target, folder=folder)
        for folder in parts.values()
    ]
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 4
    assert set(results.runs(target)["run"]) == set(results.runs(published[1])["run"])
    for corpus, name in results.published(published[1]):
        one, other = (results.predictions(corpus, name, folder) for folder in (target, published[1]))
        pd.testing.assert_frame_equal(one, other)
    assert not list(target.rglob("*.partial"))


def test_a_corpus_is_taken_out_whole(published, tmp_path):
    target = tmp_path / "results"
    shutil.copytree(published[1], target)
    kept = {path.with_name(path.name.replace("tones", "tones-paper", 1)): path for path in target.rglob("tones*")}
    for other, path in kept.items():  # another corpus, whose name begins alike
        shutil.copy(path, other)
    for name in ("runs", "history"):
        table = pd.read_parquet(target / f"{name}.parquet")
        again = table.assign(run=table["run"].str.replace("tones", "tones-paper"))
        again = again.assign(corpus="tones-paper") if name == "runs" else again
        pd.concat([table, again], ignore_index=True).to_parquet(target / f"{name}.parquet")
    pd.DataFrame({"model": "m", "corpus": ["tones", "tones-paper"]}).to_parquet(target / "trials.parquet")
    with pytest.raises(SercoreError, match="nothing of 'tone': did you mean tones"):
        publication.unpublish("tone", target)
    assert publication.unpublish("tones", target).runs == 20
    assert set(results.runs(target)["corpus"]) == {"tones-paper"} == set(results.history(target)["corpus"])
    assert set(target.rglob("tones*")) == set(kept)
    assert pd.read_parquet(target / "trials.parquet")["corpus"].tolist() == ["tones-paper"]
    publication.unpublish("tones-paper", target)
    assert results.runs(target).empty and not list(target.rglob("tones*"))


def test_an_unknown_corpus_is_added_to_the_projects_own_results_only_where_somebody_agrees(published, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "PROJECT", tmp_path)
    target, asked = tmp_path / "results", []
    with pytest.raises(SercoreError, match=r"nothing was published: tones would be added to .*--results, or agree by --yes"):
        publication.publish(published[0], target, agree=lambda question: asked.append(question))
    assert asked and not results.runs(target)["run"].size
    said = CliRunner().invoke(app, ["publish", "--runs", str(published[0]), "--results", str(target)])
    assert said.exit_code == 2 and "project's own results" in said.output
    done = CliRunner().invoke(app, ["publish", "--runs", str(published[0]), "--results", str(target), "--yes"])
    assert done.exit_code == 0
    publication.publish(published[0], target, agree=lambda question: False)  # it knows the corpus now
    assert CliRunner().invoke(app, ["unpublish", "tones", "--results", str(target)]).exit_code == 2
    assert CliRunner().invoke(app, ["unpublish", "tones", "--results", str(target), "--yes"]).exit_code == 0


def test_of_several_corpora_those_are_published_that_are_named(published, tmp_path):
    runs = shutil.copytree(published[0], tmp_path / "runs")
    for folder in list(runs.glob("tones-speaker-baseline-seed0-*")):
        copy = shutil.copytree(folder, runs / folder.name.replace("tones", "clinic", 1))
        facts = json.loads((copy / "run.json").read_text())
        (copy / "run.json").write_text(json.dumps(facts | {"run": copy.name, "corpus": "clinic"}))
    target = tmp_path / "results"
    publication.publish(runs, target, corpora={"tones"})
    assert set(results.runs(target)["corpus"]) == {"tones"}
    said = CliRunner().invoke(app, ["publish", "--runs", str(runs), "--results", str(target), "--corpus", "ward,room"])
    assert said.exit_code == 2 and "no finished run of room or ward under" in said.output


def test_corpora_that_changed_or_are_gone_are_not_published_and_named_together(published, tones, tmp_path):
    own = tmp_path / "changed"
    shutil.copytree(tones.parent, own)
    table = own / tones.name
    sweep.sweep(sweep.plan(str(table), "baseline", "speaker"), tmp_path / "runs", overrides=QUICK)
    pd.read_csv(table).iloc[:-1].to_csv(table, index=False)
    for facts in sorted((tmp_path / "runs").glob("*/run.json")):
        gone = json.loads(facts.read_text()) | {"corpus": "gone", "source": "gone.csv"}
        gone["run"] = gone["run"].replace("tones", "gone")
        shutil.copytree(facts.parent, tmp_path / "runs" / gone["run"])
        (tmp_path / "runs" / gone["run"] / "run.json").write_text(json.dumps(gone))
    with pytest.raises(SercoreError, match=r"(?s)have changed since their runs were made.*tones.*cannot be loaded.*gone\.csv"):
        publication.publish(tmp_path / "runs", tmp_path / "results")
    assert not list((tmp_path / "results").glob("**/*.parquet"))


def test_folds_of_one_seed_with_different_settings_are_not_published_together(published, tones, tmp_path):
    shutil.copytree(published[0], tmp_path / "runs")
    facts = next((tmp_path / "runs").glob("*/run.json"))
    record = json.loads(facts.read_text())
    record["config"]["patience"] += 1
    facts.write_text(json.dumps(record))
    with pytest.raises(SercoreError, match=r"cannot stand together.*\n.*runs on 2 different settings"):
        publication.publish(tmp_path / "runs", tmp_path / "results")


def test_a_damaged_record_is_named(published, tmp_path):
    runs = shutil.copytree(published[0], tmp_path / "runs")
    folder = next(path.parent for path in sorted(runs.glob("*/test.npz")))
    (folder / "test.npz").write_bytes(b"junk")
    with pytest.raises(SercoreError, match=f"{folder.name}: the record cannot be read"):
        publication.publish(runs, tmp_path / "results")


def test_nothing_finished_is_an_error(tmp_path):
    with pytest.raises(SercoreError, match="no finished run"):
        publication.publish(tmp_path, tmp_path / "results")


def test_a_seed_is_published_when_all_its_folds_are_there(published, tones, tmp_path):
    runs, target = tmp_path / "runs", tmp_path / "results"
    publication.publish(published[0], target)
    sweep.sweep(sweep.plan(str(tones), "baseline", "speaker", "1", "0-3"), runs, overrides=QUICK)
    with pytest.raises(SercoreError, match="of no seed") as caught:
        publication.publish(runs, target)
    assert [name[-6:] for name in caught.value.offenders] == ["-fold0", "-fold1", "-fold2", "-fold3"]
    sweep.sweep(sweep.plan(str(tones), "combined", "speaker", "1"), runs, overrides=QUICK)
    done = publication.publish(runs, target)
    assert done == publication.Published(25, 5, tuple(caught.value.offenders))
    assert results.predictions("tones", "speaker", target).query("seed == 1")["system"].unique().tolist() == ["combined"]
    command = CliRunner().invoke(app, ["publish", "--runs", str(runs), "--results", str(target)])
    assert "25 runs" in command.stdout and "left out" in command.stderr and command.exit_code == 0
    sweep.sweep(sweep.plan(str(tones), "baseline", "speaker", "1", "4"), runs, overrides=QUICK)
    assert publication.publish(runs, target) == publication.Published(30, 5, ())
    assert set(results.history(target).query("seed == 1")["system"]) == {"baseline", "combined"}


def test_records_whose_epoch_was_chosen_otherwise_are_refused(published, tmp_path):
    table = results.runs(published[1])
    table.assign(chosen_by=["test", *table["chosen_by"][1:]]).to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(SercoreError, match="not chosen as its protocol says"):
        results.runs(tmp_path)
    table.drop(columns="chosen_by").to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(SercoreError, match="no column chosen_by"):
        results.runs(tmp_path)


def test_runs_on_different_data_do_not_stand_together(published, tmp_path):
    table = results.runs(published[1])
    table.assign(data=["other", *table["data"][1:]]).to_parquet(tmp_path / "runs.parquet")
    with pytest.raises(SercoreError, match="tones: runs on 2 different data"):
        results.runs(tmp_path)


def test_settings_that_neither_system_nor_corpus_explains_are_named(tmp_path):
    publish(tmp_path, "emodb", "baseline,baseline@dropout=0.5", folds=1)
    assert set(results.runs(tmp_path)["changed"]) == {"clip_seconds=7.5,max_epochs=100,patience=10"}
    table = results.runs(tmp_path)
    own = corpora.get("emodb")
    schedule = {"clip_seconds": own.clip_seconds, "max_epochs": own.max_epochs, "patience": own.patience}
    settings = [config(system).replace(**schedule, engine="plain").to_json() for system in table["system"]]
    table.assign(config=settings).to_parquet(tmp_path / "runs.parquet")
    assert set(results.runs(tmp_path)["changed"]) == {""}


def test_changed_settings_of_a_corpus_of_ones_own_are_named_and_its_path_kept(published, tones):
    table = results.runs(published[1])
    assert set(table["source"]) == {str(tones)}
    assert all({"max_epochs=1", "clip_seconds=0.35"} <= set(changed.split(",")) for changed in table["changed"])


def test_an_empty_folder_is_an_empty_frame(tmp_path):
    assert results.runs(tmp_path).empty and results.published(tmp_path) == []
    with pytest.raises(SercoreError, match="sercore publish"):
        results.predictions("emodb", "paper", tmp_path)


def test_table_2_stands_beside_the_paper(published):
    table = tables.table_2("speaker", published[1]).set_index(("System", ""))
    assert list(table.index[:14]) == [tables.title(slug) for slug in systems.TABLE_2]
    ams, combined = tables.title("ams-s10-m0.4"), tables.title("combined")
    assert table.at[ams, ("Paper on IEMOCAP", "UA")] == 66.7 and pd.isna(table.at[ams, ("tones, ours", "UA")])
    assert table["IEMOCAP, ours"].isna().all(axis=None)
    assert table.at[combined, ("tones, ours", "gain")] == "+0.0"  # without an interval, which takes a second seed
    assert table.at[tables.title("chance"), ("tones, ours", "UA")] == "25.0"


def test_no_verdict_rests_on_one_seed(published):
    settled = tables.verdicts(published[1])
    assert {"iemocap", "tones"} == set(settled["corpus"])
    overview = findings.verdict_overview(settled)
    assert len(overview) == len(claims.CLAIMS) and "tones, speakers apart" in overview.columns
    details = findings.verdict_details(settled).set_index(["Claim", "Where"])
    assert (
        details.at[("2. combined pooling", "tones, speakers apart"), "Verdict"] == "not yet measured"
    )  # which takes a second seed
    assert "4 more seeds, of 5" in details.at[("1. every setting", "tones, speakers apart"), "Missing"]
    assert findings.verdict_note(settled) == ""  # nothing is judged yet that could be provisional
    assert set(map(str, overview["IEMOCAP, speakers apart"])) <= {"not yet measured", "not testable"}
    matrix = findings.verdict_matrix(settled)
    assert ("tones", "speakers apart") in matrix.columns and "IEMOCAP" not in matrix.columns.get_level_values(0)
    assert list(map(str, matrix["tones", "speakers apart"])) == list(map(str, overview["tones, speakers apart"]))
    assert {sign.kind for sign in matrix["tones", "speakers apart"]} <= {sign.kind for sign in findings.SIGNS}


def test_systems_table_counts_and_corrects(published):
    table = tables.systems_table("tones", "speaker", ["baseline", "combined"], folder=published[1]).set_index("slug")
    assert table.at["baseline", "ua_low"] <= table.at["baseline", "ua"] <= table.at["baseline", "ua_high"]
    assert pd.isna(table.at["combined", "p_holm"]) and pd.isna(table.at["combined", "wide_low"])  # which take a second seed
    assert table.at["combined", "gain_low"] <= table.at["combined", "gain_high"] and table.at["combined", "parameters"] == 360_068
    assert table.at["combined", "gain"] == pytest.approx(table.at["combined", "ua"] - table.at["baseline", "ua"])


def test_systems_table_corrects_for_all_systems_that_it_tests(published, tmp_path):
    target = shutil.copytree(published[1], tmp_path / "results")
    slugs = ["combined", "ams-s10-m0.1", "focal-g2-a1"]
    for path in (target / "runs.parquet", target / "predictions" / "tones-speaker.parquet"):
        frame, others = pd.read_parquet(path), []
        for turns, slug in enumerate(slugs[1:], 1):  # the same classes, said of other utterances
            other = frame[frame["run"].str.contains("combined")]
            scores = {name: np.roll(other[name].to_numpy(), turns) for name in other.columns if name.startswith("p_")}
            others.append(other.assign(run=other["run"].str.replace("combined", slug), **scores))
        first = pd.concat([frame, *others])
        scores = {name: np.roll(first[name].to_numpy(), 1) for name in first.columns if name.startswith("p_")}
        table = pd.concat([first, first.assign(run=first["run"].str.replace("-seed0-", "-seed1-"), **scores)])
        if "system" in table:
            table["seed"] = table["run"].str.extract(r"-seed(\d)-", expand=False).astype(int)
            table["system"] = table["run"].str.extract("-((?:ams|focal|combined|baseline).*)-seed", expand=False)
        table.to_parquet(path)
    tested = tables.systems_table("tones", "speaker", ["baseline", *slugs], folder=target).dropna(subset="p").sort_values("p")
    stepped = np.maximum.accumulate(np.minimum(tested["p"] * [3, 2, 1], 1))
    assert set(tested["slug"]) == set(slugs) and tested["p_holm"].tolist() == pytest.approx(stepped.tolist())


def test_table_1_sets_what_was_measured_beside_what_is_reported(published):
    table = tables.table_1("tones", "paper", published[1]).set_index("System")
    assert table.loc[tables.title("baseline"), "UA"] and "LSTM" not in table.index  # none of the earlier ones was
    assert tables.title("bands") in table.index and table.index[-1] == "Chance"


def test_other_tables(published):
    folder = published[1]
    counts = tables.confusions("tones", "speaker", ["baseline"], folder)["baseline"]
    assert counts.to_numpy().sum() in (40, 80) and list(counts.columns) == ["angry", "happy", "sad", "neutral"]
    recall = tables.recall_table("tones", "paper", ["baseline", "combined"], folder)
    assert len(recall) == 8 and recall["recall"].between(0, 100).all()
    geometry = tables.geometry_of_systems(tables.geometry_of_runs("tones", "speaker", ["combined", "baseline"], folder))
    assert {"ratio", "silhouette", "purity"} <= set(geometry.columns) and len(geometry) == 2


@pytest.mark.parametrize(
    "slug, name",
    [
        ("ams-s10-m0.4", "AMS, s = 10, m = 0.4"),
        ("focal-g2-a1", "Focal loss, γ = 2, α = 1"),
        ("baseline@masked=true", "Baseline (softmax, attentive pooling) (masked=true)"),
    ],
)
def test_titles(slug, name):
    assert tables.title(slug) == name


def test_a_table_is_made_once_until_a_file_that_it_was_made_from_changes(tmp_path, monkeypatch):
    made = []

    @results.once
    def table(names, folder=None):
        found = results.read(tmp_path / "some.parquet")
        made.append(names)
        return pd.DataFrame({"name": names, "there": found is not None})

    log = tmp_path / "log"
    monkeypatch.setenv(results.READS, str(log))
    first = table(["a", "b"])
    log.unlink()
    first["name"] = "spoilt"
    again = table(["a", "b"])
    assert again["name"].tolist() == ["a", "b"] and len(made) == 1
    assert log.read_text().split() == [str(tmp_path / "some.parquet")], "a page that is given it depends on the same files"
    table(["b"])
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "some.parquet")
    assert table(["a", "b"])["there"].all() and len(made) == 3
    monkeypatch.setenv("SERCORE_RESULTS", str(tmp_path / "others"))
    table(["a", "b"])
    assert len(made) == 4


@pytest.fixture
def made_up(tmp_path):
    publish(tmp_path / "results", "emodb", "baseline,combined")
    return tmp_path / "results"


STRANGE = {
    "corpus": ["../../x", "/x", "a{{7*7}}", "", None, "x" * 100],
    "protocol": ["\x1b[31m", "../x", ""],
    "system": ["\x1b[31mz", "../../x", "a/b", "a{{7*7}}", "<img src=x>", "x" * 200, ""],
    "seed": [-1, 0.5, None, "x"],
    "fold": [-1, 5, 10**12, None],
    "run": ["x", "\x1b[31m", None],
    "ua": [float("inf"), float("nan"), -1, 2, "x"],
    "commit": ["\x1b[31m", "x" * 1000, 5, None],
    "config": ["{", "[]", "5", 5, None, '{"lstm_cells": 1e9}', "[" * 200_000, '{"nothing": 1}'],
    "classes": ["x", '"abcd"', '["a", "a"]', "[1]"],
    "versions": ["[]", '{"a": [1]}'],
    "source": ["\x1b[31m", "x" * 10**4],
}


@pytest.mark.parametrize(
    "column, value", [(column, value) for column, values in STRANGE.items() for value in values], ids=bounds.shown
)
def test_published_runs_say_what_records_say(made_up, column, value):
    path = made_up / "runs.parquet"
    table = pd.read_parquet(path)
    table[column] = pd.Series([value] * len(table))
    table.to_parquet(path)
    with pytest.raises(SercoreError, match=f"{made_up.name}: records that cannot stand together:\\n  .*{column} is ") as told:
        results.runs(made_up)
    assert "\x1b" not in str(told.value) and len(str(told.value)) < 3000


def test_a_run_is_published_once_and_under_its_name(made_up):
    path = made_up / "runs.parquet"
    table = pd.read_parquet(path)
    pd.concat([table, table.iloc[:1]]).to_parquet(path)
    with pytest.raises(SercoreError, match="emodb-speaker-baseline-seed0-fold0: it is there twice"):
        results.runs(made_up)
    table.assign(seed=1).to_parquet(path)
    with pytest.raises(SercoreError, match="run is emodb-speaker-baseline-seed0-fold0, and its names make .*seed1"):
        results.runs(made_up)


def test_a_table_that_is_not_whole_is_named(made_up):
    path = made_up / "runs.parquet"
    whole = path.read_bytes()
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"pandas": b'{"columns": "x", "index_columns": 5'}), path)
    strange = path.read_bytes()
    for content in (b"", b"x", whole[: len(whole) // 2], whole[:-20] + b"\0" * 20, strange):
        path.write_bytes(content)
        with pytest.raises(SercoreError, match=r"runs\.parquet: no whole table of sercore"):
            results.runs(made_up)


def test_a_table_does_not_explode(made_up):
    path = made_up / "runs.parquet"
    pq.write_table(pa.table({"run": pa.array(["x" * 100]).take(pa.array(np.zeros(10**6, np.int32)))}), path, compression="zstd")
    with pytest.raises(SercoreError, match=r"runs\.parquet: \d+ bytes would become 1000000 rows"):
        results.runs(made_up)


def test_a_table_has_its_columns(made_up):
    predictions = made_up / "predictions" / "emodb-speaker.parquet"
    predictions.parent.mkdir()
    for columns, lacking in (({"run": ["x"]}, "utterance, speaker, label"), ({"a": [1]}, "run, utterance")):
        pd.DataFrame(columns).to_parquet(predictions)
        with pytest.raises(SercoreError, match=rf"emodb-speaker\.parquet: no column {lacking}"):
            results.predictions("emodb", "speaker", made_up)


def test_a_record_that_lacks_what_is_published_is_named(published, tmp_path):
    runs = shutil.copytree(published[0], tmp_path / "runs")
    for path in sorted(runs.glob("*/run.json"))[:2]:
        facts = json.loads(path.read_text())
        path.write_text(json.dumps({key: value for key, value in facts.items() if key not in ("engine", "seconds")}))
    with pytest.raises(SercoreError, match=r"(?s)that lack what is published.*fold0: seconds, engine.*fold1: seconds, engine"):
        publication.publish(runs, tmp_path / "results")
    assert not list((tmp_path / "results").glob("*.parquet"))

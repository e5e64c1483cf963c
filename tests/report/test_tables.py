"""Tables from published records whose numbers are known: recalls are set, utterance by utterance."""

import json
import math
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from published import publish
from sklearn.metrics import recall_score

from sercore.corpora import LABELS
from sercore.evidence import results
from sercore.report import figures, findings, tables

SPEAKERS = ("f1", "f2", "f3", "m1", "m2", "m3")
EACH = 12  # utterances of a speaker and class
BOTH = "ams-s10-m0.4+combined"
RECALLS = {"speaker": {"baseline": 0.5, "ams-s10-m0.4": 0.75, BOTH: 1.0}, "paper": {"baseline": 0.75, "ams-s10-m0.4": 0.75}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One corpus, two systems, two protocols; speaker m3 is recognised half as well as the others."""
    path = tmp_path_factory.mktemp("results")
    rows = [(speaker, label, number) for speaker in SPEAKERS for label in LABELS for number in range(EACH)]
    utterances = pd.DataFrame(rows, columns=["speaker", "label", "number"])
    utterances["id"] = [f"{speaker}-{label}-{number:02d}" for speaker, label, number in rows]
    utterances["gender"] = utterances["speaker"].str[0]
    (path / "utterances").mkdir()
    utterances.drop(columns="number").to_parquet(path / "utterances" / "mine.parquet")
    (path / "predictions").mkdir()
    for protocol, systems in RECALLS.items():
        publish(path, "mine", ",".join(systems), protocol)
        frames = []
        for system, recall in systems.items():
            own = utterances.assign(fold=utterances["number"] % 5)
            limit = EACH * np.where(own["speaker"] == "m3", recall / 2, recall)
            said = own["label"].where(
                own["number"] < limit, own["label"].map(dict(zip(LABELS, LABELS[1:] + LABELS[:1], strict=True)))
            )
            frame = pd.DataFrame({"run": [f"mine-{protocol}-{system}-seed0-fold{fold}" for fold in own["fold"]]})
            frame = frame.assign(utterance=own["id"], speaker=own["speaker"], label=own["label"])
            frames.append(frame.assign(**{f"p_{label}": (said == label).astype("float32") for label in LABELS}))
        pd.concat(frames, ignore_index=True).to_parquet(path / "predictions" / f"mine-{protocol}.parquet")
    return path


def test_systems_table_has_the_known_accuracies_and_gain(folder):
    table = tables.systems_table("mine", "speaker", ["baseline", "ams-s10-m0.4"], folder=folder).set_index("slug")
    frame = results.predictions("mine", "speaker", folder)
    for slug in ("baseline", "ams-s10-m0.4"):
        own = frame[frame["system"] == slug]
        assert table.at[slug, "ua"] == pytest.approx(100 * recall_score(own["label"], own["prediction"], average="macro"))
        assert table.at[slug, "ua_low"] <= table.at[slug, "ua"] <= table.at[slug, "ua_high"]
    assert table.at["ams-s10-m0.4", "gain"] == pytest.approx(table.at["ams-s10-m0.4", "ua"] - table.at["baseline", "ua"])
    assert table.at["chance", "ua"] == 25 and table.at["majority", "wa"] == pytest.approx(25)
    shown = tables.shown_systems(table.reset_index())
    assert "[" in shown.loc[0, "UA, pooled"] and shown.loc[1, "Gain in UA"].startswith("+")


def test_table_2_shows_every_system_and_leaves_open_what_nobody_measured(folder):
    table = tables.table_2("speaker", folder)
    assert len(table) == 14 + 5  # combinations are not in it
    ours = table["mine, ours", "UA"]
    assert ours.notna().sum() == 4 and table["IEMOCAP, ours", "UA"].isna().all()
    assert table["Paper on IEMOCAP", "UA"].iloc[0] == 62.3


def test_table_1_leaves_open_what_nobody_measured(folder):
    table = tables.table_1("mine", "speaker", folder).set_index("System")
    assert "LSTM" not in table.index and table["Reported on IEMOCAP"].notna().sum() == 4  # no earlier system was measured here
    assert table["UA"].notna().sum() == 2 + 2  # two of our systems, majority and chance
    assert table.loc[tables.title("baseline"), "UA"].startswith("45.8")


def test_a_class_under_every_setting_of_a_family(folder):
    assert tables.recall_by_setting("happy", "combined", folder).empty  # it was not run there
    few = pd.DataFrame(
        [("EmoDB", "0", 40.0, 53.0, 50.0, 44.0), ("nEMO", "0", 80.0, 72.0, 60.0, 84.0)],
        columns=["group", "seeds", "baseline", "baseline_all", "focal-g2-a1", "focal-g2-a2"],
    )
    assert "rises in 2 on EmoDB and 1 on nEMO." in findings.settings_recall_sentence(few, "happy")
    assert findings.settings_recall_table(few)[tables.title("focal-g2-a1")].tolist() == ["50.0 (+25 %)", "60.0 (\u221225 %)"]
    assert tables.recall_by_setting("bored", "focal", folder).empty and findings.settings_recall_sentence(few[:0], "happy") == ""


def test_the_hardest_class_is_named(folder):
    assert findings.hardest_sentence("bored", folder) == ""
    assert findings.hardest_sentence("angry", folder) == "Here too it is angry that the baseline recognises worst."
    assert "in none of 2 places; on mine, speakers apart it is angry and on" in findings.hardest_sentence("happy", folder)


def test_confusion_counts_every_utterance(folder):
    counts = tables.confusions("mine", "speaker", ["baseline"], folder)["baseline"]
    assert counts.to_numpy().sum() == len(SPEAKERS) * len(LABELS) * EACH
    assert counts.index.tolist() == list(LABELS)
    assert np.diag(counts) == pytest.approx([EACH * 0.5 * 5 + EACH * 0.25] * 4)


def test_speakers_one_by_one(folder):
    table = tables.speaker_table("mine", "speaker", ["baseline", "ams-s10-m0.4", "combined"], folder)
    values = table.pivot(index="speaker", columns="slug", values="ua")
    assert values["baseline"].to_dict() == pytest.approx({**dict.fromkeys(SPEAKERS, 50.0), "m3": 25.0})
    assert (table["utterances"] == EACH * len(LABELS)).all() and set(table["gender"]) == {"f", "m"}
    sentence = findings.speaker_sentence(table, tables.speaker_range_by_chance("mine", "speaker", ["baseline"], folder))
    assert "speaker m3 worst, at 25 %, 25 points below" in sentence
    assert "The one other system does worst on the same speaker." in sentence
    assert "from 25 percent (speaker m3) to 50" in findings.speaker_summary(table)
    assert findings.speaker_sentence(table[table["slug"] == "baseline"], 5) == ""
    plt.close(figures.speakers(table))


def test_women_and_men(folder):
    table = tables.gender_table("mine", "speaker", ["baseline", "combined"], folder)
    assert len(table) == 1
    assert table.loc[0, "Women"].startswith("50.0") and table.loc[0, "Difference"].startswith("+8.3")
    assert 0 < table.loc[0, "p"] <= 1


def test_what_a_protocol_adds(folder):
    gaps = tables.protocol_gaps(folder=folder).set_index("slug")
    assert gaps.at["baseline", "effect"] == pytest.approx(gaps.at["baseline", "other"] - gaps.at["baseline", "base"])
    assert gaps.at["baseline", "low"] > 0 and gaps.at["ams-s10-m0.4", "effect"] == 0
    ams = gaps.loc["ams-s10-m0.4"]
    assert ams["more"] == pytest.approx(-gaps.at["baseline", "effect"]) and ams["more_low"] < ams["more"] < ams["more_high"]
    said = findings.protocol_sentence(gaps.reset_index())
    assert "for 1 of 1: AMS, s = 10, m = 0.4 on mine." in said
    elsewhere = findings.protocol_sentence(gaps.reset_index().assign(group="CREMA-D"))
    assert "points on CREMA-D (clearly for 1 of 2)." in elsewhere  # no minus in a name
    overview = findings.protocol_table(
        gaps.reset_index(), pd.DataFrame([("mine", 3.0, 1.0, 5.0)], columns=["corpus", "effect", "low", "high"])
    )
    assert overview.loc[0, ["Systems", "Intervals above 0", "Gains compared", "Gains that clearly change"]].tolist() == [
        2,
        1,
        1,
        1,
    ]
    assert overview.loc[0, "Least"] == "+0.0" and overview.loc[0, "To logistic regression"] == "+3.0 [+1.0, +5.0]"
    shown = findings.gap_table(gaps.reset_index(), "Speakers apart", "Speakers shared")
    assert shown["Speakers shared"].tolist() == gaps["other"].tolist() and shown["Difference"].str.startswith("+").any()
    assert shown["Less the baseline's"].isna().tolist() == [slug == "baseline" for slug in gaps.index]
    weaker = gaps.reset_index().assign(more_low=-50.0, more_high=50.0)
    assert "changes with it for none of 1." in findings.protocol_sentence(weaker)
    behind = tables.gap_runs(gaps.reset_index(), "speaker", "paper", folder)
    assert set(behind["system"]) == set(gaps.index) and set(behind["protocol"]) == {"speaker", "paper"}
    assert behind.groupby("system")["seed"].nunique().to_dict() == gaps["seeds"].to_dict()
    nothing = tables.protocol_gaps("paper", "leaky", folder)
    assert tables.gap_runs(nothing, "paper", "leaky", folder).empty
    assert nothing.empty and "not" not in nothing and "No system" in findings.protocol_sentence(nothing)


def test_gains_are_averaged_over_corpora(folder, tmp_path):
    alone = tables.mean_gains(folder=folder)
    gains = tables.gains(folder=folder)
    assert alone.empty and tables.with_means(gains, alone).equals(gains) and findings.mean_sentence(alone) == ""
    for source in folder.rglob("*.parquet"):
        target = tmp_path / source.relative_to(folder)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)
        if source.name != "runs.parquet":
            frame = pd.read_parquet(source)
            again = frame.assign(run=frame["run"].str.replace("mine-", "other-")) if "run" in frame else frame
            again.to_parquet(target.with_name(target.name.replace("mine", "other")))
    for protocol, systems in RECALLS.items():
        publish(tmp_path, "other", ",".join(systems), protocol)
    means = tables.mean_gains(folder=tmp_path).set_index("group")
    assert list(means.index) == ["Mean of 2 corpora, speakers apart", "Mean of 2 corpora, random split"]
    own = gains.set_index("group")
    for protocol in ("speaker", "paper"):
        mean, one = (table.loc[tables.place_title(of, protocol)] for table, of in ((means, "Mean of 2 corpora"), (own, "mine")))
        assert mean["effect"] == pytest.approx(one["effect"]) and mean["where"] == ["mine", "other"]
        assert one["low"] <= mean["low"] <= mean["effect"] <= mean["high"] <= one["high"]
    shown = tables.with_means(tables.gains(folder=tmp_path), means.reset_index())
    kinds = ("mine", "other", "Mean of 2 corpora")
    assert list(shown["group"]) == [tables.place_title(kind, protocol) for protocol in ("speaker", "paper") for kind in kinds]
    assert shown["wide_low"].isna().all() and "seeds" not in findings.forest_caption(shown)
    assert "weigh alike" in findings.forest_caption(shown) and "weigh" not in findings.forest_caption(gains)
    shown = findings.means_table(means.reset_index())
    assert shown.loc[0, ["Scheme", "Over", "Split"]].tolist() == ["AMS", "mine and other", "speakers apart"]
    assert shown.loc[0, "Mean gain"].startswith("+") and shown.loc[0, "The paper's"] == "+4.4"
    known = means.reset_index()
    assert means["wide_low"].isna().all() and findings.mean_sentence(known) == ""  # one seed
    wide = known.assign(wide_low=known["low"], wide_high=known["high"])
    assert "lies above none of these intervals" in findings.mean_sentence(wide)


def test_gains_seed_by_seed(folder, tmp_path):
    nobody = tables.seed_against_seed(2, folder)
    assert tables.gains_by_seed(folder).empty and tables.seed_against_seed(folder=folder).empty and nobody.empty  # one seed alone
    assert findings.seed_against_seed_sentence(tables.seed_against_seed(folder=folder), nobody) == ""
    assert findings.own_detectable_sentence(tables.gain_errors(folder)) == ""
    folder = shutil.copytree(folder, tmp_path / "twice")
    for path in (folder / "runs.parquet", *(folder / "predictions").glob("*.parquet")):
        frame = pd.read_parquet(path)
        again = frame.assign(run=frame["run"].str.replace("seed0", "seed1"), **({"seed": 1} if "seed" in frame else {}))
        pd.concat([frame, again], ignore_index=True).to_parquet(path)
    drawn = tables.gains(folder=folder)
    own = drawn[drawn["group"] == "mine, speakers apart"].iloc[0]
    assert own["wide_low"] < own["effect"] < own["wide_high"] and "and seeds" in findings.forest_caption(drawn)
    same, twos = tables.seed_against_seed(folder=folder), tables.seed_against_seed(2, folder)
    assert same["effect"].eq(0).all() and twos.empty
    assert "Over speakers and seeds, as they are decided now, it is **0 %**" in findings.seed_against_seed_sentence(same, twos)
    assert findings.false_alarms_table(same, twos)["Where"].tolist() == ["mine, speakers apart", "mine, random split", "All"]
    errors = tables.gain_errors(folder)
    assert errors["group"].tolist() == ["mine, speakers apart", "mine, random split"] and errors.at[0, "seeds"] == 2
    shown = findings.own_detectable_table(errors).iloc[0]
    assert shown["Least, 1 seed"] == shown["Least, 5 seeds"] > 0  # no seed moves anything
    said = findings.own_detectable_sentence(errors)
    assert "on mine, random split in **nearly all**" in said and "But on mine, speakers apart too many would miss it" in said
    assert "Nowhere here would a true gain" in findings.own_detectable_sentence(errors.head(1))
    found = tables.gains_by_seed(folder)
    assert set(found["seed"]) == {0, 1} and found.groupby(["slug", "where"])["effect"].nunique().eq(1).all()
    whole = tables.gains(["ams-s10-m0.4"], folder).set_index("group")["effect"]
    assert found.groupby("where")["effect"].mean().to_dict() == pytest.approx(whole[found["where"].unique()].to_dict())
    assert findings.by_seed_sentence(found).startswith("Of 2 gains none would have been judged otherwise")
    shown = findings.by_seed_table(found)
    assert len(shown) == 2 and shown["Each alone"].str.startswith("2 ").all() and shown.iloc[0, 2].count(",") == 1


def test_combinations_are_compared_with_each_part_that_was_measured(folder):
    table = tables.combinations("mine", "speaker", folder)
    assert table["other"].tolist() == ["baseline", "ams-s10-m0.4"] and table["p"].isna().all()  # of one seed
    two = table.assign(wide_low=[1.0, -1.0], wide_high=[4.0, 2.0], p=[0.02, 0.6], p_holm=[0.04, 0.6], every=[math.nan, 1.0])
    assert "1 of the 2 differences lies clear of 0: AMS + combined pooling above baseline" in findings.combination_sentence(two)
    assert "(p = 0.040 after" in findings.combination_sentence(two)
    assert "over all seeds of both the difference is +1.0" in findings.combination_sentence(two.assign(every=[1.0, 1.0]))
    assert "Over all seeds of both" in tables.shown_combinations(
        two
    ) and "Over all seeds of both" not in tables.shown_combinations(table)
    assert tables.shown_combinations(table)["Difference"].str.startswith("+").all()
    assert "was measured, on mine, speakers apart: 1 lies above each of its parts" in findings.combination_sentence(table)
    nothing = tables.combinations("mine", "paper", folder)
    assert nothing.empty and "p_holm" in nothing and "does it" in findings.combination_sentence(nothing)


def test_titles_and_intervals():
    assert tables.title("ams-s10-m0.4+combined") == "AMS + combined pooling"
    assert tables.title("focal-g5-a1+combined@masked=true") == "Focal loss, γ = 5, α = 1 + combined pooling (masked=true)"
    assert tables.with_interval({"x": -1.0, "x_low": -2.0, "x_high": 0.5}, "x", sign=True) == "\u22121.0 [\u22122.0, +0.5]"
    assert tables.with_interval({"x": math.nan}, "x") is None


def test_confusion_counts_and_what_one_class_comes_to(folder):
    found = tables.confusions("mine", "speaker", ["baseline", "ams-s10-m0.4"], folder)
    matrices = {tables.title(slug): counts for slug, counts in found.items()}
    counts = findings.confusion_counts(matrices)
    assert list(counts.columns) == ["System", "True class", *LABELS] and len(counts) == 2 * len(LABELS)
    assert counts[list(LABELS)].sum().sum() == 2 * len(SPEAKERS) * len(LABELS) * EACH
    table = tables.criterion("happy", "ams-s10-m0.4", folder).set_index("group")
    happy = table.loc["mine, speakers apart"]
    # as many of the class before are called happy as happy ones are not: recall and precision are one
    assert happy[["recall", "precision", "f1", "given"]].tolist() == pytest.approx([100 * 33 / 72] * 3 + [25])
    assert happy[["recall_effect", "f1_effect", "given_effect"]].tolist() == pytest.approx([100 * 17 / 72] * 2 + [0])
    assert np.isnan(happy["f1_low"]) and tables.criterion("bored", "ams-s10-m0.4", folder).empty
    shown = findings.criterion_table(table.reset_index(), "happy").iloc[0]
    assert shown["Recall"] == "+23.6" and shown["Called happy (%)"] == "25 \u2192 25"
    assert "no clear change for happy anywhere." in findings.criterion_sentence(table.reset_index(), "happy")
    shift = table.reset_index().assign(precision_effect=-5.0, f1_effect=-0.2)
    assert "precision falls and F1 stays: more utterances" in findings.criterion_sentence(shift, "happy")
    assert findings.most_frequent_mistake(matrices).endswith("in 54 % of cases.")
    assert findings.most_frequent_mistake({}) == findings.seeds_move_recall("happy", folder) == ""


@pytest.fixture
def with_a_second_seed(folder, tmp_path):
    """The same records, and the baseline once more with seed 1, in which all of it is right."""
    path = shutil.copytree(folder, tmp_path / "results")
    runs = pd.read_parquet(path / "runs.parquet")
    again = runs[(runs["system"] == "baseline") & (runs["protocol"] == "speaker")].copy()
    again = again.assign(run=again["run"].str.replace("seed0", "seed1"), seed=1)
    pd.concat([runs, again], ignore_index=True).to_parquet(path / "runs.parquet")
    place = path / "predictions" / "mine-speaker.parquet"
    told = pd.read_parquet(place)
    more = told[told["run"].str.contains("-baseline-")].copy()
    more["run"] = more["run"].str.replace("seed0", "seed1")
    for label in LABELS:
        more[f"p_{label}"] = (more["label"] == label).astype("float32")
    pd.concat([told, more], ignore_index=True).to_parquet(place)
    return path


def test_what_stands_side_by_side_has_the_same_seeds(folder, with_a_second_seed):
    slugs = ["baseline", "ams-s10-m0.4"]
    assert tables.shared_seeds("mine", "speaker", slugs, with_a_second_seed) == [0]
    alike = [tables.confusions("mine", "speaker", slugs, path) for path in (folder, with_a_second_seed)]
    assert all(alike[0][slug].equals(alike[1][slug]) for slug in slugs)
    assert tables.confusions("mine", "speaker", ["baseline"], with_a_second_seed)["baseline"].to_numpy().sum() == 2 * 288
    people = [tables.speaker_table("mine", "speaker", slugs, path) for path in (folder, with_a_second_seed)]
    pd.testing.assert_frame_equal(*people)
    uneven = findings.shared_seeds_table("speaker", folder=with_a_second_seed)
    assert uneven.round(1).to_dict("records") == [
        {
            "Where": "mine, speakers apart",
            "Baseline's UA": 72.9,
            "Its seeds": "0, 1",
            "With the seeds of all": 45.8,
            "Seeds of all": "0",
        }
    ]
    assert findings.shared_seeds_table("speaker", folder=folder).empty
    assert "up to 54 points apart between two of its seeds" in findings.seeds_move_recall("happy", with_a_second_seed)


def test_how_trainings_ended_is_counted(folder):
    runs = results.runs(folder).query("system == 'baseline' and protocol == 'speaker'")
    assert runs["config"].map(lambda config: json.loads(config)["max_epochs"]).eq(200).all()
    runs = runs.assign(epochs=[200, 200, 120, 200, 200], chosen_epoch=[190, 180, 100, 182, 20])
    assert findings.length_table(runs).iloc[0].tolist() == ["mine", 5, 4, 2] and findings.length_table(runs[:0]).empty


def test_only_clean_runs_of_unchanged_systems_are_counted(folder):
    runs = results.runs(folder)
    others = [runs.assign(system="baseline@masked=true"), runs.assign(protocol="leaky")]
    assert len(results.counted(pd.concat([runs, *others]))) == len(runs)
    assert results.counted(runs[:0]).empty


def test_a_summary_of_gains_names_those_clear_of_zero(folder):
    said = findings.gain_summary(tables.gains(folder=folder))
    assert "intervals lie above 0" in said and "Above: AMS, s = 10, m = 0.4 on mine, speakers apart" in said

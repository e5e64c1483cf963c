import numpy as np
import pandas as pd
import pytest

from sercore.corpora.base import LABELS
from sercore.errors import SercoreError
from sercore.evidence import claims, paper
from sercore.evidence.statistics import Interval
from sercore.lab.systems import TABLE_1, TABLE_2
from sercore.report import findings

PARAMETERS = {"baseline": 359_556, "ams-s10-m0.4": 359_552, "focal-g2-a2": 359_556, "combined": 359_812}


def records(recalls: dict[str, object], corpus="nemo", protocol="speaker", seeds=range(5), folds=range(5)):
    """Predictions of systems with the given recall (one, or one a class) of 1000 utterances, 10 speakers."""
    utterances = pd.DataFrame({"number": np.arange(1000)})
    label = utterances["number"] % 4
    frames = []
    for system, recall in recalls.items():
        # The numbers within a speaker and class are spread evenly, so that a recall is met almost exactly.
        rank = utterances.groupby([utterances["number"] // 100, label]).cumcount() / 25
        wrong = rank >= np.broadcast_to(recall, 4)[label]
        for seed in seeds:
            frames.append(
                pd.DataFrame(
                    {
                        "corpus": corpus,
                        "protocol": protocol,
                        "system": system,
                        "seed": seed,
                        "fold": utterances["number"] % 5,
                        "utterance": utterances["number"].map("u{:04d}".format),
                        "speaker": (utterances["number"] // 100).map("s{}".format),
                        "label": label.map(dict(enumerate(LABELS))),
                        "prediction": ((label + wrong) % 4).map(dict(enumerate(LABELS))),
                    }
                )
            )
    frame = pd.concat(frames, ignore_index=True)
    return frame[frame["fold"].isin(list(folds))]


def runs(frame: pd.DataFrame, parameters=PARAMETERS) -> pd.DataFrame:
    table = frame[["corpus", "protocol", "system", "seed", "fold"]].drop_duplicates()
    return table.assign(parameters=table["system"].map(parameters).fillna(359_556).astype(int))


def settle(frame: pd.DataFrame, **arguments) -> pd.DataFrame:
    return claims.settle(frame, runs(frame), **arguments).set_index("claim")


@pytest.mark.parametrize(
    ("low", "high", "claimed", "expected"),
    [
        (3.0, 6.0, 4.0, "replicates"),
        (0.1, 4.0, 4.0, "replicates"),
        (0.1, 3.9, 4.0, "same direction"),
        (0.1, 0.2, 0.0, "replicates"),
        (-0.1, 9.0, 4.0, "undecided"),
        (0.0, 4.0, 4.0, "undecided"),
        (-3.0, 3.9, 4.0, "size excluded"),
        (-3.0, 0.0, 4.0, "size excluded"),
        (-3.0, 0.0, 0.0, "undecided"),
        (-3.0, -0.1, 4.0, "contradicted"),
    ],
)
def test_the_verdict_rule(low, high, claimed, expected):
    assert claims.verdict(Interval((low + high) / 2, low, high), claimed) == expected


def test_the_claims_name_known_systems_and_every_number():
    assert sorted({claim.number for claim in claims.CLAIMS}) == [1, 2, 3, 4, 5, 6]
    assert len({claim.key for claim in claims.CLAIMS}) == len(claims.CLAIMS)
    parts = {part for claim in claims.CLAIMS for pair in claim.pairs for slug in pair for part in slug.split("+")}
    assert parts == {*TABLE_2, *TABLE_1}


def test_the_reported_gains_meet_the_claimed_size():
    table = paper.table_2().set_index("slug")["ua"]
    gains = [table[slug] - table["baseline"] for slug in claims.BEST.values()]
    assert min(gains) == pytest.approx(claims.GAIN)


def test_gains_of_different_size_get_different_verdicts():
    found = settle(records({"baseline": 0.6, "ams-s10-m0.4": 0.68, "focal-g2-a2": 0.64, "combined": 0.52}), cells=[])
    assert found.loc["2-ams", "verdict"] == "replicates"
    assert found.loc["2-ams", ["effect", "low", "high"]].tolist() == pytest.approx([8, 8, 8])
    assert found.loc["2-ams", "p"] == 0  # no speaker differs from another, no seed from another
    assert found.loc["2-ams", "claimed"] == 4.0
    assert found.loc["2-combined", "verdict"] == "contradicted"
    assert found.loc["2-combined", "seeds"] == 5
    assert found.loc["2-combined", "missing"] == ""


def test_a_small_gain_is_the_same_direction_and_a_wavering_one_undecided():
    small = records({"baseline": [0.6] * 4, "ams-s10-m0.4": [0.68, 0.6, 0.6, 0.6]})
    assert settle(small).loc["2-ams", ["effect", "verdict"]].tolist() == [pytest.approx(2), "same direction"]
    wavering = records({"baseline": 0.6, "ams-s10-m0.4": 0.68})
    odd = wavering["speaker"].str[1:].astype(int) % 2 == 1
    up = wavering["system"].map({"baseline": "ams-s10-m0.4", "ams-s10-m0.4": "baseline"})
    wavering["system"] = wavering["system"].where(odd, up)
    assert settle(wavering).loc["2-ams", "verdict"] == "undecided"


def test_every_system_must_beat_the_baseline():
    all_better = {slug: 0.6 if slug == "baseline" else 0.68 for slug in TABLE_2}
    found = settle(records(all_better, seeds=range(2))).loc["1-all"]
    assert found["verdict"] == "replicates"
    assert found["detail"] == "13 of 13 measured lie above 0; the claim compares 13"
    assert found["missing"] == "3 more seeds, of 5"
    one_worse = all_better | {"focal-g5-a4": 0.56}
    found = settle(records(one_worse, seeds=range(2))).loc["1-all"]
    assert found["verdict"] == "contradicted"
    assert found["systems"] == "focal-g5-a4 - baseline"
    assert found["detail"].startswith("12 of 13 measured")


def test_a_part_cannot_confirm_the_whole_but_can_refute_it():
    some = settle(records({"baseline": 0.6, "ams-s10-m0.4": 0.68, "combined": 0.68})).loc["1-all"]
    assert some["verdict"] == "not yet measured"
    assert some["detail"] == "2 of 2 measured lie above 0; the claim compares 13"
    assert "focal-g2-a2" in some["missing"] and "ams-s10-m0.4" not in some["missing"]
    worse = settle(records({"baseline": 0.6, "ams-s10-m0.4": 0.52})).loc["1-all"]
    assert worse["verdict"] == "contradicted"


def test_happy_is_compared_with_the_other_classes():
    happy = settle(records({"baseline": 0.6, "focal-g2-a2": [0.64, 0.72, 0.64, 0.64]}))
    assert happy.loc["3-happy", "effect"] == pytest.approx(12)
    assert happy.loc["3-happy", "claimed"] == pytest.approx(0.13 * 60)
    assert happy.loc["3-most", "effect"] == pytest.approx(8)
    assert happy.loc[["3-happy", "3-most"], "verdict"].tolist() == ["replicates", "replicates"]
    others = settle(records({"baseline": 0.6, "focal-g2-a2": [0.72, 0.64, 0.72, 0.72]}))
    assert others.loc[["3-happy", "3-most"], "verdict"].tolist() == ["same direction", "contradicted"]


def test_a_corpus_without_happy_cannot_test_it():
    frame = records({"baseline": 0.6, "focal-g2-a2": 0.68})
    frame[["label", "prediction"]] = frame[["label", "prediction"]].replace("happy", "bored")
    found = settle(frame)
    assert found.loc[["3-happy", "3-most"], "verdict"].tolist() == ["not testable"] * 2
    assert found.loc["2-focal", "effect"] == pytest.approx(8)


def test_parameters_are_counted_exactly():
    frame = records(dict.fromkeys(PARAMETERS, 0.6), seeds=[0])
    found = settle(frame).loc["4-parameters"]
    assert found["verdict"] == "replicates"
    assert found["effect"] == pytest.approx(100 * 256 / 359_556)
    assert found["detail"] == "baseline 359,556, ams-s10-m0.4 -4, focal-g2-a2 +0, combined +256"

    def verdict(parameters, table=frame):
        row = claims.settle(table, runs(table, parameters)).set_index("claim").loc["4-parameters"]
        return row["verdict"], row["missing"]

    assert verdict(PARAMETERS | {"ams-s10-m0.4": 359_557}) == ("contradicted", "")
    assert verdict(PARAMETERS | {"combined": 400_000}) == ("contradicted", "")
    part = frame[frame["system"] != "combined"]
    assert verdict(PARAMETERS, part) == ("not yet measured", "combined")


def test_two_parameter_counts_for_one_system_are_refused():
    frame = records({"baseline": 0.6}, seeds=[0])
    table = runs(frame)
    table.loc[table.index[0], "parameters"] = 1
    with pytest.raises(SercoreError, match=r"baseline \[1, 359556\]"):
        claims.settle(frame, table)


EARLIER = dict.fromkeys(TABLE_1, 0.56)


def test_earlier_systems_are_compared_on_equal_terms():
    nothing = settle(records({"baseline": 0.64})).loc["5-prior"]
    assert nothing["verdict"] == "not yet measured" and nothing["missing"].startswith("lstm, lstm-att, rnn-att")
    assert nothing["detail"] == "the paper, from seven sources: 62.3 % UA, above 5 of 7"
    frame = records({"baseline": 0.64} | EARLIER)
    found = settle(frame).loc["5-prior"]
    assert found["verdict"] == "replicates" and found["effect"] == pytest.approx(8)
    assert found["detail"].startswith("above 7 and below 0 of 7 measured; the claim compares 7; the paper")
    heavy = claims.settle(frame, runs(frame, {"baseline": 360_000})).set_index("claim")
    assert heavy.loc["5-prior", "verdict"] == "contradicted"


def test_more_than_half_of_the_earlier_systems_decide():
    better = dict.fromkeys(list(TABLE_1)[:3], 0.72)
    assert settle(records({"baseline": 0.64} | EARLIER | better)).loc["5-prior", "verdict"] == "replicates"
    better |= dict.fromkeys(list(TABLE_1)[3:5], 0.64)
    row = settle(records({"baseline": 0.64} | EARLIER | better)).loc["5-prior"]
    assert row["verdict"] == "undecided" and row["detail"].startswith("above 2 and below 3 of 7")
    worse = dict.fromkeys(list(TABLE_1)[:4], 0.72)
    assert settle(records({"baseline": 0.64} | EARLIER | worse)).loc["5-prior", "verdict"] == "contradicted"


def test_a_few_earlier_systems_decide_where_they_are_enough():
    four = {slug: 0.56 for slug in list(TABLE_1)[:4]}
    row = settle(records({"baseline": 0.64} | four)).loc["5-prior"]
    assert row["verdict"] == "replicates" and row["missing"] == "tdnn-lstm, resnet-mha, 3d-crnn"
    three = {slug: 0.56 for slug in list(TABLE_1)[:3]}
    assert settle(records({"baseline": 0.64} | three)).loc["5-prior", "verdict"] == "not yet measured"


def test_without_audio_those_that_hear_log_mel_energies_decide():
    heard = {"lstm": 0.56, "lstm-att": 0.56, "3d-crnn": 0.72}
    row = settle(records({"baseline": 0.64} | heard, corpus="cremad-spectra")).loc["5-prior"]
    assert row["verdict"] == "replicates" and row["missing"] == ""
    assert "above 2 and below 1 of 3 measured; the claim compares 3 (of 7, those that hear log-Mel energies)" in row["detail"]


def test_a_combination_must_beat_both_of_its_parts():
    parts = {"baseline": 0.6, "ams-s10-m0.4": 0.68, "focal-g2-a2": 0.68, "combined": 0.64}
    assert settle(records(parts)).loc["6-ams", ["verdict", "missing"]].tolist() == [
        "not yet measured",
        "ams-s10-m0.4+combined",
    ]
    found = settle(records(parts | {"ams-s10-m0.4+combined": 0.72, "focal-g2-a2+combined": 0.6}))
    assert found.loc[["6-ams", "6-focal"], "verdict"].tolist() == ["replicates", "contradicted"]
    assert found.loc["6-focal", "systems"] == "focal-g2-a2+combined - focal-g2-a2"


def test_only_whole_seeds_count():
    frame = pd.concat(
        [
            records({"baseline": 0.6}),
            records({"ams-s10-m0.4": 0.68}, seeds=[0, 1]),
            records({"ams-s10-m0.4": 0.1}, seeds=[2], folds=[0, 1]),
            records({"combined": 0.68}, folds=[0, 1, 2]),
        ]
    )
    found = settle(frame)
    assert found.loc["2-ams", "effect"] == pytest.approx(8)
    assert found.loc["2-ams", ["seeds", "missing"]].tolist() == [2, "3 more seeds, of 5"]
    assert found.loc["2-combined", ["verdict", "missing"]].tolist() == ["not yet measured", "combined"]


def test_verdicts_from_a_changed_training_are_provisional_and_say_so():
    frame = records({"baseline": 0.6, "ams-s10-m0.4": 0.68, "combined": 0.68})
    table = runs(frame).assign(changed=lambda t: t["system"].map({"ams-s10-m0.4": "max_epochs=1"}).fillna(""))
    found = claims.settle(frame, table).set_index("claim")
    assert found.loc["2-ams", "missing"] == "ams-s10-m0.4 without max_epochs=1"
    assert found["provisional"][["2-ams", "2-combined", "1-all"]].tolist() == [True, False, True]
    assert findings.said(found.loc["2-ams"]) == "replicates\u202f†"


def test_verdicts_that_hang_on_the_kind_of_interval_are_counted():
    frame = records({"baseline": 0.6, "ams-s10-m0.4": 0.68, "combined": 0.68})
    settled = claims.settle(frame, runs(frame)).assign(speakers_verdict=lambda found: found["verdict"])
    assert findings.before_sentence(settled).endswith("by that rule **0 of 2** would read otherwise.")
    wider = settled.assign(verdict=settled["verdict"].replace("replicates", "undecided"))
    assert "**2 of 2**" in findings.before_sentence(wider)
    assert findings.before_sentence(settled[:0]) == ""


def test_a_joint_claim_of_one_seed_shows_its_weakest_comparison():
    found = settle(records({"baseline": 0.6, "ams-s10-m0.4": 0.7, "focal-g2-a2": 0.5, "combined": 0.65}, seeds=[0]))
    assert np.isnan(found.loc["1-all", "low"]) and found.loc["1-all", "effect"] < -5
    assert found.loc["1-all", "systems"] == "focal-g2-a2 - baseline"


def test_what_the_folds_rule_out_and_what_they_leave_open_is_told():
    frame = records({"baseline": 0.6, "ams-s10-m0.4": 0.6, "focal-g2-a2": 0.6, "combined": 0.6})
    settled = claims.settle(frame, runs(frame))
    settled = settled.assign(verdict=settled["verdict"].mask(settled["number"] == 2, "size excluded"))
    said = findings.folds_sentence(settled.assign(folds_verdict=settled["verdict"]))
    assert "otherwise. Wherever four points are ruled out, they are so by the folds too." in said and "**0 of " in said
    open_ = settled.assign(folds_verdict=settled["verdict"].mask(settled["claim"] == "2-focal", "undecided"))
    said = findings.folds_sentence(open_)
    assert "They too rule out four points for AMS and combined pooling on" in said
    assert "They leave them open for focal loss on" in said and "**1 of " in said
    assert findings.folds_sentence(settled[:0].assign(folds_verdict="")) == ""


def test_the_folds_say_what_another_training_part_would():
    """Speakers and seeds agree that there is no gain of four points; on one training part the system is far better."""
    lucky = {"ams-s10-m0.4": 0.6, "combined": 0.6}
    frame = pd.concat(
        [
            records({"baseline": 0.6}),
            records(lucky, folds=[0, 1, 2, 3]),
            records({"ams-s10-m0.4": 0.8, "combined": 0.6}, folds=[4]),
        ]
    )
    found, by_fold = (
        claims.settle(frame, runs(frame), **by).set_index("claim")
        for by in ({}, {"difference": claims.over_few_speakers, "by": "fold"})
    )
    assert by_fold.loc["2-ams", "effect"] == pytest.approx(found.loc["2-ams", "effect"])
    assert by_fold.loc["2-ams", "high"] > found.loc["2-ams", "high"]
    assert by_fold.loc["2-combined", "verdict"] == found.loc["2-combined", "verdict"]


@pytest.mark.parametrize(("p", "expected"), [(0.03, "undecided"), (0.0001, "contradicted")])
def test_one_of_many_comparisons_contradicts_only_where_chance_does_not_explain_it(p, expected):
    frame = records(dict.fromkeys(TABLE_2, 0.6), seeds=[0, 1])

    asked = []

    def difference(a, b, measure, beside):
        asked.append(measure)
        below = len(asked) == 1  # the first of them
        return Interval(-0.02, -0.04, -0.001, p) if below else Interval(0.01, -0.01, 0.03, 0.4)

    found = claims.settle(frame, runs(frame), difference=difference).set_index("claim").loc["1-all"]
    assert found["verdict"] == expected and len(asked) > 26


def test_an_interval_over_seeds_takes_their_spread_from_all_systems_trained_alike():
    frame = records({"baseline": 0.6, "ams-s10-m0.4": 0.68, "combined": 0.6}, seeds=[0])
    frame = pd.concat([frame, records({"combined": 0.68}, seeds=[1]), records({"baseline@masked=true": 0.9}, seeds=[0, 1])])
    found = claims.settle(frame, runs(frame), difference=claims.over_speakers_and_seeds).set_index("claim")
    few = claims.settle(frame, runs(frame), difference=claims.over_few_speakers).set_index("claim")
    assert found.loc["2-ams", "effect"] == pytest.approx(few.loc["2-ams", "effect"])
    assert found.loc["2-ams", "low"] < few.loc["2-ams", "low"] - 1
    alone = frame[(frame["system"] != "combined") | (frame["seed"] == 0)]
    untold = claims.settle(alone, runs(alone), difference=claims.over_speakers_and_seeds).set_index("claim")
    assert untold.loc["2-ams", ["verdict", "detail"]].tolist() == ["not yet measured", claims.NO_SEEDS]
    assert untold.loc["2-ams", "effect"] == pytest.approx(8)


def test_cells_without_records_are_not_yet_measured():
    frame = records({"baseline": 0.6, "ams-s10-m0.4": 0.68}, seeds=[0])
    found = claims.settle(frame, runs(frame), cells=[("iemocap", "paper"), ("nemo", "speaker")])
    assert len(found) == 2 * len(claims.CLAIMS)
    assert (found.loc[found["corpus"] == "iemocap", "verdict"] == "not yet measured").all()
    empty = claims.settle(frame.head(0), runs(frame.head(0)))
    assert empty.empty


def test_holm_runs_over_the_claims_of_one_cell():
    frame = records({"baseline": 0.6, "ams-s10-m0.4": 0.68, "focal-g2-a2": 0.68})
    found = settle(frame, difference=claims.over_speakers)
    tested = found["p"].notna()
    assert (found.loc[tested, "p_holm"] >= found.loc[tested, "p"]).all()
    assert found.loc["2-ams", "p_holm"] > found.loc["2-ams", "p"]
    assert found.loc[~tested, "p_holm"].isna().all()


def test_records_without_a_column_are_refused():
    frame = records({"baseline": 0.6}, seeds=[0])
    with pytest.raises(SercoreError, match="predictions: speaker, runs: parameters"):
        claims.settle(frame.drop(columns="speaker"), runs(frame).drop(columns="parameters"))


def test_the_papers_tables():
    assert tuple(paper.table_2()["slug"]) == tuple(TABLE_2)
    assert len(paper.table_2()) == 14
    named = paper.table_2().set_index("slug")
    assert named.loc["baseline", ["ua", "wa"]].tolist() == [62.3, 61.0]
    assert named.loc["focal-g5-a1", ["ua", "wa"]].tolist() == [66.5, 65.0]
    assert set(named.index[named["note"] != ""]) == {claims.BEST["ams"], claims.BEST["focal"]}
    assert paper.table_1()["ua"].tolist() == [57.1, 59.6, 59.7, 59.4, 60.7, 67.4, 64.7, 62.3]

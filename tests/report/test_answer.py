"""The answer in plain words: what it says of every state that the evidence can be in."""

import numpy as np
import pandas as pd
import pytest

from sercore.evidence import claims, noise, paper
from sercore.evidence.statistics import ErrorParts
from sercore.report import findings
from sercore.report.tables import place_title

KEYS = ("2-ams", "2-focal", "2-combined")


def settled(verdicts: dict[tuple[str, str], list[str]], provisional: bool = False, against: float = 1e-6) -> pd.DataFrame:
    """Verdicts on claim 2, place by place, as `tables.verdicts` gives them."""
    rows = [
        {"claim": key, "number": 2, "corpus": corpus, "protocol": protocol, "verdict": verdict, "effect": 1.0}
        | {"seeds": 5, "provisional": provisional, "p_against": against}
        for (corpus, protocol), given in verdicts.items()
        for key, verdict in zip(KEYS, given, strict=True)
    ]
    return pd.DataFrame(rows)


def errors(**spread: float) -> pd.DataFrame:
    """What moves a gain in each place, as `tables.gain_errors`: `emodb_paper=1.5` is a standard error over speakers."""
    rows = []
    for place, deviation in spread.items():
        corpus, _, protocol = place.partition("_")
        parts = ErrorParts(float("nan"), deviation, deviation, (9, 20), deviation, 1)
        rows.append({"group": place_title(corpus, protocol), "speakers": 10, "seeds": 5, "parts": parts})
    return pd.DataFrame(rows, columns=["group", "speakers", "seeds", "parts"])


def test_nothing_is_seen_where_it_would_have_shown_and_the_rest_stays_open():
    found = settled({("emodb", "paper"): ["size excluded"] * 3, ("emodb", "speaker"): ["undecided"] * 3}, provisional=True)
    said = findings.short_answer(found, errors(emodb_paper=0.5, emodb_speaker=4.0), pd.DataFrame())
    assert said == (
        "**Not that we could see, so far:** none of the three schemes recognises emotion clearly better than the baseline on "
        "EmoDB. On EmoDB with a random split, where a gain of the paper's four points would nearly always have shown, all three "
        "fall short of it. Everywhere else, and so wherever speakers are kept apart, our studies are too small to see such a "
        "gain, and leave the question open."
    )


def test_what_a_study_that_could_see_it_rules_out_is_a_no_and_the_rest_is_told_place_by_place():
    where = {
        ("cremad-spectra", "speaker"): ["size excluded", "contradicted", "size excluded"],
        ("emodb", "speaker"): ["undecided", "size excluded", "undecided"],
        ("ravdess", "speaker"): ["size excluded"] * 3,
    }
    spread = errors(**{"cremad-spectra_speaker": 0.5, "emodb_speaker": 4.0, "ravdess_speaker": 4.0})
    said = findings.short_answer(settled(where), spread, pd.DataFrame())
    assert said.startswith("**Not on other speech:** none of the three schemes")
    assert "would nearly always have shown, all three fall short of it." in said
    assert said.endswith("our studies are too small to see such a gain, and mostly leave the question open.")
    few = findings.short_answer(settled(where, provisional=True), spread, pd.DataFrame())
    assert few.startswith("**Not that we could see, so far:**")


def test_a_gain_that_shows_is_named_with_its_place():
    found = settled({("emodb", "speaker"): ["replicates", "size excluded", "undecided"]})
    said = findings.short_answer(found, errors(emodb_speaker=0.5), pd.DataFrame())
    assert said.startswith(
        "**In part:** a gain over the baseline shows clearly for AMS on EmoDB with speakers kept apart; elsewhere no gain is "
        "clear. "
    )
    assert said.endswith("focal loss falls short of it.")


def test_all_that_was_claimed_is_a_yes():
    found = settled({("emodb", "speaker"): ["replicates"] * 3})
    said = findings.short_answer(found, errors(emodb_speaker=0.5), pd.DataFrame())
    assert said.startswith("**Yes:** a gain over the baseline shows clearly for AMS") and said.endswith("it did show.")


def test_studies_that_are_too_small_say_so():
    found = settled({("emodb", "speaker"): ["undecided"] * 3, ("nemo", "speaker"): ["undecided"] * 3})
    said = findings.short_answer(found, errors(emodb_speaker=4.0), pd.DataFrame())
    assert said.endswith(
        "No study here is large enough to see a gain of the paper's four points in four cases out of five. So the question "
        "stays open."
    )
    places = findings.power(found, errors(emodb_speaker=4.0))
    assert places["power"].isna().tolist() == [False, True] and places["power"].iloc[0] < noise.POWER
    assert "nEMO, speakers apart cannot be told" in findings.power_summary(places)


def test_without_a_verdict_it_says_what_was_run():
    none = settled({("demo", "speaker"): ["replicates"] * 3})  # synthetic speech decides nothing
    runs = pd.DataFrame({"corpus": ["demo"], "system": ["baseline"]})
    assert findings.short_answer(none, errors(), runs).startswith("**Nothing has been measured on recorded speech yet**")
    runs = pd.DataFrame({"corpus": ["emodb", "demo"], "system": ["baseline", "combined"]})
    said = findings.short_answer(none, errors(), runs)
    assert said.startswith("**It cannot be told yet:** baseline (softmax, attentive pooling) has been run on EmoDB.")


def test_what_was_run_stands_beside_what_came_of_it():
    columns = ["corpus", "protocol", "system", "seed"]
    trained = [("emodb", "paper", "baseline", 0), ("emodb", "speaker", "baseline", 0), ("emodb", "speaker", "combined", 1)]
    runs = pd.DataFrame(trained, columns=columns)
    gains = pd.DataFrame(
        [(place_title("emodb", "speaker"), "combined", 1.5, -2.0, 5.0, 4.4)],
        columns=["group", "slug", "effect", "wide_low", "wide_high", "claimed"],
    )
    table = findings.measured_table(runs, gains)
    gain = "Gain of combined pooling"
    assert table["Corpus"].tolist() == ["The paper, on IEMOCAP", "EmoDB", "EmoDB"] and table["Runs"].iloc[1] == 2
    assert table[gain].iloc[:2].tolist() == ["+4.4", "+1.5 [\u22122.0, +5.0]"] and pd.isna(table[gain].iloc[2])
    assert findings.measured_table(runs[:0], gains[:0]).empty


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ([], "not measured"),
        (["not yet measured"], "not measured"),
        (["replicates", "replicates"], "holds"),
        (["replicates", "undecided"], "in part"),
        (["same direction", "contradicted"], "in part"),
        (["undecided", "size excluded"], "not seen"),
        (["undecided", "contradicted"], "contradicted"),
        (["undecided"], "undecided"),
    ],
)
def test_one_word_a_claim(verdicts, word):
    assert findings.answer(verdicts) == word and word in findings.ANSWERS


@pytest.mark.parametrize(("p", "word"), [(0.001, "contradicted"), (0.01, "not seen")])
def test_the_worst_of_many_comparisons_contradicts_a_claim_only_after_correction(p, word):
    where = {(corpus, "speaker"): ["undecided"] * 3 for corpus in ("emodb", "nemo", "ravdess")}
    found = settled(where | {("cremad-spectra", "speaker"): ["undecided", "contradicted", "undecided"]}, against=1.0)
    found.loc[found["verdict"] == "contradicted", "p_against"] = p  # one of twelve
    table = findings.answers_table(found)
    assert str(table["Found"].iloc[1]) == word and "1 shows the opposite" in table["Comparisons"].iloc[1]


def test_a_corpus_without_audio_is_said_to_be_one():
    found = settled({("cremad-spectra", "speaker"): ["undecided"] * 3, ("emodb", "speaker"): ["undecided"] * 3})
    assert findings.spectra_note(found, pd.DataFrame()).startswith("*CREMA-D's spectra* are log-Mel energies without audio")
    assert findings.spectra_note(found.query("corpus == 'emodb'"), pd.DataFrame()) == ""


def test_every_claim_has_its_row_and_leads_to_its_evidence():
    table = findings.answers_table(settled({("emodb", "paper"): ["size excluded", "undecided", "undecided"]}))
    assert len(table) == len({claim.number for claim in claims.CLAIMS})
    row = table.iloc[1]
    assert str(row["Found"]) == "not seen" and row["Comparisons"] == "2 cannot tell and 1 rules out its size"
    assert row["Claim"].href == "table-2.html"


def by_length(*gains: tuple[float, float, float]) -> pd.DataFrame:
    """`tables.systems_table` of the baseline and the schemes: gain, and its interval over speakers and seeds."""
    rows = [(slug, *gain) for slug, gain in zip(("ams-s10-m0.4", "focal-g2-a2"), gains, strict=True)]
    table = pd.DataFrame([("baseline", np.nan, np.nan, np.nan), *rows], columns=["slug", "gain", "wide_low", "wide_high"])
    return table.assign(seeds=3)


def test_what_the_length_of_training_decides_is_told():
    short, long = by_length((1.0, -1.0, 3.0), (-1.0, -3.0, 1.0)), by_length((-1.0, -3.0, 1.0), (-2.0, -9.0, 5.0))
    assert findings.length_sentence(short, long) == (
        "**It can decide**: of 2 gains 1 changes its sign with the length of training, and the verdict would be another for "
        "focal loss, γ = 2, α = 2 (undecided with the longer, size excluded with the shorter). None is clear of zero either way: "
        "so much chance is left in three seeds."
    )
    assert findings.length_sentence(short, short).startswith("No gain changes its sign")
    shown = findings.lengths_table({"short": short, "long": long})
    assert list(shown) == ["Scheme", "short", "long"] and shown["long"].iloc[1] == "\u22122.0 [\u22129.0, +5.0]"


def test_a_page_of_some_seeds_tells_what_all_of_them_come_to(monkeypatch):
    table = by_length((0.9, -3.9, 5.7), (1.0, -2.0, 4.0)).assign(seeds=[5, 5, 1], system=["Baseline", "AMS", "Focal loss"])
    monkeypatch.setattr(findings.accuracy.tables, "systems_table", lambda *_, **__: table)
    said = findings.all_seeds_sentence("emodb", ["speaker"], ["baseline", "ams-s10-m0.4"], [0])
    assert "counts seed 0" in said and "+0.9 [\u22123.9, +5.7] for AMS, speakers apart (5 seeds)**" in said
    assert findings.all_seeds_sentence("emodb", ["speaker"], ["baseline"], range(5)) == ""


def test_a_lucky_baseline_is_no_unlucky_one():
    table = pd.DataFrame({"Where": ["EmoDB", "nEMO"], "Baseline's UA": [75.0, 47.0], "With the seeds of all": [72.0, 50.0]})
    said = findings.shared_seeds_sentence(table)
    assert (
        "on EmoDB it was unlucky, which lifts the gains of those that have no others" in said
        and "on nEMO it was lucky, which lowers" in said
    )


def test_the_papers_gains_stand_beside_the_seeds_of_our_own_networks():
    reported = paper.table_2()
    near, far = errors(emodb_paper=0.5, emodb_speaker=9.0), errors(emodb_paper=3.0)
    assert findings.beyond_own_noise(reported, near)[0] == "EmoDB, random split"
    assert findings.beyond_own_noise(reported, near)[-1] > 6 and "are larger" in findings.own_noise_sentence(reported, near)
    assert "none of the paper's gains is larger" in findings.own_noise_sentence(reported, far)
    quiet = findings.own_noise_sentence(reported, errors(emodb_paper=3.0, cremad_speaker=0.5))
    assert "They do least on" in quiet and "of the 13 gains are larger" in quiet
    assert "They do least" not in findings.own_noise_sentence(reported, far)
    assert findings.own_noise_sentence(reported, errors()) == ""

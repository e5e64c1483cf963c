from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import nct, norm, t

from sercore import SercoreError
from sercore.evidence import noise, paper
from sercore.evidence.statistics import ErrorParts
from sercore.lab import systems
from sercore.report import findings


def test_spread_is_the_pooled_sd_and_its_interval_covers():
    assert noise.spread([[1.0, 3.0], [5.0, 5.0], [9.0]]).sd == pytest.approx(1.0)
    assert noise.spread([[1.0, 3.0], [5.0, 5.0], [9.0]]).freedom == 2
    random = np.random.default_rng(0)
    inside = [found.low < 2 < found.high for found in (noise.spread(random.normal(0, 2, (2, 3))) for _ in range(2000))]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    with pytest.raises(SercoreError, match="two values"):
        noise.spread([[1.0], []])


def test_spread_of_the_paper():
    found = noise.paper_spread(paper.table_2())
    by_hand = [[66.1, 66.3, 65.8], [66.5, 65.8, 65.8]]
    assert found.sd == pytest.approx(np.sqrt(np.mean([np.var(group, ddof=1) for group in by_hand])))
    assert found.freedom == 4


@pytest.mark.parametrize("measure", ["ua", "wa"])
def test_sampling_error_is_that_of_simulated_pairs(measure):
    counts, share = [400, 100, 300], 0.3
    random, labels = np.random.default_rng(1), np.repeat([0, 1, 2], [400, 100, 300])
    differences = []
    for _ in range(3000):
        sign = random.choice([-1, 0, 1], size=len(labels), p=[share / 2, 1 - share, share / 2])
        recalls = np.bincount(labels, sign) / counts
        differences.append(100 * (recalls.mean() if measure == "ua" else sign.mean()))
    assert noise.sampling_error(share, counts, measure) == pytest.approx(np.std(differences), rel=0.05)
    with pytest.raises(SercoreError):
        noise.sampling_error(1.2, counts)


def test_detectable_difference_is_found_with_its_power():
    difference = noise.detectable(1.0, power=0.8)
    assert norm.sf(norm.ppf(0.975) - difference) == pytest.approx(0.8, abs=1e-3)
    estimated = noise.detectable(1.0, power=0.8, freedom=4)
    assert nct.sf(t.ppf(0.975, 4), 4, estimated) == pytest.approx(0.8, abs=0.01) and estimated > difference


@pytest.mark.parametrize(
    ("speakers", "seeds", "rate"), [(24, 1, 0.02), (24, 4, 0.05), (10, 5, 0.05), (91, 5, 0.05), (9, 2, 0.05)]
)
def test_an_interval_over_speakers_and_seeds_keeps_its_promise_and_finds_with_its_power(speakers, seeds, rate):
    """Speakers of one fold share a network; seeds change networks and, more, single speakers, in proportions as measured."""
    random, folds, times = np.random.default_rng(0), 5, 1500
    fold, alarms, found = np.arange(speakers) % folds, 0, 0
    persistent, network, rest = 14.0, 15.0, 56.0
    within = 2 * (network + rest) / speakers
    between = network / folds + rest / speakers
    true = ErrorParts(0, np.sqrt(persistent / speakers + within), np.sqrt(between), (speakers - 1, 12), np.sqrt(within))
    for _ in range(times):
        parts = [
            random.normal(0, np.sqrt(network), (2, seeds, folds))[:, :, fold],
            random.normal(0, np.sqrt(rest), (2, seeds, speakers)),
        ]
        values = random.normal(0, np.sqrt(persistent), speakers) + np.diff(sum(parts), axis=0)[0]  # (seeds, speakers)
        spread = np.sqrt((random.normal(0, true.seeds, 12) ** 2).mean())
        error = np.sqrt(values.mean(0).var(ddof=1) / speakers)
        own = np.sqrt(values.var(0, ddof=1).mean() / speakers) if seeds > 1 else np.nan
        told, freedom = ErrorParts(values.mean(), error, spread, (speakers - 1, 12), own, seeds).over(seeds)
        bar = told * t.ppf(0.975, freedom)
        alarms += abs(values.mean()) > bar
        found += values.mean() + 4 > bar
    assert alarms / times == pytest.approx(rate, abs=0.015)
    assert found / times == pytest.approx(noise.power(true, 4, seeds), abs=0.05)
    assert noise.power(true, noise.detectable_gain(true, seeds), seeds) == pytest.approx(0.8, abs=1e-6)
    least, most = noise.power_range(true, 4, seeds)
    assert least < noise.power(true, 4, seeds) < most
    assert noise.power_range(replace(true, freedom=(speakers - 1, 10**6)), 4, seeds) == pytest.approx(
        [noise.power(true, 4, seeds)] * 2, abs=0.05
    )


def test_what_a_test_can_find_by_kind_of_chance():
    spread = noise.paper_spread(paper.table_2())
    table = findings.detectable_table(spread, 0.15).set_index("Chance")
    run, draw, both, five = table["Standard error (points)"]
    assert run == pytest.approx(np.sqrt(2) * spread.sd) and both == pytest.approx(np.hypot(run, draw)) and draw < five < both
    # an SD from few repetitions asks for more than a known one
    ratio = table["Detectable gain (points)"] / table["Standard error (points)"]
    assert ratio.iloc[1] == pytest.approx(2.80, abs=0.01) and ratio.iloc[0] > ratio.iloc[2] > ratio.iloc[3] > ratio.iloc[1]


def test_best_of_several_is_the_mean_of_the_largest_of_normal_values():
    assert noise.best_of(1) == pytest.approx(0, abs=1e-9)
    assert noise.best_of(2) == pytest.approx(1 / np.sqrt(np.pi))
    drawn = np.random.default_rng(2).normal(size=(200_000, 6)).max(axis=1).mean()
    assert noise.best_of(6) == pytest.approx(drawn, abs=0.01)
    with pytest.raises(SercoreError):
        noise.best_of(0)


def test_disagreement_counts_utterances_that_one_system_alone_gets_right():
    rows = [
        {"system": system, "seed": seed, "fold": 0, "utterance": str(index), "label": "sad", "prediction": said}
        for system, seed, answers in (("a", 0, "sshh"), ("b", 0, "shsh"), ("b", 1, "hhhh"))
        for index, said in enumerate({"s": "sad", "h": "happy"}[letter] for letter in answers)
    ]
    assert noise.disagreement(pd.DataFrame(rows), "a", "b") == pytest.approx(0.5)
    with pytest.raises(SercoreError, match="no test utterance in common"):
        noise.disagreement(pd.DataFrame(rows), "a", "c")


def test_alphas_and_seeds_of_our_records():
    rows = [
        {"corpus": "mine", "protocol": "speaker", "system": system, "seed": seed, "fold": fold, "ua": ua + fold / 10}
        for system, seed, ua in (
            ("focal-g2-a1", 0, 0.50), ("focal-g2-a2", 0, 0.52), ("focal-g5-a1", 0, 0.70),
            ("baseline", 0, 0.60), ("baseline", 1, 0.64),
        )
        for fold in (0, 1)
    ]  # fmt: skip
    found = noise.alpha_and_seed_spread(pd.DataFrame(rows))
    assert found.loc[0, "alphas"] == pytest.approx(np.sqrt(2)) and found.loc[0, "seeds"] == pytest.approx(2 * np.sqrt(2))
    assert found.loc[0, "p"] == pytest.approx(1 - 2 / np.pi * np.arctan(0.5))  # F with 1 and 1 degrees of freedom
    assert "by 1.4 points and seeds by 2.8: no more than chance" in findings.own_spread_sentence(found)
    nothing = noise.alpha_and_seed_spread(pd.DataFrame(rows[:2]))
    assert nothing.empty and "seeds_high" in nothing


def test_choosing_on_test_flatters_a_family():
    slugs = ["baseline", *(slug for slug in systems.TABLE_2 if slug.startswith("ams"))]
    rows = [
        {"run": f"{slug}-{fold}", "corpus": "a", "protocol": "speaker", "system": slug, "seed": 0, "fold": fold}
        | {"ua": 0.5 + 0.01 * place, "best": 0.9 - 0.1 * (slug != "ams-s10-m0.2")}
        for place, slug in enumerate(slugs)
        for fold in range(5)
    ]
    runs = pd.DataFrame(rows)
    history = pd.concat([runs.assign(epoch=1, chooser_wa=0.2), runs.assign(epoch=2, chooser_wa=runs["best"])])
    right = [["sad"] * round(100 * ua) + ["happy"] * (100 - round(100 * ua)) for ua in runs["ua"]]
    predictions = runs.assign(prediction=right, label="sad").explode("prediction")
    found = noise.selection(runs, history, predictions)
    assert found["family"].tolist() == ["ams"]  # the other family was not measured
    row = found.iloc[0]
    assert (row["chosen"], row["best"]) == ("ams-s10-m0.2", "ams-s30-m0.4")
    assert [row["chosen_gain"], row["best_gain"], row["optimism"]] == pytest.approx([2, 6, 4])
    assert "choosing on test adds **4.0 points**" in findings.selection_sentence(found)
    assert found.at[0, "seeds"] == [0] and "with seed 0. In this one draw" in findings.selection_sentence(found)
    assert "In 0 of 2 cases" in findings.selection_sentence(pd.concat([found, found]))
    assert findings.selection_table(found).loc[0, "Best on test"] == "AMS, s = 30, m = 0.4"
    assert noise.selection(runs[runs["fold"] > 0], history, predictions).empty and "No family" in findings.selection_sentence(
        found[:0]
    )


def test_the_choice_of_an_epoch_and_what_it_adds():
    runs = pd.DataFrame({"run": ["a", "b"], "corpus": "mine", "protocol": "speaker", "wa": [0.6, 0.8]})
    validation = [0.1, 0.9, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8]  # the last quarter is the last two
    history = pd.DataFrame({"run": np.repeat(["a", "b"], 8), "epoch": [*range(1, 9)] * 2, "chooser_wa": validation * 2})
    found = noise.epoch_choice(runs, history).iloc[0]
    assert found[["runs", "step", "level", "kept", "test"]].tolist() == pytest.approx([2, 20, 70, 90, 70])
    assert findings.epoch_choice_table(noise.epoch_choice(runs, history)).loc[0, "Test"] == pytest.approx(70)


def test_pairs_of_runs_from_two_kinds_of_processor_are_counted():
    rows = [
        {
            "corpus": "mine",
            "protocol": "speaker",
            "system": system,
            "seed": 0,
            "fold": fold,
            "processor": "x",
            "amx": amx,
            "device": "cpu",
        }
        for system, amx in (("baseline", True), ("combined", True), ("ams-s10-m0.4", False))
        for fold in range(5)
    ]
    runs = pd.DataFrame(rows)
    said = findings.machines_sentence(runs)
    assert "Of 10 runs" in said and " 5, of 1 systems" in said and "all of AMS, s = 10, m = 0.4." in said
    alike = runs[runs["system"] != "ams-s10-m0.4"]
    assert "same kind of machine" in findings.machines_sentence(alike)
    assert findings.machines_sentence(runs[:5]) == ""
    gpu = alike.assign(device=np.where(alike["system"] == "combined", "A GPU", "cpu"))
    assert "Of 5 runs" in findings.machines_sentence(gpu) and " 5, of 1 systems" in findings.machines_sentence(gpu)


def test_seeds_from_a_gpu_are_compared_with_those_from_a_processor():
    generator, found = np.random.default_rng(7), []
    for _ in range(300):
        rows = [
            {"corpus": "mine", "protocol": "speaker", "system": system, "seed": seed, "fold": fold}
            | {"device": "A GPU" if seed > 2 else "cpu", "ua": (60 + 5 * fold + sd) / 100}
            for system in ("baseline", "combined", "ams-s10-m0.4")
            for seed, sd in enumerate(generator.normal(scale=2, size=5))
            for fold in range(5)
        ]
        runs = pd.DataFrame(rows)
        found.append(noise.devices(runs).iloc[0])
    compared = pd.DataFrame(found)
    assert (compared["systems"] == 3).all() and abs(compared["difference"].mean()) < 0.2
    assert (compared["difference"].abs() < compared["chance"]).mean() == pytest.approx(0.95, abs=0.03)
    said = findings.devices_sentence(runs)
    assert "30 of 75 runs were computed on a GPU (A GPU)" in said and "further apart than seeds alone set them" in said
    assert findings.devices_sentence(runs[runs["device"] == "cpu"]) == ""
    assert "apart" not in findings.devices_sentence(runs[runs["seed"] > 2])
    one_fold = runs["seed"].eq(2) & runs["fold"].eq(0)
    moved = runs.assign(device=np.where(one_fold, "A GPU", runs["device"]), ua=np.where(one_fold, 0.0, runs["ua"]))
    kept = noise.devices(moved).iloc[0]  # a seed of which each computed a part is neither's
    assert kept["difference"] == pytest.approx(noise.devices(runs[runs["seed"] != 2]).iloc[0]["difference"])


def test_readings_that_made_trainings_end_early():
    rows = [
        {"corpus": "emodb", "protocol": "speaker", "system": system, "seed": 0, "fold": fold, "config": '{"max_epochs": 20}'}
        | ({"epochs": 14, "chosen_epoch": 3 + fold} if fold < early else {"epochs": 20, "chosen_epoch": 15})
        for system, early in (("baseline", 1), ("baseline@batch_size=64", 3), ("baseline@masked=true", 2))
        for fold in range(5)
    ]
    readings = pd.DataFrame(
        [
            {"corpus": "emodb", "protocol": "speaker", "system": system, "against": "baseline"}
            for system in ("baseline@batch_size=64", "baseline@masked=true")
        ]
    )
    said = findings.ended_early_sentence(readings, pd.DataFrame(rows))
    assert said.endswith("of batches of 64 on EmoDB, speakers apart 3 of 5, of what it is compared with 1 of 5.")
    assert findings.ended_early_sentence(readings[1:], pd.DataFrame(rows)) == ""


def test_range_of_runs_of_one_system():
    random = np.random.default_rng(3)
    inside = []
    for _ in range(4000):
        found = noise.spread(random.normal(size=(2, 3)))
        inside.append(np.ptp(random.normal(size=6)) < noise.chance_range(found, 6))
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)


def paired_runs(shift: float, seeds: int, sd: float, generator: np.random.Generator) -> pd.DataFrame:
    rows = [
        {"corpus": "mine", "protocol": "speaker", "system": system, "seed": seed, "fold": fold}
        | {"ua": (60 + 5 * fold + (shift if "@" in system else 0) + generator.normal(scale=sd)) / 100}
        for system in ("baseline", "baseline@masked=true")
        for seed in range(seeds)
        for fold in range(5)
    ]
    return pd.DataFrame(rows)


def test_change_of_a_reading_is_beyond_chance_once_in_twenty_where_there_is_none():
    random = np.random.default_rng(5)
    found = [noise.change(paired_runs(0, 3, 2, random), "baseline@masked=true", "baseline") for _ in range(300)]
    assert np.mean([each.beyond_chance for each in found]) == pytest.approx(0.05, abs=0.03)
    assert found[0].seeds == 3


def test_a_training_that_stopped_early_is_not_compared_with_one_that_did_not():
    runs = paired_runs(0, 2, 1, np.random.default_rng(2)).assign(epochs=200, config='{"max_epochs": 200}')
    lost = runs["system"].str.contains("@") & (runs["fold"] < 2)
    runs.loc[lost, ["ua", "epochs"]] = [0.25, 110]
    found = noise.change(runs, "baseline@masked=true", "baseline")
    assert (found.compared, found.shared) == (6, 10) and abs(found.difference) < 1.5
    both = runs.assign(epochs=runs["epochs"].where(runs["fold"] > 1, 110))  # both lost patience: alike again
    assert noise.change(both, "baseline@masked=true", "baseline").compared == 10


def test_readings_are_the_systems_with_changed_settings_and_two_seeds():
    random = np.random.default_rng(6)
    runs = paired_runs(8, 2, 1, random)
    found = noise.readings(runs)
    assert found["system"].tolist() == ["baseline@masked=true"] and bool(found.at[0, "beyond"])
    assert found.at[0, "difference"] == pytest.approx(8, abs=1.5)
    assert noise.compared_runs(found, pd.concat([runs, runs.assign(corpus="other")])).equals(runs)
    assert noise.readings(runs[runs["seed"] == 0]).empty
    longer = runs.assign(system=runs["system"].replace("baseline@masked=true", "baseline@masked=true,max_epochs=200"))
    assert noise.readings(longer).empty  # another training, not another reading
    with pytest.raises(SercoreError, match="no fold and seed in common"):
        noise.change(runs, "combined", "baseline")


def test_chance_is_that_of_all_systems_trained_alike():
    random = np.random.default_rng(7)
    runs = paired_runs(8, 2, 1, random)
    wild = paired_runs(0, 3, 1, random).query("system == 'baseline'").assign(system="combined")
    wild["ua"] += 0.2 * wild["seed"]
    alone, beside = (noise.readings(each).iloc[0] for each in (runs, pd.concat([runs, wild], ignore_index=True)))
    assert beside["chance"] > 1.5 * alone["chance"] and beside["difference"] == alone["difference"]
    assert len(noise.compared_runs(beside.to_frame().T, pd.concat([runs, wild]))) == len(runs) + len(wild)
    longer = pd.concat([runs, wild.assign(system="combined@max_epochs=200")], ignore_index=True)
    assert noise.readings(longer).iloc[0]["chance"] == alone["chance"]
    assert len(noise.compared_runs(alone.to_frame().T, longer)) == len(runs)
    with pytest.raises(SercoreError, match="no system has two seeds"):
        noise.change(runs[runs["seed"] == 0], "baseline@masked=true", "baseline")


def test_a_reading_is_compared_with_the_nearest_system_that_was_measured():
    random = np.random.default_rng(6)
    runs = paired_runs(8, 2, 1, random)
    plain = paired_runs(8, 2, 1, random).query("system != 'baseline'")
    names = ["baseline@engine=plain,masked=true", "baseline@engine=plain,masked=true,precision=float32"]
    runs = pd.concat([runs, *(plain.assign(system=name) for name in names)], ignore_index=True)
    found = noise.readings(runs).set_index("system")
    assert found["against"].to_dict() == {
        "baseline@masked=true": "baseline",
        **dict.fromkeys(names, "baseline@masked=true"),  # not with one another
    }
    assert found["of_paper"].tolist() == [False, False, True]
    shown = findings.readings_table(found.reset_index())["Reading"].tolist()
    assert shown[0] == "engine=plain; both with masked=true" and shown[2].startswith("Padding left out")
    history = runs.assign(run=runs.groupby(["system", "seed", "fold"]).ngroup().astype(str))
    history = pd.concat([history.assign(epoch=epoch, chooser_wa=history["ua"] + epoch / 100) for epoch in (1, 2, 3, 4)])
    said = findings.agreement_sentence(found[~found["of_paper"].astype(bool)].reset_index(), history)
    assert "over 2 seeds, " in said
    change = noise.validation_change(history, "baseline@masked=true", "baseline")
    assert change.estimate == pytest.approx(8, abs=1.5) and change.low > 0

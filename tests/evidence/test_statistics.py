import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_1samp
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from sercore.errors import SercoreError
from sercore.evidence import remembered, statistics

SPEAKERS = 8


def predictions(accuracy: float = 0.6, seeds=(0,), each: int = 30, noise: int = 0) -> pd.DataFrame:
    """The truth is the same whatever the accuracy; speaker k is right at `accuracy` + (k - 3.5) * 0.02."""
    truth = np.random.default_rng(5)
    rows = []
    table = pd.DataFrame(
        {
            "utterance": [f"u{number:04d}" for number in range(SPEAKERS * each)],
            "speaker": np.repeat([f"s{number}" for number in range(SPEAKERS)], each),
            "label": truth.choice(4, SPEAKERS * each, p=[0.4, 0.3, 0.2, 0.1]),
            "fold": np.arange(SPEAKERS * each) % 5,
        }
    )
    for seed in seeds:
        rng = np.random.default_rng([seed, noise])
        level = accuracy + (table["speaker"].str[1:].astype(int) - 3.5) * 0.02
        right = rng.random(len(table)) < level
        guess = np.where(right, table["label"], (table["label"] + rng.integers(1, 4, len(table))) % 4)
        rows.append(table.assign(seed=seed, prediction=guess))
    return pd.concat(rows, ignore_index=True)


@pytest.mark.parametrize(("measure", "reference"), [("ua", balanced_accuracy_score), ("wa", accuracy_score)], ids=["ua", "wa"])
def test_estimate_is_pooled_and_averaged_over_seeds(measure, reference):
    frame = predictions(seeds=(0, 1, 2))
    found = statistics.bootstrap_speakers(frame, measure, resamples=200)
    by_seed = [reference(rows["label"], rows["prediction"]) for _, rows in frame.groupby("seed")]
    assert found.estimate == pytest.approx(np.mean(by_seed))
    assert found.low < found.estimate < found.high
    assert np.isnan(found.p)


def test_a_resample_takes_whole_speakers():
    # One speaker is always right and one always wrong: WA of a resample of two is 0, 1/2 or 1.
    frame = pd.DataFrame(
        {
            "utterance": list("abcd"),
            "speaker": list("xxyy"),
            "label": [0, 1, 0, 1],
            "prediction": [0, 1, 1, 0],
        }
    )
    found = statistics.bootstrap_speakers(frame, "wa", resamples=500)
    assert (found.estimate, found.low, found.high) == (0.5, 0.0, 1.0)


def test_interval_agrees_with_a_plain_bootstrap_over_frames():
    frame = predictions(seeds=(0, 1))
    found = statistics.bootstrap_speakers(frame, "ua", resamples=4000)
    rng = np.random.default_rng(99)
    groups = {key: rows for key, rows in frame.groupby(["seed", "speaker"])}
    names = sorted(frame["speaker"].unique())
    draws = []
    for _ in range(300):
        drawn = rng.choice(names, len(names))
        values = []
        for seed in (0, 1):
            rows = pd.concat([groups[seed, name] for name in drawn])
            values.append(balanced_accuracy_score(rows["label"], rows["prediction"]))
        draws.append(np.mean(values))
    np.testing.assert_allclose([found.low, found.high], np.quantile(draws, [0.025, 0.975]), atol=0.012)


def test_same_seed_same_interval_and_row_order_does_not_matter():
    frame = predictions()
    found = statistics.bootstrap_speakers(frame)
    assert statistics.bootstrap_speakers(frame.sample(frac=1, random_state=0)) == found
    assert statistics.bootstrap_speakers(frame, seed=1) != found


def test_a_difference_is_paired():
    worse, better = predictions(0.5), predictions(0.7)
    found = statistics.paired_difference(better, worse, "wa")
    difference = accuracy_score(better["label"], better["prediction"]) - accuracy_score(worse["label"], worse["prediction"])
    assert found.estimate == pytest.approx(difference)
    assert 0 < found.low < found.estimate < found.high
    assert found.p == pytest.approx(2 / 2001)
    apart = [statistics.bootstrap_speakers(frame, "wa") for frame in (better, worse)]
    assert found.high - found.low < sum(each.high - each.low for each in apart)
    back = statistics.paired_difference(worse, better, "wa")
    np.testing.assert_allclose([back.low, back.high], [-found.high, -found.low])


def test_a_system_does_not_differ_from_itself():
    found = statistics.paired_difference(predictions(), predictions())
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_difference_counts_the_common_seeds():
    several, one = predictions(seeds=(0, 1, 2)), predictions(0.7, seeds=(1,))
    only = statistics.paired_difference(one, several[several["seed"] == 1])
    assert statistics.paired_difference(one, several) == only
    with pytest.raises(SercoreError, match=r"no seed in common: \[1\] and \[0, 2\]"):
        statistics.paired_difference(one, several[several["seed"] != 1])


def test_a_difference_needs_the_same_utterances():
    frame = predictions()
    with pytest.raises(SercoreError, match="0 only in the first, 3 only in the second, 0 with another"):
        statistics.paired_difference(frame.iloc[3:], frame)
    moved = frame.assign(speaker=frame["speaker"].where(frame.index > 1, "s7"))
    with pytest.raises(SercoreError, match="2 with another speaker or label"):
        statistics.paired_difference(moved, frame)


def test_recall_measures():
    frame = predictions(seeds=(0, 1))
    counted = statistics.tally(frame)
    happy = statistics.bootstrap_speakers(counted, statistics.recall_of(1), resamples=100).estimate
    over = statistics.bootstrap_speakers(counted, statistics.recall_over_others(1), resamples=100).estimate
    recalls = [
        [((rows["label"] == k) & (rows["prediction"] == k)).sum() / (rows["label"] == k).sum() for k in range(4)]
        for _, rows in frame.groupby("seed")
    ]
    angry, target, sad, neutral = np.mean(recalls, axis=0)
    assert happy == pytest.approx(target)
    assert over == pytest.approx(target - (angry + sad + neutral) / 3)
    assert statistics.Interval(0.5, 0.25, 0.75, 0.1).percent() == statistics.Interval(50, 25, 75, 0.1)


def test_ten_thousand_resamples_are_fast():
    frame = predictions(seeds=range(5), each=300)
    start = time.perf_counter()
    statistics.bootstrap_speakers(frame, resamples=10_000)
    assert time.perf_counter() - start < 5


def test_a_rare_class_does_not_spoil_the_interval():
    frame = predictions().assign(label=lambda rows: np.where(rows["speaker"] == "s0", 3, rows["label"] % 3))
    found = statistics.bootstrap_speakers(frame, statistics.recall_of(3))
    assert np.isfinite([found.low, found.high]).all()


def test_holm_by_hand():
    # Sorted: 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1 raised to the 0.06 before it.
    np.testing.assert_allclose(statistics.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(statistics.holm([0.6, 0.7]), [1.0, 1.0])
    assert statistics.holm([]).size == 0


def test_holm_of_known_values():
    # As multipletests(..., method="holm") of statsmodels and p.adjust(..., "holm") of R give them.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    adjusted = [0.001, 0.0036, 0.0152, 0.0665, 0.1206, 0.139, 0.139, 0.139, 0.139, 0.324]
    np.testing.assert_allclose(statistics.holm(p), adjusted, atol=1e-12)


def test_holm_passes_over_comparisons_that_were_not_made():
    np.testing.assert_allclose(statistics.holm([0.02, np.nan, 0.01]), [0.02, np.nan, 0.02])
    with pytest.raises(SercoreError, match="from 0 to 1"):
        statistics.holm([0.5, 1.5])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_lies_between_p_and_bonferroni(p):
    adjusted = statistics.holm(p)
    assert (adjusted >= np.array(p)).all()
    assert (adjusted <= np.minimum(1, len(p) * np.array(p))).all()


def test_fold_mean_and_sd():
    frame = predictions(seeds=(0, 1))
    folds = [
        np.mean([accuracy_score(rows["label"], rows["prediction"]) for _, rows in fold.groupby("seed")])
        for _, fold in frame.groupby("fold")
    ]
    assert statistics.fold_mean_sd(frame, "wa") == pytest.approx((np.mean(folds), np.std(folds, ddof=1)))
    mean, sd = statistics.fold_mean_sd(frame[frame["fold"] == 2], "wa")
    assert mean == pytest.approx(folds[2]) and np.isnan(sd)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["speaker", "label"]), "lack the columns label, speaker"),
        (lambda f: f.assign(label="happy"), "numbers of classes"),
        (lambda f: f.assign(prediction=-1), "numbers of classes"),
        (lambda f: f.head(0), "no predictions"),
        (lambda f: pd.concat([f, f.head(2)]), r"2 utterances do not occur exactly once .*first: u0000"),
        (lambda f: f.iloc[:-1], "1 utterances do not occur exactly once"),
        (
            lambda f: f.assign(label=f["label"].where(f.index > 0, 3 - f["label"])),
            "1 utterances change their label",
        ),
        (
            lambda f: f.assign(speaker=f["speaker"].where(f.index > 0)),
            "column 'speaker': 1 predictions have none",
        ),
    ],
)
def test_bad_predictions_are_refused(change, message):
    with pytest.raises(SercoreError, match=message):
        statistics.bootstrap_speakers(change(predictions(seeds=(0, 1))))


def test_unknown_measures_are_refused():
    with pytest.raises(SercoreError, match="choose one of ua, wa"):
        statistics.bootstrap_speakers(predictions(), "f1")


def test_a_mean_difference_weighs_corpora_alike_and_is_surer_than_each():
    worse, better = predictions(0.5), predictions(0.7)
    one, nothing = statistics.paired_jackknife(better, worse), statistics.paired_jackknife(worse, worse)
    same = statistics.mean_difference([(better, worse)])
    assert (same.estimate, same.low, same.high, same.p) == pytest.approx((one.estimate, one.low, one.high, one.p))
    both = statistics.mean_difference([(better, worse), (worse, worse)])
    assert both.estimate == pytest.approx((one.estimate + nothing.estimate) / 2)
    assert both.high - both.low == pytest.approx((one.high - one.low) / 2)  # nothing moves the second
    twice = statistics.mean_difference([(better, worse)] * 2)  # two corpora that happen to be alike
    error = (one.high - one.low) / 2 / t.ppf(0.975, 7) / np.sqrt(2)
    assert twice.high - twice.estimate == pytest.approx(error * t.ppf(0.975, 14))
    with pytest.raises(SercoreError, match="needs a pair"):
        statistics.mean_difference([])


def test_a_mean_difference_over_seeds_holds_what_they_move():
    pairs = [
        tuple(statistics.tally(predictions(accuracy, noise=noise, seeds=(0, 1, 2))) for accuracy in (0.7, 0.5))
        for noise in (1, 2)
    ]
    each = [statistics.paired_over_seeds(*pair, repeated=pair) for pair in pairs]
    found = statistics.mean_difference(pairs, "ua", pairs)
    assert found.estimate == pytest.approx(np.mean([own.estimate for own in each]))
    assert found.high - found.low < np.mean([own.high - own.low for own in each])
    single = tuple(own.select((0,)) for own in pairs[1])
    untold = statistics.mean_difference([pairs[0], single], "ua", [pairs[0], single])
    assert np.isnan([untold.low, untold.high, untold.p]).all() and not np.isnan(untold.estimate)


def test_jackknife_of_a_mean_is_students_interval():
    # One class and one utterance a speaker: WA is a mean over speakers, whose jackknife is the t interval of that mean.
    right = np.random.default_rng(3).random((2, 30)) < [[0.5], [0.8]]
    names = [f"s{number:02d}" for number in range(30)]
    frames = [
        pd.DataFrame({"utterance": names, "speaker": names, "label": 0, "prediction": (~each).astype(int)}) for each in right
    ]
    found = statistics.paired_jackknife(frames[1], frames[0], lambda counts: counts[..., 0, 0] / counts.sum((-2, -1)))
    reference = ttest_1samp(right[1].astype(float) - right[0], 0)
    assert [found.estimate, found.p] == pytest.approx([right[1].mean() - right[0].mean(), reference.pvalue])
    assert [found.low, found.high] == pytest.approx(list(reference.confidence_interval(0.95)))


def test_jackknife_covers_where_speakers_are_few_and_the_bootstrap_does_not():
    random, inside = np.random.default_rng(0), {"jackknife": 0, "bootstrap": 0}
    names = np.repeat([f"s{number}" for number in range(9)], 40)
    base = {"utterance": [f"u{number:03d}" for number in range(360)], "speaker": names, "label": np.tile([0, 1], 180)}
    for _ in range(150):
        accuracy = np.repeat(np.clip(random.normal([[0.6]] * 9, 0.08), 0, 1), 40)
        frames = [
            pd.DataFrame(base | {"prediction": base["label"] ^ (random.random(360) > level)})
            for level in (accuracy, np.full(360, 0.6))
        ]
        a, b = (statistics.tally(frame) for frame in frames)
        for name, found in (
            ("jackknife", statistics.paired_jackknife(a, b)),
            ("bootstrap", statistics.paired_difference(a, b, resamples=400)),
        ):
            inside[name] += found.low <= 0 <= found.high
    assert inside["jackknife"] / 150 == pytest.approx(0.95, abs=0.04) and inside["bootstrap"] < inside["jackknife"]


def test_interval_over_speakers_and_seeds_covers_what_either_alone_does_not():
    random, inside = np.random.default_rng(0), {"both": 0, "jackknife": 0}
    names = np.repeat([f"s{number}" for number in range(10)], 40)
    base = {"utterance": [f"u{number:03d}" for number in range(400)], "speaker": names, "label": np.tile([0, 1], 200)}
    for _ in range(150):  # no system is better: speakers differ in what suits them, seeds in how lucky they are
        pair = []
        for suits in (random.normal(0, 0.04, 10), np.zeros(10)):
            levels = [0.6 + np.repeat(suits, 40) + luck for luck in random.normal(0, 0.04, 3)]
            predicted = [base["label"] ^ (random.random(400) > level) for level in levels]
            seeds = [pd.DataFrame(base | {"prediction": each, "seed": seed}) for seed, each in enumerate(predicted)]
            pair.append(statistics.tally(pd.concat(seeds)))
        for name, found in (("both", statistics.paired_over_seeds(*pair)), ("jackknife", statistics.paired_jackknife(*pair))):
            inside[name] += found.low <= 0 <= found.high
    assert inside["both"] / 150 == pytest.approx(0.95, abs=0.03) and inside["jackknife"] < 0.85 * 150


def test_interval_over_speakers_and_seeds_without_a_spread_between_seeds():
    first, second = (pd.concat([predictions(accuracy).assign(seed=seed) for seed in (0, 1)]) for accuracy in (0.7, 0.6))
    found, jackknife = statistics.paired_over_seeds(first, second), statistics.paired_jackknife(first, second)
    assert (found.low, found.high, found.p) == pytest.approx((jackknife.low, jackknife.high, jackknife.p))
    single = statistics.paired_over_seeds(*(frame[frame["seed"] == 0] for frame in (first, second)))
    assert single.estimate == pytest.approx(found.estimate) and np.isnan([single.low, single.high, single.p]).all()


def test_jackknife_of_a_class_that_one_speaker_alone_has():
    frame = predictions()
    alone = frame.assign(label=np.where(frame["speaker"] == "s0", frame["label"], frame["label"].clip(upper=2)))
    found = statistics.paired_jackknife(alone, alone, statistics.recall_of(3))
    assert found.estimate == 0 and np.isnan(found.low) and statistics.paired_jackknife(alone, alone).high == 0


def test_difference_of_differences_is_that_of_two_pairs():
    a, b, c = (predictions(accuracy, noise=noise) for accuracy, noise in ((0.7, 1), (0.6, 2), (0.5, 3)))
    found = statistics.difference_of_differences((a, c), (b, c))
    direct = statistics.paired_jackknife(a, b)
    assert [found.estimate, found.low, found.high] == pytest.approx([direct.estimate, direct.low, direct.high])
    d = predictions(0.4, noise=4)
    pairs = [statistics.paired_jackknife(a, c), statistics.paired_jackknife(b, d)]
    both = statistics.difference_of_differences((a, c), (b, d))
    assert both.estimate == pytest.approx(pairs[0].estimate - pairs[1].estimate) and both.low < both.estimate < both.high
    assert both.high - both.low > max(pair.high - pair.low for pair in pairs)  # two differences are less sure than either


def test_difference_of_groups_is_that_of_their_own_measures():
    rows = [
        {
            "utterance": f"{speaker}{label}{take}",
            "speaker": speaker,
            "label": label,
            "prediction": label if take < right else 1 - label,
        }
        for speaker, right in (("a", 8), ("b", 8), ("c", 4), ("d", 4))
        for label in (0, 1)
        for take in range(10)
    ]
    found = statistics.difference_of_groups(pd.DataFrame(rows), ["a", "b"], ["c", "d"])
    assert (found.estimate, found.low, found.high) == pytest.approx((0.4, 0.4, 0.4)) and found.p < 0.01
    alone = statistics.difference_of_groups(pd.DataFrame(rows), ["a"], ["c", "d"])
    assert alone.estimate == pytest.approx(0.4) and np.isnan([alone.low, alone.high, alone.p]).all()


def test_without_the_names_of_two_speakers_there_is_an_estimate_and_no_interval():
    nobody, better = (predictions(share, seeds=(0, 1)).assign(speaker="") for share in (0.5, 0.7))
    known = statistics.bootstrap_speakers(predictions(0.5, seeds=(0, 1)))
    for found, estimate in (
        (statistics.bootstrap_speakers(nobody), known.estimate),
        (gain := statistics.paired_difference(better, nobody), gain.estimate),
        (statistics.paired_jackknife(better, nobody), gain.estimate),
    ):
        assert found.estimate == pytest.approx(estimate) and np.isnan([found.low, found.high, found.p]).all()
    assert gain.estimate > 0


def test_range_of_speakers_that_are_all_alike():
    groups, labels = np.repeat(np.arange(40), 20), np.tile(np.arange(2), 400)
    right = np.random.default_rng(0).permutation(np.repeat([0, 1], [320, 480]))
    # UA of two classes of ten: SD of 0.11; the range of 40 normal values is 4.32 SD on average
    assert statistics.range_by_chance(right, groups, labels) == pytest.approx(4.32 * np.sqrt(0.24 / 20), rel=0.05)
    easy = statistics.range_by_chance((groups < 20).astype(float), groups, labels)  # however unlike they are
    assert easy == pytest.approx(4.32 * np.sqrt(0.25 / 20), rel=0.05)


def test_correlation_within_groups_ignores_what_sets_groups_apart():
    random = np.random.default_rng(0)
    groups, units = np.repeat(np.arange(10), 6), np.tile(np.arange(6), 10)
    level = 10 * groups  # hard and easy folds: over all they would correlate perfectly
    apart = statistics.correlation_within(level + random.normal(size=60), level + random.normal(size=60), groups, units)
    assert abs(apart.rho) < 0.35 and apart.p > 0.01 and apart.pairs == 60
    x = random.normal(size=60)
    together = statistics.correlation_within(x, -x - level, groups, units)
    assert together.rho == pytest.approx(-1) and together.p < 0.01  # of 720 orders of six one is that
    recurring = np.tile([1, 2, 3], 10)  # three systems that keep their order from fold to fold are three values, not thirty
    once = statistics.correlation_within(recurring, recurring, np.repeat(np.arange(10), 3), recurring)
    assert once.rho == pytest.approx(1) and once.p == pytest.approx(2 / 6)  # their order and its reverse, of six
    assert once.least == pytest.approx(1 / 6)
    with pytest.raises(SercoreError, match="group of two"):
        statistics.correlation_within([1, 2], [1, 2], [0, 1], [0, 0])
    with pytest.raises(SercoreError, match="differ"):
        statistics.correlation_within([1, 1], [1, 2], [0, 0], [0, 1])
    with pytest.raises(SercoreError, match="one value of a unit"):
        statistics.correlation_within([1, 2], [1, 2], [0, 0], [0, 0])


def test_one_system_over_speakers_and_seeds():
    """Its error is that of a difference to a system that is never wrong, of which neither speakers nor seeds move anything."""
    ours = predictions(seeds=(0, 1, 2))
    perfect = ours.assign(prediction=ours["label"])
    alone = statistics.over_seeds(ours)
    assert alone.low < alone.estimate < alone.high
    compared = statistics.paired_over_seeds(ours, perfect, repeated=[statistics.tally(ours)])
    assert alone.estimate - 1 == pytest.approx(compared.estimate)
    assert alone.high - alone.low < compared.high - compared.low  # which counts the seeds of two systems
    wider = statistics.over_seeds(ours, repeated=[statistics.tally(ours), statistics.tally(predictions(0.5, seeds=(3, 4)))])
    assert wider.estimate == alone.estimate and wider.low != alone.low
    assert np.isnan(statistics.over_seeds(predictions()).low)


def test_intervals_of_one_system_hold_what_they_should():
    """Ten speakers whose ease varies, two seeds that move them: 95 % of intervals hold the true value, or a little more."""
    random, held = np.random.default_rng(0), 0
    table = pd.DataFrame([(f"s{s}", label, n) for s in range(10) for label in range(4) for n in range(20)])
    table.columns = ["speaker", "label", "number"]
    table["utterance"], table["fold"] = [f"u{i}" for i in range(len(table))], table["speaker"].str[1:].astype(int) % 5
    for _ in range(100):
        ease = random.normal(0, 0.08, 10)[table["speaker"].str[1:].astype(int)]
        frames = []
        for seed in (0, 1):
            right = random.random(len(table)) < 0.6 + ease + random.normal(0, 0.02)
            frames.append(table.assign(seed=seed, prediction=np.where(right, table["label"], (table["label"] + 1) % 4)))
        found = statistics.over_seeds(pd.concat(frames, ignore_index=True))
        held += found.low <= 0.6 <= found.high
    assert held >= 90


def asked_of(systems: list[pd.DataFrame]) -> list[object]:
    """One answer of each kind that resampling gives, of systems counted anew."""
    first, second, third = map(statistics.tally, systems)
    speakers = first.groups
    right = (systems[0]["label"] == systems[0]["prediction"]).to_numpy(float)
    numbers = np.arange(SPEAKERS)
    return [
        statistics.bootstrap_speakers(first, "ua", 300),
        statistics.bootstrap_speakers(first, "wa", 300),
        statistics.bootstrap_speakers(first, statistics.recall_of(0), 300),
        statistics.bootstrap_speakers(first, statistics.recall_of(1), 300),
        statistics.bootstrap_speakers(first, "ua", 300, seed=1),
        statistics.paired_difference(first, second, "ua", 300),
        statistics.paired_difference(first, third, "ua", 300),
        statistics.difference_of_groups(first, speakers[:4], speakers[4:], "ua", 300),
        statistics.range_by_chance(right, systems[0]["speaker"], systems[0]["label"], 20),
        statistics.correlation_within(numbers, numbers % 3, numbers % 2, numbers // 2, 10),
    ]


def test_what_was_resampled_is_remembered_and_is_what_would_be_resampled_anew(tmp_path, monkeypatch):
    systems = [predictions(accuracy, seeds=(0, 1)) for accuracy in (0.5, 0.6, 0.7)]
    anew = list(map(repr, asked_of(systems)))  # NaN is not equal to itself
    monkeypatch.setenv(remembered.FOLDER, str(tmp_path))
    for _ in range(2):
        assert list(map(repr, asked_of(systems))) == anew
    assert len(list(tmp_path.iterdir())) == len(anew)


def test_remembered_intervals_still_refuse_other_utterances(tmp_path, monkeypatch):
    monkeypatch.setenv(remembered.FOLDER, str(tmp_path))
    frame = predictions()
    renamed = frame.assign(utterance="other" + frame["utterance"])
    statistics.paired_difference(frame, frame, resamples=50)
    with pytest.raises(SercoreError, match="same utterances"):
        statistics.paired_difference(frame, renamed, resamples=50)


def test_a_measure_that_cannot_be_told_from_others_is_not_remembered(tmp_path, monkeypatch):
    monkeypatch.setenv(remembered.FOLDER, str(tmp_path))
    for share in (0.25, 0.5):
        found = statistics.bootstrap_speakers(predictions(), lambda counts, share=share: np.full(counts.shape[:-2], share), 50)
        assert found.estimate == share
    assert not list(tmp_path.iterdir())

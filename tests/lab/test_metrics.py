import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

from sercore.errors import SercoreError
from sercore.lab import metrics


def example(seed: int, utterances: int = 200, classes: int = 4):
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, utterances, p=[0.55, 0.25, 0.15, 0.05])
    probabilities = rng.dirichlet(np.ones(classes), utterances)
    return labels, probabilities, probabilities.argmax(axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_measures_equal_scikit_learn(seed):
    labels, _, predictions = example(seed)
    assert (metrics.confusion(labels, predictions, 4) == confusion_matrix(labels, predictions, labels=range(4))).all()
    assert metrics.ua(labels, predictions, 4) == pytest.approx(balanced_accuracy_score(labels, predictions))
    assert metrics.wa(labels, predictions, 4) == pytest.approx(accuracy_score(labels, predictions))
    found = metrics.recalls(metrics.confusion(labels, predictions, 4))
    np.testing.assert_allclose(found, recall_score(labels, predictions, labels=range(4), average=None))


def test_ua_and_wa_are_not_swapped_on_unequal_classes():
    # 6 of 8 right in the first class, 1 of 2 in the second: UA (3/4 + 1/2) / 2, WA 7/10.
    labels = [0] * 8 + [1] * 2
    predictions = [0] * 6 + [1] * 2 + [1, 0]
    assert metrics.confusion(labels, predictions, 2).tolist() == [[6, 2], [1, 1]]
    assert metrics.ua(labels, predictions, 2) == pytest.approx(0.625)
    assert metrics.wa(labels, predictions, 2) == pytest.approx(0.7)


def test_a_class_without_utterances_does_not_count_in_ua():
    labels, predictions = [0, 0, 2, 2], [0, 1, 2, 2]
    assert metrics.ua(labels, predictions, 4) == pytest.approx(0.75)
    assert np.isnan(metrics.recalls(metrics.confusion(labels, predictions, 4))).tolist() == [
        False,
        True,
        False,
        True,
    ]


def test_recalls_of_a_stack_of_matrices():
    stack = np.array([[[3, 1], [0, 2]], [[1, 1], [4, 0]]])
    assert metrics.recalls(stack).tolist() == [[0.75, 1.0], [0.5, 0.0]]


def test_ece_by_hand():
    # Two bins: .9 and .7, one of them right: gap .5 - .8; and .5, right, on the upper edge: gap 1 - .5.
    probabilities = [[0.9, 0.1], [0.3, 0.7], [0.5, 0.5]]
    assert metrics.ece(probabilities, [0, 0, 0], bins=2) == pytest.approx((2 * 0.3 + 1 * 0.5) / 3)


def test_ece_of_a_certain_and_right_classifier_is_zero_and_of_a_wrong_one_is_one():
    labels = np.array([0, 1, 2, 3])
    assert metrics.ece(np.eye(4), labels) == 0
    assert metrics.ece(np.eye(4), (labels + 1) % 4) == 1


def test_summary_holds_every_measure():
    labels, probabilities, predictions = example(7)
    found = metrics.summary(labels, probabilities.astype(np.float16))
    assert list(found) == ["ua", "wa", "ece", "recall"]
    assert found["ua"] == pytest.approx(balanced_accuracy_score(labels, predictions), abs=0.02)
    assert found["ua"] == pytest.approx(np.mean(found["recall"]))
    assert found["wa"] != pytest.approx(found["ua"], abs=1e-3)
    assert found["ece"] == metrics.ece(probabilities.astype(np.float16), labels)
    with pytest.raises(SercoreError, match="one row of probabilities a label"):
        metrics.temperature(labels[:-1], probabilities)


@pytest.mark.parametrize(
    ("labels", "predictions", "message"),
    [
        ([0, 1], [0], "2 labels, 1 predictions"),
        ([], [], "non-empty"),
        ([0.0, 1.0], [0, 1], "integer"),
        ([0, 4], [0, 1], r"labels must lie in 0\.\.3, found \[4\]"),
        ([0, 1], [-1, 1], "predictions must lie"),
    ],
)
def test_bad_labels_are_refused(labels, predictions, message):
    with pytest.raises(SercoreError, match=message):
        metrics.ua(labels, predictions, 4)


@pytest.mark.parametrize("rows", [[[2.0, -1.0]], [[0.5, np.nan]], [[0.5, 0.4]]])
def test_logits_are_no_probabilities(rows):
    with pytest.raises(SercoreError, match="softmax"):
        metrics.summary([0], rows)


def test_shapes_of_probabilities_are_checked():
    with pytest.raises(SercoreError, match=r"\(utterances, classes\)"):
        metrics.ece([0.2, 0.8], [0, 1])
    with pytest.raises(SercoreError, match="2 rows, 1 labels"):
        metrics.ece(np.eye(2), [0])


@pytest.mark.parametrize("sure", [0.5, 1.0, 3.0])
def test_temperature_finds_by_how_much_probabilities_are_too_sure(sure):
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 1.5, (4000, 4))
    honest = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in honest])
    said = np.exp(sure * scores) / np.exp(sure * scores).sum(1, keepdims=True)
    found = metrics.temperature(labels, said)
    assert found == pytest.approx(sure, rel=0.1)
    np.testing.assert_allclose(metrics.cooled(said, sure), honest, rtol=1e-6)
    assert metrics.ece(metrics.cooled(said, found), labels) < 0.03


def test_temperature_believes_no_small_part_that_is_all_right_or_all_wrong():
    said = np.array([[0.7, 0.3], [0.2, 0.8]])
    low, high = metrics.TEMPERATURES
    assert metrics.temperature([0, 1], said) == pytest.approx(low, rel=1e-3)
    assert metrics.temperature([1, 0], said) == pytest.approx(high, rel=1e-3)
    assert metrics.cooled(np.array([1.0, 0.0]), 2.0).tolist() == pytest.approx([1, 0], abs=1e-5)

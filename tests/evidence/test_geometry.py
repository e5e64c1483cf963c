import sys

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import f_oneway
from sklearn.metrics.pairwise import cosine_distances

from sercore.errors import SercoreError
from sercore.evidence import geometry
from sercore.report import findings


def clusters(spread: float, utterances: int = 60, seed: int = 0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, utterances, p=[0.4, 0.3, 0.2, 0.1])
    centres = np.eye(4, 16) * 3
    return centres[labels] + spread * rng.standard_normal((utterances, 16)), labels


@pytest.mark.parametrize("zeros", [0, 2])
def test_within_and_between_are_the_means_over_all_pairs(zeros):
    features, labels = clusters(1.0)
    features[:zeros] = 0
    distance = cosine_distances(features)
    same = labels[:, None] == labels[None, :]
    others = ~np.eye(len(labels), dtype=bool)
    found = geometry.within_between(features.astype(np.float32), labels)
    assert found["within"] == pytest.approx(distance[same & others].mean(), abs=1e-6)
    assert found["between"] == pytest.approx(distance[~same].mean(), abs=1e-6)
    assert found["ratio"] == pytest.approx(found["within"] / found["between"])


def test_a_tighter_cloud_is_more_compact_by_every_measure():
    tight, loose = (geometry.compactness(*clusters(spread)) for spread in (0.3, 1.5))
    assert list(tight) == ["within", "between", "ratio", "silhouette", "purity"]
    assert tight["ratio"] < loose["ratio"]
    assert tight["silhouette"] > loose["silhouette"]
    assert tight["purity"] > loose["purity"]


def test_length_does_not_matter():
    features, labels = clusters(0.5)
    lengths = np.random.default_rng(3).uniform(0.1, 10, (len(features), 1))
    assert geometry.compactness(features * lengths, labels) == pytest.approx(geometry.compactness(features, labels))


def test_classes_on_their_own_axes():
    features, labels = np.repeat(np.eye(3), 4, axis=0), np.repeat(["a", "b", "c"], 4)
    found = geometry.compactness(features, labels, neighbours=3)
    assert found == pytest.approx({"within": 0, "between": 1, "ratio": 0, "silhouette": 1, "purity": 1})


def test_an_utterance_is_not_its_own_neighbour():
    features = np.array([[1.0, 0.0], [0.99, 0.1], [0.0, 1.0], [0.1, 0.99]])
    assert geometry.neighbour_purity(features, [0, 1, 0, 1], k=1) == 0


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.ones(4), [0, 1, 0, 1], r"\(utterances, features\)"),
        (np.ones((4, 2)), [0, 1], "one label an utterance"),
        (np.ones((4, 2)), [0, 0, 0, 0], "two of them or more"),
        (np.full((4, 2), np.nan), [0, 1, 0, 1], "4 utterances have features that are not finite"),
        (np.ones((4, 2)), [0, 1, 2, 3], "needs a pair"),
        (np.ones((4, 2)), [0, 1, 0, 1], "k=10 neighbours need more than 10 utterances"),
    ],
)
def test_what_has_no_geometry_is_refused(features, labels, message):
    with pytest.raises(SercoreError, match=message):
        geometry.compactness(features, labels)


def test_a_projection_is_repeatable_and_says_how_far_to_trust_it():
    features, _ = clusters(0.3)
    features[0] = 0
    threads = torch.get_num_threads()
    coordinates, trust = geometry.project(features, seed=3, neighbours=8, min_dist=0.2)
    assert coordinates.shape == (60, 2)
    assert np.isfinite(coordinates).all()
    assert 0.5 < trust <= 1
    again, _ = geometry.project(features, seed=3, neighbours=8, min_dist=0.2)
    np.testing.assert_array_equal(coordinates, again)
    other, _ = geometry.project(features, seed=4, neighbours=8, min_dist=0.2)
    assert not np.array_equal(coordinates, other)
    assert torch.get_num_threads() == threads


def test_too_few_utterances_cannot_be_projected():
    with pytest.raises(SercoreError, match="15 neighbours need more than 30 utterances, found 30"):
        geometry.project(np.ones((30, 4)))


def test_without_umap_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(SercoreError, match="pip install umap-learn"):
        geometry.project(np.random.default_rng(0).normal(size=(40, 4)))


def test_a_map_is_turned_towards_another_without_being_stretched():
    random = np.random.default_rng(2)
    points = random.normal(size=(40, 2)) * (3, 1)
    mirrored = points @ np.array([[0.6, 0.8], [0.8, -0.6]]) + 5  # orthogonal, and it mirrors
    back = geometry.turned(mirrored, points)
    np.testing.assert_allclose(back - back.mean(0), points - points.mean(0), atol=1e-9)


def test_compactness_differs_between_systems_by_more_than_seeds_explain():
    rows = [
        {"slug": slug, "seed": seed, "fold": fold, "ratio": ratio + 0.01 * seed, "silhouette": fold / 9 + seed, "purity": 0.5}
        for slug, ratio, seeds in (("baseline", 0.2, (0, 1)), ("combined", 0.5, (0, 1)), ("focal-g2-a2", 0.9, (0,)))
        for seed in seeds
        for fold in range(5)
    ]
    table = pd.DataFrame(rows).assign(group="EmoDB, speakers apart")
    spread = findings.compactness_spread(table).set_index("Measure")
    assert spread.at["within / between", "Between seeds"] == pytest.approx(np.std([0, 0.01], ddof=1))
    values = {"a": [0.2, 0.21], "b": [0.5, 0.51], "c": [0.9]}
    exact = f_oneway(*values.values())
    row = spread.loc["within / between"]
    assert (row["Between systems"] / row["Between seeds"]) ** 2 == pytest.approx(exact.statistic)
    assert row["p"] == pytest.approx(exact.pvalue)
    said = findings.compactness_spread_sentence(spread.reset_index())
    assert "in 1 of 3 cases" in said and "this on EmoDB, speakers apart" in said
    alone = findings.compactness_spread(table[table["seed"] == 0])
    assert alone.empty and "not been published" in findings.compactness_spread_sentence(alone)


def test_compactness_beside_ua_is_told_as_finely_as_the_systems_permit():
    def systems(names):
        rows = [(name, seed, fold, rank + 0.1 * seed) for rank, name in enumerate(names) for seed in (0, 1) for fold in range(5)]
        table = pd.DataFrame(rows, columns=["slug", "seed", "fold", "ua"])
        return table.assign(ratio=-table["ua"], silhouette=table["ua"], purity=table["ua"], group=f"{len(names)} systems")

    found = findings.compactness_correlations(pd.concat([systems("abcd"), systems("abcdef")]))
    few, more = (found[found["Where"] == where] for where in ("4 systems", "6 systems"))
    assert few["p"].tolist() == pytest.approx([2 / 24] * 3)  # seeds of a system are no further systems
    assert few[findings.LEAST].iat[0] == pytest.approx(1 / 24) and more["p"].tolist() == pytest.approx([2 / 720] * 3)
    said = findings.compactness_sentence(found)
    assert (
        said.startswith("Of 3 rank correlations that could say so 3 say")
        and "3 remain." in said
        and "On 4 systems too few systems were measured" in said
    )
    assert findings.compactness_sentence(few).startswith("On 4 systems too few")

import numpy as np
import pandas as pd
import pytest

from sercore.errors import SercoreError
from sercore.report import attention

EVEN = np.full(10, 0.1)
POINTED = np.eye(10)[2]


def test_many_utterances_at_once_are_as_one_by_one_whatever_their_lengths():
    rows = [EVEN, POINTED, np.array([1.0, 3.0])]
    seconds = np.array([1.76, 0.5, 0.4])
    together = attention.stacked(pd.Series(rows))
    for measured in (attention.span, lambda each: attention.distance(each, each[..., ::-1])):
        np.testing.assert_allclose(measured(together[:2]), [measured(row) for row in rows[:2]])
    assert attention.span(together)[2] == pytest.approx(attention.span(rows[2]))
    alone = [attention.heard(row, time) for row, time in zip(rows, seconds, strict=True)]
    np.testing.assert_allclose(attention.heard(together, seconds[:, None])[:, 0], alone)
    profiles = [attention.profile(row, time) for row, time in zip(rows, seconds, strict=True)]
    np.testing.assert_allclose(attention.profile(together, seconds), profiles)


def test_half_of_an_even_attention_lies_behind_half_the_clip():
    assert attention.heard(EVEN, 1.6) == pytest.approx(0.5)
    assert attention.heard(EVEN, 1.76) == pytest.approx(0.55)  # a step that the utterance ends in is shared
    assert attention.profile(EVEN, 1.6).sum() == pytest.approx(0.5)
    np.testing.assert_allclose(attention.profile(EVEN, 3.2), 0.1)


def test_span_is_a_step_for_one_and_the_clip_for_even_weights():
    assert attention.span(POINTED) == pytest.approx(0.32)
    assert attention.span(EVEN) == pytest.approx(3.2)


def test_distance_is_what_has_to_move():
    assert attention.distance(POINTED, EVEN) == pytest.approx(0.9)
    assert attention.distance(3 * POINTED, POINTED) == 0


@pytest.fixture
def frame():
    rows = [
        {"system": system, "seed": 0, "utterance": name, "label": label, "duration": 1.6, "attention": weights}
        for system, weights in (("baseline", EVEN), ("combined", POINTED))
        for name, label in (("a", "sad"), ("b", "sad"), ("c", "happy"))
    ]
    return pd.DataFrame(rows)


def test_summary_and_its_sentence(frame):
    table = attention.summary(frame).set_index("slug")
    assert table.at["baseline", "padding"] == pytest.approx(50) and table.at["combined", "padding"] == pytest.approx(0)
    assert table.at["combined", "moved"] == pytest.approx(90)
    said = attention.sentence({"emodb": table.reset_index()})
    assert said == (
        "On EmoDB 50 % of a clip is padding on average, and so much of an even attention would lie there. Of all systems "
        "the baseline puts most on it: 50 %. The most pointed attention is that of combined attentive "
        "pooling on EmoDB, over 0.3 s."
    )
    both = attention.sentence({"emodb": table.reset_index(), "nemo": table.assign(padded=25, padding=[40, 0]).reset_index()})
    assert "On EmoDB and nEMO 25 to 50 % of a clip" in both and "puts most on it: 40 to 50 %." in both
    wider = attention.wider_sentence({"emodb": table.reset_index()})
    assert wider == "It is not there: on EmoDB the attention of combined pooling is nowhere wider by a tenth than the baseline's."
    table.at["combined", "span"] = 2 * table.at["baseline", "span"]
    assert "wider by a tenth or more on EmoDB." in attention.wider_sentence({"emodb": table.reset_index()})
    assert "not both" in attention.wider_sentence({})


def test_summary_is_the_mean_over_seeds(frame):
    other = frame.assign(
        seed=1, attention=frame["attention"].where(frame["system"] == "baseline", pd.Series([EVEN] * len(frame)))
    )
    table = attention.summary(pd.concat([frame, other], ignore_index=True)).set_index("slug")
    assert table.loc["combined", ["padding", "moved"]].tolist() == pytest.approx([25, 45])
    assert table.at["baseline", "padding"] == pytest.approx(50)
    with pytest.raises(SercoreError, match="once a seed"):
        attention.summary(pd.concat([frame, frame]))


def test_two_seeds_of_a_system_are_the_yardstick(frame):
    every = pd.concat([frame.assign(seed=0), frame[frame["system"] == "combined"].assign(seed=2, attention=[EVEN] * 3)])
    between = attention.between_seeds(every)
    assert list(between) == ["combined"] and between["combined"] == pytest.approx(90)
    table = attention.summary(every[every["seed"] == 0])
    assert list(attention.shown_summary(table, between).iloc[:, -1].dropna()) == [pytest.approx(90)]
    assert "two seeds" not in " ".join(attention.shown_summary(table, {}))
    said = attention.seeds_sentence({"emodb": between, "nemo": {}}, {"emodb": table, "nemo": table})
    assert (
        "On EmoDB no system lies further from the baseline than two seeds" in said
        and "lie apart at most (of the baseline" in said
        and "On nEMO that cannot be said yet" in said
    )


def test_most_different_takes_one_of_each_class_first(frame):
    assert {
        frame.set_index("utterance").loc[name, "label"].iloc[0]
        for name in attention.most_different(frame, "baseline", "combined", 2)
    } == {"sad", "happy"}


def test_pictures_are_drawn_with_and_without_sound(frame):
    assert len(attention.profiles(frame, ["baseline", "combined"]).axes) == 2
    sound = np.random.default_rng(0).normal(size=25_600).astype(np.float32) / 10
    assert len(attention.over_sound(frame, "a", ["baseline", "combined"], sound, 16_000).axes) == 4
    assert len(attention.over_sound(frame, "a", ["baseline", "combined"], None, 16_000).axes) == 2

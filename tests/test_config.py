import pytest

from sercore import SercoreError
from sercore.config import Config
from sercore.evidence import paper
from sercore.lab import systems


def test_every_wrong_setting_is_named_at_once():
    with pytest.raises(SercoreError, match=r"(?s)toolkit='tf'.*learning_rate=0.*dropout=1.5"):
        Config(toolkit="tf", learning_rate=0, dropout=1.5)


def test_unknown_settings_are_named_with_those_there_are():
    with pytest.raises(SercoreError, match=r"batchsize, momentum; did you mean batch_size\? There are: loss"):
        Config().replace(batchsize=8, momentum=0.9)


def test_text_becomes_the_settings_type():
    config = Config().replace(max_epochs="3", masked="true", margin="0.2", alpha="1,2,3,4", scale=30)
    assert (config.max_epochs, config.masked, config.margin, config.alpha, config.scale) == (3, True, 0.2, (1, 2, 3, 4), 30.0)
    with pytest.raises(SercoreError, match="max_epochs='many' is not a whole number"):
        Config().replace(max_epochs="many")


def test_json_round_trip():
    config = Config().replace(alpha=(1.0, 2.0, 3.0, 4.0), loss="focal")
    assert Config.from_dict(__import__("json").loads(config.to_json())) == config


def test_table_2_has_the_papers_14_systems_in_its_order():
    assert list(systems.TABLE_2) == list(paper.table_2()["slug"])
    assert len(systems.TABLE_2) == 14


def test_overrides_of_each_family():
    ams, focal, combined = (systems.config(slug) for slug in ("ams-s30-m0.2", "focal-g5-a4", "combined"))
    assert (ams.loss, ams.scale, ams.margin, ams.pooling) == ("ams", 30, 0.2, "attentive")
    assert (focal.loss, focal.gamma, focal.alpha) == ("focal", 5, 4)
    assert (combined.loss, combined.pooling) == ("softmax", "combined")


def test_slugs_combine_and_take_settings():
    config = systems.config("focal-g1-a2+ams-s20-m0.3+combined@masked=true,batch_size=8")
    assert (config.loss, config.scale, config.margin, config.gamma, config.pooling) == ("ams+focal", 20, 0.3, 1, "combined")
    assert config.masked and config.batch_size == 8
    assert systems.config("focal-g2-a2@alpha=1,1.5,1,0.8,batch_size=8").alpha == (1, 1.5, 1, 0.8)
    assert systems.family("ams-s10-m0.4+combined") == "combination"
    assert systems.family("focal-g2-a2@batch_size=8") == "focal"


@pytest.mark.parametrize(
    "slug", ["amd-s10-m0.4", "baseline+", "baseline@", "baseline@masked", "baseline@masked=", "ams-s10", "", "../x", "a{{1}}", 5]
)
def test_unreadable_slugs_are_refused(slug):
    with pytest.raises(SercoreError):
        systems.config(slug)


def test_expand_spells_out_groups_once():
    assert systems.expand("claims,baseline") == list(systems.CLAIMS)
    assert systems.expand("baseline@masked=true,batch_size=8,combined") == ["baseline@masked=true,batch_size=8", "combined"]
    assert len(systems.expand("table2")) == 14


@pytest.mark.parametrize(
    "settings, says",
    [
        ({"max_epochs": 1.5}, "max_epochs=1.5 is not a whole number"),
        ({"dropout": None, "loss": 3}, "(?s)loss=3 is not a text.*dropout=None is not a number"),
        ({"learning_rate": float("nan"), "gamma": float("inf")}, r"learning_rate=nan \(must be above 0\); gamma=inf"),
        ({"alpha": -1.0}, r"alpha=-1.0 \(must be above 0"),
        ({"alpha": ()}, r"alpha=\(\) \(must be above 0"),
        ({"alpha": "1,0,1"}, "must be above 0, one number or one for each class"),
        ({"clip_seconds": 0.3}, r"clip_seconds=0.3 \(must be 0.32 or more\)"),
        (
            {"clip_seconds": 1e5, "lstm_cells": 10**6},
            r"lstm_cells=1000000 \(must be 4096 at most\); clip_seconds=100000.0 \(must be 600 at",
        ),
        ({"scale": 10**400}, "scale=a huge number is not a number"),
        ({"alpha": (1.0,) * 10**4}, r"alpha=\(1.0, .*\.\.\.\) \(must be above 0"),
        ({"x" * 10**5: 1}, r"unknown settings: 'x+\.\.\.x+'"),
    ],
)
def test_settings_of_another_type_and_impossible_values_are_named(settings, says):
    with pytest.raises(SercoreError, match=says):
        Config().replace(**settings)


def test_a_system_is_what_its_name_says():
    with pytest.raises(SercoreError, match=r"margin=0.2: ams-s10-m0.4 is the system with margin=0.4"):
        systems.config("ams-s10-m0.4", changes={"margin": 0.2})
    assert systems.config("ams-s10-m0.4", changes={"margin": "0.4", "dropout": 0.1}).dropout == 0.1


def test_a_list_of_systems_may_hold_a_list_of_alphas():
    slugs = ["baseline@loss=focal,alpha=1,1.5,1,0.8", "combined"]
    assert systems.expand(",".join(slugs)) == slugs
    assert systems.config(slugs[0]).alpha == (1, 1.5, 1, 0.8)

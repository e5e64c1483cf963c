import os

import pytest
from iemocap_tree import DIALOGUES, OTHERS, build

from sercore.corpora import COLUMNS, get, load
from sercore.errors import SercoreError


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    build(root / "IEMOCAP_full_release")
    return root


def test_the_four_classes(data_root):
    table = load("iemocap", data_root)
    assert list(table.columns) == list(COLUMNS)
    assert len(table) == 5531 and table.id.is_unique and table.id.is_monotonic_increasing
    assert table.label.value_counts().to_dict() == {"angry": 1103, "happy": 1636, "neutral": 1708, "sad": 1084}
    assert table.attrs["dropped"] == {f"label {label}": count for label, count in sorted(OTHERS.items())}
    assert get("iemocap").counts == (1103, 1636, 1084, 1708)


def test_speaker_is_the_letter_of_the_turn(data_root):
    table = load("iemocap", data_root).set_index("id")
    assert set(table.speaker) == {f"Ses0{session}{sex}" for session in range(1, 6) for sex in "FM"}
    turns = table[table.index.str.startswith("Ses01F_impro01_M")]
    assert set(turns.speaker) == {"Ses01M"} and set(turns.gender) == {"m"} and set(turns.session) == {"Ses01"}


def test_parts(data_root):
    improvised, scripted = load("iemocap-improvised", data_root), load("iemocap-scripted", data_root)
    assert set(improvised.sentence) == {""}
    assert set(scripted.sentence) == {"script01_1", "script02_2"}
    assert sorted([*improvised.id, *scripted.id]) == list(load("iemocap", data_root).id)
    assert {name.split("_", 1)[1].rsplit("_", 1)[0] for name in scripted.id} == set(DIALOGUES[3:])


def test_all_missing_recordings_in_one_error(data_root):
    table = load("iemocap-improvised", data_root)
    paths = list(table.path[[3, 500]])
    for path in paths:
        os.rename(path, f"{path}.away")
    try:
        with pytest.raises(SercoreError) as error:
            load("iemocap", data_root)
    finally:
        for path in paths:
            os.rename(f"{path}.away", path)
    assert all(path in str(error.value) for path in paths)
    assert len(error.value.offenders) == 2


def test_wrong_numbers_are_refused(tmp_path):
    build(tmp_path / "iemocap", {"ang": 5, "hap": 5, "exc": 5, "sad": 5, "neu": 5}, {})
    with pytest.raises(SercoreError, match="happy: 10 instead of 1636"):
        load("iemocap", tmp_path)


def test_unknown_labels_and_malformed_lines(tmp_path):
    root = build(tmp_path / "iemocap", {"ang": 60, "neu": 60}, {"xxx": 3, "bor": 2})
    table = load("iemocap-improvised", tmp_path)
    assert table.attrs["dropped"].get("unknown label bor", 0) + table.attrs["dropped"].get("label xxx", 0) > 0
    evaluation = next((root / "Session2" / "dialog" / "EmoEvaluation").glob("[!.]*.txt"))
    evaluation.write_text("[1.0 - 2.0] Ses02F_impro01_F000 ang [1, 1, 1]\n")
    with pytest.raises(SercoreError, match=f"{evaluation.name}:1"):
        load("iemocap-improvised", tmp_path)


def test_where_to_ask_for_it(tmp_path):
    with pytest.raises(SercoreError, match="iemocap_release"):
        load("iemocap", tmp_path)

import dataclasses
import json

import numpy as np
import pytest
import soundfile
from recordings import UNREADABLE, cut, tone, write

from sercore.corpora import get
from sercore.corpora.check import check
from sercore.errors import SercoreError


@pytest.fixture
def tree(tmp_path):
    for label, pitch in (("angry", 300), ("sad", 120)):
        for number in range(4):
            write(tmp_path / "set" / label / f"{number}.wav", tone(0.5 + number / 10, frequency=pitch + number))
    return tmp_path / "set"


def problems(tree):
    offenders = check(str(tree)).offenders
    return {path.removeprefix(f"{tree}/"): problem for path, problem in zip(offenders.path, offenders.problem, strict=True)}


def test_all_is_well(tree):
    report = check(str(tree))
    assert report.offenders.empty and list(report.offenders.columns) == ["path", "problem", "detail"]
    assert report.labels == {"angry": 4, "sad": 4} and report.speakers == {"": 8}
    assert report.seconds == {"min": 0.5, "median": 0.65, "max": 0.8, "sum": 5.2}
    assert report.clip == {"by the rule": 1.0, "in use": 1.0, "percent uncut": 100.0}
    assert "offenders    none" in str(report)


def test_names_that_look_alike_are_told(tree):
    write(tree / "Angry" / "a.wav", tone(0.7, frequency=500))
    report = check(str(tree))
    assert report.offenders["detail"].tolist() == ["label 'Angry' and 'angry'"]
    assert report.offenders["problem"].tolist() == ["alike"]


def test_labels_that_an_adapter_should_not_give_are_told(tree, monkeypatch):
    whole = get(str(tree))
    monkeypatch.setattr("sercore.corpora.check.get", lambda name, _: dataclasses.replace(whole, labels=("angry", "happy")))
    report = check("mine")
    assert report.offenders["detail"].tolist() == ["label sad: 4"] and report.labels == {"angry": 4, "happy": 0}


def test_all_offenders_in_one_report(tree):
    for number, make in enumerate(UNREADABLE.values()):
        make(tree / "angry" / f"{number}.wav")
    write(tree / "angry" / "cut.flac", tone(3))
    cut(tree / "angry" / "cut.flac")
    write(tree / "sad" / "0.wav", np.full(8000, 1e-4))
    write(tree / "sad" / "loud.wav", np.clip(tone(level=4), -1, 1))
    write(tree / "sad" / "same.flac", soundfile.read(tree / "sad" / "1.wav", dtype="int16")[0])
    write(tree / "stray.wav")
    report = check(str(tree))
    assert problems(tree) == {
        "angry/0.wav": "unreadable", "angry/1.wav": "unreadable", "angry/2.wav": "unreadable", "angry/cut.flac": "unreadable",
        "sad/0.wav": "silent", "sad/loud.wav": "clipped", "sad/same.flac": "duplicate", str(tree): "unknown",
    }  # fmt: skip
    text = str(report)
    assert all(str(path) in text for path in report.offenders.path)
    assert json.loads(json.dumps(report.to_dict()))["offenders"][0]["problem"] == "unreadable"
    assert report.to_dict()["utterances"] == 11


def test_duplicates_under_another_label_say_so(tree):
    write(tree / "sad" / "9.wav", tone(0.5, frequency=300))
    assert check(str(tree)).offenders.detail.tolist() == ["the same recording as angry/0.wav, there angry"]


def test_full_scale_alone_is_not_clipped(tree):
    normalised = tone(0.5, frequency=500)
    write(tree / "sad" / "peak.wav", normalised / np.abs(normalised).max())
    assert problems(tree) == {}


def test_eight_bit_clipping(tree):
    write(tree / "sad" / "loud.wav", np.clip(tone(level=4), -1, 1), subtype="PCM_U8")
    assert problems(tree) == {"sad/loud.wav": "clipped"}


def test_what_an_adapter_refuses_is_reported(tmp_path):
    from iemocap_tree import build

    root = build(tmp_path / "iemocap", {"ang": 30, "neu": 30}, {})
    gone = sorted(root.rglob("Ses*_[FM]0*.wav"))[::2]
    for path in gone:
        path.unlink()
    report = check("iemocap", tmp_path)
    assert sorted(report.offenders.detail) == sorted(map(str, gone)) and len(gone) > 20
    assert set(report.offenders.problem) == {"refused"}


def test_bad_rows_of_a_table_do_not_hide_what_is_wrong_with_the_files_of_the_others(tree):
    write(tree / "silent.wav", np.zeros(8000))
    rows = ["angry/0.wav,angry", "angry/1.wav,", "nowhere.wav,sad", "silent.wav,sad", "sad/0.wav,sad"]
    (tree / "list.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    found = check(str(tree / "list.csv")).offenders
    assert found["problem"].tolist() == ["refused", "refused", "silent"]
    assert found["detail"].tolist()[:2] == ["line 3: empty label", "line 4: no file nowhere.wav"]


def test_numbers_that_are_not_the_published_ones(tmp_path):
    for letter in "WFT":
        write(tmp_path / "emodb" / "wav" / f"03a01{letter}a.wav")
    write(tmp_path / "emodb" / "wav" / "03a01Wa.flac")
    report = check("emodb", tmp_path)
    assert "neutral: 0 utterances instead of 79" in set(report.offenders.detail)
    assert "repeated" in set(report.offenders.problem)


def test_an_empty_corpus(tmp_path):
    (tmp_path / "emodb").mkdir()
    assert set(check("emodb", tmp_path).offenders.problem) == {"incomplete"}
    with pytest.raises(SercoreError, match="is not here"):
        check("ravdess", tmp_path)


@pytest.mark.parametrize("name, found", [("emodb", []), ("ravdess", ["the same recording as 03-01-03-01-02-01-07"])])
def test_real_corpora(corpora_root, name, found):
    try:
        assert check(name, corpora_root).offenders.detail.tolist() == found
    except SercoreError:
        pytest.skip(f"{name} not found under SERCORE_DATA")

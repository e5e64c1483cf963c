import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sercore.corpora import protocol
from sercore.errors import SercoreError

NEMO = {
    "EB0": 370,
    "IC0": 360,
    "KD0": 358,
    "MK0": 361,
    "KS0": 357,
    "MP0": 198,
    "SM0": 356,
    "TP0": 359,
    "WR0": 357,
}
WOMEN = ("EB0", "IC0", "KD0", "MK0")


def corpus(sizes: dict[str, int], **columns) -> pd.DataFrame:
    speakers = [speaker for speaker, size in sizes.items() for _ in range(size)]
    ids = [f"{speaker}_{number:04d}" for speaker, size in sizes.items() for number in range(size)]
    return pd.DataFrame({"id": ids, "speaker": speakers, **columns})


def nemo() -> pd.DataFrame:
    table = corpus(NEMO)
    return table.assign(gender=np.where(table["speaker"].isin(WOMEN), "f", "m"), session="")


def small() -> pd.DataFrame:
    table = corpus({f"s{number}": 5 + number for number in range(6)})
    return table.assign(gender=np.where(table["speaker"].isin(["s0", "s3"]), "f", "m"))


def iemocap() -> pd.DataFrame:
    table = corpus({f"Ses0{session}{gender}": 20 + session for session in range(1, 6) for gender in "FM"})
    return table.assign(session=table["speaker"].str[4], gender=table["speaker"].str[-1].str.lower())


@pytest.mark.parametrize("name", protocol.PROTOCOLS)
def test_every_utterance_stands_once_in_a_fold_and_is_tested_once(name):
    table = nemo()
    frame = protocol.splits(table, name)
    assert list(frame.columns) == ["id", "fold", "part"]
    assert len(frame) == len(table) * protocol.FOLDS
    assert not frame.duplicated(["id", "fold"]).any()
    assert set(frame["part"]) == set(protocol.PARTS)
    tested = frame[frame["part"] == "test"]
    assert sorted(tested["id"]) == sorted(table["id"])
    assert sorted(tested["fold"].unique()) == [0, 1, 2, 3, 4]


def test_paper_has_the_papers_proportions():
    frame = protocol.splits(corpus({"a": 5531}), "paper")
    counts = frame.groupby(["fold", "part"]).size().unstack()
    assert counts["test"].isin([1106, 1107]).all()
    assert (counts["validation"] == 1383).all()
    assert counts["train"].isin([3041, 3042]).all()


def test_paper_mixes_speakers():
    with pytest.raises(SercoreError, match=r"speaker EB0 in test and train and validation of fold 0"):
        protocol.assert_disjoint(protocol.splits(nemo(), "paper"), nemo())


def test_leaky_differs_from_paper_only_in_what_chooses_the_epoch():
    table = nemo()
    pd.testing.assert_frame_equal(protocol.splits(table, "leaky"), protocol.splits(table, "paper"))
    assert [protocol.chooser(name) for name in protocol.PROTOCOLS] == ["validation", "validation", "test"]


@pytest.mark.parametrize("table", [nemo(), iemocap(), small()], ids=["nemo", "iemocap", "small"])
def test_speaker_keeps_speakers_apart(table):
    frame = protocol.splits(table, "speaker")
    protocol.assert_disjoint(frame, table)
    for fold in range(protocol.FOLDS):
        ids = protocol.parts(frame, fold)
        speakers = {part: set(table.loc[table["id"].isin(ids[part]), "speaker"]) for part in protocol.PARTS}
        assert all(speakers.values())
        assert sum(map(len, speakers.values())) == table["speaker"].nunique()
        following = protocol.parts(frame, (fold + 1) % protocol.FOLDS)
        assert ids["validation"].tolist() == following["test"].tolist()


def test_speaker_uses_the_five_sessions_where_there_are_five():
    table = iemocap()
    test = protocol.splits(table, "speaker").query("part == 'test'").merge(table, on="id")
    assert test.groupby("fold")["session"].unique().map(list).tolist() == [["1"], ["2"], ["3"], ["4"], ["5"]]


def test_sessions_that_share_a_speaker_are_no_groups():
    table = iemocap()
    table.loc[table["speaker"] == "Ses01F", "session"] = [str(1 + number % 5) for number in range(21)]
    protocol.assert_disjoint(protocol.splits(table, "speaker"), table)


def test_speaker_groups_are_balanced_by_gender_and_size():
    table = nemo()
    test = protocol.splits(table, "speaker").query("part == 'test'").merge(table, on="id")
    people = test.groupby("fold")["speaker"].unique().map(sorted)
    assert people.map(lambda names: sum(name not in WOMEN for name in names)).tolist() == [1] * 5
    assert sorted(people.map(lambda names: sum(name in WOMEN for name in names))) == [0, 1, 1, 1, 1]
    alone = next(names for names in people if len(names) == 1)
    assert alone == ["TP0"], "the group of one speaker is the man with the most utterances"


def test_gender_may_be_unknown():
    table = nemo().assign(gender=None)
    sizes = protocol.splits(table, "speaker").query("part == 'test'").groupby("fold").size()
    assert sizes.max() <= 2 * 370
    without = table.drop(columns=["gender", "session"])
    assert protocol.checksum(protocol.splits(table, "speaker")) == protocol.checksum(protocol.splits(without, "speaker"))


def test_checksums_are_stable():
    found = {name: protocol.checksum(protocol.splits(small(), name)) for name in ("paper", "speaker")}
    assert found == {
        "paper": "5d41f5a96fbd1c8b376697b58747e92c5dac90a0448c5f92c1478fb80e6c9e53",
        "speaker": "f7a058e8137b9fb9e12ce287d42d801537e302f53376b8237309eeb7f17fb2ac",
    }


def test_checksum_is_that_of_the_written_file(tmp_path):
    frame = protocol.splits(small(), "paper")
    path = tmp_path / "split.csv"
    path.write_bytes(protocol.to_csv(frame).encode())
    assert hashlib.sha256(path.read_bytes()).hexdigest() == protocol.checksum(frame)
    pd.testing.assert_frame_equal(pd.read_csv(path), frame, check_dtype=False)
    assert protocol.checksum(frame.sample(frac=1, random_state=3)) == protocol.checksum(frame)


@pytest.mark.parametrize("name", protocol.PROTOCOLS)
def test_the_order_of_rows_does_not_matter(name):
    table = nemo()
    shuffled = table.sample(frac=1, random_state=1)
    assert protocol.checksum(protocol.splits(shuffled, name)) == protocol.checksum(protocol.splits(table, name))


def test_the_seed_draws_the_random_parts_alone():
    table = small()
    assert protocol.checksum(protocol.splits(table, "paper", seed=1)) != protocol.checksum(protocol.splits(table, "paper"))
    pd.testing.assert_frame_equal(protocol.splits(table, "speaker", seed=1), protocol.splits(table, "speaker"))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=5, max_size=12),
    seed=st.integers(0, 99),
    folds=st.integers(3, 5),
)
def test_any_corpus_gives_whole_and_disjoint_folds(sizes, seed, folds):
    table = corpus({f"s{number:02d}": size for number, size in enumerate(sizes)})
    table["gender"] = ["f" if int(speaker[1:]) % 3 else "m" for speaker in table["speaker"]]
    for name in protocol.PROTOCOLS:
        frame = protocol.splits(table, name, folds=folds, seed=seed)
        assert sorted(frame.query("part == 'test'")["id"]) == sorted(table["id"])
        assert (frame.groupby("fold")["part"].nunique() == 3).all()
        assert set(frame["fold"]) == set(range(folds))


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        (lambda t: t.drop(columns="speaker"), "speaker", "needs the column 'speaker'"),
        (
            lambda t: t.assign(speaker=t["speaker"].where(t.index > 1)),
            "speaker",
            r"2 utterances have none \(s0_0000",
        ),
        (lambda t: t.assign(speaker="one"), "speaker", "1 speakers cannot fill 5 groups"),
        (lambda t: t.assign(id=["x", "x", *t["id"][2:]]), "paper", "1 are doubled: x"),
        (lambda t: t.assign(id=[None, *t["id"][1:]]), "paper", "column 'id': 1 utterances have none"),
        (lambda t: t.drop(columns="id"), "paper", "no column 'id'"),
        (lambda t: t.head(4), "paper", "4 utterances cannot fill 5 folds"),
        (lambda t: t, "random", "choose one of paper, speaker, leaky"),
    ],
)
def test_what_cannot_be_split_is_refused(change, name, message):
    with pytest.raises(SercoreError, match=message):
        protocol.splits(change(small()), name)


def test_folds_and_parts_that_do_not_exist_are_refused():
    with pytest.raises(SercoreError, match="at least 3"):
        protocol.splits(small(), "paper", folds=2)
    with pytest.raises(SercoreError, match="no fold 7"):
        protocol.parts(protocol.splits(small(), "paper"), 7)


def test_a_tampered_split_is_refused():
    table = small()
    frame = protocol.splits(table, "speaker")
    both = pd.concat([frame, frame.head(1).assign(part="train")])
    with pytest.raises(SercoreError, match="utterance s0_0000 twice in fold 0"):
        protocol.assert_disjoint(both, table)
    with pytest.raises(SercoreError, match="5 utterances without a speaker"):
        protocol.assert_disjoint(frame, table.iloc[5:])

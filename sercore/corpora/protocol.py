"""Protocols: named, seeded splits of a corpus into train, validation and test parts of five folds.

| name | test | validation | chooses the epoch |
| --- | --- | --- | --- |
| `paper` | five disjoint random fifths of the utterances | a random 25 of the other 80 percent | validation |
| `leaky` | as `paper` | as `paper` | the test part itself |
| `speaker` | five groups of speakers | the next group | validation |

`paper` is how we read section 4.1 of Zhou & Liu (2020). A split depends on the ids and the seed alone (`speaker` on the speakers,
their sessions and genders, and on no seed), never on the order of the rows. It is a long table with the columns `id`, `fold`
(from 0) and `part`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..bounds import FOLDS, PROTOCOLS
from ..errors import SercoreError

CLEAN = ("speaker", "paper")  # the test part is read once, after the epoch was chosen
PARTS = ("train", "validation", "test")
VALIDATION_SHARE = 0.25


def splits(utterances: pd.DataFrame, protocol: str, folds: int = FOLDS, seed: int = 0) -> pd.DataFrame:
    """The part of every utterance in every fold: columns `id`, `fold`, `part`, sorted by id and fold.

    `utterances` needs the column `id`, and for `speaker` also `speaker` (`session` and `gender` are used
    where they exist). `seed` draws the random parts; `speaker` has nothing to draw. Raises SercoreError for
    an unknown protocol, doubled or missing ids, too few utterances, and too few or unnamed speakers.
    """
    chooser(protocol)
    if folds < 3:
        raise SercoreError(f"folds must be at least 3 (train, validation and test), not {folds}")
    table = _checked(utterances, folds)
    if protocol == "speaker":
        group = _speaker_groups(table, folds)
        columns = [_parts_of_groups(group, fold, folds) for fold in range(folds)]
    else:
        columns = _random_parts(len(table), folds, seed)
    frame = pd.DataFrame(
        {
            "id": np.repeat(table["id"].to_numpy(), folds),
            "fold": np.tile(np.arange(folds), len(table)),
            "part": np.stack(columns, axis=1).reshape(-1),
        }
    )
    if protocol == "speaker":
        assert_disjoint(frame, table)
    return frame


def chooser(protocol: str) -> str:
    """The part that chooses the epoch under `protocol`: "validation", or for `leaky` "test"."""
    if protocol not in PROTOCOLS:
        raise SercoreError(f"unknown protocol {protocol!r}: choose one of {', '.join(PROTOCOLS)}")
    return "test" if protocol == "leaky" else "validation"


def split_of(protocol: str) -> str:
    """The protocol whose split `protocol` takes: its own, or for `leaky` that of `paper`."""
    return "paper" if chooser(protocol) == "test" else protocol


def parts(frame: pd.DataFrame, fold: int) -> dict[str, NDArray]:
    """The ids of one fold, sorted, by part: {"train": ids, "validation": ids, "test": ids}."""
    rows = frame[frame["fold"] == fold]
    if rows.empty:
        raise SercoreError(f"no fold {fold} in this split: it holds {sorted(frame['fold'].unique().tolist())}")
    return {part: np.sort(rows.loc[rows["part"] == part, "id"].to_numpy(dtype=object)) for part in PARTS}


def whole(utterances: pd.DataFrame, protocol: str) -> bool:
    """Whether there is such a split of these utterances, and each fold's training part has every class."""
    try:
        frame = splits(utterances, protocol)
    except SercoreError:  # too few speakers, or none named
        return False
    labels = utterances["label"].astype(str).set_axis(utterances["id"].astype(str))
    train = frame[frame["part"] == "train"]
    return bool((train["id"].map(labels).groupby(train["fold"]).nunique() == labels.nunique()).all())


def to_csv(frame: pd.DataFrame) -> str:
    """The canonical text of a split: a header, then `id,fold,part` sorted by id and fold, newlines as on
    Unix."""
    rows = frame[["id", "fold", "part"]].sort_values(["id", "fold"], kind="stable")
    return rows.to_csv(index=False, lineterminator="\n")


def checksum(frame: pd.DataFrame) -> str:
    """SHA-256 (hex) of the canonical text, the same on every platform; `sha256sum` of a written file gives it
    too."""
    return hashlib.sha256(to_csv(frame).encode("utf-8")).hexdigest()


def assert_disjoint(frame: pd.DataFrame, utterances: pd.DataFrame) -> None:
    """Raise SercoreError where, within a fold, a speaker or an utterance stands in two parts; name all
    offenders."""
    doubled = frame[frame.duplicated(["id", "fold"])]
    problems = [f"utterance {row.id} twice in fold {row.fold}" for row in doubled.itertuples()]
    speakers = utterances.assign(id=utterances["id"].astype(str)).set_index("id")["speaker"]
    speaker = frame["id"].map(speakers)
    if speaker.isna().any():
        problems.append(f"{frame.loc[speaker.isna(), 'id'].nunique()} utterances without a speaker")
    found = frame.assign(speaker=speaker).groupby(["fold", "speaker"])["part"].unique()
    problems += [
        f"speaker {name} in {' and '.join(sorted(where))} of fold {fold}"
        for (fold, name), where in found.items()
        if len(where) > 1
    ]
    if problems:
        raise SercoreError("the parts of this split are not disjoint: " + "; ".join(problems))


def _checked(utterances: pd.DataFrame, folds: int) -> pd.DataFrame:
    """The table sorted by id (text), so that no split depends on the order of the rows."""
    if "id" not in utterances:
        raise SercoreError("the table of utterances has no column 'id'")
    if utterances["id"].isna().any():
        raise SercoreError(f"column 'id': {utterances['id'].isna().sum()} utterances have none")
    table = utterances.assign(id=utterances["id"].astype(str))
    doubled = sorted(table.loc[table["id"].duplicated(), "id"].unique())
    if doubled:
        raise SercoreError(f"column 'id': every utterance needs its own, {len(doubled)} are doubled: {_few(doubled)}")
    if len(table) < folds:
        raise SercoreError(f"{len(table)} utterances cannot fill {folds} folds")
    return table.sort_values("id").reset_index(drop=True)


def _random_parts(utterances: int, folds: int, seed: int) -> list[NDArray]:
    bits = np.random.PCG64(seed)

    def shuffled(size: int) -> NDArray[np.int64]:
        # numpy keeps the raw stream of a bit generator for ever, that of Generator.permutation it does not.
        return np.argsort(bits.random_raw(size), kind="stable")

    columns = []
    for test in np.array_split(shuffled(utterances), folds):
        column = np.full(utterances, "train", dtype=object)
        column[test] = "test"
        rest = np.flatnonzero(column == "train")
        column[rest[shuffled(len(rest))[: round(VALIDATION_SHARE * utterances)]]] = "validation"
        columns.append(column)
    return columns


def _parts_of_groups(group: NDArray[np.int64], fold: int, folds: int) -> NDArray:
    column = np.full(len(group), "train", dtype=object)
    column[group == fold] = "test"
    column[group == (fold + 1) % folds] = "validation"
    return column


def _speaker_groups(table: pd.DataFrame, folds: int) -> NDArray[np.int64]:
    """The group 0..folds-1 of every utterance: its session where those serve, else a balanced group of
    speakers."""
    if "speaker" not in table:
        raise SercoreError(
            "protocol 'speaker' needs the column 'speaker': add it, or take protocol `paper`, where the parts share voices"
        )
    unnamed = table["speaker"].isna() | (table["speaker"].astype(str).str.strip() == "")
    if unnamed.any():
        raise SercoreError(
            f"column 'speaker': {unnamed.sum()} utterances have none ({_few(table.loc[unnamed, 'id'])}); "
            "fill it in, or take protocol `paper`, where the parts share voices"
        )
    speaker = table["speaker"].astype(str)
    if speaker.nunique() < folds:
        raise SercoreError(
            f"column 'speaker': {speaker.nunique()} speakers cannot fill {folds} groups; "
            "protocol 'speaker' needs one speaker a fold at least; under protocol `paper` the parts share voices"
        )
    if "session" in table:
        session = table["session"].astype(object).fillna("").astype(str)
        own = session.groupby(speaker).nunique().eq(1).all()
        if own and session.nunique() == folds and not (session == "").any():
            return np.unique(session.to_numpy(dtype=str), return_inverse=True)[1]
    return speaker.map(_balanced(table, speaker, folds)).to_numpy(dtype=np.int64)


def _balanced(table: pd.DataFrame, speaker: pd.Series, folds: int) -> dict[str, int]:
    """Groups of speakers, greedily: each gender is dealt out evenly, the larger speaker first to the smaller
    group."""
    gender = table["gender"].astype(object).fillna("").astype(str) if "gender" in table else pd.Series("", index=table.index)
    people = pd.DataFrame({"gender": gender.groupby(speaker).first(), "size": speaker.value_counts()})
    people["peers"] = people["gender"].map(people["gender"].value_counts())
    people = people.rename_axis("speaker").reset_index()
    order = people.sort_values(["peers", "gender", "size", "speaker"], ascending=[False, True, False, True])
    group: dict[str, int] = {}
    total = np.zeros(folds, dtype=np.int64)
    for _, peers in order.groupby("gender", sort=False):
        dealt = np.zeros(folds, dtype=np.int64)
        for name, size in zip(peers["speaker"], peers["size"], strict=True):
            chosen = min(range(folds), key=lambda k: (dealt[k], total[k], k))
            group[name] = chosen
            dealt[chosen] += 1
            total[chosen] += size
    return group


def _few(values) -> str:
    listed = [str(value) for value in values]
    return ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")

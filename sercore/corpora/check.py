"""Look at every recording of a corpus, and report all that is wrong with it in one go."""

from __future__ import annotations

import contextlib
import hashlib
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..errors import SercoreError, Unreadable
from ..frontend import audio
from . import Corpus, adapted, bundled, clip_rule, files, find_root, get, protocol

FULL_SCALE = 0.99
CLIPPED_RUN = 3  # samples in a row that stand at the file's own peak, near full scale
CLIPPED_SHARE = 1e-3  # of all samples: single runs cannot be heard, and peak-normalised corpora are full of peaks


LEVEL_ENERGIES = 0.1  # of a logarithm, between the highest and the lowest: no sound is so even


@dataclass
class Report:
    """What `check` found; `offenders` (columns path, problem, detail) is empty where all is well."""

    corpus: str
    title: str
    root: str
    labels: dict[str, int] = field(default_factory=dict)
    speakers: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    clip: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    offenders: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["path", "problem", "detail"]))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `utterances` is their number, and `offenders` a list of dictionaries."""
        offenders = self.offenders.to_dict("records")
        return {**vars(self), "utterances": sum(self.labels.values()), "offenders": offenders}

    def __str__(self) -> str:
        def listed(counts: dict[str, Any]) -> str:
            return ", ".join(f"{name} {number}" for name, number in counts.items()) or "none"

        people = {name: number for name, number in self.speakers.items() if name}
        lines = [
            f"{self.title}: {self.root}",
            f"  utterances   {sum(self.labels.values())} ({listed(self.labels)})",
            f"  speakers     {len(people)} ({listed(people)})"
            + ("" if len(people) >= protocol.FOLDS and "" not in self.speakers else ": only the protocols paper and leaky"),
            f"  seconds      {listed(self.seconds)}",
            f"  clip length  {listed(self.clip)}",
            f"  left out     {listed(self.dropped)}",
            f"  offenders    {listed(self.offenders.problem.value_counts().to_dict())}",
        ]
        lines += [f"    {row.problem}: {row.path} ({row.detail})" for row in self.offenders.itertuples()]
        return "\n".join(lines)


def check(name: str, data_root: str | Path | None = None) -> Report:
    """Read every recording of the corpus `name` and report counts, durations and offenders.

    Offenders are files that cannot be read, are silent (peak below -60 dB), clipped (0.1 % of the samples in
    runs at full scale) or duplicates (the same samples under another name), labels and file names that the
    corpus does not have, labels and speakers whose names look alike (joy and Joy), numbers of utterances that are not
    the published ones, folds of protocol speaker that lack a class in training or test, and whatever its adapter
    refuses; of a table with rows that cannot be taken, these and what is wrong with the files of the others. Of a corpus that is
    spectra alone the energies are looked at instead: not finite, all alike, or there twice. Raises `SercoreError` only where the
    corpus is not found.
    """
    try:
        corpus = get(name, data_root)
    except SercoreError as error:
        if not error.offenders or not Path(name).is_file():
            raise
        return _of_refused_table(Path(name), error)
    root = find_root(corpus, data_root)
    report = Report(corpus.name, corpus.title, str(root))
    try:
        frame = _of_bundle(root) if corpus.spectra else adapted(corpus, root)
    except SercoreError as error:
        details = error.offenders or (str(error),)
        report.offenders = pd.DataFrame([dict(path=str(root), problem="refused", detail=text) for text in details])
        return report
    looks = _looks(map(_look_at_energies, bundled.log_mels(root).arrays)) if corpus.spectra else _listened(frame)
    report.labels = {label: int((frame.label == label).sum()) for label in corpus.labels}
    report.speakers = {str(speaker): int(number) for speaker, number in frame.speaker.value_counts().sort_index().items()}
    report.dropped = frame.attrs["dropped"]
    seconds = looks.seconds.dropna()
    if len(seconds):
        report.seconds, report.clip = _lengths(corpus, seconds)
    twice = frame[frame.id.duplicated()]
    found = (
        frame.assign(**looks)[looks.problem != ""],
        _duplicates(frame, looks),
        twice.assign(problem="repeated", detail="id " + twice.id),
        _oddities(corpus, report, frame),
        _folds_without_a_class(frame, report.root),
    )
    report.offenders = pd.concat(found, ignore_index=True)[["path", "problem", "detail"]]
    return report


def _of_refused_table(listing: Path, error: SercoreError) -> Report:
    """What is wrong with the rows of a table, and with the files that are there nonetheless."""
    rows = [dict(path=str(listing), problem="refused", detail=text) for text in error.offenders]
    found = [pd.DataFrame(rows)]
    with contextlib.suppress(SercoreError):  # no table at all
        frame = files.there(listing)
        looks = _listened(frame)
        found += [frame.assign(**looks)[looks.problem != ""], _duplicates(frame, looks)]
    report = Report(listing.stem, listing.stem, str(listing))
    report.offenders = pd.concat(found, ignore_index=True)[["path", "problem", "detail"]]
    return report


def _of_bundle(path: Path) -> pd.DataFrame:
    """Its table, where each utterance's place is the bundle and its id."""
    frame = bundled.table(path)
    frame = frame.assign(path=f"{path}: " + frame["id"].astype(str))
    frame.attrs["dropped"] = {}
    return frame


def _listened(frame: pd.DataFrame) -> pd.DataFrame:
    with ThreadPoolExecutor(4) as pool:
        return _looks(pool.map(_look, frame.path))


def _looks(looked: Iterable[tuple[float, str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(list(looked), columns=["seconds", "problem", "detail", "content"])


def _look_at_energies(mels: np.ndarray) -> tuple[float, str, str, str]:
    """What `_look` tells of a recording, of log-Mel energies (frames, mels)."""
    from ..frontend.log_mel import FRAMES_PER_SECOND  # PyTorch comes with it: the list of corpora does without

    seconds = len(mels) / FRAMES_PER_SECOND
    if not np.isfinite(mels).all():
        return seconds, "unreadable", "energies that are not finite", ""
    if mels.size == 0 or np.ptp(mels) < LEVEL_ENERGIES:
        return seconds, "silent", "its energies are all alike", ""
    return seconds, "", "", hashlib.sha256(mels.tobytes()).hexdigest()


def _look(path: str) -> tuple[float, str, str, str]:
    """Seconds, problem, its detail, and a digest of the sound."""
    seen = _Seen()
    try:
        for _ in audio.blocks(path, seen.add):
            audio.refuse_long(path, seen.seconds)
    except Unreadable as error:
        return float("nan"), "unreadable", error.reason + f" ({error.detail})" * bool(error.detail), ""
    if seen.peak < audio.SILENT:
        return seen.seconds, "silent", f"peak {seen.peak:.5f} of full scale", ""
    content, share = seen.content.hexdigest(), seen.clipped / seen.samples
    if share >= CLIPPED_SHARE:
        return seen.seconds, "clipped", f"{100 * share:.1f} % of the samples at full scale", content
    return seen.seconds, "", "", content


class _Seen:
    """What of a recording is looked at, block by block."""

    def __init__(self) -> None:
        self.seconds, self.peak, self.samples, self.clipped, self.content = 0.0, 0.0, 0, 0, hashlib.sha256()

    def add(self, samples: np.ndarray, rate: int) -> None:
        loudness = np.abs(samples)
        peak = float(loudness.max())
        if peak >= FULL_SCALE:
            top = loudness.max(axis=1) >= peak - 2**-15
            edges = np.flatnonzero(np.diff(top, prepend=False, append=False))
            runs = edges[1::2] - edges[::2]
            self.clipped += int(runs[runs >= CLIPPED_RUN].sum())
        self.content.update(samples.tobytes() + str((rate, samples.shape)).encode())
        self.seconds, self.peak, self.samples = (
            self.seconds + len(samples) / rate,
            max(self.peak, peak),
            self.samples + len(samples),
        )


def _lengths(corpus: Corpus, seconds: pd.Series) -> tuple[dict[str, float], dict[str, float]]:
    spread = seconds.agg(["min", "median", "max", "sum"]).round(2)
    rule = clip_rule(seconds)
    used = corpus.clip_seconds or rule
    uncut = round(100 * float((seconds <= used).mean()), 2)
    return spread.to_dict(), {"by the rule": rule, "in use": used, "percent uncut": uncut}


def _duplicates(frame: pd.DataFrame, looks: pd.DataFrame) -> pd.DataFrame:
    heard = frame.assign(content=looks.content)[looks.content != ""]
    first = heard.groupby("content")[["id", "label"]].transform("first")
    again = heard[heard.content.duplicated()]
    details = [
        f"the same recording as {first.id[row]}" + (f", there {first.label[row]}" * (first.label[row] != heard.label[row]))
        for row in again.index
    ]
    return again.assign(problem="duplicate", detail=details)


def _folds_without_a_class(frame: pd.DataFrame, root: str) -> pd.DataFrame:
    """Folds of protocol speaker that cannot be learnt from, or tested on, for want of a class."""
    try:
        split = protocol.splits(frame, "speaker").merge(frame[["id", "label"]].astype(str), on="id")
    except SercoreError:  # too few speakers, or none named: that protocol is not for this corpus
        split = pd.DataFrame(columns=["fold", "part", "label"])
    there = split.groupby(["fold", "part"])["label"].agg(set)
    found = [
        f"no {label} in the {part} part of fold {fold}, protocol speaker"
        for (fold, part), labels in there.items()
        for label in sorted(set(frame.label) - labels)
        if part != "validation"
    ]
    return pd.DataFrame([dict(path=root, problem="fold", detail=d) for d in found], columns=["path", "problem", "detail"])


def _oddities(corpus: Corpus, report: Report, frame: pd.DataFrame) -> pd.DataFrame:
    """What is wrong with no single file: unknown labels and names, names that look alike, numbers other than the published."""
    found = [("unknown", f"{reason}: {n}") for reason, n in report.dropped.items() if reason.startswith("unknown")]
    strange = frame.loc[~frame["label"].isin(corpus.labels), "label"].astype(str).value_counts()
    found += [("unknown", f"label {label}: {n}") for label, n in strange.items()]
    for column in ("label", "speaker"):
        names = pd.Series(sorted(set(frame[column].astype(str))), dtype=str)
        alike = names.groupby(names.map(lambda name: unicodedata.normalize("NFKC", name).casefold().strip()))
        found += [("alike", f"{column} {' and '.join(map(repr, own))}") for _, own in alike if len(own) > 1]
    for label, wanted in zip(corpus.labels, corpus.counts, strict=False):
        if report.labels[label] != wanted:
            found.append(("incomplete", f"{label}: {report.labels[label]} utterances instead of {wanted}"))
    return pd.DataFrame([dict(path=report.root, problem=p, detail=d) for p, d in found], columns=["path", "problem", "detail"])

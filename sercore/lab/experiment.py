"""One run, from names to a record: corpus, protocol, system, seed and fold in, a folder of `sercore.lab.records` out."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from filelock import FileLock

from .. import corpora, machine, places
from ..config import Config
from ..corpora import bundled, protocol
from ..errors import SercoreError
from ..frontend import audio
from ..frontend.front_ends import FRONT_ENDS
from ..frontend.inputs import Inputs, extract
from ..network.networks import build, check, find, own_code
from . import metrics, records, systems, training
from .records import RunName


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A corpus made ready: its entry, its table of utterances and its labelled log-Mel energies."""

    source: str  # what it was asked for by where its audio is: a name, or a path of your own
    corpus: corpora.Corpus
    utterances: pd.DataFrame
    data: training.Labelled
    bundle: Path | None = None  # the file that it comes from, where there is no audio
    beside: Mapping[str, Inputs] = dataclasses.field(default_factory=dict)  # what other front ends made, where it came along

    def heard_by(self, config: Config, progress: bool = False) -> training.Labelled:
        """The corpus as the network of `config` hears it. Raises `SercoreError` where that takes audio, and here is none."""
        return _heard(self, find(config).front_end, progress)

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """Where the utterances `ids` stand in `data`. Raises `SercoreError` for those that do not."""
        wanted = np.asarray(list(ids), dtype=object)
        found = pd.Index(self.data.inputs.ids).get_indexer(wanted)
        corpora.complain("utterances that are not in the data", wanted[found < 0])
        return found


def prepare(name: str, data_root: str | None = None, progress: bool = False) -> Prepared:
    """Load the corpus `name` (or a bundle's path) and its features, from the cache where they are there.

    A process prepares a corpus once; files of your own again when they have changed.
    """
    name = os.path.expanduser(name)
    return _prepare(name, data_root, progress, _stamp(name, data_root))


@functools.lru_cache(maxsize=4)
def _heard(prepared: Prepared, front_end: str, progress: bool) -> training.Labelled:
    log_mels = prepared.data.inputs
    if front_end == log_mels.front_end:
        return prepared.data
    if front_end in prepared.beside:
        return dataclasses.replace(prepared.data, inputs=prepared.beside[front_end])
    if prepared.bundle is not None and front_end in prepared.corpus.heard:
        return dataclasses.replace(prepared.data, inputs=bundled.inputs(prepared.bundle, front_end))
    if prepared.corpus.spectra:
        return dataclasses.replace(prepared.data, inputs=log_mels.through(front_end))
    return dataclasses.replace(prepared.data, inputs=extract(prepared.utterances, progress=progress, front_end=front_end))


def _stamp(name: str, data_root: str | None) -> tuple[tuple[str, int, int], ...]:
    """What a path of one's own holds or lists: each file with its time and size; nothing for a corpus by name."""
    path = Path(name)
    if name in corpora.names() or not path.exists():
        return ()
    if path.is_dir():
        files = sorted(audio.below(path))
    else:
        files = [path, *([] if bundled.is_bundle(name) else map(Path, corpora.load(name, data_root)["path"]))]
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists())


@functools.lru_cache(maxsize=4)
def _prepare(name: str, data_root: str | None, progress: bool, stamp: tuple[tuple[str, int, int], ...]) -> Prepared:
    corpus = corpora.get(name, data_root)
    source = str(Path(name).absolute()) if corpus.kind == corpora.OWN else name  # it may be asked for from another folder
    utterances, bundle = corpora.load(corpus, data_root), None
    if corpus.spectra:
        bundle = corpora.find_root(corpus, data_root)
        source, mels = bundled.source(bundle) if bundled.is_bundle(name) else name, bundled.log_mels(bundle)
    else:
        mels = extract(utterances, progress=progress)
    codes = {label: index for index, label in enumerate(corpus_labels(corpus, utterances))}
    labels = utterances["label"].map(codes).to_numpy()
    return Prepared(source, corpus, utterances, training.Labelled(mels, labels, len(codes)), bundle)


def corpus_labels(corpus: corpora.Corpus, utterances: pd.DataFrame) -> tuple[str, ...]:
    """The class names in the corpus's order."""
    found = set(utterances["label"])
    return tuple(label for label in corpus.labels if label in found) or tuple(sorted(found))


def configure(prepared: Prepared, system: str, overrides: dict | None = None) -> Config:
    """The system's configuration on this corpus: clip and length of training, then `overrides`, then the system.

    Raises `SercoreError` for overrides that the system's name contradicts, and for what cannot be built.
    """
    corpus = prepared.corpus
    clip = corpus.clip_seconds or corpora.clip_rule(prepared.utterances["duration"])
    epochs, patience = corpora.length_rule(len(prepared.utterances))
    base = Config(clip_seconds=clip, max_epochs=corpus.max_epochs or epochs, patience=corpus.patience or patience)
    config = systems.config(system, base, overrides)
    check(config, prepared.data.classes)
    name = find(config).front_end
    if corpus.spectra and FRONT_ENDS[name].of_log_mel is None and name not in corpus.heard:
        raise SercoreError(f"{system} hears {FRONT_ENDS[name].title}, which takes recordings: {corpus.name} is spectra alone")
    return config


def run(
    corpus: str | os.PathLike[str],
    protocol_name: str,
    system: str,
    seed: int = 0,
    fold: int = 0,
    runs: str | Path | None = None,
    data_root: str | None = None,
    overrides: dict | None = None,
    device: str = "auto",
    report: Callable[[dict[str, float], Config], None] | None = None,
) -> Path:
    """Train and test one system on one fold, and return the folder of its record.

    `corpus` is a name (`sercore.corpora.names`) or a path of your own, `protocol_name` "speaker", "paper" or "leaky",
    `system` a slug (`sercore.lab.systems`). `overrides` are settings of `sercore.Config`, `device` is "auto", "cpu" or "cuda".
    After each epoch `report` is called with its values (`epoch`, `train_loss`, `chooser_loss`, `chooser_wa`, `chooser_ua`)
    and the configuration. `sercore.lab.records` says what the folder holds, and reads it.

    A finished run is not run again; an unfinished one goes on from its last epoch. A finished run of the same name with
    other settings or other data raises `SercoreError`. Several processes may call it for the same run: one works, the
    others wait.
    """
    return run_together(corpus, [protocol_name], system, seed, fold, runs, data_root, overrides, device, report)[0]


def run_together(
    corpus: str | os.PathLike[str],
    protocol_names: Sequence[str],
    system: str,
    seed: int = 0,
    fold: int = 0,
    runs: str | Path | None = None,
    data_root: str | None = None,
    overrides: dict | None = None,
    device: str = "auto",
    report: Callable[[dict[str, float], Config], None] | None = None,
) -> list[Path]:
    """`run` under several protocols that split alike (`paper` and `leaky`), whose runs share one training.

    They differ in the part that chooses the epoch alone, and each record is the one that its run leaves by itself: what
    `leaky` sees of the test part, no other run reads.
    """
    if not (isinstance(seed, (int, np.integer)) and isinstance(fold, (int, np.integer))) or seed < 0:
        raise SercoreError(f"seed {seed!r}, fold {fold!r}: folds are whole numbers, and seeds are numbers from 0")
    if len({protocol.split_of(protocol_name) for protocol_name in protocol_names}) != 1:
        raise SercoreError(f"protocols {', '.join(protocol_names)} do not split alike: run each by itself")
    corpus = os.fspath(corpus)
    prepared = prepare(corpus, data_root)
    names = [RunName(corpora.get(corpus, data_root).name, protocol_name, system, seed, fold) for protocol_name in protocol_names]
    return run_prepared(prepared, names, overrides, places.runs_folder(runs), device, report)


def run_prepared(
    prepared: Prepared,
    names: Sequence[RunName],
    overrides: dict | None,
    folder: Path,
    device: str = "auto",
    report: Callable[[dict[str, float], Config], None] | None = None,
) -> list[Path]:
    """`run_together` on a corpus that is ready: the runs `names` differ in their protocol alone."""
    config = configure(prepared, names[0].system, overrides)
    folder.mkdir(parents=True, exist_ok=True)
    locks = [folder / f"{name}.lock" for name in names]
    with contextlib.ExitStack() as stack:
        for lock in sorted(locks):
            stack.enter_context(FileLock(lock))
        try:
            records.refuse_half_copied(folder, names)
            missing = []
            for name in names:
                if records.finished(folder, name):
                    check_same(folder / str(name), config, prepared)
                else:
                    missing.append(name)
            if missing:
                _train(prepared, config, missing, folder, machine.choose_device(device), report)
            return [folder / str(name) for name in names]
        finally:
            for lock in locks:
                with contextlib.suppress(PermissionError):  # Windows keeps what is open
                    lock.unlink(missing_ok=True)


def _train(
    prepared: Prepared,
    config: Config,
    names: Sequence[RunName],
    folder: Path,
    device: torch.device,
    report: Callable[[dict[str, float], Config], None] | None,
) -> None:
    machine.keep_pages()
    started, name = time.perf_counter(), names[0]
    split = protocol.splits(prepared.utterances, name.protocol)
    parts = protocol.parts(split, name.fold)
    if name.protocol == "speaker":
        protocol.assert_disjoint(split, prepared.utterances)
    rows = {part: prepared.rows(ids) for part, ids in parts.items()}
    classes = corpus_labels(prepared.corpus, prepared.utterances)
    if lacking := [label for code, label in enumerate(classes) if code not in prepared.data.labels[rows["train"]]]:
        raise SercoreError(_unlearnt(lacking, f"fold {name.fold}", name.protocol))
    code = own_code(config)
    made_of = [config.to_dict(), prepared.data.inputs.digest, protocol.checksum(split), str(name), *([code] if code else [])]
    identity = json.dumps(made_of, sort_keys=True)
    data = prepared.heard_by(config)
    model = build(config, len(classes), seed=weights_seed(name)).to(device)
    choosers = [protocol.chooser(each.protocol) for each in names]
    kept = training.fit(
        model,
        data,
        rows["train"],
        {part: training.Chooser(rows[part], config.batch_norm, config.weights) for part in choosers},
        seed=name.seed,
        checkpoint=records.partial_folder(folder, name) / "checkpoint.pt",
        identity=hashlib.sha256(identity.encode()).hexdigest(),
        report=report,
    )
    labels = prepared.data.labels[rows["test"]]
    table = prepared.utterances.iloc[rows["test"]]
    for name in reversed(names):  # the checkpoint goes with the first, when all others are written
        chosen_by = protocol.chooser(name.protocol)
        history = kept[chosen_by].history
        model.load_state_dict(kept[chosen_by].weights)
        predicted = training.predict(model, data, rows["test"])
        choosing = training.predict(model, data, rows[chosen_by]).probabilities
        facts = {
            "run": str(name),
            "source": prepared.source,
            **dataclasses.asdict(name),
            **metrics.summary(labels, predicted.probabilities),
            "classes": list(classes),
            "utterances": {part: len(indices) for part, indices in rows.items()},
            "epochs": len(history.epochs),
            "chosen_epoch": history.chosen_epoch,
            "chosen_by": chosen_by,
            "temperature": metrics.temperature(prepared.data.labels[rows[chosen_by]], choosing),
            "parameters": model.num_parameters(),
            "seconds": sum(epoch["seconds"] for epoch in history.epochs),
            "seconds_last_start": time.perf_counter() - started,
            "precision": config.precision,
            "engine": model.engine,
            "config": config.to_dict(),
            "code": code,
            "data": prepared.data.inputs.digest,
            "front_end": data.inputs.front_end,
            "rounded_to": prepared.data.inputs.step,
            "split": protocol.checksum(split),
            "commit": machine.commit(),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            **machine.describe(device),
        }
        test = {
            "utterance": table["id"].to_numpy(dtype=str),
            "speaker": table["speaker"].to_numpy(dtype=str),
            "label": table["label"].to_numpy(dtype=str),
            "probabilities": predicted.probabilities,
            "features": predicted.features.astype(np.float16),
            "attention": predicted.attention.astype(np.float16),
        }
        records.write(folder, name, facts, history.epochs, test, model, classes)


def unlearnable(utterances: pd.DataFrame, protocols: Iterable[str]) -> list[str]:
    """Why a corpus cannot be trained on under `protocols`, one reason a protocol and label: too few speakers, or folds whose
    training part lacks a label."""
    problems = []
    for name in protocols:
        try:
            split = protocol.splits(utterances, name)
        except SercoreError as error:
            problems.append(f"protocol {name}: {error}")
            continue
        labels = utterances.set_index("id")["label"]
        heard = [set(labels[protocol.parts(split, fold)["train"]]) for fold in range(protocol.FOLDS)]
        for label in sorted(set(labels)):
            if without := [str(fold) for fold, there in enumerate(heard) if label not in there]:
                problems.append(_unlearnt([label], f"fold{'s' * (len(without) > 1)} {', '.join(without)}", name))
    return problems


def _unlearnt(labels: Sequence[str], folds: str, name: str) -> str:
    return (
        f"no {' and no '.join(labels)} in the training part of {folds}, protocol {name}: what is never heard cannot be learnt; "
        f"leave the label out{', or take the protocol paper' * (name == 'speaker')}"
    )


def check_same(folder: Path, config: Config, prepared: Prepared) -> None:
    """Raise `SercoreError` where the finished run in `folder` had other settings or other data; arithmetic may differ."""
    if differing := different(folder, config, prepared):
        raise SercoreError(f"{folder} was made otherwise ({'; '.join(differing)}): remove it, or choose another folder of runs")


def different(folder: Path, config: Config, prepared: Prepared) -> list[str]:
    """What of the finished run in `folder` was otherwise, in words."""
    facts = records.read_facts(folder)
    before = Config.from_dict(facts["config"]).to_dict() | {"precision": config.precision, "engine": config.engine}
    differing = [f"{key}: {before[key]!r} then, {value!r} now" for key, value in config.to_dict().items() if before[key] != value]
    if facts["data"] != prepared.data.inputs.digest:
        other = f"from {facts['source']} then, from {prepared.source} of the same name now"
        same = facts["source"] == prepared.source
        differing.append("the corpus's audio, labels or features have changed" if same else other)
    elif facts["split"] != _checksum(prepared, protocol.split_of(facts["protocol"])):
        differing.append("the corpus's sessions or genders have changed, and its folds with them")
    now = own_code(config)
    then = facts.get("code", now)
    return differing + [
        f"the code of its {name} has changed" for name in sorted({*then, *now}) if then.get(name) != now.get(name)
    ]


@functools.lru_cache(maxsize=8)
def _checksum(prepared: Prepared, protocol_name: str) -> str:
    return protocol.checksum(protocol.splits(prepared.utterances, protocol_name))


def weights_seed(name: RunName) -> int:
    """One draw for all systems of a seed and fold: those with as large a feature start from the same weights. Combined
    pooling, whose logits layer takes more of the drawn numbers, starts from others."""
    return int(np.random.SeedSequence([name.seed, name.fold]).generate_state(1)[0])

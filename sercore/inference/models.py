"""Trained models and their names: those that come with the package, those that were trained here, folders and files.

A folder of a model is what Hugging Face's tools know: `config.json`, `model.safetensors`, and a card, `README.md`. It holds one
network, or several that were trained alike on other folds of a corpus, whose probabilities are averaged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .. import bounds, extensions, machine, places
from ..config import Config
from ..errors import SercoreError, nearest
from ..lab import metrics, records
from ..network.base import Network
from ..network.model import Block, SERModel
from ..network.networks import own_code

SHIPPED = Path(__file__).parent / "pretrained"
DEFAULT = "emodb"
FORMAT = 1
FILES = ("config.json", "model.safetensors")
CARD = "README.md"

ABOUT = {
    **dict.fromkeys(("name", "trained_as", "licence", "sercore_version"), bounds.text()),
    "classes": bounds.CLASSES,
    "trim": bounds.Kind(lambda value: isinstance(value, bool), "true or false"),
    "members": bounds.Kind(
        lambda value: isinstance(value, list) and 0 < len(value) <= MOST_NETWORKS, "a list of what is known of each network"
    ),
}
"""What a folder's config.json may say; its members say what a run's record does, as far as they do."""

ESTIMATE = {
    **dict.fromkeys(("protocol",), bounds.text()),
    **dict.fromkeys(("folds", "speakers", "utterances"), bounds.COUNT),
    **dict.fromkeys(("ua", "wa", "ece", "ece_calibrated"), bounds.SHARE),
    "ua_of_folds": bounds.several(bounds.SHARE),
}
MOST_NETWORKS = 1000


@dataclass(frozen=True)
class Trained:
    """What labels: one network or several, each with the temperature of its probabilities, and what they say of themselves."""

    networks: tuple[Network, ...]
    temperatures: tuple[float, ...]
    classes: tuple[str, ...]
    about: dict[str, Any]  # "name", "members" (`records.ORIGIN` of each), and what a folder's config.json tells besides

    @property
    def config(self) -> Config:
        return self.networks[0].config

    @property
    def calibrated(self) -> bool:
        """Whether its runs fitted a temperature, as those before version 0.2 did not."""
        return all("temperature" in member for member in self.about["members"])

    def first(self, count: int) -> Trained:
        """The same of its first `count` networks alone: less sure, and that much faster. Raises `SercoreError` where there are
        fewer."""
        if not isinstance(count, int) or not 1 <= count <= len(self.networks):
            raise SercoreError(f"{self.about['name']} has {len(self.networks)} networks: of these {count} cannot be taken")
        about = self.about | {"members": self.about["members"][:count]}
        return Trained(self.networks[:count], self.temperatures[:count], self.classes, about)


def load(model: str | os.PathLike[str] | None = None, folded: bool = True, runs: str | os.PathLike[str] | None = None) -> Trained:
    """A model by its name (`known`; one trained here is of the folder `runs`), of a folder (a model's, or a run's), or of a
    `model.pt`; None is the package's own.

    It computes in float32, whatever it was trained in: the same answer on every machine; batch norm is `folded` into the
    convolutions, for labelling alone, in less time. Raises `SercoreError` for what is no model.
    """
    extensions.load()  # what fails in it is no fault of the model's
    path, about = find(model, runs), dict[str, Any]()
    if isinstance(path, list):
        loaded = [records.load_model(_weights(each)) for each in path]
        about = {"name": str(model), "members": [origin for _, _, origin in loaded]}
        networks, classes = [network for network, _, _ in loaded], loaded[0][1]
        if any(other != classes for _, other, _ in loaded):
            raise SercoreError(f"{model}: its runs know other classes: {'; '.join(', '.join(c) for _, c, _ in loaded)}")
    elif path.is_dir() and not (path / "model.pt").exists():
        networks, classes, about = _of_folder(path)
    else:
        network, classes, origin = records.load_model(_weights(path))
        networks, about = [network], {"name": origin.get("run", path.name), "members": [origin]}
    _check_code(DEFAULT if model is None else str(model), networks, about["members"])
    for network in networks:
        network.config = network.config.replace(precision="float32")
        if folded:
            fold_batch_norm(network)
    temperatures = tuple(float(member.get("temperature", 1.0)) for member in about["members"])
    return Trained(tuple(networks), temperatures, tuple(classes), about)


def _check_code(name: str, networks: Iterable[Network], members: Iterable[dict[str, Any]]) -> None:
    """Refuse a model whose own loss, pooling or network has been edited since it was trained: it would label by other code."""
    changed = set[str]()
    for network, member in zip(networks, members, strict=True):
        now = own_code(network.config)
        then = member.get("code", now)
        changed |= {part for part in {*now, *then} if now.get(part) != then.get(part)}
    if changed:
        raise SercoreError(
            f"{name}: the code of its {' and '.join(sorted(changed))} has changed since it was trained; by other code it would "
            "give other labels. Bring the file back as it was (SERCORE_EXTENSIONS names it), or train again"
        )


def find(model: str | os.PathLike[str] | None, runs: str | os.PathLike[str] | None = None) -> Path | list[Path]:
    """Where a model lies: its file or folder, or the folders of the runs that it is made of.

    A folder that holds no model, such as a corpus's, does not stand in the way of a model of its name.
    """
    if model is not None and not isinstance(model, (str, os.PathLike)):
        raise SercoreError(f"a model is a name, a folder or a file, not {type(model).__name__}")
    if model == "":
        raise SercoreError("an empty name is no model: a variable that is not set, perhaps? Without one it is the package's own")
    path, name = Path(model or DEFAULT), os.fspath(model or DEFAULT)
    there = model is not None and os.path.exists(path)  # which has no opinion on a name of any length
    if there and (path.is_file() or any((path / file).exists() for file in (*FILES, "model.pt", "run.json"))):
        return path
    if os.path.exists(SHIPPED / name / FILES[0]):
        return SHIPPED / name
    trained = trained_here(runs)
    if name in trained:
        return [Path(facts["folder"]) for facts in trained[name]]
    if there:
        return path
    names = [*shipped(), *trained]
    those = f"there are {', '.join(names)}" if names else "none comes with this installation, and none was trained here"
    raise SercoreError(f"{name}: no such model, file or folder; {nearest(name, names)}{those} (`sercore models`)")


def shipped() -> list[str]:
    """The models that come with the package."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILES[0]}"))


def trained_here(runs: str | os.PathLike[str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Name -> the runs that it is made of: `emodb/combined` is all folds of that system's first seed there, under the protocol
    `speaker`, or under another where there is none of that."""
    found: dict[str, list[dict[str, Any]]] = {}
    order = {"speaker": 0, "paper": 1, "leaky": 2}
    folder = places.runs_folder(runs)
    facts = (
        [fact for fact in records.all_facts(folder) if (Path(fact["folder"]) / "model.pt").exists()] if folder.exists() else []
    )
    for fact in sorted(facts, key=lambda fact: (order.get(fact["protocol"], 3), fact["seed"], fact["fold"])):
        own = found.setdefault(f"{fact['corpus']}/{fact['system']}", [])
        if not own or (fact["protocol"], fact["seed"]) == (own[0]["protocol"], own[0]["seed"]):
            own.append(fact)
    return dict(sorted(found.items()))


def known(runs: str | Path | None = None, published: str | Path | None = None) -> list[dict[str, Any]]:
    """Every model by its name, as rows: where it is from, its corpus, networks, and the UA on speakers that it had not heard.

    What is published in the folder `published` without having been trained here comes last: its records are there, its weights
    are not.
    """
    rows = []
    for name in shipped():
        about = json.loads((SHIPPED / name / FILES[0]).read_text(encoding="utf-8"))
        rows.append({"name": name, "from": "comes along", **_row(about, about["members"][0]["corpus"])})
    for name, facts in trained_here(runs).items():
        about = {"members": facts, "classes": facts[0]["classes"], "estimate": estimate(facts)}
        rows.append({"name": name, "from": "trained here", **_row(about, facts[0]["corpus"])})
    if published is None:
        return rows
    from ..evidence import results  # it loads pandas, as labelling a file does not

    table = results.runs(published)
    for (corpus, system), own in table[table["protocol"] == "speaker"].groupby(["corpus", "system"], sort=True):
        if (name := f"{corpus}/{system}") not in {row["name"] for row in rows}:
            classes = ", ".join(json.loads(own["classes"].iloc[0])) if "classes" in own else ""
            known = {"corpus": corpus, "protocol": "speaker", "classes": classes, "networks": own["fold"].nunique()}
            rows.append({"name": name, "from": "published", **known, "UA %": round(100 * own["ua"].mean(), 1)})
    return rows


def _row(about: dict[str, Any], corpus: str) -> dict[str, Any]:
    found = about["estimate"]
    return {
        "corpus": corpus,
        "protocol": found["protocol"] if found else None,
        "classes": ", ".join(about["classes"]),
        "networks": len(about["members"]),
        "UA %": round(100 * found["ua"], 1) if found and found["protocol"] == "speaker" else None,
    }


def estimate(facts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What to expect on others, from runs: each network on its own test part, of which it heard nothing.

    UA and WA are means over the folds, the calibration error (15 bins) is of all test parts together, before and after the
    temperature.
    """
    facts = list(facts)
    tests = [records.read_test(Path(fact["folder"])) for fact in facts]
    codes = {label: code for code, label in enumerate(facts[0]["classes"])}
    labels = np.concatenate([np.array([codes[label] for label in test["label"]]) for test in tests])
    raw = [test["probabilities"].astype(np.float64) for test in tests]
    warm = [metrics.cooled(shares, fact.get("temperature", 1.0)) for shares, fact in zip(raw, facts, strict=True)]
    recalls = np.ma.masked_invalid([fact["recall"] for fact in facts]).mean(0)
    return {
        "protocol": facts[0]["protocol"],
        "folds": len(facts),
        "speakers": len({str(speaker) for test in tests for speaker in test["speaker"]}),
        "utterances": len(labels),
        "ua": float(np.mean([fact["ua"] for fact in facts])),
        "ua_of_folds": [float(fact["ua"]) for fact in facts],
        "wa": float(np.mean([fact["wa"] for fact in facts])),
        "recall": dict(zip(codes, recalls.filled(np.nan).round(4).tolist(), strict=True)),
        "ece": metrics.ece(np.concatenate(raw), labels),
        "ece_calibrated": metrics.ece(np.concatenate(warm), labels),
    }


def fold_batch_norm(network: Network) -> None:
    """Put batch norm's statistics into the convolutions before it, for labelling alone: the same answers in less time. (The
    paper's network; an earlier system stays as it is.)"""
    if not isinstance(network, SERModel):
        return
    for block in cast("Iterable[Block]", network.blocks):
        block.conv = fuse_conv_bn_eval(block.conv, block.norm)
        block.norm = _Normalised()  # type: ignore[assignment]
    network.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _Normalised(nn.Identity):
    """What stands for a batch norm that is in the convolution already."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x


def pack(
    model: str | os.PathLike[str] | None,
    folder: str | os.PathLike[str],
    licence: str = "",
    half: bool = False,
    text: str = "",
    runs: str | os.PathLike[str] | None = None,
    over: bool = False,
) -> Path:
    """Write a model (as `load` takes it) as a folder that stands for itself; the folder.

    With `half` its weight matrices are kept in half precision, in half the space. `text` goes into its card, whose numbers come
    from the records of its runs. A model that is such a folder already is copied as it is. `SercoreError` refuses `licence`,
    `half` or `text` for that one, and a folder that holds something, unless it is to be written `over`.
    """
    source, target = find(model, runs), Path(folder)
    if target.exists() and not over and any(target.iterdir()):
        raise SercoreError(f"{target} is there already: remove it, or name another folder")
    packed = isinstance(source, Path) and (source / FILES[0]).exists()
    if packed and (licence or half or text):
        raise SercoreError(f"{source} is packed already, and copied as it is: its licence, card and precision are what they are")
    target.mkdir(parents=True, exist_ok=True)
    if isinstance(source, Path) and packed:
        for name in (*FILES, CARD):
            if (source / name).exists():
                _write(target / name, (source / name).read_bytes())
        return target
    files = [_weights(path) for path in (source if isinstance(source, list) else [source])]
    loaded = [records.load_model(path) for path in files]
    facts = [
        records.read_facts(path.parent) | {"folder": str(path.parent)} for path in files if (path.parent / "run.json").exists()
    ]
    classes = loaded[0][1]
    told = (
        *(*records.ORIGIN, "protocol", "seed", "fold", "data", "split", "utterances", "epochs", "chosen_epoch", "ua", "wa"),
        *("finished", "processor", "device", "versions"),
    )
    about = {
        "trained_as": f"{facts[0]['corpus']}/{facts[0]['system']}" if facts else "",
        "licence": licence,
        "classes": list(classes),
        "members": [{key: fact[key] for key in told if key in fact} for fact in facts] or [origin for _, _, origin in loaded],
        "estimate": estimate(facts) if facts else None,
    }
    return write([network for network, _, _ in loaded], about, target, half, text)


def write(
    networks: Sequence[Network], about: dict[str, Any], folder: str | os.PathLike[str], half: bool = False, text: str = ""
) -> Path:
    """Write networks of one configuration, in evaluation mode, as a model's folder, and return it.

    `about` has "classes" and "members", one of `records.ORIGIN` a network; "trained_as", "licence" and "estimate" where known.
    """
    from safetensors.torch import save

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    about = {
        "library_name": "sercore",
        "sercore_version": metadata.version("sercore"),
        "format": FORMAT,
        "name": target.name,
        "front_end": networks[0].front_end,
        "config": networks[0].config.to_dict(),
        **{"trained_as": "", "licence": "", "estimate": None, **about},
    }
    state = {
        f"{number}.{name}": (value.half() if half and value.ndim > 1 else value).contiguous()
        for number, network in enumerate(networks)
        for name, value in network.state_dict().items()
    }
    _write(target / FILES[1], save(state, metadata={"format": "pt"}))
    _write(target / CARD, card(about, text).encode())
    _write(target / FILES[0], (machine.json_text(about, indent=1, ensure_ascii=False) + "\n").encode())
    return target


def _weights(path: Path) -> Path:
    return path / "model.pt" if path.is_dir() else path


def _write(path: Path, data: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data)
    os.replace(partial, path)


def _of_folder(path: Path) -> tuple[list[Network], tuple[str, ...], dict[str, Any]]:
    from safetensors.torch import load_file

    from ..network.networks import of_state

    try:
        if lacking := [name for name in FILES if not (path / name).exists()]:
            raise SercoreError(f"no {' and no '.join(lacking)} in it")
        about = bounds.parsed(path / FILES[0])
        if isinstance(about, dict) and about.get("format") != FORMAT:
            raise SercoreError(f"config.json has format {bounds.shown(about.get('format'))}, this version reads {FORMAT}")
        if problems := _wrong(about):
            raise SercoreError(f"config.json: {'; '.join(problems)}", problems)
        config, classes = Config.from_dict(about["config"]), tuple(about["classes"])
        states: list[dict[str, Tensor]] = [{} for _ in about["members"]]
        for key, value in load_file(path / FILES[1]).items():
            number, _, name = key.partition(".")
            if number.isdecimal() and int(number) < len(states):
                states[int(number)][name] = value.float()
        return [of_state(config, len(classes), state) for state in states], classes, about
    except SercoreError as error:
        raise SercoreError(f"{path}: {error}", error.offenders) from None
    except Exception as error:
        raise SercoreError(f"{path} is not a model's folder of sercore ({type(error).__name__}: {error})") from error


def _wrong(about: Any) -> list[str]:
    """What a folder's config.json says that none of sercore's does."""
    problems = bounds.wrong(about, ABOUT, ("name", "classes", "members", "config"))
    if problems:
        return problems
    for number, member in enumerate(about["members"]):
        problems += [f"member {number}: {problem}" for problem in bounds.wrong(member, records.FACTS)]
    if (found := about.get("estimate")) is not None:
        problems += [f"estimate: {problem}" for problem in bounds.wrong(found, ESTIMATE, ESTIMATE)]
    return problems[:20]


def card(about: dict[str, Any], text: str = "") -> str:
    """The model card of a folder, in Hugging Face's form, from what its `config.json` says."""
    members, corpora = about["members"], sorted({str(member.get("corpus", "")) for member in about["members"]} - {""})
    head = {
        "library_name": "sercore",
        "pipeline_tag": "audio-classification",
        "tags": ["speech-emotion-recognition", *corpora],
        **({"license": about["licence"]} if about["licence"] else {}),
    }
    several = len(members) > 1
    trained = f"{len(members)} networks" if several else "One network"
    what = about["trained_as"].partition("/")[2] or about["config"]["network"]
    averaged = ", each on other speakers of it; their probabilities are averaged" if several else ""
    parts = [
        "---\n" + "\n".join(f"{key}: {json.dumps(value)}" for key, value in head.items()) + "\n---",
        f"# {about['name']}",
        *([text] if text else []),
        f"{trained} of the system `{what}` (after Zhou and Liu, Interspeech 2020), trained on {', '.join(corpora) or 'no corpus'}"
        f"{averaged}. It knows: {', '.join(about['classes'])}.",
        f'```python\nimport sercore\n\nmodel = sercore.load_model("{about["name"]}")  # a name, or the path of this folder\n'
        "model.predict(samples, rate).label\n```",
        *_needs(members),
        "## What to expect",
        *_expected(about),
        "It knows how the recordings sound that it was trained on: of other speakers, rooms and languages it knows less, and it "
        "can be as sure of noise as of speech. Nobody should be judged by it.",
        "## Where it comes from",
        "\n".join(
            f"- `{member.get('run', '?')}`: commit `{member.get('commit', '?')}`, data `{member.get('data', '?')[:12]}`, "
            f"temperature {member.get('temperature', 1.0):.2f}"
            for member in members
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _needs(members: Iterable[dict[str, Any]]) -> list[str]:
    """That it takes code which does not come with sercore."""
    parts = sorted({part for member in members for part in member.get("code", {})})
    if not parts:
        return []
    return [
        f"Its {' and its '.join(parts)} {'is' if len(parts) == 1 else 'are'} not part of sercore: it loads only where "
        "`SERCORE_EXTENSIONS` names the file that defines this, as it was when the network was trained."
    ]


def _expected(about: dict[str, Any]) -> list[str]:
    found = about["estimate"]
    if found is None:
        return ["Nothing is known of how well it does: no record of its training came with it."]
    calibrated = all("temperature" in member for member in about["members"])
    low, high = (100 * bound(found["ua_of_folds"]) for bound in (min, max))
    whom = "speakers" if found["protocol"] == "speaker" else "recordings (of speakers that it had heard)"
    flattered = " These recordings also chose its epoch and its temperature, which flatters all of this."
    folds = f"{low:.0f} to {high:.0f} over {found['folds']} folds, " if found["folds"] > 1 else ""
    average = " Their average cannot be measured there, since most of them heard every recording." if found["folds"] > 1 else ""
    ua, before, after = (100 * found[key] for key in ("ua", "ece", "ece_calibrated"))
    speakers = f"{found['speakers']} speaker{'s' * (found['speakers'] != 1)}"
    return [
        f"On {whom} of the same corpus that a network had not heard: UA **{ua:.1f} %** ({folds}{speakers}, {found['utterances']} "
        f"recordings); chance is {100 / len(about['classes']):.0f} %.{average} The calibration error is "
        + (f"{before:.1f} % without the temperature and {after:.1f} % with it." if calibrated else f"{before:.1f} %.")
        + flattered * (found["protocol"] == "leaky"),
        "| class | recall % |\n| --- | ---: |\n"
        + "\n".join(
            f"| {label} | {'–' if share is None or np.isnan(share) else f'{100 * share:.1f}'} |"
            for label, share in found["recall"].items()
        ),
    ]

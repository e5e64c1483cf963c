"""Data for the explorer, the page on which a reader walks through the test utterances of every system.

`write` puts them beside the page as scripts, which a browser reads from a disk too: one a corpus and protocol (its
utterances), one a system (its map, probabilities and attention), each fetched when it is looked at. `inline` is the same
for one run as text within a page, with its sound. Numbers travel as bytes: places in 65535ths, shares in 255ths.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import corpora
from ..config import STEP_SECONDS
from ..errors import SercoreError
from ..evidence import results
from ..frontend import audio
from ..report import display
from ..report.tables import label_order, measured_earlier, measured_systems, place_title, title

FOLDER = "explorer"
"""Beside the pages: the component (book/explorer) and its data."""

MADE = "made.json"
"""What was written from which records."""

SOUND = "SERCORE_EXPLORER_SOUND"
"""Names of corpora, with commas, whose audio goes into a site that is built here, though they may not be published."""


def write(folder: Path, published: str | Path | None = None) -> list[Path]:
    """Write the data of every published corpus and protocol that has maps into `folder`; the files, those too that were there.

    What was written from the same records stays (`MADE`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells, files = [], []
    before, made = _made(folder), {}
    for corpus, protocol in sorted(results.published(published), key=lambda pair: (pair[0], pair[1] != "speaker")):
        key, place = _key(corpus, protocol, published), f"{corpus}-{protocol}"
        if key == before.get(place, {}).get("key") and all((folder / path).exists() for path in before[place]["files"]):
            made[place] = before[place]
            files += [folder / path for path in before[place]["files"]]
            cells += [{"name": place, "title": place_title(corpus, protocol)}] * bool(before[place]["files"])
            continue
        first = len(files)
        maps = results.maps(corpus, protocol, published)
        there = [*measured_systems(corpus, protocol, published), *measured_earlier(corpus, protocol, published)]
        slugs = [slug for slug in there if slug in set(maps["system"])]
        if not slugs:
            made[place] = {"key": key, "files": []}
            continue
        name = place
        deep, predictions = (read(corpus, protocol, published) for read in (results.features, results.predictions))
        mapped = set(maps["run"])
        deep, predictions, runs = (frame[frame["run"].isin(mapped)] for frame in (deep, predictions, results.runs(published)))
        utterances = results.utterances(corpus, published)
        utterances = utterances[utterances["id"].isin(maps["utterance"])].reset_index(drop=True)
        tested = maps[maps["system"] == slugs[0]].set_index("utterance")["fold"]
        cell = _cell(utterances, tested.loc[utterances["id"]].tolist(), corpus, protocol)
        of_data = f"{corpus}-{runs['data'].iat[0][:8]}"  # sound of other recordings never stands for these
        cell["sound"] = _bring_sound(folder / of_data, corpus, cell["ids"])
        files += [folder.parent / path for of_one in cell["sound"].values() for path in of_one.values()]
        cell["systems"] = [{"slug": slug, "title": title(slug), "file": f"{name}-{slug}.js"} for slug in slugs]
        files.append(_script(folder / f"{name}.js", name, cell))
        for slug in slugs:
            own = runs[runs["system"] == slug]
            places, chances, attention = (frame[frame["system"] == slug] for frame in (maps, predictions, deep))
            system = _system(cell, places, chances, attention, own.set_index("fold")["ua"])
            files.append(_script(folder / f"{name}-{slug}.js", f"{name}-{slug}", system))
        cells.append({"name": name, "title": place_title(corpus, protocol)})
        made[place] = {"key": key, "files": [path.relative_to(folder).as_posix() for path in files[first:]]}
    files.append(_script(folder / "index.js", "index", cells))
    (folder / MADE).write_text(json.dumps(made))
    return [*files, folder / MADE]


def _made(folder: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads((folder / MADE).read_text()))
    except (OSError, ValueError):  # not there, or not whole: all is written again
        return {}


def _key(corpus: str, protocol: str, published: str | Path | None) -> str:
    """What tells the data of a place from others in its stead: its records, whose sound is at hand, and this code."""
    runs = results.runs(published).query("corpus == @corpus and protocol == @protocol")
    facts = [runs[["run", "fold", "ua", "data"]].to_json(), [title(slug) for slug in runs["system"].unique()]]
    where = None
    if _may_be_heard(corpus):
        with contextlib.suppress(SercoreError):
            where = str(corpora.find_root(corpora.get(corpus)))
    state = [facts, results.files_now(corpus, protocol, published), where, Path(__file__).read_text()]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def html(data: dict[str, Any] | None = None) -> str:
    """The component: over the published data, or over the `inline` data of one run."""
    return (
        f'<link rel="stylesheet" href="{FOLDER}/explorer.css">'
        f'<div class="sercore-explorer">{display.json_script(data)}<noscript>The explorer needs JavaScript.</noscript></div>'
        f'<script src="{FOLDER}/explorer.js" defer></script>'
    )


def inline(
    test: dict[str, np.ndarray], facts: dict[str, Any], utterances: pd.DataFrame, coordinates: np.ndarray
) -> dict[str, Any]:
    """One run's test utterances with sound and log-Mel pictures in the text itself: what `html` takes.

    `test` and `facts` are those of its record, `utterances` the corpus's table with paths, `coordinates` (utterances, 2).
    """
    order = pd.Index(test["utterance"])
    own = utterances.set_index("id").loc[order].reset_index()
    cell = _cell(own, [facts["fold"]] * len(own), facts["corpus"], facts["protocol"])
    sounds = [_sound(path, within=True) for path in own["path"]]
    cell["sound"] = {
        name: {"audio": _uri("audio/mpeg", a), "image": _uri("image/png", i)}
        for name, (a, i) in zip(cell["ids"], sounds, strict=True)
    }
    cell["systems"] = [{"slug": facts["system"], "title": title(facts["system"]), "file": "system"}]
    names = {"utterance": order, "fold": facts["fold"]}
    maps = pd.DataFrame({**names, "x": coordinates[:, 0], "y": coordinates[:, 1], "trustworthiness": np.nan})
    chances = pd.DataFrame({**names, **{f"p_{label}": test["probabilities"][:, i] for i, label in enumerate(facts["classes"])}})
    deep = pd.DataFrame({**names, "attention": list(test["attention"].astype(np.float32))})
    system = _system(cell, maps, chances, deep, pd.Series({facts["fold"]: facts["ua"]}))
    heading = {"name": "cell", "title": place_title(facts["corpus"], facts["protocol"])}
    return {"index": [heading], "cell": cell, "system": system}


def _cell(utterances: pd.DataFrame, folds: list[int], corpus: str, protocol: str) -> dict[str, Any]:
    """What all systems share: the utterances, each fact a column."""
    columns = {name: _coded(utterances[name].astype(str)) for name in ("speaker", "gender", "sentence")}
    labels = label_order(utterances["label"].unique())
    return {
        "corpus": corpus,
        "protocol": protocol,
        "ids": utterances["id"].astype(str).tolist(),
        "labels": labels,
        "label": [labels.index(label) for label in utterances["label"]],
        "fold": [int(fold) for fold in folds],
        "seconds": [round(float(seconds), 2) for seconds in utterances["duration"]],
        **columns,
    }


def _coded(values: pd.Series) -> dict[str, list]:
    codes, names = pd.factorize(values, sort=True)
    return {"names": names.tolist(), "codes": codes.tolist()}


def _system(
    cell: dict[str, Any], maps: pd.DataFrame, predictions: pd.DataFrame, deep: pd.DataFrame, ua: pd.Series
) -> dict[str, Any]:
    """What one system says, in the order of the cell's utterances."""
    order = cell["ids"]
    maps, predictions, deep = (frame.set_index("utterance").loc[order] for frame in (maps, predictions, deep))
    points = maps[["x", "y"]].to_numpy(dtype=float)
    places = np.zeros_like(points)
    for fold in maps["fold"].unique():  # each fold fills its square: distances mean little anyway
        rows = (maps["fold"] == fold).to_numpy()
        low, high = points[rows].min(0), points[rows].max(0)
        places[rows] = (points[rows] - low) / np.maximum(high - low, 1e-9)
    chances = predictions[[f"p_{label}" for label in cell["labels"]]].to_numpy()
    attention = np.stack(deep["attention"].tolist())
    trust = maps.groupby("fold")["trustworthiness"].first()
    return {
        "places": _bytes((places * 65535).round().astype("<u2")),
        "chances": _bytes((chances * 255).round().astype(np.uint8)),
        "attention": _bytes((attention * 255).round().astype(np.uint8)),
        "steps": attention.shape[1],
        "stepSeconds": STEP_SECONDS,
        "ua": {str(fold): round(100 * float(value), 1) for fold, value in ua.items()},
        "trust": {str(fold): round(float(value), 3) for fold, value in trust.dropna().items()},
    }


def _bring_sound(folder: Path, corpus: str, ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Sound and log-Mel picture of each utterance as files, where the audio is at hand and may be handed on; of spectra alone
    the picture."""
    if not _may_be_heard(corpus):
        return {}
    try:
        if corpora.get(corpus).spectra:
            return _bring_pictures(folder, corpus, ids)
        paths = corpora.paths(corpus)
    except SercoreError:
        return {}
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in ids:
        mp3, png = (folder / f"{_file_name(name)}.{kind}" for kind in ("mp3", "png"))
        if not (mp3.exists() and png.exists()):
            sound, picture = _sound(paths[name])
            mp3.write_bytes(sound)
            png.write_bytes(picture)
        found[name] = {kind: f"{FOLDER}/{folder.name}/{path.name}" for kind, path in (("audio", mp3), ("image", png))}
    return found


def _may_be_heard(corpus: str) -> bool:
    """Whether a site may have the corpus's sound, or pictures of its spectra."""
    allowed = corpus in corpora.names() and corpora.get(corpus).shareable
    return allowed or corpus in os.environ.get(SOUND, "").split(",")


def _file_name(utterance: str) -> str:
    """What its files are called in a site: its id, or where that is no name for a file everywhere, a digest of it."""
    plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", utterance)
    return utterance if plain else hashlib.sha256(utterance.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _bring_pictures(folder: Path, corpus: str, ids: Iterable[str]) -> dict[str, dict[str, str]]:
    corpora.find_root(corpora.get(corpus))  # it has to be at hand still
    pictures = {name: folder / f"{_file_name(name)}.png" for name in ids}
    if lacking := {name: png for name, png in pictures.items() if not png.exists()}:
        from ..lab import experiment

        mels = experiment.prepare(corpus).data.inputs
        row = {name: number for number, name in enumerate(mels.ids)}
        folder.mkdir(parents=True, exist_ok=True)
        for name, png in lacking.items():
            png.write_bytes(_picture(mels.arrays[row[name]]))
    return {name: {"image": f"{FOLDER}/{folder.name}/{png.name}"} for name, png in pictures.items()}


def _sound(path: str, within: bool = False) -> tuple[bytes, bytes]:
    """(MP3, PNG of the log-Mel energies) of an audio file, smaller where they lie `within` a page."""
    import soundfile

    from ..frontend.log_mel import log_mel

    waveform, sound = audio.read(path), io.BytesIO()
    mode = "CONSTANT" if within else "VARIABLE"
    soundfile.write(sound, waveform, audio.SAMPLE_RATE, format="MP3", compression_level=0.9, bitrate_mode=mode)
    return sound.getvalue(), _picture(log_mel(waveform), 32 if within else 64)


def _picture(mels: np.ndarray, colours: int = 64) -> bytes:
    """PNG of log-Mel energies (frames, mels), high bands on top."""
    import matplotlib
    from PIL import Image

    upright, picture = np.asarray(mels).T[::-1], io.BytesIO()
    low, high = np.percentile(upright, (5, 99.5))
    image = Image.fromarray((np.clip((upright - low) / max(high - low, 1e-6), 0, 1) * (colours - 1)).astype(np.uint8), "P")
    image.putpalette((matplotlib.colormaps["magma"](np.linspace(0, 1, colours))[:, :3] * 255).astype(np.uint8).tobytes())
    image.save(picture, "PNG", optimize=True)
    return picture.getvalue()


def picture(mels: np.ndarray) -> str:
    """Log-Mel energies (frames, mels) as the address of a picture that stands in the page itself."""
    return _uri("image/png", _picture(mels))


def _script(path: Path, name: str, data: Any) -> Path:
    path.write_text(f"sercoreExplorer({json.dumps(name)},{json.dumps(data, separators=(',', ':'))});\n", encoding="utf-8")
    return path


def _bytes(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()


def _uri(kind: str, data: bytes) -> str:
    return escape(f"data:{kind};base64,{base64.b64encode(data).decode()}")

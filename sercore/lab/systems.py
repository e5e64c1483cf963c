"""The systems of the paper's tables, each a few overrides over one base configuration.

A slug names a system everywhere: in records, file names, pages and on the command line. Parts joined by `+` combine
(`ams-s10-m0.4+combined`, the authors' future work), and settings after `@` change anything else
(`baseline@masked=true,batch_size=64`, for the paper's open points).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .. import extensions
from ..bounds import SLUG, shown
from ..config import Config, assignments
from ..errors import SercoreError, nearest

TABLE_2: dict[str, dict[str, Any]] = {
    "baseline": {},
    **{f"ams-s{s}-m{m}": {"loss": "ams", "scale": s, "margin": m} for s in (10, 30) for m in (0.1, 0.2, 0.4)},
    **{f"focal-g{g}-a{a}": {"loss": "focal", "gamma": g, "alpha": a} for g in (2, 5) for a in (1, 2, 4)},
    "combined": {"pooling": "combined"},
}
"""slug -> overrides, in the order of the paper's rows."""

TABLE_1: dict[str, dict[str, Any]] = {
    "lstm": {"network": "lstm", "learning_rate": 1e-3},
    "lstm-att": {"network": "lstm-att", "learning_rate": 1e-3},
    "rnn-att": {"network": "rnn-att"},
    "cnn-blstm": {"network": "cnn-blstm", "learning_rate": 1e-3},
    "tdnn-lstm": {"network": "tdnn-lstm", "learning_rate": 1e-3},
    "resnet-mha": {"network": "resnet-mha"},
    "3d-crnn": {"network": "3d-crnn", "batch_size": 40},
}
"""The earlier systems of Table 1: the network of `sercore.network.prior`, and what its authors train with that we do not."""

NEEDS_AUDIO = {"rnn-att": "descriptors", "cnn-blstm": "spectrogram", "tdnn-lstm": "fourier", "resnet-mha": "descriptors"}
"""Those of `TABLE_1` that hear something else than log-Mel energies, or what can be computed of them, and its front end."""

CLAIMS = ("baseline", "ams-s10-m0.4", "focal-g2-a2", "combined")
"""The baseline and the setting that the paper names best in each family."""

FAMILIES = {
    "baseline": "baseline",
    "ams": "AMS",
    "focal": "focal loss",
    "combined": "combined pooling",
    "combination": "combinations",
    "prior": "earlier systems",
    "own": "systems of your own",
}
"""What a family of systems is called within a sentence."""

OWN: dict[str, tuple[str, dict[str, Any]]] = extensions.extensible("system", {})
"""Systems of the user's own (`register`): slug -> its title, and its settings."""

OF_THE_PACKAGE = {
    "loss": ("softmax", "ams", "focal", "ams+focal"),
    "pooling": ("attentive", "combined"),
    "network": ("proposed", *TABLE_1),
}

GROUPS = {"table1": tuple(TABLE_1), "table2": tuple(TABLE_2), "claims": CLAIMS}
"""Names that stand for several systems, on the command line and in the chapters' parameters."""

_NUMBER = r"(\d+(?:\.\d+)?)"
_AMS = re.compile(rf"ams-s{_NUMBER}-m{_NUMBER}")
_FOCAL = re.compile(rf"focal-g{_NUMBER}-a{_NUMBER}")


def register(slug: str, title: str = "", **settings: Any) -> None:
    """Make a system of your own known by a slug (small letters, digits, hyphens), by the settings that it changes: it then
    trains, combines and stands in the tables as the paper's do. Raises `SercoreError` for a slug that is taken, or of another
    form."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", slug):
        raise SercoreError(f"a system called {slug!r}: write small letters, digits and hyphens; it names files and pages")
    if slug in TABLE_1 or slug in TABLE_2 or _AMS.fullmatch(slug) or _FOCAL.fullmatch(slug) or slug in OWN:
        raise SercoreError(f"there is a system called {slug!r} already: take a new name")
    Config().replace(**settings)
    OWN[slug] = title or slug, settings


def is_own(slug: str) -> bool:
    """Whether a system is of the user's own: registered, or with a loss, a pooling or a network that is not the package's."""
    name, _, settings = slug.partition("@")
    parts = dict(text.partition("=")[::2] for text in re.split(r",(?=\w+=)", settings) if text)
    foreign = any(parts.get(key, known[0]) not in known for key, known in OF_THE_PACKAGE.items())
    return foreign or any(_unknown(part) for part in name.split("+"))


def _unknown(part: str) -> bool:
    return part not in TABLE_1 and part not in TABLE_2 and not _AMS.fullmatch(part) and not _FOCAL.fullmatch(part)


def overrides(slug: str) -> dict[str, Any]:
    """The settings that `slug` changes in the base configuration; an unreadable slug raises `SercoreError`."""
    if not isinstance(slug, str) or not re.fullmatch(SLUG, slug):
        raise SercoreError(
            f"a system called {shown(slug)}: a name has at most 150 letters of English, digits and -+.@=,_; it names files"
        )
    name, at, settings = slug.partition("@")
    changes: dict[str, Any] = {}
    if "+" in name and (alone := [part for part in name.split("+") if part in TABLE_1]):
        raise SercoreError(f"system {slug!r}: {', '.join(alone)} is a network of its own, and combines with nothing")
    for part in name.split("+"):
        part_changes = dict(_part(part, slug))
        if "loss" in part_changes and "loss" in changes:
            part_changes["loss"] = "+".join(sorted((changes["loss"], part_changes["loss"])))
        changes |= part_changes
    try:
        return changes | assignments(re.split(r",(?=\w+=)", settings) if at else [])
    except SercoreError as error:
        raise SercoreError(f"system {slug!r}, after '@': {error}") from None


def _part(part: str, slug: str) -> dict[str, Any]:
    if part in TABLE_1 or part in TABLE_2:
        return TABLE_1.get(part) or TABLE_2[part]
    if match := _AMS.fullmatch(part):
        return {"loss": "ams", "scale": float(match[1]), "margin": float(match[2])}
    if match := _FOCAL.fullmatch(part):
        return {"loss": "focal", "gamma": float(match[1]), "alpha": float(match[2])}
    extensions.load()
    if part in OWN:
        return OWN[part][1]
    raise SercoreError(
        f"unknown system {slug!r}: {nearest(part, [*TABLE_2, *TABLE_1, *OWN])}Table 2 has: {', '.join(TABLE_2)}; "
        f"Table 1 has: {', '.join(TABLE_1)}; your own: {', '.join(OWN) or 'none, unless SERCORE_EXTENSIONS names their file'}. "
        "Others follow their form (ams-s20-m0.3, focal-g1-a1), combine with '+' and change settings after '@' "
        "(baseline@masked=true)"
    )


def config(slug: str, base: Config | None = None, changes: Mapping[str, Any] | None = None) -> Config:
    """The configuration of the system `slug` over `base` (default: the paper's baseline) with `changes`.

    Raises `SercoreError` for a change of what the slug sets itself to another value: a system is what its name says.

    >>> config("ams-s10-m0.4+combined").pooling
    'combined'
    """
    own, changed = overrides(slug), (base or Config()).replace(**(changes or {}))
    both = changed.replace(**own)
    against = [name for name in changes or {} if name in own and getattr(changed, name) != getattr(both, name)]
    if against:
        said = ", ".join(f"{name}={getattr(changed, name)!r}" for name in against)
        raise SercoreError(
            f"{said}: {slug} is the system with {', '.join(f'{name}={getattr(both, name)!r}' for name in against)}. Name another "
            "system (ams-s20-m0.3, focal-g1-a1), or change the loss of the baseline (baseline@loss=focal,alpha=1,1.5,1,0.8)"
        )
    return both


def measurable(slug: str, spectra: bool, heard: Sequence[str] = ()) -> bool:
    """Whether a system can be measured on a corpus of which the audio is there, or `spectra` alone: log-Mel energies, and what
    the front ends `heard` made."""
    needs = NEEDS_AUDIO.get(slug.partition("@")[0])
    return not spectra or needs is None or needs in heard


def family(slug: str) -> str:
    """`baseline`, `ams`, `focal`, `combined`, `combination` where several schemes meet, `prior` for Table 1's earlier
    systems, or `own`."""
    name = slug.partition("@")[0]
    if name in TABLE_1:
        return "prior"
    if is_own(slug):
        return "own"
    found = "combination" if "+" in name else name.partition("-")[0]
    return found if found in FAMILIES else "own"


def expand(names: str | Sequence[str]) -> list[str]:
    """Slugs from a comma-separated text or a list, with the group names of `GROUPS` spelt out; each checked, none twice."""
    listed = re.split(r",(?![^@,]*=|[\d.]+(?:,|$))", names) if isinstance(names, str) else list(names)
    slugs = [slug for name in listed for slug in GROUPS.get(name.strip(), (name.strip(),))]
    for slug in slugs:
        config(slug)
    return list(dict.fromkeys(slugs))

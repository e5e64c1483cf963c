"""Words inside sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..names import name as named


def inside(name: str) -> str:
    """A name as it stands inside a sentence: `combined attentive pooling`, but `AMS, s = 10`."""
    return name if name[:2].isupper() else name[0].lower() + name[1:]


def signed(value: float, digits: int = 1) -> str:
    """`+1.3`, and `−1.3` with a true minus."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def lie(count: int) -> str:
    """`none lies`, `1 lies`, `2 lie`."""
    return f"{count or 'none'} {'lies' if count < 2 else 'lie'}"


def in_words(count: float) -> str:
    """`three`, `7.5`, `12`."""
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return words[int(count)] if float(count).is_integer() and count < len(words) else f"{count:g}"


def listed(names: Sequence[str]) -> str:
    """`EmoDB, nEMO and RAVDESS`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def listed_names(names: Iterable[object]) -> str:
    """`listed`, each of them marked as a name: what corpora and systems are called may come from anywhere."""
    return listed([named(each) for each in names])

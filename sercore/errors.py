"""The one error that bad input raises, in words that a terminal can show."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

INTERRUPTED = "interrupted; what is done is kept, and the same command goes on from there"


def printable(text: str) -> str:
    """A text as a terminal or a page can show it: what would steer them (control characters but newline and tab, what turns the
    direction of writing), and what no encoding writes, as its escape: `\\x1b`."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def of_system(error: OSError) -> str:
    """What the operating system refused, and for which file: `out.csv: No space left on device`."""
    return printable(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror}")


class SercoreError(ValueError):
    """Bad input: the message names the file, column or key and what to do; `offenders` lists them all."""

    def __init__(self, message: str, offenders: Iterable[str] = ()) -> None:
        super().__init__(printable(message))
        self.offenders = tuple(offenders)


class Unreadable(SercoreError):
    """A file that cannot be used: `path`, `reason` (the same for files with the same fault) and a `detail` of its own."""

    def __init__(self, path: object, reason: str, detail: str = "") -> None:
        super().__init__(f"{path}: {reason}" + f" ({detail})" * bool(detail))
        self.path, self.reason, self.detail = str(path), reason, detail

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.reason, self.detail)  # between processes


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean X or Y? ` for a message about an unknown name; "" where none is close."""
    close = difflib.get_close_matches(name.lower(), list(known), n=3)
    return f"did you mean {' or '.join(close)}? " if close else ""

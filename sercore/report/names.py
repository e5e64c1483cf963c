"""Names that users gave (labels, speakers), inside sentences: they are no markup, whatever letters they have.

A sentence may end in Markdown or in a caption, and cannot know which. It marks such names, and whoever shows it takes the marks
off: `in_markdown` with the letters escaped that Markdown reads, `plain` as they are.
"""

from __future__ import annotations

import re

from ..machine import printable

BEGIN, END = "\x02", "\x03"  # the control characters that begin and end a text
_MARKED = re.compile(f"{BEGIN}(.*?){END}", re.DOTALL)
_PLAIN = re.compile(r"[\w .,'’=+()-]*")


def name(text: object) -> str:
    """A name for a sentence, marked where Markdown could take it for something else."""
    own = str(text)
    if _PLAIN.fullmatch(own) and "_" not in own:
        return own
    return f"{BEGIN}{printable(own.replace(BEGIN, '').replace(END, ''))}{END}"


def in_markdown(text: str) -> str:
    """The sentence as Markdown."""
    return _MARKED.sub(lambda found: re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(found[1].split())), text)


def plain(text: str) -> str:
    """The sentence as it is read."""
    return _MARKED.sub(r"\1", text)

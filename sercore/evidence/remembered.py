"""What is drawn or counted once is kept from one build of the book to the next, by all that it was made of.

`SERCORE_REMEMBERED` names the folder; without it everything is made anew. `sercore.publishing.chapters` gives it, with a name
that changes with the code, and forgets what was not asked for for long. What is kept is text: JSON and SVG.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "SERCORE_REMEMBERED"
KEPT = 4000
"""How many answers stay, those that were asked for last."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn before: `svg` or `png`, and the `width` of its place."""

    picture: dict[str, str]


def counted(function: Callable[P, R]) -> Callable[P, R]:
    """For a function whose answer, which JSON can hold, depends on its arguments alone.

    An argument whose type has a `mark`, a text, is known by that.
    """

    @functools.wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
        path = _path(function, args, kwargs)
        if path is None:
            return function(*args, **kwargs)
        if (known := _known(path)) is not None:
            return cast(R, known)
        answer = function(*args, **kwargs)
        keep(path, answer)
        return answer

    return remembered


def counted_as(kind: type[R]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """`counted` for a function whose answer is `kind`, a dataclass of numbers."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @counted
        @functools.wraps(function)
        def numbers(*args: P.args, **kwargs: P.kwargs) -> Any:
            return astuple(cast(Any, function(*args, **kwargs)))

        @functools.wraps(function)
        def remembered(*args: P.args, **kwargs: P.kwargs) -> R:
            return kind(*numbers(*args, **kwargs))

        return remembered

    return decorate


def drawn(function: Callable[P, Figure]) -> Callable[P, Figure]:
    """For a function whose figure depends on its arguments alone, and is only shown: where it was drawn before, what it returns
    is a `Drawn`, which `sercore.report.display` takes for the figure itself."""

    @functools.wraps(function)
    def remembered(*args: P.args, **kwargs: P.kwargs) -> Figure:
        path = _path(function, args, kwargs)
        if path is not None and (known := _known(path)) is not None:
            return cast("Figure", Drawn(known))
        figure = function(*args, **kwargs)
        figure.remembered_as = path  # type: ignore[attr-defined]
        return figure

    return remembered


def _path(function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Path | None:
    """Where the answer is kept; None where there is no folder, or an argument (a lambda, say) cannot be told from others."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    import joblib

    marked = [value.mark if hasattr(type(value), "mark") else value for value in args]
    try:
        key = joblib.hash((tuple(marked), named))
    except Exception:  # each kind of thing says in its own way that it cannot
        return None
    return Path(folder) / f"{function.__module__}.{function.__name__}-{key}.json"


def _known(path: Path) -> Any:
    try:
        answer = json.loads(path.read_text(encoding="utf-8"))
        os.utime(path)
    except (OSError, ValueError):
        return None
    return answer


def keep(path: Path, answer: Any) -> None:
    """Keep an answer, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(path)


def forget(folder: Path) -> None:
    """Of what other code than that of `folder` has kept beside it, all; of its own, all but the last `KEPT`."""
    import shutil

    for other in [path for path in folder.parent.glob("*") if path != folder]:
        shutil.rmtree(other, ignore_errors=True)
    for old in sorted(folder.glob("*"), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT:]:
        old.unlink(missing_ok=True)

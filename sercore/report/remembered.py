"""What is drawn or counted once is kept from one build of the book to the next, by all that it was made of.

`SERCORE_REMEMBERED` names the folder; without it everything is made anew. `sercore.publishing.chapters` gives it, with a name
that changes with the code, and forgets what was not asked for for long. What is kept is text: JSON and SVG.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
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
    """For a function whose answer, which JSON can hold, depends on its arguments alone."""

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


def _path(function: Callable[..., Any], *arguments: Any) -> Path | None:
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    import joblib

    return Path(folder) / f"{function.__module__}.{function.__name__}-{joblib.hash(arguments)}.json"


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

"""The one error that bad input raises."""

from __future__ import annotations

from collections.abc import Iterable


class SercoreError(ValueError):
    """Bad input: the message names the file, column or key and what to do; `offenders` lists them all."""

    def __init__(self, message: str, offenders: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.offenders = tuple(offenders)

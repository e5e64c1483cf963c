"""Notebooks' processes start at once here; the small book of `tests/book` starts them as a build does."""

import fresh_process
import pytest

from sercore.publishing import chapters, notebooks


@pytest.fixture(autouse=True)
def quick_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chapters, "get_context", lambda _: fresh_process.server)
    monkeypatch.setattr(notebooks, "get_context", lambda _: fresh_process.server)

"""The built site in a real browser: Debian's Chromium, driven by Playwright, from the disk and without a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

SITE = Path(__file__).parents[2] / "_build" / "html"
PAGES = sorted(path.stem for path in SITE.glob("*.html") if path.stem not in ("index", "genindex", "search", "py-modindex"))
WIDTHS = {"phone": 390, "desk": 1440}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert executable, "no Chromium on this machine: `make site-test` installs Debian's where it can"
    assert PAGES, f"no site in {SITE}: build the book first"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


class Visit:
    """One page opened in a context of its own, with what went wrong on it."""

    def __init__(self, browser: Browser, name: str, width: int, scheme: str) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, reduced_motion="reduce"
        )
        self.page: Page = self.context.new_page()
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.messages.append(said.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((SITE / f"{name}.html").as_uri())
        self.page.wait_for_load_state("load")

    def settled(self) -> Page:
        """The page once its formulas are set."""
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        return self.page


@pytest.fixture
def visit(browser: Browser) -> Iterator:
    visits: list[Visit] = []

    def open_page(name: str, width: int = WIDTHS["desk"], scheme: str = "light") -> Visit:
        visits.append(Visit(browser, name, width, scheme))
        return visits[-1]

    yield open_page
    for each in visits:
        each.context.close()

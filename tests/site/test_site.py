"""Every page, light and dark, on a phone and on a desk."""

from __future__ import annotations

import functools
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import PAGES, SITE, WIDTHS

KNOWN_EXCEPTIONS = {"label-content-name-mismatch"}
"""Of the theme's own search button."""

every_page = pytest.mark.parametrize("name", PAGES)
every_look = pytest.mark.parametrize("scheme", ["light", "dark"])
every_width = pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)


@every_page
@every_look
@every_width
def test_nothing_goes_wrong_on_opening(visit, name, width, scheme):
    opened = visit(name, width, scheme)
    page = opened.settled()
    assert not opened.messages
    away = [url for url in opened.requests if not url.startswith(("file:", "data:", "blob:"))]
    assert not away, f"requests that leave the site: {away}"
    wide = page.evaluate("() => document.scrollingElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"the page scrolls {wide} pixels sideways"


@every_page
def test_formulas_are_set(visit, name):
    page = visit(name).settled()
    assert page.locator("mjx-merror, .MathJax_Error, [data-mjx-error]").count() == 0
    raw = page.locator(".math").evaluate_all("all => all.filter(e => !e.querySelector('mjx-container')).map(e => e.textContent)")
    assert not raw, f"formulas that stayed text: {raw}"


@every_page
def test_pictures_have_words(visit, name):
    page = visit(name).settled()
    silent = page.locator("article img:not([alt]), article img[alt='']").evaluate_all(
        "all => all.map(e => e.outerHTML.slice(0, 200))"
    )
    silent += page.locator("article svg[role=img]:not(mjx-container svg)").evaluate_all(
        "all => all.filter(e => !(e.getAttribute('aria-label') || '').trim()).map(e => e.outerHTML.slice(0, 200))"
    )
    assert not silent


@every_page
@every_look
def test_it_is_accessible(visit, name, scheme):
    found = Axe().run(visit(name, scheme=scheme).settled())
    violations = {
        violation["id"]: [node["html"][:160] for node in violation["nodes"]]
        for violation in found.response["violations"]
        if violation["id"] not in KNOWN_EXCEPTIONS
    }
    assert not violations


class _Anchors(HTMLParser):
    """The ids of a page, and what it links to."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.ids.add(str(given["id"]))
        for key in ("href", "src"):
            if given.get(key):
                self.links.append(str(given[key]))


@functools.cache
def anchors(path: Path) -> _Anchors:
    parser = _Anchors()
    parser.feed(path.read_text(encoding="utf-8"))
    return parser


@every_page
def test_internal_links_are_alive(name):
    source, dead = SITE / f"{name}.html", []
    for link in anchors(source).links:
        if re.match(r"[a-z+]+:", link):
            continue
        address, fragment = urldefrag(link)
        target = source if not address else source.parent / unquote(address.partition("?")[0])
        if not target.exists() or (fragment and target.suffix == ".html" and unquote(fragment) not in anchors(target).ids):
            dead.append(link)
    assert not dead


@every_page
def test_size(name):
    assert (SITE / f"{name}.html").stat().st_size < 3_000_000


def test_a_table_sorts_by_pointer_and_by_keyboard_and_is_downloaded(visit):
    page = visit("table-2").settled()
    table = page.locator("table:has(th button)").first
    heading = table.locator("th button").nth(1)

    def values() -> list[float]:
        texts = table.locator("tbody tr td:nth-of-type(1)").all_inner_texts()
        return [float(text) for text in texts if re.match(r"^[\d.]+$", text)]

    heading.click()
    once = values()
    assert once in (sorted(once), sorted(once, reverse=True))
    heading.focus()
    page.keyboard.press("Enter")
    assert values() == once[::-1]
    with page.expect_download() as download:
        page.locator("a[download]").first.click()
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("System") and "62.3" in text


def test_the_text_is_there_within_a_second(visit):
    page = visit("intro").page
    painted = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime")
    assert painted is not None and painted < 1000

"""The whole book as one PDF: every page printed by Chromium in the order of the contents, with bookmarks.

python book/_ext/print_pdf.py [_build/html [_build/measured-again.pdf]]
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import PdfMargins, sync_playwright
from pypdf import PdfReader, PdfWriter

MARGINS: PdfMargins = {"top": "18mm", "bottom": "20mm", "left": "17mm", "right": "17mm"}
FOOT = (
    '<div style="font: 8px sans-serif; color: #575f68; width: 100%; margin: 0 17mm;'
    ' display: flex; justify-content: space-between">'
    '<span class="title"></span><span><span class="pageNumber"></span></span></div>'
)


def print_book(site: Path, target: Path) -> int:
    """Print `site` (its folder of HTML) to `target`; the number of pages of paper."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None or not (site / "intro.html").exists():
        sys.exit("no Chromium on this machine" if executable is None else f"no site in {site}: build the book first")
    writer = PdfWriter()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(color_scheme="light")
        address: str | None = (site / "intro.html").resolve().as_uri()
        while address:
            page.goto(address)
            page.evaluate("() => window.MathJax?.startup?.promise")
            page.emulate_media(media="print")
            sheets = PdfReader(
                io.BytesIO(
                    page.pdf(
                        format="A4",
                        scale=0.8,
                        margin=MARGINS,
                        display_header_footer=True,
                        header_template="<i></i>",
                        footer_template=FOOT,
                    )
                )
            )
            first = len(writer.pages)
            for sheet in sheets.pages:
                writer.add_page(sheet)
            title = page.locator("article h1").first.inner_text().removesuffix("#").strip()
            writer.add_outline_item(title=title, page_number=first)
            following = page.locator('link[rel="next"]')
            address = urljoin(address, following.get_attribute("href")) if following.count() else None
        browser.close()
    writer.compress_identical_objects()
    writer.write(target)
    return len(writer.pages)


if __name__ == "__main__":
    built = Path(sys.argv[1] if len(sys.argv) > 1 else "_build/html")
    written = Path(sys.argv[2] if len(sys.argv) > 2 else "_build/measured-again.pdf")
    print(f"{written}: {print_book(built, written)} pages")

"""The book's settings, pages, references and extension; a book of two pages is really built."""

import importlib
import importlib.util
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace

import fresh_process
import pytest
import yaml
from sphinx.errors import ExtensionError
from sphinx.pycode import ModuleAnalyzer

from sercore.errors import SercoreError
from sercore.publishing import chapters, studies
from sercore.report import names

TOP = Path(__file__).resolve().parents[2]
BOOK = TOP / "book"
PAGE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A page

{text}
"""


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sercore_book", BOOK / "_ext" / "sercore_book.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages_of(entry) -> list[str]:
    if isinstance(entry, list):
        return [page for part in entry for page in pages_of(part)]
    if not isinstance(entry, dict):
        return []
    named = [value for key, value in entry.items() if key in ("root", "file")]
    return named + [page for value in entry.values() for page in pages_of(value)]


# ---- the files of the book


def test_the_table_of_contents_is_found_from_the_book():
    assert (BOOK / "_toc.yml").read_text() == (TOP / "_toc.yml").read_text(), (
        "book/_toc.yml is no link to ../_toc.yml: this checkout has none. "
        "Run `git config core.symlinks true` and `git checkout -- book/_toc.yml`, or copy _toc.yml to book/"
    )


def test_every_notebook_has_its_place_and_every_place_its_notebook():
    listed = pages_of(yaml.safe_load((TOP / "_toc.yml").read_text()))
    patterns = re.findall(r"glob: (\S+)", (TOP / "_toc.yml").read_text())
    assert patterns == [f"{experiment}-*" for experiment in chapters.EXPERIMENTS]
    there = {path.stem for path in (BOOK / "notebooks").glob("*.md")}
    assert there - {"experiment"} == set(listed)


def test_every_name_that_the_interface_promises_is_there():
    page = (BOOK / "notebooks" / "api.md").read_text()
    promised = re.findall(r"automodule:: (\S+)\n   :members: (.+)", page)
    assert len(promised) > 20
    missing = [
        f"{module}.{name}"
        for module, names in promised
        for name in names.split(", ")
        if getattr(getattr(importlib.import_module(module), name, None), "__doc__", None) is None
    ]
    assert missing == []


def test_references_are_whole_and_every_citation_is_one_of_them():
    from pybtex.database import parse_file

    entries = parse_file(str(BOOK / "references.bib")).entries
    for key, entry in entries.items():
        assert entry.persons["author"], key
        assert {"title", "year"} <= set(entry.fields), key
    for path in (BOOK / "notebooks").glob("*.md"):
        cited = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", path.read_text(encoding="utf-8"))
        unknown = {key.strip() for keys in cited for key in keys.split(",")} - set(entries)
        assert not unknown, f"{path.name} cites {unknown}"


def test_nothing_of_ours_is_loaded_from_elsewhere():
    for path in (BOOK / "_static").iterdir():
        addresses = set(re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8"))) - {"http://www.w3.org/2000/svg"}
        assert not addresses, path.name


# ---- settings


def problems(extension, tmp_path, old: str, new: str) -> list[str]:
    path = tmp_path / "_config.yml"
    text = (TOP / "_config.yml").read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    known = set(yaml.safe_load(text)["sphinx"]["config"])
    return extension.config_problems(path, known)


def test_our_settings_are_all_known(extension, tmp_path):
    assert problems(extension, tmp_path, "title:", "title:") == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("title:", "titel:", "unknown key 'titel'"),
        ("raise_on_error:", "raise_on_eror:", "unknown key 'execute.raise_on_eror'"),
        ("    language: en", "    langauge: en", "no extension of Sphinx has a setting 'langauge'"),
        ("    language: en", "    language: en\n    language: de", "the key 'language' is there twice"),
        ("author:", "author: me\nauthor:", "the key 'author' is there twice"),
    ],
)
def test_an_unknown_or_doubled_key_is_refused(extension, tmp_path, old, new, said):
    (problem,) = problems(extension, tmp_path, old, new)
    assert problem.startswith("_config.yml")
    assert said in problem


def test_a_doubled_key_of_the_contents_is_refused(extension, tmp_path):
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\nroot: paper\n")
    assert extension.toc_problems(tmp_path / "_toc.yml") == ["_toc.yml, line 3: the key 'root' is there twice"]
    assert extension.toc_problems(TOP / "_toc.yml") == []


# ---- the extension


def prepared(extension, monkeypatch, execute) -> SimpleNamespace:
    class Settings(dict):
        values = dict.fromkeys(yaml.safe_load((TOP / "_config.yml").read_text())["sphinx"]["config"])

    monkeypatch.setattr(extension.chapters, "execute", execute)
    settings = Settings()
    extension.prepare(SimpleNamespace(srcdir=str(BOOK)), settings)
    return settings


@pytest.mark.parametrize("module", ["sercore", "sercore.config", "sercore.evidence", "sercore.network.engines.cpu"])
def test_a_module_is_found_where_sphinx_would_find_it(extension, module):
    assert extension.file_of(None, module) == ModuleAnalyzer.get_module_source(module)[0]


def test_mathjax_comes_from_the_site(extension, monkeypatch):
    settings = prepared(extension, monkeypatch, lambda book, report: [])
    assert settings == {"mathjax_path": "mathjax/tex-svg.js"}
    assert extension.mathjax_script().stat().st_size > 1_000_000
    monkeypatch.setattr(extension, "find_spec", lambda name: None)
    with pytest.raises(ExtensionError, match="pip install django-static-mathjax"):
        prepared(extension, monkeypatch, lambda book, report: [])


def test_a_chapter_that_fails_fails_the_build(extension, monkeypatch):
    def failing(book, report):
        raise SercoreError("chapter live: ValueError\n\nchapter data: KeyError")

    with pytest.raises(ExtensionError, match="chapter live: ValueError\n\nchapter data: KeyError"):
        prepared(extension, monkeypatch, failing)


def test_a_warning_fails_the_projects_book_and_no_study(extension, tmp_path, monkeypatch):
    monkeypatch.delenv("SERCORE_RESULTS", raising=False)
    app = SimpleNamespace(_warncount=1, doctreedir=str(tmp_path), srcdir=str(tmp_path / "book"))
    with pytest.raises(ExtensionError, match="1 warnings, listed above"):
        extension.refuse_warnings(app, None)
    (tmp_path / "study.toml").touch()
    extension.refuse_warnings(app, None)


def test_docstrings_in_markdown_are_set(extension):
    markdown = [
        "`loss` of (batch, classes), and ``kept``:",
        "",
        "    model = build(`a`)",
        "",
        "| file | what |",
        "| --- | --- |",
        "| `a.csv` | one row |",
        "",
        "end",
    ]
    extension.docstring_to_rst(None, "module", "m", None, None, markdown)
    assert markdown == [
        *("``loss`` of (batch, classes), and ``kept``:", "", "::", "", "    model = build(`a`)", ""),
        *("", ".. list-table::", "   :header-rows: 1", "", "   * - file", "     - what", "   * - ``a.csv``", "     - one row"),
        *("", "end"),
    ]


# ---- a whole build

STRANGE = "</title><script>alert(1)</script><img src=x onerror=alert(6)>{{7*7}} & $a$"
"""The title of a study."""


def parsed(page: Path) -> tuple[list[tuple[str, dict[str, str | None]]], str]:
    """The elements of a page with their attributes, a script's text as one of them, and the text of all others."""
    elements, said = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attributes):
            elements.append((tag, dict(attributes)))

        def handle_data(self, data):
            if self.cdata_elem is None:
                said.append(data)
            else:
                elements[-1][1]["text"] = data

    Reader().feed(page.read_text(encoding="utf-8"))
    return elements, " ".join("".join(said).split())


def build(top: Path, **variables: str) -> fresh_process.Done:
    return fresh_process.run("-c", "from jupyter_book.cli.main import main; main()", "build", "book", cwd=top, **variables)


def test_a_small_book_is_built_offline_and_fails_on_a_warning(tmp_path, monkeypatch):
    monkeypatch.delenv("SERCORE_RESULTS", raising=False)
    (tmp_path / "book" / "notebooks").mkdir(parents=True)
    for name in ("_ext", "_static", "_templates", "explorer", "toys", "voice"):
        shutil.copytree(BOOK / name, tmp_path / "book" / name)
    shutil.copy(BOOK / "references.bib", tmp_path / "book")
    shutil.copy(TOP / "_config.yml", tmp_path)
    for contents in (tmp_path / "book" / "_toc.yml", tmp_path / "_toc.yml"):
        contents.write_text("format: jb-book\nroot: intro\nchapters:\n- file: other\n")
    other = tmp_path / "book" / "notebooks" / "other.md"
    other.write_text(PAGE.format(text="Text."))
    cell = ":tags: [hide-input]\nfrom sercore.report import display\ndisplay.text('computed **here**')"
    picture = (
        "from sercore.report import display, figures, tables\ndisplay.card(figures.card('An answer.', tables.leading_gains()))"
    )
    cells = (cell, f":tags: [remove-cell]\n{picture}")
    text = "A formula, $a^2$." + "".join(f"\n\n```{{code-cell}} ipython3\n{each}\n```" for each in cells)
    page = tmp_path / "book" / "notebooks" / "intro.md"
    site = tmp_path / "_build" / "html"
    page.write_text(PAGE.format(text="A link to [nowhere](nowhere.md)."))
    for _ in range(2):  # the second time too
        failed = build(tmp_path)
        assert failed.returncode != 0
        assert "warnings, listed above" in failed.stdout + failed.stderr
    assert "Another title" not in (site / "intro.html").read_text()

    page.write_text(PAGE.format(text=text))
    other.write_text(PAGE.format(text="Text.").replace("# A page", "# Another title"))
    style = tmp_path / "book" / "_static" / "sercore.css"
    style.write_text(style.read_text() + "/* another style */")
    done = build(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    html = (site / "intro.html").read_text()
    assert "computed <strong>here</strong>" in html
    assert "Show the code" in html
    assert "Toggle hidden content" not in html
    assert '<meta property="og:title" content="' in html and "og:image" not in html  # it has no address of its own yet
    assert (site / "_static" / "card.png").stat().st_size > 5000 and "An answer" not in html
    assert "names no page of this book" in (site / "404.html").read_text()
    assert (site / "_static" / "scripts" / "fontawesome.js").stat().st_size < 200_000
    assert not re.search(r'(src|href)="(https?:)?//', html)
    scripts = re.findall(r'src="([^"?]+)', html)
    assert "_static/mathjax/tex-svg.js" in scripts
    assert all((site / script).exists() for script in scripts)
    assert "Another title" in html  # in its contents: every page names all pages
    assert (site / "_static" / "sercore.css").read_text() == style.read_text()

    # a book of one's own in its place: a warning is told, and of the other book nothing is left
    other.rename(other.with_name("third.md"))
    for contents in (tmp_path / "book" / "_toc.yml", tmp_path / "_toc.yml"):
        contents.write_text("format: jb-book\nroot: intro\nchapters:\n- file: third\n")
    (site / "explorer" / "private").mkdir()
    (site / "explorer" / "private" / "voice.mp3").write_bytes(b"sound")
    aloud = "import sys; print('beware', file=sys.stderr)\nfrom sercore"
    heading = names.in_markdown(names.name(STRANGE))
    page.write_text(PAGE.format(text=text.replace("from sercore", aloud, 1)).replace("# A page", f"# {heading}"))
    (tmp_path / "_config.yml").write_text(studies.titled((TOP / "_config.yml").read_text(), STRANGE))
    mine = build(tmp_path, SERCORE_RESULTS=str(tmp_path / "mine"))
    assert mine.returncode == 0, mine.stdout + mine.stderr
    assert "chapter intro, cell 2 said: beware" in mine.stdout + mine.stderr and "1 warnings, listed above" in mine.stdout
    assert "beware" not in re.sub(r"<pre>.*?</pre>", "", (site / "intro.html").read_text(), flags=re.DOTALL)
    assert (site / "third.html").exists()
    for built in site.glob("*.html"):
        elements, said = parsed(built)
        assert not [each for tag, each in elements if "onerror" in each or "alert" in each.get("text", "")], built.name
        assert STRANGE in said or built.name == "index.html", built.name  # which leads on to the first page
        assert "49" not in said and "&lt;" not in said, built.name
    assert ("meta", {"property": "og:title", "content": STRANGE}) in parsed(site / "intro.html")[0]
    index = json.loads((site / "searchindex.js").read_text().removeprefix("Search.setIndex(").removesuffix(")"))
    assert not [title for title in (*index["titles"], *index["alltitles"]) if "<" in title]
    assert not [path for path in (tmp_path / "_build").rglob("*") if path.stem == "other" or path.suffix == ".mp3"]

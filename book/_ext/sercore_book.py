"""The book's own Sphinx extension: chapters are made, settings checked, mathematics brought, and warnings are errors.

`jupyter-book build book` loads it by `_config.yml`. What Jupyter Book and Sphinx let pass in silence fails here: a chapter
that cannot be executed, an unknown or doubled key of `_config.yml`, a page with a warning, a missing copy of MathJax.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from html import escape, unescape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jupyter_book.config
import yaml
from docutils import nodes
from markupsafe import escape as escaped_once
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.ext import viewcode
from sphinx.util import logging

import sercore
from sercore import SercoreError, machine, places
from sercore.publishing import chapters, explorer, studies, voice
from sercore.report import display

MATHJAX = "mathjax/tex-svg.js"
MATHJAX_PACKAGE = "django-static-mathjax"
FREE = ("sphinx.local_extensions.", "parse.myst_substitutions.")
"""Keys whose own keys are anybody's choice."""

READ_BY_JUPYTER_BOOK = {"only_build_toc_files", "project", "html.use_multitoc_numbering", "parse.myst_substitutions"}
"""Keys that Jupyter Book reads, though neither its schema nor its defaults have them."""

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    viewcode.get_module_filename = file_of
    # before the table of contents (900), so that Sphinx finds the chapters that its patterns mean
    app.connect("config-inited", prepare, priority=100)
    app.connect("env-updated", write_all_when_what_they_share_changed)
    app.connect("autodoc-process-docstring", docstring_to_rst)
    app.connect("doctree-resolved", explain_terms)
    app.connect("html-page-context", mend_for_screen_readers, priority=900)  # after the theme's own
    app.connect("html-page-context", escape_titles, priority=900)
    app.connect("html-page-context", leave_mathjax_out, priority=900)
    app.connect("html-page-context", describe_for_links, priority=900)
    app.connect("build-finished", bring_mathjax, priority=600)
    app.connect("build-finished", bring_card, priority=600)
    app.connect("build-finished", escape_titles_of_the_search, priority=600)
    app.connect("build-finished", thin_out_icons, priority=700)
    app.connect("build-finished", bring_explorer, priority=600)
    app.connect("build-finished", bring_voice, priority=600)
    app.connect("build-finished", bring_toys, priority=600)
    app.connect("build-finished", bring_source, priority=600)
    app.connect("build-finished", remove_what_is_gone, priority=800)
    app.connect("build-finished", refuse_warnings, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def file_of(app: Sphinx, modname: str) -> str:
    """Where a module's source lies, for the page that shows it: Sphinx would import it to ask, with all that it imports."""
    path = Path(sercore.__file__).parents[1].joinpath(*modname.split("."))
    return str(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))


def prepare(app: Sphinx, config: Config) -> None:
    """Check the settings, then execute every chapter that is out of date."""
    top = Path(app.srcdir).parent
    problems = [*config_problems(top / "_config.yml", set(config.values)), *toc_problems(top / "_toc.yml")]
    if mathjax_script() is None:
        problems.append(f"MathJax is not installed: pip install {MATHJAX_PACKAGE}")
    if problems:
        raise ExtensionError("\n".join(problems))
    config["mathjax_path"] = MATHJAX
    try:
        done = chapters.execute(app.srcdir, report=logger.info)
    except SercoreError as error:
        raise ExtensionError(str(error)) from None
    logger.info(f"chapters: {len(done)} executed, the others are up to date")
    for said in chapters.complaints(app.srcdir):
        logger.warning(said)


def write_all_when_what_they_share_changed(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The pages to write besides those that changed: all of them share the contents, the style and the templates."""
    folders = [*app.config.html_static_path, *app.config.templates_path]
    files = sorted(path for folder in folders for path in Path(app.srcdir, folder).rglob("*") if path.is_file())
    titles = {name: title.astext() for name, title in env.titles.items()}
    shared = titles, {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    before = getattr(env, "sercore_shared", None)
    env.sercore_shared = shared  # type: ignore[attr-defined]
    return sorted(env.found_docs) if before != shared else []


# ---- settings


class _Strict(yaml.SafeLoader):
    """A loader that refuses a key given twice, of which YAML keeps the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"the key {name!r} is there twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def toc_problems(path: Path) -> list[str]:
    """What is wrong with `_toc.yml` beyond what its own reader says."""
    return _load(path)[1]


def config_problems(path: Path, sphinx_values: set[str]) -> list[str]:
    """What is wrong with `_config.yml`: keys that nothing reads, keys given twice."""
    settings, problems = _load(path)
    known = _known_keys() | READ_BY_JUPYTER_BOOK
    for key in _keys(settings):
        if key.startswith("sphinx.config."):
            name = key.split(".")[2]
            if name not in {*sphinx_values, "extensions"}:
                problems.append(f"{path.name}: {key}: no extension of Sphinx has a setting {name!r}")
        elif key not in known and not key.startswith(FREE):
            problems.append(f"{path.name}: unknown key {key!r}")
    return problems


def _load(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Strict) or {}, []
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        return {}, [f"{path.name}{line}: {error.problem}"]


def _known_keys() -> set[str]:
    """Dotted keys that Jupyter Book knows: those of its schema and of its defaults."""

    def of_schema(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
        for name, part in schema.get("properties", {}).items():
            yield prefix + name
            yield from of_schema(part, f"{prefix}{name}.")

    schema = json.loads(jupyter_book.config.PATH_JSON_SCHEMA.read_text(encoding="utf-8"))
    defaults = yaml.safe_load(jupyter_book.config.PATH_YAML_DEFAULT.read_text(encoding="utf-8"))
    return {*of_schema(schema), *_keys(defaults)}


def _keys(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if not isinstance(value, dict) or not value:
            yield f"{prefix}{name}"
        elif f"{prefix}{name}." == "sphinx.config.":
            yield from (f"sphinx.config.{key}" for key in value)
        else:
            yield f"{prefix}{name}"
            yield from _keys(value, f"{prefix}{name}.")


# ---- mathematics from the site itself


def mathjax_script() -> Path | None:
    """The installed copy of MathJax that sets formulas as SVG, fonts included."""
    package = find_spec("mathjax")
    for folder in package.submodule_search_locations or [] if package else []:
        script = Path(folder) / "static" / "mathjax" / "es5" / "tex-svg.js"
        if script.exists():
            return script
    return None


def leave_mathjax_out(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """MathJax, two megabytes, stays where there are formulas; Jupyter Book asks for it everywhere."""
    if not app.env.domains["math"].data["has_equations"].get(page):
        context["script_files"] = [file for file in context["script_files"] if not str(file.filename).endswith(MATHJAX)]


def bring_mathjax(app: Sphinx, exception: Exception | None) -> None:
    script = mathjax_script()
    if exception is None and app.builder.format == "html" and script is not None:
        target = Path(app.outdir) / "_static" / MATHJAX
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(script, target)


# ---- the theme's icons

ICONS = "_static/scripts/fontawesome.js"
_ICON = re.compile(r'(?:"([a-z0-9-]+)"|([a-z0-9]+)):\[\d+,\d+,\[[^\]]*\],"[0-9a-f]+",(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\])\],?')


def thin_out_icons(app: Sphinx, exception: Exception | None) -> None:
    """Keep of the theme's two thousand icons, 1.5 MB on every page, those that some page or script names."""
    if exception is not None or app.builder.format != "html":
        return
    site, icons = Path(app.outdir), Path(app.outdir) / ICONS
    if icons.exists():
        named = {*site.glob("*.html"), *(site / "_static").glob("*.js"), *icons.parent.glob("*.js")} - {icons}
        used = {name for path in named for name in re.findall(r"\bfa-([a-z0-9-]+)", path.read_text(encoding="utf-8"))}
        text = icons.read_text(encoding="utf-8")
        icons.write_text(_ICON.sub(lambda found: found[0] if (found[1] or found[2]) in used else "", text), encoding="utf-8")


# ---- what a link to a page shows elsewhere

SITE = "SERCORE_SITE_URL"
"""Where the site will stand, as in https://example.org/book/: pictures of links need whole addresses."""

CARD = "_static/card.png"


def describe_for_links(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Title, first paragraph and card, as the Open Graph protocol has them."""
    paragraph = next(iter(doctree.findall(nodes.paragraph)), None) if doctree is not None else None
    words = " ".join(paragraph.astext().split()) if paragraph is not None else str(app.config.html_title)
    title = unescape(re.sub(r"<[^>]+>", "", str(context.get("title", ""))))
    facts = {"og:title": title, "og:site_name": app.config.html_title, "og:type": "article"}
    facts["og:description"] = words if len(words) < 200 else words[:197].rsplit(" ", 1)[0] + " …"
    if base := os.environ.get(SITE, "").rstrip("/"):
        facts["og:url"] = f"{base}/{page}.html"
        if _card(app) is not None:
            facts |= {"og:image": f"{base}/{CARD}", "twitter:card": "summary_large_image"}
    tags = "".join(f'<meta property="{name}" content="{escape(str(value), quote=True)}" />\n' for name, value in facts.items())
    context["metatags"] = context.get("metatags", "") + tags


def bring_card(app: Sphinx, exception: Exception | None) -> None:
    picture = _card(app)
    if exception is None and app.builder.format == "html" and picture is not None:
        (Path(app.outdir) / CARD).write_bytes(picture)


def _card(app: Sphinx) -> bytes | None:
    """The picture that the first page's notebook made for it (`display.card`); None where it made none."""
    notebook = Path(app.srcdir) / f"{app.config.root_doc}.ipynb"
    return _card_of(notebook, notebook.stat().st_mtime_ns) if notebook.exists() else None


@functools.lru_cache(maxsize=1)
def _card_of(notebook: Path, time_ns: int) -> bytes | None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ()) if display.CARD in output.get("metadata", {})]
    return base64.b64decode(outputs[0]["data"]["image/png"]) if outputs else None


# ---- the explorer's data


def bring_explorer(app: Sphinx, exception: Exception | None) -> None:
    """Its component and its data, which lie beside the pages and are loaded where they are looked at; nothing else stays."""
    if exception is None and app.builder.format == "html":
        source, target = Path(app.srcdir) / explorer.FOLDER, Path(app.outdir) / explorer.FOLDER
        shutil.copytree(source, target, dirs_exist_ok=True)
        own = {target / path.name for path in source.iterdir()}
        own |= set(explorer.write(target, places.results_of_book(app.srcdir)))
        for path in [path for path in target.rglob("*") if path.is_file() and path not in own]:
            path.unlink()


def bring_toys(app: Sphinx, exception: Exception | None) -> None:
    """What can be moved on the pages of losses and pooling."""
    if exception is None and app.builder.format == "html":
        shutil.copytree(Path(app.srcdir) / display.TOYS, Path(app.outdir) / display.TOYS, dirs_exist_ok=True)


def bring_source(app: Sphinx, exception: Exception | None) -> None:
    """What the site was built from, as the last commit has it, in one file beside the pages; nothing without a history."""
    top, target = Path(app.srcdir).parent, Path(app.outdir) / machine.ARCHIVE
    if exception is not None or app.builder.format != "html" or not (top / ".git").exists() or not shutil.which("git"):
        return
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=top, capture_output=True, text=True, check=False).stdout.strip()
    if head and not (zipfile.is_zipfile(target) and zipfile.ZipFile(target).comment.decode() == head):
        partial = target.with_suffix(".partial")
        archive = ["git", "archive", "--format=zip", "--prefix=sercore/", f"--output={partial}", head]
        subprocess.run(archive, cwd=top, check=True, capture_output=True)
        partial.replace(target)


def bring_voice(app: Sphinx, exception: Exception | None) -> None:
    """The model and the runtime of "Try your voice", where the book has that page; without a network the page says what is
    missing."""
    if exception is None and app.builder.format == "html" and voice.FOLDER in app.env.found_docs:
        target = Path(app.outdir) / voice.FOLDER
        shutil.copytree(Path(app.srcdir) / voice.FOLDER, target, dirs_exist_ok=True)
        try:
            voice.write(target)
        except SercoreError as error:
            logger.info(f"the page 'Try your voice' will not work in this copy: {error}")


# ---- titles are text


def escape_titles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """The titles that templates of the theme write as they are, some of them escaped there and some not: as what either way is
    escaped once."""
    for name in ("root_title", "pagetitle", "docstitle"):
        if name in context:
            context[name] = escaped_once(context[name])


SEARCH = "searchindex.js"
_INDEX = re.compile(r"(Search\.setIndex\()(.*)(\))", re.DOTALL)


def escape_titles_of_the_search(app: Sphinx, exception: Exception | None) -> None:
    """The search writes the titles of pages and sections as HTML; in its index those of sections are text."""
    path = Path(app.outdir) / SEARCH
    if exception is None and app.builder.format == "html" and (found := _INDEX.fullmatch(path.read_text(encoding="utf-8"))):
        index = json.loads(found[2])
        index["alltitles"] = {escape(unescape(title)): places for title, places in index["alltitles"].items()}
        path.write_text(f"{found[1]}{json.dumps(index, separators=(',', ':'))}{found[3]}", encoding="utf-8")


# ---- screen readers

READ_ALOUD = {
    '<summary aria-label="Toggle hidden content">': "<summary>",  # a fold is called by the words that it shows
    "<summary><span": '<summary aria-label="Pages of this chapter"><span',  # the arrows of the contents show none
    'role="doc-biblioentry"': 'role="listitem"',  # an entry of a list of literature
}
"""What the theme, MyST-NB and docutils write, and what a screen reader needs."""


def mend_for_screen_readers(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    def mended(html: str) -> str:
        for written, needed in READ_ALOUD.items():
            html = html.replace(written, needed)
        return html

    if "body" in context:
        context["body"] = mended(context["body"]).replace(display.NOTEBOOK, f"_sources/{page}.ipynb")
    if contents := context.get("generate_toctree_html"):
        context["generate_toctree_html"] = lambda *given, **options: mended(str(contents(*given, **options)))


# ---- the field's words


def explain_terms(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Let each link to a term of the glossary show the term's meaning to the pointer."""
    links = [link for link in doctree.findall(nodes.reference) if "std-term" in str(link.children[:1])]
    if not links or "glossary" not in app.env.found_docs:
        return
    meanings = {}
    for entry in app.env.get_doctree("glossary").findall(nodes.definition_list_item):
        meaning = " ".join(entry.next_node(nodes.definition).astext().split())
        meanings.update({name: meaning for term in entry.findall(nodes.term) for name in term["ids"]})
    for link in links:
        fragment = link.get("refid") or link.get("refuri", "").partition("#")[2]
        if fragment in meanings:
            link["reftitle"] = meanings[fragment]


# ---- warnings


def refuse_warnings(app: Sphinx, exception: Exception | None) -> None:
    """Any warning fails the build of the project's own book, after all of them have been shown; a book of one's own stands."""
    if exception is None and app._warncount:
        # else the pages with warnings would count as read, and the next build would be silent
        (Path(app.doctreedir) / "environment.pickle").unlink(missing_ok=True)
        top = Path(app.srcdir).parent
        if places.results_of_book(app.srcdir) == top / "results" and not (top / studies.FILE).exists():
            raise ExtensionError(f"{app._warncount} warnings, listed above: the book is built without any")
        logger.info(f"{app._warncount} warnings, listed above; the book stands all the same")


# ---- nothing is left of another book


def remove_what_is_gone(app: Sphinx, exception: Exception | None) -> None:
    """Remove pages, and their sources, that are not of this book: of chapters that are gone, of other results."""
    if exception is not None or app.builder.format != "html":
        return
    site, kept = Path(app.outdir), {*app.env.found_docs, *app.config.html_additional_pages}
    kept |= {"genindex", "index", "py-modindex", "search"}
    places_of_pages = (
        (site, "*.html"),
        (site / "_sources", "*"),
        (site.parent / "jupyter_execute", "*"),
        (app.doctreedir, "*.doctree"),
    )
    for path in [path for folder, pattern in places_of_pages for path in Path(folder).glob(pattern) if path.is_file()]:
        if path.name.split(".")[0] not in kept:
            path.unlink()


# ---- docstrings are written in Markdown


def docstring_to_rst(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn what Markdown and reStructuredText write differently: code, tables, indented examples."""
    converted: list[str] = []
    for line in lines:
        is_row = line.strip().startswith("|") and line.strip().endswith("|")
        if is_row:
            cells = [_code(cell.strip()) for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            if all(re.fullmatch(r":?-+:?", cell) for cell in cells):
                continue
            if not converted or not converted[-1].startswith("     "):
                converted += ["", ".. list-table::", "   :header-rows: 1", ""]
            converted += [f"   {'*' if index == 0 else ' '} - {cell}" for index, cell in enumerate(cells)]
            continue
        starts_example = line.startswith("    ") and converted and not converted[-1].strip()
        if starts_example and not _in_block(converted):
            converted += ["::", ""]
        converted.append(line if line.startswith("    ") else _code(line))
    lines[:] = converted


def _code(text: str) -> str:
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", text)


def _in_block(lines: list[str]) -> bool:
    """Whether the last line that is not empty is indented, or ends with `::`."""
    before = next((line for line in reversed(lines) if line.strip()), "")
    return before.startswith("  ") or before.rstrip().endswith("::")

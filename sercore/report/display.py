"""How chapters show things: tables, figures and sound as HTML that needs nothing from outside the page.

    display.table(tables.table_2(runs), name="table-2", caption="Table 2", records=runs)
    display.figure(figures.confusion(predictions), name="confusion", alt="Angry is taken for happy ...", records=runs)

Everything shown says where it comes from: `records` is the frame of `sercore.evidence.results.runs` that it was computed from,
or None for what needs no runs. Figures are drawn under the style `sercore.report.book` (`matplotlib.style.use`).
"""

from __future__ import annotations

import base64
import contextlib
import io
import itertools
import json
import numbers
import re
import shlex
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import machine
from ..errors import SercoreError
from ..evidence import remembered
from ..evidence.remembered import Drawn
from . import names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = "sercore.report.book"
MAX_SVG = 800_000
"""Bytes from which a figure is embedded as PNG: one drawn of thousands of points loads faster so."""
MANY = 6
"""Columns above which a table is a wide one: it breaks a cell before its interval."""
SHORT, LONG = 20, 40
"""Letters up to which the texts of a column are not broken, and from which they make it a wide one."""

TOYS = "toys"
"""Beside the pages: what can be moved on them (book/toys)."""
MAKE_AGAIN = "Make again"
NOTEBOOK = "sercore:notebook"
"""The address of the page's own executed notebook; the book's extension knows which that is."""

_NUMBER = re.compile(r"([+\-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?!.*[^\W\d_]{2})")  # and no word after it
_WITH_INTERVAL = re.compile(r"([+−-]?[\d.]+) (\[[^\[\]]+\])")
_SIGNED = re.compile(r"([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]")
_HEADING = re.compile(r"^ {0,3}(#{1,6}(\s|$)|[^\s>|:].*\n {0,3}(=+|-+) *$)", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)


class Link:
    """A cell that leads somewhere: `text` in the table and in the CSV, `href` behind it."""

    def __init__(self, text: str, href: str) -> None:
        self.text, self.href = text, href

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f'<a href="{_html(self.href)}">{_html(self.text)}</a>'


class Chip:
    """A word in a table with a coloured sign before it; `kind` is good, fair, open, bad or none.

    Where `brief`, the sign stands for the word, which is left to the pointer, the screen reader and the download.
    """

    def __init__(self, text: str, kind: str, mark: str = "", brief: bool = False) -> None:
        self.text, self.kind, self.mark, self.brief = text, kind, mark, brief

    def __str__(self) -> str:
        return f"{self.text}\u202f{self.mark}" if self.mark else self.text

    def _repr_html_(self) -> str:
        if not self.brief:
            return f'<span class="sercore-chip sercore-{self.kind}">{_html(str(self))}</span>'
        word = f'<span class="sercore-unseen">{_html(self.text)}</span>{_html(self.mark)}'
        return f'<span class="sercore-chip sercore-{self.kind} sercore-brief" title="{_html(self.text)}">{word}</span>'


def table(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    records: pd.DataFrame | None = None,
    digits: int = 1,
    formats: Mapping[Any, str] | None = None,
    again: Sequence[str] = (),
) -> None:
    """Show a frame as a table that sorts by its headers and downloads as CSV, its provenance (`records`, `again`) under it."""
    html = table_html(frame, name, caption, digits, formats) + provenance(records, again)
    raw(html, f"{caption}\n{frame.to_string(index=False)}")


def table_html(
    frame: pd.DataFrame,
    name: str,
    caption: str,
    digits: int = 1,
    formats: Mapping[Any, str] | None = None,
    legend: Iterable[Chip] = (),
) -> str:
    """The HTML of `table`, without provenance; `legend` says what the signs of brief chips mean.

    The index is not shown; the first column heads the rows. Columns of two levels become two header rows. `digits` are
    those of floats, `formats` has another format (as in ".3f", or "p" for p values) for a column. The CSV holds the full
    values. A column is numeric where every value is a number or a text that begins with one ("71.2 [66.0, 75.8]"); signed
    values with an interval have it drawn under them, all of a column to one scale with zero in the middle.
    """
    _check_name(name)
    _check_said(caption, f"table {name}", "caption")
    columns = [
        _column(frame.iloc[:, index], digits, (formats or {}).get(key), "td" if index else "th", len(frame.columns) > MANY)
        for index, key in enumerate(frame.columns)
    ]
    rows = (f"<tr>{''.join(cells)}</tr>" for cells in zip(*columns, strict=True))
    body = f"<thead>{_header(frame)}</thead><tbody>{''.join(rows)}</tbody>"
    csv = _base64(to_csv(frame).encode())
    signs = "".join(f"<li>{chip._repr_html_()}</li>" for chip in legend)
    legend_list = f'<ul class="sercore-legend" aria-label="Signs">{signs}</ul>' if signs else ""
    kind = "sercore-table sercore-wide" if len(columns) > MANY else "sercore-table"
    return (
        f'<figure class="{kind}" id="{name}"><figcaption id="{name}-caption">{_html(caption)}</figcaption>'
        f"{legend_list}"
        f'<div class="sercore-scroll" role="region" aria-labelledby="{name}-caption" tabindex="0">'
        f'<table aria-labelledby="{name}-caption">{body}</table></div>'
        f'<a class="sercore-csv" download="{name}.csv" href="data:text/csv;charset=utf-8;base64,{csv}">Download CSV</a></figure>'
    )


def to_csv(frame: pd.DataFrame) -> str:
    """What a table's download holds: full values, an interval in two columns of its own, and column levels joined by a space."""
    flat = [" ".join(filter(None, map(str, np.atleast_1d(column)))) for column in _tuples(frame)]
    parts = [part for index, name in enumerate(flat) for part in _numbers(frame.iloc[:, index].rename(name))]
    plain = pd.concat(parts, axis=1) if parts else frame
    return plain.map(machine.no_formula).rename(columns=machine.no_formula).to_csv(index=False)


_INTERVAL = re.compile(r"([+\u2212-]?\d+(?:\.\d+)?)(?: \[([+\u2212-]?\d+(?:\.\d+)?), ([+\u2212-]?\d+(?:\.\d+)?)\])?")


def _numbers(column: pd.Series) -> list[pd.Series]:
    """A column whose texts are numbers as numbers: `+1.2 [\u22120.4, +2.8]` in three, the last two called low and high."""
    found = [_INTERVAL.fullmatch(value) if isinstance(value, str) else None for value in column]
    if not any(match and (match[2] or match[1][0] in "+\u2212") for match in found):
        return [column]

    def part(group: int, name: str) -> pd.Series:
        values = [float(match[group].replace("\u2212", "-")) if match and match[group] else None for match in found]
        return pd.Series(values, column.index, name=name)

    own = pd.Series(
        [value if match is None else float(match[1].replace("\u2212", "-")) for value, match in zip(column, found, strict=True)],
        column.index,
        dtype=object,
        name=column.name,
    )
    ends = [part(2, f"{column.name} low"), part(3, f"{column.name} high")] if any(match and match[2] for match in found) else []
    return [own, *ends]


def figure(fig: Figure, alt: str, name: str, records: pd.DataFrame | None = None, caption: str = "") -> None:
    """Show a matplotlib figure with its alternative text and its provenance, and close it."""
    raw(figure_html(fig, alt, name, caption) + provenance(records), alt)


def figure_html(fig: Figure | Drawn, alt: str, name: str, caption: str = "") -> str:
    """The HTML of `figure`: SVG whose ink is the page's own text colour; PNG at twice the size where that is lighter."""
    _check_name(name)
    _check_said(alt, f"figure {name}", "alternative text (alt)")
    picture = fig.picture if isinstance(fig, Drawn) else _picture(fig)
    if "svg" in picture:
        shown = _inline(picture["svg"], name, alt, picture["ink"], picture["width"])
    else:
        shown = f'<img src="data:image/png;base64,{picture["png"]}" alt="{_html(alt)}" style="{picture["width"]}">'
    said = f"<figcaption>{_html(caption)}</figcaption>" if caption else ""
    return f'<figure class="sercore-figure" id="{name}"><div class="sercore-pan">{shown}</div>{said}</figure>'


def _picture(fig: Figure) -> dict[str, str]:
    """The figure as `svg` with the colour of its ink, or as `png`, and the `width` of its place; it is closed, and kept where it
    is to be remembered."""
    import matplotlib.pyplot as plt
    import matplotlib.style

    with matplotlib.style.context(STYLE):
        svg, complete = _saved(fig, format="svg", metadata={"Date": None})
        if not complete:  # letters that our font does not have: the browser's fonts do
            matplotlib.rcParams["svg.fonttype"] = "none"
            svg, _ = _saved(fig, format="svg", metadata={"Date": None})
        text_ = machine.printable(_lighter(svg.decode()))
        points = re.search(r'\bwidth="([\d.]+)pt"', text_)
        picture = {"width": f"--width: {float(points[1]) * 4 / 3:.0f}px" if points else ""}
        if len(text_) < MAX_SVG or not complete:
            picture |= {"svg": text_, "ink": matplotlib.colors.to_hex(matplotlib.rcParams["text.color"])}
        else:
            png, _ = _saved(fig, format="png", dpi=2 * matplotlib.rcParams["figure.dpi"])
            picture["png"] = _base64(png)
    plt.close(fig)
    if path := getattr(fig, "remembered_as", None):
        remembered.keep(path, picture)
    return picture


CARD = "sercore-card"
"""Marks the picture that `card` keeps among a notebook's outputs."""


def card(fig: Figure) -> None:
    """Keep a figure as what a link to the site shows elsewhere; tag its cell `remove-cell`, for the page does not show it."""
    import matplotlib.pyplot as plt
    from IPython.display import display

    with io.BytesIO() as file, plt.style.context("default"):  # all of its area, and no page behind it
        fig.savefig(file, format="png")
        display({"image/png": file.getvalue()}, metadata={CARD: True}, raw=True)
    plt.close(fig)


def audio(samples: np.ndarray, rate: int, label: str = "") -> None:
    """Show a player for mono samples (time,) in -1 to 1 at `rate` per second; the sound is part of the page."""
    import soundfile

    with io.BytesIO() as file:
        soundfile.write(file, np.clip(samples, -1, 1), rate, format="FLAC", subtype="PCM_16")
        sound = _base64(file.getvalue())
    said = label or f"Sound of {len(samples) / rate:.1f} s"
    player = f'<audio controls preload="none" aria-label="{_html(said)}" src="data:audio/flac;base64,{sound}"></audio>'
    raw(f'<figure class="sercore-audio"><figcaption>{_html(said)}</figcaption>{player}</figure>', said)


def text(markdown: str) -> None:
    """Show Markdown, nothing where there is none; a heading raises `SercoreError`: the table of contents could not know it."""
    from IPython.display import Markdown, display

    markdown = _inert(names.in_markdown(markdown))
    if heading := _HEADING.search(_FENCE.sub("", markdown)):
        raise SercoreError(f"a heading in shown text: {heading[0].strip()!r}; write it in the chapter's source")
    if markdown.strip() and _collected is not None:
        _collected.append(_from_markdown(markdown))
    elif markdown.strip():  # a page shows an empty one as the name of its class
        display(Markdown(markdown))


def lead(markdown: str) -> None:
    """Show what a page has to say first, larger than its text."""
    raw(f'<div class="sercore-lead">{_from_markdown(names.in_markdown(markdown))}</div>', names.plain(markdown))


def _inert(markdown: str) -> str:
    """Markdown of which nothing is HTML or computed as the page is built, should a name have come into it without its marks."""
    from markdown_it import MarkdownIt

    tokens = [part for block in MarkdownIt("commonmark").parse(markdown) for part in (block, *(block.children or ()))]
    if any(part.type.startswith("html") for part in tokens):
        markdown = markdown.replace("<", "&lt;")
    return markdown.replace("{{", "{&#123;")


def _from_markdown(markdown: str) -> str:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).render(markdown)


TOLD = ("run", "corpus", "protocol", "system", "seed", "fold", "commit", "precision", "data", "split")
"""Columns of `results.runs` that provenance is told from."""


def provenance(records: pd.DataFrame | None, again: Sequence[str] = ()) -> str:
    """HTML, folded: which runs, code, machines and data something was computed from, and the command that makes them again,
    `again` where sweeps do not. Records of another folder than `results` have its name in `attrs["kept"]`.

    A frame without the columns `TOLD` raises `SercoreError`.
    """
    from .. import machine
    from .tables import corpus_title

    if records is None:
        return _details("Computed as this page was built; no runs behind it", {"Code": _commits([machine.commit()])})
    if len(records) == 0:
        return '<p class="sercore-provenance">No runs yet: not measured.</p>'
    missing = [column for column in TOLD if column not in records]
    if missing:
        raise SercoreError(f"records without the column {', '.join(missing)}: give rows of sercore.evidence.results.runs")
    places = list(records.groupby(["corpus", "protocol"], sort=True))
    there = [column for column in ("device", "processor", "platform", "versions") if column in records]
    facts = {
        "Runs": [f"{corpus}, {protocol}: {_span(part)}" for (corpus, protocol), part in places],
        "Systems": [", ".join(dict.fromkeys(records["system"]))],
        "Code": _commits(records["commit"]),
        "Precision": sorted(set(records["precision"])),
        "Settings": sorted({f"changed: {text}" for text in records.get("changed", ()) if text}),
        "Machines": sorted({_machine(row) for row in records[there].drop_duplicates().to_dict("records")}),
        "Data": [f"{corpus}: {_short(part['data'])}" for corpus, part in records.groupby("corpus", sort=True)],
        "Splits": [
            f"{records.attrs.get('kept', 'results')}/splits/{corpus}-{protocol}.csv: {_short(part['split'])}"
            for (corpus, protocol), part in places
        ],
        MAKE_AGAIN: again or commands(records),
    }
    corpora = ", ".join(corpus_title(corpus) for corpus in sorted(set(records["corpus"])))
    return _details(f"From {_count(records['run'], 'run')} on {corpora}", facts)


def commands(records: pd.DataFrame) -> list[str]:
    """The command lines that make these runs again and publish them, one a corpus."""
    from ..lab.systems import TABLE_2, is_own

    lines = []
    keys = {"source": records.get("source", records["corpus"]), "changed": records.get("changed", "")}
    for (corpus, precision, changed), part in records.assign(**keys).groupby(["source", "precision", "changed"], sort=True):
        slugs = list(dict.fromkeys(part["system"]))
        chosen = "table2" if set(slugs) == set(TABLE_2) else ",".join(slugs)
        exact = "" if precision == "float32" else f" --precision {precision}"
        exact += "".join(f" --set {shlex.quote(setting)}" for setting in re.split(r",(?=[a-z_]+=)", str(changed)) if setting)
        protocols = ",".join(sorted(set(part["protocol"])))
        grid = f"--systems {shlex.quote(chosen)} --protocols {shlex.quote(protocols)} --seeds {_ranges(part['seed'])}"
        own = "SERCORE_EXTENSIONS=FILE " if any(map(is_own, slugs)) else ""  # where the code of one's own lies
        lines.append(f"{own}sercore sweep --corpus {shlex.quote(str(corpus))} {grid} --folds {_ranges(part['fold'])}{exact}")
    kept = f" --results {records.attrs['kept']}" if "kept" in records.attrs else ""
    return [*lines, f"sercore publish{kept}"]


def folded(summary: str, html: str) -> None:
    """Show HTML under a line that opens it."""
    raw(f'<details class="sercore-fold"><summary>{_html(summary)}</summary>{html}</details>', summary)


_collected: list[str] | None = None
"""What is shown inside a tab that is being written; None outside of one."""


@contextlib.contextmanager
def tabbed(plain: str = "One part a corpus and protocol") -> Iterator[Callable[[str], contextlib.AbstractContextManager[None]]]:
    """Show what is shown inside as `tabs`:

    with display.tabbed() as tab:
        for place in places:
            with tab(title):
                display.table(...)

    A part in which nothing is shown has no tab.
    """
    panels: dict[str, str] = {}

    @contextlib.contextmanager
    def tab(title: str) -> Iterator[None]:
        global _collected
        before, _collected = _collected, []
        try:
            yield
            if _collected:
                panels[title] = panels.get(title, "") + "".join(_collected)
        finally:
            _collected = before

    yield tab
    if panels:
        tabs(panels, plain)


def tabs(panels: Mapping[str, str], plain: str) -> None:
    """Show parts (title -> HTML) of which a reader sees one at a time, the same on every page; on paper and without scripts
    all."""
    parts = "".join(
        f'<div class="sercore-tab" data-title="{_html(title)}"><p class="sercore-tab-title">{_html(title)}</p>{html}</div>'
        for title, html in panels.items()
    )
    raw(f'<div class="sercore-tabs">{parts}</div>', plain)


def json_script(data: Any) -> str:
    """Data within a page, for the script that reads it; "" for None."""
    text_ = json.dumps(data, separators=(",", ":")).replace("<", r"\u003c")  # nothing in it may end the script
    return "" if data is None else f'<script type="application/json">{text_}</script>'


def toy(name: str, kind: str, plain: str, data: Any = None) -> None:
    """Show something that can be moved: the class that `book/toys/<name>.js` looks for is `kind`, `data` what it reads."""
    raw(
        f'<link rel="stylesheet" href="{TOYS}/toys.css">'
        f'<div class="sercore-toy {kind}">{json_script(data)}<noscript>This needs JavaScript.</noscript></div>'
        f'<script src="{TOYS}/{name}.js" defer></script>',
        plain,
    )


def beside(*parts: str, plain: str) -> None:
    """Show parts (HTML) beside one another where the page is wide enough, else one under the other."""
    raw(f'<div class="sercore-beside">{"".join(f"<div>{part}</div>" for part in parts)}</div>', plain)


# ---- parts of the HTML


def _html(text: object) -> str:
    """A text that may come from anywhere, as HTML that shows its letters."""
    return escape(machine.printable(names.plain(str(text))))


def _header(frame: pd.DataFrame) -> str:
    columns = _tuples(frame)
    button = '<th scope="col" aria-sort="none"><button type="button">{}</button></th>'
    # a column with one title under two rows of them has it in the lower row, on its button
    last = (button.format(_html(column[-1] or column[0])) for column in columns)
    lower = f"<tr>{''.join(last)}</tr>"
    if frame.columns.nlevels == 1:
        return lower
    groups = itertools.groupby(column[0] if column[-1] else "" for column in columns)
    spans = ((title, len(list(group))) for title, group in groups)
    upper = (
        f'<th scope="colgroup" colspan="{width}">{_html(title)}</th>' if title else f'<td colspan="{width}"></td>'
        for title, width in spans
    )
    return f"<tr>{''.join(upper)}</tr>{lower}"


def _tuples(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return [column if isinstance(column, tuple) else (column,) for column in frame.columns]


def _column(values: pd.Series, digits: int, form: str | None, tag: str, narrow: bool) -> list[str]:
    """The cell of every value; those of a numeric column carry the number that they sort by. Where `narrow`, an interval has a
    line of its own."""
    shown = [None if _empty(value) else value for value in values]
    numeric = None not in [_number(value) for value in shown if value is not None]
    length = max((len(str(value)) for value in shown), default=0)
    kind = "number" if numeric else "long" if length > LONG else "short" if length <= SHORT else ""
    reach = max((abs(end) for value in shown for end in _interval(value) or ()), default=0.0)
    cells = []
    for value in shown:
        attributes = (' scope="row"' if tag == "th" else "") + (f' class="{kind}"' if kind else "")
        if numeric and value is not None:
            attributes += f' data-value="{_number(value)!r}"'
        said = _cell(value, digits, form)
        if narrow and (both := _WITH_INTERVAL.fullmatch(said)):
            said = f'{both[1]} <span class="sercore-interval">{both[2]}</span>'
        cells.append(f"<{tag}{attributes}>{said}{_bar(value, reach)}</{tag}>")
    return cells


def _interval(value: Any) -> tuple[float, float, float] | None:
    """(value, low, high) of a signed text such as "+1.2 [−0.4, +2.9]"."""
    match = _SIGNED.fullmatch(value.replace("−", "-")) if isinstance(value, str) else None
    return (float(match[1]), float(match[2]), float(match[3])) if match else None


def _bar(value: Any, reach: float) -> str:
    """A signed interval as a small bar from `-reach` to `reach`, its value a dot."""
    found = _interval(value)
    if found is None or reach == 0:
        return ""
    at, low, high = (f"{50 + 50 * end / reach:.1f}%" for end in found)
    return f'<span class="sercore-bar" aria-hidden="true" style="--at:{at};--low:{low};--high:{high}"></span>'


def _cell(value: Any, digits: int, form: str | None) -> str:
    if value is None:
        return "–"
    if hasattr(value, "_repr_html_"):
        return value._repr_html_()
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, numbers.Real):
        if form == "p":
            return "&lt;0.001" if value < 0.0005 else f"{value:.3f}"
        spec = form or ("d" if isinstance(value, numbers.Integral) else f".{digits}f")
        return _html(format(value, spec)).replace("-", "−")
    return _html(value).replace(" = ", "&nbsp;=&nbsp;")  # "α = 2" stays together


def _empty(value: Any) -> bool:
    return bool(pd.api.types.is_scalar(value) and pd.isna(value)) or value == ""


def _number(value: Any) -> float | None:
    """What a cell sorts by, where it is a number or a text that begins with one."""
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, numbers.Real):
        return float(value)
    match = _NUMBER.match(str(value))
    return float(match[1].replace("−", "-").replace(",", "")) if match else None


def _saved(fig: Figure, **how: Any) -> tuple[bytes, bool]:
    """The figure as a file, and whether its fonts have all letters that are written in it."""
    with io.BytesIO() as file, warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        fig.savefig(file, **how)
        saved = file.getvalue()
    lacking = [warning for warning in heard if re.match(r"Glyph .* missing from font", str(warning.message))]
    for warning in heard:
        if warning not in lacking:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return saved, not lacking


def _lighter(svg: str) -> str:
    """The same picture in fewer bytes: hundredths of a point, what many marks share told once, no space where none is needed,
    pictures in few colours."""

    def short(found: re.Match[str]) -> str:
        return re.sub(r"\s*([MLCQz])\s*", r"\1", re.sub(r"(\.\d\d)\d+", r"\1", found[0]))

    def shared(found: re.Match[str]) -> str:
        styles = set(re.findall(r' style="[^"]*"', found[2]))
        if len(styles) != 1 or found[2].count("<use") < 2 or found[2].count(" style=") != found[2].count("<use"):
            return found[0]
        style = styles.pop()
        return f"{found[1]}{style}>{found[2].replace(style, '')}</g>"

    svg = re.sub(r'\b(?:d|x|y)="[^"]*"', short, svg)
    svg = re.sub(r'(<g clip-path="[^"]*")>((?:\s*<use [^>]*/>)+\s*)</g>', shared, svg).replace(" xlink:href=", " href=")
    svg = re.sub(r">\s+<(?=/?(?:clipPath|defs|g|image|path|rect|use)\b)", "><", svg)
    return re.sub(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=\s]+", lambda found: _few_colours(found[0]), svg)


def _few_colours(png: str) -> str:
    """A PNG as text, in 128 colours where that takes less."""
    from PIL import Image

    given = base64.b64decode(png)
    with Image.open(io.BytesIO(given)) as picture, io.BytesIO() as file:
        picture.convert("RGBA").quantize(128, Image.Quantize.FASTOCTREE).save(file, "PNG", optimize=True)
        return _base64(min(given, file.getvalue(), key=len))


def _inline(svg: str, name: str, alt: str, ink: str, width: str) -> str:
    """The `<svg>` element for a page: ids of its own where there is need of one, the page's ink, its size left to the page's
    style."""
    svg = re.sub(r"<(metadata|style).*?</\1>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)  # its style is for all the page
    asked = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg))
    page = zlib.crc32(name.encode())
    own = {old: f"f{page:x}-{number:x}" for number, old in enumerate(asked)}
    svg = re.sub(r'\s\bid="([^"]*)"', lambda found: f' id="{own[found[1]]}"' if found[1] in own else "", svg)
    svg = re.sub(r'(href="|url\()#([^")]+)', lambda found: f"{found[1]}#{own[found[2]]}", svg)
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(width|height)="[\d.]+pt"', "", head)
    style = f"stroke-linejoin: round; stroke-linecap: butt; {width}"
    said = f'<svg role="img" aria-label="{_html(alt)}" style="{style}"'
    return f"{head.replace('<svg', said, 1)}>{body}".replace(ink, "currentColor")


def _details(summary: str, facts: Mapping[str, Iterable[str]]) -> str:
    def item(term: str, value: str) -> str:
        return f"<dd><code>{_html(value)}</code></dd>" if term == MAKE_AGAIN else f"<dd>{_html(value)}</dd>"

    told = {term: list(values) for term, values in facts.items()}
    items = "".join(f"<dt>{term}</dt>" + "".join(item(term, each) for each in values) for term, values in told.items() if values)
    items += f'<dt>Notebook</dt><dd><a href="{NOTEBOOK}" download>as it was executed for this page</a></dd>'
    return f'<details class="sercore-provenance"><summary>{_html(summary)}</summary><dl>{items}</dl></details>'


def _span(part: pd.DataFrame) -> str:
    """How many runs, of how many systems, which seeds and folds."""
    systems = _count(part["system"], "system")
    return f"{_count(part['run'], 'run')}, {systems}, seeds {_ranges(part['seed'])}, folds {_ranges(part['fold'])}"


def _count(values: pd.Series, what: str) -> str:
    number = values.nunique()
    return f"{number} {what}{'s' if number != 1 else ''}"


def _ranges(values: Iterable[int]) -> str:
    """`0-2,5` for 0, 1, 2 and 5: as `--seeds` and `--folds` take it."""
    spans: list[list[int]] = []
    for value in sorted({int(value) for value in values}):
        if spans and value == spans[-1][1] + 1:
            spans[-1][1] = value
        else:
            spans.append([value, value])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _machine(row: Mapping[str, Any]) -> str:
    versions = json.loads(row.get("versions") or "{}")
    software = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch") if name in versions)
    place = row.get("processor") or row.get("platform") or ""
    device = row["device"] if row["device"] != "cpu" else ""
    return ", ".join(filter(None, (device, place, software)))


def _short(checksums: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(str(checksum)[:12] for checksum in checksums))


def _commits(commits: Iterable[str]) -> list[str]:
    """Commits cut to 12 letters; `-dirty` stays."""
    return sorted({re.sub(r"\b([0-9a-f]{12})[0-9a-f]+", r"\1", commit) for commit in commits})


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        raise SercoreError(f"name {name!r}: write small letters, digits and hyphens; it names the download and the link")


def _check_said(value: str, what: str, missing: str) -> None:
    if not value.strip():
        raise SercoreError(f"{what} has no {missing}: say in words what it shows")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class _Shown:
    def __init__(self, html: str, plain: str) -> None:
        self.html, self.plain = html, plain

    def __repr__(self) -> str:
        return self.plain

    def _repr_html_(self) -> str:
        return self.html


def raw(html: str, plain: str) -> None:
    """Show HTML as it is; `plain` stands for it where there is no browser."""
    from IPython.display import display

    if _collected is not None:
        _collected.append(html)
    else:
        display(_Shown(html, names.plain(plain)))

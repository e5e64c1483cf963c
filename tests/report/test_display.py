"""Tables, figures, sound and provenance as a reader of the book meets them."""

import base64
import io
import json
import re
import shlex

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import soundfile
from markdown_it import MarkdownIt

from sercore.errors import SercoreError
from sercore.evidence.results import RUN_COLUMNS
from sercore.report import display


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "System": ["<b>AMS</b>", "Focal & co", "Baseline"],
            "UA": [71.25, None, -3.0],
            "Interval": ["71.2 [66.0, 75.8]", None, "−3.0 [−5.0, 1.0]"],
            "Runs": [5, 10, 15],
            "Verdict": ["replicates", display.Link("see", "verdicts.html?a=1&b=2"), ""],
        }
    )


@pytest.fixture
def runs() -> pd.DataFrame:
    fixed = {
        **dict.fromkeys(RUN_COLUMNS, 0),
        **{"chosen_by": "validation", "precision": "float32", "device": "cpu", "commit": "0123456789abcdef0123-dirty"},
        **{"processor": "A processor <1>", "versions": '{"python": "3.12.1", "torch": "2.8.0"}', "config": "{}"},
        **{"data": "d" * 64, "split": "e" * 64},
    }
    rows = [
        {"run": f"emodb-{protocol}-{system}-seed{seed}-fold{fold}", "corpus": "emodb"}
        | {"protocol": protocol, "system": system, "seed": seed, "fold": fold}
        for protocol in ("paper", "speaker")
        for system in ("baseline", "ams-s10-m0.4")
        for seed in (0, 1, 4)
        for fold in range(5)
    ]
    return pd.DataFrame([fixed | row for row in rows])


def cells(html: str) -> list[list[str]]:
    body = re.search(r"<tbody>(.*)</tbody>", html)[1]
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", body)]


def test_a_table_is_escaped_formatted_and_dashed(frame):
    assert cells(display.table_html(frame, "t", "Some & caption")) == [
        ["&lt;b&gt;AMS&lt;/b&gt;", "71.2", "71.2 [66.0, 75.8]", "5", "replicates"],
        ["Focal &amp; co", "–", "–", "10", '<a href="verdicts.html?a=1&amp;b=2">see</a>'],
        ["Baseline", "−3.0", "−3.0 [−5.0, 1.0]", "15", "–"],
    ]
    assert "Some &amp; caption" in display.table_html(frame, "t", "Some & caption")


def test_formats_of_one_column_and_of_all(frame):
    html = display.table_html(frame, "t", "Caption", digits=0, formats={"Runs": ".2f"})
    assert cells(html)[0][1:4] == ["71", "71.2 [66.0, 75.8]", "5.00"]


def test_numeric_columns_align_and_carry_what_they_sort_by(frame):
    html = display.table_html(frame, "t", "Caption")
    assert html.count('class="number"') == 9  # UA, Interval and Runs, three rows each
    assert re.findall(r'data-value="([^"]*)"', html) == ["71.25", "71.2", "5.0", "10.0", "-3.0", "-3.0", "15.0"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("360K", "360.0"),
        ("359,556", "359556.0"),
        ("25.3 ± 1.1", "25.3"),
        ("+4.0 %", "4.0"),
        ("750 × 40", "750.0"),
        ("1,2", "1.0"),
    ],
)
def test_texts_that_are_numbers(text, number):
    assert f'<td class="number" data-value="{number}">' in display.table_html(
        pd.DataFrame({"a": ["x"], "b": [text]}), "t", "Caption"
    )


@pytest.mark.parametrize("text", ["1. Every setting", "1-all", "2 of 5", "three", "ams-s10-m0.4"])
def test_texts_that_are_none(text):
    assert f'<td class="short">{text}</td>' in display.table_html(pd.DataFrame({"a": ["x"], "b": [text]}), "t", "Caption")


def test_a_setting_stays_on_one_line_and_is_plain_in_the_csv():
    frame = pd.DataFrame({"a": ["AMS, m = 0.4"]})
    assert "AMS, m&nbsp;=&nbsp;0.4" in display.table_html(frame, "t", "Caption") and "m = 0.4" in display.to_csv(frame)


def test_a_p_value_is_never_nought():
    html = display.table_html(pd.DataFrame({"a": ["x", "y"], "p": [0.0002, 0.0312]}), "t", "Caption", formats={"p": "p"})
    assert ">&lt;0.001<" in html and ">0.031<" in html


def test_a_column_of_long_texts_is_wide():
    html = display.table_html(pd.DataFrame({"a": ["x", "y"], "b": ["z" * 50, "z"]}), "t", "Caption")
    assert html.count('<td class="long">') == 2


def test_a_table_without_rows_has_its_headers():
    assert display.table_html(pd.DataFrame(columns=["a", "b"]), "t", "Caption").count("<button") == 2


def test_every_header_is_a_button_and_every_row_has_a_head(frame):
    html = display.table_html(frame, "t", "Caption")
    headers = re.findall(r'<th scope="col" aria-sort="none"><button type="button">(.*?)</button></th>', html)
    assert headers == list(frame.columns)
    assert html.count('<th scope="row" class="short">') == 3


@pytest.mark.parametrize("only", [("", "System"), ("System", "")])
def test_two_levels_of_columns_are_two_header_rows(only):
    columns = pd.MultiIndex.from_tuples([only, ("EmoDB", "UA"), ("EmoDB", "WA"), ("nEMO", "UA")])
    html = display.table_html(pd.DataFrame([["baseline", 1, 2, 3]], columns=columns), "t", "Caption")
    assert re.findall(r'<th scope="colgroup" colspan="(\d)">(.*?)</th>', html) == [("2", "EmoDB"), ("1", "nEMO")]
    assert re.findall(r"<button[^>]*>(.*?)</button>", html) == ["System", "UA", "WA", "UA"]


def test_the_download_holds_the_full_values(frame):
    html = display.table_html(frame.assign(UA=[71.23456, None, -3.0]), "table-2", "Caption")
    encoded = re.search(r'download="table-2.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)[1]
    csv = pd.read_csv(io.BytesIO(base64.b64decode(encoded)))
    after = list(frame.columns).index("Interval") + 1  # its ends have columns of their own
    assert list(csv.columns) == [*frame.columns[:after], "Interval low", "Interval high", *frame.columns[after:]]
    assert csv.loc[0, ["Interval", "Interval low", "Interval high"]].tolist() == [
        float(part) for part in re.findall(r"[\d.]+", frame["Interval"][0])
    ]
    assert csv["UA"].tolist()[0] == 71.23456
    assert csv["System"].tolist() == ["<b>AMS</b>", "Focal & co", "Baseline"]
    assert csv["Verdict"].tolist()[:2] == ["replicates", "see"]


def test_levels_of_columns_are_joined_in_the_download():
    columns = pd.MultiIndex.from_tuples([("", "System"), ("EmoDB", "UA")])
    assert display.to_csv(pd.DataFrame([["baseline", 1]], columns=columns)) == "System,EmoDB UA\nbaseline,1\n"


@pytest.mark.parametrize("name", ["", "Table 2", "2", "a_b", '"x'])
def test_a_name_is_fit_for_files_and_links(frame, name):
    with pytest.raises(SercoreError, match="small letters"):
        display.table_html(frame, name, "Caption")


def test_a_table_without_a_caption_is_refused(frame):
    with pytest.raises(SercoreError, match=r"table t has no caption"):
        display.table_html(frame, "t", " ")


@pytest.fixture
def shown(monkeypatch) -> list[str]:
    """The HTML of all that is shown."""
    said: list[str] = []
    monkeypatch.setattr(display, "raw", lambda html, plain: said.append(html))
    return said


def drawn() -> plt.Figure:
    with matplotlib.style.context(display.STYLE):
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, 1], label="a line")
        axes.legend()
    return figure


def test_a_figure_without_an_alternative_text_is_refused():
    with pytest.raises(SercoreError, match="figure f has no alternative text"):
        display.figure(drawn(), alt=" ", name="f")


def test_a_figure_is_inline_with_the_ink_of_the_page():
    figure = drawn()
    html = display.figure_html(figure, 'A line "rising"', "rising", "A <caption>")
    assert 'role="img" aria-label="A line &quot;rising&quot;"' in html
    assert "<figcaption>A &lt;caption&gt;</figcaption>" in html
    with matplotlib.style.context(display.STYLE):
        assert matplotlib.colors.to_hex(matplotlib.rcParams["text.color"]) not in html
    assert "currentColor" in html
    assert "<style" not in html  # it would be a style for the whole page
    identifiers = re.findall(r'\bid="([^"]+)"', html)
    assert len(identifiers) == len(set(identifiers))
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', html)) == set(identifiers) - {"rising"}
    beside = display.figure_html(drawn(), "Another", "another", "A caption")
    assert not set(identifiers) & set(re.findall(r'\bid="([^"]+)"', beside))


def test_a_figure_is_the_same_each_time():
    assert display.figure_html(drawn(), "A line", "f") == display.figure_html(drawn(), "A line", "f")


def test_a_heavy_figure_becomes_a_png(monkeypatch):
    monkeypatch.setattr(display, "MAX_SVG", 1000)
    html = display.figure_html(drawn(), 'A "line"', "f")
    image = re.search(r'<img src="data:image/png;base64,([^"]+)" alt="A &quot;line&quot;"', html)
    assert base64.b64decode(image[1]).startswith(b"\x89PNG")


def test_what_is_shown_has_its_provenance_and_a_figure_is_closed(shown, frame, runs):
    figure = drawn()
    display.figure(figure, alt="A line", name="f", records=runs)
    display.table(frame, "t", "Caption", runs)
    assert not plt.fignum_exists(figure.number)
    assert all("From 60 runs on EmoDB" in html for html in shown)
    assert 'aria-label="A line"' in shown[0]
    assert "Download CSV" in shown[1]


def test_sound_is_part_of_the_page(shown):
    wave = np.sin(np.arange(8000) / 5) * 0.5
    display.audio(wave, 16_000, "A tone, <synthetic>")
    assert "A tone, &lt;synthetic&gt;" in shown[0]
    encoded = re.search(r'src="data:audio/flac;base64,([^"]+)"', shown[0])[1]
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)))
    assert rate == 16_000
    np.testing.assert_allclose(heard, wave, atol=1e-4)


@pytest.mark.parametrize("markdown", ["# Heading", "text\n\n### Heading", "Heading\n=======\n", "Heading\n---"])
def test_shown_text_has_no_heading(markdown):
    with pytest.raises(SercoreError, match="heading"):
        display.text(markdown)


@pytest.mark.parametrize("markdown", ["#hash", "```\n# a comment\n```", "| a |\n| --- |\n| 1 |", "a\n\n---\n\nb", "- a\n- b"])
def test_other_text_is_shown(markdown, capsys):
    display.text(markdown)
    assert capsys.readouterr().out


@pytest.fixture
def markdown(monkeypatch) -> list[str]:
    """What `display.text` gives to a notebook."""
    given = []
    monkeypatch.setattr("IPython.display.display", lambda shown: given.append(shown.data))
    return given


@pytest.mark.parametrize("evil", ["<img src=q onerror=alert(9)>", "` <b>` <i>", "text\n\n<script>alert(1)</script>", "<!-- a"])
def test_a_name_that_came_into_a_text_without_its_marks_is_neither_html_nor_computed(markdown, evil):
    display.text(f"All of {evil} {{{{7*7}}}}.")
    html = MarkdownIt("commonmark").render(markdown[0])
    assert not re.findall(r"<(?!/?(p|code)>)", html) and "{{" not in markdown[0]
    assert "{{7*7}}" in html


def test_a_text_of_our_own_is_shown_as_it_was_written(markdown):
    display.text(r"See {doc}`Table 2 <table-2>`: $\frac{a}{b} < 1$, <https://example.org>.")
    assert markdown == [r"See {doc}`Table 2 <table-2>`: $\frac{a}{b} < 1$, <https://example.org>."]


@pytest.mark.parametrize("markdown", ["", " "])
def test_an_empty_text_shows_nothing(markdown, capsys):
    display.text(markdown)
    assert not capsys.readouterr().out


def test_provenance_names_runs_code_machine_data_and_command(runs):
    html = display.provenance(runs)
    assert "From 60 runs on EmoDB" in html
    assert "emodb, paper: 30 runs, 2 systems, seeds 0-1,4, folds 0-4" in html
    assert "0123456789ab-dirty<" in html
    assert "A processor &lt;1&gt;, python 3.12.1, torch 2.8.0" in html
    assert f"emodb: {'d' * 12}<" in html
    assert f"results/splits/emodb-speaker.csv: {'e' * 12}<" in html
    command = "sercore sweep --corpus emodb --systems baseline,ams-s10-m0.4 --protocols paper,speaker --seeds 0-1,4 --folds 0-4"
    assert f"<code>{command}</code>" in html


def test_the_command_of_provenance_makes_just_these_runs(runs):
    from sercore.lab import sweep

    words = display.commands(runs)[0].split()
    options = dict(zip(words[2::2], words[3::2], strict=True))
    plan = sweep.plan(options["--corpus"], options["--systems"], options["--protocols"], options["--seeds"], options["--folds"])
    assert {str(name) for name in plan.names} == set(runs["run"])


def test_another_precision_path_and_settings_are_in_the_command(runs):
    assert display.commands(runs.assign(precision="bfloat16"))[0].endswith("--precision bfloat16")
    own = runs.assign(source="my/table.csv", changed="max_epochs=2,patience=3")
    command = display.commands(own)[0]
    spaced = display.commands(own.assign(source="/my files/a $table.csv"))[0]
    assert shlex.split(spaced)[3] == "/my files/a $table.csv"
    assert "--corpus my/table.csv" in command and command.endswith("--set max_epochs=2 --set patience=3")
    assert "changed: max_epochs=2,patience=3" in display.provenance(own)


def test_a_slug_from_elsewhere_is_one_word_of_the_command(runs):
    words = shlex.split(display.commands(runs.assign(system="a; touch b $(id)"))[0])
    assert words[words.index("--systems") + 1] == "a; touch b $(id)"


def test_data_within_a_page_ends_no_script():
    script = display.json_script({"a": "</script><!--<script>\u2028"})
    assert script.count("<") == 2 and "\u2028" not in script
    assert json.loads(script.removeprefix('<script type="application/json">').removesuffix("</script>")) == {
        "a": "</script><!--<script>\u2028"
    }


def test_what_steers_a_terminal_is_seen_in_a_table_and_its_download(frame):
    html = display.table_html(frame.assign(System="\x1b[31mRED\x07\u202e"), "t", "By \x1b")
    csv = base64.b64decode(re.search('base64,([^"]+)', html)[1]).decode()
    for text in (html, csv):
        assert r"\x1b[31mRED\x07\u202e" in text and not {"\x1b", "\x07", "\u202e"} & set(text)


def test_provenance_without_records_says_so(runs):
    assert "no runs behind it" in display.provenance(None)
    assert "not measured" in display.provenance(runs[:0])


def test_provenance_of_other_frames_is_refused(runs):
    with pytest.raises(SercoreError, match="without the column commit, split"):
        display.provenance(runs.drop(columns=["commit", "split"]))


def test_the_style_has_one_ink_and_no_background():
    with matplotlib.style.context(display.STYLE):
        names = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color")
        assert len({matplotlib.colors.to_hex(matplotlib.rcParams[name]) for name in names}) == 1
        assert matplotlib.rcParams["savefig.transparent"]
        ink = matplotlib.colors.to_hex(matplotlib.rcParams["text.color"])
        assert ink not in {
            matplotlib.colors.to_hex(colour) for colour in matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
        }


def test_signed_intervals_are_drawn_to_one_scale_around_zero():
    frame = pd.DataFrame(
        {
            "System": ["a", "b", "c"],
            "Gain": ["+2.0 [+1.0, +4.0]", "\u22121.0 [\u22122.0, +1.0]", None],
            "UA": ["70.0 [60.0, 80.0]"] * 3,
        }
    )
    html = display.table_html(frame, "gains", "Gains")
    assert html.count("sercore-bar") == 2
    assert "--at:75.0%;--low:62.5%;--high:100.0%" in html and "--at:37.5%;--low:25.0%;--high:62.5%" in html


def test_a_wide_table_has_intervals_on_lines_of_their_own():
    frame = pd.DataFrame({"System": ["a"], "UA": ["70.0 [60.0, 80.0]"]})
    assert "sercore-interval" not in display.table_html(frame, "ua", "UA")
    wide = display.table_html(frame.assign(**{f"c{number}": 1 for number in range(5)}), "ua", "UA")
    assert '70.0 <span class="sercore-interval">[60.0, 80.0]</span></td>' in wide and "sercore-wide" in wide


def test_a_chip_is_its_word_with_a_kind():
    frame = pd.DataFrame({"Claim": ["a"], "Verdict": [display.Chip("replicates", "good")]})
    assert '<span class="sercore-chip sercore-good">replicates</span>' in display.table_html(frame, "claims", "Claims")
    assert display.to_csv(frame) == "Claim,Verdict\na,replicates\n"


def test_a_brief_chip_keeps_its_word_for_those_who_listen_and_download():
    frame = pd.DataFrame({"Claim": ["a"], "Verdict": [display.Chip("replicates", "good", mark="†", brief=True)]})
    html = display.table_html(frame, "claims", "Claims", legend=[display.Chip("holds", "good")])
    assert '<li><span class="sercore-chip sercore-good">holds</span></li>' in html
    assert 'title="replicates"' in html and '<span class="sercore-unseen">replicates</span>†' in html
    assert display.to_csv(frame) == "Claim,Verdict\na,replicates\u202f†\n"


def test_no_text_of_a_table_is_a_formula_in_its_download():
    rows = [["=HYPERLINK(1)", "+1.2 [0.1, 2.3]", "-3", "@sum", "−0.4"], ["<script>", "-cmd|calc", "+7.5", "plain", "a=b"]]
    text = display.to_csv(pd.DataFrame(rows, columns=["label", "gain", "n", "=x", "y"]))
    assert text.splitlines()[0] == "label,gain,gain low,gain high,n,'=x,y"
    assert "'=HYPERLINK(1)" in text and "'-cmd|calc" in text and "'@sum" in text
    assert ",1.2,0.1,2.3,-3.0," in text and ",7.5," in text and text.splitlines()[1].endswith(",-0.4")  # numbers stay numbers


def test_tabs_hold_every_panel_and_escape_their_titles(monkeypatch):
    shown = []
    monkeypatch.setattr(display, "raw", lambda html, plain: shown.append((html, plain)))
    display.tabs({"EmoDB, speakers apart": "<p>one</p>", "<b>": "<p>two</p>"}, "Two panels")
    html, plain = shown[0]
    assert html.count('<div class="sercore-tab"') == 2 and "<p>one</p>" in html and "<p>two</p>" in html
    assert 'data-title="&lt;b&gt;"' in html and plain == "Two panels"

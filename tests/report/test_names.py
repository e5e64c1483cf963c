import matplotlib.pyplot as plt
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from sercore.report import display, findings, names

STRANGE = ["$x^2$ & <b>_wütend_</b>", "a_b|c", "`code` *bold* [link](x)", "高兴", "# heading", "{{ x }}", "a\nb", "<script>"]


@pytest.mark.parametrize("given", STRANGE)
def test_a_name_is_read_as_it_was_written(given):
    sentence = f"Speaker {names.name(given)} is *recognised* best."
    assert names.plain(sentence) == f"Speaker {given} is *recognised* best."
    inline = MarkdownIt("commonmark").parse(names.in_markdown(sentence))[1]
    shown = "".join(part.content for part in inline.children if part.type in ("text", "text_special"))
    assert shown == f"Speaker {' '.join(given.split())} is recognised best."
    assert not [part for part in inline.children if part.type in ("html_inline", "code_inline", "link_open")]


def test_a_plain_name_carries_no_marks():
    assert names.name("happy") == "happy" and names.name("O’Neill 3") == "O’Neill 3"


def test_letters_that_our_font_lacks_are_drawn_by_the_browser():
    def drawn(text):
        figure, axis = plt.subplots(figsize=(2, 1))
        axis.set_title(text)
        return display.figure_html(figure, "a title", "title")

    assert "<text" not in drawn("бояться محمد") and "<path" in drawn("$x^2$")
    assert "高兴</text>" in drawn("高兴") and "&lt;b&gt;高" in drawn("<b>高")


def test_a_label_may_be_called_as_the_column_of_speakers_and_a_speaker_as_the_last_row():
    table = pd.DataFrame({"speaker": ["all", "all", "Ben"], "label": ["Speaker", "UA", "UA"]})
    found = findings.corpus_table(table)
    assert list(found.columns) == ["Speaker", "Speaker", "UA"]
    assert found.to_numpy().tolist() == [["Ben", 0, 1], ["all", 1, 1], ["all", 1, 2]]

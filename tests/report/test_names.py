import matplotlib.pyplot as plt
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from sercore.report import display, figures, findings, names

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
    for given in (
        "happy",
        "O’Neill 3",
        "AMS, s = 10, m = 0.4",
        "Baseline (softmax, attentive pooling)",
        "AMS + combined pooling",
    ):
        assert names.name(given) == given


def test_what_steers_a_terminal_is_shown_as_its_escape():
    assert names.plain(names.name("\x1b[31mred\u202e")) == r"\x1b[31mred\u202e"


EVIL = 'zz{{lipsum.__globals__.os.system("id")}}<img src=q onerror=alert(9)>'
PLACE = {"corpus": EVIL, "protocol": "speaker", "seed": 0, "fold": 0, "amx": False}


def test_a_slug_from_elsewhere_is_a_name_in_every_sentence_that_has_it():
    runs = pd.DataFrame([PLACE | {"system": slug, "device": slug, "processor": "p"} for slug in ("baseline", EVIL)])
    gains = pd.DataFrame({"name": [EVIL], "group": [EVIL], "low": [1.0], "high": [2.0]})
    recalls = pd.DataFrame({"slug": EVIL, "label": ["a", "b"], "recall": [1.0, 2.0], "speaker": ["a", "b"], "ua": [1.0, 2.0]})
    progress = pd.DataFrame({"system": [EVIL], "corpus": [EVIL]})
    sentences = [
        findings.machines_sentence(runs),
        findings.gain_summary(gains),
        findings.recall_summary(recalls),
        findings.speaker_summary(recalls),
        findings.fold_summary(runs.assign(ua=0.5), [EVIL]),
        findings.measured_so_far(progress, [EVIL]),
        findings.confusion_summary({EVIL: pd.DataFrame([[1, 2], [3, 4]], ["a", "b"], ["a", "b"])}),
        findings.efficiency_sentence(pd.DataFrame({"workers": [1, 2], "runs_an_hour": 1.0, "cores": 2, "processor": EVIL})),
    ]
    for said in sentences:
        assert EVIL in names.plain(said)
        assert "{{" not in names.in_markdown(said) and r"\<img" in names.in_markdown(said)


def test_letters_that_our_font_lacks_are_drawn_by_the_browser():
    def drawn(text):
        figure, axis = plt.subplots(figsize=(2, 1))
        axis.set_title(text)
        return display.figure_html(figure, "a title", "title")

    assert "<text" not in drawn("бояться محمد") and "<path" in drawn("$x^2$")
    assert "高兴</text>" in drawn("高兴") and "&lt;b&gt;高" in drawn("<b>高")


def test_the_card_takes_a_title_that_is_no_formula():
    gains = pd.DataFrame({"slug": ["mine"], "name": [r"$\frac$"], "group": ["A corpus, speakers apart"], "effect": [1.0]})
    card = figures.card(f"On {names.name('$_x')}: no.", gains.assign(low=0.5, high=1.5))
    card.canvas.draw()
    assert [label.get_text() for label in card.axes[0].get_yticklabels()] == [r"$\frac$, A corpus"]
    assert "On $_x: no." in [text.get_text() for text in card.texts]


def test_a_label_may_be_called_as_the_column_of_speakers_and_a_speaker_as_the_last_row():
    table = pd.DataFrame({"speaker": ["all", "all", "Ben"], "label": ["Speaker", "UA", "UA"]})
    found = findings.corpus_table(table)
    assert list(found.columns) == ["Speaker", "Speaker", "UA"]
    assert found.to_numpy().tolist() == [["Ben", 0, 1], ["all", 1, 1], ["all", 1, 2]]

"""Whatever a corpus's classes and speakers are called, and however little of it has been run, its pages are made."""

import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from sercore.evidence import publication, results
from sercore.lab import sweep, systems
from sercore.publishing import chapters
from sercore.report import names

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGES = ("intro", "noise", "verdicts", "confusion", "attention", "per-speaker", "compactness", "readings")
OF_A_STUDY = ("intro", "data")
OWN = "T{{7*7}}<img src=q onerror=alert(12)> `{doc}`"
QUICK = {"max_epochs": "1", "clip_seconds": "0.35", "toolkit": "pytorch", "precision": "bfloat16"}
STRANGE = {
    "angry": "高兴",
    "happy": "$x^2$ & <b>_w_</b>",
    "neutral": "a label that somebody wrote as a whole sentence of seventy-five letters, really",
    "sad": "a|b`c` *d*",
    "s0": "<script>alert(1)</script>",
    "s1": "张伟",
    "s2": "O’Neill \"q\"",
    "s3": "{{7*7}}\x1b[31m $5_a_$",
    "s4": "محمد",
}  # fmt: skip


@pytest.fixture(scope="module")
def strange(tones, made_once):
    """Results of one corpus with strange names, of one without speakers and one system, and of one under `leaky` alone."""

    def make(folder):
        table = pd.read_csv(tones, dtype=str)
        table["path"] = [str(tones.parent / path) for path in table["path"]]
        renamed = table.assign(label=table["label"].map(STRANGE), speaker=table["speaker"].map(STRANGE))
        renamed.to_csv(folder / "strange.csv", index=False)
        table[["path", "label"]].replace("sad", "angry").to_csv(folder / "nameless.csv", index=False)
        for name, slugs, protocols in (
            ("strange", "baseline,combined,mine", "speaker"),
            ("nameless", "combined", "paper"),
            ("nameless", "baseline", "leaky"),
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setitem(systems.OWN, "mine", (OWN, {"pooling": "combined"}))
                sweep.sweep(sweep.plan(str(folder / f"{name}.csv"), slugs, protocols), folder / "runs", overrides=QUICK)
        publication.publish(folder / "runs", folder / "results")

    return made_once("strange", make) / "results"


@pytest.mark.parametrize("what", ["strange names", "no runs"])
def test_its_pages_are_made_without_a_warning_and_with_every_name_as_it_was_written(strange, tmp_path, monkeypatch, what):
    sources = shutil.copytree(BOOK / "notebooks", tmp_path / "book" / "notebooks")
    for name in OF_A_STUDY:
        shutil.copy(BOOK / "_study" / f"{name}.md", sources / f"study-{name}.md")
    extension = tmp_path / "mine.py"
    extension.write_text(f"from sercore.lab.systems import register\nregister('mine', {OWN!r}, pooling='combined')\n")
    monkeypatch.setenv("SERCORE_EXTENSIONS", str(extension))
    folder = strange if what == "strange names" else tmp_path / "empty"
    monkeypatch.setenv("SERCORE_RESULTS", str(folder))
    there = {chapter.name for chapter in chapters.wanted(tmp_path / "book", folder)}
    own = {name for name in there if name.endswith(("-strange", "-nameless"))}
    assert bool(own) == (what == "strange names")
    chapters.execute(tmp_path / "book", folder, only=[*PAGES, *(f"study-{name}" for name in OF_A_STUDY), *own])
    assert chapters.complaints(tmp_path / "book") == []
    for path in (tmp_path / "book").glob("*.ipynb"):
        shown = [output.data for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", ()) if "data" in output]
        assert not [data for data in shown if names.BEGIN in str(dict(data)) or "\\x02" in str(dict(data))], path.name
        for html in [data["text/html"] for data in shown if "text/html" in data]:
            assert "<script>alert" not in html and "<img src=q" not in html and "\x1b" not in html, path.name
        for markdown in [data["text/markdown"] for data in shown if "text/markdown" in data]:
            assert "{{" not in markdown and "&#123;" not in markdown and "\x1b" not in markdown, path.name
            inline = [part for block in MarkdownIt().parse(markdown) for part in block.children or ()]
            assert not [part for part in inline if part.type in ("html_inline", "image")], path.name
    if own:
        confusion = (tmp_path / "book" / "confusion.ipynb").read_text(encoding="utf-8")
        assert "高兴</text>" in confusion and "&lt;b&gt;_w_&lt;/b&gt;" in confusion
        assert set(results.utterances("strange", folder)["label"]) == {
            STRANGE[name] for name in ("angry", "happy", "neutral", "sad")
        }

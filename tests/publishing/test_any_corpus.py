"""Whatever a corpus's classes and speakers are called, and however little of it has been run, its pages are made."""

import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from sercore.evidence import publication, results
from sercore.lab import sweep
from sercore.publishing import chapters
from sercore.report import names

BOOK = Path(__file__).resolve().parents[2] / "book"
PAGES = ("intro", "noise", "verdicts", "confusion", "attention", "per-speaker", "compactness")
QUICK = {"max_epochs": "1", "clip_seconds": "0.35", "toolkit": "pytorch", "precision": "bfloat16"}
STRANGE = {
    "angry": "高兴",
    "happy": "$x^2$ & <b>_w_</b>",
    "neutral": "a label that somebody wrote as a whole sentence of seventy-five letters, really",
    "sad": "a|b`c` *d*",
    "s0": "<script>alert(1)</script>",
    "s1": "张伟",
    "s2": "O’Neill \"q\"",
    "s3": "$5_a_$",
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
        for name, systems, protocols in (
            ("strange", "baseline,combined", "speaker"),
            ("nameless", "combined", "paper"),
            ("nameless", "baseline", "leaky"),
        ):
            sweep.sweep(sweep.plan(str(folder / f"{name}.csv"), systems, protocols), folder / "runs", overrides=QUICK)
        publication.publish(folder / "runs", folder / "results")

    return made_once("strange", make) / "results"


@pytest.mark.parametrize("what", ["strange names", "no runs"])
def test_its_pages_are_made_without_a_warning_and_with_every_name_as_it_was_written(strange, tmp_path, monkeypatch, what):
    shutil.copytree(BOOK / "notebooks", tmp_path / "book" / "notebooks")
    folder = strange if what == "strange names" else tmp_path / "empty"
    monkeypatch.setenv("SERCORE_RESULTS", str(folder))
    there = {chapter.name for chapter in chapters.wanted(tmp_path / "book", folder)}
    own = {name for name in there if name.endswith(("-strange", "-nameless"))}
    assert bool(own) == (what == "strange names")
    chapters.execute(tmp_path / "book", folder, only=[*PAGES, *own])
    assert chapters.complaints(tmp_path / "book") == []
    for path in (tmp_path / "book").glob("*.ipynb"):
        shown = [output.data for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", ()) if "data" in output]
        assert not [data for data in shown if names.BEGIN in str(dict(data)) or "\\x02" in str(dict(data))], path.name
        assert not [data for data in shown if "<script>alert" in data.get("text/html", data.get("text/markdown", ""))], path.name
    if own:
        confusion = (tmp_path / "book" / "confusion.ipynb").read_text(encoding="utf-8")
        assert "高兴</text>" in confusion and "&lt;b&gt;_w_&lt;/b&gt;" in confusion
        assert set(results.utterances("strange", folder)["label"]) == {
            STRANGE[name] for name in ("angry", "happy", "neutral", "sad")
        }

"""What the explaining chapters tell a reader to type works as it stands."""

import pkgutil
import re
import shlex
import sys
import types
from pathlib import Path

import pytest
import typer

import sercore
from sercore import corpora
from sercore.__main__ import app
from sercore.evidence import results
from sercore.lab.systems import config
from sercore.network.losses import LOSSES
from sercore.network.pooling import POOLINGS

NOTEBOOKS = Path(__file__).parents[2] / "book" / "notebooks"
PAGES = sorted(path.stem for path in NOTEBOOKS.glob("*.md"))


def source(page: str) -> str:
    return (NOTEBOOKS / f"{page}.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", source(page), re.DOTALL | re.MULTILINE)


COMMANDS = [
    line
    for page in PAGES
    for block in blocks(page, "shell")
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("sercore ")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command):
    name, *arguments = shlex.split(command)[1:]
    subcommand = typer.main.get_command(app).commands[name]
    subcommand.make_context(name, arguments, resilient_parsing=False)


@pytest.mark.parametrize(
    "slug", sorted({slug for page in PAGES for slug in re.findall(r"`((?:baseline|focal|ams)[^`\s]*[@+][^`\s]*)`", source(page))})
)
def test_slugs_are_systems(slug):
    if slug not in ("baseline@loss=smoothed", "baseline@pooling=loudest"):
        sercore.build(slug)
    assert config(slug)


def test_own_loss_and_pooling_train(monkeypatch):
    import torch

    monkeypatch.setattr("sercore.network.losses.LOSSES", LOSSES)
    for block in blocks("reproduce", "python")[1:3]:
        exec(block, {"__name__": "mine"})
    try:
        model = sercore.build("baseline@loss=smoothed,pooling=loudest")
        model.loss(torch.randn(2, 32, 40), torch.tensor([0, 1])).backward()
        assert model.head.weight.grad.abs().sum() > 0
        assert [sercore.build(f"baseline@loss=smoothed{value}").head.share for value in ("", "-0.05", "-0.2")] == [0.1, 0.05, 0.2]
    finally:
        del POOLINGS["loudest"]
        for own in [name for name in LOSSES if name.startswith("smoothed")]:
            del LOSSES[own]


def test_own_corpus_is_read(tmp_path):
    import numpy as np
    import soundfile

    for who in ("anna", "ben"):
        (tmp_path / who).mkdir()
        for label in ("angry", "sad"):
            soundfile.write(tmp_path / who / f"{label}-01.wav", 0.1 * np.ones(1600), 16_000)
    corpora.names()
    exec(blocks("reproduce", "python")[3], {})
    try:
        frame = corpora.load("takes", tmp_path)
    finally:
        del corpora._registered["takes"]
    assert frame["label"].tolist() == ["angry", "sad"] * 2
    assert set(frame["speaker"]) == {"anna", "ben"}


def test_first_script_is_as_short_as_it_says(monkeypatch):
    calls = []
    monkeypatch.setitem(
        sys.modules,
        "sercore",
        types.SimpleNamespace(run=lambda *a, **k: calls.append(a), predict=lambda *a, **k: calls.append(a)),
    )
    exec(blocks("reproduce", "python")[0], {"__name__": "__main__"})
    assert calls == [("demo", "speaker", "baseline"), ("speech.wav",)]


@pytest.mark.parametrize(
    "name, members", re.findall(r"auto(?:module|class|function):: (\S+)\n(?:   :members: (.*)\n)?", source("api"))
)
def test_the_interface_lists_what_there_is(name, members):
    there = pkgutil.resolve_name(name)
    assert not [member for member in filter(None, members.split(", ")) if not hasattr(there, member)]


def test_every_column_of_a_run_is_explained():
    text = source("reproduce")
    assert [column for column in results.RUN_COLUMNS if f"`{column}`" not in text] == []


@pytest.mark.parametrize("page", PAGES)
def test_chapters_call_and_never_define(page):
    cells = re.findall(r"^```\{code-cell\}.*?\n(.*?)^```", source(page), re.DOTALL | re.MULTILINE)
    assert not [cell for cell in cells if re.search(r"^\s*(def|class) ", cell, re.MULTILINE)]

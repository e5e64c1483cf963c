"""A study of one's own: its folder, its runs and results, and a book that holds it alone."""

import re
import shutil

import fresh_process
import nbformat
import pandas as pd
import pytest

from sercore import SercoreError, places
from sercore.evidence.standing import standing
from sercore.publishing import chapters, studies


@pytest.fixture(scope="module")
def files(tones, tmp_path_factory):
    """A folder of files with three labels, no speakers named."""
    folder = tmp_path_factory.mktemp("files") / "mine"
    for path, label in pd.read_csv(tones, dtype=str)[["path", "label"]].itertuples(index=False):
        if label != "sad":
            (folder / label).mkdir(parents=True, exist_ok=True)
            shutil.copy(tones.parent / path, folder / label)
    return folder


@pytest.fixture
def study(files, tmp_path):
    return studies.make(tmp_path / "my study", str(files), 'What <three> $labels$ "say"', "baseline,combined")


def quick(study, extra=""):
    path = study.folder / studies.FILE
    path.write_text(f"{path.read_text()}max_epochs = 1\nclip_seconds = 0.35\n{extra}")
    return studies.read(study.folder)


def test_what_is_written_is_what_is_read(study, files):
    again = studies.read(study.folder)
    assert (again.title, again.data, again.systems) == (study.title, str(files), "baseline,combined")
    assert again.protocols == "paper"  # no speakers to keep apart
    assert again.settings == {} and (study.folder / "_config.yml").read_text().startswith("# Jupyter Book 1")


@pytest.mark.parametrize(
    ("label", "protocols", "said"),
    [("once", "", "no once in the training part of fold"), ("sad", "speaker", "protocol speaker: ")],
)
def test_what_cannot_be_learnt_is_refused_before_anything_is_written(tones, tmp_path, label, protocols, said):
    table = pd.read_csv(tones, dtype=str).assign(path=lambda rows: [str(tones.parent / path) for path in rows["path"]])
    table.loc[0, "label"] = label
    table.assign(speaker="one").to_csv(tmp_path / "mine.csv", index=False)
    with pytest.raises(SercoreError, match=said) as error:
        studies.make(tmp_path / "study", str(tmp_path / "mine.csv"), protocols=protocols)
    assert "sercore check" in str(error.value) and not (tmp_path / "study").exists()


def test_every_page_of_its_contents_is_there_and_no_link_leads_to_one_that_is_not(study):
    pages = {path.stem for path in (study.book / "notebooks").glob("*.md")}
    named = set(re.findall(r"(?:file|root): ([\w-]+)", studies.TOC))
    assert named == pages - {"experiment"} and not pages & set(studies.LEFT_OUT)
    for path in (study.book / "notebooks").glob("*.md"):
        for link in re.findall(r"{doc}`(?:[^`<]*<)?([\w-]+)>?`", path.read_text()):
            assert link in pages, f"{path.name} links to {link}"


def test_what_is_said_of_the_projects_own_corpora_alone_is_left_out(study):
    text = (study.book / "notebooks" / "verdicts.md").read_text()
    assert "Open, acted corpora" not in text and "% to here" not in text and "% of this book" not in text
    assert "Open, acted corpora" in (places.PROJECT / "book" / "notebooks" / "verdicts.md").read_text()


def test_its_runs_are_done_published_and_on_its_pages(study, monkeypatch):
    said = []
    own = quick(study)
    outcome = studies.work(own, told=said.append)
    assert len(outcome.finished) == 10 and not outcome.failed
    assert re.match(r"10 runs to do: about 0:0\d:\d\d here", said[0]) and said[1].startswith("the runs took 0:0")
    assert studies.forecast(own) == ""
    monkeypatch.delenv("SERCORE_RESULTS", raising=False)
    chapters.execute(own.book, only=["intro", "data", "table-2", "baseline-mine"])
    intro = nbformat.read(own.book / "intro.ipynb", 4)
    text = str(intro)
    assert (
        "What \\\\<three\\\\> \\\\$labels\\\\$" in text and "the baseline labels" in text and "an interval needs speakers" in text
    )
    assert "30 utterances" in str(nbformat.read(own.book / "data.ipynb", 4))
    rows = standing("mine", ["paper"], own.runs, own.results)
    assert [row["system"] for row in rows] == ["baseline", "combined"] and all(row["unpublished"] == 0 for row in rows)


@pytest.mark.parametrize(
    "text, words",
    [
        ("title = 3\ndata = 'demo'", "title must be a text"),
        ("title = 'a'", "no data"),
        ("title = 'a'\ndata = 'demo'\nseed = '0'", "unknown 'seed'; did you mean seeds"),
        ("title = 'a'\ndata = 'demo'\n[settings]\nmax_epoch = 3", "unknown settings: max_epoch"),
        ("title", "study.toml: Expected '='"),
    ],
)
def test_a_mistake_in_its_settings_is_named(tmp_path, text, words):
    (tmp_path / studies.FILE).write_text(text)
    with pytest.raises(SercoreError, match=words):
        studies.read(tmp_path)


def test_folders_that_are_none_or_hold_something_and_data_that_are_not_there(study, tmp_path):
    with pytest.raises(SercoreError, match="no study here; `sercore init"):
        studies.read(tmp_path)
    with pytest.raises(SercoreError, match="holds something already"):
        studies.make(study.folder, "demo")
    with pytest.raises(SercoreError, match="no such file or folder"):
        studies.make(tmp_path / "new", "no/where")
    assert not (tmp_path / "new").exists()


def test_the_command_line_makes_and_does_it(files, tmp_path):
    done = fresh_process.run("-m", "sercore", "init", "mine", "--data", files, "--systems", "baseline", cwd=tmp_path)
    assert done.returncode == 0 and "sercore study" in done.stdout, done.stderr
    quick(studies.read(tmp_path / "mine"))
    done = fresh_process.run("-m", "sercore", "study", "--forecast", cwd=tmp_path / "mine")
    assert done.returncode == 0 and done.stdout.startswith("5 runs to do"), done.stderr
    done = fresh_process.run("-m", "sercore", "study", cwd=tmp_path / "mine")
    assert done.returncode == 0 and re.search(r"paper +baseline +5 +0 +1", done.stdout), done.stdout + done.stderr
    done = fresh_process.run(
        "-m",
        "sercore",
        "results",
        "mine",
        "--csv",
        "--protocols",
        "paper",
        "--runs",
        "runs",
        "--results",
        "results",
        cwd=tmp_path / "mine",
    )
    assert done.stdout.startswith("protocol,system,runs,unpublished,seeds,UA %"), done.stderr

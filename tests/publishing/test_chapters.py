"""The book's chapters: which there are, when they are executed again, and what makes a build fail."""

import shutil
from pathlib import Path

import nbformat
import pytest
from published import publish

from sercore.errors import SercoreError
from sercore.publishing import chapters, missing

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
"""
TEMPLATE = """sercore:
  each: corpus
---

# {title}

```{code-cell} ipython3
:tags: [parameters]

experiment = "baseline"
corpus = "demo"
protocol = "speaker"
systems = "baseline"
seeds = "0"
results = "results"
train_missing = True
```

```{code-cell} ipython3
print(experiment, corpus, protocol, systems, seeds, results, train_missing)
```
"""


def write(book: Path, name: str, code: str, rest: str = "") -> Path:
    path = book / "notebooks" / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}---\n\n# {name}\n\n```{{code-cell}} ipython3\n{code}\n```\n{rest}")
    return path


def write_template(book: Path, text: str = TEMPLATE) -> Path:
    path = book / "notebooks" / "experiment.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER + text)
    return path


@pytest.fixture
def book(tmp_path, monkeypatch) -> Path:
    package = tmp_path / "package"  # another than this one, which somebody may be editing
    (package / "report").mkdir(parents=True)
    shutil.copy(chapters.PACKAGE / "report" / "book.mplstyle", package / "report")
    monkeypatch.setattr(chapters, "PACKAGE", package)
    monkeypatch.delenv("SERCORE_RESULTS", raising=False)
    (tmp_path / "results").mkdir()
    folder = tmp_path / "book"
    write(folder, "intro", "print(1 + 1)")
    return folder


@pytest.fixture
def pretended(monkeypatch) -> list[str]:
    """No kernel: each cell counts as executed. The list holds what was."""
    done: list[str] = []

    def papermill(chapter: chapters.Chapter, cwd: Path) -> nbformat.NotebookNode:
        done.append(chapter.name)
        notebook = chapters._titled(chapter)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.execution_count = 1
        return notebook

    monkeypatch.setattr(chapters, "_papermill", papermill)
    return done


def execute(book: Path, **how) -> list[str]:
    return chapters.execute(book, jobs=1, **how)


def names(book: Path) -> list[str]:
    return [chapter.name for chapter in chapters.wanted(book)]


# ---- which chapters there are


def test_every_experiment_is_rows_of_table_2():
    assert list(chapters.EXPERIMENTS) == ["baseline", "ams", "focal", "combined"]
    assert [len(rows) for rows in chapters.EXPERIMENTS.values()] == [1, 7, 7, 2]
    assert all(rows[0] == "baseline" for rows in chapters.EXPERIMENTS.values())


def test_a_template_becomes_a_chapter_for_each_corpus_with_runs(book):
    write_template(book)
    assert names(book) == ["intro"]
    publish(book.parent / "results", "emodb", "baseline,ams-s10-m0.4,combined", "paper,speaker", "0-1")
    publish(book.parent / "results", "nemo", "baseline")
    wanted = {chapter.name: chapter.parameters for chapter in chapters.wanted(book)}
    assert sorted(wanted) == ["ams-emodb", "baseline-emodb", "baseline-nemo", "combined-emodb", "intro"]
    assert wanted["ams-emodb"] == {
        "experiment": "ams",
        "corpus": "emodb",
        "protocol": "speaker,paper",
        "systems": "baseline,ams-s10-m0.4",
        "seeds": "0,1",
        "results": "results",
        "train_missing": False,
    }


def test_a_chapter_asks_for_whole_folds_alone(book):
    write_template(book)
    publish(book.parent / "results", "emodb", "baseline,ams-s10-m0.4", "speaker", "0-1")
    publish(book.parent / "results", "emodb", "baseline", "paper")
    publish(book.parent / "results", "emodb", "ams-s30-m0.1", "speaker", "0", folds=4)
    wanted = {chapter.name: chapter.parameters for chapter in chapters.wanted(book)}
    assert (wanted["ams-emodb"]["protocol"], wanted["ams-emodb"]["systems"]) == ("speaker", "baseline,ams-s10-m0.4")
    assert (wanted["baseline-emodb"]["protocol"], wanted["baseline-emodb"]["seeds"]) == ("speaker,paper", "0")
    for chapter in wanted.values():
        if chapter:
            asked = [chapter[key] for key in ("corpus", "protocol", "systems", "seeds")]
            assert missing.missing_runs(*asked, book.parent / "results") == []


def test_a_folder_without_notebooks_is_refused(tmp_path):
    with pytest.raises(SercoreError, match="no notebook in"):
        chapters.wanted(tmp_path)


# ---- execution


def test_chapters_are_really_executed_at_the_top_level(book):
    write_template(book)
    write(book, "intro", "import os\nfrom pathlib import Path\nprint(Path.cwd().name, os.environ['SERCORE_RESULTS'])")
    publish(book.parent / "results", "emodb", "baseline")
    assert sorted(chapters.execute(book, jobs=2)) == ["baseline-emodb", "intro"]
    intro, made = (nbformat.read(book / f"{name}.ipynb", 4) for name in ("intro", "baseline-emodb"))
    assert intro.cells[-1].outputs[0].text.split() == [book.parent.name, str(book.parent / "results")]
    assert made.cells[0].source == "# Baseline on EmoDB"
    assert made.cells[-1].outputs[0].text == "baseline emodb speaker baseline 0 results False\n"
    assert sum("parameters" in str(cell.metadata.get("tags")) for cell in made.cells) == 1
    assert str(book.parent) not in (book / "baseline-emodb.ipynb").read_text()
    assert sorted(path.name for path in book.iterdir()) == ["baseline-emodb.ipynb", "intro.ipynb", "notebooks"]
    assert chapters.execute(book) == []


def test_all_failing_chapters_are_named_and_the_others_kept(book):
    write_template(book, TEMPLATE + "\n```{code-cell} ipython3\nraise KeyError(corpus)\n```\n")
    write(
        book,
        "missing",
        "from sercore.publishing import chapters\nchapters.ensure_published('emodb', 'speaker', 'baseline', '0-1')",
    )
    publish(book.parent / "results", "emodb", "baseline")
    with pytest.raises(SercoreError) as caught:
        execute(book)
    said = str(caught.value)
    assert len(caught.value.offenders) == 2
    assert "chapter baseline-emodb (experiment.md): KeyError: 'emodb'" in said
    assert "raise KeyError(corpus)" in said
    assert "chapter missing" in said
    assert "5 runs are not in" in said
    assert "emodb-speaker-baseline-seed1-fold4" in said
    assert sorted(path.name for path in book.glob("*.ipynb")) == ["intro.ipynb"]
    write(book, "missing", "1")
    write_template(book)
    assert execute(book) == ["baseline-emodb", "missing"]


def test_a_chapter_whose_process_dies_is_named(book):
    write(book, "intro", "import os\nos._exit(3)")
    with pytest.raises(
        SercoreError, match=r"chapter intro \(intro.md\): .*its process ended \(exit code 3\) in the cell\nimport os"
    ):
        execute(book)


# ---- out of date


def test_nothing_is_executed_twice_without_a_reason(book, pretended):
    assert execute(book) == ["intro"]
    assert execute(book) == []
    assert execute(book, force=True) == ["intro"]


def test_a_changed_source_is_a_reason(book, pretended):
    write(book, "other", "2")
    execute(book)
    write(book, "other", "3")
    assert execute(book) == ["other"]


def test_changed_parameters_are_a_reason(book, pretended):
    write_template(book)
    publish(book.parent / "results", "emodb", "baseline")
    chapter, other = (
        chapters.Chapter("x", book / "notebooks" / "experiment.md", {"corpus": corpus}) for corpus in ("emodb", "nemo")
    )
    assert chapters._key(chapter, "") != chapters._key(other, "")
    assert execute(book) == ["baseline-emodb", "intro"]


@pytest.mark.parametrize("name", ["config.py", "corpora/emodb.py", "evidence/reported.csv", "report/book.mplstyle"])
def test_changed_code_is_a_reason(book, pretended, tmp_path, name):
    package = tmp_path / "package"
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("a = 1")
    execute(book)
    (package / "notes.txt").write_text("of no importance")
    assert execute(book) == []
    (package / name).write_text("a = 2")
    assert execute(book) == ["intro"]


def test_changed_records_are_a_reason_for_the_chapters_that_read_them(book):
    write(book, "counting", "from sercore.evidence import results\nprint(len(results.runs()))")
    write(book, "asking", "from sercore.evidence import results\nprint(len(results.maps('emodb', 'speaker')))")
    assert execute(book) == ["asking", "counting", "intro"]
    assert execute(book) == []
    publish(book.parent / "results", "emodb", "baseline")
    assert execute(book) == ["counting"]
    made = [nbformat.read(book / f"{name}.ipynb", 4).metadata["sercore"]["records"] for name in ("asking", "counting", "intro")]
    assert [list(records) for records in made] == [["maps/emodb-speaker.parquet"], ["runs.parquet"], []]
    (book.parent / "results" / "maps").mkdir()
    (book.parent / "results" / "maps" / "emodb-speaker.parquet").write_bytes(b"what was not there")
    with pytest.raises(SercoreError, match="chapter asking"):
        execute(book)


def test_a_chapter_that_comes_out_the_same_is_the_same_file(book):
    execute(book)
    made = book / "intro.ipynb"
    before = made.read_bytes(), made.stat().st_mtime_ns
    assert execute(book, force=True) == ["intro"]
    assert (made.read_bytes(), made.stat().st_mtime_ns) == before
    write(book, "intro", "print(3)")
    execute(book)
    assert made.stat().st_mtime_ns > before[1]


def test_another_version_of_a_package_is_a_reason(book, pretended, monkeypatch):
    execute(book)
    monkeypatch.setattr(chapters, "_version", lambda package: "99")
    assert execute(book) == ["intro"]


def test_chapters_that_are_gone_are_removed_and_nothing_else(book, pretended):
    write(book, "old", "1")
    execute(book)
    nbformat.write(nbformat.v4.new_notebook(), book / "mine.ipynb")
    (book / "notebooks" / "old.md").unlink()
    execute(book)
    assert sorted(path.name for path in book.glob("*.ipynb")) == ["intro.ipynb", "mine.ipynb"]


def test_only_some_chapters(book, pretended):
    write(book, "other", "1")
    assert execute(book, only=["other"]) == ["other"]
    with pytest.raises(SercoreError, match="no chapter oter; there are intro, other"):
        execute(book, only=["oter"])


def test_a_slow_chapter_is_begun_first(book, pretended):
    slow = write(book, "live", "train()")
    slow.write_text(slow.read_text().replace("name: python3\n", "name: python3\nsercore:\n  first: true\n"))
    assert execute(book) == ["live", "intro"]


def test_an_unknown_setting_of_a_source_is_refused(book):
    write_template(book, TEMPLATE.replace("each: corpus", "eech: corpus"))
    with pytest.raises(SercoreError, match=r"experiment.md: sercore: {'eech': 'corpus'} in its front matter"):
        chapters.wanted(book)


def test_whoever_asks_is_told(book, pretended):
    said: list[str] = []
    execute(book, report=said.append)
    assert said == ["chapter intro: executed in 0 s"]


# ---- what must not pass


def test_a_misspelt_parameter_is_refused(book, pretended):
    write_template(book, TEMPLATE.replace('systems = "baseline"', 'sistems = "baseline"'))
    publish(book.parent / "results", "emodb", "baseline")
    with pytest.raises(SercoreError, match=r"experiment.md has no parameter 'systems': it has .*sistems"):
        execute(book)
    assert pretended == []


def test_a_template_without_parameters_is_refused(book, pretended):
    write_template(book, TEMPLATE.replace(":tags: [parameters]\n", ""))
    publish(book.parent / "results", "emodb", "baseline")
    with pytest.raises(SercoreError, match="no cell of it is tagged `parameters`"):
        execute(book)


def notebook(**cell) -> nbformat.NotebookNode:
    cells = [nbformat.v4.new_markdown_cell("# Title"), nbformat.v4.new_code_cell("train()", execution_count=1)]
    cells[1].update(cell)
    return nbformat.v4.new_notebook(cells=cells)


def test_outputs_in_order_pass():
    chapters.check_outputs(notebook(), "live")
    chapters.check_outputs(notebook(source=" ", execution_count=None), "live")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ({"execution_count": None}, "it was not executed"),
        ({"metadata": {"papermill": {"exception": True}}}, "it failed"),
        ({"outputs": [nbformat.v4.new_output("error", ename="ValueError", evalue="no", traceback=[])]}, "ValueError: no"),
    ],
)
def test_a_cell_out_of_order_is_refused(cell, said):
    with pytest.raises(SercoreError, match=rf"chapter live, cell 2: {said}\n    train\(\)"):
        chapters.check_outputs(nbformat.from_dict(notebook(**cell)), "live")

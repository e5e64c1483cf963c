"""The study: lines that can be run, in their order, and nothing twice."""

import pandas as pd

from sercore import corpora
from sercore.lab import bundle, study, sweep, systems
from sercore.lab.experiment import configure, prepare
from sercore.report import findings


def test_lines_name_known_things_and_no_run_twice():
    names = [name for line in study.LINES for name in line.names()]
    assert len(names) == len(set(names))
    assert {line.corpus for line in study.LINES} <= set(corpora.names())
    for slug in {name.system for name in names}:
        systems.config(slug)
    assert [line.number for line in study.LINES] == sorted(line.number for line in study.LINES)
    assert len(study.LINES[0].names()) == 100


def test_runs_that_no_table_counts_are_looked_for_where_they_are_published(tmp_path):
    names = [str(name) for line in study.LINES if line.folder == study.WAY for name in line.names()]
    progress = findings.study_progress(pd.DataFrame({"run": names}))
    assert not progress["there"].any() and len(names) == 120
    progress = findings.study_progress(pd.DataFrame({"run": []}), {study.WAY: pd.DataFrame({"run": names})})
    assert progress["there"].sum() == 120
    assert findings.plan_sentence(progress).startswith("Of the study that is planned, 0 of 260 runs are in, and not one")
    assert set(findings.study_table(progress)["Line"]) == set(range(1, 11))


def test_a_line_that_there_is_not_is_refused(tmp_path, capsys):
    assert study.main(["--lines", "1,77", "--runs", str(tmp_path)]) == 2
    assert "the study has no line 77" in capsys.readouterr().err


def test_what_is_missing_is_run_from_its_bundle(tones, tmp_path, monkeypatch, capsys):
    bundle.write(str(tones), tmp_path / "tones.bundle")
    line = study.Line(1, "tones", "speaker", ("baseline", "combined"), (0,), "")
    found = []
    monkeypatch.setattr(sweep, "sweep_all", lambda plans, *_, **__: found.extend(plans) or sweep.Outcome(failed={}))
    assert study.run([line], tmp_path / "runs", tmp_path) == {}
    assert found[0].corpus == str(tmp_path / "tones.bundle") and list(found[0].names) == line.names()
    config = configure(prepare(str(tones)), "baseline").to_json()
    (tmp_path / "results").mkdir()
    monkeypatch.setenv("SERCORE_RESULTS", str(tmp_path / "results"))
    done = pd.DataFrame({"run": [str(name) for name in line.names()[:4]], "config": config})
    done.to_parquet(tmp_path / "results" / "runs.parquet")
    study.run([line], tmp_path / "runs", tmp_path)
    assert list(found[-1].names) == line.names()[4:] and "6 of 10 runs" in capsys.readouterr().out

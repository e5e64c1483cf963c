import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import fresh_process
import numpy as np
import pandas as pd
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from sercore import corpora
from sercore.__main__ import app, show
from sercore.corpora import protocol
from sercore.inference import prediction
from sercore.lab import bundle, records
from sercore.lab.systems import TABLE_1

QUICK = ["--set", "max_epochs=1", "--set", "clip_seconds=0.35", "--set", "toolkit=pytorch"]


def call(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


def test_help_names_every_command():
    text, commands = call("--help").output, typer.main.get_command(app).commands
    assert {"corpora", "run", "sweep", "publish", "predict"} < set(commands)
    for command in commands:
        assert f" {command} " in text and call(command, "--help").exit_code == 0


def test_idle_threads_are_told_to_wait_before_pytorch_comes_and_a_list_does_not_wait_for_it():
    code = (
        "import os, sys, sercore.__main__; from sercore import corpora; corpora.names()\n"
        "print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["passive", "False"]


def test_labelling_does_without_what_only_tables_need():
    code = "import sys, sercore.inference.prediction; print('pandas' in sys.modules, 'numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    "typed, expected",
    [
        ("check em", {"emodb", "emodb-spectra"}),
        ("sweep --systems baseline,comb", {"baseline,combined"}),
        ("run emodb sp", {"speaker"}),
        ("predict --model emo", {"emodb"}),
        ("run emodb speaker baseline --set clip", {"clip_seconds="}),
        ("check not-he", {"not-here.csv"}),
        ("check HERE/not", {"HERE/not-here.csv"}),
        ("check HERE/no-such/x", set()),
    ],
)
def test_the_tab_key_knows_names_and_files(typed, expected, tmp_path, monkeypatch):
    (tmp_path / "not-here.csv").touch()
    monkeypatch.chdir(tmp_path)
    typed, expected = typed.replace("HERE", str(tmp_path)), {each.replace("HERE", str(tmp_path)) for each in expected}
    environment = {"_SERCORE_COMPLETE": "complete_bash", "COMP_WORDS": f"sercore {typed}", "COMP_CWORD": str(len(typed.split()))}
    said = CliRunner().invoke(app, [], prog_name="sercore", env=environment)
    assert set(said.stdout.split()) == expected


def test_systems_lists_table_2_with_the_papers_numbers():
    rows = json.loads(call("systems", "--json").stdout)
    assert rows[0] == {
        "slug": "baseline",
        "table": 2,
        "paper_ua": 62.3,
        "paper_wa": 61.0,
        "parameters": 359_556,
        "source": "the paper",
    }
    assert len(rows) == 21 and {row["slug"] for row in rows if row["table"] == 1} == set(TABLE_1)
    assert all(row["parameters"] and row["source"] for row in rows)
    assert "ams-s30-m0.2" in call("systems").output


def test_corpora_are_listed():
    names = {row["name"] for row in json.loads(call("corpora", "--json").stdout)}
    assert {"iemocap", "nemo", "emodb", "ravdess", "cremad", "demo"} <= names


def test_what_failed_is_told_where_results_are_read(tones, tmp_path):
    name = records.RunName("tones", "speaker", "combined", 0, 1)
    tmp_path.joinpath("runs").mkdir()
    records.note_failure(tmp_path / "runs", name, "MemoryError: no room")
    said = call("results", tones, "--runs", tmp_path / "runs", "--results", tmp_path / "none")
    assert said.exit_code == 0 and f"failed, and in no row: 1 of its runs. It is {name}: MemoryError: no room" in said.output
    records.failure(tmp_path / "runs", name).write_text("[")
    said = call("results", tones, "--runs", tmp_path / "runs", "--results", tmp_path / "none")
    assert said.exit_code == 2 and "this note of a failed run cannot be read" in said.output
    (tmp_path / "runs" / str(name)).mkdir()
    (tmp_path / "runs" / str(name) / "run.json").touch()  # done since
    assert records.failures(tmp_path / "runs", "tones") == []


def test_notes_of_a_corpus_whose_name_begins_as_anothers_are_not_its_own(tmp_path):
    for corpus in ("tones", "tones-spectra"):
        records.note_failure(tmp_path, records.RunName(corpus, "speaker", "baseline", 0, 0), "no room")
    assert [note["run"] for note in records.failures(tmp_path, "tones")] == ["tones-speaker-baseline-seed0-fold0"]


@pytest.mark.parametrize("command", ["results", "status"])
def test_a_path_that_is_not_there_is_told_where_runs_are(command, tmp_path):
    records.note_failure(tmp_path, records.RunName("tones", "speaker", "baseline", 0, 0), "no room")
    said = call(command, tmp_path / "typo", "--runs", tmp_path, "--results", tmp_path / "none")
    assert said.exit_code == 2 and "typo" in said.output and "Traceback" not in said.output


def test_run_publish_status_and_predict_as_a_user_would(tones, tmp_path):
    runs, results = tmp_path / "runs", tmp_path / "results"
    ran = call("run", tones, "speaker", "baseline", "--fold", 1, "--runs", runs, *QUICK)
    assert ran.exit_code == 0 and "UA" in ran.output and "chosen on validation" in ran.output
    facts = json.loads(call("run", tones, "speaker", "baseline", "--fold", 1, "--runs", runs, "--json", *QUICK).stdout)
    assert facts["fold"] == 1
    assert "it was there already" in call("run", tones, "speaker", "baseline", "--fold", 1, "--runs", runs, *QUICK).output
    for settings, column in ((QUICK, "finished"), ([], "otherwise")):
        said = call("status", tones, "--systems", "baseline", "--protocols", "speaker", "--runs", runs, "--json", *settings)
        assert json.loads(said.stdout)[0][column] == 1
    by_name = call("status", "tones", "--systems", "baseline", "--protocols", "speaker", "--runs", runs, "--json", *QUICK)
    assert json.loads(by_name.stdout)[0]["finished"] == 1
    assert call("status", "tones", "--runs", tmp_path / "none").exit_code == 2
    early = call("publish", "--runs", runs, "--results", results)
    assert early.exit_code == 2 and facts["run"] in early.output and "sercore sweep" in early.output
    assert call("sweep", "--corpus", tones, "--systems", "baseline", "--runs", runs, *QUICK).exit_code == 0
    assert call("publish", "--runs", runs, "--results", results).exit_code == 0
    status = json.loads(
        call(
            "status",
            tones,
            "--systems",
            "claims",
            "--protocols",
            "speaker",
            "--runs",
            runs,
            "--results",
            results,
            "--json",
            *QUICK,
        ).stdout
    )
    assert [row["published"] for row in status] == [5, 0, 0, 0] and status[1]["missing"] == 5
    grid = ("--systems", "baseline", "--protocols", "speaker", "--runs", runs, "--results", results)
    assert json.loads(call("status", tones, *grid, "--json").stdout)[0]["otherwise"] == 5  # by the settings of a usual training
    left = call("sweep", "--corpus", tones, *grid, "--skip-published", *QUICK)
    assert left.exit_code == 0 and "5 of 5 runs are published and left out" in left.output and "to do" not in left.output
    wave = next(tones.parent.glob("*.wav"))
    labelled = json.loads(call("predict", wave, "--model", runs / facts["run"], "--json").stdout)
    assert labelled[0]["label"] in facts["classes"]
    assert sum(labelled[0][label] for label in facts["classes"]) == pytest.approx(1, abs=1e-5)


def test_a_fold_that_cannot_be_learnt_or_tested_is_named(tones, tmp_path):
    table = pd.read_csv(tones).assign(path=lambda t: [str(tones.parent / path) for path in t["path"]])
    listing = tmp_path / "rare.csv"
    table[(table["label"] != "sad") | (table["speaker"] == "s0")].to_csv(listing, index=False)
    folds = protocol.splits(corpora.load(str(listing)), "speaker").merge(table.rename(columns={"path": "id"}), on="id")
    test, train = (
        folds.loc[(folds["speaker"] == "s0") & (folds["part"] == part), "fold"].iat[0] for part in ("test", "validation")
    )
    checked = call("check", listing)
    assert checked.exit_code == 1 and f"no sad in the train part of fold {test}" in checked.output
    failed = call("run", listing, "speaker", "baseline", "--fold", test, "--runs", tmp_path / "runs", *QUICK)
    assert failed.exit_code == 2 and f"no sad in the training part of fold {test}" in failed.output
    other = next(fold for fold in range(5) if fold not in (test, train))
    ran = call("run", listing, "speaker", "baseline", "--fold", other, "--runs", tmp_path / "runs", *QUICK)
    assert ran.exit_code == 0 and "the test part has no sad" in ran.output


def test_check_exits_1_where_something_is_wrong(tones, tmp_path):
    assert call("check", tones).exit_code == 0
    (tmp_path / "table.csv").write_text("path,label\nbad.wav,sad\ngood.wav,happy\n")
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    shutil.copy(next(tones.parent.glob("*.wav")), tmp_path / "good.wav")
    checked = call("check", tmp_path / "table.csv")
    assert checked.exit_code == 1 and "bad.wav" in checked.output


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["run", "emodbb", "speaker", "baseline"], "emodb"),
        (["run", "TONES", "random", "baseline"], "unknown protocol"),
        (["run", "TONES", "speaker", "amsoftmax"], "unknown system"),
        (["run", "TONES", "speaker", "basline"], "did you mean baseline?"),
        (["run", "TONES", "speaker", "baseline", "--set", "epochs=3"], "unknown settings: epochs"),
        (["run", "TONES", "speaker", "baseline", "--set", "epochs"], "write setting=value"),
        (["predict", "absent.wav", "--model", "nowhere.pt"], "nowhere.pt"),
        (["publish", "--runs", "nowhere"], "no finished run"),
        (["run", "TONES", "speaker", "baseline", "--seed", "-1"], "seeds are numbers from 0"),
        (["run", "TONES", "speaker", "baseline", "--runs", "/proc/nowhere"], "/proc/nowhere"),
        (["run", "no/such/table.csv", "speaker", "baseline"], "no such file"),
        (["run", "README.md", "speaker", "baseline"], "neither a folder nor a .csv"),
        (["sweep", "--corpus", "TONES", "--dask", "tcp://127.0.0.1:1"], "no Dask scheduler answers"),
        (["export", "model.txt"], "ends in .onnx"),
        (["chapters", "--book", "tests", "--corpus", "TONES"], "is tests the folder of the book?"),
    ],
)
def test_bad_input_is_told_in_one_line_without_a_traceback(tones, arguments, message):
    done = call(*(str(tones) if part == "TONES" else part for part in arguments))
    assert done.exit_code == 2 and message in done.stderr and isinstance(done.exception, SystemExit)


def test_bad_input_of_a_process_of_its_own_ends_alike(tones):
    done = fresh_process.run("-m", "sercore", "run", tones, "random", "baseline")
    assert done.returncode == 2 and "unknown protocol" in done.stderr and "Traceback" not in done.stderr


def test_a_corpus_without_speakers_is_refused_before_the_first_training_and_told_what_is_possible(tones, tmp_path):
    table = pd.read_csv(tones).drop(columns="speaker").assign(path=lambda t: [str(tones.parent / path) for path in t["path"]])
    table.to_csv(tmp_path / "nameless.csv", index=False)
    asked = (
        "--corpus",
        tmp_path / "nameless.csv",
        "--systems",
        "baseline",
        "--protocols",
        "paper,speaker",
        "--runs",
        tmp_path / "runs",
    )
    done = call("sweep", *asked, *QUICK)
    assert done.exit_code == 2 and done.output.count("protocol `paper`") == 1 and not (tmp_path / "runs").exists()
    assert "0: only the protocols paper and leaky" in call("check", tmp_path / "nameless.csv").output.replace(" (none)", "")


def test_silence_and_what_a_folder_holds_beside_audio_are_named(tones, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "click.wav", np.ones(160), 16_000)
    (tmp_path / "notes.txt").write_text("loud")
    done = call("predict", tmp_path)
    assert done.exit_code == 0 and "silent.wav: silent" in done.output and "click.wav: only 0.01 s" in done.output
    assert "passed over: not audio: *.txt 1" in done.output


NAMES = ["Interview [dQw4w9WgXcQ].wav", ":smile:.wav", "a [/b].wav", "[red]x.wav", "日本語 & ß.wav"]


def test_file_names_are_no_markup(tones, tmp_path):
    (tmp_path / "a [").mkdir()
    for name in NAMES:
        shutil.copy(next(tones.parent.glob("*.wav")), tmp_path / name)
    (tmp_path / "[bold]bad.wav").write_bytes(b"no sound")
    done = call("predict", tmp_path)
    assert done.exit_code == 1
    assert all(f"{tmp_path / name} " in done.stdout for name in NAMES) and "[bold]bad.wav" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_the_letters_of_a_name_shows_their_numbers(tones, tmp_path, encoding):
    shutil.copy(next(tones.parent.glob("*.wav")), tmp_path / "日本語.wav")
    command = [sys.executable, "-m", "sercore", "predict", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
    assert done.returncode == 0 and b"\\u65e5\\u672c\\u8a9e.wav" in done.stdout, done.stderr


def test_json_is_json_where_a_class_is_missing(tones, tmp_path):
    table = pd.read_csv(tones, dtype=str)
    rare = table.assign(path=[str(tones.parent / path) for path in table["path"]])
    rare.loc[rare.index[:2], "label"] = "rare"  # in the test part of two folds at most
    rare.to_csv(tmp_path / "rare.csv", index=False)
    for fold in range(5):
        done = call(
            "run", tmp_path / "rare.csv", "paper", "baseline", "--fold", fold, "--runs", tmp_path / "runs", "--json", *QUICK
        )
        if done.exit_code == 0 and None in json.loads(done.stdout, parse_constant=pytest.fail)["recall"]:
            record = next((tmp_path / "runs").glob(f"*fold{fold}/run.json")).read_text()
            json.loads(record, parse_constant=pytest.fail)
            assert "no rare" in done.stderr
            break
    else:
        pytest.fail("every test part has the class")


def test_ctrl_c_ends_a_sweep_of_several_processes(tones, tmp_path):
    options = ["--corpus", str(tones), "--systems", "baseline", "--runs", str(tmp_path), "--jobs", "2", "--set", "max_epochs=500"]
    command = [sys.executable, "-m", "sercore", "sweep", *options]
    hears = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background does not
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=hears)
    deadline = time.time() + 90
    while not list(tmp_path.glob("*.partial/checkpoint.pt")) and time.time() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130 and "the same command goes on" in said and "Traceback" not in said
    assert not list(tmp_path.glob("*/run.json"))


def test_labels_in_every_form(tones, tmp_path):
    files = sorted(tones.parent.glob("angry-*.wav"))[:2]
    rows = json.loads(call("predict", *files, "--format", "json").stdout)
    lines = [json.loads(line) for line in call("predict", *files, "--format", "jsonl").stdout.splitlines()]
    assert rows == lines and [row["file"] for row in rows] == [str(file) for file in files]
    table = pd.read_csv(io.StringIO(call("predict", *files, "--format", "csv").stdout))
    assert table["label"].tolist() == [row["label"] for row in rows] and list(table.columns) == list(rows[0])
    parts = json.loads(call("predict", files[0], "--windows", "--json").stdout)
    assert len(parts) == 1 and (parts[0]["begin"], parts[0]["end"]) == (0, 0.5)
    heard = CliRunner().invoke(app, ["predict", "-", "--json"], input=files[0].read_bytes())
    own = json.loads(heard.stdout)[0]
    assert own["file"] == "-" and {**own, "file": rows[0]["file"]} == rows[0]
    wrong = call("predict", files[0], "--format", "xml")
    assert wrong.exit_code == 2 and "--format xml: there are table, json, jsonl and csv" in wrong.output


def test_a_bad_file_does_not_keep_the_others_from_their_labels(tones, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    good = str(next(tones.parent.glob("*.wav")))
    (tmp_path / "empty").mkdir()
    done = call("predict", tmp_path / "bad.wav", good, tmp_path / "empty")
    assert done.exit_code == 1 and good in done.output
    assert f"not audio: {tmp_path / 'bad.wav'} (" in done.output
    assert f"no audio file in this folder: {tmp_path / 'empty'}" in done.output


def test_labels_come_as_they_are_made_and_what_is_made_is_kept(tones, tmp_path, monkeypatch):
    first, *others = sorted(tones.parent.rglob("*.wav"))[:3]
    shown = []

    def labelled(self, *given, **named):
        for file in (first, *others):
            shown.append(capture())
            yield str(file), classifier.predict(np.zeros(8_000), 16_000)
        raise KeyboardInterrupt

    classifier, label = prediction.Classifier(members=1), prediction.Classifier.label
    with monkeypatch.context() as patch:
        patch.setattr(prediction.Classifier, "label", labelled)
        for form, lines in (("csv", 4), ("jsonl", 3), ("table", 4)):
            written = io.StringIO()
            capture = written.getvalue
            patch.setattr(sys, "stdout", written)
            with pytest.raises(SystemExit) as ended:
                app(["predict", str(first), "--format", form, "--members", "1"])
            assert ended.value.code == 130 and len(written.getvalue().splitlines()) == lines
            if form != "table":
                assert [bool(text.count("\n")) for text in shown[-3:]] == [form == "csv", True, True]
    assert label is prediction.Classifier.label


def test_an_empty_name_is_neither_this_folder_nor_the_default(tones):
    for arguments in (["predict", ""], ["predict", tones, "--model", ""]):
        done = call(*arguments)
        assert done.exit_code == 2 and "an empty name is no" in done.output and "wav" not in done.output


def test_a_full_disk_is_told_in_one_line():
    if not os.path.exists("/dev/full"):
        pytest.skip("NO /dev/full on this system")
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "sercore", "corpora"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "sercore: No space left on device\n")


def test_a_film_is_named_with_what_makes_sound_of_it(tones, tmp_path):
    shutil.copy(next(tones.parent.rglob("*.wav")), tmp_path / "a.wav")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom" + bytes(60))
    (tmp_path / "film.avi").write_bytes(b"RIFF\0\1\0\0AVI LIST" + bytes(60))
    done = call("predict", tmp_path, "--members", "1")
    assert done.exit_code == 1 and "ffmpeg -i film.mp4" in done.output and "an AVI film" in done.output and "a.wav" in done.output


def test_a_sweep_says_once_why_its_runs_failed_and_leaves_no_locks(tones, tmp_path):
    done = call("sweep", "--corpus", tones, "--systems", "baseline", "--runs", tmp_path, "--device", "tpu")
    assert done.exit_code == 1 and done.output.count("unknown device") == 1 and "fold0" in done.output and "fold4" in done.output
    assert "0 runs done" in done.output and "0 were there before, 5 failed" in done.output
    left = [path.name for path in tmp_path.iterdir() if not path.name.endswith(".failed.json")]
    assert left == ["sweep.log"]
    rows = json.loads(
        call("status", tones, "--systems", "baseline", "--protocols", "speaker", "--runs", tmp_path, "--json").stdout
    )
    assert rows[0]["failed"] == 5 and rows[0]["missing"] == 0


def test_python_api_of_the_readme(tones, tmp_path):
    import sercore

    assert sercore.build("baseline").num_parameters() == 359_556 and sercore.build("combined").num_parameters() == 359_812
    assert len(sercore.load(str(tones))) == 40
    folder = sercore.run(str(tones), "speaker", "baseline", runs=tmp_path, overrides={"max_epochs": 1, "clip_seconds": 0.35})
    wave = str(next(tones.parent.glob("*.wav")))
    for _ in range(2):  # a module must not take the function's place
        assert len(sercore.predict([wave, wave], model=folder)) == 2


# ---- names that would steer the terminal

STEERS = "\x1b[31mred\x1b]0;t\x07\u202e"
SEEN = r"\x1b[31mred\x1b]0;t\x07\u202e"


def test_no_name_of_a_file_a_label_or_a_speaker_steers_the_terminal(tmp_path):
    soundfile.write(tmp_path / f"{STEERS}.wav", np.zeros(8000), 16_000)
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(8000) / 5), 16_000)
    table = pd.DataFrame({"path": ["a.wav", f"{STEERS}.wav"], "label": ["a", f"l{STEERS}"], "speaker": f"s{STEERS}"})
    table.to_csv(tmp_path / "list.csv", index=False)
    done = call("check", tmp_path / "list.csv")
    assert done.exit_code == 1 and not {"\x1b", "\x07", "\u202e"} & set(done.output)
    for said in (f"l{SEEN} 1", f"s{SEEN} 2", f"silent: {tmp_path}/{SEEN}.wav"):
        assert said in done.output
    (tmp_path / "list.csv").rename(tmp_path / f"{STEERS}.csv")
    named = call("check", tmp_path / f"{STEERS}.csv")
    assert (
        named.exit_code == 2 and f"{SEEN}.csv': its name holds control characters" in named.output and "\x1b" not in named.output
    )
    other = call("predict", tmp_path / f"{STEERS}.not-there")
    assert other.exit_code == 1 and f"{SEEN}.not-there" in other.output and "\x1b" not in other.output


@pytest.mark.parametrize("words", [[STEERS], [f"--{STEERS}"], ["run", f"--{STEERS}"]])
def test_a_wrong_call_is_quoted_letter_by_letter(words):
    done = call(*words)
    assert done.exit_code == 2 and not {"\x1b", "\x07", "\u202e"} & set(done.output)
    assert r"\x1b[31mred" in done.output


def test_a_wrong_call_of_a_module_too(capsys):
    with pytest.raises(SystemExit):
        bundle.main(["a.bundle", f"--{STEERS}"])
    said = capsys.readouterr().err
    assert f"--{SEEN}" in said and "\x1b" not in said


def test_a_table_shows_every_letter_and_a_csv_has_no_formula_in_its_header(capsys):
    rows = [{"file": STEERS, "=cmd|' /C calc'!A0": 0.5}]
    show(rows, False)
    assert SEEN in capsys.readouterr().out
    show(rows, False, as_csv=True)
    assert capsys.readouterr().out == f"file,'=cmd|' /C calc'!A0\n{SEEN},0.5\n"

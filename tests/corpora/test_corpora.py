import dataclasses
import os

import numpy as np
import pandas as pd
import pytest
import soundfile
from recordings import READABLE, UNREADABLE, write

from sercore import corpora
from sercore.corpora import COLUMNS, LABELS, Corpus, base, clip_rule, find_root, get, load, names
from sercore.corpora.check import check
from sercore.errors import SercoreError
from sercore.evidence import results, rule
from sercore.frontend import audio
from sercore.frontend.inputs import extract
from sercore.lab import experiment
from sercore.places import PROJECT


def iemocap(root):
    evaluation = root / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    evaluation.parent.mkdir(parents=True)
    turns = zip(("F000", "M000", "F001", "M001"), ("ang", "exc", "sad", "neu"), strict=True)
    evaluation.write_text("".join(f"[1.0 - 2.0]\tSes01F_impro01_{turn}\t{label}\t[1, 1, 1]\n" for turn, label in turns))
    folder = root / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    return [write(folder / f"Ses01F_impro01_{turn}.wav") for turn in ("F000", "M000", "F001", "M001")]


def nemo(root):
    rows = [("AA0", emotion, gender) for emotion in ("anger", "happiness", "sadness", "neutral", "fear") for gender in ["male"]]
    lines = [f'{s}_{e}_7.wav\t{e}\tEine "Zeile\tx\t    {s}\t{g}\t30' for s, e, g in rows]
    root.mkdir(parents=True)
    header = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"
    (root / "data.tsv").write_text("\n".join([header, *lines]) + "\n", "utf-8")
    return [write(root / "samples" / f"{s}_{e}_7.wav") for s, e, _ in rows if e != "fear"]


def emodb(root):
    write(root / "wav" / "08b10La.wav")
    return [write(root / "wav" / f"08b10{letter}a.wav") for letter in "WFTN"]


def ravdess(root):
    for name in ("03-01-02-01-01-01-02", "03-02-05-01-01-01-02"):
        write(root / "Actor_02" / f"{name}.wav")
    return [write(root / "Actor_02" / f"03-01-{code}-02-01-01-02.wav") for code in ("05", "03", "04", "01")]


def cremad(root):
    root.mkdir(parents=True)
    (root / "VideoDemographics.csv").write_text('"ActorID","Age","Sex"\n1001,51,"Male"\n1002,21,"Female"\n')
    write(root / "AudioWAV" / "1002_DFA_FEA_XX.wav")
    return [write(root / "AudioWAV" / f"1002_DFA_{code}_XX.wav") for code in ("ANG", "HAP", "SAD", "NEU")]


def folder(root):
    (root / "angry").mkdir(parents=True)
    (root / "angry" / "notes.txt").write_text("nothing")
    return [write(root / label / "one.wav") for label in LABELS]


def listing(root):
    paths = [write(root / "sounds" / f"{label}.wav") for label in LABELS]
    rows = "".join(f"sounds/{label}.wav,{label},female,A\n" for label in LABELS)
    (root / "table.csv").write_text("path,label,gender,speaker\n" + rows)
    return paths


TREES = {  # corpus to ask for, builder of four utterances, gender and speaker, what is left out
    "iemocap-improvised": (iemocap, {"f", "m"}, {"Ses01F", "Ses01M"}, {}),
    "nemo": (nemo, {"m"}, {"AA0"}, {"label fear": 1}),
    "emodb": (emodb, {"f"}, {"08"}, {"label boredom": 1}),
    "ravdess": (ravdess, {"f"}, {"02"}, {"label calm": 1, "not speech (song or video)": 1}),
    "cremad": (cremad, {"f"}, {"1002"}, {"label fear": 1}),
    "folder": (folder, {""}, {""}, {"not audio: *.txt": 1}),
    "listing": (listing, {"f"}, {"A"}, {}),
}


def grow(name, tmp_path):
    """The name to load a tiny corpus by, and its four files."""
    root = tmp_path / name
    paths = TREES[name][0](root)
    asked = {"folder": root, "listing": root / "table.csv"}.get(name, name)
    return asked, paths


@pytest.mark.parametrize("name", TREES)
def test_tiny_tree(tmp_path, name):
    asked, paths = grow(name, tmp_path)
    table = load(asked, tmp_path)
    assert list(table.columns) == list(COLUMNS)
    assert table.set_index("path").label.to_dict() == {str(p): label for p, label in zip(paths, LABELS, strict=True)}
    assert list(table.id) == sorted(table.id) and table.id.is_unique
    assert table.duration.tolist() == [0.5] * 4
    _, genders, speakers, dropped = TREES[name]
    assert set(table.gender) == genders and set(table.speaker) == speakers
    assert table.attrs["dropped"] == dropped
    assert not table.isna().any(axis=None)


@pytest.mark.parametrize("kind", READABLE)
@pytest.mark.parametrize("name", TREES)
def test_unusual_recordings_are_read(tmp_path, name, kind):
    asked, paths = grow(name, tmp_path)
    READABLE[kind](paths[1])
    table = load(asked, tmp_path)
    assert table.duration.tolist() == [0.5] * 4
    assert audio.read(paths[1]).shape == (8000,)


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("name", TREES)
def test_all_bad_recordings_in_one_error(tmp_path, name, kind):
    asked, paths = grow(name, tmp_path)
    UNREADABLE[kind](paths[1])
    UNREADABLE[kind](paths[3])
    with pytest.raises(SercoreError) as error:
        load(asked, tmp_path)
    assert str(paths[1]) in str(error.value) and str(paths[3]) in str(error.value)


@pytest.mark.parametrize("name", TREES)
def test_other_suffixes_and_hidden_files(tmp_path, name):
    asked, paths = grow(name, tmp_path)
    if name != "listing":
        write(paths[0].with_suffix(".flac"))
        paths[0].unlink()
    hidden = paths[1].with_name(f"._{paths[1].name}")
    hidden.write_bytes(b"\0")
    table = load(asked, tmp_path)
    assert len(table) == 4 and str(hidden) not in set(table.path)


@pytest.mark.parametrize("name", ["emodb", "nemo", "ravdess", "cremad"])
def test_one_utterance_in_two_files(tmp_path, name):
    asked, paths = grow(name, tmp_path)
    write(paths[0].with_suffix(".flac"))
    with pytest.raises(SercoreError, match="more than once") as error:
        load(asked, tmp_path)
    assert len(error.value.offenders) == 2


def test_names_that_a_corpus_does_not_have_are_counted(tmp_path):
    paths = emodb(tmp_path / "emodb")
    for name in ("mine", "08a01Xa"):
        write(paths[0].with_name(f"{name}.wav"))
    dropped = load("emodb", tmp_path).attrs["dropped"]
    assert dropped == {"label boredom": 1, "unknown file name": 1, "unknown label X": 1}


def test_nemo_names_clips_that_are_missing(tmp_path):
    nemo(tmp_path / "nemo")[2].unlink()
    with pytest.raises(SercoreError, match="AA0_sadness_7"):
        load("nemo", tmp_path)
    (tmp_path / "nemo" / "data.tsv").unlink()
    with pytest.raises(SercoreError, match=r"data.tsv"):
        load("nemo", tmp_path)


def test_cremad_without_its_table_of_actors(tmp_path):
    cremad(tmp_path / "cremad")
    (tmp_path / "cremad" / "VideoDemographics.csv").unlink()
    assert set(load("cremad", tmp_path).gender) == {""}


# where corpora lie


def test_data_roots_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("SERCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SERCORE_DATA", str(tmp_path / "data"))
    cached, given, argued = tmp_path / "cache" / "corpora", tmp_path / "data", tmp_path / "argued"
    for root in (cached, given, argued):
        with pytest.raises(SercoreError, match="sercore fetch emodb"):
            find_root("emodb", argued)
        emodb(root / "emodb")
        assert find_root("emodb") == (cached if root == cached else given) / "emodb"
    assert find_root("emodb", argued) == argued / "emodb"


@pytest.mark.parametrize("folder", ["emodb", "EmoDB", "Emo-DB", "."])
def test_its_own_folder_under_other_names_or_the_root_itself(tmp_path, folder):
    emodb(tmp_path / folder)
    assert len(load("emodb", tmp_path)) == 4


def test_not_found_says_what_was_looked_for_where(tmp_path, monkeypatch):
    monkeypatch.setenv("SERCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SERCORE_DATA", str(tmp_path / "none"))
    with pytest.raises(SercoreError) as error:
        load("cremad")
    for part in ("cremad or crema-d", f"{tmp_path / 'none'} (no such folder)", str(tmp_path / "cache"), "sercore fetch"):
        assert part in str(error.value)


def test_an_empty_folder_is_no_corpus(tmp_path):
    (tmp_path / "emodb").mkdir()
    with pytest.raises(SercoreError, match="no utterance of EmoDB"):
        load("emodb", tmp_path)


# names and entries


def test_names_and_close_matches():
    assert {"cremad", "demo", "emodb", "iemocap", "iemocap-improvised", "iemocap-scripted", "nemo", "ravdess"} <= {*names()}
    assert names() == tuple(sorted(names()))
    with pytest.raises(SercoreError, match="did you mean ravdess"):
        get("RAVDES")
    with pytest.raises(SercoreError, match="There are cremad, cremad-spectra, demo"):
        get("nothing-like-it")


@pytest.mark.parametrize("name", names())
def test_every_entry_is_complete(name):
    corpus = get(name)
    assert corpus.labels == LABELS and corpus.clip_seconds
    assert corpus.title and corpus.language and corpus.kind and corpus.licence and corpus.url
    assert (corpus.marker and (corpus.source or corpus.obtain)) or corpus.make or (corpus.spectra and corpus.obtain)
    assert corpus.citation or corpus.kind == "synthetic"


def test_a_new_corpus_is_one_entry(tmp_path, monkeypatch):
    corpora.names()  # finds them, before the copy is made
    monkeypatch.setattr(corpora, "_registered", dict(corpora._registered))
    new = dataclasses.replace(
        get("emodb"), name="mine", adapter=lambda root: base.table([dict(id="a", path=root / "a.wav", label="sad")])
    )
    corpora.register(new)
    write(tmp_path / "mine" / "a.wav")
    assert "mine" in names() and load("mine", tmp_path).label.tolist() == ["sad"]
    with pytest.raises(SercoreError, match="two corpora"):
        corpora.register(new)


@pytest.mark.parametrize(
    "name, rule",
    [("emodb", (200, 100)), ("nemo", (100, 18)), ("cremad", (100, 12)), ("iemocap", (100, 10))],
)
def test_length_rule_is_what_the_entries_were_set_by(name, rule):
    corpus = get(name)
    assert base.length_rule(sum(corpus.counts)) == (corpus.max_epochs, corpus.patience) == rule


def test_a_small_corpus_is_trained_as_long_as_the_pilot_says():
    curves = results.pilot(PROJECT / "results")
    assert curves is not None
    table = rule.compared(curves).set_index(["corpus", "arm"])
    arm = rule.chosen(table.reset_index())
    ravdess, emodb = get("ravdess"), get("emodb")
    assert (ravdess.max_epochs, ravdess.patience) == (table.loc[("ravdess", arm), "epochs"],) * 2
    assert emodb.max_epochs >= table.loc[("emodb", arm), "epochs"]
    assert base.length_rule(sum(ravdess.counts))[0] >= ravdess.max_epochs


def test_an_adapter_need_not_sort(tones):
    def unsorted(_root):
        return corpora.adapted(entry, tones).sort_values("path", ascending=False).sample(frac=1, random_state=0)

    entry = get(tones)
    shuffled = load(dataclasses.replace(entry, adapter=unsorted))
    pd.testing.assert_frame_equal(shuffled, load(entry))


def test_utterances_that_are_elsewhere_are_named(tones):
    prepared = experiment.prepare(tones)
    ids = list(prepared.data.inputs.ids)
    assert prepared.rows(ids[3:5]).tolist() == [3, 4]
    with pytest.raises(SercoreError, match="nobody"):
        prepared.rows([ids[0], "nobody"])
    turned = dataclasses.replace(prepared.data.inputs, ids=np.array(ids[::-1], dtype=object))  # as a bundle may have them
    prepared = dataclasses.replace(prepared, data=dataclasses.replace(prepared.data, inputs=turned))
    assert prepared.rows(ids[3:5]).tolist() == [len(ids) - 4, len(ids) - 5]


def test_a_corpus_that_states_no_length_is_trained_by_its_size(tones):
    prepared = experiment.prepare(tones)
    assert (prepared.corpus.max_epochs, prepared.corpus.patience) == (None, None)
    config = experiment.configure(prepared, "baseline")
    assert (config.max_epochs, config.patience) == base.length_rule(40) == (200, 100)
    stated = dataclasses.replace(prepared, corpus=dataclasses.replace(prepared.corpus, max_epochs=7, patience=3))
    assert experiment.configure(stated, "baseline").max_epochs == 7


def test_what_an_adapter_gives_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "_registered", dict(corpora._registered))
    (tmp_path / "mine").mkdir()
    rows = [dict(id=label, path=tmp_path / f"{label}.wav", label=label) for label in ("sad", "Angry", "bored")]
    corpora.register(dataclasses.replace(get("emodb"), name="mine", adapter=lambda root: base.table(rows)))
    with pytest.raises(
        SercoreError, match=r"(?s)labels that .* does not have \(angry, happy, sad, neutral\) \(2\).*Angry: .*bored: "
    ):
        load("mine", tmp_path)
    bare = dataclasses.replace(get("emodb"), adapter=lambda root: pd.DataFrame(rows))
    with pytest.raises(SercoreError, match=r"(?s)must give.*gender.*sentence"):
        load(dataclasses.replace(bare, name="mine"), tmp_path)
    with pytest.raises(SercoreError, match="small letters, digits and hyphens"):
        corpora.register(dataclasses.replace(get("emodb"), name="My Corpus"))


def test_clip_rule():
    assert clip_rule([1.0] * 95 + [9.0] * 5) == 1.0
    assert clip_rule([1.0] * 94 + [1.01] + [9.0] * 5) == 1.5
    assert clip_rule([3.2]) == 3.5
    durations = np.random.default_rng(0).gamma(4, 0.7, 1000)
    assert (durations <= clip_rule(durations)).mean() >= 0.95 > (durations <= clip_rule(durations) - 0.5).mean()


# your own files


def test_labels_of_ones_own(tmp_path):
    for label in ("calm", "angry", "bored"):
        write(tmp_path / "set" / label / "deeper" / "a.flac")
    corpus = get(tmp_path / "set")
    assert isinstance(corpus, Corpus) and corpus.labels == ("angry", "bored", "calm") and corpus.name == "set"
    assert list(load(str(tmp_path / "set")).id) == [f"{label}/deeper/a.flac" for label in ("angry", "bored", "calm")]
    write(tmp_path / "emodb" / "sad" / "a.wav")
    write(tmp_path / "emodb" / "angry" / "a.wav")
    assert get(tmp_path / "emodb").labels == ("angry", "sad")
    assert get(tmp_path / "emodb").name == "emodb-files"


@pytest.mark.parametrize("stem, name", [("Meine Tabelle Ä", "meine-tabelle-a"), ("My_Data.v2", "my-data-v2"), ("語", "corpus")])
def test_the_name_of_ones_own_files_fits_pages_and_files(tmp_path, stem, name):
    write(tmp_path / "a.wav")
    (tmp_path / f"{stem}.csv").write_text("path,label,id\na.wav,calm,1\na.wav,sad,2\n")
    assert get(tmp_path / f"{stem}.csv").name == name


def test_files_outside_the_sub_folders_are_counted(tmp_path):
    folder(tmp_path / "set")
    write(tmp_path / "set" / "stray.wav")
    assert load(tmp_path / "set").attrs["dropped"]["unknown label: file outside the sub-folders"] == 1


def test_a_known_corpus_by_its_path_is_not_a_folder_of_labels(tmp_path):
    emodb(tmp_path / "berlin")
    with pytest.raises(SercoreError, match="ask for 'emodb'"):
        get(tmp_path / "berlin")


@pytest.mark.parametrize("suffix, comma", [("csv", ","), ("tsv", "\t")])
def test_table_with_every_column(tmp_path, suffix, comma):
    write(tmp_path / "a.wav")
    outside = write(tmp_path / "elsewhere" / "b.wav")
    rows = [
        ["id", "path", "label", "speaker", "session", "gender", "sentence", "remark"],
        ["007", "a.wav", "happy", "01", "s1", "Female", "hello", "x"],
        ["NA", str(outside), " sad ", "02", "s2", "M", "", "y"],
    ]
    path = tmp_path / f"table.{suffix}"
    path.write_text("\n".join(map(comma.join, rows)), "utf-8-sig")
    table = load(path)
    assert table.id.tolist() == ["007", "NA"] and table.speaker.tolist() == ["01", "02"]
    assert table.gender.tolist() == ["f", "m"] and table.label.tolist() == ["happy", "sad"]
    assert table.session.tolist() == ["s1", "s2"] and table.sentence.tolist() == ["hello", ""]


def test_every_bad_row_in_one_error(tmp_path):
    write(tmp_path / "a.wav")
    rows = ["id,path,label,gender", "1,a.wav,sad,f", "2,none.wav,sad,f", "3,a.wav,,f", "1,a.wav,sad,x", ",,sad,f"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    with pytest.raises(SercoreError) as error:
        load(tmp_path / "t.csv")
    assert list(error.value.offenders) == [
        "line 2: id 1 more than once", "line 3: no file none.wav", "line 4: empty label", "line 5: id 1 more than once",
        "line 5: gender 'x' is not f, m or empty", "line 6: empty path", "line 6: empty id",
    ]  # fmt: skip


def test_lines_are_counted_as_an_editor_does_and_a_comma_too_many_is_none(tmp_path):
    write(tmp_path / "a.wav")
    (tmp_path / "t.csv").write_text("id,path,label\n1,a.wav,sad,\n\n2,a.wav,calm,\n")
    assert load(tmp_path / "t.csv").id.tolist() == ["1", "2"]
    (tmp_path / "t.csv").write_text("id,path,label\n1,a.wav,sad\n\n2,none.wav,calm\n")
    with pytest.raises(SercoreError, match="line 4: no file none.wav"):
        load(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("id,path,label\n1,a.wav,sad,f,\n2,a.wav,calm\n")
    with pytest.raises(SercoreError, match=r"more fields than its first line has \(1\):\n  line 2: f"):
        load(tmp_path / "t.csv")


@pytest.mark.parametrize("text, says", [
    ("path,emotion\na.wav,sad\n", "missing columns"), ("", "is empty"), ("path,label\na.wav,sad\n", "two or more"),
    ("path,label\na.wav,sad,1,2\nb\n\"", "not a table"), (None, "no such file"),
])  # fmt: skip
def test_tables_that_are_none(tmp_path, text, says):
    write(tmp_path / "a.wav")
    if text is not None:
        (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SercoreError, match=says):
        get(tmp_path / "t.csv")


# the real ones

REAL = {  # angry, happy, sad, neutral; speakers; women among them; hours
    "nemo": ((749, 749, 769, 809), 9, {"EB0", "IC0", "KD0", "MK0"}, 2.11),
    "emodb": ((127, 71, 62, 79), 10, {"08", "09", "13", "14", "16"}, 0.26),
    "ravdess": ((192, 192, 192, 96), 24, {f"{number:02d}" for number in range(2, 25, 2)}, 0.69),
}


@pytest.mark.parametrize("name", REAL)
def test_real_corpus(corpora_root, name):
    try:
        table = load(name, corpora_root)
    except SercoreError as error:
        if "is not here" in str(error):
            pytest.skip(f"{name} not found under SERCORE_DATA")
        raise
    counts, speakers, women, hours = REAL[name]
    assert tuple((table.label == label).sum() for label in LABELS) == counts == get(name).counts
    assert table.speaker.nunique() == speakers
    assert set(table.speaker[table.gender == "f"]) == women
    assert set(table.gender) == {"f", "m"} and set(table.session) == {""} and table.sentence.all()
    assert table.duration.sum() / 3600 == pytest.approx(hours, abs=0.005)
    assert clip_rule(table.duration) == get(name).clip_seconds
    assert pd.Series(map(len, table.id)).gt(0).all() and table.id.is_monotonic_increasing


def test_every_speaker_of_nemo_says_the_same_sentences(corpora_root):
    try:
        table = load("nemo", corpora_root)
    except SercoreError:
        pytest.skip("nemo not found under SERCORE_DATA")
    assert table[table.speaker != "MP0"].groupby(["speaker", "label"]).size().between(89, 90).all()
    assert table[table.speaker == "MP0"].groupby("label").size().to_dict() == dict(angry=29, happy=30, sad=49, neutral=90)


def test_file_names_that_are_no_text_are_named(tmp_path):
    for name in (b"a/1.wav", b"b/2.wav", b"b/\xff3.wav"):
        path = os.fsencode(tmp_path) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(write(tmp_path / "tone.wav").read_bytes())
    (tmp_path / "tone.wav").unlink()
    with pytest.raises(SercoreError, match=r"not UTF-8: rename them.*\n.*b/\\udcff3\.wav"):
        corpora.load(str(tmp_path))


def test_paths_are_those_that_loading_gives(tones):
    table = corpora.load(tones).set_index("id")["path"]
    assert corpora.paths(tones).sort_index().equals(table)


@pytest.mark.parametrize(
    "content, words",
    [
        ("path,label\n" + "x" * 200_000 + ",a\n", "line 2: field larger than field limit"),
        ("path,label\n" + "x" * 5000 + ",a\n", "line 2: no file x{500}\n"),
        ("path,label\na\0.wav,a\n", "line 2: no file a"),
        (",".join(["path", "label", *map(str, range(200_000))]) + "\n", "200002 columns"),
        ("path,label\na.wav," + "x" * 400 + "\n", "line 2: a label of more than 300 letters"),
        ("path,label,sentence\na.wav,a," + "x" * 5000 + "\n", "line 2: a field of more than 4096 letters"),
    ],
    ids=["field", "path", "no letter", "columns", "label", "sentence"],
)
def test_a_table_of_a_size_that_none_has_is_named(tmp_path, content, words):
    write(tmp_path / "a.wav")
    (tmp_path / "mine.csv").write_text(content)
    with pytest.raises(SercoreError, match=f"(?s)mine.csv.*{words}"):
        get(str(tmp_path / "mine.csv"))


def test_names_of_any_length(tmp_path):
    for name in ("y" * 5000, "y" * 5000 + ".csv", f"/{'y' * 5000}/x", "y" * 5000 + ".bundle"):
        with pytest.raises(SercoreError, match="y" * 80):
            load(name)
    for label in "ab":
        write(tmp_path / f"{label}.wav")
    path = tmp_path / ("x" * 200 + ".csv")
    path.write_text("path,label\na.wav,a\nb.wav,b\n")
    assert get(path).name == "x" * 60 and len(load(path)) == 2  # runs and pages are called by it
    with pytest.raises(SercoreError, match=r"'.*x\\x1b.*: its name holds control characters, or is too long: rename it"):
        get(path.rename(tmp_path / "x\x1b.csv"))


@pytest.mark.parametrize("name, listing", [("nemo", "data.tsv"), ("cremad", "VideoDemographics.csv")])
def test_a_damaged_listing_of_a_corpus_is_named(tmp_path, name, listing):
    folder = tmp_path / name
    marked = {"nemo": "samples/ABC_anger_1.wav", "cremad": "AudioWAV/1001_DFA_ANG_XX.wav"}[name]
    write(folder / marked)
    for content in (b"", b"\xff\xfe\x00", b"a\tb\n1\t2\n", b'"' * 7 + b"\n" + b"," * 99):
        (folder / listing).write_bytes(content)
        with pytest.raises(SercoreError, match=listing):
            load(name, tmp_path)


def test_hours_are_no_utterance(tmp_path, monkeypatch):
    for label in "ab":
        for number in range(2):
            write(tmp_path / "mine" / label / f"{number}.wav")
    long = tmp_path / "mine" / "a" / "long.flac"
    with soundfile.SoundFile(long, "w", 1000, 1, format="FLAC") as file:
        for _ in range(61):
            file.write(np.zeros(60 * 1000, np.int16))
    assert long.stat().st_size < 100_000
    with pytest.raises(SercoreError, match=r"longer than 60 minutes: cut it into utterances: .*long\.flac \(61 minutes\)"):
        load(str(tmp_path / "mine"))
    assert "longer than 60 minutes" in str(check(str(tmp_path / "mine")))
    monkeypatch.setattr("sercore.frontend.audio.duration", lambda path: 1.0)  # a header may lie
    with pytest.raises(SercoreError, match=r"longer than 60 minutes.*long\.flac"):
        extract(load(str(tmp_path / "mine")), cache=tmp_path / "cache", workers=1, progress=False)

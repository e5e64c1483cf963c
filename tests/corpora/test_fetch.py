import bz2
import dataclasses
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
import threading
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from recordings import write

from sercore import corpora
from sercore.corpora import fetch, get, load
from sercore.corpora.base import Source
from sercore.errors import SercoreError


class Publisher(ThreadingHTTPServer):
    """A server on this machine that misbehaves as it is told."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.files, self.asked = {}, []
        self.break_after = []  # of each coming answer: bytes after which the connection ends
        self.lie = 0  # added to the Content-Length
        self.ranges = True
        self.errors = []  # status codes to answer with first

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        server, name = self.server, self.path[1:]
        asked = self.headers.get("Range")
        server.asked.append((name, asked))
        if server.errors or name not in server.files:
            return self.send_error(server.errors.pop(0) if server.errors else 404)
        content = server.files[name]
        start = int(asked[6:-1]) if asked and server.ranges else 0
        if start >= len(content) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(content)}")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        part = content[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part) + server.lie))
        self.end_headers()
        self.wfile.write(part[: server.break_after.pop(0)] if server.break_after else part)

    def log_message(self, *_):
        pass


@pytest.fixture
def publisher():
    server = Publisher()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(fetch, "PAUSE", 0)
    corpora.names()  # finds them, before the copy is made
    monkeypatch.setattr(corpora, "_registered", dict(corpora._registered))
    monkeypatch.delenv("SERCORE_DATA", raising=False)


def source(name, **settings):
    corpora._registered[name] = dataclasses.replace(get(name), source=Source(**settings))


def pack(files, kind="zip"):
    """An archive of {name: bytes} as bytes."""
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def berlin(publisher, tmp_path):
    """EmoDB's archive at the publisher, some 100 kB; `berlin(prefix)` puts it there."""

    def serve(prefix="", kind="zip", checksum=True):
        noise = np.random.default_rng(0).normal(0, 0.1, (4, 12_000))
        names = [f"wav/03a01{letter}a.wav" for letter in "WFTN"]
        files = {
            prefix + name: write(tmp_path / "made" / name, samples).read_bytes()
            for name, samples in zip(names, noise, strict=True)
        }
        content = pack({prefix + "erklaerung.txt": b"hello", **files}, kind)
        publisher.files["download"] = content
        stated = "md5:" + hashlib.md5(content).hexdigest() if checksum else ""
        source("emodb", url=publisher.url("download"), checksum=stated)
        return content

    return serve


@pytest.mark.parametrize("prefix", ["", "EmoDB-main/", "a/b/"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_fetch_then_load(berlin, publisher, tmp_path, prefix, kind, capsys):
    berlin(prefix, kind)
    folder = fetch.fetch("emodb", tmp_path / "data")
    assert folder == tmp_path / "data" / "emodb" and (folder / "erklaerung.txt").is_file()
    assert len(load("emodb", tmp_path / "data")) == 4
    assert "EmoDB" in capsys.readouterr().err
    publisher.asked.clear()
    assert fetch.fetch("emodb", tmp_path / "data") == folder
    assert not publisher.asked
    assert {path.suffix for path in (tmp_path / "data" / "downloads").iterdir()} <= {".lock"}


def test_default_folder_and_silence(berlin, tmp_path, monkeypatch, capsys):
    berlin()
    monkeypatch.setenv("SERCORE_CACHE", str(tmp_path / "cache"))
    assert fetch.fetch("emodb", progress=False) == tmp_path / "cache" / "corpora" / "emodb"
    assert capsys.readouterr() == ("", "")


def test_goes_on_where_it_broke_off(berlin, publisher, tmp_path):
    berlin()
    publisher.break_after = [40_000, 0, 20_000]
    assert len(load("emodb", fetch.fetch("emodb", tmp_path, progress=False))) == 4
    assert [asked for _, asked in publisher.asked] == [None, "bytes=40000-", "bytes=40000-", "bytes=60000-"]


def test_goes_on_in_the_next_call(berlin, publisher, tmp_path):
    berlin()
    publisher.break_after = [40_000] + [0] * fetch.TRIES
    with pytest.raises(SercoreError, match="40000 bytes are kept"):
        fetch.fetch("emodb", tmp_path, progress=False)
    publisher.break_after = []
    publisher.asked.clear()
    fetch.fetch("emodb", tmp_path, progress=False)
    assert publisher.asked == [("download", "bytes=40000-")]


def test_a_server_without_ranges_starts_over(berlin, publisher, tmp_path):
    berlin()
    publisher.ranges = False
    publisher.break_after = [40_000, 60_000]
    assert len(load("emodb", fetch.fetch("emodb", tmp_path, progress=False))) == 4


def test_a_part_that_is_already_whole_or_too_long(berlin, publisher, tmp_path):
    content = berlin()
    part = tmp_path / "downloads" / "emodb.archive.part"
    part.parent.mkdir()
    for beginning in (content, content + b"more"):
        part.write_bytes(beginning)
        (tmp_path / "whole").unlink(missing_ok=True)
        fetch.download(publisher.url("download"), tmp_path / "downloads" / "emodb.archive", progress=False)
        assert (tmp_path / "downloads" / "emodb.archive").read_bytes() == content
        (tmp_path / "downloads" / "emodb.archive").unlink()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_promises_too_much(berlin, publisher, tmp_path, ranges):
    berlin()
    publisher.lie, publisher.ranges = 5_000, ranges
    if ranges:  # the answer to the next range says how long the file really is
        assert len(load("emodb", fetch.fetch("emodb", tmp_path, progress=False))) == 4
    else:
        with pytest.raises(SercoreError, match="fetch again"):
            fetch.fetch("emodb", tmp_path, progress=False)
        assert not (tmp_path / "emodb").exists()


@pytest.mark.parametrize("checksum", [True, False])
def test_a_server_that_promises_too_little(berlin, publisher, tmp_path, checksum):
    berlin(checksum=checksum)
    publisher.lie = -5_000
    with pytest.raises(SercoreError, match="removed"):
        fetch.fetch("emodb", tmp_path, progress=False)
    assert [path.name for path in tmp_path.glob("downloads/*")] == ["emodb.lock"] and not (tmp_path / "emodb").exists()


def test_a_tampered_file_is_removed(berlin, publisher, tmp_path):
    content = bytearray(berlin())
    content[5000] ^= 1
    publisher.files["download"] = bytes(content)
    with pytest.raises(SercoreError, match=r"checksum .* is not the .* publisher states"):
        fetch.fetch("emodb", tmp_path, progress=False)
    assert [path.name for path in tmp_path.glob("downloads/*")] == ["emodb.lock"] and not (tmp_path / "emodb").exists()


def test_trust_on_first_use(berlin, publisher, tmp_path, capsys):
    content = berlin(checksum=False)
    folder = fetch.fetch("emodb", tmp_path)
    digest = hashlib.sha256(content).hexdigest()
    assert digest in capsys.readouterr().err and digest in (tmp_path / "downloads" / "emodb.sha256").read_text()
    for path in folder.rglob("*.wav"):
        path.unlink()
    with pytest.raises(SercoreError, match="move it away"):
        fetch.fetch("emodb", tmp_path)
    folder.rename(tmp_path / "old")
    publisher.files["download"] = berlin("other/", checksum=False)
    with pytest.raises(SercoreError, match="recorded on an earlier download"):
        fetch.fetch("emodb", tmp_path)
    publisher.files["download"] = content
    fetch.fetch("emodb", tmp_path)


def test_errors_of_the_server(berlin, publisher, tmp_path):
    berlin()
    publisher.errors = [503, 500]
    fetch.fetch("emodb", tmp_path / "a", progress=False)
    publisher.errors = [403]
    with pytest.raises(SercoreError, match="403"):
        fetch.fetch("emodb", tmp_path / "b", progress=False)
    source("emodb", url="http://127.0.0.1:9/nothing")
    with pytest.raises(SercoreError, match=r"127.0.0.1"):
        fetch.fetch("emodb", tmp_path / "c", progress=False)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "wav/../../evil", "..\\evil", "C:\\evil", "C:/evil"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_cannot_write_outside_its_folder(publisher, tmp_path, name, kind):
    publisher.files["download"] = pack({"wav/03a01Wa.wav": b"x", name: b"evil"}, kind)
    source("emodb", url=publisher.url("download"))
    with pytest.raises(SercoreError, match="evil"):
        fetch.fetch("emodb", tmp_path / "data", progress=False)
    assert not list(tmp_path.rglob("*evil*")) and not list(tmp_path.rglob("*.wav"))
    assert not os.path.exists("/tmp/evil")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_holds_no_links(tmp_path, kind):
    path = tmp_path / "archive"
    if kind == "zip":
        link = zipfile.ZipInfo("wav/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(link, "/etc/passwd")
    else:
        link = tarfile.TarInfo("wav/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        with tarfile.open(path, "w") as archive:
            archive.addfile(link)
    with pytest.raises(SercoreError, match="wav/link"):
        fetch.unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive_of_the_corpus(publisher, tmp_path):
    source("emodb", url=publisher.url("download"))
    publisher.files["download"] = b"<html>The server is being repaired</html>"
    with pytest.raises(SercoreError, match="neither zip nor tar"):
        fetch.fetch("emodb", tmp_path, progress=False)
    publisher.files["download"] = pack({"something/else.txt": b"x"})
    with pytest.raises(SercoreError, match="has its publisher changed it"):
        fetch.fetch("emodb", tmp_path, progress=False)
    assert not (tmp_path / "emodb").exists()


@pytest.fixture
def crema(publisher, tmp_path):
    """A repository whose recordings are in Git LFS; returns {path: content}."""
    sounds, pointers = {}, {}
    for code in ("ANG", "HAP", "SAD", "NEU"):
        name = f"AudioWAV/1001_DFA_{code}_XX.wav"
        sounds[name] = write(tmp_path / "made" / name).read_bytes()
        digest = hashlib.sha256(sounds[name]).hexdigest()
        pointers[name] = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize 1\n".encode()
        pointers[name.replace("AudioWAV", "VideoFlash")] = b"a film"
    publisher.files["archive"] = pack({f"CREMA-D-master/{name}": content for name, content in pointers.items()})
    publisher.files |= {f"media/{name}": content for name, content in sounds.items()}
    source("cremad", url=publisher.url("archive"), only=("AudioWAV/*",), lfs=publisher.url("media"))
    return sounds


def test_git_lfs(crema, tmp_path):
    folder = fetch.fetch("cremad", tmp_path, progress=False)
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.wav")} == crema
    assert [path.name for path in folder.iterdir()] == ["AudioWAV"]
    assert len(load("cremad", tmp_path)) == 4


def test_git_lfs_goes_on_and_checks_every_file(crema, publisher, tmp_path):
    tampered = "media/AudioWAV/1001_DFA_SAD_XX.wav"
    true = publisher.files[tampered]
    publisher.files[tampered] = b"RIFF" + true[4:-1] + b"\x7f"
    with pytest.raises(SercoreError, match=r"SAD_XX.wav: not kept"):
        fetch.fetch("cremad", tmp_path, progress=False)
    assert not (tmp_path / "cremad").exists()
    kept = {path.name for path in (tmp_path / "downloads" / "cremad.objects").iterdir()}
    publisher.files[tampered] = true
    publisher.asked.clear()
    fetch.fetch("cremad", tmp_path, progress=False)
    assert len(publisher.asked) == 4 - len(kept) and not (tmp_path / "downloads" / "cremad.objects").exists()


def test_what_cannot_be_fetched(tmp_path, monkeypatch):
    with pytest.raises(SercoreError, match="iemocap_release"):
        fetch.fetch("iemocap", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SercoreError, match="--data-root"):
        fetch.fetch("emodb", tmp_path / "file")


@pytest.mark.parametrize("name", ["cremad", "emodb", "nemo", "ravdess"])
def test_open_corpora_have_a_source(name):
    assert get(name).source.url.startswith("http")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_an_archive_does_not_explode(tmp_path, kind, monkeypatch):
    path = tmp_path / f"bomb.{kind}"
    zeros = b"\0" * 2**20
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            for number in range(300):
                packed.writestr(f"{number}.wav", zeros)
    else:
        with tarfile.open(path, "w:gz") as packed:
            for number in range(300):
                entry = tarfile.TarInfo(f"{number}.wav")
                entry.size = len(zeros)
                packed.addfile(entry, io.BytesIO(zeros))
    with pytest.raises(SercoreError, match=r"bomb\.\w+: removed, nothing unpacked: \d+ bytes would become \d+, more than sound"):
        fetch.unpack(path, tmp_path)
    assert not path.exists() and not list(tmp_path.glob("*.wav"))


def test_an_archive_that_has_no_room_is_kept(tmp_path, monkeypatch):
    path = tmp_path / "large.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("one.wav", b"\1" * 2_000_000)
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=2**20))
    with pytest.raises(SercoreError, match="needs 1 MiB where 1 MiB are free; nothing was unpacked"):
        fetch.unpack(path, tmp_path)
    assert path.exists() and not (tmp_path / "one.wav").exists()


def member(name, size=0, kind=tarfile.REGTYPE):
    entry = tarfile.TarInfo(name)
    entry.size, entry.type = size, kind
    return entry.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_a_gigabyte_is_not_read(tmp_path, kind):
    path = tmp_path / "names.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(member("././@LongLink", 2**30, kind))
        for _ in range(16):
            file.write(b"a" * 2**20)
    with pytest.raises(SercoreError, match=r"names\.tar\.gz: damaged \(a name of 1073741824 bytes\); removed"):
        fetch.unpack(path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_tar_is_not_read_beyond_what_it_can_hold(tmp_path):
    path = tmp_path / "far.tar"
    path.write_bytes(member("a.wav", 3 * 2**30) + b"\0" * 10**5)
    with pytest.raises(SercoreError, match=r"far\.tar: removed, nothing unpacked: \d+ bytes would become \d+"):
        fetch.unpack(path, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_has_so_many_members_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "MEMBERS", 100)
    for kind in ("zip", "tar"):
        path = tmp_path / f"many.{kind}"
        path.write_bytes(pack({f"{number}.wav": b"" for number in range(101)}, kind))
        with pytest.raises(SercoreError, match=rf"many\.{kind}: removed, nothing unpacked"):
            fetch.unpack(path, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_have_not_one_name(tmp_path):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.wav", b"x")
        packed.writestr("a.wav", b"y")
    with pytest.raises(SercoreError, match=r"(?s)twice\.zip: removed.*are there twice.*'a\.wav'"):
        fetch.unpack(path, tmp_path)


ENCRYPTED, METHOD, VERSION = (6, 8, 1), (8, 10, 97), (4, 6, 99)


@pytest.mark.parametrize("places", [ENCRYPTED, METHOD, VERSION], ids=["encrypted", "another method", "another version"])
def test_what_cannot_be_unpacked_is_named_and_kept(tmp_path, places):
    content, (local, central, value) = bytearray(pack({"a.wav": b"sound"})), places
    for mark, place in ((b"PK\3\4", local), (b"PK\1\2", central)):
        at = content.find(mark) + place
        content[at : at + 2] = value.to_bytes(2, "little")
    path = tmp_path / "closed.zip"
    path.write_bytes(content)
    with pytest.raises(SercoreError, match=r"closed\.zip: cannot be unpacked .* it is still there"):
        fetch.unpack(path, tmp_path)
    assert path.exists()


@pytest.mark.parametrize("packing", [gzip.compress, bz2.compress, lzma.compress])
def test_a_damaged_stream_is_named(tmp_path, packing):
    random = np.random.default_rng(0).bytes(300_000)
    content = bytearray(packing(pack({"a.wav": random}, "tar")))
    content[len(content) // 3] ^= 255
    path = tmp_path / "broken.tar"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(SercoreError, match=r"broken\.tar: .*damaged"):
        fetch.unpack(path, tmp_path / "out")


@pytest.mark.parametrize("oid", ["../victim", "ABSOLUTE", "", "../../OUTSIDE", "0" * 63, "g" * 64, None])
def test_a_pointer_of_git_lfs_names_a_checksum_and_nothing_else(crema, publisher, tmp_path, oid):
    victim = tmp_path / "downloads" / "victim"
    victim.parent.mkdir(exist_ok=True)
    victim.write_text("precious")
    said = b"version https://git-lfs\xff" if oid is None else f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\n"
    said = said if oid is None else said.replace("ABSOLUTE", str(victim)).encode()
    publisher.files["archive"] = pack({"CREMA-D-master/AudioWAV/1001_DFA_ANG_XX.wav": said})
    with pytest.raises(SercoreError, match=r"(?s)pointers that name no SHA-256.*1001_DFA_ANG_XX\.wav"):
        fetch.fetch("cremad", tmp_path, progress=False)
    assert victim.read_text() == "precious" and not (tmp_path / "cremad").exists()
    assert not [path for path in publisher.asked if "media" in str(path)]

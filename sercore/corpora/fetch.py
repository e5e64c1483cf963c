"""Bring a corpus from its publisher: resumed where it broke off, checked, unpacked into its folder alone.

Where the publisher states a checksum, it must match. Where none is stated, the archive's SHA-256 is recorded
on the first download, and later downloads must match that (trust on first use). Files that the publisher
keeps in Git LFS are fetched one by one and must have the SHA-256 that their pointers in the archive name.
"""

from __future__ import annotations

import bz2
import functools
import gzip
import hashlib
import itertools
import lzma
import os
import re
import shutil
import stat
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any, cast

from .. import bounds, places
from ..errors import SercoreError
from ..frontend import audio, containers
from . import find_root, get
from .base import Corpus, Source, complain

if TYPE_CHECKING:
    import requests

CHUNK = 1 << 18
TRIES = 4  # attempts in a row that bring nothing new before a download is given up
PAUSE = 2.0  # seconds before the second attempt; longer before each further one
TIMEOUT = (15, 60)  # seconds to connect, and without a byte
LFS_WORKERS = 8


def fetch(name: str, data_root: str | os.PathLike[str] | None = None, progress: bool = True) -> Path:
    """Download and unpack the corpus `name` into the data root and return its folder; what is there stays.

    `data_root` defaults to `SERCORE_DATA`, else the cache folder. Raises `SercoreError` where the corpus has
    no open source, cannot be reached, does not match its checksum, or comes in an archive that reaches
    outside its folder.
    """
    from filelock import FileLock

    corpus = get(name)
    if corpus.make:
        return find_root(corpus)
    if not corpus.source:
        raise SercoreError(f"{corpus.title} cannot be fetched. {corpus.obtain}")
    root = places.data_roots(data_root)[0]
    downloads = root / "downloads"
    if folder := _present(corpus, root):
        return folder
    try:
        downloads.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SercoreError(f"{root} cannot be written ({error}); name another folder by --data-root") from error
    with FileLock(downloads / f"{corpus.name}.lock"):
        return _present(corpus, root) or _bring(corpus, corpus.source, root / corpus.name, downloads, progress)


def _present(corpus: Corpus, root: Path) -> Path | None:
    try:
        folder = find_root(corpus, root)
    except SercoreError:
        return None
    if not corpus.matches(folder):
        raise SercoreError(f"{folder} is there, but holds no {corpus.marker}; move it away and fetch again")
    return folder


def _bring(corpus: Corpus, source: Source, folder: Path, downloads: Path, progress: bool) -> Path:
    say = functools.partial(print, file=sys.stderr) if progress else lambda *_: None
    say(f"{corpus.title}, {corpus.licence}, from {source.url}")
    archive = downloads / f"{corpus.name}.archive"
    record = downloads / f"{corpus.name}.sha256"
    objects = downloads / f"{corpus.name}.objects"
    download(source.url, archive, progress)
    digest = audio.digest(archive)
    known = _verify(archive, digest, source.checksum, record)
    with tempfile.TemporaryDirectory(prefix=f"{corpus.name}-", dir=downloads) as temporary:
        unpacked = Path(temporary) / "unpacked"
        unpacked.mkdir()
        unpack(archive, unpacked)
        inside = _corpus_folder(corpus, unpacked)
        _prune(inside, source.only)
        if source.lfs:
            _fetch_lfs(source.lfs, inside, objects, progress)
        os.replace(inside, folder)
    if not known:
        record.write_text(f"{digest}  {source.url}\n", "utf-8")
        say(f"Its publisher states no checksum: sha256 {digest} is recorded in {record} for the next time")
    archive.unlink()
    shutil.rmtree(objects, ignore_errors=True)
    say(f"{corpus.title} is in {folder}")
    return folder


def download(url: str, path: Path, progress: bool = True) -> None:
    """Bring `url` to `path`, going on where an earlier attempt broke off; else raises `SercoreError`."""
    import requests
    import urllib3
    from tqdm import tqdm

    if path.is_file():
        return
    part = path.with_name(path.name + ".part")
    failures = 0
    with (
        requests.Session() as session,
        tqdm(desc=path.name, unit="B", unit_scale=True, disable=None if progress else True) as bar,
    ):
        while True:
            before = part.stat().st_size if part.exists() else 0
            bar.n = before
            try:
                if _continue(session, url, part, before, bar):
                    os.replace(part, path)
                    return
                reason = "the connection ended before the file did"
            except requests.HTTPError as error:
                if error.response is not None and error.response.status_code < 500:
                    raise SercoreError(f"{url}: {error}") from error
                reason = str(error)
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                reason = str(error)
            gained = part.exists() and part.stat().st_size > before
            failures = 1 if gained else failures + 1
            if failures >= TRIES:
                kept = part.stat().st_size if part.exists() else 0
                raise SercoreError(f"{url}: {reason}. {kept} bytes are kept in {part}; fetch again to go on from there")
            time.sleep(PAUSE * failures)


def _continue(session: requests.Session, url: str, part: Path, have: int, bar: Any) -> bool:
    """Bring the rest of `url` behind the `have` bytes of `part`; True where that is the whole."""
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        unit, _, total = answer.headers.get("Content-Range", "").rpartition("/")
        if answer.status_code == 416:
            if total == str(have):
                return True
            part.unlink()
            return False
        answer.raise_for_status()
        resumed = answer.status_code == 206
        if resumed and not unit.startswith(f"bytes {have}-"):
            part.unlink()
            return False
        length = answer.headers.get("Content-Length", "")
        whole = int(total) if resumed and total.isdigit() else int(length) if length.isdigit() else None
        bar.total, bar.n = whole, have if resumed else 0
        with open(part, "ab" if resumed else "wb") as file:
            # unlike iter_content, read1 gives what came before a break, down to the last byte
            while chunk := answer.raw.read1(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    return whole is None or part.stat().st_size == whole


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip or tar archive into `folder`; where a member lies outside, raise and write nothing.

    Absolute names, `..`, links and doubled names are refused: an archive of recordings has no use for them. What is damaged, or
    not honest, is removed; what cannot be unpacked for another reason (a cipher, a disk that is full) stays where it is.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                entries = [(entry.filename, stat.S_ISLNK(entry.external_attr >> 16)) for entry in packed.infolist()]
                _refuse(archive, entries, sum(entry.file_size for entry in packed.infolist()))
                packed.extractall(folder)
        else:
            with (
                _unpacked(archive) as stream,
                tarfile.open(fileobj=cast("IO[bytes]", _Bounded(archive, stream)), mode="r:") as tar,
            ):
                members = list(itertools.islice(tar, MEMBERS + 1))
                special = [(entry.name, not (entry.isfile() or entry.isdir())) for entry in members]
                _refuse(archive, special, sum(entry.size for entry in members))
                if hasattr(tarfile, "data_filter"):
                    tar.extractall(folder, filter="data")
                else:  # Python before 3.11.4; what was not refused is files and folders inside
                    tar.extractall(folder)
    except SercoreError:
        raise
    except tarfile.ReadError as error:
        archive.unlink()
        raise SercoreError(f"{archive}: neither zip nor tar, or damaged ({error}); removed, fetch it again") from error
    except Exception as error:
        if isinstance(error, DAMAGED) or (isinstance(error, OSError) and error.errno is None):  # as bz2 tells it
            archive.unlink()
            raise SercoreError(f"{archive}: damaged ({error}); removed, fetch it again") from error
        raise SercoreError(f"{archive}: cannot be unpacked ({error}); it is still there") from error


DAMAGED = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
MEMBERS = 200_000
"""That an archive of recordings may have."""
HEADER = 2**20
"""Bytes that are read of a tar at once: of sound so many, of a member's name never more."""


def _unpacked(archive: Path) -> IO[bytes]:
    """What a packed file holds, by its first bytes: the file itself where it is none."""
    with open(archive, "rb") as file:
        head = file.read(6)
    kinds: tuple[tuple[bytes, Callable[[Path], Any]], ...] = (
        (b"\x1f\x8b", gzip.open),
        (b"BZh", bz2.open),
        (b"\xfd7zXZ\x00", lzma.open),
    )
    return next((opened(archive) for mark, opened in kinds if head.startswith(mark)), None) or open(archive, "rb")


class _Bounded:
    """The bytes of a tar, of which nobody reads more than such an archive can hold: its headers say how long they are, and where
    the next one is."""

    def __init__(self, archive: Path, stream: IO[bytes]) -> None:
        self.archive, self.stream, self.tell = archive, stream, stream.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= HEADER:
            raise tarfile.HeaderError(f"a name of {size} bytes")
        return self.stream.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        if whence == 0:
            _refuse(self.archive, [], place)
        return self.stream.seek(place, whence)


def _refuse(archive: Path, entries: list[tuple[str, bool]], unpacked: int) -> None:
    """Raise where members leave their folder or are there twice, and where the archive would come to more than sound can, or
    there is room for."""

    def leaves(name: str) -> bool:
        return any(".." in path.parts or path.anchor for path in (PurePosixPath(name), PureWindowsPath(name)))

    outside = [name for name, special in entries if special or leaves(name)]
    often = Counter(name for name, _ in entries if not name.endswith("/"))
    twice = [name for name, times in often.items() if times > 1] if len(often) < len(entries) else []
    size, room = archive.stat().st_size, shutil.disk_usage(archive.parent).free
    explodes = bounds.swells(size, unpacked) or len(entries) > MEMBERS
    if outside or twice or explodes:
        archive.unlink()
    complain(
        f"{archive}: removed, nothing unpacked: members that are links, lie outside the archive's folder or are there twice",
        map(bounds.shown, [*outside, *twice]),
    )
    if explodes:
        raise SercoreError(
            f"{archive}: removed, nothing unpacked: {size} bytes would become {unpacked}, more than sound ever does"
        )
    if unpacked > room:
        raise SercoreError(f"{archive} needs {unpacked >> 20} MiB where {room >> 20} MiB are free; nothing was unpacked")


def _verify(archive: Path, digest: str, checksum: str, record: Path) -> bool:
    """Whether there is a checksum and the archive matches it; raises and removes it where it does not."""
    algorithm, _, stated = checksum.partition(":")
    if stated:
        with open(archive, "rb") as file:
            found, where = hashlib.file_digest(file, algorithm).hexdigest(), "its publisher states"
    elif record.is_file():
        found, stated = digest, record.read_text("utf-8").split()[0]
        where = f"was recorded on an earlier download (delete {record} if you know why it changed)"
    else:
        return False
    if found != stated:
        archive.unlink()
        raise SercoreError(f"{archive}: removed, its checksum {found} is not the {stated} that {where}")
    return True


def _corpus_folder(corpus: Corpus, unpacked: Path) -> Path:
    """The folder of the corpus in what was unpacked: archives put it into folders of their own."""
    folder = unpacked
    while not corpus.matches(folder):
        inner = [path for path in folder.iterdir() if path.is_dir()]
        if len(inner) != 1:
            raise SercoreError(f"the archive of {corpus.title} holds no {corpus.marker}; has its publisher changed it?")
        folder = inner[0]
    return folder


def _prune(folder: Path, only: tuple[str, ...]) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif not any(fnmatch(path.relative_to(folder).as_posix(), pattern) for pattern in only):
            path.unlink()


def _fetch_lfs(address: str, folder: Path, objects: Path, progress: bool) -> None:
    """Put the true files in the place of Git LFS pointers; `objects` keeps what came for the next attempt."""
    from tqdm import tqdm

    pointers: dict[str, list[Path]] = {}
    wrong = []
    for path in (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 1024):
        said = path.read_bytes()
        if said.startswith(containers.LFS_POINTER):
            if digest := re.search(rb"^oid sha256:([0-9a-f]{64})\r?$", said, re.MULTILINE):
                pointers.setdefault(digest[1].decode(), []).append(path)
            else:
                wrong.append(bounds.shown(path.relative_to(folder).as_posix()))
    complain("Git LFS's pointers that name no SHA-256; has the corpus's publisher changed them?", wrong)
    objects.mkdir(exist_ok=True)

    def bring(digest: str) -> None:
        url = f"{address}/{pointers[digest][0].relative_to(folder).as_posix()}"
        kept = objects / digest
        download(url, kept, progress=False)
        found = audio.digest(kept)
        if found != digest:
            kept.unlink()
            raise SercoreError(f"{url}: not kept, its sha256 {found} is not the {digest} that its pointer states")
        for path in pointers[digest]:
            shutil.copyfile(kept, path)

    pool = ThreadPoolExecutor(LFS_WORKERS)
    try:
        list(tqdm(pool.map(bring, pointers), "sound files", len(pointers), disable=None if progress else True))
    finally:
        pool.shutdown(cancel_futures=True)

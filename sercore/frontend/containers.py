"""What a file's own marks tell about it: which recordings lie in it one after the other, and what libsndfile cannot read.

libsndfile reads the first recording of a file and stops where its header says that it ends. A file may hold more: recorders start
a new part when they reach a limit, people join files with `cat`, and of an MP3 file the number of samples is often an estimate.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

FOREIGN = (
    (4, b"ftyp", "MPEG-4 sound (m4a, mp4, 3gp)"),
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "Windows Media (wma)"),
    (0, b"#!AMR", "AMR"),
    (0, b"ADIF", "AAC"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"MAC ", "Monkey's Audio (ape)"),
    (0, b"wvpk", "WavPack"),
    (0, b"\x0b\x77", "Dolby Digital (ac3)"),
    (0, b"FLV", "Flash video"),
    (8, b"AVI ", "an AVI film"),
    (0, b"\x00\x00\x01\xba", "an MPEG film"),
    (4, b"moov", "a QuickTime film"),
    (4, b"mdat", "a QuickTime film"),
)
"""Where and by what other recordings are known, and what they are called."""

FOREIGN_SUFFIXES = frozenset((".3gp", ".aac", ".ac3", ".amr", ".ape", ".m4a", ".m4b", ".mka", ".weba", ".webm", ".wma", ".wv"))
FILMS = frozenset((".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".wmv"))
"""Suffixes of films: somebody who labels a folder means their sound too; in a corpus they lie beside their recordings."""

SCANNED = 2**20
"""Bytes that are looked through at once."""

LFS_POINTER = b"version https://git-lfs"


def foreign(head: bytes) -> str:
    """What a file is that begins with `head` and that libsndfile cannot read; "" where that is not known."""
    return next((name for place, mark, name in FOREIGN if head[place : place + len(mark)] == mark), "")


def parts(path: Path, head: bytes) -> list[tuple[int, int]]:
    """(first byte, byte after the last) of each recording in a file that begins with `head`: one, in nearly every file."""
    size = path.stat().st_size
    of_kind = {b"RIFF": _riff, b"RIFX": _riff, b"FORM": _riff, b".snd": _au, b"OggS": _ogg, b"fLaC": _flac}.get(head[:4])
    if of_kind is None:
        return [(0, size)]
    with path.open("rb") as file:
        starts = list(of_kind(file, size))
    return list(zip(starts, [*starts[1:], size], strict=True))


def _riff(file: BinaryIO, size: int) -> Iterator[int]:
    """Chunks of chunks, each with its length: WAV and AIFF."""
    at, mark = 0, b""
    while True:
        file.seek(at)
        head = file.read(12)
        if len(head) < 12 or (mark and head[:4] + head[8:] != mark):
            return
        mark = head[:4] + head[8:]
        yield at
        length = struct.unpack("<I" if mark.startswith(b"RIFF") else ">I", head[4:8])[0]
        at += 8 + length + length % 2


def _au(file: BinaryIO, size: int) -> Iterator[int]:
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        if head[:4] != b".snd" or len(head) < 12:
            return
        yield at
        at += max(sum(struct.unpack(">II", head[4:12])), len(head))  # a header may lie, and say that nothing is there


def _flac(file: BinaryIO, size: int) -> Iterator[int]:
    mark = b"fLaC\x00\x00\x00\x22"  # with the head of the block that comes first, always as long
    for begin in range(0, size, SCANNED):
        file.seek(begin)
        block, at = file.read(SCANNED + len(mark) - 1), -1
        while (at := block.find(mark, at + 1)) >= 0:
            yield begin + at


def _ogg(file: BinaryIO, size: int) -> Iterator[int]:
    """A part begins with the first pages of its streams, all together."""
    first_before = False
    for at, flags, _ in _ogg_pages(file, size):
        first = bool(flags & 2)
        if first and not first_before:
            yield at
        first_before = first


def _ogg_pages(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Where each page begins, its flags, and where it ends: beyond `size` where it was cut."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(27 + 255)
        if head[:4] != b"OggS" or len(head) < 27:
            return
        end = at + 27 + head[26] + sum(head[27 : 27 + head[26]])
        yield at, head[5], end
        at = end


def wav_surplus(path: Path) -> tuple[int, int, int]:
    """Of a WAV file: where the length of its sound stands, what it says, and how many bytes follow that are no chunk of any kind.

    (0, 0, 0) where there is no such length, and for bytes that are all 0: padding.
    """
    size, at = path.stat().st_size, 12
    with path.open("rb") as file:
        while len(head := _at(file, at, 8)) == 8:
            length = struct.unpack("<I", head[4:])[0]
            end = at + 8 + length + length % 2
            if head[:4] == b"data":
                after = _at(file, end, 8)
                known = after[:4].isascii() and after[:4].decode("ascii").isprintable()
                fits = len(after) == 8 and end + 8 + struct.unpack("<I", after[4:])[0] <= size + 1
                file.seek(min(end, size))
                none = end >= size or (known and fits) or not file.read().strip(b"\0")
                return (at + 4, length, 0 if none else size - end)
            at = end
    return 0, 0, 0


def ogg_cut_short(path: Path) -> bool:
    """Whether the last page of an Ogg file is not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        return max((end for _, _, end in _ogg_pages(file, size)), default=0) > size


def mp3_without_count(path: Path) -> tuple[int, bytes] | None:
    """What to read instead of an MP3 file's own count of samples, (place, bytes), so that it is read to its end; None where the
    count holds.

    The count stands in a first frame without sound (Xing's, or LAME's), with the number of bytes that it is about.
    """
    size, start, nothing = path.stat().st_size, 0, (0, b"")
    with path.open("rb") as file:
        while (head := _at(file, start, 10))[:3] == b"ID3":
            start += 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        frame = _at(file, start, 64)
        at = next((place for place in (frame.find(b"Xing"), frame.find(b"Info")) if 0 < place < 44), None)
        if at is None or frame[at + 7] & 3 != 3:
            return nothing
        end = start + struct.unpack(">I", frame[at + 12 : at + 16])[0]
        after = _at(file, end, 3)
    more = end < size and (after == b"ID3" or (after[:1] == b"\xff" and after[1:2] >= b"\xe0"))
    return (start + at, bytes(4)) if more else None


def _at(file: BinaryIO, place: int, length: int) -> bytes:
    file.seek(place)
    return file.read(length)


class Part(io.RawIOBase):
    """A part of a file, as a file; `instead` is (place, bytes) that stand there for the file's own."""

    def __init__(self, path: Path, start: int, end: int, instead: tuple[int, bytes] = (0, b"")) -> None:
        super().__init__()
        self.file, self.start, self.length, self.position = path.open("rb"), start, end - start, 0
        self.place, self.other = instead

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.length}[whence]
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.file.seek(self.start + self.position)
        data = self.file.read(max(min(len(buffer), self.length - self.position), 0))
        for index, byte in enumerate(self.other, self.place - self.position):
            if 0 <= index < len(data):
                data = data[:index] + bytes([byte]) + data[index + 1 :]
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()

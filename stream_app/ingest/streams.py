"""Bytes of a file as they are meant: unpacked, and text as UTF-8 without a byte order mark."""

from __future__ import annotations

import codecs
import io
import zlib
from bz2 import BZ2Decompressor
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import GzipFile
from lzma import FORMAT_XZ, LZMADecompressor, LZMAError
from pathlib import Path
from typing import Any, BinaryIO, Final

from stream_app.ingest.faults import FileFault

#: What a packed file begins with. The name is not asked: it may be wrong, and the content cannot be.
_PACKED: Final[tuple[tuple[bytes, str], ...]] = (
    (b"\x1f\x8b", "gzip"), (b"BZh", "bz2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    # frames to be passed over, with which zstd written by several threads begins
    *((bytes((low, 0x2A, 0x4D, 0x18)), "zstd") for low in range(0x50, 0x60)),
)  # fmt: skip
#: What files begin with that are no tables in text.
_FOREIGN: Final[tuple[tuple[bytes, str], ...]] = (
    (b"PK", "a ZIP archive or an Excel workbook: unpack it, or export the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook: export the sheet as CSV"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite database: export the table as CSV"),
    (b"ORC", "ORC: write it as Parquet"),
    (b"Obj\x01", "Avro: write it as Parquet"),
    (b"\xff\x06\x00\x00sNaPpY", "packed with Snappy: pack it with gzip or zstd"),
)  # fmt: skip
_MARKS: Final[tuple[tuple[bytes, str], ...]] = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_CHUNK: Final = 1 << 16
#: Everything that unpacking and reading a damaged file raises.
BROKEN: Final = (OSError, EOFError, zlib.error, LZMAError)


def opened(path: Path) -> BinaryIO:
    """The file's bytes, unpacked if it is packed, over all of its frames. Raises :class:`FileFault`."""
    try:
        with path.open("rb") as file:
            head = file.read(16)
        kind = next((kind for mark, kind in _PACKED if head.startswith(mark)), None)
        return io.BufferedReader(_Unpacked(path, kind), _CHUNK)
    except OSError as error:
        raise FileFault(f"{path}: {error.strerror or error}") from error


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Say what a damaged or unreadable file raises in one sentence that names it."""
    try:
        yield
    except BROKEN as error:
        raise FileFault(f"{path}: {_damage(error)}") from error


def _damage(error: Exception) -> str:
    if isinstance(error, EOFError) or "Truncated" in str(error) or "end of" in str(error).lower():
        return "the packed data ends too early: the file is cut short"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"the packed data is damaged: {error}"


class _Frames:
    """A file of several frames, one after the other. What stands after the first and is no frame is damage.

    The readers of Python's own modules take it for the end, and drop without a word what may be most of the rows.
    """

    def __init__(self, path: Path, new: Callable[[], Any]) -> None:
        self._file, self._new, self._frame = path.open("rb"), new, new()

    def read(self, size: int) -> bytes:
        while True:
            data = b""
            if self._frame.eof:
                data = self._next()
                if not data:
                    return b""
                self._frame = self._new()
            elif self._frame.needs_input:
                data = self._file.read(_CHUNK)
                if not data:
                    raise EOFError
            found: bytes = self._frame.decompress(data, size)
            if found:
                return found

    def _next(self) -> bytes:
        """Where the next frame begins; frames may be padded with NUL."""
        data: bytes = self._frame.unused_data.lstrip(b"\0")
        while not data:
            more = self._file.read(_CHUNK)
            if not more:
                break
            data = more.lstrip(b"\0")
        return data

    def close(self) -> None:
        self._file.close()


_OPENERS: Final[dict[str | None, Callable[[Path], Any]]] = {
    "gzip": GzipFile,
    "bz2": lambda path: _Frames(path, BZ2Decompressor),
    "xz": lambda path: _Frames(path, lambda: LZMADecompressor(FORMAT_XZ)),
}


class _Unpacked(io.RawIOBase):
    """A packed file as a raw stream: what unpackers raise comes through, whatever reads."""

    def __init__(self, path: Path, kind: str | None) -> None:
        self._source: Any
        if kind in _OPENERS:
            self._source = _OPENERS[kind](path)
        elif kind is not None:  # pyarrow: several frames, and a frame that is cut short is an error
            import pyarrow as pa

            self._source = pa.CompressedInputStream(pa.OSFile(str(path)), kind)
        else:
            self._source = path.open("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def text_stream(path: Path, stream: BinaryIO, encoding: str | None) -> BinaryIO:
    """The bytes of a text file as UTF-8, without a mark. ``encoding``: what the user says; a mark wins.

    Whether what is called UTF-8 is UTF-8 is for the reader of rows to find, who can name the row.
    """
    head = stream.peek(_CHUNK)[:64] if isinstance(stream, io.BufferedReader) else b""
    for mark, what in _FOREIGN:
        if head.startswith(mark):
            raise FileFault(f"{path}: no table in text; it is {what}")
    marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), None)
    if marked is not None:
        stream.read(len(marked[0]))
    name = marked[1] if marked is not None else encoding or "utf-8"
    if encoding is None and marked is None and b"\0" in head:
        raise FileFault(f"{path}: holds NUL bytes{_wide(head)}")
    if codecs.lookup(name).name == "utf-8":
        return stream
    decoder = codecs.getincrementaldecoder(name)("strict")
    return io.BufferedReader(_Recoded(path, stream, decoder.decode, name), _CHUNK)


def _wide(head: bytes) -> str:
    if head[1:8:2] == b"\0\0\0\0":
        return ", as UTF-16 does; say --encoding utf-16-le"
    if head[0:8:2] == b"\0\0\0\0":
        return ", as UTF-16 does; say --encoding utf-16-be"
    return " and is no text"


class _Recoded(io.RawIOBase):
    """Text in another encoding, as UTF-8."""

    def __init__(self, path: Path, stream: BinaryIO, decode: Callable[[bytes, bool], str], name: str) -> None:
        self._path, self._stream, self._decode, self._name = path, stream, decode, name
        self._left = b""
        self._done = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left and not self._done:
            data = self._stream.read(_CHUNK)
            self._done = not data
            try:
                self._left = self._decode(data, self._done).encode()
            except UnicodeError as error:
                raise FileFault(f"{self._path}: its bytes are no {self._name}: {error}") from error
        taken = self._left[: len(buffer)]
        self._left = self._left[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()

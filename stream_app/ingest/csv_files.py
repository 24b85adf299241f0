"""CSV: the header read here, cells by pyarrow as bytes, and what is wrong with a row said with its number.

Nothing is repaired and nothing renamed: pyarrow's own header and types would hide both. Names are taken by their
place; every column is read, because an unclosed quote shows in columns that nobody asked for.
"""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from stream_app.ingest.faults import FileFault
from stream_app.ingest.kinds import Kinds

#: Looked at for the header and the delimiter.
_SAMPLE: Final = 1 << 18
#: Read and parsed at a time; a row cannot be longer.
BLOCK: Final = 1 << 21
_DELIMITERS: Final = (",", ";", "\t", "|")
_LOOK_AT: Final = 64
_UNCLOSED: Final = "is a quote not closed?"
#: Rows that say what the cells of a column begin with.
_LOOKED_AT: Final = 100
#: Kept of the end of a file.
_TAIL: Final = 1 << 16
_NAMED: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_SEPARATOR: Final = re.compile(r'"?sep=(.)"?(?:\r\n|\r|\n)', re.IGNORECASE)


def delimiter_of(text: str) -> str:
    """A delimiter as people write it on a command line. ``ValueError`` for what is none."""
    found = _NAMED.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n' or not found.isascii():
        raise ValueError(f"{text!r} is no delimiter: give one character, or tab")
    return found


@dataclass(slots=True)
class Csv:
    """A CSV file whose header was read."""

    path: Path
    stream: BinaryIO
    #: bytes that were read from the stream already
    begin: bytes
    delimiter: str
    columns: tuple[str, ...]
    #: commas may stand in numbers: where they do not part columns, or somebody said so
    decimal_comma: bool

    def rows(self, wanted: tuple[str, ...], kinds: Kinds | None) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Rows counted from 1, the header not counted; text instead of a row says what is wrong with it."""
        import pyarrow as pa

        whole, bad = _Joined(self.begin, self.stream), _BadRows(len(self.columns))
        places = [self.columns.index(name) for name in wanted]
        looked_at = [
            (name, self.columns.index(name))
            for name in (dict.fromkeys((*kinds.columns, *kinds.shares)) if kinds else ())
            if name in self.columns
        ]
        number = -1  # the header becomes row 0
        try:
            for batch in _reader(whole, len(self.columns), self.delimiter, bad):
                columns = self._texts(batch, bad, number, whole.nul)
                rows = [column[1:] for column in columns] if number < 0 else columns
                for name, place in looked_at:
                    kinds.look_at_text(  # type: ignore[union-attr]
                        name, rows[place], self.decimal_comma, partial(self._where, bad, max(number, 0))
                    )
                swallowed = _swallowed(rows, self.delimiter)
                cells = [rows[place].to_pylist() for place in places]
                number = max(number, 0)
                for at, values in enumerate(zip(*cells, strict=True) if cells else [()] * len(rows[0])):
                    number += 1
                    while bad.next_is(number):
                        yield number, bad.sentence(self.path, number)
                        number += 1
                    if at in swallowed:
                        raise FileFault(f"{self.path}: row {number}: a quoted cell holds whole rows: {_UNCLOSED}")
                    yield number, dict(zip(wanted, values, strict=True))
        except pa.ArrowInvalid as error:
            raise FileFault(f"{self.path}: after row {max(0, number)}: {_parse_error(error)}") from error
        while bad.next_is(number + 1):
            number += 1
            yield number, bad.sentence(self.path, number)
        if _ends_in_a_quote(whole.tail, self.delimiter):
            raise FileFault(f"{self.path}: row {number}: the file ends inside a quoted cell: is it cut short?")

    def _where(self, bad: _BadRows, before: int, at: int) -> str:
        return f"{self.path}: row {bad.number_of(before, at)}"

    def _texts(self, batch: Any, bad: _BadRows, before: int, nul: bool) -> list[Any]:
        """The columns as text, which fails on bytes that are none. Raises :class:`FileFault` with the row."""
        import pyarrow as pa

        found = []
        for name, column in zip(self.columns, batch.columns, strict=True):
            try:
                found.append(column.cast(pa.string()))
            except pa.ArrowInvalid:
                at, cell = next((at, cell) for at, cell in enumerate(column.to_pylist()) if not _is_text(cell))
                where = bad.number_of(before, at)
                raise FileFault(f"{self.path}: {f'row {where}' if where else 'header'}: {_not_text(cell)}") from None
            if nul:
                for at, cell in enumerate(column.to_pylist()):
                    if b"\0" in cell:
                        where = bad.number_of(before, at)
                        raise FileFault(f"{self.path}: row {where}: {name!r} holds NUL bytes: is the file damaged?")
        return found


def read_header(path: Path, stream: BinaryIO, delimiter: str | None, commas: bool = False) -> Csv:
    """Find the delimiter and the header; ``commas``: numbers have them. Raises :class:`FileFault`."""
    begin = _sample(stream)
    if b"\0" in begin:
        raise FileFault(f"{path}: holds NUL bytes and is no CSV")
    whole = len(begin) < _SAMPLE
    text = begin.decode("utf-8", "replace")
    said = _SEPARATOR.match(text)  # what Excel writes before the header
    if said is not None:
        begin, text, delimiter = begin[said.end() :], text[said.end() :], delimiter or said[1]
    if not text.strip():
        raise FileFault(f"{path}: is empty")
    found = delimiter or _find_delimiter(text, whole)
    rows = _first_rows(text, found, whole)
    if not rows:
        raise FileFault(f"{path}: its first row is longer than {_SAMPLE >> 10} KiB, or a quote in it is not closed")
    header = rows[0]
    if len(rows) == 1 and len(header) == 1 and header[0].lstrip().startswith(("{", "[")):
        raise FileFault(f"{path}: holds JSON and no CSV: name it .ndjson, with one object a line")
    return Csv(path, stream, begin, found, tuple(name.strip() for name in header), commas or found != ",")


def _sample(stream: BinaryIO) -> bytes:
    parts, size = [], 0
    while size < _SAMPLE:
        data = stream.read(_SAMPLE - size)
        if not data:
            break
        parts.append(data)
        size += len(data)
    return b"".join(parts)


def _first_rows(text: str, delimiter: str, whole: bool) -> list[list[str]]:
    """The first rows that stand in the text in full."""
    lines = _lines(text)
    if not whole:
        lines = lines[:-1]
    found: list[list[str]] = []
    try:
        for row in csv.reader(lines, delimiter=delimiter):
            if row:
                found.append(row)
            if len(found) == _LOOK_AT:
                break
    except csv.Error:  # a cell beyond the module's limit: rows so far are enough
        pass
    return found


def _lines(text: str) -> list[str]:
    """Lines as CSV has them: ``splitlines`` would also part at form feeds and Unicode's separators."""
    return list(io.StringIO(text, newline=""))


def _find_delimiter(text: str, whole: bool) -> str:
    """The sign that parts the first rows most evenly, and then into most columns; a comma if none parts them."""
    best = (0.0, 0, ",")
    for sign in _DELIMITERS:
        rows = _first_rows(text, sign, whole)
        width = len(rows[0]) if rows else 0
        if width < 2:
            continue
        even = sum(len(row) == width for row in rows) / len(rows)
        if (even, width) > best[:2]:
            best = (even, width, sign)
    return best[2]


class _Joined:
    """Bytes and the stream they were read from, as one file for pyarrow; notes what pyarrow would not tell."""

    closed = False

    def __init__(self, begin: bytes, stream: BinaryIO) -> None:
        self._begin, self._stream = begin, stream
        self.nul = False
        #: the last bytes that were read
        self.tail = b""

    def read(self, size: int = -1) -> bytes:
        if self._begin:
            data = self._begin if size < 0 else self._begin[:size]
            self._begin = self._begin[len(data) :]
        else:
            data = self._stream.read(size)
        self.nul |= b"\0" in data
        if data:
            self.tail = data[-_TAIL:] if len(data) >= _TAIL else (self.tail + data)[-_TAIL:]
        return data

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """Whoever opened the stream closes it."""


class _BadRows:
    """Rows with too many or too few columns, as pyarrow finds them: ahead of the batch that they stand in."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        # numbers ascend; arrays, because every row of millions may be bad
        self._numbers, self._widths, self._broken = array("q"), array("q"), array("b")
        self._at = 0

    def take(self, row: Any) -> str:
        """pyarrow's handler. It counts the header as row 1."""
        self._numbers.append((row.number or 0) - 1)
        self._widths.append(row.actual_columns)
        self._broken.append("\n" in row.text or "\r" in row.text)
        return "skip"

    def next_is(self, number: int) -> bool:
        """Whether this row is the next bad one."""
        return self._at < len(self._numbers) and self._numbers[self._at] == number

    def number_of(self, before: int, at: int) -> int:
        """Number of a batch's row at ``at``, where ``before`` is the last number before the batch."""
        bad, number = set(self._numbers[self._at :]), before
        for _ in range(at + 1):
            number += 1
            while number in bad:
                number += 1
        return number

    def sentence(self, path: Path, number: int) -> str:
        """What is wrong with the next one. :class:`FileFault` if nobody knows how many rows it is."""
        found, broken = self._widths[self._at], self._broken[self._at]
        self._at += 1
        said = f"has {found} {'column' if found == 1 else 'columns'} where the header has {self._expected}"
        if broken:
            raise FileFault(f"{path}: row {number}: {said} and goes over several lines: {_UNCLOSED}")
        return said + (": is a cell that holds the delimiter not quoted?" if found > self._expected else "")


def _reader(stream: _Joined, width: int, delimiter: str, bad: _BadRows) -> Any:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.open_csv(
        stream,
        read_options=arrow_csv.ReadOptions(autogenerate_column_names=True, use_threads=False, block_size=BLOCK),
        parse_options=arrow_csv.ParseOptions(
            delimiter=delimiter, newlines_in_values=True, ignore_empty_lines=True, invalid_row_handler=bad.take
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types={f"f{place}": pa.binary() for place in range(width)}, check_utf8=False,
            strings_can_be_null=False,
        ),
    )  # fmt: skip


def _swallowed(columns: list[Any], delimiter: str) -> set[int]:
    """Rows with a cell whose further lines are rows: an unclosed quote makes one cell of many rows.

    The cell holds the rest of its row then, whole rows, and a row up to the next quote. That these begin with a digit
    in the columns in which other rows do tells them from a text of several lines.
    """
    import pyarrow.compute as pc

    found: set[int] = set()
    width = len(columns)
    for place, column in enumerate(columns):
        broken = pc.match_substring(column, "\n")
        if not pc.any(broken).as_py():
            continue
        for at in pc.indices_nonzero(broken).to_pylist():
            first, *whole, last = (line.split(delimiter) for line in column[at].as_py().split("\n"))
            if len(first) != width - place or any(len(cells) != width for cells in whole):
                continue
            if len(last) > width or not (whole or len(last) == place + 1):
                continue
            # the first and the last cell of what was swallowed are cut
            pieces = [(place + 1, first[1:]), *((0, cells) for cells in whole), (0, last[:-1])]
            digits = _begin_with_a_digit(columns, at)
            same = {
                cell[:1].isdigit() == digits[start + number]
                for start, cells in pieces
                for number, cell in enumerate(cells)
                if digits[start + number] is not None
            }
            if True in digits and same == {True}:
                found.add(at)
    return found if width > 1 else set()


def _begin_with_a_digit(columns: list[Any], but: int) -> list[bool | None]:
    """By column, whether its cells begin with a digit; ``None`` where some do and some do not."""

    found: list[bool | None] = []
    for column in columns:
        others = [column[at].as_py() for at in range(min(len(column), _LOOKED_AT)) if at != but]
        says = {cell[:1].isdigit() for cell in others if cell}
        found.append(says.pop() if len(says) == 1 else None)
    return found


def _ends_in_a_quote(tail: bytes, delimiter: str) -> bool:
    """Whether the last line opens a quote that nothing closes. The line before may have opened it, and then not."""
    lines = _lines(tail.decode("utf-8", "replace"))
    try:
        list(csv.reader(lines[-1:], delimiter=delimiter, strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def _is_text(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return False
    return True


def _not_text(cell: bytes) -> str:
    shown = ascii(cell[:40].decode("latin-1"))
    return f"{shown} is no UTF-8; if the file is Windows or Latin-1 text, say --encoding cp1252"


def _parse_error(error: Exception) -> str:
    if "Empty CSV" in str(error):
        return f"there is a header and no row, or a quote in it swallows the rest: {_UNCLOSED}"
    if "straddling" in str(error):
        return f"a row is longer than {BLOCK >> 20} MiB: {_UNCLOSED}"
    return str(error)

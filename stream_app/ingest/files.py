"""Tables in files: CSV, NDJSON and Parquet, packed or not, alone or as a folder of parts; never a whole file in memory.

What a file is follows from its content, and from its name where its content leaves both CSV and NDJSON open. pyarrow is
imported when a CSV or Parquet file is read, not before.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, Protocol
from urllib.parse import unquote

import msgspec

from stream_app.errors import Incompatible
from stream_app.ingest.csv_files import read_header
from stream_app.ingest.decimal_signs import COMMA
from stream_app.ingest.faults import FileFault
from stream_app.ingest.kinds import Kinds
from stream_app.ingest.parquet_files import read_footer
from stream_app.ingest.streams import faults_named, opened, text_stream

_CSV: Final = (".csv", ".tsv", ".psv", ".txt", ".tab")
_LINES: Final = (".ndjson", ".jsonl", ".json")
_PARQUET: Final = (".parquet", ".pq", ".parq")
_ENDINGS: Final = (*_CSV, *_LINES, *_PARQUET)
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".lz4", ".gzip")
#: Longest line of NDJSON: beyond any record.
_LINE: Final = 8 << 20
#: Names of columns that are remembered of rows that each have their own.
_NAMES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What the user says of text files; ``None``: found out."""

    encoding: str | None = None
    delimiter: str | None = None
    #: the decimal sign of numbers in CSV files
    decimal: Literal[",", "."] | None = None


class Table(Protocol):
    """A file whose beginning was read. ``columns``: ``None`` where each row has its own."""

    @property
    def path(self) -> Path: ...

    @property
    def decimal_comma(self) -> bool: ...

    @property
    def columns(self) -> tuple[str, ...] | None: ...

    def rows(self, wanted: tuple[str, ...], kinds: Kinds | None) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Rows with their number, from 1; text instead of a row says what is wrong with it."""
        ...


@dataclass(slots=True)
class Lines:
    """An NDJSON file."""

    path: Path
    stream: BinaryIO
    columns: tuple[str, ...] | None = None
    decimal_comma: bool = False
    #: names of columns that rows had
    seen: dict[str, None] = field(default_factory=dict)

    def rows(self, wanted: tuple[str, ...], kinds: Kinds | None) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Rows with the number of their line; empty lines are none. ``wanted``: which names may not stand twice."""
        number, known = 0, set[str]()
        while line := self.stream.readline(_LINE):
            number += 1
            if len(line) == _LINE:
                raise FileFault(f"{self.path}: line {number} is longer than {_LINE >> 20} MiB")
            if not line.strip():
                continue
            row = _object(line, wanted)
            if isinstance(row, dict):
                if not known.issuperset(row) and len(self.seen) < _NAMES:
                    self.seen |= dict.fromkeys(row)
                    known.update(row)
                if kinds is not None:
                    kinds.look_at(row)
            elif number == 1 and line.lstrip()[:1] == b"[":
                raise FileFault(f"{self.path}: holds one JSON array: write one object a line")
            yield number, row


#: Where a name of an object ends. A text may look like it, so there are at least as many of these as there are names.
_NAME_ENDS: Final = re.compile(rb'"\s*:')


def _object(line: bytes, wanted: tuple[str, ...]) -> dict[str, Any] | str:
    try:
        row = msgspec.json.decode(line)
        if not isinstance(row, dict):
            return "no JSON object"
        if len(_NAME_ENDS.findall(line)) > _names_in(row):
            return _twice(line, wanted) or row
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"no JSON: {error}"
    except RecursionError:
        return "no JSON that can be read: it is nested too deeply"
    return row


def _names_in(value: Any) -> int:
    """Names of all objects in a value."""
    if isinstance(value, dict):
        return len(value) + sum(_names_in(item) for item in value.values() if item.__class__ in _HOLDING)
    return sum(_names_in(item) for item in value if item.__class__ in _HOLDING)


_HOLDING: Final = frozenset({dict, list})


class _Again(dict[str, Any]):
    """An object of which names stand twice."""

    names: tuple[str, ...] = ()


def _twice(line: bytes, wanted: tuple[str, ...]) -> str | None:
    """What to say of a line in which a name that is read stands twice: readers differ in which of both they take."""
    row = json.loads(line, object_pairs_hook=_of_pairs, parse_int=str)
    if isinstance(row, _Again):
        for name in row.names:
            if name in wanted:
                return f"{name!r} stands twice, and would be read from one of them"
    for column in wanted:
        again = next(_again(row.get(column)), None)
        if again is not None:
            return f"{again!r} stands twice in {column!r}, and would be read from one of them"
    return None


def _of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counted, again = Counter(name for name, _ in pairs), _Again(found)
    again.names = tuple(name for name, count in counted.items() if count > 1)
    return again


def _again(value: Any) -> Iterator[str]:
    """Names that stand twice anywhere in a value."""
    if isinstance(value, _Again):
        yield from value.names
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        yield from _again(item)


def parts(path: Path) -> list[Path]:
    """The file itself, or the tables of a folder and those below it by name. Raises :class:`FileFault`."""
    if path.is_file():
        return [path]
    if not path.exists():
        raise FileFault(f"{path}: no such file")
    if not path.is_dir():
        raise FileFault(f"{path}: neither a file nor a folder")
    _refuse_versioned(path)
    found = [
        item
        for item in sorted(path.rglob("*"))
        if item.is_file() and _ending(item) in _ENDINGS and not _hidden(item.relative_to(path))
    ]
    if not found:
        raise FileFault(f"{path}: a folder without any file named {', '.join(_ENDINGS)}")
    return found


#: What Hive and Spark call a folder of rows without a value.
_NO_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


def of_folders(path: Path, part: Path) -> dict[str, str | None]:
    """Columns that the folders between a table's folder and one of its files hold: ``tenant_id=acme/day=2026-03-02``.

    Hive, Spark and pyarrow write such columns into names of folders alone.
    """
    if part == path:
        return {}
    found: dict[str, str | None] = {}
    for name in part.relative_to(path).parts[:-1]:
        column, sign, value = name.partition("=")
        if sign:
            found[unquote(column)] = None if value == _NO_VALUE else unquote(value)
    return found


def _refuse_versioned(path: Path) -> None:
    """Formats of tables whose folders also hold rows that were deleted or replaced. Raises :class:`FileFault`."""
    for name, mark in (("Delta", "_delta_log"), ("Hudi", ".hoodie"), ("Iceberg", "metadata/*.metadata.json")):
        if next(path.rglob(mark), None) is not None:
            raise FileFault(
                f"{path}: a table of {name}, whose folder also holds rows that were deleted or replaced: write the "
                "rows that count as Parquet or CSV"
            )


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def table(path: Path, reading: Reading = Reading()) -> Iterator[Table]:
    """Open one file. Whatever is wrong with it, now or while its rows are read, is a :class:`FileFault`."""
    if not path.is_file():
        raise FileFault(f"{path}: {'a folder' if path.is_dir() else 'no such file'}")
    with faults_named(path):
        with path.open("rb") as file:
            head = file.read(4)
        if not head:
            raise FileFault(f"{path}: is empty")
        if head == b"PAR1" or _ending(path) in _PARQUET:
            yield read_footer(path)
            return
        ending = _ending(path)
        with opened(path) as packed, text_stream(path, packed, reading.encoding) as stream:
            if ending in _LINES:
                yield Lines(path, stream)
            elif ending in _CSV:
                yield read_header(path, stream, reading.delimiter, reading.decimal == COMMA)
            else:
                raise FileFault(f"{path}: cannot tell the format; name it {', '.join(_ENDINGS)}")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """All rows of a file or folder, with all of their columns. ``Incompatible`` at the first that is none."""
    for part in parts(path):
        beside = of_folders(path, part)
        with table(part) as found:
            for number, row in found.rows(found.columns or (), None):
                if isinstance(row, str):
                    raise Incompatible(f"{part}, row {number}: {row}")
                yield {**beside, **row}


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes, or of those of a folder's tables, hex."""
    found = parts(path)
    with faults_named(path):
        if found == [path]:
            return _digest(path)
        each = [f"{_digest(part)} {sorted(of_folders(path, part).items())}" for part in found]
        return hashlib.sha256("\n".join(each).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

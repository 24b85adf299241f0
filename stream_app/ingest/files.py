"""Rows of CSV, NDJSON and Parquet files, compressed or not, one dictionary each; never the whole file in memory."""

from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from stream_app.errors import Incompatible

_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_PARQUET_BATCH = 16_384


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows in file order. The name tells the format: .csv, .ndjson, .jsonl (+ .gz .bz2 .xz .zst), .parquet, .pq."""
    for number, row in numbered_rows(path):
        if isinstance(row, str):
            raise Incompatible(f"{path}, line {number}: {row}")
        yield row


def numbered_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """Rows with their line (row, in Parquet), counted from 1; text instead of a row says what is wrong with it."""
    if not path.is_file():
        raise Incompatible(f"{path}: no such file")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in (*_OPENERS, ".zst") else None
    kind = suffixes[-1] if suffixes else ""
    if kind in (".parquet", ".pq"):
        yield from enumerate(_parquet(path), 1)
        return
    if kind not in (".csv", ".ndjson", ".jsonl"):
        raise Incompatible(f"{path}: cannot tell the format; name it .csv, .ndjson, .jsonl, .parquet or .pq")
    with _open(path, compression) as stream:
        if kind == ".csv":
            reader = csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
            for row in reader:
                yield reader.line_num, row
        else:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, _object(line)


def _object(line: bytes) -> dict[str, Any] | str:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        return str(error)
    return row if isinstance(row, dict) else "expected an object"


def _open(path: Path, compression: str | None) -> BinaryIO:
    if compression == ".zst":
        import zstandard

        stream: BinaryIO = zstandard.open(path, "rb")
        return stream
    if compression is not None:
        opened: BinaryIO = _OPENERS[compression](path)
        return opened
    return path.open("rb")


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
            yield from batch.to_pylist()


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes, hex."""
    if not path.is_file():
        raise Incompatible(f"{path}: no such file")
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

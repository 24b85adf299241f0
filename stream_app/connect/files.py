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
    if not path.is_file():
        raise Incompatible(f"{path}: no such file")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in (*_OPENERS, ".zst") else None
    kind = suffixes[-1] if suffixes else ""
    if kind in (".parquet", ".pq"):
        yield from _parquet(path)
        return
    if kind not in (".csv", ".ndjson", ".jsonl"):
        raise Incompatible(f"{path}: cannot tell the format; name it .csv, .ndjson, .jsonl, .parquet or .pq")
    with _open(path, compression) as stream:
        if kind == ".csv":
            yield from csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8", newline=""))
        else:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield _object(path, number, line)


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = msgspec.json.decode(line)
    except msgspec.DecodeError as error:
        raise Incompatible(f"{path}, line {number}: {error}") from error
    if not isinstance(row, dict):
        raise Incompatible(f"{path}, line {number}: expected an object")
    return row


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

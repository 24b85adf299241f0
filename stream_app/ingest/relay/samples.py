"""Records in files: one JSON object a line, as this project writes them, as kcat -J does, or the bare values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from stream_app.errors import Incompatible
from stream_app.ingest.relay.words import decode_json

_OURS: Final = frozenset({"topic", "partition", "offset", "timestamp", "key", "headers", "value"})


@dataclass(frozen=True, slots=True)
class Sample:
    """A record of a file, as a consumer would have read it. ``offset`` is the line's number."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def samples(path: Path) -> Iterator[Sample]:
    """Every line as a record. ``Incompatible`` names a line that is no JSON."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise Incompatible(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = decode_json(line)
        except ValueError as error:
            raise Incompatible(f"{path}, line {number}: not JSON: {error}") from error
        yield _sample(row, line, number)


def _sample(row: Any, line: bytes, number: int) -> Sample:
    if isinstance(row, dict) and "payload" in row and "tstype" in row:
        pairs = row.get("headers", [])
        headers = [(str(name), str(value).encode()) for name, value in zip(pairs[::2], pairs[1::2], strict=False)]
        return _make(row, number, row["payload"], headers, row.get("ts", 0))
    if isinstance(row, dict) and "value" in row and set(row) <= _OURS:
        headers = [(str(name), str(value).encode()) for name, value in row.get("headers", {}).items()]
        return _make(row, number, row["value"], headers, row.get("timestamp", 0))
    return Sample("sample", 0, number, 0, None, line, [])


def _make(row: dict[str, Any], number: int, value: Any, headers: list[tuple[str, bytes]], at: Any) -> Sample:
    raw = value.encode() if isinstance(value, str) else None if value is None else json.dumps(value).encode()
    key = row.get("key")
    return Sample(
        str(row.get("topic", "sample")), int(row.get("partition", 0)), number, int(at),
        None if key is None else str(key).encode(), raw, headers,
    )  # fmt: skip

"""What all records share: times, ids, CloudEvents headers, one way to write JSON."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import orjson

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:plumbline")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def encode(record: Any) -> bytes:
    """A struct or dictionary as JSON with sorted keys: the same content always gives the same bytes."""
    return orjson.dumps(msgspec.to_builtins(record), option=orjson.OPT_SORT_KEYS)


def rfc3339(ms: int) -> str:
    """Epoch milliseconds as ``2026-03-02T02:00:00.000Z``."""
    return (_EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def to_ms(when: datetime) -> int:
    """Epoch milliseconds of an aware datetime, rounded down."""
    return (when - _EPOCH) // _MILLISECOND


def parse_ms(value: str | int) -> int:
    """Epoch milliseconds of an RFC 3339 time with an offset, or of an integer that is one already."""
    if isinstance(value, int):
        return value
    when = datetime.fromisoformat(value)
    if when.tzinfo is None:
        raise ValueError(f"time {value!r} has no offset: write it as ...Z or ...+01:00")
    return to_ms(when)


def uuid5(*parts: str) -> str:
    """Deterministic id of what the parts name."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def ce_headers(kind: str, id: str, line: str, at_ms: int, source: str) -> list[tuple[str, bytes]]:
    """CloudEvents binary headers of an output record."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", f"io.plumbline.{kind}.v1".encode()),
        ("ce_subject", line.encode()),
        ("ce_time", rfc3339(at_ms).encode()),
        ("content-type", b"application/json"),
    ]

"""Source records, as a consumer hands them over."""

from __future__ import annotations

from typing import Any

import orjson

from stream_app.ingest.relay.expressions import Names, compile_expression
from stream_app.ingest.relay.samples import Sample
from stream_app.ingest.relay.source import Source


def record(value: Any, offset: int = 0, key: bytes | None = None, timestamp: int = 7, **headers: str) -> Sample:
    """A record whose value is written as JSON; bytes and ``None`` are taken as they are."""
    raw = value if isinstance(value, bytes) or value is None else orjson.dumps(value)
    return Sample(
        "app.events", 1, offset, timestamp, key, raw, [(name, text.encode()) for name, text in headers.items()]
    )


def evaluate(text: Any, value: Any = None, parameters: dict[str, Any] | None = None, **headers: str) -> Any:
    """What an expression gives on a record."""
    source = Source(0)
    source.load(record(value, **headers))
    return compile_expression(text, Names(parameters or {})).evaluate(source)

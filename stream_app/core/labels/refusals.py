"""Why a record is refused: (reason, error) of its dead-lettered record."""

from __future__ import annotations

from schemas import bounds
from schemas.common import LEAST_MS, MAX_MS, RECENT_MS, rfc3339
from schemas.deadletters import explain
from schemas.unreadable import Unreadable
from stream_app.core.kit.effects import ConsumedRecord
from stream_app.core.labels.config import LabelsConfig

Refusal = tuple[str, str]


def undecoded(record: ConsumedRecord, error: Exception, limit: int) -> Refusal:
    """A record that is not what the contract describes."""
    if isinstance(record.value, Unreadable):
        return record.value.reason, record.value.error
    if record.value is None:
        return "null_value", "the record has no value"
    size = bounds.content(record.key, record.value, record.headers)
    if size > limit:
        return "oversized", f"{size} bytes, the limit is {limit}"
    return explain(error)


def too_long(record: ConsumedRecord, key: bytes, limit: int) -> Refusal | None:
    """A readable record with too long an id, or too large with its key and headers. ``key``: prefix byte and id."""
    if len(key) > 129:
        return "invalid_field", "prediction_id is longer than 128 bytes"
    # every record of a producer that traces its requests comes by here: at most, by a sum that is quick
    most = len(record.value or b"") + len(record.key or b"")
    for name, text in record.headers:
        most += 4 * len(name) + len(text or b"")
    if most <= limit:
        return None
    size = bounds.content(record.key, record.value, record.headers)
    return ("oversized", f"{size} bytes, the limit is {limit}") if size > limit else None


def out_of_time(field: str, at: int, tick_ms: int, config: LabelsConfig) -> Refusal:
    """A time too far after, or too long before, the covering tick; all in epoch ms."""
    said, tick = f"{field} {_written(at)}", _written(tick_ms)
    if at > tick_ms:
        return "future", f"{said} is more than {config.future_ms / 1000:g} s after the tick {tick}"
    said += f" is more than {config.max_age_days} d before the tick {tick}"
    if at < LEAST_MS and RECENT_MS < at * 1000 <= MAX_MS:
        said += f"; if {at} is in seconds ({_written(at * 1000)}), write milliseconds"
    return "too_old", said


def _written(at: int) -> str:
    try:
        return rfc3339(at)
    except OverflowError:  # 9999-12-31T23:00:00-05:00 is a time of the year 10000
        return f"{at} ms since 1970"

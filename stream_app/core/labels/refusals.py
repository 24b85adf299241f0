"""Why a record is refused: (reason, error) of its dead letter."""

from __future__ import annotations

import msgspec

from schemas.unreadable import Unreadable
from stream_app.core.labels.config import LabelsConfig

Refusal = tuple[str, str]


def undecoded(value: bytes | None, error: Exception, limit: int) -> Refusal:
    """A record that is not what the contract describes."""
    if isinstance(value, Unreadable):
        return value.reason, value.error
    if value is None:
        return "null_value", "the record has no value"
    if len(value) > limit:
        return "oversized", f"{len(value)} bytes, the limit is {limit}"
    return "invalid_field" if isinstance(error, msgspec.ValidationError) else "invalid_json", str(error)


def too_long(value: bytes | None, key: bytes, limit: int) -> Refusal:
    """A readable record with too long an id, or too long altogether. ``key``: prefix byte and id."""
    if len(key) > 129:
        return "invalid_field", "prediction_id is longer than 128 bytes"
    return "oversized", f"{len(value or b'')} bytes, the limit is {limit}"


def out_of_time(field: str, at: int, tick_ms: int, config: LabelsConfig) -> Refusal:
    """A time too far after, or too long before, the covering tick; all in epoch ms."""
    if at > tick_ms:
        return "future", f"{field} {at} is more than {config.future_ms} ms after the tick {tick_ms}"
    return "too_old", f"{field} {at} is more than {config.max_age_days} d before the tick {tick_ms}"

"""Dead letters: the original bytes and headers, with string headers that say where they stood and what is wrong."""

from __future__ import annotations

from typing import Final

import msgspec

TOPIC: Final = "__connect.errors.topic"
PARTITION: Final = "__connect.errors.partition"
OFFSET: Final = "__connect.errors.offset"
CLASS: Final = "__connect.errors.exception.class.name"
MESSAGE: Final = "__connect.errors.exception.message"
REASON: Final = "plumbline.reason"
STAGE: Final = "plumbline.stage"

HEADERS: Final = (TOPIC, PARTITION, OFFSET, CLASS, MESSAGE, REASON, STAGE)
#: How the headers begin that are added; redriving takes them off again.
ADDED: Final = ("__connect.errors.", "plumbline.")

INVALID_JSON: Final = "invalid_json"
INVALID_FIELD: Final = "invalid_field"
NULL_VALUE: Final = "null_value"
OVERSIZED: Final = "oversized"
BAD_NAME: Final = "bad_name"
MISSING_TENANT: Final = "missing_tenant"
FUTURE: Final = "future"
TOO_OLD: Final = "too_old"
BAD_INTERVAL: Final = "bad_interval"
CONTRADICTORY: Final = "contradictory"
TOO_MANY_MODELS: Final = "too_many_models"
INVALID_ORDER: Final = "invalid_order"
INVALID_TICK: Final = "invalid_tick"
FOREIGN_PARTITION: Final = "foreign_partition"
UNMAPPABLE: Final = "unmappable"

#: Values of ``plumbline.reason``, and what each says.
REASONS: Final = {
    INVALID_JSON: "not JSON in UTF-8: cut short, NaN or Infinity, bytes that are no text, nested too deeply",
    INVALID_FIELD: "a field is missing, of the wrong type or out of its range; a time has no offset",
    NULL_VALUE: "the record has no value",
    OVERSIZED: "larger than max_record_bytes",
    BAD_NAME: "a name with other characters than A-Z a-z 0-9 . _ -, too long, or reserved",
    MISSING_TENANT: "the model type is per tenant and the record names none",
    FUTURE: "its time is further after the tick that covers it than future_tolerance_s",
    TOO_OLD: "its time is further before the tick that covers it than max_prediction_age_days",
    BAD_INTERVAL: "half a confidence interval, or one that is upside down",
    CONTRADICTORY: "another record came first under the same prediction_id",
    TOO_MANY_MODELS: "a new model type, model or version beyond the number that a partition counts; known ones go on",
    INVALID_ORDER: "a command or result that cannot be read",
    INVALID_TICK: "a clock record that cannot be read; time goes on with the next one",
    FOREIGN_PARTITION: "a command or result on another partition than its line's; redriving re-keys it",
    UNMAPPABLE: "the relay's map made nothing of it; the message names the field and the path",
}


def explain(error: Exception) -> tuple[str, str]:
    """Reason and message for what an input decoder raised; the message names the field where there is one."""
    text = str(error)
    if isinstance(error, UnicodeError):
        return INVALID_JSON, f"not UTF-8: {text}"
    if not isinstance(error, msgspec.ValidationError):
        return INVALID_JSON, text
    field = text.rpartition("$.")[2].rstrip("`")
    if "timezone component" in text:
        return INVALID_FIELD, f"{field} is a time without an offset: write it as ...Z or ...+01:00"
    if "RFC3339" in text:
        return INVALID_FIELD, f"{field} is neither RFC 3339, as 2026-03-02T02:00:00Z, nor an integer of milliseconds"
    return INVALID_FIELD, text

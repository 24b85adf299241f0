"""Dead-lettered records: the original bytes and headers, and headers that say where they stood and what is wrong.

:func:`build` makes them, for every writer. A record within its limit stays as it was; of one beyond it, and of one
that could not be read at all, stand the beginning, the length and the digest, so a dead-lettered record is bounded
whatever arrived.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from schemas import bounds
from schemas.unreadable import CutShort, Unreadable

TOPIC: Final = "__connect.errors.topic"
PARTITION: Final = "__connect.errors.partition"
OFFSET: Final = "__connect.errors.offset"
CLASS: Final = "__connect.errors.exception.class.name"
MESSAGE: Final = "__connect.errors.exception.message"
REASON: Final = "plumbline.reason"
STAGE: Final = "plumbline.stage"

#: Of an unreadable batch or record: its last offset, how many records it counts as, and the SHA-256 of all its bytes.
LAST_OFFSET: Final = "plumbline.last_offset"
RECORDS: Final = "plumbline.records"
#: Also of a truncated record: of its whole value.
SHA256: Final = "plumbline.sha256"
#: JSON: length and SHA-256 of each part that is not kept whole; of headers that were left out also their number.
TRUNCATED: Final = "plumbline.truncated"

#: Every one has them.
HEADERS: Final = (TOPIC, PARTITION, OFFSET, CLASS, MESSAGE, REASON, STAGE)
#: Some have them too.
MORE_HEADERS: Final = (LAST_OFFSET, RECORDS, SHA256, TRUNCATED)

INVALID_JSON: Final = "invalid_json"
INVALID_FIELD: Final = "invalid_field"
NULL_VALUE: Final = "null_value"
OVERSIZED: Final = "oversized"
UNREADABLE_RECORD: Final = "unreadable_record"
UNREADABLE_BATCH: Final = "unreadable_batch"
BAD_NAME: Final = "bad_name"
MISSING_TENANT: Final = "missing_tenant"
FUTURE: Final = "future"
TOO_OLD: Final = "too_old"
BAD_INTERVAL: Final = "bad_interval"
CONTRADICTORY: Final = "contradictory"
TOO_MANY_MODELS: Final = "too_many_models"
INVALID_COMMAND: Final = "invalid_command"
INVALID_TICK: Final = "invalid_tick"
FOREIGN_PARTITION: Final = "foreign_partition"
UNMAPPABLE: Final = "unmappable"
REFUSED_BY_DESTINATION: Final = "refused_by_destination"

#: What lists say of a record on this topic that somebody else wrote; none of ours has it.
FOREIGN: Final = "foreign"

#: Values of ``plumbline.reason``, and what each says.
REASONS: Final = {
    INVALID_JSON: "not JSON in UTF-8: cut short, NaN or Infinity, bytes that are no text, nested too deeply",
    INVALID_FIELD: "a field is missing, of the wrong type or out of its range; a time has no offset",
    NULL_VALUE: "the record has no value",
    OVERSIZED: "more than max_record_bytes in key, value and headers, or 64 KiB in a command or result; cut short",
    UNREADABLE_RECORD: "damaged inside a batch that is sound; the records beside it count as usual",
    UNREADABLE_BATCH: "a batch that cannot be unpacked, is too large unpacked, or whose checksum is wrong",
    BAD_NAME: "a name with other characters than A-Z a-z 0-9 . _ -, too long, or reserved",
    MISSING_TENANT: "the model type is per tenant and the record names none",
    FUTURE: "its time is further after the tick that covers it than future_tolerance_s",
    TOO_OLD: "its time is further before the tick that covers it than max_prediction_age_days",
    BAD_INTERVAL: "half a confidence interval, or one that is upside down",
    CONTRADICTORY: "another record came first under the same prediction_id",
    TOO_MANY_MODELS: "a new model type, model or version beyond the number that a partition counts; known ones go on",
    INVALID_COMMAND: "a command or result that cannot be read",
    INVALID_TICK: "a clock record that cannot be read; time goes on with the next one",
    FOREIGN_PARTITION: "a command or result on another partition than its model's; redriving re-keys it",
    UNMAPPABLE: "the relay's map made nothing of it; the message names the field and the path",
    REFUSED_BY_DESTINATION: "an alert that the bridge's destination would not take; the message says what it answered",
}


#: Fields of inputs that hold a time.
_TIMES: Final = frozenset({"predicted_at", "observed_at"})


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
    if field in _TIMES and ("`int` <=" in text or "`int` >=" in text):
        return INVALID_FIELD, f"{field} is outside 1970 to 2141; integers are milliseconds since 1970"
    if "RFC3339" in text or field in _TIMES:
        return INVALID_FIELD, f"{field} is neither RFC 3339, as 2026-03-02T02:00:00Z, nor an integer of milliseconds"
    return INVALID_FIELD, text


#: Of numbers in headers; more are beyond any offset.
_DIGITS: Final = 20
#: Most bytes of an added header; the sentence that says what is wrong is the longest.
_LONGEST: Final = 1_000


class Arrived(Protocol):
    """A record as it was consumed."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Built(NamedTuple):
    """A record for the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def build(record: Arrived, stage: str, reason: str, error: str, *, limit: int = bounds.RECORD) -> Built:
    """The record as it arrived, with where it stood and why it was refused added to its headers.

    Beyond ``limit`` bytes of key, value and headers the reason is ``oversized``, whatever else is wrong with it, and
    it is cut short. What the batch reader could not read brings its own reason.
    """
    found = [(_writable(name), text) for name, text in record.headers]
    size, framed = (measure(record.key, record.value, found) for measure in (bounds.content, bounds.framed))
    offset, more, kept = record.offset, list[tuple[str, str]](), Built(record.key, record.value, found)
    value = record.value
    cut = value.cut if isinstance(value, Unreadable) else None
    if isinstance(value, Unreadable) and cut is None:
        # a clock has one reason for whatever nobody can read
        reason, error, offset = (INVALID_TICK if reason == INVALID_TICK else value.reason), value.error, value.offset
        more = [(LAST_OFFSET, str(value.last_offset)), (RECORDS, str(value.records)), (SHA256, value.sha256)]
        short = _cut_short(record.key, bytes(value), found)
        kept = Built(short.key, short.value, found[: len(short.headers)])
    elif cut is not None or size > limit or framed > bounds.DEAD_LETTER - bounds.ADDED:
        wrong = "" if reason == OVERSIZED else f"; {reason}: {error}"
        reason, cut = OVERSIZED, cut or _cut_short(record.key, value, found)
        error = f"{cut.size} bytes in key, value and {cut.header_count} headers, the limit is {limit}{wrong}"
        kept = Built(cut.key, cut.value, list(cut.headers))
        if cut.lost:
            more.append((TRUNCATED, msgspec.json.encode(cut.lost).decode()))
        if "value" in cut.lost:
            more.append((SHA256, cut.lost["value"]["sha256"]))
    where = [
        (TOPIC, record.topic),
        (PARTITION, str(record.partition)),
        (OFFSET, str(offset)),
        (CLASS, "io.plumbline." + reason),
        (MESSAGE, error),
        (REASON, reason),
        (STAGE, stage),
        *more,
    ]
    added = [(name, bounds.cut(text, _LONGEST).encode("utf-8", "replace")) for name, text in where]
    return Built(kept.key, kept.value, [*kept.headers, *added])


def original(headers: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Headers that the record arrived with; it may have had some by our names."""
    return list(headers[: _first_added(headers)])


def added(headers: Sequence[tuple[str, bytes]]) -> dict[str, str]:
    """The added ones as text, without those that the record arrived with; none of a record that strangers wrote."""
    found = headers[_first_added(headers) :]
    return {name: value.decode("utf-8", "replace") for name, value in found if value is not None}


def origin(added: dict[str, str]) -> tuple[int, int] | None:
    """Partition and offset where a record stood; ``None`` if its headers are not all there, or say no such place: other
    systems write dead-lettered records too, some to the same topic and with headers of the same names."""
    places = added.get(PARTITION, ""), added.get(OFFSET, "")
    if not added.keys() >= set(HEADERS) or None in (numbers := [number(text) for text in places]):
        return None
    partition, offset = (found or 0 for found in numbers)
    return (partition, offset) if partition < 2**31 and offset < 2**63 else None


def number(text: str) -> int | None:
    """A whole number in a header, ``None`` for what is none or is beyond any offset."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _DIGITS else None


def _first_added(headers: Sequence[tuple[str, bytes]]) -> int:
    return max((i for i, (name, _) in enumerate(headers) if name == TOPIC), default=len(headers))


def _writable(name: str) -> str:
    """A header's name as UTF-8 can hold it."""
    return name.encode("utf-8", "backslashreplace").decode()


def too_large(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, Any]], offset: int) -> Unreadable:
    """What stands in the place of a record that is larger than any in use: it is ``oversized`` for whoever reads it,
    and its dead-lettered record keeps of it what :func:`build` keeps of any."""
    cut = _cut_short(key, value, [(_writable(name), text) for name, text in headers])
    # with a first byte that no decoder takes for a message, whatever the rest is
    error = f"{cut.size} bytes in key, value and {cut.header_count} headers"
    kept = b"\0" + (cut.value or b"")
    made = Unreadable.of(kept, reason=OVERSIZED, error=error, span=(offset, offset), records=1, sha256="")
    made.cut = cut
    return made


def _cut_short(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]) -> CutShort:
    """First KiB of value and key, the headers that fit 64 KiB; and what each part was of which not all is kept."""
    size, lost = bounds.content(key, value, headers), dict[str, Any]()
    if value is not None and len(value) > bounds.KEPT:
        lost["value"], value = _whole(value), bytes(value[: bounds.KEPT])
    if key is not None and len(key) > bounds.KEPT:
        lost["key"], key = _whole(key), bytes(key[: bounds.KEPT])
    kept, room = 0, bounds.KEPT_HEADERS
    for header in headers:
        room -= bounds.framed(None, None, [header])
        if room < 0:
            break
        kept += 1
    if kept < len(headers):
        whole = b"".join(part for name, text in headers for part in (name.encode(), text or b""))
        lost["headers"] = {"count": len(headers), "left_out": len(headers) - kept, **_whole(whole)}
    return CutShort(key, value, headers[:kept], size, len(headers), lost)


def _whole(part: bytes) -> dict[str, Any]:
    return {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()}

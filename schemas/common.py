"""What all records share: names, times, ids, CloudEvents headers, one way to write JSON."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import msgspec
import orjson
from msgspec import Meta

NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:plumbline")

#: Latest time any record may carry, epoch ms: the year 2141. Nothing real is later, seconds read as milliseconds are
#: far earlier, and a microsecond or nanosecond clock read as milliseconds is far beyond.
MAX_MS: Final = 5_400_000_000_000
#: Times before 1973 are no times of anything that was predicted: such a number may be of another unit.
LEAST_MS: Final = 100_000_000_000
#: What another unit would make later than 2000 may be of that unit.
RECENT_MS: Final = 946_684_800_000
_MAX_INT: Final = 2**63 - 1

#: 1 to 128 characters A-Z a-z 0-9 . _ -, and neither `.` nor `..`, which are no names wherever names become paths or
#: addresses. Without looking ahead, as not every reader of patterns can; unanchored, so that names can be put together.
NAME: Final = r"(?:[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}|\.[A-Za-z0-9_-][A-Za-z0-9._-]{0,126}|\.\.[A-Za-z0-9._-]{1,126})"
#: Ends patterns: `$` alone also matches before a last line break. Both Python and ECMAScript read it so.
END: Final = r"(?!\n)$"
NAME_PATTERN: Final = f"^{NAME}{END}"

_FLAGS: Final = {
    **dict.fromkeys(("1", "true", "t", "yes", "y"), True), **dict.fromkeys(("0", "false", "f", "no", "n"), False),
}  # fmt: skip

# Types of output fields. Patterns are native here: outputs are decoded by readers, not once per event.
Name = Annotated[str, Meta(pattern=NAME_PATTERN)]
ModelId = Annotated[str, Meta(pattern=f"^{NAME}:{NAME}{END}", description="model type and tenant, `TYPE:TENANT`")]
Everything = Annotated[str, Meta(pattern=rf"^(\*|{NAME}){END}")]
ModelIdOrAll = Annotated[str, Meta(pattern=rf"^(\*|{NAME}:{NAME}){END}", description="`TYPE:TENANT`, or `*` for all")]
Uuid = Annotated[str, Meta(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}" + END)]
Id = Annotated[str, Meta(min_length=1, max_length=128)]
Timestamp = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z" + END,
        description="RFC 3339 in UTC with milliseconds",
        extra_json_schema={"format": "date-time"},
    ),
]
Date = Annotated[str, Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}" + END, extra_json_schema={"format": "date"})]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{8,64}" + END)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}" + END, description="SHA-256 of all bytes, in hex")]
Token = Annotated[str, Meta(pattern="^[a-z][a-z0-9_]{0,63}" + END)]
Count = Annotated[int, Meta(ge=0, le=_MAX_INT)]
Offset = Count
Partition = Annotated[int, Meta(ge=0, le=2**31 - 1)]
#: A finite number: JSON has no other, and `encode` writes no other
Finite = Annotated[float, Meta(ge=-1.7976931348623157e308, le=1.7976931348623157e308)]
Unit = Annotated[float, Meta(ge=0, le=1)]
Percent = Annotated[float, Meta(ge=0, le=100)]
Text = Annotated[str, Meta(max_length=4_000)]
Actor = Annotated[str, Meta(min_length=1, max_length=256, description="who did it: a person or a part of Plumbline")]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Fields every output record has. ``at`` is the time of the tick that caused it."""

    schema: str
    id: Uuid
    at: Timestamp
    model: ModelId
    model_type: Name
    tenant_id: Name


def encode(record: Any) -> bytes:
    """A struct or dictionary as JSON with sorted keys: the same content always gives the same bytes.

    Fields that are UNSET are left out. ``ValueError`` for a number that is not finite: JSON has none, and writing null
    instead would make a fault of ours look like an undefined ratio.
    """
    plain = msgspec.to_builtins(record, str_keys=True)
    _refuse_not_finite(plain)
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


#: what long lists hold as a rule, such as histograms
_HARMLESS: Final = frozenset({int, str})


def _refuse_not_finite(value: Any) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be written as JSON")
    elif isinstance(value, dict):
        for item in value.values():
            if item.__class__ is not str and item.__class__ is not int:
                _refuse_not_finite(item)
    elif isinstance(value, list | tuple) and not _HARMLESS.issuperset(map(type, value)):
        for item in value:
            _refuse_not_finite(item)


def rfc3339(ms: int) -> str:
    """Epoch milliseconds as ``2026-03-02T02:00:00.000Z``. ``OverflowError`` beyond the years 1 to 9999."""
    return (_EPOCH + timedelta(milliseconds=ms)).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def to_ms(when: datetime) -> int:
    """Epoch milliseconds of an aware datetime, rounded down, in integers."""
    return (when - _EPOCH) // _MILLISECOND


def parse_ms(value: str | int) -> int:
    """Epoch milliseconds of an RFC 3339 time with an offset, or of an integer that is one already.

    Reads what the input decoders read. ``ValueError`` names the fault: no offset, no such time, out of 1970–2141.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"time {value!r} is neither RFC 3339 text nor integer milliseconds")
    if isinstance(value, int):
        ms = value
    else:
        try:
            when = msgspec.convert(value, datetime)
        except msgspec.ValidationError as error:
            raise ValueError(f"time {value[:64]!r} is not RFC 3339, as 2026-03-02T02:00:00Z is") from error
        if when.tzinfo is None:
            raise ValueError(f"time {value!r} has no offset: write it as ...Z or ...+01:00")
        ms = to_ms(when)
    if not 0 <= ms <= MAX_MS:
        raise ValueError(f"time {value!r} is outside 1970 to 2141; integers are milliseconds since 1970")
    return ms


def uuid5(*parts: str) -> str:
    """Deterministic id of what the parts name; parts hold no control characters."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join(parts)))


def flag(value: Any) -> bool | None:
    """What files and other people's records mean by true and false, 1.0 and 0.0 too; ``None`` for anything else."""
    return _FLAGS.get(str(value).strip().lower().removesuffix(".0"))


def ce_headers(kind: str, id: str, model: str, at_ms: int, source: str) -> list[tuple[str, bytes]]:
    """CloudEvents binary headers of an output record."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", f"io.plumbline.{kind}.v1".encode()),
        ("ce_subject", model.encode()),
        ("ce_time", rfc3339(at_ms).encode()),
        ("content-type", b"application/json"),
    ]

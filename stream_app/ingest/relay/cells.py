"""Cells of tables as fields: times in every writing, ids and names, labels, and words for what is missing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from schemas.common import LEAST_MS, MAX_MS, RECENT_MS, flag, to_ms
from stream_app.ingest.relay.labels import Label, label_of
from stream_app.ingest.relay.words import Fault, decoded, identifier, is_missing, shown

#: Units of integer times, as divisors or factors to milliseconds.
UNITS: Final[dict[str, tuple[int, int]]] = {"s": (1000, 1), "ms": (1, 1), "us": (1, 1000), "ns": (1, 1_000_000)}


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    try:
        return UTC if name == "UTC" else ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Fault(f"{name!r} is no time zone") from error


def in_zone(when: datetime, zone: str) -> datetime:
    """A time of the wall clock in a zone; of two that read alike, when clocks go back, the first."""
    found = when.replace(tzinfo=_zone(zone))
    if found.utcoffset() != found.replace(fold=1).utcoffset() and (
        found.astimezone(UTC).astimezone(found.tzinfo).replace(tzinfo=None) != when
    ):
        raise Fault(f"{when.isoformat(' ')} does not exist in {zone}: clocks went forward")
    return found


#: Digits before the point that a time can have: far more than any unit of the year 2141.
_MOST_DIGITS: Final = 30


def epoch_ms(value: Any, unit: str) -> int:
    """Epoch milliseconds of a number of s, ms, us or ns, or its text; exact, rounded down."""
    times, by = UNITS[unit]
    if isinstance(value, int) and not isinstance(value, bool):
        return value * times // by
    text = str(value).strip()
    try:
        if "_" in text:  # Python reads 1_000, nobody writes it
            raise ValueError(text)
        found = Decimal(text)
        if found.is_finite() and found.adjusted() > _MOST_DIGITS:  # 1e99999999 would be written out
            raise OverflowError(text)
        return int(found * times // by)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise Fault(f"{shown(value)} is no number of {unit}") from error


_UNIT_NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def in_unit(value: Any, unit: str, how: str) -> int:
    """:func:`epoch_ms` of a number that can be of that unit: where it would lie before 1973 or after 2141, and another
    unit makes it a time of this century, a :class:`Fault` names both. ``how`` says what to write, with ``{}`` for the
    unit."""
    found = epoch_ms(value, unit)
    if not LEAST_MS <= found <= MAX_MS:
        for other, name in _UNIT_NAMES.items():
            if RECENT_MS < epoch_ms(value, other) <= MAX_MS:
                said = f"{shown(value)} would be {_day(found)} in {_UNIT_NAMES[unit]}"
                raise Fault(f"{said}: if it is {name}, {how.format(other)}")
    return found


def _day(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d}" if 0 <= ms <= MAX_MS else "outside 1970 to 2141"


class Instant(int):
    """A time of a typed column: epoch milliseconds."""


class WallTime(int):
    """A time of a typed column that has no zone: milliseconds since 1970 on some wall clock."""


def moment(value: Any, form: str = "", zone: str = "") -> int:
    """Epoch milliseconds of a cell: a time with an offset, or on the wall clock of ``zone``; milliseconds, unless
    ``form`` names another unit (s, us, ns) or a pattern of strptime."""
    if isinstance(value, Instant):
        return int(value)
    if isinstance(value, WallTime):
        value = _on_the_wall(value)
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        when = value
    elif form in UNITS:
        return in_unit(value, form, "say --time-format {}")
    elif form:
        when = by_pattern(value, form)
    else:
        text = value.strip() if isinstance(value, str) else value
        if (isinstance(text, str) and text.lstrip("+-").isdigit()) or (
            isinstance(text, int | float | Decimal) and not isinstance(text, bool)
        ):
            return _milliseconds(text)
        when = _written_time(text)
    if when.tzinfo is None:
        if not zone:
            raise Fault(f"{shown(_plain(value))} has no offset: write …Z, or say --timezone or --assume-utc")
        when = in_zone(when, zone)
    return to_ms(when)


def _on_the_wall(value: int) -> datetime:
    # Columns of days and of microseconds reach further than Python's years do.
    try:
        return datetime.fromtimestamp(value // 1000, UTC).replace(tzinfo=None, microsecond=value % 1000 * 1000)
    except (ValueError, OverflowError, OSError) as error:
        raise Fault(f"{shown(value)} ms since 1970, beyond the years 1 to 9999") from error


def _plain(value: Any) -> Any:
    return value.isoformat(" ") if isinstance(value, datetime) else value


def by_pattern(value: Any, form: str) -> datetime:
    """A time as a pattern of strptime says."""
    try:
        return datetime.strptime(str(value).strip(), form)
    except ValueError as error:
        raise Fault(f"{shown(value)} is not written as {form}") from error


def _written_time(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(text.removesuffix("UTC").rstrip() + "+00:00" if text.endswith("UTC") else text)
    except (ValueError, TypeError, AttributeError) as error:
        raise Fault(
            f"{shown(text)} is neither RFC 3339 nor epoch milliseconds: say how times are written with --time-format"
        ) from error


def _milliseconds(value: Any) -> int:
    found = in_unit(value, "ms", "say --time-format {}")
    if 0 < found < LEAST_MS:
        raise Fault(f"{shown(value)} would be {_day(found)} in ms: say with --time-format how it is written, as %Y%m%d")
    return found


#: A byte order mark and its like: in the middle of a file they stick to an id, which then meets no other.
_UNSEEN: Final = "\ufeff\u200b\u2060"


#: How spreadsheets write long whole numbers: many ids become one.
_ROUNDED: Final = re.compile(r"\d([.,]\d+)?[Ee]\+\d{2,3}")


def name_in_cell(value: Any) -> str | None:
    """An id or a name of a table: blanks around one are nearly always the file's, and would part it from its other."""
    found = identifier(value)
    if found is not None and found != found.strip():
        raise Fault(f"{shown(found)} begins or ends with a blank: cut it off with | trim")
    if found is not None and found.strip(_UNSEEN) != found:
        raise Fault(f"{ascii(found)[:60]} begins or ends with a sign that nobody sees: were files with a mark joined?")
    if found is not None and "+" in found and _ROUNDED.fullmatch(found):
        raise Fault(f"{shown(found)} is a number that a spreadsheet rounded for show: export the column as text")
    return found


def _word(label: Any) -> Label:
    """What a label is compared by: 1, 1.0, '1', true and 'Yes' are one; so are 'Fraud' and ' fraud'."""
    if isinstance(label, bytes):
        label = decoded(label)
    truth = flag(label)
    if truth is not None:
        return truth
    found = label_of(label)
    return found.casefold() if isinstance(found, str) else found


@lru_cache(maxsize=64)
def _words(labels: Any) -> frozenset[Label]:
    return frozenset(_word(label) for label in (labels.split(",") if isinstance(labels, str) else labels))


def words(labels: Any) -> frozenset[Label]:
    """Labels that were named, in a list or with commas between, as they are compared."""
    return _words(tuple(labels) if isinstance(labels, list) else labels if isinstance(labels, tuple) else str(labels))


def label(value: Any, positive: Any, negative: Any = None) -> bool | None:
    """Whether a label is a positive one; with negative ones named it has to be one of either, else all others are
    negative. Nothing for what is missing."""
    if is_missing(value):
        return None
    word = _word(value)
    if word in words(positive):
        return True
    if negative is None or word in words(negative):
        return False
    raise Fault(f"{shown(value)} is none of the labels that were named")


def decision(value: Any, positive: Any, negative: Any = None) -> bool | None:
    """The same of a model's decision, which may be written in labels or as true and false, whatever the labels are."""
    truth = flag(value)
    if truth is not None and not any(isinstance(word, bool) for word in words(positive) | words(negative or ())):
        return truth
    return label(value, positive, negative)

"""Bytes as they arrive, for whoever only reads: what nobody can read is skipped, counted and said.

Whoever writes to these topics may be a stranger. No bytes of theirs may end a process that has other work to do.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Everything that a decoder raises for some bytes: no JSON, no UTF-8, a wrong type, too deep, a number too large.
FAULTS: Final = (msgspec.MsgspecError, ValueError, TypeError, RecursionError, OverflowError)

#: Records skipped since the process began, by topic.
SKIPPED: Final[Counter[str]] = Counter()

#: Seconds between two lines of the log about one topic.
QUIET_S: Final = 10.0
_said: Final[dict[str, float]] = {}


def decoded(decode: Callable[[bytes], T], record: Any) -> T | None:
    """The record's value as ``decode`` reads it, or ``None`` if it cannot: then the record was skipped."""
    if record.value is None:
        skip(record, "it has no value")
        return None
    try:
        return decode(record.value)
    except FAULTS as error:
        skip(record, f"{type(error).__name__}: {error}")
        return None


def header(record: Any, name: str) -> str | None:
    """The first header of the name as text; what is no UTF-8 comes escaped, so it equals no name that is known."""
    value = next((value for found, value in record.headers if found == name), None)
    return None if value is None else bytes(value).decode("utf-8", "backslashreplace")


def skip(record: Any, why: str) -> None:
    """Count a record that nothing is done with, and say so, at most once in :data:`QUIET_S` for each topic."""
    SKIPPED[record.topic] += 1
    now = time.monotonic()
    if now - _said.get(record.topic, -QUIET_S) < QUIET_S:
        return
    _said[record.topic] = now
    log.warning(
        "%s[%d] offset %d is skipped: %.600r (%d of this topic so far)",
        record.topic, record.partition, record.offset, why, SKIPPED[record.topic],
    )  # fmt: skip

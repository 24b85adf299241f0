"""What the alerts stage remembers of a line: the last findings in short, and its alerts.

Stored under ``A`` + line: one format byte, then MessagePack; ``O`` + line marks lines with an open alert, so that a
restart finds their timers. Bound: two findings without histograms, five quality checks, two alerts with at most
``EVENTS`` ids each: some 100 kB a line at worst, 2 kB as a rule.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stream_app.errors import Incompatible

FORMAT: Final = 1
LINE: Final = b"A"
OPEN: Final = b"O"

#: Ids an alert names; of a longer one the first half and the newest are kept.
EVENTS: Final = 1_000


class Streak(msgspec.Struct):
    """Closes in a row of one kind that was HIGH or above while the alert was open."""

    no_drift: int = 0
    without_drift: int = 0


class OpenAlert(msgspec.Struct):
    """An alert that is not resolved."""

    #: tick and nominal close that opened it, epoch ms
    opened_ms: int
    close_ms: int
    #: tick of the opening or of the last rise in severity
    risen_ms: int
    #: the last revision as published
    record: bytes
    reminders: int = 0
    kinds: dict[str, Streak] = {}
    #: ids of its events at HIGH or above
    severe: list[str] = []


class AlertState(msgspec.Struct):
    """Alerts of one type."""

    #: nominal close (epoch ms) that opened the last one
    last_close_ms: int | None = None
    open: OpenAlert | None = None


class LineState(msgspec.Struct):
    """Memory of a line."""

    #: kind → its last finding in short
    latest: dict[str, dict[str, Any]] = {}
    #: quality check → its last finding, if it was drift
    quality: dict[str, dict[str, Any]] = {}
    #: type → its alerts
    alerts: dict[str, AlertState] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(LineState)


def encode(state: LineState) -> bytes:
    """Format byte and MessagePack."""
    return bytes((FORMAT,)) + _encoder.encode(state)


def decode(value: bytes) -> LineState:
    """Inverse of :func:`encode`; ``Incompatible`` for an unknown format."""
    if not value or value[0] != FORMAT:
        raise Incompatible(
            f"a line's alerts have format {value[0] if value else 'none'}, this release reads {FORMAT}: run the "
            "release that wrote it, or start afresh with a new PLUMBLINE_APP_ID and PLUMBLINE_OUTPUT_PREFIX"
        )
    return _decoder.decode(memoryview(value)[1:])

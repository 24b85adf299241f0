"""Simulated time: which ticks a stretch of events needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from stream_app.core.kit.days import CLOSE_HOURS, DAY_MS, HOUR_MS

Every = Literal["hour", "6h", "close"]

_STEP_MS: Final[dict[str, int]] = {"hour": HOUR_MS, "6h": 6 * HOUR_MS, "close": 0}
_CLOSES: Final = sorted(hour * HOUR_MS for hour in CLOSE_HOURS.values())


def next_close(after_ms: int) -> int:
    """The first daily close later than a time."""
    midnight = after_ms // DAY_MS * DAY_MS
    return next((midnight + c for c in _CLOSES if midnight + c > after_ms), midnight + DAY_MS + _CLOSES[0])


def last_tick(last_event_ms: int) -> int:
    """Where a replay ends: 04:00 after the day of its last event, when every check of that day has run."""
    return (last_event_ms // DAY_MS + 1) * DAY_MS + _CLOSES[-1]


def next_tick(after_ms: int, event_ms: int | None, every: Every) -> int:
    """The next tick after ``after_ms``: a close, or the end of the hour (of six) that holds the next event if sooner.

    A row at exactly a tick's time belongs after it, so its own tick is the next one.
    """
    close = next_close(after_ms)
    step = _STEP_MS[every]
    if event_ms is None or not step:
        return close
    return min(close, max(event_ms // step * step + step, after_ms // step * step + step))


def between(after_ms: int, until_ms: int) -> Iterator[int]:
    """Closes in (after, until]."""
    at = next_close(after_ms)
    while at <= until_ms:
        yield at
        at = next_close(at)

"""Which days a window covers (CONTRACT section 2): one rule for comparisons, API and command line.

``close`` is the UTC day (since 1970) of ``as_of``, so the day in progress is in no window. Both windows are half open.
"""

from __future__ import annotations

from typing import Final, Literal

from schemas.common import parse_ms
from stream_app.core.kit.days import day_of

WindowName = Literal["recent", "baseline"]
WINDOWS: Final[tuple[WindowName, ...]] = ("recent", "baseline")


def recent_span(close: int, days: int) -> range:
    """close − ``days`` ≤ day < close."""
    return range(close - days, close)


def baseline_span(close: int, start: int, end: int) -> range:
    """close − ``end`` ≤ day < close − ``start``. ``ValueError`` if it would end before it starts."""
    if end <= start:
        raise ValueError(f"the baseline would end {start} days before and begin {end} days before")
    return range(close - end, close - start)


def span(name: WindowName, close: int, recent_days: int, baseline_start_days: int, baseline_end_days: int) -> range:
    """Days of a window by its name, under a model's rules."""
    if name == "recent":
        return recent_span(close, recent_days)
    return baseline_span(close, baseline_start_days, baseline_end_days)


def close_day(as_of: str) -> int:
    """Day of a UTC date or an RFC 3339 time with an offset; ``ValueError`` says what is wrong with it."""
    return day_of(parse_ms(f"{as_of}T00:00:00Z" if len(as_of) == 10 else as_of))

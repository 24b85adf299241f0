"""Days that a file's times can lie on. One time far outside would move simulated time for good, and with it the prefix.

Stated days count as they are. Else the file's bulk says: the median day, and ten times the median distance from it to
either side, but at least 400 days, which is longer than any label is late. Days before 2000, and further ahead than a
year, say nothing of the bulk: they are how missing times are written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from schemas.common import to_ms
from stream_app.core.kit.days import DAY_MS

_FIRST: Final = to_ms(datetime(2000, 1, 1, tzinfo=UTC)) // DAY_MS
_AHEAD: Final = 366
_LEAST: Final = 400
_TIMES: Final = 10


class Span(NamedTuple):
    """First and last day, counted from 1970, and how a day outside is refused."""

    first: int
    last: int
    said: bool = False

    def holds(self, day: int) -> bool:
        """Whether a day is one of them."""
        return self.first <= day <= self.last

    @property
    def sentence(self) -> str:
        """What is wrong with a time outside."""
        if self.said:
            return "outside --first-day and --last-day"
        return "far outside the other times of these files: state --first-day and --last-day if it is right"


def bulk(days: Counter[int], now: int) -> Span:
    """What the most of the days say; ``now``: today."""
    first, last = _FIRST, now + _AHEAD
    usual = {day: count for day, count in days.items() if first <= day <= last}
    if not usual:
        return Span(first, last)
    middle = _median(usual.items())
    distances: Counter[int] = Counter()
    for day, count in usual.items():
        distances[abs(day - middle)] += count
    reach = max(_LEAST, _TIMES * _median(distances.items()))
    return Span(max(first, middle - reach), min(last, middle + reach))


def stated(first_day: str, last_day: str, otherwise: Span) -> Span:
    """The days that were stated, and for those that were not what the bulk says."""
    if not first_day and not last_day:
        return otherwise
    first, last = (_number(day) if day else None for day in (first_day, last_day))
    return Span(otherwise.first if first is None else first, otherwise.last if last is None else last, True)


def _number(day: str) -> int:
    return to_ms(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)) // DAY_MS


def _median(counted: Iterable[tuple[int, int]]) -> int:
    ordered = sorted(counted)
    left = (sum(count for _, count in ordered) - 1) // 2
    for value, count in ordered:
        left -= count
        if left < 0:
            return value
    return ordered[-1][0]

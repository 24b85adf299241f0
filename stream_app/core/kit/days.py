"""UTC days, hours and the daily closes, as integers."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

CloseKind = Literal["completeness", "metrics", "statistical", "performance"]

#: Hour of the UTC day at which each daily check runs.
CLOSE_HOURS: Final[dict[CloseKind, int]] = {"completeness": 1, "metrics": 2, "statistical": 3, "performance": 4}


class Close(NamedTuple):
    """A daily close: nominal time (epoch ms), kind, and the UTC day it stands on (days since 1970)."""

    at_ms: int
    kind: CloseKind
    day: int


def day_of(ms: int) -> int:
    """Days since 1970."""
    return ms // DAY_MS


def date_of(day: int) -> str:
    """``YYYY-MM-DD`` of a day."""
    year, month, date = _civil(day)
    return f"{year:04d}-{month:02d}-{date:02d}"


def closes_between(after_ms: int, until_ms: int) -> list[Close]:
    """Closes in (after, until], in time order: a tick that jumps over several runs them all."""
    found = [
        Close(day * DAY_MS + hour * HOUR_MS, kind, day)
        for day in range(day_of(after_ms), day_of(until_ms) + 1)
        for kind, hour in CLOSE_HOURS.items()
    ]
    return [close for close in found if after_ms < close.at_ms <= until_ms]


def metrics_close(day: int) -> int:
    """When the cohort of a day is closed: 02:00 of the next, epoch ms."""
    return (day + 1) * DAY_MS + CLOSE_HOURS["metrics"] * HOUR_MS


def _civil(day: int) -> tuple[int, int, int]:
    """Year, month, day of the proleptic Gregorian calendar; any integer of days since 1970.

    Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    """
    z = day + 719_468
    era, doe = divmod(z, 146_097)
    yoe = (doe - doe // 1460 + doe // 36_524 - doe // 146_096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    month = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) // 5 + 1

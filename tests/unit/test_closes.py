from __future__ import annotations

from datetime import date, timedelta

import pytest

from stream_app.core.kit.days import DAY_MS, HOUR_MS, closes_between, date_of, metrics_close

D = 20_000


def test_closes_lie_after_the_last_tick_and_up_to_this_one_in_time_order() -> None:
    def kinds(a: int, b: int) -> list[str]:
        return [c.kind for c in closes_between(D * DAY_MS + a, D * DAY_MS + b)]

    assert kinds(0, HOUR_MS - 1) == []
    assert kinds(0, HOUR_MS) == ["completeness"]
    assert kinds(HOUR_MS, 2 * HOUR_MS) == ["metrics"]
    assert kinds(0, DAY_MS) == ["completeness", "metrics", "statistical", "performance"]
    assert kinds(3 * HOUR_MS, DAY_MS + HOUR_MS) == ["performance", "completeness"]


def test_a_jump_over_days_runs_each_days_closes() -> None:
    found = closes_between(D * DAY_MS, (D + 3) * DAY_MS)
    assert [c.at_ms for c in found] == sorted(c.at_ms for c in found)
    assert [c.day for c in found if c.kind == "metrics"] == [D, D + 1, D + 2]


def test_a_cohort_is_closed_at_two_oclock_of_the_next_day() -> None:
    assert metrics_close(D) == (D + 1) * DAY_MS + 2 * HOUR_MS


@pytest.mark.parametrize("day", [0, 59, 11_016, 19_782, 19_783, 20_000, 47_540, 47_541, -1])
def test_dates_are_the_calendars(day: int) -> None:
    assert date_of(day) == (date(1970, 1, 1) + timedelta(days=day)).isoformat()

"""Hourly alarms: what they open, and which closes may end it."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from msgspec import UNSET

from schemas.alerts import Alert
from stream_app.core.comparisons.hourly_entry import HourlyEntry
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, event, window

#: nobody is reminded, and alarms alert
RULES: dict[str, Any] = {
    "alert_reminder_h": 9_999, "alert_escalate_high_h": 9_999, "alert_escalate_critical_h": 9_999,
    "hourly_alerts": "on",
}  # fmt: skip


def alarm(hour: int, severity: str = "HIGH", kind: str = "performance") -> Any:
    """An alarm at a full hour of the day ``D``."""
    shown = window(D + 1, 1, 0.7, 0.85, 200)
    return event(kind, D + 1, "drift", severity, check="hourly", close=at(D, hour), statistic=15.0, windows=[shown])


def quiet(day: int, hour: int, kind: str = "performance") -> HourlyEntry:
    """The episode of a kind ends."""
    return HourlyEntry(
        model=MODEL, version="v1", kind=kind, hour=day * 24 + hour, at_ms=at(day, hour), threshold=3.3, what="ended",
        settings_hash="0123456789abcdef",
    )  # fmt: skip


def clean(kind: str, close: int, delay: int) -> Any:
    """A check without drift at the close of a day, which has judged the day ``delay`` before it."""
    newest = close - delay
    return event(kind, newest + 1, close=at(close), windows=[window(newest + 1, 1, 0.85, 0.85, 200)])


def ended(found: list[Alert]) -> list[str]:
    return [str(alert.resolution_reason) for alert in found if alert.resolution_reason is not UNSET]


@pytest.mark.parametrize(("delay", "hour"), [*product((1, 3, 7), range(24))])
def test_closes_that_have_not_seen_the_day_of_the_alarm_end_nothing(delay: int, hour: int) -> None:
    bench = Bench(**RULES)
    bench.epoch(at(D, hour + 0.5), alarm(hour))
    bench.epoch(at(D, hour + 0.75), quiet(D, hour))
    closes = range(D + 1, D + delay + 6)
    over = [close for close in closes if ended(bench.close(close, clean("performance", close, delay + 1)))]
    # the first check that has judged the day D, and the one after it
    assert over == [D + delay + 2]


def test_nothing_resolves_while_the_episode_lasts_and_its_end_lets_closes_count_that_were() -> None:
    bench = Bench(**RULES)
    bench.epoch(at(D, 12), alarm(12))
    for close in range(D + 2, D + 20):
        assert not ended(bench.close(close, clean("performance", close, 2)))
    assert ended(bench.epoch(at(D + 20, 6), quiet(D + 20, 6))) == ["no_drift"]


@pytest.mark.parametrize("day", range(2, 6))
def test_closes_go_on_counting_after_the_end(day: int) -> None:
    bench = Bench(**RULES)
    bench.epoch(at(D, 12), alarm(12))
    over = []
    for close in range(D + 1, D + 9):
        if close == D + day:
            over += ended(bench.epoch(at(close, 2), quiet(close, 2)))
        over += ended(bench.close(close, clean("performance", close, 2)))
    assert over == ["no_drift"]


def test_what_is_accepted_ends_at_once_and_so_do_scores_that_cost_nothing() -> None:
    bench = Bench(**RULES)
    bench.epoch(at(D, 12), alarm(12))
    assert ended(bench.epoch(at(D, 14), command("rebaseline"))) == ["accepted"]
    bench = Bench(**RULES)
    bench.epoch(at(D, 12), alarm(12, kind="statistical"))
    acquitting = clean("performance", D + 2, 2)
    told = type(acquitting)(_acquitted(acquitting.finding))
    assert ended(bench.close(D + 2, told)) == ["no_loss"]


def _acquitted(finding: Any) -> Any:
    return type(finding)(**{name: getattr(finding, name) for name in finding.__struct_fields__} | {"acquitted": True})


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_alarms_that_are_not_on_open_nothing(mode: str) -> None:
    bench = Bench(**RULES | {"hourly_alerts": mode})
    assert bench.epoch(at(D, 12), alarm(12, "CRITICAL")) == []


def test_a_medium_alarm_opens_nothing_and_a_worse_one_raises_what_is_open() -> None:
    bench = Bench(**RULES)
    assert bench.epoch(at(D, 12), alarm(12, "MEDIUM")) == []
    (opened,) = bench.epoch(at(D, 13), alarm(13))
    (raised,) = bench.epoch(at(D, 15), alarm(15, "CRITICAL"))
    assert (opened.notify, raised.notify, raised.severity) == ("opened", "severity", "CRITICAL")
    assert opened.summary.startswith("accuracy is down by 15 points since 00:00 UTC on ")
    assert "0.85 → 0.70 on 200 outcomes" in opened.summary

"""Reminders and escalation: what time alone does to an alert."""

from __future__ import annotations

import pytest

from tests.unit.alerts.bench import Bench, D, at, command, event, news


def _open(severity: str = "HIGH", **rules: float) -> Bench:
    bench = Bench(**rules)
    bench.close(D, event("performance", D, "drift", severity))
    return bench


@pytest.mark.parametrize(("severity", "hours"), [("CRITICAL", 4), ("HIGH", 24)])
def test_an_unacknowledged_alert_escalates_once_4_h_or_24_h_after_opening(severity: str, hours: int) -> None:
    bench = _open(severity, alert_reminder_h=999)
    assert bench.epoch(at(D, 4 + hours) - 1) == []
    (escalated,) = bench.epoch(at(D, 4 + hours))
    assert (escalated.notify, escalated.escalation_level, escalated.status) == ("escalated", 1, "updated")
    assert bench.epoch(at(D + 9)) == []


def test_an_unacknowledged_alert_is_reminded_of_every_24_h_from_opening() -> None:
    bench = _open(alert_escalate_high_h=999)
    assert bench.epoch(at(D + 1) - 1) == []
    assert news(bench.epoch(at(D + 1))) == ["reminder"]
    assert bench.epoch(at(D + 2) - 1) == []
    # a tick two hours late does not shift the ones that follow
    assert news(bench.epoch(at(D + 2, 6))) == ["reminder"]
    assert news(bench.epoch(at(D + 3))) == ["reminder"]


def test_a_tick_that_passes_several_reminders_reminds_once() -> None:
    bench = _open(alert_escalate_high_h=999)
    assert news(bench.epoch(at(D + 5, 7))) == ["reminder"]
    assert bench.epoch(at(D + 6) - 1) == []
    assert news(bench.epoch(at(D + 6))) == ["reminder"]


def test_escalation_comes_before_a_reminder_that_falls_due_at_the_same_tick() -> None:
    found = _open().epoch(at(D + 1))
    assert news(found) == ["escalated", "reminder"]
    assert [a.revision for a in found] == [2, 3]
    assert [a.escalation_level for a in found] == [1, 1]


def test_after_its_escalation_an_alert_is_only_reminded_of() -> None:
    bench = _open("CRITICAL")
    assert news(bench.epoch(at(D, 8))) == ["escalated"]
    assert news(bench.epoch(at(D + 1))) == ["reminder"]
    assert news(bench.epoch(at(D + 2))) == ["reminder"]


def test_a_rise_in_severity_begins_the_time_to_escalation_again() -> None:
    bench = _open(alert_reminder_h=999)
    bench.epoch(at(D, 12), event("statistical", D, "drift", "CRITICAL", close=at(D, 11)))
    assert bench.epoch(at(D, 16) - 1) == []
    assert news(bench.epoch(at(D, 16))) == ["escalated"]


def test_a_rise_shortly_before_the_high_escalation_leaves_4_h_from_the_rise() -> None:
    bench = _open(alert_reminder_h=999)
    bench.epoch(at(D + 1, 3), event("statistical", D + 1, "drift", "CRITICAL"))
    assert bench.epoch(at(D + 1, 4)) == []
    assert news(bench.epoch(at(D + 1, 7))) == ["escalated"]


def test_an_escalated_alert_that_rises_does_not_escalate_again() -> None:
    bench = _open(alert_reminder_h=999)
    assert news(bench.epoch(at(D + 1))) == ["escalated"]
    raised = bench.epoch(at(D + 1, 5), event("statistical", D + 1, "drift", "CRITICAL"))
    assert news(raised) == ["severity"]
    assert raised[0].escalation_level == 1
    assert bench.epoch(at(D + 4)) == []


def test_a_silent_refresh_moves_no_timer() -> None:
    bench = _open()
    assert news(bench.close(D + 1, event("performance", D + 1, "drift", "HIGH"))) == [None, "escalated", "reminder"]


def test_an_acknowledged_alert_is_neither_escalated_nor_reminded_of() -> None:
    bench = _open("CRITICAL")
    (acknowledged,) = bench.epoch(at(D, 6), command("acknowledge", actor="sam@example.org"))
    assert news([acknowledged]) == [None]
    assert (acknowledged.acknowledged_by, acknowledged.status) == ("sam@example.org", "updated")
    assert bench.epoch(at(D + 9)) == []


def test_an_acknowledgement_in_the_epoch_of_a_timer_is_in_time() -> None:
    assert news(_open().epoch(at(D + 1), command("acknowledge"))) == [None]


def test_an_acknowledged_alert_still_tells_that_severity_rose() -> None:
    bench = _open()
    bench.epoch(at(D, 6), command("acknowledge"))
    raised = bench.epoch(at(D, 7), event("statistical", D, "drift", "CRITICAL", close=at(D, 6.5)))
    assert news(raised) == ["severity"]
    assert raised[0].acknowledged_by == "sam"
    assert bench.epoch(at(D + 9)) == []


def test_acknowledging_one_alert_by_its_id_leaves_the_others_of_the_model() -> None:
    bench = Bench()
    incomplete, drift = bench.close(
        D, event("completeness", D, "drift", "HIGH"), event("performance", D, "drift", "HIGH")
    )
    (one,) = bench.epoch(at(D, 6), command("acknowledge", alert_id=drift.id))
    assert one.id == drift.id
    (other,) = bench.epoch(at(D, 7), command("acknowledge"), command("acknowledge", alert_id="unknown"))
    assert other.id == incomplete.id  # the first one is acknowledged already, by the same person


@pytest.mark.parametrize("model", ["conflict:global", "*"])
def test_without_an_id_every_open_alert_of_the_model_is_acknowledged_and_a_star_means_all_models(model: str) -> None:
    bench = Bench()
    bench.close(
        D,
        event("completeness", D, "drift", "HIGH"),
        event("performance", D, "drift", "HIGH"),
        event("performance", D, "drift", "HIGH", model="fraud:acme"),
    )
    found = bench.epoch(at(D, 6), command("acknowledge", model))
    assert len(found) == (3 if model == "*" else 2)
    assert news(found) == [None] * len(found)


@pytest.mark.parametrize(
    "order",
    [
        command("acknowledge", actor=None),
        command("acknowledge", alert_id=7),
        command("retrain"),
        command("acknowledge", "conflict:other"),
    ],
)
def test_a_command_that_says_nothing_about_these_alerts_changes_nothing(order: object) -> None:
    assert _open().epoch(at(D, 6), order) == []


def test_timers_stop_when_the_alert_is_resolved_in_the_same_epoch() -> None:
    assert news(_open().close(D + 1, command("rebaseline"))) == ["resolved"]

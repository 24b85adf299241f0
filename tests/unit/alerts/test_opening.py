"""Which drift opens an alert, which refreshes or raises the one that is open, which is suppressed."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from schemas.common import rfc3339, uuid5
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, decision, event, news


@pytest.mark.parametrize(
    ("kind", "verdict", "severity", "type"),
    [
        ("statistical", "drift", "HIGH", "ML_DRIFT_DETECTED"),
        ("statistical", "drift", "CRITICAL", "ML_DRIFT_DETECTED"),
        ("performance", "drift", "HIGH", "ML_DRIFT_DETECTED"),
        ("performance", "drift", "CRITICAL", "ML_DRIFT_DETECTED"),
        ("handover", "drift", "HIGH", "ML_DRIFT_DETECTED"),
        ("completeness", "drift", "HIGH", "ML_OUTCOMES_INCOMPLETE"),
        ("statistical", "drift", "MEDIUM", None),
        ("performance", "drift", "MEDIUM", None),
        ("volume", "drift", "MEDIUM", None),
        ("calibration", "drift", "MEDIUM", None),
        ("statistical", "no_drift", None, None),
        ("performance", "insufficient_evidence", None, None),
        ("completeness", "no_drift", None, None),
    ],
)
def test_only_drift_at_high_or_above_opens_an_alert(
    kind: str, verdict: str, severity: str | None, type: str | None
) -> None:
    found = Bench().close(D, event(kind, D, verdict, severity))
    assert [a.type for a in found] == ([type] if type is not None else [])


def test_an_opened_alert_names_what_opened_it() -> None:
    cause = event("performance", D, "drift", "HIGH", model="fraud:acme")
    bench = Bench()
    (alert,) = bench.epoch(at(D, 4.5), cause, decision(cause))
    assert alert.id == uuid5("alert", "ML_DRIFT_DETECTED", "fraud:acme", rfc3339(at(D)))
    assert (alert.model, alert.model_type, alert.tenant_id) == ("fraud:acme", "fraud", "acme")
    assert (alert.revision, alert.status, alert.notify, alert.escalation_level) == (1, "open", "opened", 0)
    assert (alert.at, alert.opened_at) == (rfc3339(at(D, 4.5)), rfc3339(at(D, 4.5)))
    assert alert.drift_event_ids == [cause.id]
    assert alert.link == f"http://p/alerts/{alert.id}"
    (emit,) = bench.emits
    assert (emit.topic, emit.partition, emit.key) == ("alerts", 0, alert.id.encode())
    headers = dict(emit.headers)
    assert (headers["ce_type"], headers["ce_subject"]) == (b"io.plumbline.alert.v1", b"fraud:acme")


def test_alerts_of_one_model_type_and_close_date_share_their_correlation_id() -> None:
    bench = Bench()
    one, two, other = bench.close(
        D,
        event("statistical", D, "drift", "HIGH", model="fraud:a"),
        event("performance", D, "drift", "HIGH", model="fraud:b"),
        event("performance", D, "drift", "HIGH", model="churn:b"),
    )
    later = bench.close(D + 1, event("performance", D + 1, "drift", "HIGH", model="fraud:c"))[0]
    assert one.correlation_id == two.correlation_id
    assert len({one.correlation_id, other.correlation_id, later.correlation_id}) == 3


@pytest.mark.parametrize("before", [True, False])
def test_the_coordinators_decision_is_found_before_and_after_its_event(before: bool) -> None:
    cause = event("performance", D, "drift", "HIGH")
    answer = decision(cause, eligible=False, why="cooldown until Friday")
    (alert,) = Bench().close(D, *((answer, cause) if before else (cause, answer)))
    assert not alert.auto_retrain.eligible
    assert [(s.name, s.passed, s.reason) for s in alert.auto_retrain.safeguards] == [
        ("flags", False, "cooldown until Friday")
    ]


def test_without_a_decision_the_coordinator_is_not_running() -> None:
    (alert,) = Bench().close(D, event("performance", D, "drift", "HIGH"))
    assert not alert.auto_retrain.eligible
    assert [(s.name, s.passed, s.reason) for s in alert.auto_retrain.safeguards] == [
        ("coordinator", False, "coordinator not running")
    ]


def test_missing_outcomes_are_never_offered_for_retraining() -> None:
    (alert,) = Bench().close(D, event("completeness", D, "drift", "HIGH"))
    assert not alert.auto_retrain.eligible
    assert "never offered" in alert.auto_retrain.safeguards[0].reason


def test_what_the_coordinator_says_to_a_medium_event_does_not_replace_its_answer_to_a_high_one() -> None:
    bench = Bench()
    high, medium = event("performance", D, "drift", "HIGH"), event("statistical", D + 1, "drift", "MEDIUM")
    bench.close(D, high, decision(high, True))
    refreshed, *_ = bench.close(D + 1, medium, decision(medium, False))
    assert refreshed.auto_retrain.eligible


def test_one_open_alert_of_a_model_covers_both_checks() -> None:
    found = Bench().close(D, event("statistical", D, "drift", "HIGH"), event("performance", D, "drift", "HIGH"))
    assert len({a.id for a in found}) == 1
    assert news(found) == ["opened", None]
    assert found[1].report["statistical"]["verdict"] == found[1].report["performance"]["verdict"] == "drift"


def test_missing_outcomes_and_drift_are_two_alerts_of_a_model() -> None:
    found = Bench().close(D, event("completeness", D, "drift", "HIGH"), event("performance", D, "drift", "HIGH"))
    assert [(a.type, a.notify) for a in found] == [
        ("ML_OUTCOMES_INCOMPLETE", "opened"),
        ("ML_DRIFT_DETECTED", "opened"),
    ]


@pytest.mark.parametrize("severity", ["MEDIUM", "HIGH"])
def test_evidence_of_equal_or_lower_severity_refreshes_the_report_silently(severity: str) -> None:
    bench = Bench()
    first = event("performance", D, "drift", "HIGH")
    second = event("performance", D + 1, "drift", severity, version="v2", statistic=11.0)
    bench.close(D, first)
    bench.feed(command("acknowledge"))
    _, refreshed = bench.close(D + 1, second)
    assert (refreshed.revision, refreshed.status, refreshed.notify) == (3, "updated", UNSET)
    assert (refreshed.severity, refreshed.model_version) == ("HIGH", "v2")
    assert refreshed.drift_event_ids == [first.id, second.id]
    assert refreshed.report["performance"]["event_id"] == second.id


def test_higher_severity_updates_the_same_alert_and_notifies() -> None:
    bench = Bench()
    (opened,) = bench.close(D, event("statistical", D, "drift", "HIGH"))
    raised = bench.epoch(at(D, 5), event("performance", D, "drift", "CRITICAL"))
    assert news(raised) == ["severity"]
    assert (raised[0].id, raised[0].severity, raised[0].status) == (opened.id, "CRITICAL", "updated")


def test_the_severity_of_an_alert_never_falls() -> None:
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "CRITICAL"))
    refreshed = bench.epoch(at(D, 5), event("handover", D, "drift", "HIGH"))
    assert news(refreshed) == [None]
    assert refreshed[0].severity == "CRITICAL"


def _resolve(bench: Bench, day: int, kind: str = "performance") -> None:
    for d in (day, day + 1):
        bench.close(d, event(kind, d))


def test_second_alert_within_24_h_is_suppressed() -> None:
    bench = Bench(alert_resolve_closes=1)
    bench.close(D, event("performance", D, "drift", "HIGH"))
    bench.close(D + 1, event("performance", D + 1))
    assert bench.alerts()[-1].status == "resolved"
    # 23 h after the nominal close that opened the first, then 47 h
    assert bench.epoch(at(D + 1, 5), event("statistical", D + 1, "drift", "CRITICAL")) == []
    assert news(bench.close(D + 2, event("statistical", D + 2, "drift", "CRITICAL"))) == ["opened"]


def test_the_gap_is_measured_between_nominal_closes_not_between_ticks() -> None:
    bench = Bench(alert_resolve_closes=1)
    bench.epoch(at(D, 12), event("performance", D, "drift", "HIGH"))  # the tick came eight hours late
    bench.feed(command("rebaseline"))
    # the next tick is in time: 16 h between the ticks, 24 h between the closes
    found = bench.close(D + 1, event("performance", D + 1, "drift", "HIGH"))
    assert news(found) == ["resolved", "opened"]


@pytest.mark.parametrize(("days", "alerts"), [(3, 1), (4, 2)])
def test_with_a_gap_of_96_h_drops_at_d_and_d_plus_3_give_one_alert_at_d_and_d_plus_4_two(
    days: int, alerts: int
) -> None:
    bench = Bench(alert_gap_h=96)
    for day in range(days + 1):
        drift: tuple[Any, ...] = ("drift", "CRITICAL") if day in (0, days) else ("no_drift",)
        bench.close(D + day, event("performance", D + day, *drift))
    assert news(bench.alerts()).count("opened") == alerts


def test_the_gap_counts_from_the_last_alert_that_was_opened_not_from_a_suppressed_one() -> None:
    bench = Bench(alert_gap_h=96)
    bench.close(D, event("performance", D, "drift", "HIGH"))
    _resolve(bench, D + 1)
    assert bench.close(D + 3, event("performance", D + 3, "drift", "HIGH")) == []
    assert news(bench.close(D + 4, event("performance", D + 4, "drift", "HIGH"))) == ["opened"]


def test_the_gap_of_one_model_or_type_is_not_that_of_another() -> None:
    bench = Bench(alert_gap_h=960)
    bench.close(D, event("performance", D, "drift", "HIGH"))
    bench.feed(command("rebaseline"))
    found = bench.close(
        D + 1,
        event("completeness", D + 1, "drift", "HIGH"),
        event("performance", D + 1, "drift", "HIGH"),
        event("performance", D + 1, "drift", "HIGH", model="conflict:x"),
    )
    assert [(a.type, a.model, a.notify) for a in found if a.notify == "opened"] == [
        ("ML_OUTCOMES_INCOMPLETE", MODEL, "opened"),
        ("ML_DRIFT_DETECTED", "conflict:x", "opened"),
    ]


def test_even_without_a_gap_one_close_opens_one_alert() -> None:
    bench = Bench(alert_gap_h=0)
    first = event("performance", D, "drift", "HIGH")
    bench.close(D, first)
    bench.feed(command("rebaseline"))
    again = event("performance", D, "drift", "HIGH", revises=first.id)
    assert news(bench.close(D + 1, again)) == ["resolved"]


def test_an_alert_names_its_newest_100_events_and_says_how_many_there_were() -> None:
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "HIGH"))
    days = range(D + 1, D + 1_011)
    bench.feed(*(event("performance", day, "drift", "HIGH") for day in days))
    last = bench.close(D + 1_010)[-2]
    assert last.drift_event_ids == [event("performance", day, "drift").id for day in days[-100:]]
    assert last.drift_event_count == 1_011
    assert len(bench.table.rows) == 2
    assert max(map(len, bench.table.rows.values())) < 10_000

"""What the fleet page shows of a line, from its records."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binomtest

from stream_app.read_model import fold
from stream_app.read_model.apply import Batch, outlived
from stream_app.read_model.keys import KEPT_DAYS, Keys


def state(metric: str = "accuracy") -> fold.State:
    return fold.State("churn:acme", "churn", "acme", metric)


def snapshot(date: str, right: int = 80, wrong: int = 20, version: str = "v1", **more: Any) -> dict[str, Any]:
    return {
        "date": date, "model_version": version, "revision": 1, "predictions": 120, "outcomes": right + wrong,
        "true_positives": right // 2, "true_negatives": right - right // 2, "false_positives": wrong // 2,
        "false_negatives": wrong - wrong // 2, "accuracy": right / (right + wrong), "pr_auc": 0.5, **more,
    }  # fmt: skip


def test_the_metric_is_that_of_the_last_seven_days_that_are_a_day_old_with_wilsons_limits() -> None:
    line = state()
    for day in range(1, 12):
        fold.snapshot(line, snapshot(f"2026-01-{day:02d}", right=50 + day, wrong=50 - day))
    view = fold.fleet_line(line)
    right, rows = sum(50 + day for day in range(4, 11)), 700
    assert view["metric"]["value"] == pytest.approx(right / rows)
    limits = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    assert (view["metric"]["low"], view["metric"]["high"]) == pytest.approx((limits.low, limits.high), abs=1e-6)
    assert view["date"] == "2026-01-11"
    assert view["coverage"] == pytest.approx(100 / 120)


def test_only_the_active_version_counts_where_it_has_labels() -> None:
    line = state()
    for day in range(1, 9):
        fold.snapshot(line, snapshot(f"2026-01-{day:02d}", 50, 50))
    fold.snapshot(line, snapshot("2026-01-07", 90, 10, version="v2"))
    assert fold.fleet_line(line)["metric"]["value"] < 0.6
    known = {"active_version": "v2", "previous_version": "v1", "how": "commanded", "since": "2026-01-07T00:00:00.000Z"}
    fold.lifecycle(line, known)
    assert fold.fleet_line(line)["metric"]["value"] == pytest.approx(0.9)


def test_the_trend_keeps_gaps_and_thirty_days() -> None:
    line = state()
    for day in (*range(1, 32), 33 - 31):
        fold.snapshot(line, snapshot(f"2026-01-{day:02d}"))
    del line.days["2026-01-20"]
    trend = fold.fleet_line(line)["trend"]
    assert len(trend) == 30
    assert trend[18] is None
    assert trend.count(None) == 1


def test_an_older_revision_changes_nothing() -> None:
    line = state()
    fold.snapshot(line, snapshot("2026-01-01", 90, 10, revision=3))
    fold.snapshot(line, snapshot("2026-01-01", 10, 90, revision=2))
    assert fold.fleet_line(line)["trend"] == [0.9]


def alert(severity: str = "HIGH", **more: Any) -> dict[str, Any]:
    return {
        "id": "a", "type": "ML_DRIFT_DETECTED", "severity": severity, "status": "open", "escalation_level": 0,
        "opened_at": "2026-01-01T03:00:00.000Z", "summary": "s", "revision": 1, **more,
    }  # fmt: skip


def test_attention_rises_with_severity_and_falls_when_somebody_takes_it() -> None:
    seen = []
    for row in (
        alert("HIGH", acknowledged_by="ada"),
        alert("HIGH"),
        alert("HIGH", escalation_level=1),
        alert("CRITICAL"),
    ):
        line = state()
        fold.alert(line, row)
        seen.append(fold.fleet_line(line)["attention"])
    assert seen == sorted(set(seen))
    fold.alert(line, alert("CRITICAL", status="resolved"))
    assert fold.fleet_line(line)["attention"] == 0
    assert fold.fleet_line(line)["alert"] is None


def test_a_state_comes_back_as_it_was() -> None:
    line = state()
    fold.snapshot(line, snapshot("2026-01-01"))
    fold.alert(line, alert())
    assert fold.decode(fold.encode(line)) == line


def test_days_beyond_those_kept_are_dropped_once() -> None:
    assert outlived("2026-04-01", "2026-04-01") == []
    assert outlived("2026-04-01", "2026-04-02") == ["2026-01-01"]
    assert KEPT_DAYS == 90
    assert outlived("2026-04-01", "2026-04-04") == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert len(outlived("2020-01-01", "2026-04-01")) <= 1_000
    batch = Batch(Keys("x."), lambda line: "accuracy", {})
    row = {
        **snapshot("2026-04-01"),
        "line": "churn:acme",
        "model_type": "churn",
        "tenant_id": "acme",
        "state": "closed",
    }
    batch.take("metric-snapshots", row, b"{}", 1)
    batch.take("metric-snapshots", {**row, "date": "2026-04-02"}, b"{}", 2)
    batch.finish()
    again = Batch(Keys("x."), lambda line: "accuracy", batch.states)
    again.take("metric-snapshots", {**row, "date": "2026-04-03"}, b"{}", 3)
    again.finish()
    dropped = [command for command in again.commands if command[0] == "HDEL"]
    assert ("HDEL", again.keys.days("churn:acme"), "2026-01-02|v1") in dropped


@pytest.mark.parametrize("last", ["open", "updated", "resolved"])
def test_an_older_revision_of_an_alert_that_arrives_again_changes_nothing(last: str) -> None:
    line = state()
    story = [alert("HIGH", revision=1), alert("CRITICAL", revision=2), alert("MEDIUM", revision=3, status=last)]
    for row in story:
        assert fold.alert(line, row)
    known = fold.encode(line)
    for row in story[:2]:
        assert not fold.alert(line, row)
    assert fold.alert(line, story[2]), "the newest one again is the same once more"
    assert fold.encode(line) == known


def test_few_alerts_of_a_model_are_remembered() -> None:
    line = state()
    for number in range(3 * fold.KEPT_REVISIONS):
        fold.alert(line, alert(id=f"a{number}", status="resolved"))
    assert list(line.revisions) == [f"a{n}" for n in range(2 * fold.KEPT_REVISIONS, 3 * fold.KEPT_REVISIONS)]


def test_a_day_is_so_far_until_it_closes() -> None:
    line = state()
    assert fold.open_day(line, snapshot("2026-01-07", version="v1"))
    assert fold.open_day(line, snapshot("2026-01-07", version="v2"))
    assert fold.open_day(line, snapshot("2026-01-08", version="v2"))
    both = [
        {"date": "2026-01-07", "predictions": 120, "outcomes": 100},
        {"date": "2026-01-08", "predictions": 120, "outcomes": 100},
    ]
    assert fold.fleet_line(line)["so_far"] == both
    assert fold.fleet_line(line)["date"] is None
    fold.snapshot(line, snapshot("2026-01-07", version="v1"))
    fold.snapshot(line, snapshot("2026-01-06", version="v2"))  # a revision of a day before it
    assert fold.fleet_line(fold.decode(fold.encode(line)))["so_far"] == both[1:]
    assert not fold.open_day(line, snapshot("2026-01-07", version="v1"))  # it came again
    assert fold.fleet_line(line)["so_far"] == both[1:]


def test_the_read_model_forgets_a_day_so_far_once_it_has_closed() -> None:
    keys = Keys("ml.")
    batch = Batch(keys, lambda line: "accuracy", {})
    row = {**snapshot("2026-01-07"), "line": "churn:acme", "model_type": "churn", "tenant_id": "acme"}
    batch.take("metric-snapshots", {**row, "state": "open", "revision": 0}, b"{}", 1)
    assert ("HSET", keys.line("churn:acme"), "open:v1", b"{}") in batch.commands
    batch.take("metric-snapshots", {**row, "state": "closed"}, b"{}", 2)
    assert ("HDEL", keys.line("churn:acme"), "open:v1") in batch.commands
    batch.commands.clear()
    batch.take("metric-snapshots", {**row, "state": "open", "revision": 0}, b"{}", 3)
    assert not batch.commands

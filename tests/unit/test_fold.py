"""What the fleet page shows of a model, from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from schemas.catalogue import FAMILIES
from stream_app.kafka.arrived import FAULTS
from stream_app.projection import fleet, fold
from stream_app.projection.apply import KINDS, RedisBatch, cutoff_ms, outlived
from stream_app.projection.keys import KEPT_DAYS, Keys
from stream_app.projection.projector import UNFIT
from stream_app.projection.records import DECODE
from tests.laws.test_laws import LAWFUL
from tests.support.spoil import spoiled

GOLDEN = Path(__file__).parents[1] / "golden"
SEEDS = {
    family.topic: tuple(path.read_bytes() for path in sorted(GOLDEN.glob(f"{family.name}.*.json")))
    for family in FAMILIES
    if family.topic in KINDS
}


def state(metric: str = "accuracy") -> fold.State:
    return fold.State("churn:acme", "churn", "acme", metric)


def snapshot(date: str, right: int = 80, wrong: int = 20, version: str = "v1", **more: Any) -> dict[str, Any]:
    return {
        "date": date, "model_version": version, "revision": 1, "predictions": 120, "outcomes": right + wrong,
        "true_positives": right // 2, "true_negatives": right - right // 2, "false_positives": wrong // 2,
        "false_negatives": wrong - wrong // 2, "accuracy": right / (right + wrong), "pr_auc": 0.5, **more,
    }  # fmt: skip


def test_the_metric_is_that_of_the_last_seven_days_that_are_a_day_old_with_wilsons_limits() -> None:
    model = state()
    for day in range(1, 12):
        fold.snapshot(model, snapshot(f"2026-01-{day:02d}", right=50 + day, wrong=50 - day))
    view = fold.fleet_model(model)
    right, rows = sum(50 + day for day in range(4, 11)), 700
    assert view["metric"]["value"] == pytest.approx(right / rows)
    limits = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    assert (view["metric"]["low"], view["metric"]["high"]) == pytest.approx((limits.low, limits.high), abs=1e-6)
    assert view["date"] == "2026-01-11"
    assert view["coverage"] == pytest.approx(100 / 120)


def test_only_the_active_version_counts_where_it_has_labels() -> None:
    model = state()
    for day in range(1, 9):
        fold.snapshot(model, snapshot(f"2026-01-{day:02d}", 50, 50))
    fold.snapshot(model, snapshot("2026-01-07", 90, 10, version="v2"))
    assert fold.fleet_model(model)["metric"]["value"] < 0.6
    known = {"active_version": "v2", "previous_version": "v1", "how": "commanded", "since": "2026-01-07T00:00:00.000Z"}
    fold.lifecycle(model, known)
    assert fold.fleet_model(model)["metric"]["value"] == pytest.approx(0.9)


def test_the_trend_keeps_gaps_and_thirty_days() -> None:
    model = state()
    for day in (*range(1, 32), 33 - 31):
        fold.snapshot(model, snapshot(f"2026-01-{day:02d}"))
    del model.days["2026-01-20"]
    trend = fold.fleet_model(model)["trend"]
    assert len(trend) == 30
    assert trend[18] is None
    assert trend.count(None) == 1


@pytest.mark.parametrize(
    ("days", "rows", "without"),
    [
        (range(1, 31), (0, 0), True),
        (range(1, 30), (0, 0), False),  # too young to tell
        (range(1, 31, 2), (0, 0), False),
        ((1, 30), (0, 0), True),  # most days without a prediction
        (range(1, 31), (1, 0), False),
        ((), (0, 0), False),
    ],
)
def test_a_month_of_predictions_without_an_outcome_is_known(days: Any, rows: tuple[int, int], without: bool) -> None:
    model = state()
    for day in days:
        right, wrong = rows if day == 7 else (0, 0)
        found = {**snapshot(f"2026-01-{day:02d}"), "outcomes": right + wrong}
        fold.snapshot(model, found)
    assert fleet.without_outcomes(model) == without
    if without:
        fold.open_day(model, {**snapshot("2026-02-01"), "outcomes": 1})
        assert not fleet.without_outcomes(model)


def test_an_older_revision_changes_nothing() -> None:
    model = state()
    fold.snapshot(model, snapshot("2026-01-01", 90, 10, revision=3))
    fold.snapshot(model, snapshot("2026-01-01", 10, 90, revision=2))
    assert fold.fleet_model(model)["trend"] == [0.9]


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
        model = state()
        fold.alert(model, row)
        seen.append(fold.fleet_model(model)["attention"])
    assert seen == sorted(set(seen))
    fold.alert(model, alert("CRITICAL", status="resolved"))
    assert fold.fleet_model(model)["attention"] == 0
    assert fold.fleet_model(model)["alert"] is None


def test_a_state_comes_back_as_it_was() -> None:
    model = state()
    fold.snapshot(model, snapshot("2026-01-01"))
    fold.alert(model, alert())
    assert fold.decode(fold.encode(model)) == model


def test_days_beyond_those_kept_are_dropped_once() -> None:
    assert outlived("2026-04-01", "2026-04-01") == []
    assert outlived("2026-04-01", "2026-04-02") == ["2026-01-01"]
    assert KEPT_DAYS == 90
    assert outlived("2026-04-01", "2026-04-04") == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert len(outlived("2020-01-01", "2026-04-01")) <= 1_000
    batch = RedisBatch(Keys("x."), lambda model: "accuracy", {})
    row = {
        **snapshot("2026-04-01"),
        "model": "churn:acme",
        "model_type": "churn",
        "tenant_id": "acme",
        "state": "closed",
    }
    batch.take("metric-snapshots", row, b"{}", 1)
    batch.take("metric-snapshots", {**row, "date": "2026-04-02"}, b"{}", 2)
    batch.finish()
    again = RedisBatch(Keys("x."), lambda model: "accuracy", batch.states)
    again.take("metric-snapshots", {**row, "date": "2026-04-03"}, b"{}", 3)
    again.finish()
    dropped = [command for command in again.commands if command[0] == "HDEL"]
    assert dropped == [("HDEL", again.keys.points("churn:acme"), "statistical|2026-01-02", "performance|2026-01-02")]


def test_of_a_day_with_very_many_versions_the_fleet_keeps_the_active_one_and_those_with_most_predictions() -> None:
    model = state()
    fold.lifecycle(model, {"active_version": "v0", "previous_version": None, "how": "observed", "since": "x"})
    for number in range(3 * fold.DAY_VERSIONS):
        row = snapshot("2026-01-01")
        fold.snapshot(model, {**row, "model_version": f"v{number}", "predictions": number})
    kept = {day.version for day in model.days["2026-01-01"]}
    assert kept == {"v0", *(f"v{number}" for number in range(2 * fold.DAY_VERSIONS + 1, 3 * fold.DAY_VERSIONS))}


@pytest.mark.parametrize("last", ["open", "updated", "resolved"])
def test_an_older_revision_of_an_alert_that_arrives_again_changes_nothing(last: str) -> None:
    model = state()
    story = [alert("HIGH", revision=1), alert("CRITICAL", revision=2), alert("MEDIUM", revision=3, status=last)]
    for row in story:
        assert fold.alert(model, row)
    known = fold.encode(model)
    for row in story[:2]:
        assert not fold.alert(model, row)
    assert fold.alert(model, story[2]), "the newest one again is the same once more"
    assert fold.encode(model) == known


def test_few_alerts_of_a_model_are_remembered() -> None:
    model = state()
    for number in range(3 * fold.KEPT_REVISIONS):
        fold.alert(model, alert(id=f"a{number}", status="resolved"))
    assert list(model.revisions) == [f"a{n}" for n in range(2 * fold.KEPT_REVISIONS, 3 * fold.KEPT_REVISIONS)]


def test_a_day_is_so_far_until_it_closes() -> None:
    model = state()
    assert fold.open_day(model, snapshot("2026-01-07", version="v1"))
    assert fold.open_day(model, snapshot("2026-01-07", version="v2"))
    assert fold.open_day(model, snapshot("2026-01-08", version="v2"))
    both = [
        {"date": "2026-01-07", "predictions": 120, "outcomes": 100},
        {"date": "2026-01-08", "predictions": 120, "outcomes": 100},
    ]
    assert fold.fleet_model(model)["so_far"] == both
    assert fold.fleet_model(model)["date"] is None
    fold.snapshot(model, snapshot("2026-01-07", version="v1"))
    fold.snapshot(model, snapshot("2026-01-06", version="v2"))  # a revision of a day before it
    assert fold.fleet_model(fold.decode(fold.encode(model)))["so_far"] == both[1:]
    assert not fold.open_day(model, snapshot("2026-01-07", version="v1"))  # it came again
    assert fold.fleet_model(model)["so_far"] == both[1:]


def test_the_read_model_forgets_a_day_so_far_once_it_has_closed() -> None:
    keys = Keys("ml.")
    batch = RedisBatch(keys, lambda model: "accuracy", {})
    row = {**snapshot("2026-01-07"), "model": "churn:acme", "model_type": "churn", "tenant_id": "acme"}
    batch.take("metric-snapshots", {**row, "state": "open", "revision": 0}, b"{}", 1)
    assert ("HSET", keys.open("churn:acme"), "2026-01-07|v1", b"{}") in batch.commands
    batch.take("metric-snapshots", {**row, "state": "closed"}, b"{}", 2)
    assert batch.advanced["churn:acme"][1] == "2026-01-07"  # so the projector drops what stands open up to that day
    batch.commands.clear()
    batch.take("metric-snapshots", {**row, "state": "open", "revision": 0}, b"{}", 3)
    assert not batch.commands


# -- what arrives again, and what nobody here wrote --------------------------------------------------------------------


def rows_of(kind: str) -> list[dict[str, Any]]:
    """Golden records of a topic."""
    (name,) = [family.name for family in FAMILIES if family.topic == kind]
    return [json.loads(path.read_bytes()) for path in sorted(GOLDEN.glob(f"{name}.*.json"))]


def taken(*rows: tuple[str, dict[str, Any]]) -> RedisBatch:
    batch = RedisBatch(Keys("ml."), lambda model: "accuracy", {})
    for number, (kind, row) in enumerate(rows):
        batch.take(kind, row, json.dumps(row).encode(), number)
    return batch


def last(batch: RedisBatch, key: str, field: str) -> dict[str, Any]:
    """What a hash holds in the end."""
    found = [c[c.index(field) + 1] for c in batch.commands if c[:2] == ("HSET", key) and field in c]
    return dict(json.loads(found[-1]))


def test_older_snapshots_jobs_versions_and_settings_that_arrive_again_change_nothing() -> None:
    (closed,) = [row for row in rows_of("metric-snapshots") if row["state"] == "closed"]
    newer = {**closed, "revision": closed["revision"] + 1}
    today = {**closed, "state": "open", "revision": 0}
    job, version, setting = rows_of("training-jobs")[0], rows_of("model-lifecycle")[0], rows_of("settings")[0]
    later = "2027-01-01T00:00:00.000Z"
    story = [
        ("metric-snapshots", newer), ("training-jobs", {**job, "since": later}),
        ("model-lifecycle", {**version, "since": later, "active_version": "v9"}),
        ("settings", {**setting, "at": later, "value": 9}),
    ]  # fmt: skip
    again = [
        ("metric-snapshots", closed), ("metric-snapshots", today), ("training-jobs", job), ("model-lifecycle", version),
        ("settings", setting),
    ]  # fmt: skip
    batch = taken(*story, *again)
    keys, model = batch.keys, closed["model"]
    assert last(batch, keys.days(model), f"{closed['date']}|{closed['model_version']}") == newer
    assert not [c for c in batch.commands if c[1] == keys.open(model)]
    assert last(batch, keys.model(job["model"]), "job")["since"] == later
    assert (batch.states[version["model"]].version or {})["active_version"] == "v9"
    assert last(batch, keys.settings, f"{setting['model']}|{setting['key']}")["value"] == 9
    told = [(kind, json.loads(value)) for kind, _, value in batch.changes if kind == "metric-snapshots"]
    assert told == [("metric-snapshots", newer)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_record_that_is_published_is_read(kind: str) -> None:
    found = rows_of(kind)
    assert found
    for row in found:
        assert DECODE[kind](json.dumps(row).encode()) == row


@LAWFUL
@given(st.sampled_from(KINDS).flatmap(lambda kind: st.tuples(st.just(kind), spoiled(SEEDS[kind]))))
def test_records_of_any_bytes_are_laid_out_or_passed_by(found: tuple[str, bytes]) -> None:
    kind, value = found
    try:
        row = DECODE[kind](value)
    except FAULTS:
        return
    batch = RedisBatch(Keys("ml."), lambda model: "accuracy", {})
    try:
        batch.take(kind, row, value, 0)
    except UNFIT:
        return  # the projector takes the others without it
    batch.finish()
    for state in batch.states.values():
        json.dumps(fold.fleet_model(fold.decode(fold.encode(state))))
    for _, now in batch.advanced.values():
        cutoff_ms(now)


@pytest.mark.parametrize("date", ["0001-01-01", "9999-12-31", "2026-02-30", "1970-01-01", "2200-01-01"])
def test_a_day_from_which_no_days_can_be_counted_back_is_no_day(date: str) -> None:
    (row,) = [row for row in rows_of("metric-snapshots") if row["state"] == "closed"]
    with pytest.raises(ValueError, match=r"is outside|month must be|out of range|day is"):
        DECODE["metric-snapshots"](json.dumps({**row, "date": date}).encode())


def check(verdict: str, close: str = "2026-01-12T04:00:00.000Z", **more: Any) -> dict[str, Any]:
    return {"kind": "performance", "verdict": verdict, "as_of": close, "windows": [], **more}


WINDOW = {"windows": [{"from": "2026-01-04T00:00:00.000Z", "to": "2026-01-11T00:00:00.000Z"}]}


@pytest.mark.parametrize(
    ("verdict", "windows", "labelled", "standing"),
    [
        ("no_drift", WINDOW, range(4, 11), "judged"),
        ("drift", WINDOW, range(4, 11), "judged"),
        ("insufficient_evidence", WINDOW, range(0), "without_labels"),
        # labels that ended before the window, and those of days after it, are none of the days looked at
        ("insufficient_evidence", WINDOW, range(1, 4), "without_labels"),
        ("insufficient_evidence", WINDOW, range(11, 12), "without_labels"),
        ("insufficient_evidence", WINDOW, range(4, 5), "too_little_data"),
        # nothing to compare with: the seven days before the newest, which is too young for labels
        ("insufficient_evidence", {}, range(0), "without_labels"),
        ("insufficient_evidence", {}, range(10, 11), "too_little_data"),
        ("insufficient_evidence", {}, range(1, 4), "without_labels"),
    ],
)
def test_a_model_that_was_not_judged_says_whether_for_want_of_labels(
    verdict: str, windows: dict[str, Any], labelled: range, standing: str
) -> None:
    model = state()
    assert fold.fleet_model(model)["standing"] == "not_yet_judged"
    for day in range(1, 12):
        right, wrong = (80, 20) if day in labelled else (0, 0)
        row = {**snapshot(f"2026-01-{day:02d}"), "outcomes": right + wrong}
        fold.snapshot(model, row)
    severity = {"severity": "MEDIUM"} if verdict == "drift" else {}
    fold.event(model, check(verdict, **windows, **severity))
    assert fold.fleet_model(model)["standing"] == standing


def test_a_model_without_predictions_has_too_little_data() -> None:
    model = state()
    fold.event(model, check("insufficient_evidence"))
    assert fold.fleet_model(model)["standing"] == "too_little_data"
    fold.snapshot(model, snapshot("2026-01-11"))
    assert fold.fleet_model(model)["standing"] == "too_little_data"


def test_drift_that_needs_a_look_says_how_severe_it_is_and_of_what() -> None:
    model = state()
    fold.event(model, check("drift", severity="MEDIUM"))
    fold.event(model, {**check("drift", severity="MEDIUM"), "kind": "quality", "check": "positive_rate"})
    view = fold.fleet_model(model)
    assert view["reasons"] == ["MEDIUM performance drift", "MEDIUM positive rate drift"]
    assert view["drift"]["quality_as_of"] == "2026-01-12T04:00:00.000Z"


def refusal(count: int, id: str = "r", **more: Any) -> tuple[dict[str, Any], bytes]:
    row = {"id": id, "model": "churn:acme", "model_type": "churn", "tenant_id": "acme", "count": count,
           "at": f"2026-01-{count:02d}T04:00:00.000Z", **more}  # fmt: skip
    return row, msgspec.json.encode(row)


def test_what_was_decided_again_takes_the_place_of_what_was_decided_before() -> None:
    batch = RedisBatch(Keys("t"), lambda _: "accuracy", {})
    audit = {batch.keys.audit, batch.keys.model_audit("churn:acme")}
    for count in (1, 2, 3, 2, 3):  # records come at least once
        batch.take("audit", *refusal(count), 0)
    gone = [(key, member) for name, key, member in (c for c in batch.commands if c[0] == "ZREM")]
    assert sorted(gone) == sorted((key, refusal(n)[1]) for key in audit for n in (1, 2))
    added = [command[3] for command in batch.commands if command[0] == "ZADD" and command[1] == batch.keys.audit]
    assert added == [refusal(n)[1] for n in (1, 2, 3, 3)]
    for n in range(20):
        batch.take("audit", *refusal(1, f"other-{n}"), 0)
    assert len(batch.states["churn:acme"].repeated) == fold.KEPT_REPEATED


@pytest.mark.parametrize(
    ("state", "command", "reasons"),
    [
        ("failed", "train", ["training failed"]),
        ("failed", "rollback", ["rollback failed"]),
        ("requested", "activate", ["activation failed", "training requested"]),
    ],
)
def test_a_failure_is_named_by_what_failed_also_beside_the_next_job(
    state: str, command: str, reasons: list[str]
) -> None:
    model = fold.State("churn:acme", "churn", "acme", "accuracy")
    failure = {"command": command, "reason": "why", "attempt": 1}
    known = {"since": "", "candidate_version": None, "circuit": "closed", "command_id": None, "attempt": 1}
    fold.job(model, {"state": state, "failure": failure, **known})
    view = fold.fleet_model(model)
    assert view["reasons"] == reasons
    assert view["job"]["failure"] == failure

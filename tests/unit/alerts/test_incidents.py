"""Alerts about retraining: told once, ended by the end of their cause."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import UNSET

from schemas.common import rfc3339
from stream_app.core import model_log
from stream_app.core.alerts import occasions
from stream_app.core.alerts.incidents import TYPES
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, news, replaced

WAITS = {"state": "awaiting_approval", "job_id": "j1", "asked": "train", "reason": "drift", "lapses_ms": at(D + 3)}
FAILED = {"state": "failed", "failed": "train", "failed_id": "f1", "failed_at_ms": at(D), "failure": "no rows"}
OPEN = {"state": "halted", "circuit_open": True, "failures": 2, "episode": 4}


def job(state: str = "idle", model: str = MODEL, **fields: Any) -> Any:
    return model_log.JobEntry(model=model, **{"state": state, "version": "v1", **fields})


#: type → entries of an epoch that opens it, and of one that ends it
LIVES = {
    "ML_APPROVAL_WANTED": ([job(**WAITS)], [job()]),
    "ML_TRAINING_FAILED": ([job(**FAILED)], [job("training")]),
    "ML_CIRCUIT_OPEN": ([job(**OPEN)], [job()]),
    "ML_ROLLED_BACK": ([replaced(at(D), "rolled_back"), job("probation")], [job()]),
}


@pytest.mark.parametrize("type", TYPES)
def test_each_is_told_once_without_reminders_and_once_more_when_its_cause_ends(type: str) -> None:
    begins, ends = LIVES[type]
    bench = Bench()
    (opened,) = bench.epoch(at(D), *begins)
    assert (opened.type, opened.notify, opened.status, opened.severity) == (type, "opened", "open", "HIGH")
    assert (opened.drift_event_ids, opened.drift_event_count, opened.raised_by) == ([], 0, [])
    assert opened.summary
    assert opened.recommendation
    again = [entry for entry in begins if isinstance(entry, model_log.JobEntry)]
    assert bench.epoch(at(D, 5), *again) == [], "the same occasion"
    assert bench.epoch(at(D + 9)) == []
    (over,) = bench.epoch(at(D + 9, 5), *ends)
    assert (over.id, over.notify, over.resolution_reason) == (opened.id, "resolved", "cause_ended")
    assert over.resolution == occasions.ENDED[type]
    assert over.summary == f"Over: {over.resolution}. It was: {opened.summary}"
    bench.checkpoint()
    assert {key[:1] for key in bench.table.rows} == {b"R", b"X"}


def test_a_request_says_when_it_lapses() -> None:
    (alert,) = Bench().epoch(at(D), job(**WAITS))
    assert alert.deadline == rfc3339(at(D + 3))
    assert "a person is asked to retrain v1, until" in alert.summary
    (other,) = Bench().epoch(at(D), job(**WAITS | {"asked": "activate", "candidate": "v2"}))
    assert "activate v2" in other.summary
    assert other.id != alert.id


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([job(**FAILED)], [job(**FAILED | {"failed_id": "f2"})]),
        ([job(**WAITS)], [job(**WAITS | {"job_id": "j2"})]),
        ([replaced(at(D), "rolled_back")], [replaced(at(D, 5), "rolled_back", version="v3")]),
    ],
)
def test_another_occasion_ends_the_alert_and_opens_a_new_one(first: list[Any], second: list[Any]) -> None:
    bench = Bench()
    (opened,) = bench.epoch(at(D), *first)
    over, new = bench.epoch(at(D, 5), *second)
    assert (over.id, news([over, new])) == (opened.id, ["resolved", "opened"])
    assert new.id != opened.id


def test_a_failure_that_opens_the_circuit_is_two_alerts_and_other_models_have_their_own() -> None:
    bench = Bench()
    found = bench.epoch(at(D), job(**FAILED | OPEN), job(model="fraud:a", **FAILED))
    assert sorted((a.model, a.type) for a in found) == [
        (MODEL, "ML_CIRCUIT_OPEN"), (MODEL, "ML_TRAINING_FAILED"), ("fraud:a", "ML_TRAINING_FAILED"),
    ]  # fmt: skip


def test_a_version_deployed_from_outside_is_no_rollback_and_ends_one() -> None:
    bench = Bench()
    assert bench.epoch(at(D), replaced(at(D), "deployed")) == []
    bench.epoch(at(D, 5), replaced(at(D, 5), "rolled_back"))
    assert news(bench.epoch(at(D, 6), replaced(at(D, 6), "deployed", version="v5"))) == ["resolved"]


def test_it_can_be_muted_by_its_type_and_its_end_is_owed() -> None:
    bench = Bench()
    (opened,) = bench.epoch(at(D), job(**WAITS))
    bench.epoch(at(D, 5), command("mute", kinds=["ML_APPROVAL_WANTED"], until=rfc3339(at(D + 2))))
    assert news(bench.epoch(at(D, 6), job())) == [None]
    assert news(bench.epoch(at(D, 7), job(**FAILED))) == ["opened"], "another type"
    (silent,) = bench.epoch(at(D, 8), job(**WAITS | {"job_id": "j2"} | FAILED | {"state": "awaiting_approval"}))
    assert (silent.notify, silent.muted_until) == (UNSET, rfc3339(at(D + 2)))
    told = bench.epoch(at(D + 2))
    assert sorted((a.id == opened.id, a.notify) for a in told) == [(False, "reminder"), (True, "resolved")]


def test_a_model_that_is_forgotten_leaves_none_open() -> None:
    bench = Bench()
    bench.epoch(at(D), job(**FAILED | OPEN))
    found = bench.epoch(at(D + 90), model_log.ForgottenEntry(MODEL, 90, at(D + 90, 2)))
    assert {a.resolution_reason for a in found} == {"no_predictions"}
    assert len(found) == 2

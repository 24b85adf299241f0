"""Verdicts, notes, and acknowledgements that are taken back; owner and runbook."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from schemas.common import rfc3339
from schemas.operators import CommandOutcome
from stream_app.core import model_log
from stream_app.core.alerts.closed import KEPT_DAYS
from stream_app.core.alerts.state import NOTES
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, event, news

_outcome = msgspec.json.Decoder(CommandOutcome)


def _open(**rules: Any) -> tuple[Bench, str]:
    bench = Bench(**rules)
    (alert,) = bench.close(D, event("performance", D, "drift", "HIGH"))
    return bench, alert.id


def outcomes(bench: Bench) -> list[CommandOutcome]:
    bench.checkpoint(restart=False)
    return [_outcome.decode(emit.value or b"") for emit in bench.emits if emit.topic == "command-outcomes"]


def _resolve(bench: Bench) -> None:
    bench.close(D + 1, event("performance", D + 1))
    bench.close(D + 2, event("performance", D + 2))
    assert bench.alerts()[-1].status == "resolved"


@pytest.mark.parametrize("over", [False, True])
def test_a_verdict_and_notes_stand_on_the_alert_silently_while_it_is_open_and_when_it_is_over(over: bool) -> None:
    bench, id = _open(alert_reminder_h=999, alert_escalate_high_h=999)
    if over:
        _resolve(bench)
    before = bench.alerts()[-1]
    (judged,) = bench.epoch(at(D + 3, 6), command("verdict", alert_id=id, verdict="false", note="a test"))
    assert judged.verdict is not UNSET
    assert (judged.verdict.verdict, judged.verdict.actor, judged.verdict.note) == ("false", "sam", "a test")
    assert judged.verdict.at == rfc3339(at(D + 3, 6))
    (noted,) = bench.epoch(at(D + 3, 7), command("note", id="c2", alert_id=id, note="seen before"))
    assert [(n.actor, n.note) for n in noted.notes] == [("sam", "seen before")]
    assert news([judged, noted]) == [None, None]
    assert [judged.revision, noted.revision] == [before.revision + 1, before.revision + 2]
    assert (noted.status == "resolved") == over
    assert (noted.verdict, noted.resolution_reason) == (judged.verdict, before.resolution_reason)
    assert [(a.action, a.decision, a.inputs.ids) for a in bench.audits()] == [
        ("verdict", "applied", ["c1", id]), ("note", "applied", ["c2", id]),
    ]  # fmt: skip


def test_a_later_verdict_takes_the_place_of_one_before_and_the_newest_notes_stay() -> None:
    bench, id = _open()
    bench.epoch(at(D, 6), command("verdict", alert_id=id, verdict="false"))
    bench.epoch(at(D, 7), command("verdict", id="c2", alert_id=id, verdict="real"))
    bench.epoch(at(D, 8), *[command("note", id=f"n{n}", alert_id=id, note=f"note {n}") for n in range(NOTES + 3)])
    last = bench.alerts()[-1]
    assert last.verdict is not UNSET
    assert last.verdict.verdict == "real"
    assert [note.note for note in last.notes] == [f"note {n}" for n in range(3, NOTES + 3)]


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (command("verdict", alert_id="x", verdict="real"), "unknown_alert: x is no alert"),
        (command("note", alert_id="x", note="n"), "unknown_alert: x is no alert"),
        (command("verdict", alert_id="x", verdict="perhaps"), "unusable_arguments: Invalid enum value 'perhaps'"),
        (command("verdict", "*", alert_id="x", verdict="real"), "unusable_arguments: verdict needs the model"),
        (command("note", alert_id="x"), "unusable_arguments: Object missing required field `note`"),
        (command("note", alert_id="x", note="n" * 501), "unusable_arguments: Expected `str` of length <= 500"),
        (command("verdict", verdict="real"), "unusable_arguments: Object missing required field `alert_id`"),
        (command("unacknowledge"), "not_open: this model has no open alert"),
    ],
)
def test_a_remark_that_cannot_be_is_refused_by_name(order: Any, why: str) -> None:
    bench = Bench()
    bench.epoch(at(D), order)
    (said,) = bench.audits()
    assert (said.action, said.decision) == (order.command, "refused")
    assert said.reason.startswith(why)
    (outcome,) = outcomes(bench)
    assert (outcome.state, outcome.refused_because) == ("refused", said.reason)


def test_an_alert_of_another_model_is_not_judged() -> None:
    bench, id = _open()
    bench.epoch(at(D, 6), command("note", "fraud:a", alert_id=id, note="n"))
    _resolve(bench)
    bench.epoch(at(D + 3), command("note", "fraud:a", id="c2", alert_id=id, note="n"))
    assert [a.decision for a in bench.audits()] == ["refused", "refused"]


def test_an_alert_that_ended_90_days_ago_is_forgotten_and_the_table_is_empty_of_it() -> None:
    bench, id = _open()
    _resolve(bench)
    bench.epoch(at(D + 2 + KEPT_DAYS - 1), command("note", alert_id=id, note="just in time"))
    assert bench.alerts()[-1].notes
    bench.epoch(at(D + 2 + KEPT_DAYS + 1))
    bench.epoch(at(D + 2 + KEPT_DAYS + 1, 6), command("note", id="c2", alert_id=id, note="too late"))
    assert [a.decision for a in bench.audits()] == ["applied", "refused"]
    bench.checkpoint()
    assert {key[:1] for key in bench.table.rows} == {b"A"}


def test_what_is_given_back_is_reminded_of_and_escalates_from_then_on() -> None:
    bench, id = _open()
    bench.epoch(at(D, 6), command("acknowledge", alert_id=id))
    assert bench.epoch(at(D + 3)) == []
    (back,) = bench.epoch(at(D + 3, 6), command("unacknowledge", id="c2", alert_id=id))
    assert (back.acknowledged_by, back.notify) == (UNSET, UNSET)
    assert news(bench.epoch(at(D + 4))) == ["reminder"]
    assert news(bench.epoch(at(D + 4, 6))) == ["escalated"]
    assert [(a.action, a.decision) for a in bench.audits()] == [
        ("acknowledge", "applied"),
        ("unacknowledge", "applied"),
    ]
    assert bench.epoch(at(D + 4, 7), command("unacknowledge", id="c3", alert_id=id)) == []


def test_owner_and_runbook_travel_in_the_alert() -> None:
    bench, _ = _open(owner="payments", runbook_url="https://wiki/runbook")
    (alert,) = bench.alerts()
    assert (alert.owner, alert.runbook_url) == ("payments", "https://wiki/runbook")
    bare, _ = _open()
    assert (bare.alerts()[0].owner, bare.alerts()[0].runbook_url) == (UNSET, UNSET)


def test_every_command_has_an_outcome_with_the_effects_of_the_stages_that_did_something() -> None:
    bench, _ = _open()
    retrain = command("retrain", id="r")
    effect = model_log.effect(retrain, "retrain", False, "cooldown: too soon")
    both = command("rebaseline", id="b")
    metrics = model_log.effect(both, "metrics", True, "begins again")
    bench.epoch(
        at(D, 6), retrain, both, metrics, both, metrics, effect, command("set", id="s", values={"drop_points": 6})
    )
    found = {outcome.command_id: outcome for outcome in outcomes(bench)}
    assert (found["r"].state, found["r"].refused_because) == ("refused", "cooldown: too soon")
    assert [(e.stage, e.state) for e in found["b"].effects] == [("metrics", "done"), ("alerts", "done")]
    assert found["s"].state == "done"
    assert {key[:1] for key in bench.table.rows} & {b"C", b"E"} == set()
    keys = {emit.key for emit in bench.emits if emit.topic == "command-outcomes"}
    assert keys == {b"r", b"b", b"s"}


@pytest.mark.parametrize("partition", [0, 1])
def test_each_partition_answers_a_command_for_all_models(partition: int) -> None:
    bench = Bench(partition=partition)
    bench.epoch(at(D), command("mute", "*", model_type="fraud", until=rfc3339(at(D + 1))))
    (outcome,) = outcomes(bench)
    assert (outcome.partition, outcome.state, outcome.mutes_of) == (partition, "done", "fraud")
    assert outcome.mutes is not UNSET
    assert [(row.model_type, row.until) for row in outcome.mutes] == [("fraud", rfc3339(at(D + 1)))]
    assert len(bench.audits()) == (partition == 0)


def test_the_model_of_a_command_is_not_needed_twice() -> None:
    assert command("acknowledge", MODEL).subject is None

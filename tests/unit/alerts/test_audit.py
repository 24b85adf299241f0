"""What became of people's commands, said by the stage that did it."""

from __future__ import annotations

import pytest

from tests.unit.alerts.bench import MODEL, Bench, D, at, command, event


def _open() -> Bench:
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "HIGH"))
    return bench


def _said(bench: Bench) -> list[tuple[str, str, str]]:
    return [(a.model, a.action, a.decision) for a in bench.audits()]


def test_an_acknowledged_alert_is_audited_by_alerts_with_the_command_and_the_alert() -> None:
    bench = _open()
    (alert,) = bench.epoch(at(D, 6), command("acknowledge", alert_id=bench.alerts()[0].id))
    (said,) = bench.audits()
    assert (said.stage, said.actor, said.action, said.decision) == ("alerts", "sam", "acknowledge", "applied")
    assert said.inputs.ids == ["c1", alert.id]
    assert said.reason == f"{alert.id}: because"


@pytest.mark.parametrize(
    ("order", "why"),
    [
        (command("acknowledge", alert_id="unknown"), "not_open: unknown is not open"),
        (command("acknowledge", "conflict:other"), "not_open: this model has no open alert"),
        (command("acknowledge", alert_id=7), "unusable_arguments: Expected `str | null`, got `int` - at `$.alert_id`"),
    ],
)
def test_an_acknowledgement_that_takes_nothing_is_refused_with_the_reason(order: object, why: str) -> None:
    bench = _open()
    bench.epoch(at(D, 6), order)
    (said,) = bench.audits()
    assert (said.action, said.decision, said.reason) == ("acknowledge", "refused", why)


def test_taking_what_one_has_already_changes_nothing_and_is_no_refusal() -> None:
    bench = _open()
    bench.epoch(at(D, 6), command("acknowledge"))
    assert bench.epoch(at(D, 7), command("acknowledge", id="c2")) == []
    assert _said(bench) == [(MODEL, "acknowledge", "applied")] * 2
    assert "taken by sam already" in bench.audits()[-1].reason


def test_a_command_that_came_twice_in_an_epoch_is_said_once() -> None:
    bench = _open()
    bench.epoch(at(D, 6), *[command("acknowledge", alert_id="unknown")] * 3)
    assert len(bench.audits()) == 1


@pytest.mark.parametrize("partition", [0, 1])
def test_a_command_about_all_models_is_said_for_each_model_and_once_for_all(partition: int) -> None:
    bench = Bench(partition=partition)
    both = [event("performance", D, "drift", "HIGH", model=model) for model in ("conflict:global", "fraud:acme")]
    bench.close(D, *both)
    bench.epoch(at(D, 6), command("acknowledge", "*"))
    each = [("conflict:global", "acknowledge", "applied"), ("fraud:acme", "acknowledge", "applied")]
    assert _said(bench) == [*each, *([("*", "acknowledge", "ordered")] if partition == 0 else [])]


def test_an_alert_that_a_rebaseline_ends_is_audited_by_alerts_and_nothing_is_where_none_ends() -> None:
    bench = _open()
    (alert,) = bench.close(D + 1, command("rebaseline"))
    assert alert.resolution == "accepted as normal by sam"
    assert _said(bench) == [(MODEL, "rebaseline", "resolved")]
    assert bench.audits()[0].inputs.ids == ["c1", alert.id]
    bench.close(D + 2, command("rebaseline", id="c2"))
    assert len(bench.audits()) == 1

"""Trainings that no drift asks for, through a retrain lane: when they are due, who refuses them, and their turns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from schemas.common import parse_ms, uuid5
from stream_app.core.kit.days import DAY_MS
from stream_app.core.retrain import RetrainRules
from tests.machine.world import FLOORS, ON
from tests.unit.retrain.bench import (
    MODEL,
    Bench,
    D,
    at,
    command,
    completeness,
    event,
    lifecycle,
    result,
    snapshot,
    tick,
)

SCHEDULE = RetrainRules(validation_floors=FLOORS, retrain_policies=("drift", "schedule"), retrain_every_days=20)
#: days by which the model's first schedule comes earlier
EARLIER = UUID(uuid5("schedule", MODEL)).int % 20


def quiet(bench: Bench, *days: int, model: str = MODEL, labelled: int = 1_000, **rest: Any) -> Bench:
    """Daily checks that find no drift."""
    for day in days:
        bench.feed(
            completeness(day, model=model, **rest), snapshot(day - 1, labelled, model=model),
            event("performance", day, "no_drift", model=model), tick(at(day)),
        )  # fmt: skip
    return bench


def serving(rules: RetrainRules = SCHEDULE, **rest: Any) -> Bench:
    return Bench(rules, **rest).feed(lifecycle("v0", None, at(D - 1), "observed"), tick(at(D - 1)))


def trained(bench: Bench) -> list[int]:
    """Days of the train commands, counted from D."""
    commands = [c for c in bench.of("training-commands") if (c.command, c.attempt) == ("train", 1)]
    return [parse_ms(c.at) // DAY_MS - D for c in commands]


def said(bench: Bench) -> list[tuple[str, str]]:
    return [(a.action, a.decision) for a in bench.of("audit")]


def test_a_schedule_is_due_a_period_after_the_last_training_and_names_itself() -> None:
    first = D + 19 - EARLIER
    bench = quiet(serving(), *range(D, first + 1))
    assert trained(bench) == [first - D]
    (order,) = bench.of("training-commands")
    assert order.trigger.kind == "schedule"
    assert order.trigger.reason == "schedule: a training every 20 days, none so far"
    assert ("train", "ordered") in said(bench)
    bench.feed(result(order, "succeeded"), tick(at(first, 5)))
    bench.feed(result(bench.last("training-commands"), "activated"), lifecycle("v1", "v0", at(first, 6)))
    bench.feed(tick(at(first, 6)))
    quiet(bench, *range(first + 1, first + 22))
    assert trained(bench) == [first - D, first - D + 20]
    reasons = [a.reason for a in bench.of("audit") if (a.action, a.decision) == ("train", "ordered")]
    assert len(reasons) == 2
    assert all(reason.startswith("schedule: a training every 20 days, none ") for reason in reasons)


def test_what_is_due_and_refused_is_said_when_it_falls_due_and_when_others_refuse() -> None:
    off = replace(ON, auto_retrain=False)
    bench = quiet(serving(flags=off), *range(D, D + 40))
    refused = [a for a in bench.of("audit") if a.decision == "refused"]
    assert len(refused) == 1
    assert "auto_retrain is off" in refused[0].reason
    quiet(bench, *range(D + 40, D + 45), labelled=0)
    bench.feed(completeness(D + 45, labelled=3), event("performance", D + 45, "no_drift"), tick(at(D + 45)))
    refused = [a for a in bench.of("audit") if a.decision == "refused"]
    assert len(refused) == 2
    assert "coverage" in refused[1].reason
    assert trained(bench) == []


def test_severity_is_asked_of_drift_alone_and_coverage_of_all() -> None:
    bench = quiet(serving(), *range(D, D + 25), labelled=1_000)
    passed = next(a for a in bench.of("audit") if a.decision == "ordered")
    assert len({s.name for s in passed.safeguards}) == 9
    broken = serving()
    for day in range(D, D + 30):
        broken.feed(
            completeness(day, labelled=100), snapshot(day - 1), event("performance", day, "no_drift"), tick(at(day))
        )
    assert trained(broken) == []


def test_labels_ask_once_so_many_have_come_and_before_a_schedule() -> None:
    rules = replace(SCHEDULE, retrain_policies=("labels", "schedule"), retrain_every_labels=3_000)
    bench = quiet(serving(rules), D, D + 1, D + 2)
    (order,) = bench.of("training-commands")
    assert (order.trigger.kind, order.trigger.reason) == ("labels", "labels: 3000 labelled rows so far")


def test_without_drift_among_the_policies_drift_trains_nothing() -> None:
    bench = Bench(replace(SCHEDULE, retrain_policies=("labels",))).serving().feed(event("performance", D), tick(at(D)))
    assert trained(bench) == []
    assert "drift in retrain_policies is off" in bench.last("audit").reason


def test_a_rejected_request_asks_again_a_period_later() -> None:
    rules = replace(SCHEDULE, require_manual_approval=True)
    bench = quiet(serving(rules), *range(D, D + 20 - EARLIER))
    assert bench.last("training-jobs").state == "awaiting_approval"
    first = D + 19 - EARLIER
    bench.feed(command("reject"), tick(at(first, 9)))
    quiet(bench, *range(first + 1, first + 19))
    assert bench.last("training-jobs").state == "idle"
    quiet(bench, *range(first + 19, first + 22))
    assert bench.last("training-jobs").state == "awaiting_approval"
    bench.feed(command("approve"), tick(at(first + 21, 9)))
    assert bench.last("training-commands").trigger.kind == "schedule"


def test_drift_takes_the_place_of_a_request_that_waits() -> None:
    rules = replace(SCHEDULE, require_manual_approval=True)
    bench = quiet(serving(rules), *range(D, D + 20 - EARLIER))
    day = D + 20 - EARLIER
    bench.feed(completeness(day), event("performance", day), tick(at(day)))
    assert ("approve", "cancelled") in said(bench)
    assert bench.last("training-jobs").state == "awaiting_approval"
    bench.feed(command("approve"), tick(at(day, 9)))
    assert bench.last("training-commands").trigger.kind == "performance"


@pytest.mark.parametrize("seed", [None, *range(5)])
def test_a_fleet_takes_turns_the_oldest_first_and_none_is_left_out(seed: int | None) -> None:
    """Thirty models known on the same day, a period of one day: all are due at once."""
    rules = replace(SCHEDULE, retrain_every_days=1, retrain_cooldown_days=0.5, command_accept_min=1_000)
    models = [f"conflict:t{n}" for n in range(30)]
    bench = Bench(rules, seed=seed)
    bench.feed(*(lifecycle("v0", None, at(D - 1), "observed", model) for model in models), tick(at(D - 1)))
    for day in (D, D + 1):
        bench.feed(*(completeness(day, model=m) for m in models), *(snapshot(day - 1, model=m) for m in models))
        if day == D + 1:
            break
        bench.feed(tick(at(day, 3)))
    bench.feed(*(event("performance", D + 1, "no_drift", model=m) for m in models), tick(at(D + 1)))
    answered: set[str] = set()
    most, hour = 0, 5.0
    while len(answered) < 30:
        orders = [c for c in bench.of("training-commands") if c.command == "train" and c.command_id not in answered]
        most = max(most, len(orders))
        assert orders, "nothing is on its way, and some models were not trained"
        answered |= {c.command_id for c in orders}
        bench.feed(*(result(c, "failed", error="no rows") for c in orders), tick(at(D + 1, hour)))
        hour += 0.1
    assert most == 4
    waiting = [a.model for a in bench.of("audit") if a.decision == "waiting"]
    assert len(waiting) == len(set(waiting)) == 26
    order = [c.model for c in bench.of("training-commands") if c.command == "train"]
    assert len(order) == len(set(order)) == 30
    assert bench.stage.lane_state.waiting == 0
    assert bench.stage.lane_state.trainings == 0

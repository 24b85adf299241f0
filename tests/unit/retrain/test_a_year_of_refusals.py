"""A year of models that cannot be trained: what the audit holds grows with what changes, not with the days."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from stream_app.core.comparisons.records import MetricBound
from stream_app.core.retrain import RetrainRules
from tests.machine.world import FLOORS
from tests.unit.retrain.bench import Bench, D, at, completeness, event, lifecycle, result, snapshot, tick

DAYS = 365
LOW = [MetricBound("accuracy", 0.60, 0.69)]
EVERY = RetrainRules(
    validation_floors=FLOORS,
    retrain_policies=("drift", "floor", "labels", "schedule"),
    retrain_every_labels=3_000,
)


def begun(rules: RetrainRules) -> Bench:
    return Bench(rules).feed(lifecycle("v0", None, at(D - 1), "observed"), tick(at(D - 1)))


def year(bench: Bench, verdict: str, labelled: int = 950) -> Bench:
    """Daily checks of one run of drift, or of none, from D + 10 on."""
    for day in range(D + 10, D + 10 + DAYS):
        found = event("performance", day, verdict, run_from=D + 8, bounds=LOW)
        bench.feed(completeness(day, labelled=labelled), snapshot(day - 1, labelled), found, tick(at(day)))
    return bench


def without_labels() -> tuple[Bench, int]:
    return begun(EVERY), 3


def with_an_open_circuit() -> tuple[Bench, int]:
    bench = begun(replace(EVERY, circuit_failures=1)).serving()
    bench.feed(event("performance", D), tick(at(D)))
    bench.feed(result(bench.last("training-commands"), "failed", error="no such table"), tick(at(D, 5)))
    assert bench.last("training-jobs").state == "halted"
    return bench, 950


@pytest.mark.parametrize("verdict", ["no_drift", "drift"])
@pytest.mark.parametrize("broken", [without_labels, with_an_open_circuit])
def test_refusals_are_bounded_by_changes(broken: Any, verdict: str) -> None:
    bench, labelled = broken()
    before = len(bench.of("audit"))
    year(bench, verdict, labelled)
    refused = [row for row in bench.of("audit")[before:] if row.action == "train"]
    assert {row.decision for row in refused} == {"refused"}
    # of drift one fact, however often it is met again: one id, whose newest record counts the others
    times = Counter(row.id for row in refused)
    drift = [row for row in refused if isinstance(row.count, int)]
    assert len(times) <= 8
    names = [tuple(s.name for s in row.safeguards if not s.passed) for row in drift]
    changes = sum(later != earlier for earlier, later in pairwise(names)) + bool(names)
    assert len({row.id for row in drift}) == changes <= 6
    # of policies one record for each set of safeguards that refuse
    policies = [row for row in refused if not isinstance(row.count, int)]
    said = Counter((row.reason.split(":")[0], *(s.name for s in row.safeguards if not s.passed)) for row in policies)
    assert {kind for kind, *_ in said} <= {"floor", "labels", "schedule"}
    assert max(said.values(), default=0) <= 3


def test_waiting_for_approval_is_said_when_it_is_asked_and_when_it_lapses() -> None:
    rules = replace(EVERY, require_manual_approval=True, retrain_policies=("schedule",))
    bench = year(begun(rules), "no_drift")
    said = Counter((row.action, row.decision) for row in bench.of("audit"))
    asked = said["train", "awaiting_approval"]
    # a request a period and three days, each with its end
    assert DAYS // 25 <= asked <= DAYS // 20 + 1
    assert said["approve", "lapsed"] in (asked, asked - 1)
    assert sum(said.values()) <= 2 * asked + 2

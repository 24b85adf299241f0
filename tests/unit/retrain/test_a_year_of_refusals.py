"""A year of models that cannot be trained: what the audit holds grows with what changes, not with the days."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest

from stream_app.core import model_log
from stream_app.core.comparisons.records import MetricBound
from stream_app.core.retrain import RetrainRules
from tests.machine.world import FLOORS, ON
from tests.unit.retrain.bench import Bench, D, at, completeness, event, lifecycle, result, snapshot, tick

DAYS = 365
FIRST = D + 10
LOW = [MetricBound("accuracy", 0.60, 0.69)]
EVERY = RetrainRules(
    validation_floors=FLOORS,
    retrain_policies=("drift", "floor", "labels", "schedule"),
    retrain_every_labels=3_000,
)
KINDS = ("statistical", "performance")


def begun(rules: RetrainRules) -> Bench:
    return Bench(rules).feed(lifecycle("v0", None, at(D - 1), "observed"), tick(at(D - 1)))


def year(bench: Bench, kinds: tuple[str, ...], labelled: int = 950) -> Bench:
    """Daily checks from `FIRST` on: one run of drift of some kinds, none of the others; the last day is healthy."""
    for day in range(FIRST, FIRST + DAYS + 1):
        found = [
            event(kind, day, "drift" if kind in kinds and day < FIRST + DAYS else "no_drift",
                  run_from=FIRST - 2, bounds=LOW)
            for kind in KINDS
        ]  # fmt: skip
        bench.feed(completeness(day, labelled=labelled), snapshot(day - 1, labelled), *found, tick(at(day)))
    return bench


def without_labels() -> tuple[Bench, int]:
    return begun(EVERY), 3


def with_an_open_circuit() -> tuple[Bench, int]:
    bench = begun(replace(EVERY, circuit_failures=1)).serving()
    bench.feed(event("performance", D), tick(at(D)))
    bench.feed(result(bench.last("training-commands"), "failed", error="no such table"), tick(at(D, 5)))
    assert bench.last("training-jobs").state == "halted"
    return bench, 950


def switched_off() -> tuple[Bench, int]:
    bench = Bench(EVERY, flags=replace(ON, auto_retrain=False))
    return bench.feed(lifecycle("v0", None, at(D - 1), "observed"), tick(at(D - 1))), 950


def refusing_sets(bench: Bench) -> dict[str, list[tuple[str, ...]]]:
    """Of the drift events that were refused, by their kind and in order: the safeguards that refused each."""
    kinds = {event(kind, day).finding.id: kind for kind in KINDS for day in range(D, FIRST + DAYS + 1)}
    found: dict[str, list[tuple[str, ...]]] = {kind: [] for kind in KINDS}
    for entry in bench.log():
        if isinstance(entry, model_log.DecisionEntry) and not entry.eligible:
            found[kinds[entry.event_id]].append(tuple(name for name, passed, _ in entry.safeguards if not passed))
    return found


@pytest.mark.parametrize("kinds", [(), ("performance",), ("statistical",), KINDS], ids=lambda kinds: "+".join(kinds))
@pytest.mark.parametrize("broken", [without_labels, with_an_open_circuit, switched_off])
def test_refusals_are_bounded_by_changes_and_every_answer_is_in_one(broken: Any, kinds: tuple[str, ...]) -> None:
    bench, labelled = broken()
    before = len(bench.of("audit"))
    year(bench, kinds, labelled)
    refused = [row for row in bench.of("audit")[before:] if row.action == "train"]
    assert {row.decision for row in refused} <= {"refused"}
    answered = refusing_sets(bench)
    assert all(len(answered[kind]) == DAYS for kind in kinds)
    # of drift one fact for each set of safeguards that refuse one after the other: said when it begins, and, counted,
    # when it is over
    drift = [row for row in refused if isinstance(row.count, int)]
    changes = sum(len(list(groupby(sets))) for sets in answered.values())
    assert len({row.id for row in drift}) == changes <= 6
    assert len(drift) <= 2 * changes
    said = {row.id: row.count for row in drift}  # the newest of each
    assert sum(said.values()) == sum(map(len, answered.values()))
    for id in said:
        same = [row for row in drift if row.id == id]
        named = {tuple(s.name for s in row.safeguards if not s.passed) for row in same}
        assert len(named) == 1
        assert named <= {*answered["performance"], *answered["statistical"]}
        assert {row.first_at for row in same} == {same[0].at}
    # of policies one record for each set
    policies = [row for row in refused if not isinstance(row.count, int)]
    times = Counter((row.reason.split(":")[0], *(s.name for s in row.safeguards if not s.passed)) for row in policies)
    assert {kind for kind, *_ in times} <= {"floor", "labels", "schedule"}
    assert max(times.values(), default=0) <= 3


def test_a_fact_that_is_over_says_how_often_until_when_and_why() -> None:
    bench, _ = without_labels()
    last = [row for row in year(bench, ("performance",), 3).of("audit") if isinstance(row.count, int)][-1]
    assert last.count > 300
    assert "too few" in last.reason or "are needed" in last.reason
    assert last.reason.endswith("the run of drift is over")
    assert f"refused alike at {last.count} checks, the last " in last.reason


@pytest.mark.parametrize("kinds", [(), ("performance",)], ids=["policies", "drift"])
def test_waiting_for_approval_is_said_when_it_is_asked_and_when_it_lapses(kinds: tuple[str, ...]) -> None:
    rules = replace(EVERY, require_manual_approval=True, retrain_policies=("drift",) if kinds else ("schedule",))
    bench = year(begun(rules), kinds)
    said = Counter((row.action, row.decision) for row in bench.of("audit"))
    asked = said["train", "awaiting_approval"]
    # a request, three days, and for a policy a period, each request with its end
    every = 4 if kinds else 23
    assert DAYS // every - 2 <= asked <= DAYS // (every - 3) + 1
    assert said["approve", "lapsed"] in (asked, asked - 1)
    # while it waits the drift is refused for one reason, which is said twice
    assert sum(said.values()) <= (4 if kinds else 2) * asked + 2

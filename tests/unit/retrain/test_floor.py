"""The policy ``floor``, through a retrain lane and from counts: when it asks, how it waits, what resets the wait."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from stream_app.core.comparisons.labels import WITH_LIMITS, metric_bounds
from stream_app.core.comparisons.records import MetricBound
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.retrain import RetrainRules
from tests.machine.world import FLOORS, GOOD, POOR
from tests.unit.comparisons.draws import counts as counts_of
from tests.unit.retrain.bench import Bench, D, at, command, completeness, event, lifecycle, result, snapshot, tick
from tests.unit.retrain.test_policies import serving, trained

RULES = RetrainRules(validation_floors=FLOORS, retrain_policies=("floor",))
LOW = [MetricBound("accuracy", 0.60, 0.69)]
FAIR = [MetricBound("accuracy", 0.68, 0.70)]


def check(bench: Bench, day: int, bounds: list[MetricBound] = LOW, version: str = "v0", **rest: Any) -> Bench:
    found = event("performance", day, "no_drift", bounds=bounds, version=version, **rest)
    return bench.feed(completeness(day), snapshot(day - 1, version=version), found, tick(at(day)))


def checks(bench: Bench, *days: int, **rest: Any) -> Bench:
    for day in days:
        check(bench, day, **rest)
    return bench


def answered(bench: Bench, day: int, **rest: Any) -> Bench:
    """The trainer's candidate, and what is made of it."""
    order = bench.last("training-commands")
    return bench.feed(result(order, "succeeded", candidate_version=f"c{day}", **rest), tick(at(day, 5)))


def test_three_checks_in_a_row_below_the_floor_ask_and_the_audit_says_by_what() -> None:
    bench = checks(serving(RULES), *range(D, D + 8), bounds=FAIR)
    checks(bench, D + 8, D + 9)
    assert trained(bench) == []
    check(bench, D + 10)
    assert trained(bench) == [10]
    (order,) = bench.of("training-commands")
    assert (order.trigger.kind, order.trigger.reason) == (
        "floor",
        "floor: accuracy 0.6000 over seven days, at most 0.6900, below 0.70 at 3 checks in a row, no training so far",
    )


@pytest.mark.parametrize(
    "between",
    [
        lambda bench, day: check(bench, day, FAIR),  # the bound is not below the floor
        lambda bench, day: check(bench, day, []),  # the window was not judged
        lambda bench, day: check(bench, day, [MetricBound("precision", 0.4, 0.5)]),  # another metric
        lambda bench, day: check(bench, day, version="v9"),  # another version
        lambda bench, day: bench.feed(tick(at(day))),  # no check that day
    ],
)
def test_whatever_breaks_the_row_starts_the_count_anew(between: Any) -> None:
    bench = checks(serving(RULES), *range(D, D + 10), bounds=FAIR)
    checks(bench, D + 10, D + 11)
    between(bench, D + 12)
    checks(bench, D + 13, D + 14)
    assert trained(bench) == []
    assert trained(check(bench, D + 15)) == [15]


def test_each_rejected_candidate_doubles_the_wait_and_an_activation_resets_it() -> None:
    bench = serving(RULES)
    last: int | None = None
    gaps: list[int] = []
    for day in range(D, D + 420):
        check(bench, day)
        found = trained(bench)
        if found and found[-1] != last:
            gaps += [found[-1] - last] if last is not None else []
            last = found[-1]
            answered(bench, day, candidate_metrics=POOR, champion_metrics=GOOD)
    assert gaps == [14, 28, 56, 112, 112]
    assert "; 5 rejected: a wait of 112 days" in bench.last("training-commands").trigger.reason
    day = D + 420
    while trained(bench)[-1] == last:
        day += 1
        check(bench, day)
    answered(bench, day)
    bench.feed(result(bench.last("training-commands"), "activated"))
    new = bench.last("training-commands").candidate_version
    bench.feed(lifecycle(new, "v0", at(day, 6)), tick(at(day, 6)))
    bench.feed(tick(at(day + 15)))  # its probation is over
    checks(bench, *range(day + 16, day + 19), version=new)
    assert trained(bench)[-1] == day + 18 - D


def test_without_a_rejection_it_waits_a_week_and_a_request_that_is_declined_as_long() -> None:
    bench = Bench(replace(RULES, require_manual_approval=True))
    bench.feed(lifecycle("v0", None, at(D - 1), "observed"), tick(at(D - 1)))
    checks(bench, *range(D, D + 3))
    while bench.last("training-jobs").state != "awaiting_approval":
        check(bench, D + 3)
    bench.feed(command("reject"), tick(at(D + 3, 9)))
    checks(bench, *range(D + 4, D + 11))
    assert bench.last("training-jobs").state == "idle"
    checks(bench, D + 11)
    assert bench.last("training-jobs").state == "awaiting_approval"


def test_floor_is_asked_before_labels_and_schedule() -> None:
    rules = replace(
        RULES, retrain_policies=("schedule", "labels", "floor"), retrain_every_labels=2_500, retrain_every_days=1
    )
    bench = serving(rules)
    for day in (D, D + 1):
        found = event("performance", day, "no_drift", bounds=LOW)
        bench.feed(completeness(day, labelled=3), snapshot(day - 1), found, tick(at(day)))
    assert trained(bench) == []
    check(bench, D + 2)
    assert trained(bench) == [2]
    assert bench.last("training-commands").trigger.kind == "floor"


@pytest.mark.parametrize("seed", range(6))
def test_restarts_change_nothing(seed: int) -> None:
    whole, cut = (checks(serving(RULES, seed=s), *range(D, D + 6)) for s in (None, seed))
    assert [m.command_id for m in whole.of("training-commands")] == [m.command_id for m in cut.of("training-commands")]


def test_bounds_are_those_of_wilson_and_only_of_metrics_that_have_one() -> None:
    rng = np.random.default_rng(5)
    scores = rng.random(600)
    counts = counts_of(scores, actual=rng.random(600) < scores)
    found = {bound.metric: bound for bound in metric_bounds(WITH_LIMITS, counts, ComparisonRules())}
    assert set(found) == set(WITH_LIMITS)
    tn, fn, fp, tp = (int(x) for x in counts.vector[2:6])
    for name, hits, of in (("accuracy", tp + tn, 600), ("precision", tp, tp + fp), ("recall", tp, tp + fn)):
        wilson = stats.binomtest(hits, of).proportion_ci(0.98, "wilson")
        assert found[name].value == hits / of
        assert found[name].upper == pytest.approx(wilson.high, abs=1e-7)
    assert all(bound.value < bound.upper <= 1 for bound in found.values())
    assert metric_bounds(("recall",), counts_of(scores[:40], actual=scores[:40] > 0.9), ComparisonRules()) == []

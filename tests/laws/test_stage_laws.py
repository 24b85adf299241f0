"""Laws of every stage found in the package; one that is not covered here is excluded with a reason."""

from __future__ import annotations

import inspect
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_app.core import model_log
from stream_app.core.alerts import AlertsStage
from stream_app.core.counts import deltas
from stream_app.core.counts.deltas import DeltaRecord
from stream_app.core.drift import DriftStage
from stream_app.core.labels.stage import LabelsStage
from stream_app.core.metrics_stage import MetricsStage
from stream_app.core.retrain import RetrainStage
from tests.laws.examples import scores
from tests.laws.stage_driver import DAY, HOUR, Drive, Event, Scenario, config, part
from tests.laws.test_laws import LAWFUL, modules
from tests.unit.alerts import bench as alerts_bench
from tests.unit.retrain import bench as retrain_bench

ELSEWHERE = {
    LabelsStage: "its joins are checked event by event in the unit tests of labels",
    DriftStage: "one input in one order: restarts at any point are checked in tests/unit/test_chain.py",
}


def stages() -> list[type]:
    return sorted(
        {
            cls
            for module in modules()
            for _, cls in inspect.getmembers(module, inspect.isclass)
            if cls.__module__ == module.__name__ and all(hasattr(cls, n) for n in ("accept", "advance", "drain"))
        },
        key=lambda cls: cls.__name__,
    )


def test_every_stage_is_covered_or_excluded_with_a_reason() -> None:
    assert set(stages()) == {AlertsStage, MetricsStage, RetrainStage, *ELSEWHERE}


@LAWFUL
@given(st.lists(st.tuples(scores, st.booleans(), st.booleans()), min_size=1, max_size=20), st.integers(1, 3))
def test_a_stage_counts_a_repeated_record_once(made: list[tuple[float, bool, bool]], repeats: int) -> None:
    events = [Event("t:a", "v", 20_000 * DAY + 5, s, p) for s, p, _ in made]
    events += [e._replace(actual=a) for e, (_, _, a) in zip(events, made, strict=True)]
    tick = 20_000 * DAY + HOUR
    value = deltas.encode(DeltaRecord(0, [part(events, 0, tick)]))
    once, again = (Drive(Scenario([tick], [[[]]]), config(1), given=[value] * n).run() for n in (1, 1 + repeats))
    assert once.table.rows == again.table.rows
    assert once.emits == again.emits


found = st.sampled_from([("drift", "CRITICAL"), ("drift", "HIGH"), ("drift", "MEDIUM"), ("no_drift", None)])


@LAWFUL
@given(st.lists(st.tuples(found, found, st.booleans(), st.booleans()), min_size=1, max_size=12), st.integers(1, 3))
def test_alerts_count_a_repeated_entry_of_the_log_once(days: list[tuple[Any, Any, bool, bool]], repeats: int) -> None:
    benches = []
    for n in (1, 1 + repeats):
        bench = alerts_bench.Bench()
        for day, (shift, drop, taken, accepted) in enumerate(days, start=alerts_bench.D):
            cause = alerts_bench.event("performance", day, *drop)
            entries = [alerts_bench.event("statistical", day, *shift), cause, alerts_bench.decision(cause)]
            entries += [alerts_bench.command("acknowledge")] * taken + [alerts_bench.command("rebaseline")] * accepted
            for entry in (*entries, alerts_bench.tick(alerts_bench.at(day))):
                bench.feed(*[entry] * n)
        bench.checkpoint()
        benches.append(bench)
    once, again = benches
    assert once.table.rows == again.table.rows
    assert once.emits == again.emits


@LAWFUL
@given(st.lists(st.tuples(found, found, st.sampled_from((None, "retrain", "reject", "rollback"))), max_size=12))
def test_the_coordinator_answers_a_repeated_entry_of_the_log_once(days: list[tuple[Any, Any, str | None]]) -> None:
    benches = []
    for repeats in (1, 3):
        bench = retrain_bench.Bench().serving()
        for day, (shift, drop, order) in enumerate(days, start=retrain_bench.D):
            entries = [retrain_bench.event("statistical", day, *shift), retrain_bench.event("performance", day, *drop)]
            entries += [retrain_bench.command(order, id=f"order-{day}")] if order is not None else []
            for entry in (*entries, retrain_bench.tick(retrain_bench.at(day))):
                bench.feed(*[entry] * repeats)
        bench.checkpoint()
        benches.append(bench)
    once, again = benches
    assert once.table.rows == again.table.rows
    added = [[e for e in b.emits if e.topic != "decision-log"] for b in benches]
    assert added[0] == added[1]
    decided = [[e for e in b.log() if isinstance(e, model_log.DecisionEntry)] for b in benches]
    assert decided[0] == decided[1]

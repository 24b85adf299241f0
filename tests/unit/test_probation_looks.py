"""The hourly comparisons of a new version with the one before it, as metrics writes them into the model log."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from stream_app.core import model_log
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.metrics_stage import MetricsConfig, MetricsStage
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.model_log import LifecycleEntry, ProbationEntry
from stream_app.simulator import Batch, Simulator
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS
from tests.support.simulate import comparison, simulator

MODEL = "fraud:acme"
OLD, NEW = "v1", "v2"


def day_of_counts(version: str, day: int, n: int, seed: int) -> Batch:
    """Predictions whose scores tell something of their outcomes."""
    draw = np.random.default_rng(seed)
    scores = draw.random(n)
    actual = (draw.random(n) < scores).astype(np.int64)
    return Batch(MODEL, version, FIRST_DAY + day, scores, scores >= 0.5, actual)


def observed(changes: Iterable[tuple[int, str]], days: int, restarts: bool = False) -> tuple[Simulator, list[Batch]]:
    """A prediction day each noon by the version that ``changes`` (first day, version) says, with hourly ticks."""
    sim = simulator()
    rules = ModelRules(comparison=comparison(MODEL), rollback_metrics=("pr_auc", "recall"))
    lane, config = sim.lanes["metrics"], MetricsConfig(1, 1, "/plumbline/sim", Fixed(lambda model: rules))
    lane.spec = replace(lane.spec, make=lambda partition: MetricsStage(config, partition))
    sim.keep.add("model-log")
    sim.restart("metrics")
    batches = []
    for day in range(days):
        version = [name for first, name in changes if first <= day][-1]
        batches.append(day_of_counts(version, day, 400, day))
        for hour in range(24):
            if hour == 12:
                whole = batches[-1]
                for made, rows in ((10, slice(0, None, 2)), (11, slice(1, None, 2))):
                    half = replace(
                        whole, scores=whole.scores[rows], predicted=whole.predicted[rows], actual=whole.actual[rows]
                    )
                    sim.batches([half], hour=made)
            sim.tick((FIRST_DAY + day) * DAY_MS + hour * HOUR_MS)
            if restarts and hour % 5 == 0:
                sim.restart("metrics")
    return sim, batches


def entries(sim: Simulator, kind: type) -> list[model_log.Entry]:
    found = [model_log.decode(emit.value or b"") for emit in sim.emits["model-log"]]
    return [entry for entry in found if isinstance(entry, kind)]


def counts(batches: list[Batch], version: str, first: int, last: int) -> tuple[int, int, int]:
    """(labelled, hits, positives) of recall over days [first, last)."""
    rows = [b for b in batches if b.version == version and first <= b.day < last]
    labelled = sum(len(b.actual) for b in rows)
    return (
        labelled,
        sum(int((b.predicted & (b.actual == 1)).sum()) for b in rows),
        sum(int((b.actual == 1).sum()) for b in rows),
    )


def test_looks_begin_after_24_hours_come_hourly_and_end_after_14_days() -> None:
    sim, _ = observed([(0, OLD), (9, NEW)], days=26)
    (change,) = [e for e in entries(sim, LifecycleEntry) if isinstance(e, LifecycleEntry) and e.previous]
    assert (change.version, change.previous) == (NEW, OLD)
    looks = [e for e in entries(sim, ProbationEntry) if isinstance(e, ProbationEntry)]
    assert [e.hours for e in looks] == list(range(24, 14 * 24 + 1))
    assert {(e.version, e.previous, e.since_ms) for e in looks} == {(NEW, OLD, change.since_ms)}
    assert all(e.at_ms == change.since_ms + e.hours * HOUR_MS for e in looks)


def test_every_possible_first_day_of_the_last_seven_has_its_window() -> None:
    sim, batches = observed([(0, OLD), (9, NEW)], days=12)
    look = [e for e in entries(sim, ProbationEntry) if isinstance(e, ProbationEntry)][-1]
    changed = FIRST_DAY + 9
    assert [(w.first, w.last, w.judged_days) for w in look.windows] == [
        (changed - back, changed, back) for back in range(7, 0, -1)
    ]
    for window in look.windows:
        recent = counts(batches, NEW, changed, changed + 3)
        baseline = counts(batches, OLD, window.first, changed)
        assert (window.recent, window.baseline) == (recent[0], baseline[0])
        assert [m.metric for m in window.metrics] == ["pr_auc", "recall"]
        recall = window.metrics[1]
        assert recall.recent_ratio == recent[1:]
        assert recall.baseline_ratio == baseline[1:]
        assert sum(window.histogram.recent) == recent[0]
        assert sum(window.histogram.baseline) == baseline[0]


@pytest.mark.parametrize(("changed", "told"), [(18, True), (9, True), (6, False)])
def test_bounds_are_as_wide_as_the_version_before_wobbled(changed: int, told: bool) -> None:
    """By its last 14 judged days, seven at least; those of a run and those before it each around their own mean."""
    sim, batches = observed([(0, OLD), (changed, NEW)], days=changed + 2)
    look = [e for e in entries(sim, ProbationEntry) if isinstance(e, ProbationEntry)][-1]
    last = [counts(batches, OLD, FIRST_DAY + day, FIRST_DAY + day + 1) for day in range(changed)][-14:]
    for back, window in zip(range(7, 0, -1), look.windows[-7:], strict=False):
        parts = [last] if window is look.windows[0] else [last[:-back], last[-back:]]
        spread, freedom = 0.0, 0
        for part in parts:
            p = sum(hits for _, hits, _ in part) / max(1, sum(positives for *_, positives in part))
            spread += sum((hits - n * p) ** 2 / (n * p * (1 - p)) for _, hits, n in part)
            freedom += max(0, len(part) - 1)
        want = pytest.approx(max(1.0, spread / freedom) if told else 1.0)
        assert [m.dispersion for m in window.metrics] == [want] * 2
    assert len({metric.lower for window in look.windows for metric in window.metrics}) > 1


def test_a_version_that_returns_is_counted_from_the_day_after() -> None:
    """Its cell of the day of the change holds what it predicted before it went."""
    sim, batches = observed([(0, OLD), (8, NEW), (12, OLD)], days=16)
    looks = [e for e in entries(sim, ProbationEntry) if isinstance(e, ProbationEntry)]
    last = looks[-1]
    assert (last.version, last.previous) == (OLD, NEW)
    returned = FIRST_DAY + 12
    assert last.windows[0].recent == counts(batches, OLD, returned + 1, returned + 4)[0]
    assert last.windows[0].baseline == counts(batches, NEW, FIRST_DAY + 8, returned)[0]
    # one change is looked at at a time
    assert [e.version for e in looks] == sorted((e.version for e in looks), reverse=True)


def test_a_first_version_is_compared_with_nothing() -> None:
    sim, _ = observed([(0, OLD)], days=4)
    assert entries(sim, ProbationEntry) == []


def test_a_previous_version_without_a_closed_day_gives_no_window() -> None:
    sim, _ = observed([(0, OLD), (1, NEW)], days=1)
    # made and replaced within hours: nothing of it was closed when the version changed hands
    sim.batches([day_of_counts(NEW, 1, 400, 7)], hour=0)
    register = {"id": "c", "model": MODEL, "command": "register", "arguments": {"model_version": NEW}}
    register |= {"actor": "ada", "reason": "deployed"}
    sim.command(json.dumps(register).encode(), (FIRST_DAY + 1) * DAY_MS + HOUR_MS)
    for hour in range(1, 50):
        sim.tick((FIRST_DAY + 1) * DAY_MS + hour * HOUR_MS)
    looks = [e for e in entries(sim, ProbationEntry) if isinstance(e, ProbationEntry)]
    assert looks
    assert {len(e.windows) for e in looks} == {1}


@pytest.mark.parametrize("days", [12])
def test_restarts_change_no_look(days: int) -> None:
    whole, _ = observed([(0, OLD), (9, NEW)], days)
    shaken, _ = observed([(0, OLD), (9, NEW)], days, restarts=True)
    assert entries(whole, ProbationEntry) == entries(shaken, ProbationEntry)
    assert len(entries(whole, ProbationEntry)) > 10

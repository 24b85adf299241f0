"""Every statistical and performance event of planted models against a judge that shares no code with the core."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from schemas.common import parse_ms
from tests.oracle import drift as oracle
from tests.support.scenarios import (
    DAY_MS,
    FIRST_DAY,
    Scenario,
    coverage,
    on_days,
    recalibrated,
    selected,
    shifted,
    step,
    stretched,
    two_kinds_of_days,
)
from tests.support.simulate import close_day, records, run, simulator

SCENARIOS = [
    step(15, 20, 75, n=150),
    step(25, 20, 70, n=80, until=30),
    step(25, 45, 130, n=60),
    two_kinds_of_days(75),
    shifted(25, 45, 1.0, n=200, again=(38, 1.5)),
    shifted(25, 80, 0.8, n=200, lost=60),
    selected(3, 25, 40, n=300),
    stretched(20, 50, n=400),
    on_days("days", 25, (20, 24), 40, n=150),
    coverage(0.3, 20, 28, 40, n=80),
    recalibrated(20, 45, n=150),
]


def _rows(scenario: Scenario) -> tuple[oracle.Rows, Any]:
    """Every row with its outcome, and the day on which that comes: the next one's closes are the first to know it."""
    columns: dict[str, list[Any]] = {name: [] for name in ("version", "made", "score", "predicted", "actual", "seen")}
    for day, found in scenario.draw():
        n = len(found.scores)
        actual, seen = found.actual, np.full(n, FIRST_DAY + day)
        if found.fixed is not None:
            late = found.fixed >= 0
            actual, seen = np.where(late, found.fixed, actual), seen + late * found.fixed_after_days
        columns["version"].append(np.full(n, scenario.version(day), dtype=object))
        columns["made"].append(np.full(n, (FIRST_DAY + day) * DAY_MS, dtype=np.int64))
        columns["score"].append(found.scores)
        columns["predicted"].append(found.predicted)
        columns["actual"].append(actual)
        columns["seen"].append(np.where(actual >= 0, seen, 10**9))
    version, made, score, predicted, actual, seen = (np.concatenate(c) for c in columns.values())
    return oracle.Rows(version, made, score, predicted, actual == 1, actual >= 0), seen


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.model)
def test_every_event_says_what_the_judge_finds_in_the_raw_rows(scenario: Scenario) -> None:
    rows, seen_on = _rows(scenario)
    events = records(run([scenario], simulator()), "drift-events")
    judges: dict[str, oracle.Judge] = {}
    seen = {"drift": 0, "no_drift": 0, "insufficient_evidence": 0}
    for event in (e for e in events if "check" not in e):
        close, version = FIRST_DAY + close_day(event), event["model_version"]
        if version not in judges:
            judges = {version: oracle.Judge(version)}  # a change of version ends runs and lets go of what was held
        judge = judges[version].statistical if event["kind"] == "statistical" else judges[version].performance
        known = replace(rows, known=seen_on < parse_ms(event["at"]) // DAY_MS)
        found = judge(known.of(rows.day < close), close)
        want = (found.verdict, found.severity, found.baseline.kind)
        assert (event["verdict"], event.get("severity"), event["baseline_kind"]) == want, event
        assert event.get("acquitted", False) == found.acquitted, event
        assert event.get("reason", "").startswith("labels_selective") == ("week" in found.selective), event
        if found.baseline.kind is None:
            assert event["reason"] == found.baseline.reason
        else:
            assert event["rule_verdict"] == found.rule_verdict, event
            (_scores if event["kind"] == "statistical" else _metrics)(event, found, close)
        seen[found.verdict] += 1
    assert seen["no_drift"] > 5
    assert seen["insufficient_evidence"] > 5


def _scores(event: dict[str, Any], found: oracle.Finding, close: int) -> None:
    for window in event["windows"]:
        days = (parse_ms(window["to"]) - parse_ms(window["from"])) // DAY_MS
        want = found.scores["week" if days == 7 else "day"]
        assert parse_ms(window["to"]) == close * DAY_MS
        assert (window["recent_rows"], window["baseline_rows"]) == (want.n, want.m)
        assert window["statistic"] == pytest.approx(want.distance, abs=1e-12)
        assert window["interval"][0] == pytest.approx(want.lower, abs=1e-9)


def _metrics(event: dict[str, Any], found: oracle.Finding, close: int) -> None:
    for window in event["windows"]:
        days = (parse_ms(window["to"]) - parse_ms(window["from"])) // DAY_MS
        want = found.metrics["week" if days == 7 else "day"][window["metric"]]
        assert parse_ms(window["to"]) == (close - 1) * DAY_MS
        if want.lower is None:
            continue
        assert (window["recent_rows"], window["baseline_rows"]) == want.rows
        assert window["recent"] == pytest.approx(want.recent, abs=1e-12)
        assert window["baseline"] == pytest.approx(want.baseline, abs=1e-12)
        if ("week" if days == 7 else "day") in found.selective:
            assert window["interval"] is None
        else:
            assert window["interval"] == pytest.approx([want.lower, want.upper], abs=1e-6)
        if days == 1:
            assert window["dispersion"] == pytest.approx(want.dispersion, rel=1e-9)

"""Every statistical and performance event of planted models against a judge that shares no code with the core."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from schemas.common import parse_ms
from tests.oracle import drift as oracle
from tests.support.scenarios import DAY_MS, FIRST_DAY, Scenario, coverage, on_days, recalibrated, step, stretched
from tests.support.simulate import close_day, records, run, simulator

SCENARIOS = [
    step(15, 20, 75, n=150),
    step(25, 20, 70, n=80, until=30),
    stretched(20, 50, n=400),
    on_days("days", 25, (20, 24), 40, n=150),
    coverage(0.3, 20, 28, 40, n=80),
    recalibrated(20, 45, n=150),
]


def _rows(scenario: Scenario) -> oracle.Rows:
    columns: dict[str, list[Any]] = {name: [] for name in ("version", "made", "score", "predicted", "actual")}
    for day, found in scenario.draw():
        n = len(found.scores)
        columns["version"].append(np.full(n, scenario.version(day), dtype=object))
        columns["made"].append(np.full(n, (FIRST_DAY + day) * DAY_MS, dtype=np.int64))
        columns["score"].append(found.scores)
        columns["predicted"].append(found.predicted)
        columns["actual"].append(found.actual)
    version, made, score, predicted, actual = (np.concatenate(c) for c in columns.values())
    return oracle.Rows(version, made, score, predicted, actual == 1, actual >= 0)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.model)
def test_every_event_says_what_the_judge_finds_in_the_raw_rows(scenario: Scenario) -> None:
    rows = _rows(scenario)
    events = records(run([scenario], simulator()), "drift-events")
    tainted: dict[int, set[str]] = {}
    seen = {"drift": 0, "no_drift": 0, "insufficient_evidence": 0}
    for event in (e for e in events if e["kind"] != "quality"):
        close = FIRST_DAY + close_day(event)
        at_hand = rows.of(rows.day < close)
        sick = [day for day, kinds in tainted.items() if kinds]
        if event["kind"] == "statistical":
            found, newest = oracle.statistical(at_hand, event["model_version"], close, sick), close - 1
        else:
            found, newest = oracle.performance(at_hand, event["model_version"], close, tainted=sick), close - 2
        want = (found.verdict, found.severity, found.baseline.kind)
        assert (event["verdict"], event.get("severity"), event["baseline_kind"]) == want, event
        if found.baseline.kind is None:
            assert event["reason"] == found.baseline.reason
        else:
            assert event["rule_verdict"] == found.rule_verdict, event
            (_scores if event["kind"] == "statistical" else _metrics)(event, found, close)
        bad = found.severity in ("HIGH", "CRITICAL") or found.baseline.reason == "no_healthy_baseline"
        (tainted.setdefault(newest, set()).add if bad else tainted.setdefault(newest, set()).discard)(event["kind"])
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
        assert window["interval"] == pytest.approx([want.lower, want.upper], abs=1e-6)
        if days == 1:
            assert window["dispersion"] == pytest.approx(want.dispersion, rel=1e-9)

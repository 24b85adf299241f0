"""A preview judges stored numbers as the drift stage judged the windows they came from."""

from __future__ import annotations

import json
from typing import Any

from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.projection import impact
from stream_app.projection.points import Point, decode, encode, point_of
from stream_app.simulator import Simulator
from tests.support import scenarios
from tests.support.simulate import comparison, records, run, simulator


def test_the_stored_numbers_give_the_verdict_that_was_published() -> None:
    models = [
        scenarios.step(7, 66, 76, 400), scenarios.step(15, 66, 76, 400), scenarios.step(25, 66, 76, 400),
        scenarios.stretched(66, 76, 400), scenarios.coverage(0.3, 66, 70, 76, 300),
        scenarios.missed_fraud(66, 76, 3_000), scenarios.shifted(66, 80, 1.5, 400), scenarios.selected(3, 66, 76, 400),
    ]  # fmt: skip
    sim = run(models, simulator())
    seen = dict.fromkeys(("drift", "no_drift", "insufficient_evidence"), 0)
    for row in records(sim, "drift-events"):
        if row["kind"] == "quality" or row.get("check") is not None:
            continue
        point = decode(encode(point_of(row)))
        found = impact.judge(row["kind"], point, comparison(row["model"]))
        assert (found.verdict, found.severity) == (row["verdict"], row.get("severity")), row
        seen[row["verdict"]] += 1
    assert min(seen.values()) >= 20, seen


def rows_of(sim: Simulator, model: str) -> list[tuple[str, str, Point]]:
    return [
        (row["kind"], row["as_of"][:10], point_of(row))
        for row in records(sim, "drift-events", model)
        if row["kind"] != "quality"
    ]


def test_a_moved_threshold_gives_what_a_run_with_it_gives() -> None:
    """Severities at the onset, where the baseline is the same in both runs."""
    model = scenarios.step(15, 44, 48, 1_000)
    rows = rows_of(run([model], simulator()), model.model)
    moved = ComparisonRules(drop_high_points=19.0)
    before, after = (impact.severities(rows, rules) for rules in (ComparisonRules(), moved))
    assert before
    assert not after
    found = impact.compare(model.model, rows, ComparisonRules(), moved, 2)
    assert (found.before, found.after, found.come) == (1, 0, [])
    assert found.gone[0].kinds == ("performance",)
    back = impact.compare(model.model, rows, moved, ComparisonRules(), 2)
    assert (back.come, back.gone) == (found.gone, [])


def test_an_alert_is_one_until_two_closes_without() -> None:
    dates = [f"2026-01-{day:02d}" for day in range(1, 11)]
    found: dict[tuple[str, str], str] = {
        ("2026-01-02", "statistical"): "HIGH",
        ("2026-01-04", "performance"): "CRITICAL",
        ("2026-01-08", "statistical"): "HIGH",
    }
    first, second = impact.episodes("a:b", found, dates, 2)
    assert first == impact.Episode("a:b", "2026-01-02", "2026-01-04", "CRITICAL", ("performance", "statistical"))
    assert second[1:4] == ("2026-01-08", "2026-01-08", "HIGH")


def test_a_point_keeps_what_people_look_at() -> None:
    row: dict[str, Any] = json.loads(
        '{"id": "i", "at": "t", "model_version": "v", "verdict": "drift", "rule_verdict": "drift", "severity": "HIGH", '
        '"windows": [{"from": "a", "to": "b", "metric": "accuracy", "recent": 0.5, "baseline": 0.75, "recent_rows": 4, '
        '"baseline_rows": 8, "interval": [0.1, 0.4]}, {"from": "c", "to": "b", "metric": "accuracy", "recent": null, '
        '"baseline": 0.75, "interval": null}]}'
    )
    week, day = point_of(row).windows
    assert (week.value, week.low, week.high, week.one_day) == (0.25, 0.1, 0.4, False)
    assert (day.value, day.one_day) == (None, True)

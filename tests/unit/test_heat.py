"""Thirty days of verdicts in a few letters: none lost, none of another day, whatever order they come in."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import product
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.projection import fold, heat
from stream_app.projection.fleet import row_of
from stream_app.projection.shown import baselines, metric_of_alert

FIRST = date(2026, 1, 1)


def event(day: int, kind: str, verdict: str, severity: str | None = None, check: str | None = None) -> dict[str, Any]:
    found = {"as_of": f"{FIRST + timedelta(days=day)}T04:00:00.000Z", "kind": kind, "verdict": verdict}
    return {**found, **({"severity": severity} if severity else {}), **({"check": check} if check else {})}


@pytest.mark.parametrize(
    ("verdict", "severity", "letter"),
    [
        ("no_drift", None, "n"), ("insufficient_evidence", None, "i"), ("drift", None, "M"),
        ("drift", "MEDIUM", "M"), ("drift", "HIGH", "H"), ("drift", "CRITICAL", "C"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", heat.KINDS)
def test_each_verdict_of_each_kind_has_its_letter_in_its_place(
    verdict: str, severity: str | None, letter: str, kind: str
) -> None:
    days: dict[str, str] = {}
    heat.note(days, event(3, kind, verdict, severity))
    newest, letters = heat.strip(days) or ("", "")
    assert newest == "2026-01-04"
    wanted = ["..."] * 29 + ["".join(letter if name == kind else "." for name in heat.KINDS)]
    assert [letters[n : n + 3] for n in range(0, 90, 3)] == wanted


@given(st.data())
def test_the_order_in_which_records_come_changes_nothing_and_thirty_days_stay(data: st.DataObject) -> None:
    every = st.sampled_from(list(product(range(40), heat.KINDS)))
    verdicts = st.sampled_from(
        [("no_drift", None), ("insufficient_evidence", None), ("drift", "HIGH"), ("drift", "CRITICAL")]
    )
    events = [event(day, kind, *data.draw(verdicts)) for day, kind in data.draw(st.lists(every, unique=True))]
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    for row in events:
        heat.note(first, row)
    for row in data.draw(st.permutations(events)) + events:
        heat.note(again, row)
    assert heat.strip(first) == heat.strip(again)
    assert len(again) <= heat.DAYS
    for row in events:
        day = row["as_of"][:10]
        if day in again:
            assert again[day][heat.KINDS.index(row["kind"])] == heat.letter(row["verdict"], row.get("severity"))


def test_a_day_shows_the_worst_of_its_quality_checks_and_none_about_a_change_of_version() -> None:
    days: dict[str, str] = {}
    for severity in ("MEDIUM", "HIGH", "MEDIUM"):
        heat.note(days, event(1, "quality", "drift", severity, "volume"))
    heat.note(days, event(1, "quality", "no_drift", None, "completeness"))
    heat.note(days, event(1, "performance", "drift", "CRITICAL", "handover"))
    heat.note(days, event(1, "performance", "drift", "CRITICAL", "hourly"))
    assert heat.strip(days) == ("2026-01-02", "..." * 29 + "..H")
    assert heat.strip({}) is None


def alert(metric: str | None, **more: Any) -> dict[str, Any]:
    finding = None if metric is None else {"verdict": "drift", "metric": metric}
    return {
        "id": "a", "revision": 1, "type": "ML_DRIFT_DETECTED", "severity": "HIGH", "status": "open", "summary": "s",
        "opened_at": "2026-01-05T04:00:00.000Z", "escalation_level": 0, "report": {"performance": finding}, **more,
    }  # fmt: skip


def model(*rows: dict[str, Any]) -> fold.State:
    state = fold.State("churn:acme", "churn", "acme", "accuracy")
    for day in range(1, 12):
        date_ = f"2026-01-{day:02d}"
        fold.snapshot(
            state,
            {
                "date": date_, "model_version": "v1", "revision": 1, "predictions": 100, "outcomes": 100,
                "true_positives": 30, "false_positives": 10, "true_negatives": 50, "false_negatives": 10,
                "accuracy": 0.8,
            },
        )  # fmt: skip
    for row in rows:
        fold.alert(state, row)
    return state


@pytest.mark.parametrize(
    ("about", "shown", "value"),
    [
        ("precision", "precision", 0.75),
        ("recall", "recall", 0.75),
        (None, "accuracy", 0.8),
        ("pr_auc", "accuracy", 0.8),
    ],
)
def test_the_first_page_shows_the_metric_that_the_open_alert_is_about(
    about: str | None, shown: str, value: float
) -> None:
    state = model(alert(about))
    window = {"from": "2026-01-01T00:00:00.000Z", "to": "2026-01-08T00:00:00.000Z", "metric": shown, "baseline": 0.9}
    day = {**window, "from": "2026-01-07T00:00:00.000Z", "baseline": 0.1}
    fold.event(state, {**event(9, "performance", "drift", "HIGH"), "windows": [window, day]})
    row = row_of(fold.fleet_model(state))
    assert (row["metric"]["name"], row["metric"]["value"], row["metric"]["baseline"]) == (shown, value, 0.9)
    assert row["trend"] == [value] * 11
    assert row["heat"][0] == "2026-01-10"
    # what the other pages and the commands show stays the model's first metric
    assert fold.fleet_model(state)["metric"]["name"] == "accuracy"
    assert len(orjson.dumps(row)) < 1_600


def test_an_alert_that_went_on_as_quiet_is_still_about_its_metric() -> None:
    quiet = {
        "performance": {"verdict": "no_drift"},
        "last_drift": {"performance": {"verdict": "drift", "metric": "f1"}},
    }
    assert metric_of_alert({"report": quiet}) == "f1"
    assert metric_of_alert({}) is None
    opened = {"performance": {"verdict": "no_drift"}, "hourly_performance": {"verdict": "drift", "metric": "recall"}}
    assert metric_of_alert({"report": opened}) == "recall"
    assert baselines([{"from": "a", "baseline": 1.0}]) == {}

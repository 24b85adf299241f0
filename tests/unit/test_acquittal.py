"""Scores that move while nothing is lost, through metrics, drift and alerts: outcomes acquit them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_app.simulator import Simulator
from tests.support.scenarios import FIRST_DAY, Scenario, overconfident, selected, shifted, slope, step
from tests.support.simulate import close_day, records, run, simulator


def told(sim: Simulator) -> list[tuple[int, str, str | None, str]]:
    """(day, why it is news, how it ended, severity) of every alert's opening and end."""
    return [
        (_day(row["at"]), row["notify"], row.get("resolution_reason"), row["severity"])
        for row in records(sim, "alerts")
        if row.get("notify") in ("opened", "resolved")
    ]


def checks(sim: Simulator, kind: str) -> dict[int, dict[str, Any]]:
    """Daily checks by the day of their close."""
    rows = records(sim, "drift-events")
    return {close_day(row): row for row in rows if row["kind"] == kind and row.get("check") != "hourly"}


def alarms(sim: Simulator, kind: str) -> list[tuple[int, str]]:
    """(day, what became of it) of each hourly alarm's episode."""
    rows = records(sim, "hourly-evidence")
    return [(_day(row["at"]), row["change"]) for row in rows if row["kind"] == kind and row.get("change")]


def _day(at: str) -> int:
    return int(np.datetime64(at[:10]).astype(int)) - FIRST_DAY


@pytest.mark.parametrize(("logits", "delay"), [(0.8, 1), (1.5, 1), (0.8, 5)])
def test_a_harmless_shift_makes_one_alert_that_labels_end_and_hides_no_later_loss(logits: float, delay: int) -> None:
    sim = run([shifted(70, 160, logits, lost=150)], simulator(delay=delay))
    opened, resolved, loss = told(sim)[:3]
    assert opened[1] == "opened"
    assert 70 <= opened[0] <= 75
    assert resolved[1:3] == ("resolved", "no_loss")
    # day 70 is judged at the close 70 + 1 + delay; a run may begin a day later
    assert resolved[0] <= 70 + 1 + delay + 1 + 2
    assert loss == (150, "opened", None, "CRITICAL")
    found = checks(sim, "performance")
    assert next(day for day in found if found[day].get("severity") == "CRITICAL") == 150 + 1 + delay
    scores = checks(sim, "statistical")
    assert scores[80].get("acquitted")
    assert {scores[day].get("severity") for day in range(resolved[0] + 1, 150)} <= {None, "MEDIUM"}
    assert scores[149]["verdict"] == "no_drift"
    assert scores[149]["baseline_kind"] == "window"


@pytest.mark.parametrize("delay", [1, 3])
def test_logits_times_three_are_high_until_labels_come_and_named_by_the_calibration_check(delay: int) -> None:
    sim = run([overconfident(30, 45)], simulator(delay=delay))
    opened, resolved = told(sim)
    assert opened[1] == "opened"
    assert opened[0] <= 34
    assert resolved[1:3] == ("resolved", "no_loss")
    quality = [row for row in records(sim, "drift-events") if row.get("check") == "calibration"]
    assert {row["verdict"] for row in quality if close_day(row) < 30} <= {"no_drift", "insufficient_evidence"}
    assert quality[-1]["verdict"] == "drift"


def test_scores_that_move_on_beyond_what_labels_have_seen_are_high_again() -> None:
    sim = run([shifted(70, 100, 1.0, again=(90, 1.2))], simulator(delay=7))
    scores = checks(sim, "statistical")
    assert scores[89].get("acquitted")
    high = [day for day, row in scores.items() if day > 90 and row.get("severity") in ("HIGH", "CRITICAL")]
    assert min(high) <= 94
    assert not scores[min(high)].get("acquitted")


def test_an_alert_of_both_kinds_ends_after_the_loss_does() -> None:
    """Scores stay where they moved to; outcomes acquit that once nothing is lost any more."""
    sim = run([shifted(70, 115, 1.0, n=400, lost=70, regained=90)], simulator())
    opened, resolved = told(sim)
    assert opened[1] == "opened"
    assert opened[0] <= 73
    assert 90 + 2 < resolved[0] <= 90 + 14
    assert resolved[1:3] == ("resolved", "no_drift")


@pytest.mark.long
@pytest.mark.parametrize(
    "scenario",
    [step(12, 70, 261), step(15, 70, 261), slope(15, 70, 30, 261), slope(15, 70, 60, 261)],
    ids=lambda s: s.model,
)
def test_a_loss_that_nobody_acts_upon_keeps_its_alert_open(scenario: Scenario) -> None:
    sim = run([scenario], simulator())
    assert [row[1] for row in told(sim)] == ["opened"]
    assert records(sim, "alerts")[-1]["status"] != "resolved"


def test_hours_of_scores_that_were_acquitted_are_what_later_ones_are_compared_with() -> None:
    """The episode of a harmless change ends by itself, and another change is an alarm within hours again."""
    sim = run([shifted(70, 150, 0.8, again=(140, 1.2))], simulator())
    first, ended, again = alarms(sim, "statistical")
    assert first == (70, "opened")
    assert 70 + 28 < ended[0] < 70 + 60
    assert ended[1] == "ended"
    assert again == (140, "opened")
    assert [row[1:3] for row in told(sim)] == [
        ("opened", None), ("resolved", "no_loss"), ("opened", None), ("resolved", "no_loss"),
    ]  # fmt: skip


def test_without_labels_nothing_is_acquitted() -> None:
    scenario = shifted(70, 90, 0.8)
    bare = run([scenario], simulator(delay=30))
    severe = {row.get("severity") for day, row in checks(bare, "statistical").items() if 78 <= day < 90}
    assert severe <= {"HIGH", "CRITICAL"}
    assert [row[1] for row in told(bare)] == ["opened"]


def test_outcomes_that_come_by_class_are_not_judged_and_the_reason_names_the_cure() -> None:
    sim = run([selected(3, 60, 90)], simulator())
    assert told(sim) == []
    rows = [row for row in records(sim, "drift-events") if row["kind"] == "performance" and "revises" not in row]
    found = [row for row in rows if close_day(row) > 66]
    reasons = {row.get("reason", "").split(":")[0] for row in found}
    assert reasons == {"labels_selective"}
    assert found[-1]["reason"].endswith("label_delay_days = 3 would cure it")
    assert "% of the predicted positives" in found[-1]["reason"]


def test_outcomes_that_are_merely_late_stay_judged() -> None:
    """A cure that the reason names is one: with that label delay the same outcomes are judged."""
    sim = run([selected(3, 60, 90)], simulator(delay=3))
    assert {row["verdict"] for day, row in checks(sim, "performance").items() if day > 62} == {"no_drift"}

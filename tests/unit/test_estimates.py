"""Estimated performance through the stages: what snapshots show of it, and when it is muted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream_app.simulator import Simulator
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, Scenario, coverage, recalibrated, step
from tests.support.simulate import close_day, records, run, simulator


def newest(sim: Simulator, scenario: Scenario) -> dict[int, dict[str, Any]]:
    """Day → the newest revision of its snapshot."""
    return {close_day({"as_of": row["date"]}): row for row in records(sim, "metric-snapshots", scenario.model)}


def first_revisions(sim: Simulator, scenario: Scenario) -> dict[int, dict[str, Any]]:
    """Day → the snapshot that its 02:00 close published."""
    rows = records(sim, "metric-snapshots", scenario.model)
    return {close_day({"as_of": row["date"]}): row for row in rows if row["revision"] == 1}


def test_days_without_outcomes_show_how_good_they_are_by_their_scores() -> None:
    scenario = coverage(0.0, 30, 40, 40, n=400)
    found = newest(run([scenario], simulator()), scenario)
    assert found[10]["estimated"] is None  # no baseline yet
    for day in range(30, 40):
        assert found[day]["outcomes"] == 0
        estimated = found[day]["estimated"]
        assert not estimated["muted"]
        for name, want in (("accuracy", 0.83), ("precision", 0.81)):
            assert estimated[name]["lower"] < estimated[name]["value"] < estimated[name]["upper"]
            assert estimated[name]["value"] == pytest.approx(want, abs=0.05)


def test_outcomes_that_contradict_the_estimate_mute_it_within_three_mature_days() -> None:
    """30 % of the outcomes flipped, which no score shows."""
    models = [replace(step(19.8, 30, 38, n=190), model=f"churn:flipped-{i}") for i in range(4)]
    sim = run(models, simulator())
    for model in models:
        found = first_revisions(sim, model)
        assert not found[30]["estimated"]["muted"]
        assert found[30]["estimated"]["accuracy"]["value"] > 0.75
        # the third mature day is judged two days later, and what is published from then on says so
        assert found[35]["estimated"]["muted"], model.model


@pytest.mark.long
@pytest.mark.parametrize("per_day", [190, 1_000])
def test_three_mature_days_mute_nearly_every_one_of_120_models(
    capsys: pytest.CaptureFixture[str], per_day: int
) -> None:
    """30 % of the outcomes flipped from day 20 on: the check of day 22 is the third that knows of it."""
    models = [replace(step(19.8, 20, 25, n=per_day), model=f"churn:flipped-{per_day}-{i}") for i in range(120)]
    sim = run(models, simulator())
    before, after = (
        sum(first_revisions(sim, model)[day]["estimated"]["muted"] for model in models) for day in (20, 24)
    )
    with capsys.disabled():
        print(f"\n30 % flipped at {per_day} a day: muted in {before} of 120 before, in {after} after three mature days")
    assert after >= 0.95 * 120


def test_estimates_begin_again_with_the_baseline() -> None:
    scenario, sim = step(20, 90, 40, n=200), simulator()

    def accept(day: int) -> None:
        if day == 30:
            command = {
                "id": "c", "model": scenario.model, "command": "rebaseline", "actor": "ada", "reason": "so be it",
            }  # fmt: skip
            at = (FIRST_DAY + day + 1) * DAY_MS + 5 * HOUR_MS
            sim.command(orjson.dumps(command), at)
            sim.tick(at)

    run([scenario], sim, each=accept)
    found = newest(sim, scenario)
    assert found[28]["estimated"] is not None
    assert found[32]["estimated"] is None


def test_a_new_version_has_no_estimate_before_its_own_baseline() -> None:
    scenario = recalibrated(30, 36, n=200)
    found = newest(run([scenario], simulator()), scenario)
    assert found[29]["estimated"] is not None
    assert found[33]["estimated"] is None

"""What a closed loop does when nothing is wrong, and that its measure can tell."""

from __future__ import annotations

import json

import numpy as np
import orjson
import pytest

from benchmarks import model_months
from benchmarks.closed_loop import ClosedLoop, PlayedModel, Scorer, switched_on
from stream_app.simulator import Batch
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, healthy
from tests.support.simulate import records


def test_sixty_quiet_days_after_an_activation_bring_no_alert_and_no_training() -> None:
    """A person commands a training, the candidate is as good as what served, and stays so."""
    floors = {"validation_floors": {"accuracy": 0.7, "precision": 0.6}}
    sim = ClosedLoop(switched_on(churn=floors), [], lambda *_: Scorer(lambda rows: rows[:, 0])).sim
    model, version, answered = "churn:quiet", "v1", 0
    good = {"accuracy": 0.83, "precision": 0.81}
    for day in range(20 + 60):
        found = healthy(np.random.default_rng([7, day]), 1_000)
        sim.batches([Batch(model, version, FIRST_DAY + day, found.scores, found.predicted, found.actual)], hour=10)
        midnight = (FIRST_DAY + day + 1) * DAY_MS
        sim.tick(midnight - 12 * HOUR_MS)
        for hour in (1, 2, 3, 4, 6):
            at = midnight + hour * HOUR_MS
            if day == 19 and hour == 6:
                sent = {"id": "o", "model": model, "command": "retrain", "actor": "ada", "reason": "a new feature"}
                sim.command(orjson.dumps(sent), at)
            sim.tick(at)
            while len(orders := records(sim, "training-commands")) > answered:
                sent, answered, at = orders[answered], answered + 1, at + 60_000
                told = {"model": model, "command_id": sent["command_id"], "attempt": sent["attempt"]}
                if sent["command"] == "train":
                    told |= {"status": "succeeded", "candidate_version": "v2"}
                    told |= {"candidate_metrics": good, "champion_metrics": good}
                else:
                    version = sent["candidate_version"]
                    told |= {"status": "activated", "candidate_version": version}
                sim.answer(json.dumps(told).encode(), at)
                sim.tick(at)
    assert version == "v2"
    assert [row["command"] for row in records(sim, "training-commands")] == ["train", "activate"]
    assert records(sim, "alerts") == []
    decisions = [(row["action"], row["decision"]) for row in records(sim, "audit")]
    assert ("probation", "kept") in decisions
    judged = [row for row in records(sim, "drift-events") if row["model_version"] == "v2" and row["windows"]]
    assert {row["kind"] for row in judged} == {"statistical", "performance", "quality"}


@pytest.mark.parametrize("seed", [3])
def test_planted_drifts_are_found_trained_away_and_nothing_else_is_alerted(seed: int) -> None:
    """A small run of `python -m benchmarks.model_months`, which promises 200 model-months."""
    drawn = [model_months.draw_model(number, 60, seed) for number in range(6)]
    floors = {"validation_floors": {"accuracy": 0.7, "precision": 0.6}}
    loop = ClosedLoop(switched_on(churn=floors), [model for model, _ in drawn], model_months.fit).run()
    found = model_months.judge(loop, {model.name: change for model, change in drawn})
    assert found["drifts_found_in_14_days"] == 6
    assert found["false_alerts"] == 0
    # a run of drift that chance began a day too early: nothing new was learnt, and a person was asked in vain
    assert (found["trainings"], found["successful_trainings"]) == (7, 6)


def test_the_measure_counts_an_alert_before_the_change_and_a_training_that_helped_nobody() -> None:
    drawn = [model_months.draw_model(number, 60, 3) for number in range(2)]
    models: list[PlayedModel] = [model for model, _ in drawn]
    floors = {"validation_floors": {"accuracy": 0.7}, "validation_min_gain_points": 100}
    loop = ClosedLoop(switched_on(churn=floors), models, model_months.fit).run()
    found = model_months.judge(loop, {model.name: 59 for model in models})
    assert found["false_alerts"] == found["alerts"] >= 2
    assert found["trainings"] > 0
    assert found["successful_trainings"] == 0

"""Metrics' proposal, drift's event and the coordinator's command together, with a deployer that answers as told."""

from __future__ import annotations

import random
from typing import Any

import pytest

from benchmarks.closed_loop import ClosedLoop, PlayedModel, Scorer, switched_on
from benchmarks.repairs import DRIFT, RULES, _as_made, _days, _fit, play
from schemas.training import TrainingCommand
from tests.support.recalibrated import REPAIRED, TRAINED
from tests.support.simulate import restarting

#: few rows, and enough for one day of a run
PER_DAY = 400


class Deployer(ClosedLoop):
    """A loop whose deployer answers repairs as ``says``: ``None`` means not at all."""

    def __init__(self, world: str, says: str | None, **rules: Any) -> None:
        self.model = PlayedModel("drifting:m", _days(world, PER_DAY, 1)[: DRIFT + 14], {"v1": Scorer(_as_made)})
        self.says = says
        # scores that move ask for a training, too: here outcomes alone do
        settings = switched_on(drifting={**RULES, **rules}).model_copy(update={"statistical_drift": False})
        super().__init__(settings, [self.model], _fit)

    def _answer(self, order: TrainingCommand, at_ms: int) -> dict[str, Any] | None:
        if order.command != "recalibrate" or self.says == "activated":
            return super()._answer(order, at_ms)
        if self.says is None:
            return None
        told = {"model": order.model, "command_id": order.command_id, "attempt": order.attempt}
        return {**told, "status": self.says}

    def decided(self) -> list[tuple[str, str]]:
        """What was commanded, refused and answered about repairs and trainings, each once."""
        rows = [
            (row["action"], row["decision"])
            for row in self.records("audit")
            if row["action"] in ("recalibrate", "train", "probation", "rollback") and row["decision"] != "refused"
        ]
        return list(dict.fromkeys(rows))


@pytest.mark.parametrize("world", sorted(REPAIRED))
def test_calibration_drift_is_repaired_kept_and_nothing_is_trained(world: str) -> None:
    loop = Deployer(world, "activated").run()
    (command,) = loop.records("training-commands")
    assert command["command"] == "recalibrate"
    assert command["candidate_version"].startswith("v1-c")
    assert set(command["recalibration"]) == {"a", "b", "threshold", "expected"}
    expected = command["recalibration"]["expected"]
    assert expected["lower"] < expected["gain"] < expected["upper"]
    assert loop.decided() == [("recalibrate", "ordered"), ("recalibrate", "activated"), ("probation", "kept")]
    (ordered,) = [row for row in loop.records("audit") if row["decision"] == "ordered"]
    assert "repair first: ROC AUC " in ordered["reason"]
    assert loop.records("training-jobs")[-1]["state"] == "idle"


@pytest.mark.parametrize("world", sorted(set(TRAINED) - {"x1.6"}))
def test_anything_else_is_trained_at_the_tick_that_repair_is_refused(world: str) -> None:
    loop = Deployer(world, "activated").run()
    first = loop.records("training-commands")[0]
    assert first["command"] == "train"
    ordered = next(row for row in loop.records("audit") if (row["action"], row["decision"]) == ("train", "ordered"))
    assert ordered["at"] == first["at"]
    assert "not repaired: the order of the scores is lost" in ordered["reason"]
    assert "in the baseline" in ordered["reason"]


def test_scores_that_stretch_at_the_same_decisions_lose_nothing() -> None:
    assert Deployer("x1.6", "activated").run().records("training-commands") == []


@pytest.mark.parametrize("says", ["unsupported", "failed", None])
def test_a_deployer_that_does_not_repair_leads_to_a_training_and_the_loop_closes(says: str | None) -> None:
    loop = Deployer("+2.4", says).run()
    commands = loop.records("training-commands")
    attempts = [command["attempt"] for command in commands if command["command"] == "recalibrate"]
    assert attempts == ([1, 2, 3] if says is None else [1])
    after = [command["command"] for command in commands if command["command"] != "recalibrate"]
    assert after[0] == "train"
    assert loop.decided()[-1][0] in ("probation", "rollback", "train")
    assert not [row for row in loop.records("audit") if row["action"] == "circuit"]
    states = [row["state"] for row in loop.records("training-jobs")]
    assert states[0] == "repairing"
    assert states[states.index("requested") :][:3] == ["requested", "validating", "activating"]


def test_with_repair_first_off_everything_is_trained() -> None:
    loop = Deployer("+2.4", "activated", repair_first=False).run()
    assert loop.records("training-commands")[0]["command"] == "train"
    assert all("ROC AUC" not in row["reason"] for row in loop.records("audit"))


def test_restarts_of_any_stage_change_no_byte() -> None:
    whole, shaken = Deployer("+2.4", "activated"), Deployer("+2.4", "activated")
    draw = random.Random(3)
    restarting(shaken.sim, lambda: draw.random() < 0.3)
    assert whole.run().sim.emits == shaken.run().sim.emits


@pytest.mark.long
@pytest.mark.parametrize("per_day", [190, 1_000])
@pytest.mark.parametrize("world", sorted(REPAIRED))
def test_most_of_twenty_models_are_repaired_and_win_most_back(world: str, per_day: int) -> None:
    found = play(world, per_day, 20)
    print(found.row())
    assert found.first["recalibrate"] >= 18
    enough = [x >= 0.86 for x in found.accuracy] if world == "prior .15" else [x >= 0.8 for x in found.won]
    assert sum(enough) >= 0.9 * len(enough)
    assert found.trained == 0


@pytest.mark.long
@pytest.mark.parametrize("per_day", [190, 1_000])
@pytest.mark.parametrize("world", sorted(TRAINED))
def test_almost_none_of_twenty_models_is_repaired_where_the_order_is_lost(world: str, per_day: int) -> None:
    found = play(world, per_day, 20)
    print(found.row())
    assert found.first["recalibrate"] <= 1

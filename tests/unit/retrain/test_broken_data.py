"""The policy floor through all stages, and what no policy does while data is broken."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import numpy as np
import pytest

from benchmarks.closed_loop import switched_on
from schemas.common import uuid5
from stream_app.simulator import Batch, Simulator
from stream_app.stage_configs import alerts_config, drift_config, metrics_config, retrain_config
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, flipped, healthy
from tests.support.simulate import records

MODEL = "churn:broken"
#: first bad day, and days of a run
BAD, DAYS = 30, 48
#: a period that makes the model's first schedule due on the 41st day: its name moves it back
EVERY = next(days for days in range(42, 366) if days - UUID(uuid5("schedule", MODEL)).int % days == 41)


def outcomes_missing(rng: np.random.Generator, day: int, found: Any) -> Any:
    """A tenth of the outcomes comes."""
    return found.scores, found.predicted, np.where(rng.random(len(found.actual)) < 0.1, found.actual, -1)


def volume_gone(rng: np.random.Generator, day: int, found: Any) -> Any:
    """One prediction in fifty is made."""
    kept = rng.random(len(found.actual)) < 0.02
    return found.scores[kept], found.predicted[kept], found.actual[kept]


def labels_by_class(rng: np.random.Generator, day: int, found: Any) -> Any:
    """Two in five of the outcomes of predicted positives come, and all others."""
    kept = ~found.predicted | (rng.random(len(found.actual)) < 0.4)
    return found.scores, found.predicted, np.where(kept, found.actual, -1)


def played(policy: str, broken: Any) -> Simulator:
    """A model that loses a little from the beginning on, so that its floor asks, and whose data breaks on ``BAD``."""
    rules = {
        "validation_floors": {"accuracy": 0.9}, "retrain_policies": (policy,), "retrain_every_days": EVERY,
        "retrain_every_labels": 500 * BAD + (900 if broken is labels_by_class else 130),
    }  # fmt: skip
    settings = switched_on(churn=rules)
    sim = Simulator(
        metrics_config(settings), drift_config(settings), retrain_config(settings, "r"), alerts_config(settings)
    )
    for day in range(DAYS):
        rng = np.random.default_rng([31, day])
        found = healthy(rng, 500)
        if day >= BAD and policy == "drift":
            found = flipped(found, rng, 25)
        bad = broken if day >= BAD else lambda rng, day, found: (found.scores, found.predicted, found.actual)
        sim.batches([Batch(MODEL, "v1", FIRST_DAY + day, *bad(rng, day, found))], hour=10)
        sim.tick((FIRST_DAY + day) * DAY_MS + 12 * HOUR_MS)
        for hour in (1, 2, 3, 4):
            sim.tick((FIRST_DAY + day + 1) * DAY_MS + hour * HOUR_MS)
    return sim


def asked(sim: Simulator) -> list[tuple[int, str, str, list[str]]]:
    """Day, decision, reason and refusing safeguards of every answer to a trigger."""
    return [
        (int(np.datetime64(row["at"][:10]).astype(int)) - FIRST_DAY, row["decision"], row["reason"],
         [s["name"] for s in row["safeguards"] if not s["passed"]])
        for row in records(sim, "audit") if row["action"] == "train" and row.get("safeguards")
    ]  # fmt: skip


def test_the_floor_asks_through_all_stages_after_three_checks_with_a_baseline() -> None:
    sim = played("floor", lambda rng, day, found: (found.scores, found.predicted, found.actual))
    first = asked(sim)[0]
    assert first[1] == "ordered"
    assert first[2].startswith("floor: accuracy 0.8")
    assert "below 0.90 at 3 checks in a row" in first[2]


@pytest.mark.parametrize("policy", ["drift", "floor", "labels", "schedule"])
@pytest.mark.parametrize("broken", [outcomes_missing, volume_gone, labels_by_class], ids=lambda f: f.__name__)
def test_no_trigger_of_any_policy_passes_while_data_is_broken(policy: str, broken: Any) -> None:
    """Missing outcomes, and those of one class, are known two days later, volume once the mean of seven days is down by
    half."""
    known = BAD + (5 if broken is volume_gone else 2)
    found = [row for row in asked(played(policy, broken)) if row[0] >= known]
    assert [row for row in found if row[1] != "refused"] == []
    assert all("coverage" in row[3] for row in found), "the audit names the safeguard"
    mine = [row for row in found if row[2].startswith(f"{policy}: ")]
    if policy in ("labels", "schedule"):
        assert len(mine) == 1
        assert mine[0][3] == ["coverage"]
    elif policy == "drift":
        assert found or broken is labels_by_class, "a window of one class alone is not judged"
    # floor does not even fall due where days are not judged
    assert policy != "floor" or broken is volume_gone or not mine

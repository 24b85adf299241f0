"""A model that makes no predictions for 90 days: nothing of it stays in any stage, and back again it is new."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import pytest

from stream_app.core.alerts import AlertRules
from stream_app.core.kit.live_settings import Fixed
from stream_app.core.retrain import Flags, RetrainConfig, RetrainRules
from stream_app.core.retrain.config import Allowed
from stream_app.simulator import Batch, Simulator
from tests.support.simulate import records, restarting, simulator

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
FIRST = 20_500
GONE, KEPT = "churn:gone", "churn:kept"
#: days with predictions of the model that goes, the last of which are bad
SERVED, BAD = 40, 5
END = SERVED + 100


def flags(model: str) -> Flags:
    return Flags(auto_retrain=True, model_type=True, tenant=True, environment="production")


def day_of(model: str, version: str, day: int, draw: np.random.Generator) -> Batch:
    bad = model == GONE and SERVED - BAD <= day < SERVED
    scores = np.round(draw.beta(2, 5, 400), 3) if not bad else np.round(draw.beta(5, 2, 400), 3)
    predicted = scores >= 0.5
    right = draw.random(400) < (0.95 if not bad else 0.5)
    return Batch(
        model, version, FIRST + day, scores, predicted, np.where(right, predicted, ~predicted).astype(np.int64)
    )


def run(sim: Simulator, days: int = END, back: int | None = None) -> Simulator:
    draw = np.random.default_rng(7)
    for day in range(days):
        batches = [day_of(KEPT, "k1", day, draw)]
        if day < SERVED:
            batches.append(day_of(GONE, "v1", day, draw))
        if back is not None and day >= back:
            batches.append(day_of(GONE, "v9", day, draw))
        sim.batches(batches, hour=10)
        sim.tick((FIRST + day) * DAY_MS + 12 * HOUR_MS)
        for hour in (1, 2, 3, 4):
            sim.tick((FIRST + day + 1) * DAY_MS + hour * HOUR_MS)
    return sim


def made() -> Simulator:
    """Trainings are ordered by themselves, wait for nobody's acceptance for ever, and alerts end by nothing else."""
    rules = RetrainRules(command_accept_min=400 * 1440.0, command_finish_h=9_600.0)
    config = RetrainConfig("/plumbline/sim", "ml.training-results", Fixed(lambda model: Allowed(rules, flags(model))))
    return simulator(AlertRules(alert_no_evidence_closes=1_000, alert_resolve_closes=1_000), config)


@pytest.fixture(scope="module")
def story() -> Simulator:
    return run(made(), back=SERVED + 95)


def published(sim: Simulator) -> list[Any]:
    return [(topic, e.key, e.value) for topic in sorted(sim.emits) for e in sim.emits[topic]]


#: the 02:00 close at which its newest day, SERVED - 1, is older than 90 days
WHEN = f"{np.datetime64('1970-01-01') + FIRST + SERVED + 90}T02:00:00.000Z"


def test_its_open_alert_is_resolved_as_no_predictions(story: Simulator) -> None:
    alerts = records(story, "alerts", GONE)
    ended = [row for row in alerts if row["status"] == "resolved"]
    assert alerts[0]["status"] == "open"
    assert [(row["resolution_reason"], row["notify"], row["at"]) for row in ended] == [
        ("no_predictions", "resolved", WHEN)
    ]
    assert ended[0]["summary"].startswith("Over: the model makes no predictions any more.")
    assert ended[0]["recommendation"] == "Nothing to do."


def test_its_job_is_cancelled_and_all_of_it_is_audited(story: Simulator) -> None:
    commands = [row["command"] for row in records(story, "training-commands", GONE)]
    assert commands[0] == "train"
    assert commands[-1] == "cancel"
    assert len({row["command_id"] for row in records(story, "training-commands", GONE)}) == 1
    said = [(r["action"], r["decision"], r["reason"]) for r in records(story, "audit", GONE) if r["at"] == WHEN]
    assert said[-2:] == [
        ("train", "cancelled", "no predictions for 90 days"),
        ("forget", "no_predictions", "no predictions for 90 days"),
    ]


def test_readers_of_compacted_topics_get_tombstones(story: Simulator) -> None:
    for topic in ("model-lifecycle", "training-jobs"):
        mine = [emit for emit in story.emits[topic] if emit.key == GONE.encode()]
        assert [emit.value is None for emit in mine].count(True) == 1


def test_nothing_of_it_stays_in_any_stage() -> None:
    sim = run(made(), SERVED + 91)
    for name, table in sim.tables.items():
        left = [key for key in table.rows if b"gone" in key]
        # its trainings are numbered on if it ever comes back: a trainer passes over ids that it has answered
        assert left == ([b"J" + GONE.encode()] if name == "retrain" else []), name
        assert [key for key in table.rows if b"kept" in key], name
    metrics = sim.stages["metrics"]
    assert GONE not in metrics.models._models
    assert not [key for key in metrics.models._labelled if key[0] == GONE]
    assert GONE.encode() not in sim.stages["retrain"]._memory.timers
    assert not [name for name in sim.stages["alerts"].timers.names() if b"gone" in name]


def test_the_day_before_it_is_known_still() -> None:
    sim = run(made(), SERVED + 89)
    assert b"L" + GONE.encode() in sim.tables["metrics"].rows
    assert records(sim, "alerts", GONE)[-1]["status"] != "resolved"


def test_back_again_it_is_first_seen(story: Simulator) -> None:
    emits = [emit for emit in story.emits["model-lifecycle"] if emit.key == GONE.encode()]
    assert emits[-2].value is None
    again = records(Only(story, "model-lifecycle", emits[-1:]), "model-lifecycle")[0]  # type: ignore[arg-type]
    assert (again["active_version"], again["previous_version"], again["how"]) == ("v9", None, "observed")
    later = [row for row in records(story, "drift-events", GONE) if row["model_version"] == "v9"]
    assert later
    assert {row["verdict"] for row in later if row["kind"] != "quality"} == {"insufficient_evidence"}
    assert not [row for row in records(story, "audit", GONE) if row["action"] == "probation"]


class Only:
    """Some of a simulator's records."""

    def __init__(self, sim: Simulator, topic: str, emits: list[Any]) -> None:
        self.emits = {topic: emits}


@pytest.mark.parametrize("seed", [1, 2])
def test_a_restart_of_any_stage_at_any_checkpoint_changes_no_byte(story: Simulator, seed: int) -> None:
    draw = random.Random(seed)
    shaken = restarting(made(), lambda: draw.random() < 0.2)
    run(shaken, back=SERVED + 95)
    assert published(shaken) == published(story)


def test_a_version_registered_meanwhile_counts_from_its_day() -> None:
    sim = made()
    draw = np.random.default_rng(7)
    sim.batches([day_of(GONE, "v1", 0, draw)], hour=10)
    sim.tick(FIRST * DAY_MS + 12 * HOUR_MS)
    registered = {
        "id": "order-1", "model": GONE, "command": "register", "arguments": {"model_version": "v2"},
        "actor": "ann", "reason": "test",
    }  # fmt: skip
    for day in range(1, 141):
        if day == 45:
            sim.command(json.dumps(registered).encode(), (FIRST + day) * DAY_MS + 3 * HOUR_MS)
        sim.tick((FIRST + day) * DAY_MS + 3 * HOUR_MS)
        known = b"L" + GONE.encode() in sim.tables["metrics"].rows
        assert known == (day <= 45 + 90), f"day {day}"

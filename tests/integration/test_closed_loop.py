"""Three simulated weeks of the whole loop: a real worker, the real trainer and deployer, six models of one run.

Each model has models of its own that see six features; what they are to find changes on day 14.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_app.commands.send import new_command
from stream_app.replay.results import ResultFollower
from tests.support.judge import told
from tests.support.kafka_io import Prefix, read
from tests.support.loop import MINUTE_MS, Stepper, Turn
from tests.support.metrics import documented, exposed
from tests.support.reference import Process
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS
from tests.support.served import ASKS, BROKEN, CHANGE, FLIPS, FRAUD, NOISE, RECOVERS, Serving
from tests.support.worker import Worker

DAYS, FRAUD_FROM = 20, 7
#: what development would announce, floors for the type without any, and short windows for the model with many rows
RULES: dict[str, Any] = {
    "auto_retrain": True, "auto_retrain_conflict": True, "auto_retrain_fraud": True, "auto_retrain_tenants": ["*"],
    "auto_retrain_types": {"churn": True}, "retrain_cooldown_days": 1.0, "retrain_min_samples": 30,
    "types.churn.validation_floors": {"accuracy": 0.7, "precision": 0.6},
    "types.fraud.recent_days": 3, "types.fraud.recent_min_judged_days": 2, "types.fraud.initial_baseline_days": 3,
}  # fmt: skip


class Story:
    """What was published, by model."""

    def __init__(self, found: dict[str, list[dict[str, Any]]]) -> None:
        self._found = found

    def decisions(self, model: str, *actions: str) -> list[tuple[str, str]]:
        rows = [row for row in self._found["audit"] if row["model"] == model and row["action"] in actions]
        return [(row["action"], row["decision"]) for row in sorted(rows, key=lambda row: row["at"])]

    def reason(self, model: str, action: str, decision: str) -> str:
        return next(
            row["reason"]
            for row in self._found["audit"]
            if (row["model"], row["action"], row["decision"]) == (model, action, decision)
        )

    def alerts(self, model: str, notify: str, type: str = "ML_DRIFT_DETECTED") -> list[dict[str, Any]]:
        wanted = (model, notify, type)
        return [row for row in self._found["alerts"] if (row["model"], row.get("notify"), row["type"]) == wanted]

    def accuracy(self, model: str, day: int) -> float:
        """Of the version that made most predictions of the day."""
        date = str(np.datetime64(FIRST_DAY + day, "D"))
        rows = [
            r for r in self._found["metric-snapshots"] if (r["model"], r["date"], r["state"]) == (model, date, "closed")
        ]
        newest = max(rows, key=lambda row: (row["predictions"], row["revision"]))
        return float(newest["accuracy"])


@pytest.fixture
def processes(prefix: Prefix, tmp_path: Path) -> Iterator[list[Process]]:
    registry = str(tmp_path / "registry")
    made = [
        Process(prefix, tmp_path, "trainer", ["trainer", "--registry", registry, "--learner", "logistic"]),
        Process(prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", registry]),
    ]
    yield made
    for process in made:
        process.kill()


async def test_the_whole_loop(
    prefix: Prefix, worker: Callable[..., Worker], processes: list[Process], tmp_path: Path
) -> None:
    running = worker(checkpoint_interval_ms="10").start()
    serving = await asyncio.to_thread(Serving, tmp_path / "registry")
    for process in processes:
        process.start()
    models = (RECOVERS, FLIPS, NOISE, ASKS, BROKEN)
    jobs: dict[str, dict[str, Any]] = {}

    async with (
        ResultFollower(prefix.bootstrap, {}, prefix.topics) as answers,
        Stepper(prefix, [running]) as stepper,
    ):

        async def turn(at_ms: int, **rest: Any) -> int:
            """A turn, and one more for the answers to whatever it commanded; returns the last one's time."""
            await stepper.turn(Turn(at_ms, **rest))
            while not await _nothing_waits(answers, processes):
                at_ms += 10 * MINUTE_MS
                await stepper.turn(Turn(at_ms))
            for row in await stepper.fresh(prefix.topics.training_jobs):
                jobs[row["model"]] = row
            return at_ms

        rules = [
            new_command("*", "set", {"values": RULES}, "ada", "a pilot"),
            new_command(ASKS, "set", {"key": "require_manual_approval", "value": True}, "ada", "we look first"),
        ]
        await turn(FIRST_DAY * DAY_MS - 1, orders=rules)
        for day in range(DAYS):
            served = [*models, FRAUD] if day >= FRAUD_FROM else models
            rows = [record for model in served for record in serving.day(model, day)]
            rows += [("predictions", b"unreadable", b"{")] if day == 0 else []
            midnight = (FIRST_DAY + day + 1) * DAY_MS
            await turn(midnight - 12 * HOUR_MS, rows=rows)
            # nothing can be decided before: one tick runs all closes
            for hour in (1, 2, 3, 4, 8) if day >= CHANGE else (8,):
                at_ms = await turn(midnight + hour * HOUR_MS)
            # asked on the morning after: it waits as long as it takes
            if jobs.get(ASKS, {}).get("state") == "awaiting_approval" and day >= CHANGE + 2:
                await turn(at_ms + MINUTE_MS, orders=[new_command(ASKS, "approve", {}, "ada", "labels are sound")])
            if jobs.get(BROKEN, {}).get("state") == "halted" and day == DAYS - 2:
                await turn(
                    at_ms + MINUTE_MS, orders=[new_command(BROKEN, "reset_circuit", {}, "ada", "features are back")]
                )
    await told(prefix, running)
    # a run in which everything happens has every metric
    assert exposed(running.view("/metrics")[1]) == documented()
    assert running.stop() == 0, running.tail()
    assert [process.stop() for process in processes] == [0, 0]
    found = {}
    for topic in ("audit", "alerts", "metric-snapshots"):
        parts = await read(prefix.bootstrap, prefix.topics.output_prefix + topic, prefix.topics.model_partitions)
        found[topic] = [json.loads(record.value) for part in parts.values() for record in part]
    _judge(Story(found))


async def _nothing_waits(answers: ResultFollower, processes: list[Process]) -> bool:
    """Whether nothing was commanded; else returns when everything is answered."""
    if not await answers.read():
        return True
    assert await answers.settled(60.0), [process.tail() for process in processes]
    return False


def _judge(story: Story) -> None:
    # degraded data → alert → train → validate → activate → recovered accuracy
    for model in (RECOVERS, ASKS):
        assert len(story.alerts(model, "opened")) == 1
        assert ("validate", "passed") in story.decisions(model, "validate")
        assert ("activate", "activated") in story.decisions(model, "activate")
        assert ("probation", "kept") in story.decisions(model, "probation")
        healthy = np.mean([story.accuracy(model, day) for day in range(CHANGE)])
        assert story.accuracy(model, CHANGE) < healthy - 0.15
        assert story.accuracy(model, DAYS - 1) > healthy - 0.05
        (resolved,) = story.alerts(model, "resolved")
        assert resolved["resolution_reason"] == "version_replaced"
        by = resolved["replaced_by"]
        assert by["how"] == "retrained"
        assert resolved["resolution"].startswith(f"retrained: {by['version']} since ")

    # approval required → waits, says so to people, approved, runs
    assert len(story.alerts(ASKS, "opened", "ML_APPROVAL_WANTED")) == 1
    assert len(story.alerts(ASKS, "resolved", "ML_APPROVAL_WANTED")) == 1
    first = next(found for found in story.decisions(ASKS, "train") if found != ("train", "refused"))
    assert first == ("train", "awaiting_approval")  # after a day with too few rows to hold some out
    assert ("approve", "ordered") in story.decisions(ASKS, "approve")
    assert ("train", "awaiting_approval") not in story.decisions(RECOVERS, "train")

    # a new model that degrades → rolled back at the 24 h look
    assert story.decisions(FLIPS, "probation")[0] == ("probation", "failed")
    assert "accuracy down by" in story.reason(FLIPS, "probation", "failed")
    assert ("rollback", "rolled_back") in story.decisions(FLIPS, "rollback")
    assert story.alerts(FLIPS, "opened", "ML_ROLLED_BACK")

    # a bad fraud version → rolled back though its accuracy is 99 %
    assert story.decisions(FRAUD, "probation")[0] == ("probation", "failed")
    assert any(name in story.reason(FRAUD, "probation", "failed") for name in ("pr_auc down by", "recall down by"))
    assert story.accuracy(FRAUD, CHANGE + 2) > 0.97
    assert ("rollback", "rolled_back") in story.decisions(FRAUD, "rollback")

    # a candidate below the thresholds → rejected
    assert ("validate", "rejected") in story.decisions(NOISE, "validate")
    assert not story.decisions(NOISE, "activate")
    assert "points are needed" in story.reason(NOISE, "validate", "rejected")

    # two failures → circuit open until an operator closes it
    trained = story.decisions(BROKEN, "train", "circuit", "reset_circuit")
    opened, closed = trained.index(("circuit", "opened")), trained.index(("reset_circuit", "closed"))
    assert trained[:opened].count(("train", "failed")) == 2
    assert opened < closed
    assert ("train", "ordered") not in trained[opened:closed]
    assert ("train", "refused") in trained[opened:closed]
    assert ("train", "ordered") in trained[closed:]
    assert "carries features" in story.reason(BROKEN, "train", "failed")
    assert story.alerts(BROKEN, "opened", "ML_TRAINING_FAILED")
    assert story.alerts(BROKEN, "opened", "ML_CIRCUIT_OPEN")
    assert story.alerts(BROKEN, "resolved", "ML_CIRCUIT_OPEN")

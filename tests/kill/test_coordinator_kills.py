"""The worker is killed while models stand in each state of the coordinator: no command twice, and the loop closes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream_app.commands.send import NewCommand
from stream_app.core.kit.changes import Change
from stream_app.settings import Settings, base, changed
from tests.support.judge import told
from tests.support.kafka_io import Prefix, read
from tests.support.loop import MINUTE_MS, Stepper, Turn, compare, rows_of, settle, simulate
from tests.support.recalibrated import drawn
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, Day, flipped, healthy
from tests.support.worker import Worker

LOOP, ASK, OUTSIDE, REPAIR = "churn:loop", "churn:ask", "churn:outside", "churn:repair"
MODELS = (LOOP, ASK, OUTSIDE, REPAIR)
#: labelled rows of a day, enough to look at a repair after one
REPAIR_ROWS = 260
GOOD = {"accuracy": 0.84, "precision": 0.82}
DIGEST = "ab" * 32
#: short windows, so that the first verdict comes after eight days
RULES: dict[str, Any] = {
    "recent_days": 3, "recent_min_judged_days": 2, "initial_baseline_days": 4, "retrain_cooldown_days": 1.0,
    "auto_retrain": True, "auto_retrain_tenants": ["*"], "auto_retrain_types": {"churn": True},
    "types.churn.validation_floors": {"accuracy": 0.7, "precision": 0.6},
}  # fmt: skip
BAD, DAYS = 8, 14
TOPICS = ("drift-events", "training-commands", "training-jobs", "audit", "alerts", "model-lifecycle", "settings")

#: every state that a tick can leave a model in; `validating` ends with its tick
STATES = (
    "awaiting_approval", "repairing", "requested", "training", "activating", "probation", "rolling_back", "failed",
    "halted", "idle",
)  # fmt: skip


def order(number: int, model: str, command: str, **arguments: Any) -> NewCommand:
    return NewCommand(model, command, arguments, "ada", "test", f"00000000-0000-0000-0000-{number:012d}")


class World:
    """What the trainer, the deployer and people do. `LOOP` gets a version that is worse and taken back; of `ASK` every
    training fails, so its circuit opens and a person closes it; on `OUTSIDE` somebody deploys a good version in the
    middle of a training, whose answer comes all the same; the scores of `REPAIR` move, its repair is worse and taken
    back, and it is trained instead."""

    def __init__(self) -> None:
        self.active = dict.fromkeys(MODELS, "v1")
        self.late: list[dict[str, Any]] = []
        self.numbers = iter(range(100, 1_000))

    def day(self, model: str, day: int) -> Day:
        rng = np.random.default_rng([day, MODELS.index(model)])
        if model == REPAIR:
            # days of which none before the scores move is by chance so bad that a run of drift begins there
            rng = np.random.default_rng([day, 7])
            moved = day >= BAD and self.active[model] != "v2"
            scores, predicted, actual = drawn("+2.4" if moved else "as before", rng, REPAIR_ROWS)
            worse = "-c" in self.active[model]
            return Day(scores, ~predicted if worse else predicted, actual)
        found = healthy(rng, 150)
        if self.active[model] != "v1":
            return flipped(found, rng, 60) if model == LOOP else found
        return flipped(found, rng, 30) if day >= BAD else found

    def respond(self, sent: dict[str, Any]) -> list[dict[str, Any]]:
        told = {"model": sent["model"], "command_id": sent["command_id"], "attempt": sent["attempt"]}
        if sent["command"] == "cancel":
            return []
        if sent["command"] == "train":
            if sent["model"] == ASK:
                return [{**told, "status": "failed", "error": "the disk is full"}]
            done = {"candidate_version": "v2", "artifact_sha256": DIGEST, "candidate_metrics": GOOD,
                    "champion_metrics": GOOD}  # fmt: skip
            accepted, succeeded = {**told, "status": "accepted"}, {**told, "status": "succeeded", **done}
            if sent["model"] == OUTSIDE:
                self.late.append(succeeded)
                return [accepted]
            # repeated and out of order, as an at-least-once trainer may answer
            return [accepted, accepted, succeeded, accepted, succeeded]
        self.active[sent["model"]] = sent["candidate_version"]
        status = "rolled_back" if sent["command"] == "rollback" else "activated"
        done = {**told, "status": status, "candidate_version": sent["candidate_version"]}
        taken = [{**told, "status": "accepted"}] if sent["command"] == "recalibrate" else []
        return [*taken, done, *taken, done]

    def decide(self, jobs: dict[str, dict[str, Any]], day: int) -> list[NewCommand]:
        """A person answers what waits, once a day."""
        if jobs.get(ASK, {}).get("state") == "awaiting_approval":
            return [order(next(self.numbers), ASK, "approve")]
        if jobs.get(ASK, {}).get("state") == "halted" and day >= DAYS - 2:
            return [order(next(self.numbers), ASK, "reset_circuit")]
        if jobs.get(OUTSIDE, {}).get("state") == "training":
            self.active[OUTSIDE] = "v9"
            return [order(next(self.numbers), OUTSIDE, "register", model_version="v9")]
        return []


async def _run(prefix: Prefix, running: Worker, kill_in: set[str]) -> tuple[list[Turn], set[str]]:
    """The whole story; the worker is killed once in each state of ``kill_in``, right after the tick that reached it."""
    world, jobs, waiting = World(), dict[str, dict[str, Any]](), set(kill_in)
    seen: set[str] = set()

    async def look() -> None:
        for row in await stepper.fresh(prefix.topics.training_jobs):
            jobs[row["model"]] = row
        states = {row["state"] for row in jobs.values()}
        seen.update(states)
        if states & waiting:
            waiting.difference_update(states)
            running.kill()
            running.start()

    async with Stepper(prefix, [running], after=look) as stepper:
        rules = [order(1, "*", "set", values=RULES), order(2, ASK, "set", key="require_manual_approval", value=True)]
        await stepper.turn(Turn(FIRST_DAY * DAY_MS - 1, orders=rules))
        for day in range(DAYS):
            rows = [row for model in MODELS for row in rows_of(model, world.active[model], day, world.day(model, day))]
            midnight = (FIRST_DAY + day + 1) * DAY_MS
            await stepper.turn(Turn(midnight - 12 * HOUR_MS, rows=rows))
            # nothing can be decided before: one tick runs all closes
            for hour in (1, 2, 3, 4, 8) if day >= BAD - 1 else (8,):
                await stepper.turn(Turn(midnight + hour * HOUR_MS))
                at = await settle(stepper, midnight + hour * HOUR_MS, world.respond)
            orders = world.decide(jobs, day)
            if orders:
                await stepper.turn(Turn(at + MINUTE_MS, orders=orders))
                at = await settle(stepper, at + MINUTE_MS, world.respond)
            if world.late and world.active[OUTSIDE] != "v1":
                await stepper.turn(Turn(at + MINUTE_MS, answers=[world.late.pop()]))
        return stepper.turns, seen


def _settings() -> Settings:
    return base(Settings(model_partitions=1, input_partitions=1))


async def _judge(prefix: Prefix, running: Worker, turns: list[Turn]) -> None:
    await told(prefix, running)
    sim = simulate(turns, _settings(), running.env["PLUMBLINE_APP_ID"])
    counts = await compare(prefix, sim, TOPICS)
    assert counts["training-commands"] >= 5
    parts = await read(prefix.bootstrap, prefix.topics.training_commands, prefix.topics.model_partitions)
    orders = [json.loads(record.value) for part in parts.values() for record in part]
    sent = Counter((row["command_id"], row["attempt"], row["command"]) for row in orders)
    assert set(sent.values()) == {1}
    # what the trainer said of its artefact reaches the deployer through every kill
    assert {row.get("artifact_sha256") for row in orders if row["command"] == "activate"} == {DIGEST}
    assert not any("artifact_sha256" in row for row in orders if row["command"] != "activate")
    audit = await read(prefix.bootstrap, prefix.topics.audit, prefix.topics.model_partitions)
    rows = [json.loads(record.value) for part in audit.values() for record in part]
    made = {(row["model"], row["action"], row["decision"]) for row in rows}
    assert {
        (REPAIR, "recalibrate", "ordered"), (REPAIR, "recalibrate", "activated"), (REPAIR, "probation", "failed"),
        (REPAIR, "rollback", "rolled_back"), (REPAIR, "train", "ordered"), (REPAIR, "activate", "activated"),
        (LOOP, "activate", "activated"), (LOOP, "probation", "failed"), (LOOP, "rollback", "rolled_back"),
        (ASK, "train", "failed"), (ASK, "circuit", "opened"), (ASK, "reset_circuit", "closed"),
        (OUTSIDE, "train", "cancelled"), (OUTSIDE, "result_succeeded", "refused"), (OUTSIDE, "probation", "kept"),
    } <= made  # fmt: skip


async def test_kills_in_four_states_command_nothing_twice_and_lose_nothing(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker(checkpoint_interval_ms="10").start()
    turns, seen = await _run(prefix, running, {"repairing", "training", "activating", "rolling_back"})
    assert set(STATES) <= seen
    await _judge(prefix, running, turns)


@pytest.mark.long
async def test_kills_in_every_state_command_nothing_twice_and_lose_nothing(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker(checkpoint_interval_ms="10").start()
    turns, seen = await _run(prefix, running, set(STATES))
    assert set(STATES) <= seen
    await _judge(prefix, running, turns)


def test_the_rules_of_the_story_can_be_set() -> None:
    after = changed(_settings(), Change("*", RULES))
    assert after.for_model(LOOP).validation_floors == {"accuracy": 0.7, "precision": 0.6}

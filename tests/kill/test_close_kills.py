"""The worker is killed around the daily closes, in every stage that they run through: each event and alert once."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.integration.test_drift import steps
from tests.support.generate import Step
from tests.support.judge import finished, told
from tests.support.kafka_io import Prefix, Reached, read, until, write
from tests.support.scenarios import DAY_MS, HOUR_MS, coverage, step
from tests.support.simulate import comparable, simulated
from tests.support.worker import Worker

CHECKPOINT = (
    "1-begun", "2-outputs-sent", "3-changelog-sent", "4-acknowledged", "5-offsets-sent", "6-committed", "7-written",
)  # fmt: skip
POINTS = [
    *(("metrics", f"checkpoint.{point}") for point in CHECKPOINT),
    # their checkpoints are made by the same engine: before the outputs, and on either side of the commit
    *((stage, f"checkpoint.{CHECKPOINT[step]}") for stage in ("drift", "alerts") for step in (0, 4, 5)),
    *(("metrics", f"tick.{point}") for point in ("1-started", "2-partly", "3-done")),
]
SMALL = {"checkpoint_interval_ms": "20", "cells_per_checkpoint": "3"}


def script() -> list[Step]:
    """Outcomes that go missing on and off, and a drop: alerts of both types, opened and resolved."""
    return steps([
        step(25, 17, 26, n=60),
        coverage(0.3, 3, 6, 26, n=40),
        coverage(0.2, 11, 22, 26, n=40),
    ])  # fmt: skip


async def _compare(prefix: Prefix, written: list[Step], app_id: str) -> None:
    """Every drift event and every revision of every alert, once, as the stages give them without a broker."""
    sim = await asyncio.to_thread(simulated, written, app_id)
    for topic, alias in ((prefix.topics.drift_events, "drift-events"), (prefix.topics.alerts, "alerts")):
        parts = await read(prefix.bootstrap, topic, prefix.topics.model_partitions)
        found = sorted(comparable(record.value) for part in parts.values() for record in part)
        assert found == sorted(comparable(emit.value) for emit in sim.emits[alias])
        assert len(found) > 10


async def test_a_kill_at_any_step_of_a_close_loses_and_doubles_no_event_and_no_alert(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    written = script()
    left = deque(written)
    running = worker(**SMALL)
    reached: Reached = {}
    for more, (stage, point) in zip(range(len(POINTS), 0, -1), POINTS, strict=True):
        running.start(failpoint=point, failpoint_stage=stage)
        while running.exit_code is None:
            assert len(left) >= more, f"no work left, and {stage} has not come to {point}\n{running.tail()}"
            await write(prefix, [left.popleft()], reached)
            with suppress(AssertionError):
                await until(lambda: running.exit_code is not None, 3 if len(left) > 2 * more else 60)
        assert running.exit_code == -9, running.tail()
    await write(prefix, list(left), reached)
    running.start()
    await finished(prefix, written[-1][0], [running], bound_s=120)
    await told(prefix, running)
    assert running.stop() == 0, running.tail()
    await _compare(prefix, written, running.env["PLUMBLINE_APP_ID"])


@pytest.mark.long
async def test_twenty_kills_within_two_seconds_of_a_close_change_nothing(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    draw = random.Random(20)
    written = script()
    running = worker(**SMALL).start()
    reached: Reached = {}
    closes = [at for at, _ in written if at % DAY_MS in (HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS, 4 * HOUR_MS)]
    deadly = set(draw.sample(closes[20:], 20))
    for at, rows in written:
        await write(prefix, [(at, rows)], reached)
        if at in deadly:
            await asyncio.sleep(draw.uniform(0, 2))  # any moment will do: it is the kill that is at random
            running.kill()
            running.start()
            await until(lambda: '"open":true' in running.ready(), 60, "the worker to own lanes again")
    await finished(prefix, written[-1][0], [running], bound_s=180)
    await told(prefix, running)
    assert running.stop() == 0, running.tail()
    await _compare(prefix, written, running.env["PLUMBLINE_APP_ID"])

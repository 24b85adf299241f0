"""The worker is killed after every numbered step of a checkpoint, of a restore and within a close; nothing shows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress

from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker

#: (stage, fail point, how often it is passed before it kills)
CHECKPOINT = [
    (stage, f"checkpoint.{step}", times)
    for stage, times in (("labels", 2), ("metrics", 2))
    for step in (
        "1-begun", "2-outputs-sent", "3-changelog-sent", "4-acknowledged", "5-offsets-sent", "6-committed", "7-written",
    )
]  # fmt: skip
RESTORE = [
    (stage, f"restore.{step}", times)
    for stage, times in (("labels", 2), ("metrics", 1))
    for step in ("1-producer-ready", "2-half-restored", "3-restored", "4-sought")
]
TICK = [("metrics", f"tick.{step}", times) for step, times in (("1-started", 2), ("2-partly", 3), ("3-done", 2))]


async def test_a_kill_after_any_step_loses_and_doubles_nothing(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    """One history, killed at each fail point in turn; time moves on only a little between two kills."""
    steps = deque(history(seed=3, days=12, per_day=75))
    end = steps[-1][0]
    points = CHECKPOINT + TICK + RESTORE
    running = worker(max_checkpoint_events="200", checkpoint_interval_ms="20", cells_per_checkpoint="3")
    reached: Reached = {}
    for left, (stage, point, times) in zip(range(len(points), 0, -1), points, strict=True):
        running.start(failpoint=f"{point}:{times}", failpoint_stage=stage)
        # How much work a checkpoint takes in one go is the worker's affair: give it more until it gets there, but
        # keep a step for each kill to come.
        while running.exit_code is None:
            assert len(steps) >= left, f"no work left, and {stage} has not come to {point}\n{running.tail()}"
            await write(prefix, [steps.popleft()], reached)
            with suppress(AssertionError):
                await until(lambda: running.exit_code is not None, 3 if len(steps) > 2 * left else 60)
        assert running.exit_code == -9, running.tail()
    await write(prefix, list(steps), reached)
    running.start()
    follower = await finished(prefix, end, [running], bound_s=120)
    await compare(prefix, follower)

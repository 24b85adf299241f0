"""Told to stop under load, a worker drains and ends with 0 in time, and another takes over."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker

#: the promises, in seconds
DRAINS_S, TAKES_OVER_S = 20, 10


async def test_sigterm_under_load_drains_ends_with_zero_and_another_takes_over(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=61, days=3, per_day=500)
    half = len(steps) // 2
    first, second = worker("first", max_checkpoint_events="100").start(), worker("second")
    reached: Reached = {}
    await write(prefix, steps[:4], reached)
    await finished(prefix, steps[3][0], [first])
    second.start()
    await until(lambda: '"open":true' in second.ready(), 60, "the second worker to own lanes")
    await write(prefix, steps[4:half], reached)
    began = time.monotonic()
    assert first.stop(bound_s=DRAINS_S) == 0, first.tail()
    drained = time.monotonic() - began
    await finished(prefix, steps[half - 1][0], [second], bound_s=TAKES_OVER_S + 20)
    taken = time.monotonic() - began
    await write(prefix, steps[half:], reached)
    follower = await finished(prefix, steps[-1][0], [second])
    await compare(prefix, follower)
    print(f"drained in {drained:.1f} s; the other had caught up {taken:.1f} s after the signal")

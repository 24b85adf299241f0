"""Told to stop under load, a worker drains and ends with 0 in time; stuck, it ends with something else, in time too."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from stream_app.cli.worker import GRACE_S
from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, until, write
from tests.support.steady import Steady
from tests.support.worker import Worker

#: the promises, in seconds
DRAINS_S, TAKES_OVER_S = 20, 10


async def test_sigterm_under_load_drains_ends_with_zero_and_another_takes_over(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=61, days=24, per_day=150)
    first, second = worker("first", max_checkpoint_events="100").start(), worker("second").start()
    # before the load, which is as long as its steps are many
    await until(lambda: '"open":true' in second.ready(), 60, "the second worker to own lanes")
    async with Steady(prefix, steps, [second], pace_s=0.1) as load:
        began = time.monotonic()
        code = await asyncio.to_thread(first.stop, DRAINS_S)
        drained = time.monotonic() - began
        taken = await load.progress(60, since=began)
    assert code == 0, first.tail()
    follower = await finished(prefix, steps[-1][0], [second])
    await compare(prefix, follower)
    print(f"drained in {drained:.1f} s; the other had taken over and went on {taken:.1f} s after the signal")
    assert taken < TAKES_OVER_S


@pytest.mark.long
async def test_stuck_work_ends_with_an_error_within_the_grace_period(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """A commit that never ends and cannot be cancelled; supervisors give thirty seconds."""
    steps = history(seed=62, days=1, per_day=100)
    running = worker().start(failpoint="hang-in-a-commit")
    await write(prefix, steps)
    await until(lambda: "hanging in a commit" in running.log.read_text(), 60, "the commit to hang")
    began = time.monotonic()
    code = running.stop(bound_s=30)
    print(f"stuck: ended with {code} after {time.monotonic() - began:.1f} s")
    assert code == 1
    said = running.log.read_text()
    assert "drain cut short" in said, "it says which lane"
    assert f"Timeout (0:00:{GRACE_S})" in said, "and where it stood"
    again = worker("again").start()
    follower = await finished(prefix, steps[-1][0], [again])
    await compare(prefix, follower)

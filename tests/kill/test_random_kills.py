"""Two workers under load are killed, frozen and robbed of their disks; every count stays right."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
from collections.abc import Callable

import pytest

from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker

SLOW = {"max_checkpoint_events": "150", "max_poll_records": "200", "cells_per_checkpoint": "5"}


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.long)])
async def test_random_kills_and_lost_disks(prefix: Prefix, worker: Callable[..., Worker], kills: int) -> None:
    """Each kill meets the workers with work to do; every third one also loses its data folder."""
    draw = random.Random(kills)
    steps = history(seed=kills, days=3 + kills, per_day=200)
    workers = [worker(f"w{i}", **SLOW).start() for i in range(2)]
    reached: Reached = {}
    share = len(steps) // (kills + 1)
    for number in range(kills):
        await write(prefix, steps[number * share : (number + 1) * share], reached)
        victim = workers[draw.randrange(2)]
        await asyncio.sleep(draw.uniform(0, 3))  # any moment will do: it is the kill that is at random
        victim.kill()
        if number % 3 == 2:
            shutil.rmtree(victim.folder / "data", ignore_errors=True)
        victim.start()
    await write(prefix, steps[kills * share :], reached)
    follower = await finished(prefix, steps[-1][0], workers, bound_s=180)
    await compare(prefix, follower)


async def test_a_frozen_owner_loses_its_partitions_and_returns_without_a_restart(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """SIGSTOP past the session timeout: the other goes on; the frozen one comes back as the same process."""
    steps = history(seed=9, days=4, per_day=200)
    third = len(steps) // 3
    first, second = (worker(f"w{i}", **SLOW).start() for i in range(2))
    reached: Reached = {}
    await write(prefix, steps[:third], reached)
    await finished(prefix, steps[third - 1][0], [first, second])
    frozen = first.pid
    first.signal(signal.SIGSTOP)
    try:
        await write(prefix, steps[third : 2 * third], reached)
        await finished(prefix, steps[2 * third - 1][0], [second], bound_s=60)
    finally:
        first.signal(signal.SIGCONT)
    await until(lambda: '"open":true' in first.ready(), 60, "the frozen worker to own lanes again")
    second.kill()
    await write(prefix, steps[2 * third :], reached)
    follower = await finished(prefix, steps[-1][0], [first], bound_s=90)
    assert first.pid == frozen
    await compare(prefix, follower)


async def test_an_oversized_batch_is_refused_and_nothing_is_lost(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    """The topic of the deltas takes no batch at all, and the lane says so; when it does, a restart goes on."""
    steps = history(seed=21, days=2, per_day=300)
    half = len(steps) // 2
    reached: Reached = {}
    running = worker(transaction_timeout_s="2", **SLOW).start()
    await write(prefix, steps[:half], reached)
    await finished(prefix, steps[half - 1][0], [running])
    await prefix.configure(prefix.topics.model_deltas, {"max.message.bytes": "120"})
    await write(prefix, steps[half:], reached)
    said = f"a batch for {prefix.topics.model_deltas} has "
    await until(lambda: said in running.log.read_text(), 60, "the refusal, with topic and size")
    await prefix.configure(prefix.topics.model_deltas, {"max.message.bytes": "1048588"})
    running.stop()
    running.start()
    follower = await finished(prefix, steps[-1][0], [running], bound_s=90)
    await compare(prefix, follower)


async def test_a_store_older_than_its_tombstones_is_wiped_and_restored(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """A worker comes back with a disk from long ago."""
    steps = history(seed=33, days=2, per_day=200)
    half = len(steps) // 2
    reached: Reached = {}
    old = worker("w", **SLOW).start()
    await write(prefix, steps[:half], reached)
    await finished(prefix, steps[half - 1][0], [old])
    assert old.stop() == 0
    await write(prefix, steps[half:], reached)
    old.start(failpoint="pretend-the-store-is-old")
    follower = await finished(prefix, steps[-1][0], [old])
    assert "tombstones may be gone" in old.log.read_text()
    await compare(prefix, follower)


async def test_state_of_another_horizon_or_partition_count_is_refused(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """Said in one sentence, with a non-zero exit, before anything changes."""
    steps = history(seed=2, days=1, per_day=50, with_poison=False)
    await write(prefix, steps)
    running = worker().start()
    await finished(prefix, steps[-1][0], [running])
    assert running.stop() == 0
    other = worker("w", max_prediction_age_days="80")
    other.start()
    await until(lambda: other.exit_code is not None, 60, "the refusal")
    assert other.exit_code == 1
    assert "max_prediction_age_days is 80 here" in other.log.read_text()
    wrong = worker("counts", input_partitions="5").start()
    await until(lambda: wrong.exit_code is not None, 60, "the refusal")
    assert wrong.exit_code == 1
    assert "has 3 partitions, 5 are configured" in wrong.log.read_text()

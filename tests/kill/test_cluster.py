"""Three brokers under load: leaders die, all of them go for more than a minute, workers come and go. Figures printed.

Replication 3, min.insync 2. The oracle computes the same counts from the topics as they are at the end.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream_app import kafka_admin
from stream_app.services.kafka import LocalKafka
from stream_app.topics import Topics
from tests.support.generate import Step, history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker

pytestmark = pytest.mark.long

#: seconds that progress may stand still after a broker is back, or while workers change
PROGRESS_S, GAP_S = 60, 30


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalKafka]:
    kafka = LocalKafka(tmp_path / "cluster", nodes=3, transaction_scan_ms=1_000)
    try:
        kafka.start()
        yield kafka
    finally:
        kafka.stop()


@pytest.fixture
async def three(cluster: LocalKafka) -> Prefix:
    """Topics with three replicas."""
    prefix = Prefix(cluster.bootstrap, Topics("three.", "three.", 3, 2))
    async with kafka_admin.admin(prefix.bootstrap, {}) as client:
        await kafka_admin.create(client, prefix.topics.specs(), 3)
    return prefix


async def _leader(prefix: Prefix, topic: str) -> int:
    async with kafka_admin.admin(prefix.bootstrap, {}) as client:
        (described,) = await client.describe_topics([topic])
    return int(described["partitions"][0]["leader"])


async def _carried(prefix: Prefix, at_ms: int, running: Worker, bound_s: float) -> float:
    """Seconds until the worker, which starts itself again if it has to, has carried the tick."""
    began = time.monotonic()
    while True:
        if running.exit_code is not None:
            running.start()  # what a supervisor does
        try:
            await finished(prefix, at_ms, [running], bound_s=max(1.0, bound_s - (time.monotonic() - began)))
        except (AssertionError, OSError):
            if time.monotonic() - began > bound_s:
                raise
        else:
            return time.monotonic() - began


async def _feed(prefix: Prefix, steps: list[Step], reached: Reached) -> None:
    """Write, again from where it stood if a broker went away meanwhile: a producer's own duty."""
    for step in steps:
        await write(prefix, [step], reached)


async def test_five_dead_leaders_seventy_seconds_without_brokers_and_a_restart_of_all(
    three: Prefix, cluster: LocalKafka, tmp_path: Path
) -> None:
    steps = history(seed=41, days=9, per_day=300)
    share = len(steps) // 9
    running = Worker(
        three.bootstrap, three.topics, "three-app", tmp_path / "w", replication_factor="3", max_checkpoint_events="300"
    ).start()
    reached: Reached = {}
    pauses = []
    try:
        position = share
        await _feed(three, steps[:position], reached)
        await _carried(three, steps[position - 1][0], running, PROGRESS_S)
        for number in range(5):
            # with work on its way: the next share is written, then a leader dies
            await _feed(three, steps[position : position + share], reached)
            position += share
            victim = await _leader(three, (three.topics.line_log, three.topics.predictions)[number % 2])
            cluster.kill(victim)
            pauses.append(await _carried(three, steps[position - 1][0], running, PROGRESS_S))
            cluster.restart(victim)
        print(f"leader killed: progress after {', '.join(f'{p:.1f}' for p in pauses)} s")

        await _feed(three, steps[position : position + share], reached)
        position += share
        for node in (1, 2, 3):
            cluster.kill(node)
        await asyncio.sleep(70)  # the outage is the test: nothing to wait for happens in it
        cluster.start()
        pause = await _carried(three, steps[position - 1][0], running, PROGRESS_S)
        print(f"70 s without any broker: progress {pause:.1f} s after they were back")

        await _feed(three, steps[position : position + share], reached)
        position += share
        for node in (1, 2, 3):
            cluster.restart(node)
        pause = await _carried(three, steps[position - 1][0], running, PROGRESS_S)
        print(f"all restarted one after the other: progress after {pause:.1f} s")
        await _feed(three, steps[position:], reached)
        await _carried(three, steps[-1][0], running, PROGRESS_S)
        follower = await finished(three, steps[-1][0], [running])
        await compare(three, follower)
    finally:
        running.kill()


async def test_workers_that_come_and_go_twenty_times_leave_no_gap_and_no_wrong_count(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """Every twenty seconds one joins, leaves or is killed, while ticks go on; there is always one that stays."""
    draw = random.Random(20)
    steps = history(seed=43, days=20, per_day=120)
    workers = [worker(f"w{i}") for i in range(3)]
    workers[0].start()
    reached: Reached = {}
    share = len(steps) // 21
    gaps = []
    await write(prefix, steps[:share], reached)
    await finished(prefix, steps[share - 1][0], [workers[0]])
    for number in range(20):
        began = time.monotonic()
        changing = workers[1 + draw.randrange(2)]
        if changing.exit_code is None and changing.started:
            changing.kill() if number % 3 == 0 else changing.stop()
        else:
            changing.start()
        position = share * (number + 1)
        await write(prefix, steps[position : position + share], reached)
        await finished(prefix, steps[position + share - 1][0], [workers[0]], bound_s=GAP_S)
        gaps.append(time.monotonic() - began)
        await asyncio.sleep(max(0.0, 20 - gaps[-1]))  # every twenty seconds, as the promise says
    await write(prefix, steps[21 * share :], reached)
    follower = await finished(prefix, steps[-1][0], [workers[0]], bound_s=60)
    await compare(prefix, follower)
    print(f"20 changes: longest gap {max(gaps):.1f} s, median {sorted(gaps)[10]:.1f} s")


async def test_a_second_worker_takes_over_from_one_that_is_killed_within_ten_seconds(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=44, days=3, per_day=200)
    half = len(steps) // 2
    first, second = worker("a").start(), worker("b")
    reached: Reached = {}
    await write(prefix, steps[:half], reached)
    await finished(prefix, steps[half - 1][0], [first])
    second.start()
    await until(lambda: '"open":true' in second.ready(), 60, "the second worker to own lanes")
    first.signal(signal.SIGKILL)
    began = time.monotonic()
    await write(prefix, steps[half:], reached)
    follower = await finished(prefix, steps[-1][0], [second], bound_s=60)
    took = time.monotonic() - began
    await compare(prefix, follower)
    print(f"taken over and caught up {took:.1f} s after the kill")
    assert took < 10 + 5  # ten to take over, and the half of the history that was written meanwhile

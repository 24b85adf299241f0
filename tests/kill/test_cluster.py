"""Three brokers under load: leaders die, all of them go for more than a minute, workers come and go. Figures printed.

Replication 3, min.insync 2. The oracle computes the same counts from the topics as they are at the end.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream_app.kafka import admin
from stream_app.kafka.topics import Topics
from stream_app.services.kafka import LocalKafka
from stream_app.settings import Settings
from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix
from tests.support.steady import Steady
from tests.support.worker import Worker

pytestmark = pytest.mark.long

#: seconds that progress may stand still after a broker is gone or back, while workers change, after one was killed
PROGRESS_S, GAP_S, TAKES_OVER_S = 60, 30, 10


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
    async with admin.admin(prefix.bootstrap, {}) as client:
        await admin.create(client, [*prefix.topics.specs(), *prefix.topics.logs()], 3)
    return prefix


async def _leader(prefix: Prefix, topic: str) -> int:
    async with admin.admin(prefix.bootstrap, {}) as client:
        (described,) = await client.describe_topics([topic])
    return int(described["partitions"][0]["leader"])


async def test_five_dead_leaders_seventy_seconds_without_brokers_and_a_restart_of_all(
    three: Prefix, cluster: LocalKafka, tmp_path: Path
) -> None:
    running = Worker(
        three.bootstrap, three.topics, "three-app", tmp_path / "w", replication_factor="3", max_checkpoint_events="300"
    ).start()
    steps = history(seed=41, days=60, per_day=600)
    try:
        async with Steady(three, steps, [running], pace_s=0.4) as load:
            pauses = []
            for number in range(5):
                victim = await _leader(three, (three.topics.model_log, three.topics.predictions)[number % 2])
                cluster.kill(victim)
                pauses.append(await load.progress(PROGRESS_S))
                await asyncio.to_thread(cluster.restart, victim)
                await load.progress(PROGRESS_S)
            print(f"leader killed under load: progress after {', '.join(f'{p:.1f}' for p in pauses)} s")

            for node in (1, 2, 3):
                cluster.kill(node)
            await asyncio.sleep(70)  # the outage is the test: nothing to wait for happens in it
            await asyncio.to_thread(cluster.start)
            pause = await load.progress(PROGRESS_S)
            print(f"70 s without any broker: progress {pause:.1f} s after they were back")

            pauses = []
            for node in (1, 2, 3):
                began = time.monotonic()
                await asyncio.to_thread(cluster.restart, node)
                pauses.append(await load.progress(PROGRESS_S, since=began))
            print(f"restarted one after the other: progress after {', '.join(f'{p:.1f}' for p in pauses)} s")
            assert len(load.written) < len(steps), "there was load to the end"
        print(f"{load.rows:,} records; the worker was started again {load.restarts} times")
        follower = await finished(three, steps[-1][0], [running])
        await compare(three, follower)
    finally:
        running.kill()


async def test_workers_that_come_and_go_twenty_times_leave_no_gap_and_no_wrong_count(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """Every twenty seconds one joins, leaves or is killed, while ticks go on; there is always one that stays."""
    draw = random.Random(20)
    steps = history(seed=43, days=120, per_day=300)
    workers = [worker(f"w{i}") for i in range(3)]
    workers[0].start()
    async with Steady(prefix, steps, workers[:1], pace_s=0.55) as load:
        began = time.monotonic()
        for number in range(20):
            changing = workers[1 + draw.randrange(2)]
            if changing.exit_code is None and changing.started:
                changing.kill() if number % 3 == 0 else await asyncio.to_thread(changing.stop)
            else:
                changing.start()
            # every twenty seconds, as the promise says
            await asyncio.sleep(max(0.0, began + 20 * (number + 1) - time.monotonic()))
        gaps = sorted(load.gaps(began))
        assert len(load.written) < len(steps), "there was load to the end"
    print(f"{load.rows:,} records, 20 changes: longest gap {gaps[-1]:.1f} s, median {gaps[len(gaps) // 2]:.1f} s")
    follower = await finished(prefix, steps[-1][0], workers[:1])
    await compare(prefix, follower)
    assert load.restarts == 0
    assert gaps[-1] < GAP_S


async def test_a_second_worker_takes_over_from_one_that_is_killed_within_ten_seconds(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """With the session timeout that is the default."""
    steps = history(seed=44, days=30, per_day=300)
    usual = str(Settings().session_timeout_s)
    first, second = worker("a", session_timeout_s=usual).start(), worker("b", session_timeout_s=usual)
    async with Steady(prefix, steps, [second], pace_s=0.3) as load:
        second.start()
        await load.until(lambda: '"open":true' in second.ready(), 60, "the second worker to own lanes")
        await load.progress(60)
        first.kill()
        took = await load.progress(60)
        print(f"killed under load: the other had taken over and went on after {took:.1f} s")
    follower = await finished(prefix, steps[-1][0], [second])
    await compare(prefix, follower)
    assert took < TAKES_OVER_S

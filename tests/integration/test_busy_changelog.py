"""A worker joins while transactions on its changelogs are still being settled, as after a broker died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stream_app.kafka import clients
from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, until, write
from tests.support.worker import Worker


async def _unsettled(bootstrap: str, topic: str, partition: int, rounds: list[int]) -> None:
    """Transactions on one partition, all aborted, without end."""
    async with clients.producer(bootstrap, {}, transactional_id=f"{topic}-{partition}-test", linger_ms=0) as producer:
        while True:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"never", key=b"committed", partition=partition)
            await producer.abort_transaction()
            rounds.append(partition)


async def test_a_worker_joins_while_its_changelog_moves(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    steps = history(seed=91, days=2, per_day=200)
    reached: dict[str, dict[int, int]] = {}
    await write(prefix, steps[: len(steps) // 2], reached)
    running = worker().start()
    await finished(prefix, steps[len(steps) // 2 - 1][0], [running])
    assert running.stop() == 0, running.tail()
    rounds: list[int] = []
    settling = asyncio.gather(
        *(
            _unsettled(prefix.bootstrap, spec.name, partition, rounds)
            for spec in prefix.topics.own(60)
            if spec.name.endswith("-changelog")
            for partition in range(spec.partitions)
        )
    )
    try:
        await until(lambda: rounds or settling.done(), 30, "a transaction on the changelog")
        running.start()
        await until(lambda: '"ready":true' in running.ready(), 60, "the worker to be ready")
        joined = len(rounds)
        await write(prefix, steps[len(steps) // 2 :], reached)
        follower = await finished(prefix, steps[-1][0], [running])
        assert not settling.done(), settling
    finally:
        settling.cancel()
        await asyncio.gather(settling, return_exceptions=True)
    print(f"{joined} transactions were aborted while the worker joined, {len(rounds)} until it had done")
    assert joined > 1
    await compare(prefix, follower)

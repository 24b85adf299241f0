"""Batches of two kilobytes that unpack to just less than what is refused, many to a fetch: no consumer holds them
together."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from aiokafka import AIOKafkaProducer

from stream_app.kafka import clients
from tests.integration.test_bombs import MOST_MB, _rows, peak_mb
from tests.support.generate import HOUR, START
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker

#: bytes of each, and how many a partition gets: all of them come in one fetch
SIZE, COUNT = 60 << 20, 12


def bombs(prefix: Prefix) -> AIOKafkaProducer:
    """A producer whose records may be as large as that, since they are small when they are packed."""
    return clients.producer(
        prefix.bootstrap, {}, compression_type="zstd", max_request_size=2 * SIZE, max_batch_size=1 << 20
    )


async def test_a_worker_takes_many_of_them_one_after_the_other(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    topics = prefix.topics
    running = worker().start()
    await until(lambda: '"ready":true' in running.ready(), 90, "the worker to be ready")
    before = peak_mb(running)
    reached, value = Reached(), b'{"prediction_id": "b", "features": {"x": "' + b"0" * SIZE + b'"}}'
    async with bombs(prefix) as producer:
        await _rows(producer, prefix, 0, reached)
        for topic in (topics.predictions, topics.outcomes):
            for partition in range(topics.input_partitions):
                for _ in range(COUNT):
                    sent = await producer.send_and_wait(topic, value, key=b"b", partition=partition)
                    reached.setdefault(topic, {})[partition] = sent.offset + 1
        await _rows(producer, prefix, 100, reached)
    del value
    begun = time.monotonic()
    await write(prefix, [(START + HOUR, [])], reached)
    follower = await finished(prefix, START + HOUR, [running])
    print(f"peak {before:.0f} MB before the bombs, {peak_mb(running):.0f} MB after; {time.monotonic() - begun:.0f} s")
    for side in ("predictions", "outcomes"):
        bad = topics.input_partitions * COUNT
        assert +Counter(follower.dispositions[side]) == Counter(joined=60, dead_lettered=bad)
    assert peak_mb(running) < MOST_MB

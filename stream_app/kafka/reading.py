"""Reading whole topics for people: committed records up to the end as it stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.errors import Incompatible
from stream_app.kafka import clients
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import start

#: A consumer that has done its work is gone within milliseconds.
_STOP_S = 3.0


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer for certain.

    aiokafka's fetcher takes a cancellation that comes while it changes assignments for one of its own tasks', and goes
    on; ``stop`` then waits for ever. A second cancellation reaches it.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_S):
            await consumer.stop()


async def records(
    bootstrap: str, options: dict[str, Any], topic: str, follow: bool = False, *, all_of_it: bool = False,
    partition: int | None = None,
) -> AsyncIterator[Any]:  # fmt: skip
    """Every committed record of a topic, in order within partitions; with ``follow`` also those to come.

    What cannot be read is passed by, unless ``all_of_it`` asks for its place too. ``partition``: this one alone.
    """
    consumer = clients.consumer(bootstrap, options)
    await start(consumer, bootstrap, options)
    try:
        if topic not in await consumer.topics():
            raise Incompatible(f"topic {topic} does not exist: `plumbline topics create` makes it")
        found = await partitions(consumer, topic)
        tps = [TopicPartition(topic, p) for p in sorted(found) if partition in (None, p)]
        consumer.assign(tps)
        begin, end = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        for tp in tps:
            consumer.seek(tp, begin[tp])
        while follow or not await _done(consumer, end):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                for record in batch if all_of_it else readable(batch):
                    yield record
    finally:
        await consumer.stop()


async def newest(reader: AIOKafkaConsumer, topic: str, most: int) -> AsyncIterator[Any]:
    """The newest committed records of each partition, up to ``most``; none of a topic that does not exist.

    ``reader``: a started consumer, its own; it is assigned anew.
    """
    if topic not in await reader.topics():
        return
    tps = [TopicPartition(topic, p) for p in sorted(await partitions(reader, topic))]
    begin, end = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
    reader.assign(tps)
    for tp in tps:
        reader.seek(tp, max(begin[tp], end[tp] - most))
    left = [tp for tp in tps if end[tp] > begin[tp]]
    while left:
        for batch in (await reader.getmany(*left, timeout_ms=200)).values():
            for record in batch:
                yield record
        left = [tp for tp in left if await reader.position(tp) < end[tp]]


async def together(*waits: Awaitable[Any]) -> list[Any]:
    """What each gives. The first fault is raised alone: the others are stopped and say nothing."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Partitions of a topic that exists; aiokafka knows them only of topics that it was told to look at."""
    if not consumer.partitions_for_topic(topic):
        await consumer._client._wait_on_metadata(topic)
    return set(consumer.partitions_for_topic(topic) or ())


async def _done(consumer: AIOKafkaConsumer, end: dict[TopicPartition, int]) -> bool:
    return all([await consumer.position(tp) >= offset for tp, offset in end.items()])

"""Reading whole topics for people: committed records up to the end as it stands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import clients
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import start, started

log = logging.getLogger(__name__)

#: A consumer that has done its work is gone within milliseconds.
_STOP_S = 3.0
#: Seconds after which it is said what is waited for.
_TELL_S = 20.0


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


async def settled(
    bootstrap: str, options: dict[str, Any], tp: TopicPartition, patience_s: float | None = None
) -> AsyncGenerator[Any, None]:
    """Every committed record of a partition, up to where it ends for all.

    An open transaction, whoever's, ends a partition for readers of what is committed, and what was written behind it
    by others is there nonetheless. So its end is waited for, as the lanes wait: the broker sees to it. Whoever would
    read what is uncommitted instead sees what was taken back. Raises :class:`Unavailable` after ``patience_s``.
    """
    reader = clients.consumer(bootstrap, options, auto_offset_reset="earliest", fetch_max_wait_ms=100)
    ends = clients.consumer(bootstrap, options, isolation_level="read_uncommitted")
    async with started(ends, bootstrap, options), started(reader, bootstrap, options):
        end = (await ends.end_offsets([tp]))[tp]
        reader.assign([tp])
        reader.seek(tp, (await reader.beginning_offsets([tp]))[tp])
        loop = asyncio.get_running_loop()
        began, said = loop.time(), False
        while await reader.position(tp) < end:
            for record in readable((await reader.getmany(tp, timeout_ms=200)).get(tp, [])):
                yield record
            if patience_s is not None and loop.time() - began > patience_s:
                raise Unavailable(f"{tp.topic}: another tool's transaction is open for {patience_s:.0f} s; try again")
            if not said and loop.time() - began > _TELL_S:
                said = True
                log.warning("%s[%d]: waiting for the end of somebody's open transaction", tp.topic, tp.partition)


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

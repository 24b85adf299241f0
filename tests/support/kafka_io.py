"""Topics of a test: made, written with ticks, read back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.partitioner import murmur2

from stream_app.kafka import admin, clients
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings
from tests.support.generate import Step


@dataclass(frozen=True)
class Prefix:
    """A test's topics: own prefixes on the session's broker."""

    bootstrap: str
    topics: Topics

    def settings(self, **rules: Any) -> Settings:
        """What a command with these settings would load."""
        topics = self.topics
        return Settings(
            kafka_bootstrap=self.bootstrap, input_prefix=topics.input_prefix, output_prefix=topics.output_prefix,
            input_partitions=topics.input_partitions, model_partitions=topics.model_partitions, app_id=topics.app_id,
            **rules,
        )  # fmt: skip

    async def create(self) -> Prefix:
        """Create every topic."""
        async with admin.admin(self.bootstrap, {}) as client:
            await admin.create(client, [*self.topics.specs(), *self.topics.tools(), *self.topics.logs()], 1)
        return self

    async def configure(self, topic: str, config: dict[str, str]) -> None:
        """Change a topic's configuration."""
        async with admin.admin(self.bootstrap, {}) as client:
            await client.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=config)])

    async def produce(self, topic: str, rows: Iterable[tuple[bytes | None, bytes, int]]) -> None:
        """Write records of (key, value, partition) outside any transaction."""
        async with clients.producer(self.bootstrap, {}) as producer:
            for key, value, partition in rows:
                await producer.send_and_wait(topic, value, key=key, partition=partition)

    async def delete(self, below: str) -> None:
        """Remove every topic whose name starts with ``below``."""
        async with admin.admin(self.bootstrap, {}) as client:
            doomed = [name for name in await client.list_topics() if name.startswith(below)]
            if doomed:
                await client.delete_topics(doomed)


def time_text(ms: int) -> str:
    """RFC 3339."""
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


Reached = dict[str, dict[int, int]]


async def write(
    prefix: Prefix, steps: list[Step], reached: Reached | None = None, ticks: bool = True, compression: str = "gzip"
) -> None:
    """Write steps, a transaction each: the rows, then ticks whose end offsets cover exactly what came before.

    ``reached``: end offsets by topic and partition, carried from one call to the next.
    """
    reached = {} if reached is None else reached
    topics = prefix.topics
    names = {"predictions": topics.predictions, "outcomes": topics.outcomes}
    producer = clients.producer(
        prefix.bootstrap, {}, transactional_id=f"{topics.clock}-test", transaction_timeout_ms=60_000,
        # a record beyond max_record_bytes fits its topic only when it is compressed
        compression_type=compression, max_request_size=2 << 20,
    )  # fmt: skip
    await producer.start()
    for name in names.values():
        reached.setdefault(name, dict.fromkeys(range(topics.input_partitions), 0))
    said = (topics.operator_commands, topics.training_results)
    orders = {name: await end_offsets(prefix.bootstrap, name, topics.model_partitions) for name in said}
    try:
        for at, rows in steps:
            async with producer.transaction():
                sent = []
                for row in rows:
                    partition = (murmur2(row.key) & 0x7FFFFFFF) % topics.input_partitions
                    sent.append(await producer.send(names[row.topic], row.value, key=row.key, partition=partition))
                for answer in await asyncio.gather(*sent):
                    reached[answer.topic][answer.partition] = max(
                        reached[answer.topic][answer.partition], answer.offset + 1
                    )
                if ticks:
                    await _ticks(producer, topics, at, reached, orders)
    finally:
        await producer.stop()


async def write_commands(prefix: Prefix, at: int, orders: dict[int, int]) -> None:
    """An epoch tick without rows that covers operator commands up to an offset by partition."""
    topics = prefix.topics
    producer = clients.producer(prefix.bootstrap, {}, transactional_id=f"{topics.clock}-test")
    await producer.start()
    try:
        async with producer.transaction():
            for p in range(topics.input_partitions):
                await _tick(producer, topics.clock, p, at, {})
            for p in range(topics.model_partitions):
                await _tick(producer, topics.model_clock, p, at, {topics.operator_commands: orders.get(p, 0)})
    finally:
        await producer.stop()


async def _ticks(producer: AIOKafkaProducer, topics: Topics, at: int, reached: Reached, orders: Reached) -> None:
    futures = [
        await _tick(producer, topics.clock, p, at, {name: offsets[p] for name, offsets in reached.items()})
        for p in range(topics.input_partitions)
    ]
    futures += [
        await _tick(producer, topics.model_clock, p, at, {name: offsets[p] for name, offsets in orders.items()})
        for p in range(topics.model_partitions)
    ]
    await asyncio.gather(*futures)


async def _tick(producer: AIOKafkaProducer, topic: str, partition: int, at: int, end_offsets: dict[str, int]) -> Any:
    body = {"at": time_text(at), "ends_epoch": True, "mode": "external", "end_offsets": end_offsets}
    return await producer.send(topic, json.dumps(body).encode(), partition=partition)


async def read(bootstrap: str, topic: str, partitions: int) -> dict[int, list[Any]]:
    """Every committed record of a topic by partition."""
    consumer = clients.consumer(bootstrap, {})
    await consumer.start()
    try:
        tps = [TopicPartition(topic, p) for p in range(partitions)]
        consumer.assign(tps)
        begin = await consumer.beginning_offsets(tps)
        end = await consumer.end_offsets(tps)
        found: dict[int, list[Any]] = {p: [] for p in range(partitions)}
        for tp in tps:
            consumer.seek(tp, begin[tp])
        while any([await consumer.position(tp) < end[tp] for tp in tps]):
            for tp, records in (await consumer.getmany(timeout_ms=200)).items():
                found[tp.partition] += records
        return found
    finally:
        await consumer.stop()


async def end_offsets(bootstrap: str, topic: str, partitions: int) -> dict[int, int]:
    """Offset after the last record, or marker, of each partition."""
    consumer = clients.consumer(bootstrap, {}, isolation_level="read_uncommitted")
    await consumer.start()
    try:
        found = await consumer.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
        return {tp.partition: offset for tp, offset in found.items()}
    finally:
        await consumer.stop()


#: How much longer than on an idle machine a condition may take to come true. Only a test that fails waits so long.
PATIENCE: Final = 3


async def until(condition: Callable[[], Any], bound_s: float = 60.0, what: str = "condition") -> Any:
    """Await a condition (sync or async) that becomes true; fails with its name after the bound, which is what an idle
    machine takes at most."""
    bound_s *= PATIENCE
    deadline = asyncio.get_running_loop().time() + bound_s
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(f"{what} did not come true within {bound_s:.0f} s")
        await asyncio.sleep(0.1)

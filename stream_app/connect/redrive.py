"""Sending dead letters back to where they came from, once each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.partitioning import partition_for
from stream_app.connect.reading import records
from stream_app.topics import Topics

_OWN = ("__connect.errors.", "plumbline.")


class _Keyed(msgspec.Struct):
    line: str


_keyed = msgspec.json.Decoder(_Keyed)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: where it stands, where it stood, why it is here."""

    partition: int
    offset: int
    topic: str
    origin: tuple[int, int]
    reason: str
    error: str
    timestamp: int
    record: Any


async def letters(bootstrap: str, options: dict[str, Any], topics: Topics) -> list[Letter]:
    """Every dead letter, oldest first."""
    found = []
    async for record in records(bootstrap, options, topics.dead_letters):
        header = {name: value.decode("utf-8", "replace") for name, value in record.headers if name.startswith(_OWN)}
        origin = (int(header["__connect.errors.partition"]), int(header["__connect.errors.offset"]))
        found.append(
            Letter(
                record.partition,
                record.offset,
                header["__connect.errors.topic"],
                origin,
                header["plumbline.reason"],
                header["__connect.errors.exception.message"],
                record.timestamp,
                record,
            )
        )
    return sorted(found, key=lambda letter: (letter.timestamp, letter.partition, letter.offset))


async def redrive(bootstrap: str, options: dict[str, Any], topics: Topics, chosen: list[Letter]) -> int:
    """Send letters that were not sent before, in one transaction with the note that they were. Returns how many.

    The note is the offset of a consumer group of its own; letters behind it count as sent.
    """
    group = f"{topics.dead_letters}-redrive"
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, **options)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=group, **options)
    await reader.start()
    await producer.start()
    try:
        done: dict[int, int] = {}
        for partition in {letter.partition for letter in chosen}:
            done[partition] = await reader.committed(TopicPartition(topics.dead_letters, partition)) or 0
        fresh = [letter for letter in chosen if letter.offset >= done[letter.partition]]
        if not fresh:
            return 0
        async with producer.transaction():
            for letter in fresh:
                await _send(producer, topics, letter)
                done[letter.partition] = max(done[letter.partition], letter.offset + 1)
            offsets = {TopicPartition(topics.dead_letters, p): offset for p, offset in done.items()}
            await producer.send_offsets_to_transaction(offsets, group)
        return len(fresh)
    finally:
        await producer.stop()
        await reader.stop()


async def _send(producer: AIOKafkaProducer, topics: Topics, letter: Letter) -> None:
    record = letter.record
    partition = letter.origin[0]
    if letter.topic in (topics.operator_commands, topics.training_results):
        partition = partition_for(_keyed.decode(record.value).line.encode(), topics.line_partitions)
    headers = [(name, value) for name, value in record.headers if not name.startswith(_OWN)]
    await producer.send(letter.topic, record.value, key=record.key, partition=partition, headers=headers)

"""Batches of some rows that are damaged in one way each, and what is to become of the rows."""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer

from stream_app.kafka import clients
from tests.support.batches import CODECS, batch, compress, record, varint
from tests.support.damage import Disk, Put, Spoil, put
from tests.support.kafka_io import Prefix, Reached

Row = tuple[bytes, bytes]  # key, value


@dataclass(frozen=True)
class Made:
    """A batch of some rows, and what is to become of them."""

    content: bytes
    good: set[int]
    reason: str = ""
    #: the bytes that the dead-lettered record tells the digest of; ``None``: the whole batch
    lost: bytes | None = None
    spoil: Spoil | None = None


def records(rows: list[Row], odd: dict[int, bytes] | None = None) -> list[bytes]:
    return [(odd or {}).get(i) or record(i, key, value, [(b"h", b"1")]) for i, (key, value) in enumerate(rows)]


def sound(rows: list[Row], codec: str) -> Made:
    return Made(batch(0, records(rows), codec=codec), set(range(len(rows))))


def odd_header(rows: list[Row], codec: str) -> Made:
    odd = {2: record(2, *rows[2], [(b"\xff\xfe", b"1"), (b"fine", None)])}
    return Made(batch(0, records(rows, odd), codec=codec), set(range(len(rows))))


def unknown_codec(rows: list[Row], codec: str) -> Made:
    payload = compress(codec, b"".join(records(rows)))
    number = 5 + CODECS[codec] % 3
    return Made(batch(0, records(rows), codec=number, payload=payload), set(), "unreadable_batch")


def not_packed(rows: list[Row], codec: str) -> Made:
    payload = random.Random(codec).randbytes(len(compress(codec, b"".join(records(rows)))))
    return Made(batch(0, records(rows), codec=codec, payload=payload), set(), "unreadable_batch")


def inside(rows: list[Row], codec: str) -> Made:
    """The third record has a value that is longer than all that is left."""
    body = b"\0" + varint(2) + varint(2) + varint(1) + b"k" + varint(1 << 40) + rows[2][1]
    bad = varint(len(body)) + body
    content = batch(0, records(rows, {2: bad}), codec=codec)
    return Made(content, set(range(len(rows))) - {2}, "unreadable_record", bad)


def headers_missing(rows: list[Row], codec: str) -> Made:
    """The last record says that it has headers, and has none."""
    last = len(rows) - 1
    body = b"\0" + varint(last) + varint(last) + varint(1) + b"k" + varint(1) + b"v" + varint(9)
    bad = varint(len(body)) + body
    return Made(batch(0, records(rows, {last: bad}), codec=codec), set(range(last)), "unreadable_record", bad)


def one_missing(rows: list[Row], codec: str) -> Made:
    """The header counts one record more than there is."""
    content = batch(0, records(rows[:-1]), codec=codec, last=len(rows) - 1, count=len(rows))
    return Made(content, set(range(len(rows) - 1)), "unreadable_record", b"")


def flipped(rows: list[Row], codec: str) -> Made:
    def spoil(raw: bytearray) -> None:
        raw[random.Random(codec).randrange(61, len(raw))] ^= 0x55

    return Made(batch(0, records(rows), codec=codec), set(), "unreadable_batch", spoil=spoil)


def length(rows: list[Row], codec: str) -> Made:
    length = {"gzip": 2**31 - 1, "snappy": -1, "lz4": 200, "zstd": 5_000}[codec]

    def spoil(raw: bytearray) -> None:
        struct.pack_into(">i", raw, 8, length)

    return Made(batch(0, records(rows), codec=codec), set(), "unreadable_batch", spoil=spoil)


Kind = Callable[[list[Row], str], Made]
#: read or given up at once
AT_ONCE: list[Kind] = [sound, odd_header, unknown_codec, not_packed, inside, headers_missing, one_missing]
DAMAGE: list[Kind] = [*AT_ONCE[1:], flipped, length]


@dataclass
class Written:
    """What lies in the topics: rows for the oracle, and dead-lettered records that must come."""

    rows: dict[str, dict[int, list[tuple[int, bytes | None]]]] = field(default_factory=dict)
    #: (topic, partition, first offset) → reason, last offset, records, digest
    letters: dict[tuple[str, int, int], tuple[str, int, int, str]] = field(default_factory=dict)
    ends: Reached = field(default_factory=dict)

    def add(self, found: Put, rows: list[Row], made: Made) -> None:
        """A batch as it was put."""
        part = self.rows.setdefault(found.topic, {}).setdefault(found.partition, [])
        for i, (_, value) in enumerate(rows):
            part.append((found.first + i, value if i in made.good else b"\0"))
        lost = [i for i in range(len(rows)) if i not in made.good]
        if lost:
            raw = found.raw if made.lost is None else made.lost
            self.letters[found.topic, found.partition, found.first + lost[0]] = (
                made.reason, found.first + lost[-1], len(lost), hashlib.sha256(raw).hexdigest(),
            )  # fmt: skip
        ends = self.ends.setdefault(found.topic, {})
        ends[found.partition] = max(ends.get(found.partition, 0), found.first + len(rows))


class Writer:
    """Producers of one step; what they wrote is seen when it ends."""

    def __init__(self, disk: Disk, written: Written, plain: AIOKafkaProducer, transactional: AIOKafkaProducer) -> None:
        self._disk, self._written = disk, written
        self._producers = {False: plain, True: transactional}

    async def put(self, topic: str, partition: int, rows: list[Row], made: Made, transactional: bool = False) -> Put:
        """Write a batch."""
        producer = self._producers[transactional]
        found = await put(self._disk, producer, topic, partition, made.content, made.spoil)
        self._written.add(found, rows, made)
        return found


@asynccontextmanager
async def unseen(prefix: Prefix, written: Written, topics: dict[str, list[int]]) -> AsyncIterator[Writer]:
    """Batches that are written within it are seen by readers of committed records when it ends."""
    async with AsyncExitStack() as stack:

        async def producer(**more: Any) -> AIOKafkaProducer:
            return await stack.enter_async_context(
                clients.producer(prefix.bootstrap, {}, max_batch_size=1 << 20, **more)
            )

        name = f"{prefix.topics.input_prefix}damage"
        first = await producer(transactional_id=f"{name}-first", transaction_timeout_ms=60_000)
        within = await producer(transactional_id=f"{name}-within", transaction_timeout_ms=60_000)
        disk = await Disk.of(prefix.bootstrap)
        async with first.transaction():
            # of no model and of no command: what opens the transaction is a dead-lettered record like any other
            for topic, partitions in topics.items():
                for partition in partitions:
                    sent = await first.send_and_wait(topic, b"\0", partition=partition)
                    written.rows.setdefault(topic, {}).setdefault(partition, []).append((sent.offset, b"\0"))
            writer = Writer(disk, written, await producer(), within)
            async with within.transaction():
                yield writer

"""Kafka batches made manually, and a partition's log that is fetched from as a broker serves it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import cramjam
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

from stream_app.kafka import batches
from stream_app.kafka.record import Record

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
HEADER = struct.Struct(">qiibIhiqqqhii")
TP = TopicPartition("topic", 3)
NOW = 1_700_000_000_000


def varint(value: int) -> bytes:
    out = bytearray()
    encode_varint(value, out.append)
    return bytes(out)


def field(content: bytes | None) -> bytes:
    return varint(-1) if content is None else varint(len(content)) + content


def record(
    delta: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[bytes, bytes | None]] = ()
) -> bytes:
    """A record of format 2; ``headers`` have names of bytes, so that they need not be text."""
    body = b"\0" + varint(delta) + varint(delta) + field(key) + field(value) + varint(len(headers))
    body += b"".join(field(name) + field(content) for name, content in headers)
    return varint(len(body)) + body


def compress(codec: str, data: bytes) -> bytes:
    """As producers and brokers do."""
    return {
        "none": bytes, "gzip": gzip_encode, "snappy": snappy_encode, "lz4": lz4_encode, "zstd": zstd_encode,
        "snappy-raw": lambda plain: bytes(cramjam.snappy.compress_raw(plain)),
    }[codec](data)  # fmt: skip


def batch(
    base: int, records: Sequence[bytes], *, codec: str | int = "none", last: int | None = None,
    count: int | None = None, payload: bytes | None = None, transaction: int | None = None, control: bool = False,
) -> bytes:  # fmt: skip
    """A sound batch; ``payload`` in place of the packed records, ``transaction`` the producer's id."""
    number = codec if isinstance(codec, int) else CODECS[codec.split("-")[0]]
    if payload is None:
        payload = compress(codec if isinstance(codec, str) else "none", b"".join(records))
    attributes = number | (0x10 if transaction is not None else 0) | (0x20 if control else 0)
    delta = len(records) - 1 if last is None else last - base
    tail = struct.pack(
        ">hiqqqhii", attributes, delta, NOW, NOW + delta, -1 if transaction is None else transaction, 0, 0,
        len(records) if count is None else count,
    ) + payload  # fmt: skip
    head = struct.pack(">qiibI", base, len(tail) + 9, 0, 2, calc_crc32c(tail))
    return head + tail


def resealed(raw: bytes) -> bytes:
    """The batch with the checksum that its bytes have: what a faulty producer writes."""
    return raw[:17] + struct.pack(">I", calc_crc32c(raw[21:])) + raw[21:]


def marker(offset: int, transaction: int, *, abort: bool) -> bytes:
    """A control batch that ends a transaction."""
    key = struct.pack(">hh", 0, 0 if abort else 1)
    return batch(offset, [record(0, key, struct.pack(">hi", 0, 0))], transaction=transaction, control=True)


class State:
    """Stands in for aiokafka's state of a partition."""

    def __init__(self, highwater: int) -> None:
        self.position, self.paused, self.highwater = 0, False, highwater

    def consumed_to(self, position: int) -> None:
        self.position = position


class Assignment:
    active = True

    def __init__(self, state: State) -> None:
        self._state = state

    def state_value(self, tp: TopicPartition) -> State:
        return self._state


class Log(NamedTuple):
    """Batches of a partition: (first offset, last offset, bytes), as the broker's index knows them."""

    batches: list[tuple[int, int, bytes]]
    aborted: Sequence[tuple[int, int, int]] = ()  # producer, first offset, marker's offset

    def fetch(self, offset: int, most: int) -> bytes:
        """The batch that holds the offset in full, and what follows up to ``most`` bytes, cut."""
        found = [raw for _, last, raw in self.batches if last >= offset]
        return b"".join(found)[: max(most, len(found[0]))] if found else b""


class Clock:
    """Monotonic time that moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


def read(
    log: Log, *, clock: Clock, most: int = 1 << 20, max_records: int | None = None, committed: bool = True
) -> list[Record]:
    """Everything a consumer gets from the log, position by position; time moves while it waits."""
    end = log.batches[-1][1] + 1
    state = State(end)
    assignment = Assignment(state)
    got: list[Record] = []
    for _ in range(100_000):
        if state.position >= end:
            return got
        fetched = batches.Batches(log.fetch(state.position, most))
        assert fetched.has_next(), state.position
        aborted = [(producer, first) for producer, first, until in log.aborted if until >= state.position]
        records: Any = batches.PartitionRecords(TP, fetched, aborted, state.position, None, None, True, int(committed))
        result = batches.FetchResult(TP, assignment=assignment, partition_records=records, backoff=0.1)
        while result.has_more():
            before = state.position
            found = result.getall(max_records)
            got += found
            if not found and state.position == before and result.has_more():
                clock.now += 0.5
    raise AssertionError(f"the reader stands at {state.position} of {end}")

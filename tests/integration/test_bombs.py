"""Batches of some kilobytes that unpack to hundreds of megabytes: the lanes go on, and the worker stays small."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from aiokafka import AIOKafkaProducer

from schemas import deadletters
from schemas.partitioning import partition_for
from stream_app.kafka import clients
from tests.support.batches import batch, field, varint
from tests.support.damage import Disk, put
from tests.support.generate import HOUR, START
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, Reached, read, until, write
from tests.support.worker import Worker

MOST_MB = 700
#: ten seconds on a machine that does nothing else
GOES_ON_S = 30


def _record(megabytes: int) -> Iterator[bytes]:
    """A prediction of that size, piece by piece: a test that held it would need more than what it measures."""
    head = b'{"prediction_id": "b", "features": {"x": "'
    size, tail = megabytes << 20, b'"}}'
    body = b"\0\0\0" + field(b"b") + varint(len(head) + size + len(tail)) + head
    yield varint(len(body) + size + len(tail) + 1) + body
    for _ in range(megabytes):
        yield b"0" * (1 << 20)
    yield tail + varint(0)


def _packed(codec: str, megabytes: int) -> bytes:
    if codec == "gzip":
        gzip = zlib.compressobj(9, wbits=31)
        return b"".join(map(gzip.compress, _record(megabytes))) + gzip.flush()
    zstd = zstandard.ZstdCompressor().compressobj()
    return b"".join(map(zstd.compress, _record(megabytes))) + zstd.flush()


def peak_mb(running: Worker) -> float:
    """The most memory that it ever held."""
    status = Path(f"/proc/{running.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


async def _rows(producer: AIOKafkaProducer, prefix: Prefix, first: int, reached: Reached) -> None:
    """Thirty predictions and their outcomes."""
    topics = prefix.topics
    for number in range(first, first + 30):
        key = b"p%d" % number
        partition = partition_for(key, topics.input_partitions)
        row = {"prediction_id": f"p{number}", "model_type": "churn", "model_version": "v1", "score": 0.5}
        for topic, body in (
            (topics.predictions, {**row, "predicted_at": START}),
            (topics.outcomes, {"prediction_id": f"p{number}", "actual": True, "observed_at": START}),
        ):
            sent = await producer.send_and_wait(topic, json.dumps(body).encode(), key=key, partition=partition)
            reached.setdefault(topic, {})[partition] = sent.offset + 1


async def test_bombs_of_400_megabytes_in_every_partition_leave_the_worker_below_its_bound(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = prefix.topics
    running = worker().start()
    await until(lambda: '"ready":true' in running.ready(), 90, "the worker to be ready")
    before = peak_mb(running)
    bombs = [batch(0, [b""], codec=codec, payload=_packed(codec, 400)) for codec in ("gzip", "zstd")]
    assert max(map(len, bombs)) < 500_000
    disk, reached = await Disk.of(prefix.bootstrap), Reached()
    settings = {"max_batch_size": 1 << 20, "transactional_id": f"{topics.input_prefix}bombs"}
    async with clients.producer(prefix.bootstrap, {}, **settings) as producer:
        async with producer.transaction():
            await _rows(producer, prefix, 0, reached)
            for topic, bomb in zip((topics.predictions, topics.outcomes), bombs, strict=True):
                for partition in range(topics.input_partitions):
                    await put(disk, producer, topic, partition, bomb)
            await _rows(producer, prefix, 100, reached)
        begun = time.monotonic()
        await write(prefix, [(START + HOUR, [])], reached)
        follower = await finished(prefix, START + HOUR, [running])
        spent = time.monotonic() - begun
    for side in ("predictions", "outcomes"):
        assert +Counter(follower.dispositions[side]) == Counter(joined=60, dead_lettered=topics.input_partitions)
    parts = await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)
    letters: list[dict[str, Any]] = [deadletters.added(r.headers) for part in parts.values() for r in part]
    assert [letter[deadletters.REASON] for letter in letters] == ["unreadable_batch"] * 2 * topics.input_partitions
    assert all("more than" in letter[deadletters.MESSAGE] for letter in letters)
    print(f"peak memory {before:.0f} MB before the bombs, {peak_mb(running):.0f} MB after; out after {spent:.1f} s")
    assert peak_mb(running) < MOST_MB
    assert spent < GOES_ON_S


@pytest.mark.long
async def test_18_000_model_types_stop_nothing_at_the_limit_of_today(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """Names of 128 bytes, far more of them than a partition counts, by the limits as they are delivered."""
    topics = prefix.topics
    running = worker().start()
    await until(lambda: '"ready":true' in running.ready(), 90, "the worker to be ready")
    reached, types = Reached(), 18_000
    async with clients.producer(prefix.bootstrap, {}, linger_ms=20) as producer:
        sent = []
        for number in range(types):
            key = b"t%d" % number
            row = {"prediction_id": f"t{number}", "model_type": f"{number:08d}".ljust(128, "x"), "model_version": "v1"}
            partition = partition_for(key, topics.input_partitions)
            value = json.dumps({**row, "score": 0.5, "predicted_at": START}).encode()
            sent.append(await producer.send(topics.predictions, value, key=key, partition=partition))
        for future in sent:
            found = await future
            ends = reached.setdefault(found.topic, {})
            ends[found.partition] = max(ends.get(found.partition, 0), found.offset + 1)
        await _rows(producer, prefix, 0, reached)
    begun = time.monotonic()
    await write(prefix, [(START + HOUR, [])], reached)
    follower = await finished(prefix, START + HOUR, [running])
    spent = time.monotonic() - begun
    known = topics.input_partitions * 1_000
    assert follower.dispositions["predictions"]["dead_lettered"] == types - known + 30
    assert sum(follower.dispositions["predictions"].values()) == types + 30
    print(f"out after {spent:.1f} s; peak memory {peak_mb(running):.0f} MB")
    records = await read(prefix.bootstrap, topics.changelog("labels"), topics.input_partitions)
    largest = max(len(r.value) for part in records.values() for r in part if r.key == b"\x00positions")
    assert largest < 2_000

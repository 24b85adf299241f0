"""The checkpoint: a lane's atomic unit of progress.

======  ===========================================  =======================================================
step    what happens                                 killed right after it: what survives, what is redone
======  ===========================================  =======================================================
1       the Kafka transaction begins                 nothing was written; the epoch's work is redone
2       outputs are handed to the producer           they are invisible to read-committed readers; the next
                                                     holder's producer aborts them; redone
3       changelog batch and positions record are     as 2
        handed to the producer
4       every produce future was awaited, checked    as 2, though all of it lies in the log
5       the group's offsets joined the transaction   as 2; the lanes never read those offsets
6       the transaction committed                    everything; the store lacks the batch and takes it from
                                                     the changelog when it is restored
7       one RocksDB WriteBatch: entries, positions   everything; without a write-ahead log the store may fall
        and changelog offset                         back to its last flush and restores from there
======  ===========================================  =======================================================

Steps 1 to 6 fail or succeed as one. If anything in them raises, the caller takes the one recovery path
(:mod:`~stream_app.engine.lanes`): even a commit whose answer was lost may have happened, and only the changelog knows.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from stream_app.engine import failpoints
from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import (
    POSITIONS_KEY,
    DrainedEffects,
    EmitTuple,
    EngineConfig,
    Positions,
    StageSpec,
    encode_positions,
)
from stream_app.engine.store import FORMAT, Meta, Store

_NO_HEADERS: list[tuple[str, bytes]] = []
_Record = tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]


@dataclass(slots=True)
class CheckpointFigures:
    """What checkpoints of a lane cost so far."""

    count: int = 0
    records: int = 0
    seconds: float = 0.0
    last_seconds: float = 0.0
    #: of outputs and changelog, as sent
    bytes: int = 0
    #: outputs by alias and whatever ``EngineConfig.describe`` tells of them
    published: Counter[tuple[str, ...]] = field(default_factory=Counter)
    #: monotonic time of the last one
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckpointTarget:
    """Where the checkpoints of an open lane go, and what they cost."""

    spec: StageSpec
    partition: int
    config: EngineConfig
    producer: LaneProducer
    store: Store
    figures: CheckpointFigures


async def checkpoint(
    target: CheckpointTarget, drained: DrainedEffects, refused: list[EmitTuple], positions: Positions
) -> int:
    """Run the seven steps; ``refused`` are outputs of the lane's own.

    Returns the changelog offset reached (that of the next record to come).
    """
    spec, partition, config = target.spec, target.partition, target.config
    producer, figures = target.producer, target.figures
    started, sent = time.monotonic(), producer.bytes_sent
    stage = spec.name
    outputs: dict[tuple[str, int], list[_Record]] = defaultdict(list)
    published: list[tuple[str, ...]] = []
    for alias, to, key, value, headers in (*drained.emits, *refused):
        topic, partitions = spec.outputs[alias]
        published.append((alias, *config.describe(alias, value, headers)))
        outputs[topic, partition % partitions if to is None else to].append((key, value, headers))
    record = encode_positions(positions)

    await producer.begin()
    failpoints.hit("checkpoint.1-begun", stage)
    for (topic, to), records in outputs.items():
        await producer.send(topic, to, records)
    failpoints.hit("checkpoint.2-outputs-sent", stage)
    await producer.send(spec.changelog, partition, _changelog(drained.puts, record))
    failpoints.hit("checkpoint.3-changelog-sent", stage)
    answers = await producer.acknowledged()
    failpoints.hit("checkpoint.4-acknowledged", stage)
    if failpoints.armed("pretend-the-commit-is-slow"):
        await failpoints.linger(config.transaction_timeout_s / 2)
    if failpoints.spend("outlast-the-transaction"):
        await asyncio.sleep(config.transaction_timeout_s + 3)
    while failpoints.spend("hang-in-a-commit"):
        await failpoints.hang()
    inputs = spec.inputs()
    await producer.send_offsets(
        {TopicPartition(inputs[alias], partition): offset for alias, offset in positions.positions.items()}
    )
    failpoints.hit("checkpoint.5-offsets-sent", stage)
    await producer.commit()
    failpoints.hit("checkpoint.6-committed", stage)
    # The positions record is the last of the last changelog batch; an answer carries its batch's base offset.
    reached = answers[-1].offset + producer.last_batch_count
    meta = Meta(config.cluster, spec.changelog, FORMAT, reached, time.time_ns() // 1_000_000, record)
    target.store.write(drained.puts.items(), meta)
    failpoints.hit("checkpoint.7-written", stage)

    now = time.monotonic()
    figures.count += 1
    figures.records += len(drained.puts)
    figures.bytes += producer.bytes_sent - sent
    figures.published.update(published)
    figures.last_seconds = now - started
    figures.seconds += now - started
    figures.at = now
    return reached


def _changelog(puts: dict[bytes, bytes | None], record: bytes) -> Iterator[_Record]:
    for key, value in puts.items():
        yield key, value, _NO_HEADERS
    yield POSITIONS_KEY, record, _NO_HEADERS

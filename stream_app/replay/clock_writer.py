"""Simulated ticks: one Kafka transaction a tick, rows and ticks together, so that either all of it is there or none.

The transactional id belongs to the input prefix: a second writer fences the first instead of interleaving with it.
A tick carries the replay's digest and how many of its events came before it; that is where a restart goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from schemas.clock import Tick
from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import clients
from stream_app.kafka.clock_tail import read_tail
from stream_app.kafka.reach import start, started
from stream_app.kafka.topics import Topics

#: A tick's transaction carries an hour of rows, or a day's; the broker allows 15 minutes at most.
TRANSACTION_TIMEOUT_S = 120.0
_BATCH_BYTES = 500_000


class _Written(Tick, frozen=True):
    digest: str | None = None
    row: int = 0


_decoder = msgspec.json.Decoder(_Written)


@dataclass(frozen=True, slots=True)
class ClockState:
    """Where the clock stands: its last tick (epoch ms, 0 for none), mode, and the replay that wrote it."""

    at_ms: int
    mode: str | None
    digest: str | None
    row: int


def _live(topics: Topics) -> Incompatible:
    return Incompatible(
        f"{topics.clock} is live, by a worker that ticks it or since it was handed over: simulated time cannot be "
        "mixed in. Bring history beside a running model with `plumbline load`, or replay under another "
        "PLUMBLINE_INPUT_PREFIX."
    )


async def refuse_live(bootstrap: str, options: dict[str, Any], topics: Topics) -> None:
    """``Incompatible`` if the clock is live; asked before a file is read, and without fencing anybody."""
    reader = clients.consumer(bootstrap, options, fetch_max_wait_ms=100)
    async with started(reader, bootstrap, options):
        tps = [TopicPartition(topics.clock, partition) for partition in range(topics.input_partitions)]
        if (await read_tail(reader, tps)).mode == "live":
            raise _live(topics)


class ClockWriter:
    """Writes rows and simulated ticks. Use as an async context manager."""

    def __init__(self, bootstrap: str, options: dict[str, Any], topics: Topics) -> None:
        self._topics = topics
        self._where = (bootstrap, options)
        self._producer = clients.producer(
            bootstrap,
            options,
            transactional_id=f"{topics.clock}-writer",
            transaction_timeout_ms=int(TRANSACTION_TIMEOUT_S * 1000),
            max_batch_size=_BATCH_BYTES,
            linger_ms=0,
        )
        self._reader = clients.consumer(bootstrap, options)
        self._clients = AsyncExitStack()
        self._end_offsets: dict[TopicPartition, int] = {}
        self.stand = ClockState(0, None, None, 0)

    async def __aenter__(self) -> ClockWriter:
        topics = self._topics
        async with AsyncExitStack() as stack:
            for client in (self._reader, self._producer):
                stack.push_async_callback(client.stop)
            for client in (self._producer, self._reader):
                await start(client, *self._where)
            await self._refresh((topics.predictions, topics.outcomes), topics.input_partitions)
            self.stand = await self._tail()
            if self.stand.mode == "live":
                raise _live(topics)
            self._clients = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._clients.aclose()

    async def write(
        self,
        at_ms: int,
        rows: Iterable[tuple[str, str, bytes]],
        digest: str | None = None,
        row: int = 0,
        mode: str = "external",
    ) -> None:
        """One transaction: ``rows`` as (topic, prediction id, value), then the tick on every clock partition."""
        topics, producer = self._topics, self._producer
        try:
            async with producer.transaction():
                await self._send_rows(rows)
                await self._refresh((topics.operator_commands, topics.training_results), topics.model_partitions)
                extra = {"at": rfc3339(at_ms), "ends_epoch": True, "mode": mode, "digest": digest, "row": row}
                futures = [
                    await producer.send(clock, self._tick(extra, names, partition), partition=partition)
                    for clock, names, count in (
                        (topics.clock, (topics.predictions, topics.outcomes), topics.input_partitions),
                        (
                            topics.model_clock,
                            (topics.operator_commands, topics.training_results),
                            topics.model_partitions,
                        ),
                    )
                    for partition in range(count)
                ]
                await asyncio.gather(*futures)
        except ProducerFenced as error:
            raise Unavailable(
                "another replay or backfill of this prefix, or a worker's live clock, has taken over; this one stops"
            ) from error
        self.stand = ClockState(at_ms, mode, digest, row)

    async def write_covering(self, at_ms: int, offsets: dict[tuple[str, int], int]) -> None:
        """A tick without rows that covers each (topic, partition) up to an offset; end offsets never go back."""
        for (topic, partition), offset in offsets.items():
            self._end_offsets[TopicPartition(topic, partition)] = offset
        await self.write(at_ms, ())

    async def hand_over(self) -> None:
        """The change of mode: the same time once more, which no lane handles again, marked live."""
        if self.stand.at_ms:
            await self.write(self.stand.at_ms, (), mode="live")

    async def _send_rows(self, rows: Iterable[tuple[str, str, bytes]]) -> None:
        producer, count = self._producer, self._topics.input_partitions
        open_batches: dict[TopicPartition, Any] = {}
        sent: list[tuple[TopicPartition, int, Any]] = []

        async def flush(tp: TopicPartition) -> None:
            builder = open_batches.pop(tp)
            size = builder.record_count()
            builder.close()
            sent.append((tp, size, await producer.send_batch(builder, tp.topic, partition=tp.partition)))

        for topic, name, value in rows:
            key = name.encode()
            tp = TopicPartition(topic, partition_for(key, count))
            builder = open_batches.get(tp)
            if builder is None:
                builder = open_batches[tp] = producer.create_batch()
            if builder.append(timestamp=None, key=key, value=value) is None:
                await flush(tp)
                builder = open_batches[tp] = producer.create_batch()
                builder.append(timestamp=None, key=key, value=value)
        for tp in list(open_batches):
            await flush(tp)
        for tp, size, future in sent:
            answer = await future
            self._end_offsets[tp] = max(self._end_offsets.get(tp, 0), answer.offset + size)

    def _tick(self, extra: dict[str, Any], names: tuple[str, str], partition: int) -> bytes:
        end_offsets = {name: self._end_offsets.get(TopicPartition(name, partition), 0) for name in names}
        return orjson.dumps({**extra, "end_offsets": end_offsets}, option=orjson.OPT_SORT_KEYS)

    async def _refresh(self, names: tuple[str, str], count: int) -> None:
        tps = [TopicPartition(name, partition) for name in names for partition in range(count)]
        ends = await self._reader.end_offsets(tps)
        for tp, end in ends.items():
            self._end_offsets[tp] = max(self._end_offsets.get(tp, 0), end)

    async def _tail(self) -> ClockState:
        """The last tick on partition 0 of the clock; a tick's transaction covers all partitions."""
        last = await read_tail(self._reader, [TopicPartition(self._topics.clock, 0)])
        try:
            written = _decoder.decode(last.value)
        except msgspec.DecodeError:  # none yet, or one that no replay of ours wrote
            return ClockState(last.at_ms, last.mode, None, 0)
        return ClockState(last.at_ms, last.mode, written.digest, written.row)

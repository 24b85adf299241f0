"""The transactional producer of a lane.

aiokafka's ``commit_transaction`` does not look at what became of the produced batches, and a failed batch breaks the
producer's sequence for good. So every future is awaited and checked before the commit, and a producer that saw any
failure is never used again: a new one with the same id settles the old transaction.

A record that its topic would not take is found before it is sent, and a refusal of the broker for size is never
retried: both are faults of ours, or of whoever lowered the topic's limit, and park the lane with topic and size.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from schemas import bounds
from stream_app.engine.protocol import EngineConfig
from stream_app.errors import Parked
from stream_app.kafka import clients

#: The broker's answers to a batch that is larger than the topic, or the log's segments, allow.
_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)


class LaneProducer:
    """One transaction at a time for one transactional id."""

    def __init__(self, config: EngineConfig, transactional_id: str) -> None:
        self._config = config
        self._producer = clients.producer(
            config.bootstrap,
            config.kafka_options,
            client_id=transactional_id,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(config.transaction_timeout_s * 1000),
            max_batch_size=config.max_batch_bytes,
            max_request_size=bounds.DEAD_LETTER,
            request_timeout_ms=int(config.transaction_timeout_s * 1000),
            linger_ms=0,
        )
        self._futures: list[Any] = []
        #: topic and bytes of the batch of each future
        self._batches: list[tuple[str, int]] = []
        #: records in the batch sent last; an answer tells the offset of its batch's first record only
        self.last_batch_count = 0
        #: bytes of all batches so far, as they go over the wire
        self.bytes_sent = 0

    async def start(self) -> None:
        """Connect and take the id over: fences the former holder and settles its open transaction."""
        await self._producer.start()
        await self._producer._txn_manager.wait_for_pid()

    async def begin(self) -> None:
        """Step 1 of the checkpoint."""
        self._futures.clear()
        self._batches.clear()
        await self._producer.begin_transaction()

    async def send(
        self,
        topic: str,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]],
    ) -> None:
        """Hand records of one partition to the producer in batches below the limit; a larger record goes alone.

        Raises :class:`Parked` before anything is sent that the topic would not take.
        """
        producer = self._producer
        builder = producer.create_batch()
        append = builder.append
        for key, value, headers in records:
            if append(timestamp=None, key=key, value=value, headers=headers) is None:
                await self._send_batch(builder, topic, partition)
                builder = producer.create_batch()
                append = builder.append
                append(timestamp=None, key=key, value=value, headers=headers)  # the first is always taken
        await self._send_batch(builder, topic, partition)

    async def _send_batch(self, builder: Any, topic: str, partition: int) -> None:
        if builder.record_count():
            self.last_batch_count = builder.record_count()
            builder.close()
            size = builder.size()
            limit = self._config.message_limits.get(topic, bounds.MESSAGE)
            if size > limit:
                raise refused_for_size(
                    topic, size, f"more than the {limit} bytes that its max.message.bytes was made with;"
                )
            self.bytes_sent += size
            self._batches.append((topic, size))
            self._futures.append(await self._producer.send_batch(builder, topic, partition=partition))

    async def acknowledged(self) -> list[Any]:
        """Wait for every batch; raises the first failure. Returns the broker's answers in order of sending."""
        try:
            return list(await asyncio.gather(*self._futures))
        except _TOO_LARGE as error:
            refused = [
                b for f, b in zip(self._futures, self._batches, strict=True) if f.done() and f.exception() is error
            ]
            topic, size = refused[0] if refused else ("a topic", max(size for _, size in self._batches))
            raise refused_for_size(topic, size, "and the broker refused it: was max.message.bytes lowered?") from error

    async def send_offsets(self, offsets: dict[TopicPartition, int]) -> None:
        """Step 5 of the checkpoint: the group's offsets, for those who watch its lag; the lanes do not read them."""
        await self._producer.send_offsets_to_transaction(offsets, self._config.group)

    async def commit(self) -> None:
        """Step 6 of the checkpoint."""
        await self._producer.commit_transaction()

    async def stop(self) -> None:
        """Let go without ending an open transaction: its fate is the next holder's to settle."""
        for future in self._futures:
            if not future.done():
                future.cancel()
        producer = self._producer
        with contextlib.suppress(Exception, asyncio.CancelledError):
            if producer._sender is not None and producer._sender.sender_task is not None:
                producer._sender.sender_task.cancel()
                await asyncio.wait([producer._sender.sender_task], timeout=1)
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await producer.client.close()
        producer._closed = True


def refused_for_size(topic: str, size: int, why: str) -> Parked:
    """A batch that a topic does not take, and what to do."""
    return Parked(
        "size_refused",
        f"a batch for {topic} has {size} bytes, {why} `plumbline topics check` says which limit it needs; nothing of "
        "the checkpoint was written, and it is done again when the worker is restarted",
    )

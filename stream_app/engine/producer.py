"""The transactional producer of a lane.

aiokafka's ``commit_transaction`` does not look at what became of the produced batches, and a failed batch breaks the
producer's sequence for good. So every future is awaited and checked before the commit, and a producer that saw any
failure is never used again: a new one with the same id settles the old transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition

from stream_app.engine.protocol import EngineConfig
from stream_app.kafka import clients


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
            max_request_size=16 << 20,
            request_timeout_ms=int(config.transaction_timeout_s * 1000),
            linger_ms=0,
        )
        self._futures: list[Any] = []
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
        await self._producer.begin_transaction()

    async def send(
        self,
        topic: str,
        partition: int,
        records: Iterable[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]],
    ) -> None:
        """Hand records of one partition to the producer in batches below the limit."""
        producer = self._producer
        builder = producer.create_batch()
        append = builder.append
        for key, value, headers in records:
            if append(timestamp=None, key=key, value=value, headers=headers) is None:
                await self._send_batch(builder, topic, partition)
                builder = producer.create_batch()
                append = builder.append
                if append(timestamp=None, key=key, value=value, headers=headers) is None:
                    raise ValueError(f"a record of {len(value or b'')} bytes does not fit a batch of {topic}")
        await self._send_batch(builder, topic, partition)

    async def _send_batch(self, builder: Any, topic: str, partition: int) -> None:
        if builder.record_count():
            self.last_batch_count = builder.record_count()
            builder.close()
            self.bytes_sent += builder.size()
            self._futures.append(await self._producer.send_batch(builder, topic, partition=partition))

    async def acknowledged(self) -> list[Any]:
        """Wait for every batch; raises the first failure. Returns the broker's answers in order of sending."""
        return list(await asyncio.gather(*self._futures))

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
            await asyncio.wait_for(producer.client.close(), 2)
        producer._closed = True

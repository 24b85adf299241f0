"""Faust's Kafka transport with what exactly-once lanes need and Faust does not offer as settings.

- Records are read committed, wait at most 100 ms for data, and arrive as :class:`~.chunks.Chunk`.
- Nothing is committed and nothing is sought here: positions live in the lanes' state and the lanes seek.
- Only partitions behind the *gate* are fetched: a lane opens it when its state is restored.
- A retention that overtook a position is reported, never papered over by a reset.

Worked around, of faust-streaming 0.15 (docs/architecture.md): it commits and seeks on its own, drops records below its
``_read_offset`` after a seek back, and polls with a hard-coded second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

import aiokafka
import faust
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from mode.utils.objects import cached_property

from stream_app.engine.chunks import Chunk
from stream_app.kafka import clients

_POLL_SECONDS = 0.1
_FETCH_WAIT_MS = 100


class _NoReadOffsets(dict[TP, Any]):
    """Faust drops what lies below the offset it read last; after a seek back that would be the seek's purpose."""

    def __missing__(self, tp: TP) -> None:
        return None

    def __setitem__(self, tp: TP, offset: Any) -> None:
        """Forget it."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Forget them."""


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Fetches in its own thread; owns positions, seek epochs and the heartbeat's last success."""

    #: partitions whose lane is open; replaced as a whole by the main thread
    gate: frozenset[TP] = frozenset()
    #: called in the main loop with partitions whose position the log no longer holds
    on_out_of_range: Callable[[frozenset[TP]], None] | None = None
    #: monotonic time of the last successful heartbeat, for lanes that were fenced
    heartbeat_at: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positions: dict[TP, int] = {}
        self._epochs: dict[TP, int] = {}

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        conf = self.app.conf
        self._assignor = self.app.assignor
        return clients.consumer(
            driver.server_list(transport.url, transport.default_port),
            cast("EngineApp", self.app).kafka_security,
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=[self._assignor],
            auto_offset_reset="none",
            max_poll_records=conf.broker_max_poll_records,
            max_poll_interval_ms=int((conf.broker_max_poll_interval or 300.0) * 1000),
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )

    async def on_start(self) -> None:
        """Start the consumer and listen to its heartbeats."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator
        heartbeat = coordinator._do_heartbeat

        async def listen() -> bool:
            alive: bool = await heartbeat()
            if alive:
                self.heartbeat_at = time.monotonic()
            return alive

        coordinator._do_heartbeat = listen

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        wanted = active_partitions & self.gate
        if not wanted:
            await asyncio.sleep(0.02)
            return {}
        try:
            fetched: Mapping[TP, list[Any]] = await super()._fetch_records(
                consumer, wanted, timeout=_POLL_SECONDS, max_records=max_records
            )
        except NoOffsetForPartitionError:
            # Newly assigned, without a committed offset and not yet sought; the lane's seek will settle it.
            await asyncio.sleep(0.02)
            return {}
        except OffsetOutOfRangeError as error:
            lost = frozenset(TP(*tp) for tp in error.args[0])
            if self.on_out_of_range is not None:
                self.app.loop.call_soon_threadsafe(self.on_out_of_range, lost)
            return {}
        return self._as_chunks(consumer, wanted, fetched)

    def _as_chunks(
        self, consumer: aiokafka.AIOKafkaConsumer, wanted: Iterable[TP], fetched: Mapping[TP, list[Any]]
    ) -> dict[TP, list[Chunk]]:
        subscription = consumer._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        if assignment is None:
            return {}
        chunks: dict[TP, list[Chunk]] = {}
        for tp in wanted:
            start = self._positions.get(tp)
            if start is None or tp not in assignment.tps:
                continue
            state = assignment.state_value(tp)
            if not state.has_valid_position:
                continue
            end = state.position
            if end != start:
                chunks[tp] = [Chunk(tp, fetched.get(tp, []), start, end, self._epochs.get(tp, 0))]
                self._positions[tp] = end
        return chunks

    async def seek_input(self, tp: TP, offset: int) -> int:
        """Move a partition; returns the seek's epoch: chunks of an earlier one are stale."""
        return cast(int, await self.call_thread(self._seek_input, tp, offset))

    async def _seek_input(self, tp: TP, offset: int) -> int:
        self._ensure_consumer().seek(aiokafka.TopicPartition(tp.topic, tp.partition), offset)
        self._positions[tp] = offset
        self._epochs[tp] = epoch = self._epochs.get(tp, 0) + 1
        return epoch

    async def stop_fetching(self, tps: Iterable[TP]) -> None:
        """Pause partitions in the client itself: changelogs are restored by other means and never fetched here."""
        await self.call_thread(self._stop_fetching, list(tps))

    async def _stop_fetching(self, tps: list[TP]) -> None:
        consumer = self._ensure_consumer()
        mine = consumer.assignment()
        consumer.pause(*(tp for tp in (aiokafka.TopicPartition(*t) for t in tps) if tp in mine))


class Consumer(driver.Consumer):
    """Delivers chunks; leaves committing and seeking to the lanes."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._read_offset = _NoReadOffsets()

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def thread(self) -> ConsumerThread:
        """The fetching thread."""
        return self._thread

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """Nothing is there: Faust asks for changelogs alone, and those are the lanes' to restore."""
        return dict.fromkeys(partitions, 0)

    async def perform_seek(self) -> None:
        """Do nothing: every lane seeks its inputs when it opens."""

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return True

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: lanes report their own progress."""


class Producer(driver.Producer):
    """Faust's own producer, by the same TLS and SASL as every other client."""

    def _settings_auth(self) -> Mapping[str, Any]:
        return cast("EngineApp", self.transport.app).kafka_security


class Transport(driver.Transport):
    """Faust transport that makes our consumer and producer."""

    Consumer = Consumer
    Producer = Producer


class EngineApp(faust.App):
    """A Faust application whose broker connection is :class:`Transport`."""

    #: keyword arguments of aiokafka clients for TLS and SASL
    kafka_security: dict[str, Any] = {}
    #: names under which the views are asked for, with commas between
    allowed_hosts: str = ""

    def _new_transport(self) -> Any:
        return Transport(self.conf.broker_consumer, self)

    @cached_property
    def engine_consumer(self) -> Consumer:
        """The consumer, typed."""
        return cast(Consumer, self.consumer)


Seek = Callable[[TP, int], Awaitable[int]]

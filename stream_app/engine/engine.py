"""The engine of one worker: opens and closes lanes as partitions come and go, and routes chunks to them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from stream_app.engine.chunks import Chunk
from stream_app.engine.identity import Identity
from stream_app.engine.lanes import Lane
from stream_app.engine.protocol import EngineConfig, StageSpec
from stream_app.engine.store import StoreMemory
from stream_app.engine.transport import EngineApp
from stream_app.errors import Incompatible, Parked
from stream_app.kafka import clients
from stream_app.tasks import end, heed_cancellation

log = logging.getLogger(__name__)


class Engine:
    """Lanes of every stage that runs here. Implements the lanes' :class:`~.lanes.Host`."""

    def __init__(self, app: EngineApp, config: EngineConfig, memory: StoreMemory) -> None:
        self.app = app
        self.config = config
        self.lanes: dict[tuple[str, int], Lane] = {}
        self.error: BaseException | None = None
        self.assignments = 0
        #: stage → why its topics are not those that its lanes were opened with, as last looked at
        self._changed: dict[str, Parked] = {}
        self._memory = memory
        self._specs: dict[str, StageSpec] = {}
        self._by_topic: dict[str, str] = {}
        self._open: set[TP] = set()
        self._admin: AIOKafkaConsumer | None = None
        self._admin_lock = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._identity = Identity(config)
        self._watch: asyncio.Task[None] | None = None
        app.on_partitions_assigned.connect(self._assigned)
        app.on_partitions_revoked.connect(self._revoked)
        app.on_before_shutdown.connect(self._stopping)

    # -- wiring --------------------------------------------------------------------------------------------------

    def add(self, spec: StageSpec) -> None:
        """Register a stage; each input topic feeds exactly one."""
        self._specs[spec.name] = spec
        for topic in spec.inputs().values():
            if topic in self._by_topic:
                raise ValueError(f"{topic} feeds {self._by_topic[topic]} already")
            self._by_topic[topic] = spec.name

    def deliver(self, chunk: Chunk) -> None:
        """Route a chunk to its lane; without one it is left from before a rebalance."""
        lane = self.lanes.get((self._by_topic[chunk.topic], chunk.partition))
        if lane is not None:
            lane.deliver(chunk)

    def park(self, place: tuple[str, int], why: Parked) -> None:
        """Park the lane of (stage, partition), or the one that reads or keeps its changelog in (topic, partition)."""
        name, partition = place
        owner = self._by_topic.get(name) or next((s.name for s in self._specs.values() if s.changelog == name), name)
        lane = self.lanes.get((owner, partition))
        if lane is not None:
            lane.park(why)

    def loops(self) -> dict[str, asyncio.AbstractEventLoop]:
        """Loops that must answer while the worker runs, by what they are called; from any thread."""
        if not self.app.started:
            return {}
        found = {"the event loop": self.app.loop}
        # The property would make one, and this may be another thread.
        thread = getattr(self.app._consumer, "_thread", None)
        if thread is not None and thread._thread_started.is_set() and not self.app.should_stop:
            found["the fetching thread"] = thread.thread_loop
        return found

    def broker_answered(self) -> float:
        """Monotonic time of the group's last successful heartbeat."""
        return self.app.engine_consumer.thread.heartbeat_at

    def specs(self) -> Iterable[StageSpec]:
        """Registered stages."""
        return self._specs.values()

    # -- rebalancing ---------------------------------------------------------------------------------------------

    async def _revoked(self, _app: Any, revoked: set[TP], **kwargs: Any) -> None:
        """Every rebalance takes everything first: let checkpoints in hand finish, then close."""
        bound = 0.5 * self.config.session_timeout_s
        await asyncio.gather(*(lane.suspend(bound) for lane in self.lanes.values()))
        self.lanes.clear()

    async def _assigned(self, _app: Any, assigned: set[TP], **kwargs: Any) -> None:
        """Register the lanes that are wholly here; they open in tasks of their own."""
        self.assignments += 1
        if self._watch is None:
            self._watch = asyncio.create_task(self._watching(), name="identity of topics and owner")
        thread = self.app.engine_consumer.thread
        thread.on_out_of_range = self._out_of_range
        mine = {TP(*tp) for tp in assigned} | {TP(*tp) for tp in self.app.assignor.assigned_actives()}
        for spec in self._specs.values():
            topics = {*spec.inputs().values(), spec.changelog}
            for partition in range(spec.partitions):
                key = (spec.name, partition)
                here = all(TP(topic, partition) in mine for topic in topics)
                if here and key not in self.lanes:
                    lane = self.lanes[key] = Lane(spec, partition, self.config, self._memory, self)
                    lane.start()

    async def _stopping(self, _app: Any, **kwargs: Any) -> None:
        """Let checkpoints in hand finish and close every lane, while the consumer is still in its group."""
        if self._watch is not None:
            await end(self._watch)
            self._watch = None
        await self._revoked(self.app, set())
        await self._identity.stop()
        if self._admin is not None:
            await self._admin.stop()
            self._admin = None

    def _out_of_range(self, lost: frozenset[TP]) -> None:
        for tp in lost:
            lane = self.lanes.get((self._by_topic.get(tp.topic, ""), tp.partition))
            if lane is not None:
                lane.fetch_failed(tp)

    # -- identity ------------------------------------------------------------------------------------------------

    async def _watching(self) -> None:
        """Ask for topics and owner now and then, at once after an assignment; brokers that are away are asked again."""
        topics_at = owner_at = 0.0
        seen = 0
        while True:
            heed_cancellation()
            now = time.monotonic()
            try:
                if now >= owner_at or seen != self.assignments:
                    seen, owner_at = self.assignments, now + self.config.owner_interval_s
                    await self._identity.check_owner()
                if now >= topics_at:
                    topics_at = now + self.config.identity_interval_s
                    self._changed = await self._identity.changed(self._specs.values())
                    for stage, why in self._changed.items():
                        self._park_all(why, stage)
            except Parked as why:
                self._park_all(why)
            except Incompatible as error:
                self.fatal(error)
            except Exception as error:
                log.warning("topics and owner could not be looked at: %s: %s", type(error).__name__, error)
                await self._identity.stop()
            await asyncio.sleep(min(1.0, self.config.identity_interval_s))

    def without_lanes(self) -> str | None:
        """Why stages have no lanes although their topics were here: Kafka hands out no partitions of a missing topic.

        A topic that came back as another one is looked at with the lanes, and they would come back only minutes later.
        """
        gone = [f"{name}: {why}" for name, why in self._changed.items() if all(name != of for of, _ in self.lanes)]
        return "; ".join(gone) or None

    def _park_all(self, why: Parked, stage: str | None = None) -> None:
        for (name, _), lane in self.lanes.items():
            if stage in (None, name):
                lane.park(Parked(why.reason, str(why)))

    async def identify(self, spec: StageSpec) -> dict[str, str]:
        """Ids of a stage's topics, asked by a lane whose producer is ready; ``Parked`` if it must not go on."""
        await self._identity.check_owner()
        return await self._identity.of(spec)

    # -- what lanes ask ------------------------------------------------------------------------------------------

    async def seek(self, tp: TP, offset: int) -> int:
        """Move an input; returns the epoch of chunks fetched from there."""
        return await self.app.engine_consumer.thread.seek_input(tp, offset)

    async def log_bounds(self, tps: list[TP]) -> dict[TP, tuple[int, int]]:
        """First offset and end of each partition; the end counts open transactions, which must not look like loss."""
        async with self._admin_lock:
            if self._admin is None:
                admin = clients.log_reader(
                    self.config.bootstrap, self.config.kafka_options, isolation_level="read_uncommitted"
                )
                await admin.start()
                self._admin = admin
        wanted = [TopicPartition(tp.topic, tp.partition) for tp in tps]
        begin = await self._admin.beginning_offsets(wanted)
        end = await self._admin.end_offsets(wanted)
        return {TP(tp.topic, tp.partition): (begin[tp], end[tp]) for tp in wanted}

    async def group_offsets(self, tps: list[TP]) -> dict[TP, int]:
        """Offsets the group committed for these partitions; those it never did are absent."""
        client = clients.admin(self.config.bootstrap, self.config.kafka_options)
        await client.start()
        try:
            wanted = [TopicPartition(tp.topic, tp.partition) for tp in tps]
            found = await client.list_consumer_group_offsets(self.config.group, partitions=wanted)
            return {TP(tp.topic, tp.partition): meta.offset for tp, meta in found.items() if meta.offset >= 0}
        finally:
            await client.close()

    def highwater(self, topic: str, partition: int) -> int | None:
        """End of a partition as the last fetch saw it; ``None`` before the first."""
        consumer = self.app.engine_consumer.thread._consumer
        tp = TopicPartition(topic, partition)
        if consumer is None or not consumer._subscription.is_assigned(tp):
            return None
        found: int | None = consumer.highwater(tp)
        return found

    def gate(self, tps: set[TP], opened: bool) -> None:
        """Let partitions be fetched, or not."""
        self._open = self._open | tps if opened else self._open - tps
        self.app.engine_consumer.thread.gate = frozenset(self._open)

    def pause(self, tp: TP) -> None:
        """Ask for no more of a partition; what is fetched already still comes."""
        self.app.engine_consumer.on_buffer_full(tp)

    def resume(self, tp: TP) -> None:
        """Ask for more again."""
        self.app.engine_consumer.on_buffer_drop(tp)

    async def still_ours(self, since: float) -> None:
        """Return after the first heartbeat that succeeded later than ``since`` (monotonic)."""
        thread = self.app.engine_consumer.thread
        deadline = time.monotonic() + 10 * self.config.session_timeout_s
        # The heartbeat is another thread's; a time stamp is all it leaves.
        while thread.heartbeat_at <= since and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def fatal(self, error: BaseException) -> None:
        """Stop the worker: going on would hide the fault."""
        if self.error is None:
            self.error = error
            log.error("%s", error)
            self.app.loop.call_soon(self._crash, error)

    def _crash(self, error: BaseException) -> None:
        task = asyncio.ensure_future(self.app.crash(error))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def waiting(self) -> dict[str, str]:
        """What each lane that is not at the head of its clock waits for."""
        return {
            f"{name}-{partition}": lane.waits_for
            for (name, partition), lane in sorted(self.lanes.items())
            if lane.waits_for is not None
        }

"""One membership in the relay's consumer group: from joining to the first fault or the end.

There is one way back from any fault: leave the group, drop every lane, join again. So a relay that was paused, fenced
or cut off never goes on with what it had.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from aiokafka import ConsumerRebalanceListener, TopicPartition

from stream_app.engine.producer import LaneProducer
from stream_app.engine.protocol import EngineConfig
from stream_app.errors import Incompatible
from stream_app.ingest.relay.lane import RelayCounts, RelayLane
from stream_app.ingest.relay.mapper import Mapper
from stream_app.ingest.relay.maps import RelayMap
from stream_app.kafka import clients
from stream_app.kafka.reading import stop_consumer
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

#: Longest wait for records, ms; also how soon a stop is noticed.
_POLL_MS = 200


@dataclass(frozen=True, slots=True)
class RelayPlan:
    """What to relay, and how."""

    sources: tuple[str, ...]
    relay_map: RelayMap
    name: str
    #: where partitions begin that this relay has never read
    from_latest: bool = False
    #: go on where records were deleted before they were read, instead of stopping
    skip_deleted: bool = False
    #: stop once every partition's committed place has passed the end as it stood at the start
    until_end: bool = False

    def group(self, app_id: str) -> str:
        """Consumer group, and the beginning of every transactional id."""
        return f"{app_id}-relay-{self.name}"


@dataclass(slots=True)
class RelayProgress:
    """What a relay has done since it started, over all its sessions."""

    counts: RelayCounts = field(default_factory=RelayCounts)
    #: records that retention deleted before they were read
    deleted: int = 0
    partitions: int = 0
    #: where each partition of the sources ended at the start, if the plan stops there
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    #: sessions that ended by a fault
    faults: int = 0
    #: Unix time of the last transaction that committed records; 0: none yet
    committed_at: float = 0.0
    #: records not relayed yet, by topic, of the partitions that are here
    lags: dict[str, int] = field(default_factory=dict)


class Session(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka carries no types
    """Consumer and lanes. ``run`` returns when it was told to stop or reached the end, and raises on any fault."""

    def __init__(
        self, settings: Settings, topics: Topics, plan: RelayPlan, progress: RelayProgress, told: Callable[[], None]
    ) -> None:
        self._settings, self._topics, self._plan, self._progress, self._told = settings, topics, plan, progress, told
        self._group = plan.group(settings.app_id)
        self._lanes: dict[TopicPartition, RelayLane] = {}
        self._lock = asyncio.Lock()
        self._fault: BaseException | None = None
        #: how often partitions were assigned
        self._joined = 0
        self._config = EngineConfig(
            group=self._group,
            bootstrap=settings.kafka_bootstrap,
            cluster="",
            data_dir=settings.data_dir,
            kafka_options=settings.kafka_client_options(),
            transaction_timeout_s=settings.transaction_timeout_s,
            message_limits=topics.message_limits(),
        )
        session_ms = int(settings.session_timeout_s * 1000)
        self._consumer = clients.consumer(
            settings.kafka_bootstrap,
            settings.kafka_client_options(),
            group_id=self._group,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 3,
            fetch_max_wait_ms=100,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop``, or the end if the plan wants that."""
        try:
            await self._consumer.start()
            self._consumer.subscribe(list(self._plan.sources), listener=self)
            while not stop.is_set():
                joined = self._joined
                batch = await self._consumer.getmany(
                    timeout_ms=_POLL_MS, max_records=self._settings.max_checkpoint_events
                )
                async with self._lock:
                    if self._fault is not None:
                        raise self._fault
                    if joined != self._joined:
                        # Lanes were opened meanwhile: whether these records were read before or after that is unknown.
                        batch = {}
                        self._seek()
                    await self._process(batch)
                    if not batch:
                        await self._pass_markers()
                        if self._plan.until_end and await self._at_end():
                            return
                self._progress.lags = self._lags()
                self._told()
        finally:
            await self._close()
            await stop_consumer(self._consumer)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the batch in hand finish, then let go of every lane."""
        async with self._lock:
            await self._close()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Open a lane for each partition. aiokafka would only log what is raised here, so ``run`` raises it."""
        async with self._lock:
            try:
                await asyncio.gather(*(self._open(tp) for tp in assigned))
                self._seek()
            except Exception as error:
                self._fault = error
            self._joined += 1
            self._progress.partitions = len(self._lanes)

    def _seek(self) -> None:
        """Read each lane from its position, or from as far before it as joins look back."""
        for tp, lane in self._lanes.items():
            self._consumer.seek(tp, lane.read_from)

    async def _open(self, tp: TopicPartition) -> None:
        """Fence the former holder, which settles its open transaction; then the committed offset is final."""
        producer = LaneProducer(self._config, f"{self._group}-{tp.topic}-{tp.partition}")
        try:
            await producer.start()
            committed = await self._consumer.committed(tp)
            begin = (await self._consumer.beginning_offsets([tp]))[tp]
            latest = committed is None and self._plan.from_latest
            start = begin if committed is None else int(committed)
            if start < begin:
                self._refuse_loss(tp, start, begin)
                start = begin
            mapper = Mapper(self._plan.relay_map, self._settings.max_record_bytes)
            lane = RelayLane(tp, start, mapper, producer, self._topics)
            lane.read_from = max(begin, start - mapper.look_back)
            if latest:
                await lane.pass_to((await self._consumer.end_offsets([tp]))[tp])
                lane.read_from = lane.position
            self._lanes[tp] = lane
        except BaseException:
            await producer.stop()
            raise

    def _refuse_loss(self, tp: TopicPartition, start: int, begin: int) -> None:
        self._progress.deleted += begin - start
        if not self._plan.skip_deleted:
            raise Incompatible(
                f"{tp.topic}, partition {tp.partition}: offsets {start} to {begin - 1} were deleted before this relay "
                "read them. Lengthen the topic's retention, and go on without them with --skip-deleted."
            )

    async def _process(self, batch: dict[TopicPartition, list[object]]) -> None:
        mine = [self._lanes[tp].process(records) for tp, records in batch.items() if tp in self._lanes]  # type: ignore[arg-type]
        # All of them end before one that failed is spoken of: none may still be sending when its lane is dropped.
        for done in await asyncio.gather(*mine, return_exceptions=True):
            if isinstance(done, BaseException):
                raise done
            self._progress.counts.add(done)
            if done.records:
                self._progress.committed_at = time.time()

    def _lags(self) -> dict[str, int]:
        found: Counter[str] = Counter()
        for tp, lane in self._lanes.items():
            # a partition that was given to somebody else has none; its lane is about to go
            end = self._consumer.highwater(tp) if tp in self._consumer.assignment() else None
            if end is not None:
                found[tp.topic] += max(0, end - lane.position)
        return dict(found)

    async def _pass_markers(self) -> None:
        """Commit beyond what holds no records: transaction markers, what compaction left out."""
        for tp, lane in self._lanes.items():
            reached = await self._consumer.position(tp)
            if reached > lane.position:
                await lane.pass_to(reached)

    async def _at_end(self) -> bool:
        """Whether the whole group has passed it: partitions may be another relay's, or for a while a dead one's."""
        if not self._joined:
            return False
        for tp, end in self._progress.ends.items():
            if (await self._consumer.committed(tp) or 0) < end:
                return False
        return True

    async def _close(self) -> None:
        lanes, self._lanes = list(self._lanes.values()), {}
        self._progress.partitions = 0
        await asyncio.gather(*(lane.stop() for lane in lanes))

"""Making decisions again: the same stages, without any output.

From metrics on only the partition of the model in question is worked out. What goes into it are the counts that the
labels stage published, as long as their topic goes back to its start: some bytes for each epoch, however many rows
there were. Or, which takes as long as the rows took, the counts are made anew: every partition of the inputs is read
and joined, because a model's predictions lie in all of them. State lives in a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.clock import decode_tick
from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.engine.lane_driver import LaneDriver, Log
from stream_app.engine.protocol import EmitTuple, StageSpec
from stream_app.engine.segmenting import Segmenting
from stream_app.engine.store import FORMAT, Meta, Store, StoreMemory
from stream_app.errors import Incompatible
from stream_app.kafka import clients
from stream_app.kafka.topics import Topics
from stream_app.pipeline import stages
from stream_app.settings import Settings
from stream_app.stage_configs import configs

#: Ticks that the lanes are given at a time: each lane writes its state once for all of them.
_TICKS: Final = 50

#: Called after some epoch ticks with the time of the last (epoch ms).
Progress = Callable[[int], None]


class _Table:
    """A store that belongs to no changelog."""

    def __init__(self, path: Path, memory: StoreMemory, segmenting: Segmenting | None) -> None:
        self._store = Store(path, memory, segmenting)
        self.get_many, self.scan, self.close = self._store.get_many, self._store.scan, self._store.close

    def write(self, puts: dict[bytes, bytes | None]) -> None:
        """Apply a checkpoint."""
        self._store.write(puts.items(), Meta("", "", FORMAT, 0, 0, b""))


class _Lane(LaneDriver):
    """A lane whose state lies in a folder."""

    def __init__(self, spec: StageSpec, partition: int, root: Path, memory: StoreMemory) -> None:
        self._files = _Table(root / f"{spec.name}-{partition}", memory, spec.segmenting)
        super().__init__(
            spec, partition, self._files, {alias: Log(topic, partition) for alias, topic in spec.inputs().items()}
        )

    def read(self, sent: Iterable[EmitTuple], by: StageSpec) -> None:
        """What the stage before has sent to the log of this one, in this partition."""
        logs = {log.topic: log for log in self.logs.values()}
        for alias, partition, key, value, headers in sent:
            topic, _ = by.outputs[alias]
            if topic in logs and partition in (None, self.partition):
                logs[topic].append(value, key, headers=headers)

    def close(self) -> None:
        """Let the files go."""
        self._files.close()


class _ReadLane(_Lane):
    """One with a clock: its ticks and what they cover are read from Kafka, as far as the ticks ask."""

    def __init__(
        self, spec: StageSpec, partition: int, root: Path, memory: StoreMemory, consumer: AIOKafkaConsumer
    ) -> None:
        super().__init__(spec, partition, root, memory)
        self._consumer = consumer
        #: where the topics ended when the reading began
        self._end: dict[TopicPartition, int] = {}
        inputs = spec.inputs()
        self._tps = {alias: TopicPartition(inputs[alias], partition) for alias in (*self._read_aliases(), "clock")}
        #: ticks that were not handed over: time (epoch ms), record, position behind it
        self._ticks: deque[tuple[int, Any, int]] = deque()

    def _read_aliases(self) -> tuple[str, ...]:
        """Inputs that are read here, beside the clock."""
        return tuple(self.spec.gated)

    async def start(self, until_ms: int) -> None:
        """Read the clock up to this time (epoch ms), and stand at the start of the inputs."""
        tps, clock = list(self._tps.values()), self._tps["clock"]
        self._consumer.assign(tps)
        begin, end = await self._consumer.beginning_offsets(tps), await self._consumer.end_offsets(tps)
        gone = [f"{tp.topic}[{tp.partition}]" for tp in tps if begin[tp]]
        if gone:
            raise Gone(
                f"{', '.join(gone)} no longer go back to their start: retention deleted what the decision stood on. "
                "`plumbline topics check` says which retention keeps it."
            )
        for tp in tps:
            self._consumer.seek(tp, 0)
        inputs = [tp for tp in tps if tp != clock]
        self._consumer.pause(*inputs)
        # what stands behind a later tick is never handed over
        while await self._consumer.position(clock) < end[clock] and not (self._ticks and self._ticks[-1][0] > until_ms):
            for records in (await self._consumer.getmany(clock, timeout_ms=200)).values():
                self._ticks.extend((_tick_ms(record), record, record.offset + 1) for record in records)
        self._consumer.pause(clock)
        self._consumer.resume(*inputs)
        self._end = end

    @property
    def ends(self) -> dict[str, int]:
        """Offset before which its inputs were read, by topic."""
        return self.core.clock.end_offsets if self.core.clock is not None else {}

    def next_ticks(self, until_ms: int) -> list[int]:
        """Times of the next ticks to hand over, at most some, none later than this (epoch ms)."""
        return [at for at, _, _ in takewhile(lambda tick: tick[0] <= until_ms, islice(self._ticks, _TICKS))]

    async def until(self, at_ms: int) -> list[EmitTuple]:
        """Hand over the ticks up to this time and all they cover; returns what was sent."""
        while self._ticks and self._ticks[0][0] <= at_ms:
            _, record, end = self._ticks.popleft()
            self.logs["clock"].extend([record], end)
        sent = self.run()
        while self.core.lacks():
            await self._read()
            sent += self.run()
        return sent

    async def _read(self) -> None:
        found = await self._consumer.getmany(timeout_ms=200, max_records=20_000)
        for alias in self._read_aliases():
            tp = self._tps[alias]
            self.logs[alias].extend(found.get(tp, []), await self._consumer.position(tp))


class _CountedLane(_ReadLane):
    """Metrics over the counts that were published: they are read beside the inputs it has of its own."""

    def _read_aliases(self) -> tuple[str, ...]:
        return (*self.spec.gated, *self.spec.ungated)

    @property
    def read_to(self) -> dict[str, int]:
        """Offset before which the counts were read, by topic."""
        return {topic: self.logs[alias].end for alias, topic in self.spec.ungated.items()}

    async def until(self, at_ms: int) -> list[EmitTuple]:
        """As before; and the counts, until the tick in hand has all of them."""
        sent = await super().until(at_ms)
        clock = self.core.clock
        while clock is not None and clock.current() is not None and self._more():
            await self._read()
            sent += self.run()
        return sent

    def _more(self) -> bool:
        return any(self.logs[alias].end < self._end[self._tps[alias]] for alias in self.spec.ungated)


_L = TypeVar("_L", bound=_ReadLane)


def _tick_ms(record: Any) -> int:
    """Time of a clock record; 0 if it is no tick: it goes with the one before."""
    try:
        tick = decode_tick(record.value, record.offset, record.timestamp)
    except (ValueError, TypeError):
        return 0
    return tick.at_ms if tick is not None else 0


class Gone(Incompatible):
    """Retention deleted what the decision stood on."""


class Recomputed(NamedTuple):
    """Records by id (alerts: id and revision), as they come out anew."""

    events: dict[str, bytes]
    alerts: dict[tuple[str, int], bytes]
    ticks: int
    #: topic → partition → offset before which the inputs were read
    inputs: dict[str, dict[int, int]]


async def recompute(
    settings: Settings, topics: Topics, model: str, until_ms: int, revision_of: Callable[[bytes], int],
    progress: Progress | None = None, *, from_rows: bool,
) -> Recomputed:  # fmt: skip
    """Events and alerts of a model up to the tick ``until_ms``, from the published counts or from the input topics.

    ``revision_of`` reads an alert's revision. Raises ``Gone`` if what is read no longer goes back to its start.
    """
    target = partition_for(model.encode(), topics.model_partitions)
    declared = stages(topics, configs(settings, topics))
    memory = StoreMemory(settings.block_cache_mb << 20, settings.write_buffer_mb << 20)
    found = Recomputed({}, {}, 0, {})
    ticks = 0
    async with AsyncExitStack() as held:
        root = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="plumbline-recompute-")))

        async def reading(kind: type[_L], spec: StageSpec, partition: int) -> _L:
            consumer = _consumer(settings)
            await consumer.start()
            held.push_async_callback(consumer.stop)
            lane = kind(spec, partition, root, memory, consumer)
            held.callback(lane.close)
            await lane.start(until_ms)
            return lane

        partitions = range(declared.labels.partitions if from_rows else 0)
        sources = [await reading(_ReadLane, declared.labels, partition) for partition in partitions]
        middle = await reading(_ReadLane if from_rows else _CountedLane, declared.metrics, target)
        after = [_Lane(spec, target, root, memory) for spec in (declared.drift, declared.retrain, declared.alerts)]
        for lane in after:
            held.callback(lane.close)
        while times := middle.next_ticks(until_ms):
            at_ms = max(times)
            for source in sources:
                middle.read(await source.until(at_ms), source.spec)
            sent, by = await middle.until(at_ms), middle.spec
            if middle.core.clock is not None and middle.core.clock.current() is not None:
                raise Incompatible(
                    f"the clocks do not agree at {rfc3339(at_ms)}: metrics waits for {middle.core.waits_for}"
                )
            for lane in after:
                lane.read(sent, by)
                sent, by = lane.run(), lane.spec
                for alias, _, key, value, _ in sent:
                    if alias == "drift-events" and key is not None:
                        found.events[key.decode()] = value or b""
                    elif alias == "alerts" and key is not None:
                        found.alerts[key.decode(), revision_of(value or b"")] = value or b""
            ticks += len(times)
            for source in sources:
                for topic, offset in source.ends.items():
                    found.inputs.setdefault(topic, {})[source.partition] = offset
            if isinstance(middle, _CountedLane):
                found.inputs.update({topic: {target: offset} for topic, offset in middle.read_to.items()})
            if progress is not None:
                progress(at_ms)
    return found._replace(ticks=ticks)


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return clients.consumer(
        settings.kafka_bootstrap,
        settings.kafka_client_options(),
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 << 20,
    )

"""Making decisions again from the input topics alone: the same stages, without any output.

Every partition of the inputs is read and joined anew, because a line's predictions lie in all of them; from metrics on
only the partition of the line in question is worked out. State lives in a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.clock import TickView
from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.core.alerts import AlertsStage
from stream_app.core.drift import DriftStage
from stream_app.core.kit.effects import Emit
from stream_app.core.labels.entry import entry_day
from stream_app.core.labels.stage import LabelsStage
from stream_app.core.metrics_stage import MetricsStage
from stream_app.core.retrain import RetrainStage
from stream_app.engine.chunks import Chunk
from stream_app.engine.inbox import Clock
from stream_app.engine.protocol import Positions, Stage
from stream_app.engine.segmenting import Segmenting
from stream_app.engine.store import FORMAT, Memory, Meta, Store
from stream_app.errors import Incompatible
from stream_app.kafka import clients
from stream_app.settings import Settings, base
from stream_app.stage_configs import alerts_config, drift_config, labels_config, metrics_config, retrain_config
from stream_app.topics import Topics

#: Called after each line tick with its time (epoch ms).
Progress = Callable[[int], None]


class _Row(NamedTuple):
    """A record of an internal topic."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class _Lane:
    """A stage with its state, checkpointed after every epoch."""

    def __init__(self, stage: Stage, path: Path, memory: Memory, segmenting: Segmenting | None = None) -> None:
        self.stage = stage
        self._store = Store(path, memory, segmenting)
        self._count = 0
        stage.load(None, self._store)

    def drain(self) -> list[Emit]:
        """Write what was folded; returns what would be sent."""
        drained = self.stage.drain()
        self._store.write(drained.puts.items(), Meta("", "", FORMAT, 0, 0, b""))
        return list(drained.emits)  # type: ignore[arg-type]

    def feed(self, emits: Iterable[Emit], alias: str) -> list[Emit]:
        """Hand over what the stage before sent to this one's log, and drain."""
        rows = []
        for emit in emits:
            rows.append(_Row(emit.topic, 0, self._count, 0, emit.key, emit.value, emit.headers))
            self._count += 1
        sent = []
        while rows:
            rows = rows[self.stage.accept(alias, rows, None) :]
            sent += self.drain()
        return sent or self.drain()

    def close(self) -> None:
        """Let the files go."""
        self._store.close()


class _Inputs:
    """The gated inputs and the clock of one partition, read as far as the ticks ask."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: dict[str, str], clock: str, partition: int) -> None:
        self._consumer = consumer
        self._tps = {alias: TopicPartition(topic, partition) for alias, topic in topics.items()}
        self._clock_tp = TopicPartition(clock, partition)
        self._waiting: dict[str, deque[Any]] = {alias: deque() for alias in topics}
        self.clock = Clock(0, Positions({"clock": 0}), {})

    async def start(self) -> None:
        """Read the whole clock, and stand at the start of the inputs."""
        tps = [self._clock_tp, *self._tps.values()]
        self._consumer.assign(tps)
        begin, end = await self._consumer.beginning_offsets(tps), await self._consumer.end_offsets(tps)
        gone = [f"{tp.topic}[{tp.partition}]" for tp in tps if begin[tp]]
        if gone:
            raise Incompatible(
                f"{', '.join(gone)} no longer go back to their start: retention deleted what the decision stood on. "
                "`plumbline topics check` says which retention keeps it."
            )
        for tp in tps:
            self._consumer.seek(tp, begin[tp])
        self._consumer.pause(*self._tps.values())
        at = begin[self._clock_tp]
        self.clock = Clock(0, Positions({"clock": at}), {})
        while at < end[self._clock_tp]:
            found = await self._consumer.getmany(self._clock_tp, timeout_ms=200)
            reached = await self._consumer.position(self._clock_tp)
            if reached != at:
                chunk = Chunk(self._clock_tp, found.get(self._clock_tp, []), at, reached, 0)
                self.clock.put(chunk)
            at = reached
        self._consumer.pause(self._clock_tp)
        self._consumer.resume(*self._tps.values())

    async def covered(self, alias: str, barrier: int) -> list[Any]:
        """Records below the barrier that were not handed out yet."""
        tp, waiting = self._tps[alias], self._waiting[alias]
        while await self._consumer.position(tp) < barrier:
            for found, records in (await self._consumer.getmany(timeout_ms=200, max_records=20_000)).items():
                self._waiting[next(a for a, t in self._tps.items() if t == found)].extend(records)
        out = []
        while waiting and waiting[0].offset < barrier:
            out.append(waiting.popleft())
        return out


class Recomputed(NamedTuple):
    """Records by id (alerts: id and revision), as they come out anew."""

    events: dict[str, bytes]
    alerts: dict[tuple[str, int], bytes]
    ticks: int
    #: topic → partition → offset before which the inputs were read
    inputs: dict[str, dict[int, int]]


async def recompute(
    settings: Settings, topics: Topics, line: str, until_ms: int, revision_of: Callable[[bytes], int],
    progress: Progress | None = None,
) -> Recomputed:  # fmt: skip
    """Events and alerts of a line up to the tick ``until_ms``, from the input topics.

    ``revision_of`` reads an alert's revision. Raises ``Incompatible`` if the inputs no longer go back to their start.
    """
    target = partition_for(line.encode(), topics.line_partitions)
    first = base(settings)
    labels, metrics = labels_config(settings), metrics_config(first)
    decides = retrain_config(first, topics.training_results)
    segmenting = Segmenting(entry_day, settings.max_horizon_days)
    memory = Memory(settings.block_cache_mb << 20, settings.write_buffer_mb << 20)
    found = Recomputed({}, {}, 0, {})
    ticks = 0
    with tempfile.TemporaryDirectory(prefix="plumbline-recompute-") as folder:
        root = Path(folder)
        sources = [
            _Lane(LabelsStage(labels.for_source(p)), root / f"labels-{p}", memory, segmenting)
            for p in range(topics.input_partitions)
        ]
        middle = _Lane(MetricsStage(metrics, target), root / "metrics", memory)
        after = [
            (_Lane(DriftStage(drift_config(first), target), root / "drift", memory), "line-log"),
            (_Lane(RetrainStage(decides, target), root / "retrain", memory), "drift-log"),
            (_Lane(AlertsStage(alerts_config(first), target), root / "alerts", memory), "decision-log"),
        ]
        consumers = [_consumer(settings) for _ in range(topics.input_partitions + 1)]
        started: list[AIOKafkaConsumer] = []
        try:
            for consumer in consumers:
                await consumer.start()
                started.append(consumer)
            inputs = [
                _Inputs(c, {"predictions": topics.predictions, "outcomes": topics.outcomes}, topics.clock, p)
                for p, c in enumerate(consumers[:-1])
            ]
            orders = _Inputs(
                consumers[-1],
                {"operator-commands": topics.operator_commands, "training-results": topics.training_results},
                topics.line_clock,
                target,
            )
            for item in (*inputs, orders):
                await item.start()
            while (head := orders.clock.current()) is not None and head[0].at_ms <= until_ms:
                tick = head[0]
                deltas: list[Emit] = []
                for lane, source in zip(sources, inputs, strict=True):
                    deltas += [e for e in await _labels_until(lane, source, tick) if e.partition == target]
                emits = middle.feed((e for e in deltas if e.topic == "model-deltas"), "model-deltas")
                for alias in ("operator-commands", "training-results"):
                    topic = topics.operator_commands if alias == "operator-commands" else topics.training_results
                    rows = await orders.covered(alias, tick.barrier.get(topic, 0))
                    if rows:
                        middle.stage.accept(alias, rows, tick)
                waits = middle.stage.waiting_for(tick)
                if waits is not None:
                    raise Incompatible(f"the clocks do not agree at {rfc3339(tick.at_ms)}: metrics waits for {waits}")
                while not middle.stage.advance(tick):
                    emits += middle.drain()
                emits += middle.drain()
                orders.clock.handled(tick)
                for lane, log in after:
                    emits = lane.feed([e for e in emits if e.topic == log], "log")
                    for emit in emits:
                        if emit.topic == "drift-events" and emit.key is not None:
                            found.events[emit.key.decode()] = emit.value or b""
                        elif emit.topic == "alerts" and emit.key is not None:
                            found.alerts[emit.key.decode(), revision_of(emit.value or b"")] = emit.value or b""
                ticks += 1
                for partition, source in enumerate(inputs):
                    for name, offset in source.clock.barrier.items():
                        found.inputs.setdefault(name, {})[partition] = offset
                if progress is not None:
                    progress(tick.at_ms)
        finally:
            for consumer in started:
                await consumer.stop()
            for lane in (*sources, middle, *(lane for lane, _ in after)):
                lane.close()
    return found._replace(ticks=ticks)


async def _labels_until(lane: _Lane, source: _Inputs, until: TickView) -> list[Emit]:
    """Everything a labels lane sends up to and with the line tick."""
    out: list[Emit] = []
    while (head := source.clock.current()) is not None and head[0].at_ms <= until.at_ms:
        tick = head[0]
        for alias, tp in source._tps.items():
            rows = await source.covered(alias, tick.barrier.get(tp.topic, 0))
            if rows:
                lane.stage.accept(alias, rows, tick)
        lane.stage.advance(tick)
        source.clock.handled(tick)
        out += lane.drain()
    return out


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return clients.consumer(
        settings.kafka_bootstrap,
        settings.kafka_client_options(),
        auto_offset_reset="none",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 << 20,
    )

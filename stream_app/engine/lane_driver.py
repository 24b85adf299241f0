"""A lane without Kafka: drives a :class:`~.lane_core.LaneCore` over logs in memory and whatever table it is given.

Recomputing, simulating and testing run the stages this way: gating, feeding, stepping and checkpoints are the worker's
own. A checkpoint is what reaches the table and the reader of :meth:`LaneDriver.run`; a lane that is opened again
starts from the last one.
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol

from stream_app.engine.chunks import Chunk
from stream_app.engine.lane_core import LaneCore, LaneLimits
from stream_app.engine.pressure import Pressure
from stream_app.engine.protocol import (
    CommittedTable,
    EmitTuple,
    Positions,
    StageSpec,
    decode_positions,
    encode_positions,
)

#: Records that one checkpoint takes where the stage does not say, as in a worker.
MOST: Final = 12_000

_offset = attrgetter("offset")


class WritableTable(CommittedTable, Protocol):
    """Committed state that can be written."""

    def write(self, puts: dict[bytes, bytes | None]) -> None:
        """Apply a checkpoint; ``None`` deletes."""
        ...


class Row(NamedTuple):
    """A consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    @property
    def serialized_value_size(self) -> int:
        """Payload bytes; nothing counts them here."""
        return 0


class Log:
    """One partition of a topic: records in order of offset, up to ``end``."""

    def __init__(self, topic: str, partition: int = 0) -> None:
        self.topic = topic
        self.partition = partition
        #: offset of the next record to come
        self.end = 0
        self._records: list[Any] = []

    def append(
        self, value: bytes | None, key: bytes | None = None, at_ms: int = 0, headers: Sequence[tuple[str, bytes]] = ()
    ) -> None:
        """Write a record."""
        self._records.append(Row(self.topic, self.partition, self.end, at_ms, key, value, headers))
        self.end += 1

    def extend(self, records: Iterable[Any], end: int) -> None:
        """Take over consumed records and the position behind them, which may lie past transaction markers."""
        self._records.extend(records)
        self.end = end

    def chunk(self, at: int, most: int | None = None) -> Chunk:
        """What stands at offset ``at`` and behind it, at most so many records."""
        start = bisect_left(self._records, at, key=_offset)
        found = self._records[start:] if most is None else self._records[start : start + most]
        end = self.end if start + len(found) == len(self._records) else found[-1].offset + 1
        return Chunk(self, found, at, end, 0)

    def forget(self, below: int) -> None:
        """Records that nobody will read again."""
        if below >= self.end:
            self._records.clear()
        else:
            del self._records[: bisect_left(self._records, below, key=_offset)]


def _ignore(*_: object) -> None:
    """Nothing is paused, no step is watched."""


class LaneDriver:
    """One lane. ``logs`` by alias, read by nobody else: what a checkpoint has covered is forgotten.

    ``reached`` is told of the steps of a tick and of a checkpoint; what it raises there ends the lane as a kill would,
    and :meth:`reopen` goes on. ``most``: records in one checkpoint, unless the stage says less.
    """

    def __init__(
        self, spec: StageSpec, partition: int, table: WritableTable, logs: Mapping[str, Log], *, most: int = MOST,
        live_views: bool = False, reached: Callable[[str], None] = _ignore,
    ) -> None:  # fmt: skip
        self.spec = spec
        self.partition = partition
        self.table = table
        self.logs = logs
        #: positions record of the last checkpoint
        self.record: bytes | None = None
        #: what checkpoints have sent and nobody has taken
        self.sent: list[EmitTuple] = []
        self._most = min(spec.most_records or most, most)
        self._live_views = live_views
        self._reached = reached
        self.core = self._open()

    @property
    def stage(self) -> Any:
        """The stage as it is now."""
        return self.core.stage

    @property
    def lane_state(self) -> bytes | None:
        """The stage's lane state of the last checkpoint."""
        return decode_positions(self.record).lane_state if self.record is not None else None

    def reopen(self) -> None:
        """Drop all memory and start from the last checkpoint."""
        self.core = self._open()

    def _open(self) -> LaneCore:
        spec, none = self.spec, Positions(dict.fromkeys(self.logs, 0))
        state = decode_positions(self.record) if self.record is not None else none
        stage = spec.make(self.partition)
        stage.load(state.lane_state or None, self.table)
        limits = LaneLimits(self._most, Pressure(spec, sys.maxsize, _ignore))
        epochs = dict.fromkeys(self.logs, 0)
        return LaneCore(spec, stage, state, epochs, limits, reached=self._reached, live_views=self._live_views)

    def fetch(self, alias: str, most: int | None = None) -> None:
        """Hand over what stands in a log and was not yet, at most so many records."""
        clock, log = self.core.clock, self.logs[alias]
        queue = clock.input if alias == "clock" and clock is not None else self.core.inputs[alias]
        if queue.arrived < log.end:
            taker = clock if alias == "clock" and clock is not None else queue
            taker.put(log.chunk(queue.arrived, most))

    def fetch_all(self, most: int | None = None) -> None:
        """The same of every log."""
        for alias in self.logs:
            self.fetch(alias, most)

    def run(self) -> list[EmitTuple]:
        """Do all that can be done, in as many checkpoints as it takes; returns what was sent."""
        self.fetch_all()
        while self.step():
            self.fetch_all()
        return self.take()

    def step(self) -> bool:
        """Fold what is here and write it; whether there may be more to do."""
        full = self.core.work()
        if self.core.dirty:
            self.checkpoint()
        return full

    def checkpoint(self) -> None:
        """Write what was folded since the last one, and send what it causes."""
        drained, refused, positions = self.core.drain({}, {})
        self._reached("checkpoint.drained")
        self.table.write(drained.puts)
        self.record = encode_positions(positions)
        self.sent += (*drained.emits, *refused)
        for alias, log in self.logs.items():
            log.forget(positions.positions[alias])
        self.core.written()
        self._reached("checkpoint.written")

    def take(self) -> list[EmitTuple]:
        """What was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent

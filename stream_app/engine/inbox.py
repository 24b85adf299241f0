"""What a lane has received and not yet handled: chunks by input, and the ticks of its clock."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from schemas.clock import ClockMode, TickView, decode_tick
from stream_app.engine.chunks import Chunk
from stream_app.engine.protocol import Positions

_offset = attrgetter("offset")


class Gap(Exception):
    """A chunk does not continue where the input stands: something was lost on the way and must be fetched again."""


class Input:
    """Queue of one input partition. ``reached``: handled up to here; ``arrived``: received up to here."""

    __slots__ = ("arrived", "bytes", "chunks", "epoch", "reached")

    def __init__(self, offset: int, epoch: int) -> None:
        self.chunks: deque[tuple[Chunk, int]] = deque()
        self.epoch = epoch
        self.reached = offset
        self.arrived = offset
        self.bytes = 0

    def put(self, chunk: Chunk) -> bool:
        """Queue a chunk; ``False`` for a stale one. Raises :class:`Gap`."""
        if chunk.epoch != self.epoch:
            return False
        if chunk.start != self.arrived:
            raise Gap(f"{chunk.topic}[{chunk.partition}]: expected {self.arrived}, the fetch began at {chunk.start}")
        size = chunk.bytes()
        self.chunks.append((chunk, size))
        self.arrived = chunk.end
        self.bytes += size
        return True

    def take(self, limit: int | None, most: int) -> tuple[list[Any], int]:
        """Records below offset ``limit`` (all, if ``None``) of the first chunk, at most ``most``.

        Returns (records, position reached by taking them); moves nothing until :meth:`took` is called.
        """
        if not self.chunks:
            return [], self.reached
        chunk, _ = self.chunks[0]
        records = chunk.records
        stop = len(records) if limit is None or chunk.end <= limit else bisect_left(records, limit, key=_offset)
        if stop > most:
            return records[:most], records[most - 1].offset + 1
        if stop == len(records):
            return records, chunk.end if limit is None else min(chunk.end, max(limit, self.reached))
        return records[:stop], limit if limit is not None else chunk.end

    def took(self, count: int, position: int) -> None:
        """Account for records taken."""
        self.reached = position
        if not self.chunks:
            return
        chunk, size = self.chunks[0]
        if position >= chunk.end:
            self.chunks.popleft()
            self.bytes -= size
        elif count:
            chunk.records = chunk.records[count:]


class Clock:
    """The clock partition of a lane: ticks in order, and what a tick that came before them has settled."""

    def __init__(self, epoch: int, state: Positions, end_offsets: dict[str, int]) -> None:
        self.input = Input(state.positions["clock"], epoch)
        self.ticks: deque[tuple[TickView, int]] = deque()
        self.last_tick = state.tick
        self.end_offsets = dict(end_offsets)
        #: whether the last tick reached was a live one; the mode is that of the last one received
        self.live = state.live
        self._mode = ClockMode(state.live)
        #: broker time (epoch ms) of the newest clock record received
        self.newest_broker_ms = 0
        self.unreadable: list[tuple[Any, str]] = []
        #: what the last refused record was, for people
        self.refusal: str | None = None

    def put(self, chunk: Chunk) -> None:
        """Receive clock records."""
        if not self.input.put(chunk):
            return
        for record in chunk.records:
            self.newest_broker_ms = max(self.newest_broker_ms, record.timestamp)
            try:
                tick = decode_tick(record.value, record.offset, record.timestamp)
                if tick is not None:
                    self._mode.take(tick)
            except (ValueError, TypeError) as error:
                self.unreadable.append((record, str(error)))
                self.refusal = f"{record.topic}[{record.partition}] offset {record.offset} is no tick: {error}"
                continue
            if tick is not None:
                self.ticks.append((tick, record.timestamp))
        # Nothing waits in the queue itself: ticks wait decoded, and the position moves with the ticks handled.
        self.input.chunks.clear()
        self.input.bytes = 0

    def current(self) -> tuple[TickView, int] | None:
        """The tick to be handled next, its end offsets raised to the highest seen; skips those that are not later."""
        while self.ticks:
            tick, broker_ms = self.ticks[0]
            if tick.at_ms > self.last_tick:
                merged = {
                    topic: max(offset, self.end_offsets.get(topic, 0)) for topic, offset in tick.end_offsets.items()
                }
                if merged != tick.end_offsets:
                    tick = tick._replace(end_offsets=merged)
                    self.ticks[0] = (tick, broker_ms)
                return tick, broker_ms
            self.ticks.popleft()
            self.live = tick.mode == "live"
            self._merge(tick.end_offsets)
        self.input.reached = self.input.arrived
        return None

    def handled(self, tick: TickView) -> None:
        """The tick is done."""
        self.ticks.popleft()
        self.last_tick, self.live = tick.at_ms, tick.mode == "live"
        self._merge(tick.end_offsets)
        self.input.reached = tick.offset + 1 if self.ticks else self.input.arrived

    def refused(self) -> list[tuple[Any, str]]:
        """Refused records before the position reached, and why, each handed out once."""
        out = [item for item in self.unreadable if item[0].offset < self.input.reached]
        self.unreadable = [item for item in self.unreadable if item[0].offset >= self.input.reached]
        return out

    def _merge(self, end_offsets: dict[str, int]) -> None:
        for topic, offset in end_offsets.items():
            self.end_offsets[topic] = max(offset, self.end_offsets.get(topic, 0))


def bytes_held(inputs: Iterable[Input]) -> int:
    """Fetched bytes that wait."""
    return sum(item.bytes for item in inputs)

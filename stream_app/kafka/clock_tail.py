"""Where the clock of an input prefix stands: its newest tick, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from aiokafka import TopicPartition

from schemas.clock import ClockMode, TickView, decode_tick
from schemas.common import rfc3339
from schemas.unreadable import Unreadable

#: A live clock ticks every minute at least.
LATE_MS: Final = 150_000
#: How far time may lie after this machine's clock before it stands ahead.
AHEAD_MS: Final = 300_000
#: How many of the newest records of a partition are looked at: more, until the first tick among them is not simulated.
#: Of a simulated one that is the first it cannot be told whether it was taken, or refused because the clock was live.
_NEWEST: Final = (20, 160, 1_280, 10_240)


@dataclass(frozen=True, slots=True)
class ClockTail:
    """The newest tick over all partitions: its time, and the broker's of its record (epoch ms); 0 if there is none."""

    at_ms: int = 0
    mode: str | None = None
    stamped_ms: int = 0
    #: the record's value: what its writer added to the tick
    value: bytes = b""

    def no_tick_comes(self, now_ms: int) -> str | None:
        """Why no tick will come by itself, in a sentence; ``None`` if time goes on."""
        if not self.at_ms:
            return "no tick stands on this prefix yet: one comes with `plumbline worker`, a replay or a backfill"
        stands = f"it stands at {rfc3339(self.at_ms)[:19]}Z"
        if self.mode == "external":
            return (
                f"the clock of this prefix is followed, {stands}, and no tick comes by itself: one comes with a replay "
                "or backfill that goes on, or after `plumbline backfill --then-live`"
            )
        if self.at_ms > now_ms + AHEAD_MS:
            return f"the clock of this prefix stands ahead, at {rfc3339(self.at_ms)[:19]}Z: no tick comes before that"
        if now_ms - self.stamped_ms > LATE_MS:
            return f"nobody ticks the clock of this prefix, {stands}: start `plumbline worker`"
        return None


class ClockReader:
    """Reads the newest tick of the partitions of the two clocks, and at each further call only what came since.

    ``reader``: a started consumer, its own; it is assigned anew.
    """

    def __init__(self, reader: Any, partitions: Iterable[TopicPartition]) -> None:
        self._reader = reader
        self._stands = {tp: _Stand() for tp in partitions}

    async def read(self) -> ClockTail:
        """The newest tick that the lanes take, over all partitions."""
        return max((await self.by_partition()).values(), key=lambda tail: tail.at_ms, default=ClockTail())

    async def by_partition(self) -> dict[TopicPartition, ClockTail]:
        """The newest tick that the lanes take, of each partition."""
        tps = list(self._stands)
        begins, ends = await self._reader.beginning_offsets(tps), await self._reader.end_offsets(tps)
        for tp in tps:
            stand = self._stands[tp]
            if stand.next > ends[tp]:  # the topic was made anew
                stand = self._stands[tp] = _Stand()
            if stand.next:
                stand.take(await self._ticks(tp, max(begins[tp], stand.next), ends[tp]))
            else:
                stand.take(await self._settled(tp, begins[tp], ends[tp]))
            stand.next = ends[tp]
        return self.last()

    def last(self) -> dict[TopicPartition, ClockTail]:
        """The newest tick of each partition, of what was read so far."""
        return {tp: stand.last for tp, stand in self._stands.items()}

    def next(self, tp: TopicPartition) -> int:
        """Offset that reading of a partition goes on at."""
        return self._stands[tp].next

    def hear(self, tp: TopicPartition, records: Iterable[Any]) -> None:
        """Take records of a partition that its owner fetched itself, in order from :meth:`next` on."""
        stand = self._stands[tp]
        for record in records:
            stand.take(_ticks_of((record,)))
            stand.next = record.offset + 1

    async def _settled(self, tp: TopicPartition, begin: int, end: int) -> list[_Heard]:
        """The newest ticks of a partition, from far enough back to know which of them the lanes refused."""
        ticks: list[_Heard] = []
        for newest in _NEWEST:
            start = max(begin, end - newest)
            ticks = await self._ticks(tp, start, end)
            if start == begin or (ticks and ticks[0].tick.mode != "external"):
                break
        return ticks

    async def _ticks(self, tp: TopicPartition, start: int, end: int) -> list[_Heard]:
        """The ticks from ``start`` up to ``end`` that can be read."""
        found: list[_Heard] = []
        self._reader.assign([tp])
        self._reader.seek(tp, start)
        while await self._reader.position(tp) < end:
            for records in (await self._reader.getmany(tp, timeout_ms=200)).values():
                found += _ticks_of(records)
        return found


class _Heard(NamedTuple):
    """A tick, the broker's time of its record (epoch ms), and the record's value."""

    tick: TickView
    stamped_ms: int
    value: bytes


def _ticks_of(records: Iterable[Any]) -> list[_Heard]:
    """The ticks among some records; what the lanes refuse by itself is none."""
    found = []
    for record in records:
        if isinstance(record.value, Unreadable):
            continue
        try:
            tick = decode_tick(record.value, record.offset, record.timestamp)
        except (ValueError, TypeError):
            continue
        if tick is not None:
            found.append(_Heard(tick, record.timestamp, record.value))
    return found


class _Stand:
    """What is known of one clock partition: where reading goes on, and the newest tick before that."""

    def __init__(self) -> None:
        self.next = 0
        self.mode = ClockMode()
        self.last = ClockTail()

    def take(self, ticks: list[_Heard]) -> None:
        """Take ticks in the order of the log, as the lanes do."""
        for tick, stamped_ms, value in ticks:
            try:
                self.mode.take(tick)
            except ValueError:
                continue
            if tick.at_ms >= self.last.at_ms:
                self.last = ClockTail(tick.at_ms, tick.mode, stamped_ms, value)


async def read_tail(reader: Any, partitions: Iterable[TopicPartition]) -> ClockTail:
    """The newest tick of any of these partitions of the two clocks. ``reader``: a started consumer, its own."""
    return await ClockReader(reader, partitions).read()

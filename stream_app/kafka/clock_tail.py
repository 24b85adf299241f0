"""Where the clock of an input prefix stands: its newest tick, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from schemas.clock import decode_tick
from schemas.common import rfc3339
from schemas.unreadable import Unreadable

#: A live clock ticks every minute at least.
LATE_MS: Final = 150_000
#: How far time may lie after this machine's clock before it stands ahead.
AHEAD_MS: Final = 300_000
#: Newest records of a partition that are looked at.
_NEWEST: Final = 20


@dataclass(frozen=True, slots=True)
class ClockTail:
    """The newest tick over all partitions: its time, and the broker's of its record (epoch ms); 0 if there is none."""

    at_ms: int = 0
    mode: str | None = None
    stamped_ms: int = 0

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


async def read_tail(reader: Any, partitions: Iterable[TopicPartition]) -> ClockTail:
    """The newest tick of any of these partitions of the two clocks. ``reader``: a started consumer, its own."""
    last, tps = ClockTail(), list(partitions)
    begins, ends = await reader.beginning_offsets(tps), await reader.end_offsets(tps)
    for tp in tps:
        live = False
        reader.assign([tp])
        reader.seek(tp, max(begins[tp], ends[tp] - _NEWEST))
        while await reader.position(tp) < ends[tp]:
            for records in (await reader.getmany(tp, timeout_ms=200)).values():
                for record in records:
                    if isinstance(record.value, Unreadable):
                        continue
                    try:
                        tick = decode_tick(record.value, record.offset, record.timestamp)
                    except (ValueError, TypeError):
                        continue  # the lanes refuse it too
                    # as the lanes have it: no simulated tick counts after a live one
                    if tick is None or (live and tick.mode == "external"):
                        continue
                    live = tick.mode == "live"
                    if tick.at_ms >= last.at_ms:
                        last = ClockTail(tick.at_ms, tick.mode, record.timestamp)
    return last

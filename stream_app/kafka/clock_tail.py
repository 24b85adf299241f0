"""Where the clock of an input prefix stands: its newest tick, and whose it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition

from schemas.clock import decode_tick
from schemas.unreadable import Unreadable

#: Newest records of a partition that are looked at.
_NEWEST: Final = 20


@dataclass(frozen=True, slots=True)
class ClockTail:
    """The newest tick over all partitions: its time, and the broker's of its record (epoch ms); 0 if there is none."""

    at_ms: int = 0
    mode: str | None = None
    stamped_ms: int = 0


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

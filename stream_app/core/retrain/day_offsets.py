"""Where the inputs stood before each day: the read end offsets of the last tick before its 00:00.

Stored under ``B`` + day (u4, big-endian): one format byte, then MessagePack. One a day and lane, some ten bytes for
each input partition; those beyond the memory of labels are deleted.
"""

from __future__ import annotations

from typing import Final

from stream_app.core.kit.codec import Codec
from stream_app.core.kit.days import day_of
from stream_app.core.kit.unit_of_work import UnitOfWork

FORMAT: Final = 1
PREFIX: Final = b"B"

EndOffsets = dict[str, dict[int, int]]

_codec: Final = Codec[EndOffsets](EndOffsets, FORMAT, "a day's end offsets")
encode, decode = _codec.encode, _codec.decode


def key(day: int) -> bytes:
    """Key of a day's end offsets."""
    return PREFIX + day.to_bytes(4, "big")


def remember(work: UnitOfWork, last_ms: int, last: EndOffsets, now_ms: int, keep_days: int) -> None:
    """At a tick: the days that began since the last one, ``last_ms``, began after its end offsets."""
    if not last_ms or day_of(last_ms) == day_of(now_ms):
        return
    oldest = day_of(now_ms) - keep_days
    value = encode(last)
    for day in range(max(day_of(last_ms) + 1, oldest), day_of(now_ms) + 1):
        work.put(key(day), value)
    while batch := work.scan(PREFIX, None, 64):
        for found, _ in batch:
            if found >= key(oldest):
                return
            work.put(found, None)


def before(work: UnitOfWork, day: int) -> EndOffsets:
    """End offsets of the last tick before a day; none if that is not known: then everything may be after it."""
    value = work.get([key(day)])[0] if day >= 0 else None
    return decode(value) if value is not None else {}

"""Ticks: the only notion of "now" in the pipeline."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.common import Offset, parse_ms, rfc3339


class Tick(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of a clock topic. Without ``at`` it only taught its writer the broker's time, and lanes ignore it.

    With ``at``, ``ends_epoch`` and ``end_offsets`` are required: a tick that named what it covers otherwise would be
    read as one that covers nothing, and records would be counted as late.
    """

    at: Annotated[str, Meta(max_length=64, description="RFC 3339 with an offset")] | None = None
    #: whether the epoch ends with it: hours and days are closed and published at such ticks
    ends_epoch: bool | UnsetType = UNSET
    mode: Literal["live", "external"] | None = None
    #: offset before which records are covered, by topic name as in Kafka, with its prefix
    end_offsets: dict[str, Offset] | UnsetType = UNSET


class TickView(NamedTuple):
    """A tick as stages see it: ``at_ms`` in epoch milliseconds, ``offset`` in its clock partition."""

    at_ms: int
    ends_epoch: bool
    mode: str | None
    end_offsets: dict[str, int]
    offset: int


_decoder = msgspec.json.Decoder(Tick)


#: How far a live tick may lie after the broker's time of its record: its writer learns that time from the broker.
LIVE_AHEAD_MS: Final = 300_000


def decode_tick(value: bytes, offset: int, stamped_ms: int | None = None) -> TickView | None:
    """The tick, or ``None`` for a record without ``at``. ``stamped_ms``: the broker's time of the record (epoch ms).

    A tick that is not simulated must not lie more than five minutes after that time; before it it may lie.
    ``ValueError`` for anything unreadable, also for a time beyond 2141: a clock that took it would stand still for
    ever, as no later tick could follow. ``TypeError`` for a record without a value.
    """
    try:
        tick = _decoder.decode(value)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if tick.at is None:
        return None
    if tick.ends_epoch is UNSET or tick.end_offsets is UNSET:
        raise ValueError("a tick needs ends_epoch and end_offsets")
    at_ms = parse_ms(tick.at)
    if stamped_ms is not None and tick.mode != "external" and at_ms > stamped_ms + LIVE_AHEAD_MS:
        raise ValueError(f"the tick {tick.at} lies more than 5 minutes after the broker's time {rfc3339(stamped_ms)}")
    return TickView(at_ms, tick.ends_epoch, tick.mode, tick.end_offsets, offset)


class ClockMode:
    """Whose time a clock partition holds, tick by tick: no simulated tick counts after a live one.

    Lanes and everything else that reads a clock ask it alike, each tick in the order of the log.
    """

    def __init__(self, live: bool = False) -> None:
        #: whether the last tick taken was a live one
        self.live = live

    def take(self, tick: TickView) -> None:
        """``ValueError`` for a simulated tick while the clock is live; it changes nothing."""
        if tick.mode == "external" and self.live:
            raise ValueError(f"the clock is live, and a simulated tick of {rfc3339(tick.at_ms)} came")
        self.live = tick.mode == "live"

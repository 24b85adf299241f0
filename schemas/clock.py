"""Ticks: the only notion of "now" in the pipeline."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from schemas.common import Offset, parse_ms


class Tick(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of a clock topic. Without ``at`` it only taught its writer the broker's time, and lanes ignore it."""

    at: Annotated[str, Meta(max_length=64, description="RFC 3339 with an offset")] | None = None
    line: bool = False
    mode: Literal["live", "external"] | None = None
    #: offset before which records are covered, by topic name as in Kafka, with its prefix
    barrier: dict[str, Offset] = {}


class TickView(NamedTuple):
    """A tick as stages see it: ``at_ms`` in epoch milliseconds, ``offset`` in its clock partition."""

    at_ms: int
    line: bool
    mode: str | None
    barrier: dict[str, int]
    offset: int


_decoder = msgspec.json.Decoder(Tick)


def decode_tick(value: bytes, offset: int) -> TickView | None:
    """The tick, or ``None`` for a record without ``at``.

    ``ValueError`` for anything unreadable, also for a time beyond 2141: a clock that took it would stand still for
    ever, as no later tick could follow. ``TypeError`` for a record without a value.
    """
    try:
        tick = _decoder.decode(value)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if tick.at is None:
        return None
    return TickView(parse_ms(tick.at), tick.line, tick.mode, tick.barrier, offset)

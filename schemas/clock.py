"""Ticks: the only notion of "now" in the pipeline."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec import Meta

from schemas.common import parse_ms

Offset = Annotated[int, Meta(ge=0)]


class Tick(msgspec.Struct, frozen=True):
    """A record of a clock topic. Without ``at`` it only taught its writer the broker's time, and lanes ignore it."""

    at: str | None = None
    line: bool = False
    mode: Literal["live", "external"] | None = None
    #: offset before which records are covered, by topic name
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
    """The tick, or ``None`` for a record without ``at``. Raises ``ValueError`` for anything unreadable."""
    tick = _decoder.decode(value)
    if tick.at is None:
        return None
    return TickView(parse_ms(tick.at), tick.line, tick.mode, tick.barrier, offset)

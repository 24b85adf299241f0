"""What the metrics lane knows beside its table; written with every checkpoint into the positions record.

Grows with the number of source partitions and stops there; hours carried over are a few minutes' clock skew at most.
"""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.deltas import HourCount
from stream_app.stored import Codec

FORMAT: Final = 2


class Progress(msgspec.Struct):
    """Where the tick in hand stands; a restart goes on from here."""

    #: 0 not begun, 1 folding, 2 closing, 3 looking at new versions
    phase: int = 0
    close: int = 0
    task: int = 0
    after: bytes | None = None


class Memo(msgspec.Struct):
    """State of the lane that is not in its table."""

    #: last line tick handled, epoch ms; 0 before the first
    last_tick: int = 0
    #: tick up to which every cell is folded
    folded: int = 0
    progress: Progress = msgspec.field(default_factory=Progress)
    #: source partition → line tick it has closed (epoch ms), as received
    closed: dict[int, int] = {}
    #: source partition → input barriers of its last epoch handled
    barriers: dict[int, dict[str, int]] = {}
    #: source partition → dispositions by topic at its last epoch handled (partition 0 only)
    dispositions: dict[int, dict[str, dict[str, int]]] = {}
    #: predictions of hours that had not ended when their deltas were folded
    hours: list[HourCount] = []


_codec: Final = Codec[Memo](Memo, FORMAT, "metrics positions record")
encode, decode = _codec.encode, _codec.decode

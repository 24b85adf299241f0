"""What the labels lane knows beside its entries: counters, written with every checkpoint into the positions record.

Nothing that a producer names stands here: predictions that wait are counted by their horizon, and settings allow 16
different ones. At most 16 x 366 + 61 days of some 8 bytes, 50 kB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from stream_app.core.kit.codec import Codec, body
from stream_app.core.labels import entry as entries
from stream_app.core.labels.config import TypeRules
from stream_app.core.labels.entry import FORMAT as ENTRIES
from stream_app.core.labels.entry import HAS_OUTCOME, HAS_PREDICTION, NAMES_AT

FORMAT: Final = 2


class DispositionTally(msgspec.Struct):
    """Final dispositions of one input topic's records in this partition."""

    joined: int = 0
    unmatched: int = 0
    duplicate: int = 0
    corrected: int = 0
    dead_lettered: int = 0

    def with_pending(self, pending: int) -> dict[str, int]:
        """All six dispositions; their sum is the number of records taken."""
        return {
            "joined": self.joined,
            "pending": pending,
            "unmatched": self.unmatched,
            "duplicate": self.duplicate,
            "corrected": self.corrected,
            "dead_lettered": self.dead_lettered,
        }


class LabelsLaneState(msgspec.Struct):
    """State of the lane that is not an entry."""

    #: last epoch tick (epoch ms), 0 before the first
    epoch_tick: int = 0
    #: UTC day of the last tick handled
    day: int = 0
    predictions: DispositionTally = msgspec.field(default_factory=DispositionTally)
    outcomes: DispositionTally = msgspec.field(default_factory=DispositionTally)
    #: horizon in days → covering day → predictions still pending
    pending: dict[int, dict[int, int]] = {}
    #: covering day → outcomes still waiting for their prediction
    early: dict[int, int] = {}
    #: format of the table's entries, which are read one by one without a look at their first byte
    entries: int = ENTRIES

    def dispositions(self) -> dict[str, dict[str, int]]:
        """Both topics' dispositions as they stand."""
        pending = sum(sum(days.values()) for days in self.pending.values())
        return {
            "predictions": self.predictions.with_pending(pending),
            "outcomes": self.outcomes.with_pending(sum(self.early.values())),
        }


_codec: Final = Codec[LabelsLaneState](LabelsLaneState, FORMAT, "labels positions record")
encode = _codec.encode


def decode(value: bytes) -> LabelsLaneState:
    """Inverse of :func:`encode`. ``UnknownFormat`` also if the table's entries have another format than this release's.

    ``Broken`` if it cannot be read.
    """
    lane_state = _codec.decode(value)
    if lane_state.entries != ENTRIES:
        body(bytes((lane_state.entries & 0xFF,)), ENTRIES, "every entry of the labels table")
    return lane_state


#: (horizon in days, covering day) of predictions that wait; of outcomes that wait, with horizon 0
Waiting = Counter[tuple[int, int]]


def promised(value: bytes) -> Waiting:
    """What the table must hold for each day by an encoded lane state."""
    lane_state = decode(value)
    found: Waiting = Counter({(0, day): count for day, count in lane_state.early.items()})
    for horizon, days in lane_state.pending.items():
        found.update({(horizon, day): count for day, count in days.items()})
    return found


def waiting_by(rules: Callable[[str], TypeRules]) -> Callable[[Iterable[bytes]], Waiting]:
    """What the table does hold: entries that wait for their other half, expired ones too."""

    def waiting(values: Iterable[bytes]) -> Waiting:
        found: Waiting = Counter()
        for entry in values:
            if entry[0] != entries.FORMAT:
                continue  # a name
            flags = entry[1]
            if not flags & HAS_PREDICTION:
                found[0, entry[4] | entry[5] << 8] += 1
            elif not flags & HAS_OUTCOME:
                horizon = rules(entry[NAMES_AT:].split(b"|", 1)[0].decode()).horizon_days
                found[horizon, entry[2] | entry[3] << 8] += 1
        return found

    return waiting

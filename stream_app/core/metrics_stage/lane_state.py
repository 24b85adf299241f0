"""What the metrics lane knows beside its table; written with every checkpoint into the positions record.

Grows with the number of source partitions, some 200 bytes each, and stops there: nothing that producers or operators
name stands in it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.counts.deltas import Part
from stream_app.core.kit.codec import Codec

FORMAT: Final = 2


class TickProgress(msgspec.Struct):
    """Where the tick in hand stands; a restart goes on from here."""

    #: 0 not begun, 1 folding, 2 closing, 3 looking at new versions, 4 looking at hours
    phase: int = 0
    close: int = 0
    task: int = 0
    after: bytes | None = None


class MetricsLaneState(msgspec.Struct):
    """State of the lane that is not in its table."""

    #: last epoch tick handled, epoch ms; 0 before the first
    last_tick: int = 0
    #: tick up to which every cell is folded
    folded: int = 0
    progress: TickProgress = msgspec.field(default_factory=TickProgress)
    #: source partition → epoch tick it has closed (epoch ms), as received
    closed: dict[int, int] = {}
    #: input end offsets of the last epoch handled: topic → source partition → offset
    end_offsets: dict[str, dict[int, int]] = {}
    #: dispositions at the last epoch handled: topic → disposition → source partition → records (partition 0 only)
    dispositions: dict[str, dict[str, dict[int, int]]] = {}

    def note(self, source: int, part: Part) -> None:
        """Take the end offsets and dispositions of a source's epoch that ended with this part."""
        for topic, offset in part.end_offsets.items():
            self.end_offsets.setdefault(topic, {})[source] = offset
        for topic, counts in part.dispositions.items():
            known = self.dispositions.setdefault(topic, {})
            for name, count in counts.items():
                known.setdefault(name, {})[source] = count

    def inputs(self) -> dict[str, dict[int, int]]:
        """End offsets in order of topic and source."""
        return {topic: dict(sorted(self.end_offsets[topic].items())) for topic in sorted(self.end_offsets)}

    def totals(self) -> dict[str, dict[str, int]]:
        """Dispositions over all sources."""
        return {
            topic: {name: sum(by_source.values()) for name, by_source in counts.items()}
            for topic, counts in sorted(self.dispositions.items())
        }


_codec: Final = Codec[MetricsLaneState](MetricsLaneState, FORMAT, "metrics positions record")
encode, decode = _codec.encode, _codec.decode

"""What is known of a line's data, for safeguards and ranges; nothing here decides.

Stored under ``H`` + line: one format byte, then MessagePack. Labelled rows of up to ``history_days`` closed days by
version (some 12 bytes and a name each), how complete the last mature day was, and what is broken.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stream_app.core.days import day_of
from stream_app.core.line_log import CompletenessEntry, EventEntry, SnapshotEntry
from stream_app.core.retrain.safeguards import Coverage
from stream_app.stored import Codec

FORMAT: Final = 1
PREFIX: Final = b"H"


class History(msgspec.Struct):
    """Memory of a line's data."""

    #: day → version → labelled rows, as published last
    labelled: dict[int, dict[str, int]] = {}
    coverage: Coverage | None = None
    #: day of the close that ``faults`` belongs to
    faults_day: int = 0
    faults: list[str] = []

    def closed(self, entry: SnapshotEntry, keep_days: int) -> None:
        """A closed day was published, for the first time or again."""
        outcomes = _snapshots.decode(entry.record).outcomes
        self.labelled.setdefault(entry.day, {})[entry.version] = outcomes
        oldest = max(self.labelled) - keep_days
        if min(self.labelled) <= oldest:
            self.labelled = {day: found for day, found in self.labelled.items() if day > oldest}

    def completed(self, entry: CompletenessEntry) -> bool:
        """How many rows of the last mature day have their outcome; whether that is news."""
        found = Coverage(entry.day, entry.predictions, entry.labelled)
        if self.coverage is not None and self.coverage.day > found.day:
            return False
        changed, self.coverage = found != self.coverage, found
        return changed

    def judged(self, entry: EventEntry) -> bool:
        """What an event says is broken at its close date; whether that is news. Of the newest date the last word holds.

        Quality events other than completeness name no faults.
        """
        day = day_of(entry.close_ms)
        if day < self.faults_day or (entry.kind == "quality" and entry.check != "completeness"):
            return False
        if entry.check == "handover" or (day == self.faults_day and entry.faults == self.faults):
            return False
        quiet = not entry.faults and not self.faults
        self.faults_day, self.faults = day, list(entry.faults)
        return not quiet

    def by_day(self) -> dict[int, int]:
        """Labelled rows of each day, over all versions."""
        return {day: sum(found.values()) for day, found in self.labelled.items()}


class _Snapshot(msgspec.Struct):
    outcomes: Annotated[int, Meta(ge=0)]


_snapshots = msgspec.json.Decoder(_Snapshot)
_codec: Final = Codec[History](History, FORMAT, "a line's label history")
encode, decode = _codec.encode, _codec.decode


def key(line: str) -> bytes:
    """Key of a line's history."""
    return PREFIX + line.encode()

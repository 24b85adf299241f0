"""What is known of a model's data, for safeguards and ranges; nothing here decides.

Stored under ``H`` + model: one format byte, then MessagePack. Labelled rows of up to ``history_days`` closed days (some
12 bytes each), how complete the last mature day was, and what is broken. The rows of each version of a day stand beside
it under ``V`` + model, 0, day (u4), version, and go with their day: versions are named by producers, so no record holds
all of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

from stream_app.core.comparisons.finding import HOURLY, Finding
from stream_app.core.kit.codec import Codec, body
from stream_app.core.kit.days import day_of
from stream_app.core.model_log import CompletenessEntry
from stream_app.core.retrain.safeguards import Coverage

FORMAT: Final = 2
ROWS_FORMAT: Final = 1
PREFIX: Final = b"H"
ROWS: Final = b"Y"


class History(msgspec.Struct):
    """Memory of a model's data."""

    #: day → labelled rows over all versions, as published last
    labelled: dict[int, int] = {}
    coverage: Coverage | None = None
    #: day of the close that ``faults`` belongs to
    faults_day: int = 0
    faults: list[str] = []

    def closed(self, day: int, rows: int, before: int, keep_days: int) -> list[int]:
        """A version's closed day has ``rows`` labelled rows, and had ``before``; returns days that are forgotten."""
        self.labelled[day] = self.labelled.get(day, 0) + rows - before
        oldest = max(self.labelled) - keep_days
        gone = [known for known in self.labelled if known <= oldest]
        for known in gone:
            del self.labelled[known]
        return gone

    def completed(self, entry: CompletenessEntry) -> bool:
        """How many rows of the last mature day have their outcome; whether that is news."""
        found = Coverage(entry.day, entry.predictions, entry.labelled)
        if self.coverage is not None and self.coverage.day > found.day:
            return False
        changed, self.coverage = found != self.coverage, found
        return changed

    def judged(self, found: Finding) -> bool:
        """What an event says is broken at its close date; whether that is news. Of the newest date the last word holds.

        Quality events other than completeness name no faults.
        """
        day = day_of(found.close_ms)
        if day < self.faults_day or (found.kind == "quality" and found.check != "completeness"):
            return False
        if found.check in ("handover", HOURLY) or (day == self.faults_day and found.faults == self.faults):
            return False
        quiet = not found.faults and not self.faults
        self.faults_day, self.faults = day, list(found.faults)
        return not quiet


_codec: Final = Codec[History](History, FORMAT, "a model's label history")
encode, decode = _codec.encode, _codec.decode


def key(model: str) -> bytes:
    """Key of a model's history."""
    return PREFIX + model.encode()


def rows_of(model: str) -> bytes:
    """Prefix of the rows of every day of a model."""
    return ROWS + model.encode() + b"\0"


def rows_key(model: str, day: int, version: str = "") -> bytes:
    """Key of a version's rows of a day; without a version the prefix of all of them."""
    return rows_of(model) + day.to_bytes(4, "big") + version.encode()


def encode_rows(rows: int) -> bytes:
    """Format byte and i8, little-endian."""
    return bytes((ROWS_FORMAT,)) + rows.to_bytes(8, "little")


def decode_rows(value: bytes | None) -> int:
    """Inverse of :func:`encode_rows`; 0 where there is none."""
    return 0 if value is None else int.from_bytes(body(value, ROWS_FORMAT, "a version's labelled rows"), "little")

"""What is known of a model's data, for safeguards and ranges; nothing here decides.

Stored under ``H`` + model: one format byte, then MessagePack. Labelled rows and positives of up to ``history_days``
closed days (some 12 bytes each), how complete the last mature day was, what the last performance checks came to, and
what is broken. The rows of each version of a day stand beside it under ``Y`` + model, 0, day (u4), version, and go with
their day: versions are named by producers, so no record holds all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.drift import DriftKind
from stream_app.core.comparisons.finding import HOURLY, Finding
from stream_app.core.comparisons.records import MetricBound
from stream_app.core.kit.codec import Codec, body
from stream_app.core.kit.days import day_of
from stream_app.core.model_log import CompletenessEntry
from stream_app.core.retrain.safeguards import Coverage, PerformanceCheck

FORMAT: Final = 4
ROWS_FORMAT: Final = 2
PREFIX: Final = b"H"
ROWS: Final = b"Y"
#: Performance checks remembered: as many as `maturity_checks` and `retrain_floor_checks` may be, and the one before.
HEARD: Final = 11


class History(msgspec.Struct):
    """Memory of a model's data."""

    #: day → labelled rows over all versions, as published last, and positives among them
    by_day: dict[int, tuple[int, int]] = {}
    coverage: Coverage | None = None
    #: day of the close that ``faults`` belongs to
    faults_day: int = 0
    faults: list[str] = []
    #: the last daily performance checks, oldest first
    heard: tuple[PerformanceCheck, ...] = ()

    @property
    def labelled(self) -> dict[int, int]:
        """Day → labelled rows over all versions."""
        return {day: rows for day, (rows, _) in self.by_day.items()}

    def closed(self, day: int, now: tuple[int, int], before: tuple[int, int], keep_days: int) -> list[int]:
        """A version's closed day has so many labelled rows and positives ``now``, and had ``before``; returns days that
        are forgotten."""
        rows, positives = self.by_day.get(day, (0, 0))
        self.by_day[day] = rows + now[0] - before[0], positives + now[1] - before[1]
        oldest = max(self.by_day) - keep_days
        gone = [known for known in self.by_day if known <= oldest]
        for known in gone:
            del self.by_day[known]
        return gone

    def completed(self, entry: CompletenessEntry) -> bool:
        """How many rows of the last mature day have their outcome; whether that is news."""
        found = Coverage(entry.day, entry.predictions, entry.labelled)
        if self.coverage is not None and self.coverage.day > found.day:
            return False
        changed, self.coverage = found != self.coverage, found
        return changed

    def judged(self, found: Finding, bounds: Sequence[MetricBound] = ()) -> bool:
        """What an event says is broken at its close date; whether that is news. Of the newest date the last word holds.

        Quality events other than completeness name no faults.
        """
        heard = self._hear(found, bounds)
        if found.check == HOURLY:
            return False
        return self._faults(found) or heard

    def _hear(self, found: Finding, bounds: Sequence[MetricBound]) -> bool:
        """A performance check. Made again for the same close, it takes its place; of an older close it says nothing."""
        if found.kind != DriftKind.PERFORMANCE or found.check is not None:
            return False
        newest = self.heard[-1].close_ms if self.heard else 0
        if found.close_ms < newest:
            return False
        before = self.heard[:-1] if found.close_ms == newest else self.heard
        check = PerformanceCheck(found.close_ms, found.day, found.version, found.verdict, tuple(bounds))
        self.heard = (*before, check)[-HEARD:]
        return True

    def _faults(self, found: Finding) -> bool:
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


def encode_rows(rows: int, positives: int) -> bytes:
    """Format byte and two i8, little-endian."""
    return bytes((ROWS_FORMAT,)) + rows.to_bytes(8, "little") + positives.to_bytes(8, "little")


def decode_rows(value: bytes | None) -> tuple[int, int]:
    """Inverse of :func:`encode_rows`; zeros where there is none."""
    if value is None:
        return 0, 0
    found = body(value, ROWS_FORMAT, "a version's labelled rows")
    return int.from_bytes(found[:8], "little"), int.from_bytes(found[8:16], "little")

"""Evidence as it is stored between two full hours: one record a model.

Bound: of errors 1 channel and 8 days in flight, of scores 10 channels and 2 days; 36 pairs of days that episodes
touched. Measured: 2.5 kB.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.drift import Severity
from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.kit.codec import Codec

FORMAT: Final = 2


class HourlyEpisode(msgspec.Struct, frozen=True, array_like=True):
    """A loss that was alarmed about and has not ended. Hours since 1970."""

    #: full hour of the alarm, and the hour the loss began at as far as was known then
    opened: int
    start: int
    #: the highest that was told: of its events, and of the daily check that found the same before
    severity: Severity
    #: full hour since which the days in flight alone have shown nothing
    quiet_since: int | None = None
    #: of scores: outcomes have shown that nothing is lost, so its days teach the reference
    acquitted: bool = False


class FlyingDay(msgspec.Struct, frozen=True, array_like=True):
    """What a past day in flight says, so that it is not reckoned again while its counts stay. Natural logarithms;
    arrays are little-endian f8[slots][4], hours u1[slots][4]."""

    day: int
    #: digest of the counts and the reference that it was reckoned from
    digest: bytes
    whole: bytes
    since: bytes
    best: bytes
    best_hours: bytes
    #: sum of its hours alone (not a logarithm); the largest of them, its hour of the day and its channel
    burst: float
    best_burst: float
    best_burst_hour: int
    best_burst_slot: int


class KindEvidence(msgspec.Struct, frozen=True, array_like=True):
    """Of one kind of channel. Arrays as above, hours i4[slots][4] since 1970; empty before anything is frozen."""

    #: start hours count from here on (hours since 1970)
    first_start: int
    #: first day that is not frozen (since 1970)
    frozen_to: int
    #: ln R by channel and alternative; the largest term of each, and its start
    rest: bytes = b""
    best: bytes = b""
    best_hours: bytes = b""
    #: frozen part of B (not a logarithm); its largest term, hour since 1970 and channel
    burst: float = 0.0
    best_burst: float | None = None
    best_burst_hour: int = 0
    best_burst_slot: int = 0
    flying: list[FlyingDay] = []
    episode: HourlyEpisode | None = None
    #: first and last days of episodes, as long as hour records are kept
    touched: list[tuple[int, int]] = []


class ModelEvidence(msgspec.Struct, frozen=True, array_like=True):
    """Of the version that is active."""

    version: str
    errors: KindEvidence
    scores: KindEvidence

    def of(self, kind: HourlyKind) -> KindEvidence:
        """That of a kind."""
        return self.errors if kind == "errors" else self.scores

    def having(self, kind: HourlyKind, value: KindEvidence) -> ModelEvidence:
        """With that of a kind replaced."""
        return ModelEvidence(self.version, value, self.scores) if kind == "errors" else ModelEvidence(
            self.version, self.errors, value
        )  # fmt: skip


_codec: Final = Codec[ModelEvidence](ModelEvidence, FORMAT, "hourly evidence of a model")
encode, decode = _codec.encode, _codec.decode

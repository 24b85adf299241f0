"""Evidence as it is stored between two full hours: one record a model."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.drift import Severity
from stream_app.core.hourly.rules import HourlyKind
from stream_app.core.kit.codec import Codec

FORMAT: Final = 1


class HourlyEpisode(msgspec.Struct, frozen=True, array_like=True):
    """A loss that was alarmed about and has not ended. Hours since 1970."""

    opened: int
    start: int
    severity: Severity
    #: full hour since which the days in flight alone have shown nothing
    quiet_since: int | None = None


class BestStart(msgspec.Struct, frozen=True, array_like=True):
    """The largest term of the evidence: natural logarithm, and the hour it starts at (since 1970)."""

    log: float
    hour: int


class FlyingDay(msgspec.Struct, frozen=True, array_like=True):
    """What a day in flight says, kept so that it is not reckoned again while its counts stay."""

    day: int
    #: digest of the counts and the reference it was reckoned from
    digest: bytes
    terms: bytes


class KindEvidence(msgspec.Struct, frozen=True, array_like=True):
    """Of one kind of channel."""

    #: start hours count from here on (hours since 1970)
    first_start: int
    #: first day that is not frozen (since 1970)
    frozen_to: int
    #: (slot, alternative) → log of R, and its largest term
    rest: dict[str, float] = {}
    best: dict[str, BestStart] = {}
    #: frozen part of B, and its largest term
    burst: float = 0.0
    best_burst: BestStart | None = None
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


_codec: Final = Codec[ModelEvidence](ModelEvidence, FORMAT, "hourly evidence of a model")
encode, decode = _codec.encode, _codec.decode

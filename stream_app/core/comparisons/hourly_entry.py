"""Hourly evidence as it travels in the model log."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from schemas.drift import DriftKind, Severity

_HIGH_POINTS: Final = 10.0
_CRITICAL_POINTS: Final = 20.0


class HourlyLoss(msgspec.Struct, frozen=True, array_like=True):
    """What went since a start hour. Points are 0–100, shares 0–1; hours since 1970, the first included, the last
    excluded."""

    start: int
    end: int
    points: float
    #: 99 % interval of the points
    lower: float
    upper: float
    #: accuracy, recall of types judged by it, or the share of scores on the side that grew
    recent: float
    baseline: float
    recent_rows: int
    baseline_rows: int

    @property
    def severity(self) -> Severity:
        """By the point estimate."""
        if self.points > _CRITICAL_POINTS:
            return Severity.CRITICAL
        return Severity.HIGH if self.points > _HIGH_POINTS else Severity.MEDIUM


class HourlyEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="hourly"):
    """Hourly evidence of one kind, where it is above 10 or an episode is open (CONTRACT section 3a)."""

    model: str
    version: str
    kind: DriftKind
    #: the full hour (since 1970): hours before it count
    hour: int
    #: tick that looked at it
    at_ms: int
    #: log10, three decimals: of all, and of the days in flight alone; ``None`` if there is nothing to compare with
    evidence: float | None = None
    in_flight: float | None = None
    threshold: float
    #: what became of the episode; an event goes out when it opened or was raised, none if it opened on what the daily
    #: check has told
    what: Literal["opened", "known", "raised", "goes_on", "ended"] | None = None
    severity: Severity | None = None
    #: full hour at which the open episode opened
    since: int | None = None
    loss: HourlyLoss | None = None
    #: of performance: accuracy, or recall
    metric: str | None = None
    #: healthy days it is compared with (since 1970): the first, that after the last, and how many; 0: none
    baseline_first: int = 0
    baseline_last: int = 0
    baseline_days: int = 0
    acquitted: bool = False
    settings_hash: str

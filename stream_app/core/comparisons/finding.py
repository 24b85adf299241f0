"""What a check found, in short: a drift event without its histograms, about 1 kB, as stages hand it on and keep it."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.drift import SEVERE, DriftKind, Severity, Verdict

#: Bounds of what is kept of an event: windows, faults, and the bytes of a text.
WINDOWS: Final = 16
FAULTS: Final = 8
TEXT: Final = 400
#: The check that alarms at full hours.
HOURLY: Final = "hourly"


class FoundWindow(msgspec.Struct, frozen=True, array_like=True):
    """One recent window beside its baseline; times as published, rows ``None`` if the event does not say."""

    from_: str
    to: str
    recent: float | None
    baseline: float | None
    interval: tuple[float, float] | None
    recent_rows: int | None = None
    baseline_rows: int | None = None
    metric: str | None = None
    statistic: float | None = None
    dispersion: float | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A drift event in short."""

    id: str
    model: str
    kind: DriftKind
    #: quality check, ``handover`` or ``hourly``
    check: str | None
    version: str
    #: nominal time of the close (epoch ms)
    close_ms: int
    #: newest cohort day
    day: int
    verdict: Verdict
    severity: Severity | None = None
    #: newest cohort day of the first event of the unbroken run of ``drift`` of its kind that this one ends
    run_from: int | None = None
    #: reason of ``insufficient_evidence``
    reason: str | None = None
    #: id of the event this one replaces; then it counts as no close
    revises: str | None = None
    #: what is broken in the data at that close date, in words; empty if nothing is
    faults: list[str] = []
    rule_verdict: Verdict | None = None
    statistic: float | None = None
    p_value: float | None = None
    metric: str | None = None
    baseline_version: str | None = None
    baseline_kind: str | None = None
    windows: list[FoundWindow] = []
    #: the present run of statistical drift costs nothing, as outcomes have shown
    acquitted: bool = False
    #: share of positives, recent and baseline, if it alone moved the metric
    prior_shift: tuple[float, float] | None = None
    #: of an hourly alarm: log10 of the evidence
    evidence: float | None = None

    @property
    def drift(self) -> bool:
        """Whether it found drift of any severity."""
        return self.verdict == Verdict.DRIFT

    @property
    def severe(self) -> bool:
        """Whether it found drift that people are alerted about."""
        return self.drift and self.severity in SEVERE

    @property
    def slot(self) -> str:
        """Under which name the latest of its sort is remembered."""
        if self.check == HOURLY:
            return f"{HOURLY}_{self.kind}"
        return self.check if self.check is not None else self.kind

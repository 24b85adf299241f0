"""What each check found at each close: one event per model, check and close date, also when nothing was found."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType, field

from schemas.common import Count, Digest, Finite, Name, Output, Text, Timestamp, Token, Unit, Uuid


class DriftKind(StrEnum):
    """What is compared: scores, labelled rows, or the data itself."""

    STATISTICAL = "statistical"
    PERFORMANCE = "performance"
    QUALITY = "quality"


class Verdict(StrEnum):
    """What a check says."""

    DRIFT = "drift"
    NO_DRIFT = "no_drift"
    INSUFFICIENT_EVIDENCE = "insufficient_evidence"


class Severity(StrEnum):
    """How bad drift is; alerts are about HIGH and above."""

    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


#: Order of severities, from none on.
RANK: Final[dict[str | None, int]] = {None: 0, Severity.MEDIUM: 1, Severity.HIGH: 2, Severity.CRITICAL: 3}
#: Severities that people are alerted about, and that a retraining may follow.
SEVERE: Final = (Severity.HIGH, Severity.CRITICAL)

#: the quality checks; ``handover`` for a performance event about a change of the active version; ``hourly`` for an
#: alarm about scores or performance at a full hour
Check = Literal[
    "completeness", "volume", "positive_rate", "calibration", "interval_width", "narrow_share", "handover", "hourly"
]

Bins = Annotated[list[Count], Meta(min_length=50, max_length=50)]


class Histograms(msgspec.Struct, frozen=True):
    """Predictions by score, in 50 bins of equal width on [0, 1]; in performance events those with an outcome."""

    recent: Bins
    baseline: Bins


class DriftWindow(msgspec.Struct, frozen=True, kw_only=True):
    """One recent window beside its baseline. It includes ``from`` and excludes ``to``."""

    from_: Timestamp = field(name="from")
    to: Timestamp
    #: the value on either side; null if it is undefined
    recent: Finite | None
    baseline: Finite | None
    #: rows on either side: scores, or what stands in the metric's denominator
    recent_rows: Count | UnsetType = UNSET
    baseline_rows: Count | UnsetType = UNSET
    #: which metric the values are of, in performance events
    metric: Token | UnsetType = UNSET
    #: the KS distance of this window, in statistical events
    statistic: Finite | UnsetType | None = UNSET
    #: lower and upper bound, 99 % one-sided each: of the drop in performance events, of D (a band) in statistical ones;
    #: of an hourly alarm the 99 % interval of what was lost, or has moved (0 to 1)
    interval: tuple[Finite, Finite] | None
    #: day-to-day spread beyond chance that the counts of a one-day window were divided by
    dispersion: Annotated[float, Meta(ge=1, le=1e18)] | UnsetType = UNSET
    histograms: Histograms | UnsetType = UNSET


class PriorShift(msgspec.Struct, frozen=True):
    """The share of positives among the outcomes on either side; among actual positives and negatives the rates of error
    did not move."""

    recent: Unit
    baseline: Unit


class DriftEvent(Output, frozen=True, kw_only=True):
    """Verdict of one check on one model at one close."""

    schema: Literal["io.plumbline.drift-event.v1"]
    kind: DriftKind
    check: Check | UnsetType = UNSET
    #: the close's nominal time, or the full hour of an hourly alarm; ``at`` is the time of the tick that ran it
    as_of: Timestamp
    model_version: Name
    #: null if there is nothing to compare with
    baseline_version: Name | None
    baseline_kind: Literal["window", "held", "initial", "previous"] | None
    verdict: Verdict
    #: what the unadjusted rule would have said; null where there is none
    rule_verdict: Verdict | None
    severity: Severity | UnsetType = UNSET
    statistic: Finite | None
    p_value: Unit | UnsetType = UNSET
    metric: Token | UnsetType = UNSET
    windows: Annotated[list[DriftWindow], Meta(max_length=16)]
    #: reserved; null in this version
    second_opinion: None
    #: why there is no evidence, for example ``no_healthy_baseline``
    reason: Text | UnsetType = UNSET
    #: what is broken in the data at that close date, in words: outcomes that are missing, predictions that fell off
    faults: Annotated[list[Annotated[str, Meta(max_length=400)]], Meta(max_length=8)] | UnsetType = UNSET
    #: outcomes have shown that the present run of statistical drift costs nothing; left out where that is not so
    acquitted: bool | UnsetType = UNSET
    #: of an hourly alarm: log10 of the evidence that something has been lost, or has moved
    evidence: Finite | UnsetType = UNSET
    #: of performance drift that the share of positives explains by itself
    prior_shift: PriorShift | UnsetType = UNSET
    #: id of the event that this one replaces
    revises: Uuid | UnsetType = UNSET
    settings_hash: Digest

"""Evidence of a loss at a full hour (CONTRACT section 3a)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_app.core.hourly.evidence_state import ModelEvidence
from stream_app.core.hourly.hours import HourCounts
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import HourlyRules


@dataclass(frozen=True, slots=True)
class HourlyInput:
    """One model at one full hour."""

    #: the active version, and what is stored of it; a state of another version is dropped
    version: str
    state: ModelEvidence | None
    references: ModelReferences | None
    #: hour records of the version, those of :func:`wanted_days`; days without a record are left out
    hours: Mapping[int, HourCounts]
    #: the full hour (hours since 1970): hours before it count
    hour: int
    rules: HourlyRules


@dataclass(frozen=True, slots=True)
class HourlyReading:
    """What one kind of channel says at a full hour."""

    #: log10 of the evidence, three decimals; ``None``: the channel is off
    evidence: float | None
    #: the same of the days in flight alone
    in_flight: float | None
    threshold: float
    #: hours (since 1970) that the largest term is about; ``None`` without any
    start: int | None
    end: int | None
    #: channel it is in, by its slot
    slot: int | None
    #: why the channel is off
    reason: str | None

    @property
    def alarm(self) -> bool:
        """Whether the evidence has reached the threshold."""
        return self.evidence is not None and self.evidence >= self.threshold


@dataclass(frozen=True, slots=True)
class HourlyResult:
    """The state to store, and the two readings."""

    state: ModelEvidence
    errors: HourlyReading
    scores: HourlyReading


def wanted_days(version: str, state: ModelEvidence | None, hour: int, rules: HourlyRules) -> range:
    """Days whose hour records :func:`advance` needs: those in flight, and those that freeze now."""
    raise NotImplementedError


def advance(batch: Sequence[HourlyInput]) -> list[HourlyResult]:
    """Evidence of some models at a full hour. One model alone and in any batch gives the same bits."""
    raise NotImplementedError

"""Makes the references of a model at the 02:00 close of date D, for the hours of date D + 1."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from stream_app.core.hourly.evidence_state import ModelEvidence
from stream_app.core.hourly.hours import HourCounts
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import HourlyRules


@dataclass(frozen=True, slots=True)
class ReferenceDays:
    """What is known of a version's days when its references are made."""

    version: str
    #: day the references are for: D + 1 at the 02:00 close of date D
    day: int
    #: first day with predictions of the version, or that of the last ``rebaseline``
    first_day: int
    #: stored hour records of its days, those of :func:`reference_days` at most
    hours: Mapping[int, HourCounts]
    #: closed days that are tainted for performance, and for scores (without those of an acquitted run)
    tainted_errors: Collection[int]
    tainted_scores: Collection[int]


def reference_days(day: int, first_day: int, rules: HourlyRules) -> range:
    """Days whose hour records are asked for the references of ``day``, healthy or not."""
    raise NotImplementedError


def make_references(
    known: ReferenceDays, state: ModelEvidence | None, before: ModelReferences | None, rules: HourlyRules
) -> ModelReferences:
    """References with those of ``known.day`` added, and without those of days that are no longer in flight."""
    raise NotImplementedError

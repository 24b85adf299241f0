"""Hourly evidence, where there is some: what the chart of an alarm is made of."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from schemas.common import Digest, Finite, Name, Output, Timestamp
from schemas.drift import DriftKind, Severity


class HourlyEvidence(Output, frozen=True, kw_only=True):
    """Evidence of one kind at one full hour: above 10, or while an episode is open."""

    schema: Literal["io.plumbline.hourly-evidence.v1"]
    kind: DriftKind
    #: the full hour: what was predicted before it counts; ``at`` is the time of the tick that looked at it
    as_of: Timestamp
    model_version: Name
    #: log10 of the evidence that something was lost, or has moved; null if there is nothing to compare with
    evidence: Finite | None
    #: the same of the days alone whose counts still change
    in_flight: Finite | None
    #: log10 of the evidence at which an alarm is raised, by the budget of false alerts
    threshold: Finite
    #: full hour at which the open episode began; left out where none is open
    episode: Timestamp | UnsetType = UNSET
    #: what became of the episode at this hour; ``known``: it opened on what the daily check had told, without an event
    change: Literal["opened", "known", "raised", "ended"] | UnsetType = UNSET
    severity: Severity | UnsetType = UNSET
    settings_hash: Digest

"""Alerts: one open one per model and type, each change of it a new revision."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.common import Actor, Name, Output, Text, Timestamp, Token, Uuid
from schemas.drift import Severity


class Safeguard(msgspec.Struct, frozen=True):
    """One condition of retraining, and why it holds or does not."""

    name: Token
    passed: bool
    reason: Text


Safeguards = Annotated[list[Safeguard], Meta(max_length=32)]


class AutoRetrain(msgspec.Struct, frozen=True):
    """Whether the model may be retrained without a person, and every safeguard's answer."""

    eligible: bool
    safeguards: Safeguards


class ReplacedBy(msgspec.Struct, frozen=True):
    """The version that became active while an alert was open."""

    version: Name
    previous: Name
    since: Timestamp
    #: trained by Plumbline's command; deployed by somebody else; or the version before, put back by Plumbline's command
    how: Literal["retrained", "recalibrated", "deployed", "rolled_back"]
    #: id of the ``train`` command it came from, or of the ``rollback`` command
    command_id: Uuid | UnsetType = UNSET


class Alert(Output, frozen=True, kw_only=True):
    """Revision of an alert. Only one with ``notify`` is news to people."""

    schema: Literal["io.plumbline.alert.v1"]
    type: Literal["ML_DRIFT_DETECTED", "ML_OUTCOMES_INCOMPLETE"]
    revision: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    notify: Literal["opened", "severity", "reminder", "escalated", "resolved"] | UnsetType = UNSET
    status: Literal["open", "updated", "resolved"]
    severity: Severity
    escalation_level: Annotated[int, Meta(ge=0, le=1)]
    model_version: Name
    opened_at: Timestamp
    acknowledged_by: Actor | UnsetType = UNSET
    #: the same for all alerts of a model type and close date
    correlation_id: Uuid
    summary: Text
    recommendation: Text
    auto_retrain: AutoRetrain
    #: the newest 100 of them
    drift_event_ids: Annotated[list[Uuid], Meta(max_length=100)]
    #: how many there were since it opened
    drift_event_count: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    #: ``no_drift``: two closes in a row of every kind were without; the others as CONTRACT section 4 says
    resolution_reason: (
        Literal[
            "no_drift", "no_evidence", "labels_revised", "version_replaced", "accepted", "no_predictions", "no_loss"
        ]
        | UnsetType
    ) = UNSET
    #: why it is over, in words for people; there with ``resolution_reason``
    resolution: Text | UnsetType = UNSET
    #: the version that took the place of the one it is about, the latest
    replaced_by: ReplacedBy | UnsetType = UNSET
    #: address of the alert in the dashboard
    link: Annotated[str, Meta(max_length=2_000)]
    report: dict[str, Any]

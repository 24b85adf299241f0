"""Alerts: one open one per model and type, each change of it a new revision."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.common import Actor, Id, ModelId, Name, Output, Text, Timestamp, Token, Uuid
from schemas.drift import Severity

#: why an alert is over
Resolution = Literal[
    "no_drift",
    "no_evidence",
    "labels_revised",
    "version_replaced",
    "accepted",
    "no_predictions",
    "no_loss",
    "cause_ended",
]


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


AlertType = Literal[
    "ML_DRIFT_DETECTED",
    "ML_OUTCOMES_INCOMPLETE",
    "ML_APPROVAL_WANTED",
    "ML_TRAINING_FAILED",
    "ML_ROLLED_BACK",
    "ML_CIRCUIT_OPEN",
]
#: What can be muted: drift of scores, drift of performance, missing outcomes, and the alerts about retraining.
MuteKind = Literal[
    "statistical",
    "performance",
    "outcomes",
    "ML_APPROVAL_WANTED",
    "ML_TRAINING_FAILED",
    "ML_ROLLED_BACK",
    "ML_CIRCUIT_OPEN",
]


class MuteWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A time in which alerts are recorded and not delivered; without ``kinds`` all of them."""

    model: ModelId | UnsetType = UNSET
    #: in place of ``model``: every model of this type
    model_type: Name | UnsetType = UNSET
    kinds: Annotated[list[MuteKind], Meta(max_length=7)]
    from_: Timestamp = msgspec.field(name="from")
    until: Timestamp
    actor: Actor
    reason: Text
    command_id: Id


NoteText = Annotated[str, Meta(max_length=500)]


class AlertVerdict(msgspec.Struct, frozen=True):
    """What a person found the alert to be."""

    verdict: Literal["real", "false"]
    actor: Actor
    at: Timestamp
    note: NoteText | UnsetType = UNSET


class AlertNote(msgspec.Struct, frozen=True):
    """What a person wrote on an alert."""

    actor: Actor
    at: Timestamp
    note: NoteText


class Alert(Output, frozen=True, kw_only=True):
    """Revision of an alert. Only one with ``notify`` is news to people."""

    schema: Literal["io.plumbline.alert.v1"]
    type: AlertType
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
    #: how many there were since it opened; 0 for what no drift event raised
    drift_event_count: Annotated[int, Meta(ge=0, le=2**31 - 1)]
    #: ``no_drift``: two closes in a row of every kind were without; the others as CONTRACT section 4 says
    resolution_reason: Resolution | UnsetType = UNSET
    #: why it is over, in words for people; there with ``resolution_reason``
    resolution: Text | UnsetType = UNSET
    #: the version that took the place of the one it is about, the latest
    replaced_by: ReplacedBy | UnsetType = UNSET
    #: address of the alert in the dashboard
    link: Annotated[str, Meta(max_length=2_000)]
    report: dict[str, Any]
    #: checks that were HIGH or above while it was open, in the order in which they came
    raised_by: Annotated[list[Token], Meta(max_length=8)] = []
    #: there while a mute holds: nothing is delivered until then
    muted_until: Timestamp | UnsetType = UNSET
    verdict: AlertVerdict | UnsetType = UNSET
    #: the newest 8, oldest first
    notes: Annotated[list[AlertNote], Meta(max_length=8)] = []
    #: settings of the model or its type
    owner: Annotated[str, Meta(max_length=256)] | UnsetType = UNSET
    runbook_url: Annotated[str, Meta(max_length=1_000)] | UnsetType = UNSET
    #: approval wanted: when the request lapses
    deadline: Timestamp | UnsetType = UNSET

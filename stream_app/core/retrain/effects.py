"""What the coordinator wants done, as data, in order. The stage turns each into records; nothing else acts."""

from __future__ import annotations

from typing import Literal, NamedTuple

from schemas.training import TriedRange, VersionComparison
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.retrain.data_range import Plan
from stream_app.core.retrain.safeguards import SafeguardResult
from stream_app.core.retrain.state import Cause, ModelState, Refusals

COORDINATOR = "retrain-coordinator"


class SendCommand(NamedTuple):
    """A command to the trainer (train, cancel) or the deployer (recalibrate, activate, rollback)."""

    command: Literal["train", "recalibrate", "cancel", "activate", "rollback"]
    command_id: str
    attempt: int
    model_version: str
    expected_current_version: str
    candidate_version: str | None
    cause: Cause
    plan: Plan | None
    accept_by_ms: int | None
    finish_by_ms: int | None
    #: of the candidate's artefact, in hex
    artifact_sha256: str | None = None
    #: train: the metric to judge by
    primary_metric: str | None = None
    #: recalibrate: the numbers, and what they are expected to gain
    repair: RepairProposal | None = None


class PublishJob(NamedTuple):
    """The job as it stands now, for readers."""

    state: ModelState


class Grounds(NamedTuple):
    """What a decision stands on."""

    answers: tuple[SafeguardResult, ...] = ()
    comparison: VersionComparison | None = None
    #: ranges that a candidate was made from
    tried: tuple[TriedRange, ...] = ()
    #: the refusals that it sums up
    refusals: Refusals | None = None


NO_GROUNDS = Grounds()


class Audit(NamedTuple):
    """A decision that did something. ``subject``: id of what it is about."""

    actor: str
    action: str
    decision: str
    subject: str
    ids: tuple[str, ...]
    reason: str
    grounds: Grounds = NO_GROUNDS


class CommandRefused(NamedTuple):
    """An event that moved nothing. ``name``: the safeguard or rule that spoke."""

    actor: str
    action: str
    name: str
    subject: str
    reason: str
    answers: tuple[SafeguardResult, ...] = ()


class Decide(NamedTuple):
    """Every safeguard's answer to a drift event, for the audit and for alerts. ``decision``: what came of it."""

    event_id: str
    eligible: bool
    answers: tuple[SafeguardResult, ...]
    decision: Literal["ordered", "awaiting_approval", "refused"]
    #: a refusal, with those before it that were the same; the audit hears of the first
    refusals: Refusals | None = None
    action: Literal["train", "recalibrate"] = "train"
    #: why it is a repair, or none
    note: str = ""


class Kept(NamedTuple):
    """Probation kept a version."""

    version: str
    since_ms: int


class Replaced(NamedTuple):
    """A version is active in place of another, by the command of this id if it was commanded here."""

    version: str
    previous: str
    since_ms: int
    how: Literal["retrained", "recalibrated", "deployed", "rolled_back"]
    command_id: str | None


class WorseVersion(NamedTuple):
    """A version that nobody here commanded is clearly worse than the one before: published as a drift event."""

    event_id: str
    #: nominal close of the event: the hour of the look
    close_ms: int
    version: str
    previous: str
    since_ms: int
    metric: str
    #: number of the window it was judged by
    window: int
    #: points the metric is down by
    points: float


class Wait(NamedTuple):
    """A policy's training waits until fewer of them are on their way in the partition."""

    #: nominal check at which it passed its safeguards
    close_ms: int


Effect = Wait | SendCommand | PublishJob | Audit | CommandRefused | Decide | Kept | Replaced | WorseVersion

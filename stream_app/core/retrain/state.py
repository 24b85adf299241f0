"""What the coordinator remembers of a model; small, frozen, and the whole of it.

Stored under ``J`` + model: one format byte, then MessagePack. A quiet model has some 150 bytes, one with a job up to
5 kB and 30 bytes for each input partition, whatever its age.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from schemas.training import TriedRange, VersionComparison
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.kit.codec import Codec
from stream_app.core.retrain.data_range import Plan

FORMAT: Final = 6
PREFIX: Final = b"J"

State = Literal[
    "idle", "awaiting_approval", "repairing", "requested", "training", "validating", "activating", "probation",
    "rolling_back", "failed", "halted",
]  # fmt: skip

#: Policies that ask for a training without drift, in the order in which they are asked.
Policy = Literal["floor", "labels", "schedule"]
POLICIES: Final[tuple[Policy, ...]] = ("floor", "labels", "schedule")

#: Events whose repetition is recognised. Producers repeat within minutes; an event a day needs a fortnight of them.
REMEMBERED: Final = 32
#: Facts that are said once. They are about the active version, or about none.
NOTED: Final = 4


class Cause(msgspec.Struct, frozen=True):
    """Why there is a job."""

    kind: Literal["statistical", "performance", "manual", "probation", "floor", "labels", "schedule"]
    event_ids: tuple[str, ...]
    reason: str
    #: who asked: a person, or the coordinator
    actor: str
    #: cooldown counts from here: nominal close of the event, or tick of a manual command (epoch ms)
    nominal_ms: int
    #: severity of the drift, if drift it was
    severity: str | None = None
    #: first day (since 1970) to learn from
    first_day: int = 0


class SentCommand(msgspec.Struct, frozen=True):
    """A command on its way to the trainer or the deployer."""

    command: Literal["train", "recalibrate", "activate", "rollback"]
    id: str
    attempt: int
    accept_by_ms: int
    finish_by_ms: int
    accepted: bool = False


class Job(msgspec.Struct, frozen=True):
    """One episode: from the wish to train, or to roll back, to its end."""

    episode: int
    cause: Cause
    #: active version when it began; commands are void if another one is active
    base: str
    plan: Plan | None = None
    sent: SentCommand | None = None
    #: what a person is asked: to train or to repair, or to activate a candidate of a type without thresholds
    asked: Literal["train", "recalibrate", "activate"] | None = None
    #: version that came out of training or of a repair, or the one to roll back to
    candidate: str | None = None
    #: SHA-256 of the candidate's artefact, in hex, as its trainer said
    artifact_sha256: str | None = None
    candidate_metrics: dict[str, float | None] | None = None
    champion_metrics: dict[str, float | None] | None = None
    #: of the candidate with the active version, as its trainer says
    comparison: VersionComparison | None = None
    #: range that the candidate learnt from, of those that its trainer tried
    learnt_from: str | None = None
    tried: tuple[TriedRange, ...] = ()
    #: of an episode that repairs; gone once it trains instead
    repair: RepairProposal | None = None
    #: the repair had been given up when its version came to serve after all
    late: bool = False


class FailedCommand(msgspec.Struct, frozen=True):
    """A command that came to nothing; remembered until a success of its kind ends it, or a person."""

    command: Literal["train", "activate", "rollback"]
    id: str
    attempt: int
    #: tick that gave it up (epoch ms)
    at_ms: int
    reason: str
    #: whether it counts for the circuit
    counted: bool = True


class Refusals(msgspec.Struct, frozen=True):
    """The same refusal of the same drift, check after check: one fact, audited when it begins and when it is over."""

    #: id of the first event refused
    subject: str
    #: first day of the run of drift that asks
    run_from: int
    #: safeguards that refuse
    names: tuple[str, ...]
    count: int
    #: tick of the first refusal (epoch ms)
    first_ms: int
    #: id of the last event refused, its tick, and what refused it in words
    last: str = ""
    last_ms: int = 0
    why: str = ""


class Watch(msgspec.Struct, frozen=True):
    """Probation of a version."""

    version: str
    previous: str
    since_ms: int
    #: ``coordinator``: it is rolled back if it is worse; ``outside``: an event is raised;
    #: ``restored``: it came back by a rollback, so nothing is commanded and nothing is new
    by: Literal["coordinator", "outside", "restored"]
    #: first day of the run of drift that stood at the change
    run_from: int | None = None
    #: its training counts as failed already, because the deployer was late
    counted: bool = False


class ModelState(msgspec.Struct, frozen=True):
    """Memory of a model."""

    state: State = "idle"
    since_ms: int = 0
    active: str | None = None
    previous: str | None = None
    active_since_ms: int = 0
    #: number of episodes begun; ids are made of it
    episode: int = 0
    job: Job | None = None
    watch: Watch | None = None
    #: failed or rolled-back trainings in a row
    failures: int = 0
    circuit_open: bool = False
    #: nominal time of the last train command
    last_train_ms: int | None = None
    #: nothing is trained before; ``None``: there is no back-off
    backoff_until_ms: int | None = None
    #: what failed last, if neither a success nor a person ended it
    failure: FailedCommand | None = None
    #: kind → first day of the run of ``drift`` that stands
    runs: dict[str, int] = {}
    #: kind of drift, or policy → the refusal that its run, or what is due, met last
    refusals: dict[str, Refusals] = {}
    #: ids of the last events handled, oldest first
    recent: tuple[str, ...] = ()
    #: what deployers reported unasked and was said, oldest first
    noted: tuple[str, ...] = ()
    #: first day known when a policy was asked for the first time
    first_day: int | None = None
    #: tick at which a policy's request lapsed or was rejected last
    declined_ms: int | None = None
    #: candidates of the policy ``floor`` that were rejected since a version was activated last
    floor_rejected: int = 0
    #: version that the last repair made, and the nominal time of its command
    repaired: str | None = None
    last_repair_ms: int | None = None
    #: the repair that was given up last, as it was then: until the active version changes, its own may still come
    given_up: Job | None = None


_codec: Final = Codec[ModelState](ModelState, FORMAT, "a model's retraining memory")
encode, decode = _codec.encode, _codec.decode


def key(model: str) -> bytes:
    """Key of a model's memory."""
    return PREFIX + model.encode()

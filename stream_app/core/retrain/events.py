"""What can happen to a model's coordinator: facts in the past tense, commands in the imperative, and the tick.

Each has ``kind``, the name it has in the table of transitions, and ``key``, by which a repetition is recognised
(``None``: it is harmless by nature).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from schemas.training import Answer, TriedRange, VersionComparison
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.retrain.data_range import Plan
from stream_app.core.retrain.safeguards import Coverage, PerformanceCheck

Kind = Literal[
    "drift", "run_ended", "policies", "version_changed", "probation_look", "forgotten", "tick",
    "accepted", "progress", "succeeded", "failed", "unsupported", "activated", "rolled_back",
    "retrain", "approve", "reject", "rollback", "reset_circuit", "dismiss",
]  # fmt: skip
Manual = Literal["reject", "rollback", "reset_circuit", "dismiss"]
BY_HAND: Final[tuple[Manual, ...]] = ("reject", "rollback", "reset_circuit", "dismiss")
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Seen:
    """What the model's data looked like; safeguards are asked about it."""

    plan: Plan
    coverage: Coverage | None = None
    faults: tuple[str, ...] = ()
    #: the last daily performance checks, oldest first
    heard: tuple[PerformanceCheck, ...] = ()


@dataclass(frozen=True, slots=True)
class DriftFound:
    """A statistical or performance event with verdict ``drift``."""

    kind: ClassVar[Kind] = "drift"
    id: str
    check: Literal["statistical", "performance"]
    severity: str | None
    version: str
    close_ms: int
    run_from: int
    seen: Seen
    #: found by the hourly check; runs of drift are those of the daily ones
    hourly: bool = False
    #: what a recalibration would do, if that was looked at
    repair: RepairProposal | None = None

    @property
    def key(self) -> str | None:
        return self.id

    @property
    def slot(self) -> str:
        """Under which name its refusals are counted."""
        return f"hourly {self.check}" if self.hourly else self.check


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A statistical or performance event without ``drift``: the run of its kind, if one stood, is over."""

    kind: ClassVar[Kind] = "run_ended"
    check: Literal["statistical", "performance"]
    key: ClassVar[str | None] = None


@dataclass(frozen=True, slots=True)
class PolicyCheck:
    """The daily performance check is over: policies may ask for a training."""

    kind: ClassVar[Kind] = "policies"
    close_ms: int
    seen: Seen
    #: day → labelled rows
    labelled: Mapping[int, int]
    #: whether another training of a policy may be on its way in the partition
    free: bool
    #: tick at which one that waits is asked once more
    again_ms: int = 0

    @property
    def key(self) -> str | None:
        return f"policies/{self.close_ms}/{self.again_ms}"


@dataclass(frozen=True, slots=True)
class VersionChanged:
    """Metrics reports another active version."""

    kind: ClassVar[Kind] = "version_changed"
    version: str
    previous: str | None
    how: str
    since_ms: int
    #: of a model whose repair is under way or taken back
    seen: Seen | None = None
    key: ClassVar[str | None] = None


@dataclass(frozen=True, slots=True)
class ProbationWindows:
    """The hourly comparison of a new version with the one before."""

    kind: ClassVar[Kind] = "probation_look"
    version: str
    previous: str
    since_ms: int
    windows: tuple[LabelWindow, ...]
    seen: Seen
    key: ClassVar[str | None] = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Metrics forgot the model: it made no predictions for ``days`` before the close."""

    kind: ClassVar[Kind] = "forgotten"
    days: int
    close_ms: int
    key: ClassVar[str | None] = None


@dataclass(frozen=True, slots=True)
class TickEvent:
    """Time has come to ``now_ms``."""

    kind: ClassVar[Kind] = "tick"
    #: of a model whose repair is under way
    seen: Seen | None = None
    key: ClassVar[str | None] = None


@dataclass(frozen=True, slots=True)
class Result:
    """Answer of a trainer or the deployer."""

    command_id: str
    attempt: int
    status: Answer
    candidate: str | None = None
    candidate_metrics: dict[str, float | None] | None = None
    champion_metrics: dict[str, float | None] | None = None
    error: str | None = None
    #: of the candidate's artefact, in hex
    artifact_sha256: str | None = None
    comparison: VersionComparison | None = None
    #: name of the range that the candidate learnt from
    learnt_from: str | None = None
    tried: tuple[TriedRange, ...] = ()
    #: of a model whose repair is under way or taken back
    seen: Seen | None = None

    @property
    def kind(self) -> Kind:
        return self.status

    @property
    def key(self) -> str | None:
        return f"{self.command_id}/{self.attempt}/{self.status}"


@dataclass(frozen=True, slots=True)
class Retrain:
    """An operator wants the model retrained."""

    kind: ClassVar[Kind] = "retrain"
    id: str
    actor: str
    reason: str
    seen: Seen

    @property
    def key(self) -> str | None:
        return self.id


@dataclass(frozen=True, slots=True)
class Approve:
    """An operator agrees to what waits; ``command_id`` names it if given."""

    kind: ClassVar[Kind] = "approve"
    id: str
    actor: str
    reason: str
    seen: Seen
    command_id: str | None = None

    @property
    def key(self) -> str | None:
        return self.id


@dataclass(frozen=True, slots=True)
class ManualCommand:
    """An operator's reject, rollback, reset_circuit or dismiss; ``target``: the job rejected, or the version to go
    back to."""

    command: Manual
    id: str
    actor: str
    reason: str
    target: str | None = None

    @property
    def kind(self) -> Kind:
        return self.command

    @property
    def key(self) -> str | None:
        return self.id


Event = (
    DriftFound
    | RunEnded
    | PolicyCheck
    | VersionChanged
    | ProbationWindows
    | Forgotten
    | TickEvent
    | Result
    | Retrain
    | Approve
    | ManualCommand
)

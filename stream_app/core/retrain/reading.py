"""What entries of the log mean to the coordinator."""

from __future__ import annotations

from typing import Final

from schemas.training import Answer
from stream_app.core.comparisons.finding import HOURLY, Finding
from stream_app.core.comparisons.recalibration import RepairProposal
from stream_app.core.model_log import CommandEntry, LifecycleEntry, ResultEntry
from stream_app.core.retrain.events import BY_HAND, DriftFound, ManualCommand, Result, RunEnded, Seen, VersionChanged
from stream_app.errors import Broken, present

#: Commands that metrics or alerts carry out, and say what became of them.
PASSED_ON: Final = (
    "acknowledge", "unacknowledge", "mute", "unmute", "verdict", "note", "register", "rebaseline",
)  # fmt: skip
#: Commands that make sense for all models at once: they end what waits, and start nothing anew.
FOR_ALL: Final = ("approve", "reject", "reset_circuit", "dismiss")


def manual(found: CommandEntry) -> ManualCommand:
    """A reject, rollback, reset_circuit or dismiss."""
    command = next((known for known in BY_HAND if known == found.command), None)
    if command is None:
        raise Broken(f"{found.command} is no command that a person gives to the coordinator; please report it")
    target = found.version if command == "rollback" else found.subject
    return ManualCommand(command, found.id, found.actor, found.reason, target)


def result(found: ResultEntry, seen: Seen | None = None) -> Result:
    """A trainer's or deployer's answer."""
    status: Answer = present(found.status, f"the status of a result of {found.command_id}")
    return Result(
        found.command_id,
        found.attempt,
        status,
        found.candidate,
        found.candidate_metrics,
        found.champion_metrics,
        found.error,
        found.artifact_sha256,
        found.comparison,
        found.range,
        tuple(found.tried or ()),
        seen,
    )


def version_changed(entry: LifecycleEntry, seen: Seen | None = None) -> VersionChanged:
    """Metrics' word on which version is active."""
    return VersionChanged(entry.version, entry.previous, entry.how, entry.since_ms, seen)


def drift(found: Finding, seen: Seen, repair: RepairProposal | None = None) -> DriftFound:
    """A statistical or performance event with verdict ``drift``, of a daily check or the hourly one."""
    first = found.run_from if found.run_from is not None else found.day
    return DriftFound(
        found.id,
        "statistical" if found.kind == "statistical" else "performance",
        found.severity,
        found.version,
        found.close_ms,
        first,
        seen,
        found.check == HOURLY,
        repair,
    )


def run_ended(found: Finding) -> RunEnded:
    """The same without ``drift``."""
    return RunEnded("statistical" if found.kind == "statistical" else "performance")

"""What entries of the log mean to the coordinator."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from schemas.common import NAME_PATTERN
from schemas.operators import OperatorCommand
from schemas.training import TrainingResult
from stream_app.core.line_log import EventEntry, LifecycleEntry
from stream_app.core.retrain.events import DriftFound, OrderByHand, Result, RunEnded, Seen, VersionChanged
from stream_app.errors import Broken

#: Orders that metrics or alerts carry out, and say what became of them.
PASSED_ON: Final = ("acknowledge", "register", "rebaseline")
#: Orders that make sense for all lines at once: they end what waits, and start nothing anew.
FOR_ALL: Final = ("approve", "reject", "reset_circuit", "dismiss")

#: Metrics that floors and rollbacks can name; a trainer may report others, which are not kept.
_METRICS: Final = ("accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall")
#: characters of a trainer's error that are kept
_ERROR: Final = 1_000

_commands = msgspec.json.Decoder(OperatorCommand)
_results = msgspec.json.Decoder(TrainingResult)
_name = re.compile(NAME_PATTERN)


def command(value: bytes) -> OperatorCommand | str:
    """An operator's command, or what is wrong with it."""
    try:
        found = _commands.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return str(error)
    named = found.arguments.get("model_version") if found.command == "rollback" else None
    if named is not None and not (isinstance(named, str) and _name.match(named)):
        return "arguments.model_version is no version"
    job = found.arguments.get("command_id")
    if found.command in ("approve", "reject") and job is not None and not isinstance(job, str):
        return "arguments.command_id is no id"
    return found


def by_hand(found: OperatorCommand) -> OrderByHand:
    """A reject, rollback, reset_circuit or dismiss."""
    command = found.command
    if command not in ("reject", "rollback", "reset_circuit", "dismiss"):
        raise Broken(f"{command} is no order that a person gives to the coordinator; please report it")
    target = found.arguments.get("model_version" if command == "rollback" else "command_id")
    return OrderByHand(command, found.id, found.actor, found.reason, target)


def result(value: bytes) -> Result | str:
    """A trainer's or deployer's answer, or what is wrong with it."""
    try:
        found = _results.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return str(error)
    return Result(
        found.command_id,
        found.attempt,
        found.status,
        found.candidate_version,
        _known(found.candidate_metrics),
        _known(found.champion_metrics),
        found.error[:_ERROR] if found.error is not None else None,
        found.artifact_sha256,
    )


def version_changed(entry: LifecycleEntry) -> VersionChanged:
    """Metrics' word on who serves."""
    return VersionChanged(entry.version, entry.previous, entry.how, entry.since_ms)


def drift(entry: EventEntry, seen: Seen) -> DriftFound:
    """A statistical or performance event with verdict ``drift``."""
    first = entry.run_from if entry.run_from is not None else entry.day
    return DriftFound(
        entry.id,
        "statistical" if entry.kind == "statistical" else "performance",
        entry.severity,
        entry.version,
        entry.close_ms,
        first,
        seen,
    )


def run_ended(entry: EventEntry) -> RunEnded:
    """The same without ``drift``."""
    return RunEnded("statistical" if entry.kind == "statistical" else "performance")


def _known(metrics: dict[str, float | None] | None) -> dict[str, float | None] | None:
    return None if metrics is None else {name: metrics[name] for name in _METRICS if name in metrics}

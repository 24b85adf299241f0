"""The border: what operators, trainers and deployers write is decoded here, once, and goes on as typed entries.

Three things can be wrong with a record. If not even its model and its id can be read, it is dead-lettered
(``ValueError`` and what msgspec raises). If it is no command or result otherwise, it goes on as ``unreadable`` and the
coordinator says so. If only the arguments of a command make no sense, it is ``unusable`` and whoever would carry it out
says so.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from schemas import bounds
from schemas.alerts import MuteKind
from schemas.common import NAME, NAME_PATTERN, parse_ms, uuid5
from schemas.operators import OperatorCommand
from schemas.partitioning import partition_for
from schemas.training import RangeNames, TrainingResult
from schemas.unreadable import Unreadable
from stream_app.core.kit import changes
from stream_app.core.kit.effects import ConsumedRecord, Emit, dead_letter
from stream_app.core.log_terms import MuteTerms
from stream_app.core.model_log import CommandEntry, ResultEntry

#: Metrics that floors and rollbacks can name; a trainer may report others, which are not kept.
METRICS: Final = ("accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall")
#: Characters of a trainer's error that are kept, and bytes of what is wrong with a record.
ERROR: Final = 1_000

ModelId = Annotated[str, Meta(min_length=1, max_length=257, pattern=rf"^(\*|{NAME}:{NAME})\Z")]
Version = Annotated[str, Meta(pattern=rf"^{NAME}\Z")]
#: What a person writes on an alert.
Note = Annotated[str, Meta(min_length=1, max_length=500)]


class _Arguments(msgspec.Struct):
    model_version: Version | None = None


class _AboutAlert(msgspec.Struct, forbid_unknown_fields=True):
    """Without an id: every open alert of the model, or of all."""

    alert_id: str | None = None


class _Verdict(msgspec.Struct, forbid_unknown_fields=True):
    alert_id: str
    verdict: Literal["real", "false"]
    note: Note | None = None


class _Note(msgspec.Struct, forbid_unknown_fields=True):
    alert_id: str
    note: Note


class _Unmute(msgspec.Struct, forbid_unknown_fields=True):
    model_type: Version | None = None
    kinds: Annotated[list[MuteKind], Meta(max_length=7)] = []


class _Mute(_Unmute, kw_only=True, forbid_unknown_fields=True):
    from_: Any = msgspec.field(name="from", default=None)
    until: Any


class _PartialCommand(msgspec.Struct):
    """What a command has to have, or nobody can be told what is wrong with it."""

    id: Annotated[str, Meta(min_length=1, max_length=128)]
    model: ModelId
    command: str
    arguments: _Arguments = msgspec.field(default_factory=_Arguments)


class _PartialResult(msgspec.Struct):
    """The same of a result."""

    model: ModelId
    command_id: str
    status: str
    candidate_version: Version | None = None


_commands = msgspec.json.Decoder(OperatorCommand)
_results = msgspec.json.Decoder(TrainingResult)
_partial_commands = msgspec.json.Decoder(_PartialCommand)
_partial_results = msgspec.json.Decoder(_PartialResult)
_name = re.compile(NAME_PATTERN)


def taken(
    record: ConsumedRecord, command: bool, partition: int, partitions: int, stage: str
) -> CommandEntry | ResultEntry | Emit:
    """What a record says, or the dead-lettered record it becomes: too large, unreadable, or of another partition."""
    size = bounds.content(record.key, record.value, record.headers)
    if size > bounds.COMMAND:
        text = f"{size} bytes, a command or result has {bounds.COMMAND} at most"
        return dead_letter(record, stage, "oversized", text, limit=bounds.COMMAND)
    try:
        entry: CommandEntry | ResultEntry = read_command(record.value) if command else read_result(record.value)
    except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
        reason, why = "invalid_command", str(error)
        if isinstance(record.value, Unreadable):
            reason, why = record.value.reason, record.value.error
        return dead_letter(record, stage, reason, why)
    if entry.model != "*" and partition_for(entry.model.encode(), partitions) != partition:
        text = f"model {entry.model!r} belongs to another partition; `plumbline dead-letters redrive` re-keys it"
        return dead_letter(record, stage, "foreign_partition", text)
    return entry


def read_command(value: bytes | None) -> CommandEntry:
    """An operator's command. ``register`` has to name a version."""
    record = value or b""
    try:
        found = _commands.decode(record)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        return _unreadable_command(record, str(error))
    arguments = found.arguments
    version = arguments.get("model_version")
    if version is not None and not (isinstance(version, str) and _name.match(version)):
        raise ValueError("arguments.model_version is no version")
    _has_version(found.command, version)
    named = arguments.get("alert_id" if found.command in _ABOUT_ALERTS else "command_id")
    unusable, values = None, None
    if found.command in ("approve", "reject") and named is not None and not isinstance(named, str):
        return _unreadable_command(record, "arguments.command_id is no id")
    said = _Said()
    if found.command in _ABOUT_ALERTS:
        try:
            said = _ABOUT_ALERTS[found.command](found)
        except (msgspec.ValidationError, ValueError) as error:
            unusable = f"unusable_arguments: {bounds.cut(str(error), ERROR)}"
    if found.command == "set":
        try:
            values = _storable(changes.of(found).values)
        except ValueError as error:
            unusable = bounds.cut(str(error), ERROR)
    ranges: tuple[str, ...] = ()
    if found.command == "retrain" and "ranges" in arguments:
        try:
            ranges = tuple(msgspec.convert(arguments["ranges"], RangeNames))
        except msgspec.ValidationError as error:
            return _unreadable_command(record, f"arguments.ranges: {error}")
    return CommandEntry(
        model=found.model,
        command=found.command,
        id=found.id,
        ranges=ranges,
        actor=found.actor,
        reason=found.reason,
        values=values,
        version=version,
        subject=named if isinstance(named, str) else None,
        mute=said.mute,
        verdict=said.verdict,
        note=said.note,
        unusable=unusable,
    )


class _Said(msgspec.Struct, frozen=True):
    """What a command about alerts says, in types."""

    mute: MuteTerms | None = None
    verdict: str | None = None
    note: str | None = None


def _acknowledged(found: OperatorCommand) -> _Said:
    msgspec.convert(found.arguments, _AboutAlert)
    return _Said()


def _judged(found: OperatorCommand) -> _Said:
    said = msgspec.convert(found.arguments, _Verdict)
    _one_model(found)
    return _Said(verdict=said.verdict, note=said.note)


def _noted(found: OperatorCommand) -> _Said:
    said = msgspec.convert(found.arguments, _Note)
    _one_model(found)
    return _Said(note=said.note)


def _muted(found: OperatorCommand) -> _Said:
    said = msgspec.convert(found.arguments, _Mute)
    from_ms = parse_ms(said.from_) if said.from_ is not None else None
    return _Said(mute=MuteTerms(_type_of(found, said), _kinds(said), from_ms, parse_ms(said.until)))


def _unmuted(found: OperatorCommand) -> _Said:
    said = msgspec.convert(found.arguments, _Unmute)
    return _Said(mute=MuteTerms(_type_of(found, said), _kinds(said), None, 0))


def _kinds(said: _Unmute) -> tuple[str, ...]:
    return tuple(sorted(set(said.kinds)))


def _type_of(found: OperatorCommand, said: _Unmute) -> str | None:
    if (found.model == "*") != (said.model_type is not None):
        raise ValueError(f"{found.command} is about a model, or about * with arguments.model_type")
    return said.model_type


def _one_model(found: OperatorCommand) -> None:
    if found.model == "*":
        raise ValueError(f"{found.command} needs the model of its alert, not *")


#: Commands about alerts → how their arguments are read; ``ValueError`` says what is wrong with them.
_ABOUT_ALERTS: Final = {
    "acknowledge": _acknowledged,
    "unacknowledge": _acknowledged,
    "verdict": _judged,
    "note": _noted,
    "mute": _muted,
    "unmute": _unmuted,
}


def read_result(value: bytes | None) -> ResultEntry:
    """A trainer's or deployer's answer; ``activated`` and ``rolled_back`` name the version that serves now."""
    record = value or b""
    try:
        found = _results.decode(record)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        partial = _partial_results.decode(record)
        return ResultEntry(
            model=partial.model,
            command_id=partial.command_id,
            serves=_serves(partial.status, partial.candidate_version),
            unreadable=bounds.cut(str(error), ERROR),
            id=uuid5("unreadable", record.hex()),
        )
    return ResultEntry(
        model=found.model,
        command_id=found.command_id,
        status=found.status,
        attempt=found.attempt,
        candidate=found.candidate_version,
        candidate_metrics=_kept(found.candidate_metrics),
        champion_metrics=_kept(found.champion_metrics),
        comparison=found.comparison,
        range=found.range,
        tried=found.tried,
        error=found.error[:ERROR] if found.error is not None else None,
        artifact_sha256=found.artifact_sha256,
        serves=_serves(found.status, found.candidate_version),
    )


def _unreadable_command(record: bytes, why: str) -> CommandEntry:
    partial = _partial_commands.decode(record)
    _has_version(partial.command, partial.arguments.model_version)
    return CommandEntry(
        model=partial.model,
        command=partial.command,
        id=uuid5("unreadable", record.hex()),
        unreadable=bounds.cut(why, ERROR),
    )


def _has_version(command: str, version: str | None) -> None:
    if command == "register" and version is None:
        raise ValueError("register needs arguments.model_version")


def _storable(values: dict[str, Any]) -> dict[str, Any]:
    """The same; ``ValueError`` for numbers that JSON has and no setting ever holds."""
    try:
        msgspec.msgpack.encode(values)
    except OverflowError:
        raise ValueError("a whole number is beyond 64 bits") from None
    return values


def _serves(status: str, version: str | None) -> str | None:
    return version if status in ("activated", "rolled_back") else None


def _kept(metrics: dict[str, float | None] | None) -> dict[str, float | None] | None:
    return None if metrics is None else {name: metrics[name] for name in METRICS if name in metrics}

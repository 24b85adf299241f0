"""The few fields of operator commands and training results that metrics looks at; the rest is forwarded unread."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from schemas.common import NAME
from schemas.operators import OperatorCommand

Line = Annotated[str, Meta(min_length=1, max_length=257, pattern=rf"^(\*|{NAME}:{NAME})\Z")]
Version = Annotated[str, Meta(pattern=rf"^{NAME}\Z")]


class Order(NamedTuple):
    """``version``: the version that is active from now on, if the record says so; ``command``: what is ordered."""

    line: str
    command: str | None
    version: str | None


class _Arguments(msgspec.Struct):
    model_version: Version | None = None


class _Command(msgspec.Struct):
    id: Annotated[str, Meta(min_length=1, max_length=128)]
    line: Line
    command: str
    arguments: _Arguments = msgspec.field(default_factory=_Arguments)


class _Result(msgspec.Struct):
    line: Line
    command_id: str
    status: str
    candidate_version: Version | None = None


_commands = msgspec.json.Decoder(_Command)
_results = msgspec.json.Decoder(_Result)
_full = msgspec.json.Decoder(OperatorCommand)


def read_command(value: bytes | None) -> Order:
    """An operator command; ``register`` names the active version."""
    command = _commands.decode(value or b"")
    registered = command.command == "register"
    if registered and command.arguments.model_version is None:
        raise ValueError("register needs arguments.model_version")
    version = command.arguments.model_version if registered else None
    return Order(command.line, command.command, version)


def read_result(value: bytes | None) -> Order:
    """A training result; ``activated`` and ``rolled_back`` name the version that serves now."""
    result = _results.decode(value or b"")
    deployed = result.status in ("activated", "rolled_back")
    return Order(result.line, None, result.candidate_version if deployed else None)


def person(value: bytes) -> OperatorCommand | None:
    """An operator command in full; ``None`` if it is none: nothing is done, and the coordinator says what is wrong."""
    try:
        return _full.decode(value)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None

"""What people command."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from schemas.common import Actor, Id, ModelIdOrAll, Text

Command = Literal[
    "retrain",
    "approve",
    "reject",
    "rollback",
    "acknowledge",
    "reset_circuit",
    "dismiss",
    "register",
    "rebaseline",
    "set",
]


class OperatorCommand(msgspec.Struct, frozen=True, kw_only=True):
    """Command about a model. One for ``*`` is sent once to every partition, under the same id."""

    id: Id
    model: ModelIdOrAll
    command: Command
    arguments: Annotated[dict[str, Any], Meta(max_length=64)] = {}
    actor: Actor
    reason: Text

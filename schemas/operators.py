"""What people command."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.alerts import MuteWindow
from schemas.common import Actor, Everything, Id, ModelIdOrAll, Output, Partition, Text

Command = Literal[
    "retrain",
    "approve",
    "reject",
    "rollback",
    "acknowledge",
    "unacknowledge",
    "mute",
    "unmute",
    "verdict",
    "note",
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


class CommandEffect(msgspec.Struct, frozen=True):
    """What one stage did about a command, or would not do."""

    stage: Literal["metrics", "retrain", "alerts"]
    state: Literal["done", "refused"]
    effect: Text


class CommandOutcome(Output, frozen=True, kw_only=True):
    """What became of a command in one partition. One for ``*`` is done when every partition said so."""

    schema: Literal["io.plumbline.command-outcome.v1"]
    model: ModelIdOrAll
    model_type: Everything
    tenant_id: Everything
    command_id: Id
    command: Command
    actor: Actor
    #: why it was commanded
    reason: Text
    #: refused: no stage did anything, and one said why
    state: Literal["done", "refused"]
    effects: Annotated[list[CommandEffect], Meta(max_length=8)]
    refused_because: Text | UnsetType = UNSET
    #: the partition that answers, and how many there are
    partition: Partition
    partitions: Annotated[int, Meta(ge=1, le=1_000)]
    #: mute, unmute: the model or the type they are about
    mutes_of: Annotated[str, Meta(max_length=257)] | UnsetType = UNSET
    #: mute, unmute: what holds or is planned from now on for the model, or its type
    mutes: Annotated[list[MuteWindow], Meta(max_length=16)] | UnsetType = UNSET

"""Every decision, with what it was based on."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.alerts import Safeguards
from schemas.common import (
    Actor,
    Digest,
    Everything,
    Id,
    ModelIdOrAll,
    Offset,
    Output,
    Partition,
    Text,
    Timestamp,
    Token,
)
from schemas.training import MOST_RANGES, TriedRange, VersionComparison

#: Who decides: a stage, or a redrive of dead-lettered records, which is commanded by a person and passes no stage.
Stage = Literal["metrics", "retrain", "alerts", "redrive"]


class AuditInputs(msgspec.Struct, frozen=True):
    """What a decision was based on."""

    #: ids of events, commands and results
    ids: Annotated[list[Id], Meta(max_length=100)]
    #: topic → partition → offset before which the input topics had been read
    end_offsets: dict[str, dict[Partition, Offset]]
    settings_hash: Digest


class AuditRecord(Output, frozen=True, kw_only=True):
    """A decision. One about everything has ``*`` for model, model_type and tenant_id.

    What is decided alike again and again is one fact: a record when it begins, and when it is over a newer one with the
    same id and a higher ``count``.
    """

    schema: Literal["io.plumbline.audit-record.v1"]
    model: ModelIdOrAll
    model_type: Everything
    tenant_id: Everything
    #: who did it, or would not
    stage: Stage
    actor: Actor
    action: Token
    decision: Token
    safeguards: Safeguards
    inputs: AuditInputs
    reason: Text
    #: of a judged candidate: how it compares with the active version by the primary metric
    comparison: VersionComparison | UnsetType = UNSET
    #: of a judged candidate: the ranges that its trainer tried, the chosen one in ``reason``
    tried: Annotated[list[TriedRange], Meta(max_length=MOST_RANGES)] | UnsetType = UNSET
    #: how often the same was decided by now, ``at`` being the last time; absent for what cannot come again
    count: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    #: when it was decided for the first time; stands beside ``count``
    first_at: Timestamp | UnsetType = UNSET

"""Every decision, with what it was based on."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.alerts import Safeguards
from schemas.common import Actor, Digest, Everything, Id, LineOrAll, Offset, Output, Partition, Text, Token


class AuditInputs(msgspec.Struct, frozen=True):
    """What a decision was based on."""

    #: ids of events, commands and results
    ids: Annotated[list[Id], Meta(max_length=100)]
    #: topic → partition → offset before which the input topics had been read
    barriers: dict[str, dict[Partition, Offset]]
    settings_hash: Digest


class AuditRecord(Output, frozen=True, kw_only=True):
    """A decision. One about everything has ``*`` for line, model_type and tenant_id."""

    schema: Literal["io.plumbline.audit-record.v1"]
    line: LineOrAll
    model_type: Everything
    tenant_id: Everything
    actor: Actor
    action: Token
    decision: Token
    safeguards: Safeguards
    inputs: AuditInputs
    reason: Text

"""Audit records: each stage says what it did, or would not do, itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import UNSET

from schemas import bounds
from schemas.alerts import Safeguard
from schemas.audit import AuditInputs, AuditRecord, Stage
from schemas.common import ce_headers, encode, rfc3339, uuid5
from schemas.training import TriedRange, VersionComparison
from stream_app.core.kit.effects import Emit

AUDIT: Final = "audit"

#: What a record holds at most: bytes of a sentence, ids, characters of an id.
TEXT, IDS, TOKEN = 4_000, 100, 128


class Repeated(NamedTuple):
    """How often a decision was the same by now, and the tick of the first time (epoch ms)."""

    times: int
    first_ms: int


class Said(NamedTuple):
    """A decision. ``subject``: what it is about; with model, action and decision it makes the record's id."""

    model: str
    actor: str
    action: str
    decision: str
    subject: str
    ids: Sequence[str]
    reason: str
    #: (name, passed, reason) of every safeguard that was asked
    safeguards: Sequence[tuple[str, bool, str]] = ()
    #: of what is one fact however often it is decided, for example at every daily check
    repeated: Repeated | None = None
    comparison: VersionComparison | None = None
    tried: Sequence[TriedRange] = ()


class Auditor(NamedTuple):
    """Writes the audit records of one lane."""

    stage: Stage
    partition: int
    #: CloudEvents source
    source: str

    def record(self, said: Said, at_ms: int, end_offsets: Mapping[str, dict[int, int]], settings_hash: str) -> Emit:
        """The record of a decision. ``end_offsets``: read end offsets of the inputs when it was made."""
        model = said.model
        model_type, _, tenant = model.partition(":")
        id = uuid5("audit", model, said.action, said.decision, said.subject)
        repeated = said.repeated
        record = AuditRecord(
            schema="io.plumbline.audit-record.v1",
            id=id,
            at=rfc3339(at_ms),
            model=model,
            model_type=model_type,
            tenant_id=tenant if model != "*" else "*",
            stage=self.stage,
            actor=said.actor,
            action=said.action,
            decision=said.decision,
            safeguards=[Safeguard(name, passed, bounds.cut(why, TEXT)) for name, passed, why in said.safeguards],
            inputs=AuditInputs([i[:TOKEN] for i in said.ids[:IDS]], dict(end_offsets), settings_hash),
            reason=bounds.cut(said.reason, TEXT),
            comparison=said.comparison if said.comparison is not None else UNSET,
            tried=list(said.tried) or UNSET,
            count=repeated.times if repeated is not None else UNSET,
            first_at=rfc3339(repeated.first_ms) if repeated is not None else UNSET,
        )
        headers = ce_headers("audit-record", id, model, at_ms, self.source)
        return Emit(AUDIT, self.partition, id.encode(), encode(record), headers)

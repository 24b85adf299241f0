"""Effects as data: what a stage wants done. The engine does them in one Kafka transaction and one RocksDB write."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from schemas import bounds, deadletters

DEAD_LETTERS = "dead-letters"


class ConsumedRecord(deadletters.Arrived, Protocol):
    """The parts of a consumed Kafka record a stage may look at."""

    @property
    def timestamp(self) -> int: ...


class TableReader(Protocol):
    """Committed state of the stage's partition."""

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Values by key, in the order asked; ``None`` where there is none."""
        ...

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` entries whose key starts with ``prefix`` and is greater than ``after``, in key order."""
        ...


class Emit(NamedTuple):
    """A record to produce. ``topic`` is an alias; without a partition the engine takes the lane's own."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Drained(NamedTuple):
    """Everything since the last drain, for one transaction. A ``None`` among the puts deletes the key."""

    puts: dict[bytes, bytes | None]
    emits: list[Emit]
    lane_state: bytes


def dead_letter(record: ConsumedRecord, stage: str, reason: str, error: str, *, limit: int = bounds.RECORD) -> Emit:
    """The record for the dead-letter topic, bounded: see :func:`schemas.deadletters.build`."""
    return Emit(DEAD_LETTERS, None, *deadletters.build(record, stage, reason, error, limit=limit))

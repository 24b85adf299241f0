"""What a lane did since its last checkpoint: puts over the committed table, and records to send."""

from __future__ import annotations

from stream_app.core.kit.effects import Drained, Emit, TableReader


class UnitOfWork:
    """Reads see the puts; whether a checkpoint came between a put and a read makes no difference."""

    def __init__(self, table: TableReader | None, partition: int) -> None:
        self._table = table
        self.partition = partition
        self._puts: dict[bytes, bytes | None] = {}
        self._emits: list[Emit] = []

    def get(self, keys: list[bytes]) -> list[bytes | None]:
        """Values by key, in the order asked."""
        stored = self._table.get_many(keys) if self._table is not None and keys else [None] * len(keys)
        return [self._puts.get(key, value) for key, value in zip(keys, stored, strict=True)]

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write, or delete with ``None``."""
        self._puts[key] = value

    def remove_once_written(self, key: bytes) -> None:
        """Delete a key that is written once and never again: what no checkpoint has seen needs no tombstone."""
        if self._puts.get(key) is not None:
            del self._puts[key]
        else:
            self._puts[key] = None

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to ``limit`` entries under ``prefix`` above ``after``, in key order. Fewer only at the end."""
        fresh = sorted(k for k in self._puts if k.startswith(prefix) and (after is None or k > after))
        out: list[tuple[bytes, bytes]] = []
        while True:
            stored = self._table.scan(prefix, after, limit) if self._table is not None else []
            known = stored[-1][0] if len(stored) == limit else None
            merged: dict[bytes, bytes | None] = dict(stored)
            while fresh and (known is None or fresh[0] <= known):
                key = fresh.pop(0)
                merged[key] = self._puts[key]
            out += sorted((key, value) for key, value in merged.items() if value is not None)
            if known is None or len(out) >= limit:
                return out[:limit]
            after = known

    def emit(self, emit: Emit) -> Emit:
        """Send a record with the next checkpoint; returns it."""
        self._emits.append(emit)
        return emit

    def drain(self, lane_state: bytes) -> Drained:
        """Everything since the last drain; the table holds it before the lane goes on."""
        drained = Drained(self._puts, self._emits, lane_state)
        self._puts, self._emits = {}, []
        return drained

"""A lane's table in a dictionary, and records manually."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


class Rec(NamedTuple):
    """A consumed record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class DictTable:
    """What a stage reads; holds exactly what was drained into it."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        return [self.rows.get(key) for key in keys]

    def scan(self, prefix: bytes, after: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        keys = sorted(k for k in self.rows if k.startswith(prefix) and (after is None or k > after))
        return [(key, self.rows[key]) for key in keys[:limit]]

    def put(self, puts: dict[bytes, bytes | None]) -> None:
        for key, value in puts.items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value


def record(row: Any, offset: int = 0, topic: str = "ml.predictions") -> Rec:
    """A record of a JSON object, or of bytes as they are."""
    value = row if isinstance(row, bytes | None) else json.dumps(row).encode()
    return Rec(topic, 0, offset, 0, b"key", value)

"""The fleet in memory: every line as the fleet page shows it, brought up to date by one short look at Redis."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from stream_app.read_model import fold
from stream_app.read_model.keys import Keys

#: Lines read at once: some ten milliseconds.
_AT_ONCE = 100


class Entry(NamedTuple):
    """A line: what orders it, what filters look at, and what is shown."""

    attention: int
    line: str
    view: dict[str, Any]


class Fleet:
    """All lines, sorted by the attention they need. Keeps some 4 kB of each."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._lock = asyncio.Lock()
        self._generation = b""
        self._seq = -1
        self._views: dict[str, dict[str, Any]] = {}
        self._sorted: list[Entry] = []

    async def lines(self) -> list[Entry]:
        """Every line, most attention first, as of now."""
        async with self._lock:
            generation, seq = await self._redis.hmget(self._keys.meta, "generation", "seq")
            if generation != self._generation:
                self._generation, self._seq = generation or b"", -1
                self._views, self._sorted = {}, []
            if generation is not None and int(seq) != self._seq:
                await self._refresh(int(seq))
            return self._sorted

    async def _refresh(self, seq: int) -> None:
        names = [name.decode() for name in await self._redis.zrangebyscore(self._keys.touched, f"({self._seq}", seq)]
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            for line, value in zip(part, await self._redis.hmget(self._keys.fleet, part), strict=True):
                if value is None:
                    self._views.pop(line, None)  # forgotten: it makes no predictions
                else:
                    self._views[line] = fold.fleet_line(fold.decode(value))
            await asyncio.sleep(0)
        self._seq = seq
        if names:
            entries = [Entry(view["attention"], line, view) for line, view in self._views.items()]
            self._sorted = sorted(entries, key=lambda entry: (-entry.attention, entry.line))

"""The fleet in memory: every model as the fleet page shows it, brought up to date by one short look at Redis."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from stream_app.projection import fold
from stream_app.projection.judgement import Tally
from stream_app.projection.keys import Keys

#: Models read at once: some ten milliseconds.
_AT_ONCE = 100
#: Models sorted in one go: some ten milliseconds.
_SORTED_AT_ONCE = 10_000
#: Models counted in one go: some milliseconds.
_COUNTED_AT_ONCE = 2_000


class Entry(NamedTuple):
    """A model: what orders it, what filters look at, and what is shown."""

    attention: int
    model: str
    view: dict[str, Any]


class Fleet:
    """All models, sorted by the attention they need. Keeps some 4 kB of each."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._lock = asyncio.Lock()
        self._generation = b""
        self._seq = -1
        self._views: dict[str, dict[str, Any]] = {}
        self._sorted: list[Entry] = []
        #: the list that was counted last, and what came of it
        self._counted: tuple[list[Entry], Tally] = ([], Tally())

    async def models(self) -> list[Entry]:
        """Every model, most attention first, as of now."""
        async with self._lock:
            generation, seq = await self._redis.hmget(self._keys.meta, "generation", "seq")
            if generation != self._generation:
                self._generation, self._seq = generation or b"", -1
                self._views, self._sorted = {}, []
            if generation is not None and int(seq) != self._seq:
                await self._refresh(int(seq))
            return self._sorted

    async def view(self, model: str) -> dict[str, Any] | None:
        """One model as of now; ``None`` if nothing was ever seen of it."""
        await self.models()
        return self._views.get(model)

    async def tally(self) -> Tally:
        """All models, counted; anew only where one has changed."""
        models = await self.models()
        counted, tally = self._counted
        if counted is not models:
            tally = Tally()
            for number, entry in enumerate(models, 1):
                tally.add(entry.view)
                if number % _COUNTED_AT_ONCE == 0:
                    await asyncio.sleep(0)
            self._counted = models, tally
        return tally

    async def _refresh(self, seq: int) -> None:
        names = [name.decode() for name in await self._redis.zrangebyscore(self._keys.touched, f"({self._seq}", seq)]
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            for model, value in zip(part, await self._redis.hmget(self._keys.fleet, part), strict=True):
                if value is None:
                    self._views.pop(model, None)  # forgotten: it makes no predictions
                else:
                    self._views[model] = fold.fleet_model(fold.decode(value))
            await asyncio.sleep(0)
        self._seq = seq
        if names:
            self._sorted = await self._merged(set(names))

    async def _merged(self, changed: set[str]) -> list[Entry]:
        """The sorted list with changed models in their new places: what is in order already is merged, not sorted."""
        out = [entry for entry in self._sorted if entry.model not in changed]
        fresh = [
            Entry(self._views[name]["attention"], name, self._views[name]) for name in changed & self._views.keys()
        ]
        for start in range(0, len(fresh), _SORTED_AT_ONCE):
            out += sorted(fresh[start : start + _SORTED_AT_ONCE], key=_order)
            await asyncio.sleep(0)
        out.sort(key=_order)
        return out


def _order(entry: Entry) -> tuple[int, str]:
    return -entry.attention, entry.model

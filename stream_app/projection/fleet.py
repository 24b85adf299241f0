"""The fleet in memory: every model as the fleet page shows it, brought up to date by one short look at Redis."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any, NamedTuple

import orjson

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


class FleetRows(NamedTuple):
    """Models as the first page draws them. ``seq``: what to ask for next; ``whole``: all of them, in place of any
    before; ``gone``: those that are no more."""

    seq: str
    whole: bool
    items: list[bytes]
    gone: list[str]


def row_of(view: dict[str, Any]) -> dict[str, Any]:
    """What the first page draws of a model: shares to three digits, and no more findings than a row has room for."""
    shown, drift, job = view["shown"], view["drift"], view["job"]
    alert = view["alert"]
    return {
        **{name: view[name] for name in _SAME},
        "metric": {name: _short(shown[name]) for name in ("name", "value", "low", "high", "baseline", "version")},
        "trend": [_short(value) for value in shown["trend"]],
        "coverage": _short(view["coverage"]),
        "performance": drift["performance"] and _brief(drift["performance"]),
        "statistical": drift["statistical"] and _brief(drift["statistical"]),
        "quality": drift["quality"],
        "job": job and {"state": job["state"], "circuit": job["circuit"], "failed": job["failure"] is not None},
        "owner": alert and alert["owner"],
        "sentence": view["traffic"]["sentence"],
    }


_SAME = (
    "model", "model_type", "tenant_id", "active_version", "date", "predictions", "so_far", "heat", "standing", "alert",
    "alerts", "attention", "reasons",
)  # fmt: skip


def _brief(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("verdict", "severity", "as_of")}


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def without_outcomes(state: fold.State) -> bool:
    """Whether a model has predicted for 30 days and no outcome of any of them has come, all versions together."""
    dates = sorted(state.days)
    if not dates or (date.fromisoformat(dates[-1]) - date.fromisoformat(dates[0])).days < fold.TREND_DAYS - 1:
        return False
    made = any(day.predictions for versions in state.days.values() for day in versions)
    known = any(day.outcomes for versions in state.days.values() for day in versions)
    return made and not known and not any(day.outcomes for day in state.open.values())


class Fleet:
    """All models, sorted by the attention they need. Keeps some 5 kB of each."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys
        self._lock = asyncio.Lock()
        self._generation = b""
        self._seq = -1
        self._views: dict[str, dict[str, Any]] = {}
        self._sorted: list[Entry] = []
        #: each model as the first page draws it, as JSON, and the number of the batch that changed it last
        self._rows: dict[str, tuple[int, bytes]] = {}
        #: models that were forgotten, likewise
        self._gone: dict[str, int] = {}
        #: the list that was counted last, and what came of it
        self._counted: tuple[list[Entry], Tally] = ([], Tally())

    async def models(self) -> list[Entry]:
        """Every model, most attention first, as of now."""
        async with self._lock:
            generation, seq = await self._redis.hmget(self._keys.meta, "generation", "seq")
            if generation != self._generation:
                self._generation, self._seq = generation or b"", -1
                self._views, self._sorted, self._rows, self._gone = {}, [], {}, {}
            if generation is not None and int(seq) != self._seq:
                await self._refresh(int(seq))
            return self._sorted

    async def rows(self, since: str | None) -> FleetRows:
        """Every model as the first page draws it, or those that changed since an answer's ``seq``."""
        await self.models()
        head, _, number = (since or "").rpartition(".")
        generation = self._generation.decode()
        whole = head != generation or not number.isdecimal() or int(number) > self._seq
        after = -1 if whole else int(number)
        items = [row for seq, row in self._rows.values() if seq > after]
        gone = [] if whole else [model for model, seq in self._gone.items() if seq > after]
        return FleetRows(f"{generation}.{self._seq}", whole, items, gone)

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

    async def without_outcomes(self) -> list[str]:
        """Models that have predicted for 30 days without an outcome, by name. Reads all of them."""
        found, cursor = [], 0
        while True:
            cursor, part = await self._redis.hscan(self._keys.fleet, cursor, count=_AT_ONCE)
            found += [name.decode() for name, value in part.items() if without_outcomes(fold.decode(value))]
            if not cursor:
                return sorted(set(found))

    async def _refresh(self, seq: int) -> None:
        names = [name.decode() for name in await self._redis.zrangebyscore(self._keys.touched, f"({self._seq}", seq)]
        for start in range(0, len(names), _AT_ONCE):
            part = names[start : start + _AT_ONCE]
            for model, value in zip(part, await self._redis.hmget(self._keys.fleet, part), strict=True):
                if value is None:
                    self._views.pop(model, None)  # forgotten: it makes no predictions
                    self._rows.pop(model, None)
                    self._gone[model] = seq
                else:
                    self._views[model] = fold.fleet_model(fold.decode(value))
                    self._rows[model] = seq, orjson.dumps(row_of(self._views[model]))
                    self._gone.pop(model, None)
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

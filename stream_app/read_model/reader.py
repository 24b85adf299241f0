"""Questions to the read model. Records are handed on as the bytes that stood on the topic."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import orjson
from redis.exceptions import RedisError

from stream_app.read_model import points
from stream_app.read_model.fleet import Fleet
from stream_app.read_model.holding import fields_of
from stream_app.read_model.keys import LAYOUT, Keys

#: Without a sign of life of the projector for so long, what is shown may be old.
STALE_MS = 15_000

#: Records looked at for one page of a filtered list; a page may be short and still have a next one.
_LOOKED_AT = 2_000
#: Fields of a hash that are read at once: some milliseconds.
_SCANNED = 500
#: Newest versions, jobs and commands of a line, and revisions of an alert, that are shown.
_SHOWN = 500


class Status(NamedTuple):
    """Whether what is shown is whole and new; ``reason`` says what is wrong and what to do."""

    degraded: bool
    reason: str | None
    updated_ms: int | None
    generation: str


class Page(NamedTuple):
    """Records of a list, and where the next page begins; ``None`` at the end."""

    items: list[bytes]
    next: int | None


class Reader:
    """The read model of one installation. Raises what the Redis client raises."""

    def __init__(self, redis: Any, keys: Keys) -> None:
        self.redis = redis
        self.keys = keys
        self.fleet = Fleet(redis, keys)

    async def status(self) -> Status:
        """How the read model is."""
        try:
            known = await self.redis.hgetall(self.keys.meta)
            seconds, micros = await self.redis.time()
        except (RedisError, OSError) as error:
            why = f"Redis does not answer ({type(error).__name__}): the pipeline goes on, and this page fills again"
            return Status(True, f"{why} when Redis is back", None, "")
        if not known:
            return Status(
                True, "nothing is here yet: start a worker with the same settings (`plumbline worker`)", None, ""
            )
        if known.get(b"layout") != LAYOUT.encode() or b"unreadable" in known:
            text = "what Redis holds was written by another release, or is damaged: a worker of this one builds it anew"
            return Status(True, text, None, "")
        generation = known[b"generation"].decode()
        beat = int(known.get(b"beat", b"0"))
        filling = known.get(b"filling", b"").decode()
        if filling:
            done, _, total = filling.partition("/")
            return Status(
                True, f"being filled from the topics, {int(done):,} of {int(total):,} records", beat, generation
            )
        age = seconds * 1000 + micros // 1000 - beat
        if age > STALE_MS:
            return Status(True, f"nothing new for {age // 1000} s: is a worker running?", beat, generation)
        return Status(False, None, beat, generation)

    async def snapshots(self, line: str, keep: Callable[[str, str], bool], start: int, limit: int) -> Page:
        """Closed snapshots of a line whose (date, version) is kept, oldest first; newest revision each."""
        key, at, fields = self.keys.days(line), 0, set()
        while True:
            at, found = await self.redis.hscan(key, at, count=_SCANNED)
            fields |= {field for field in found if keep(*field.decode().split("|", 1))}
            if not at:
                break
        wanted = sorted(fields)[start : start + limit]
        rows = await self.redis.hmget(key, wanted) if wanted else []
        return Page([row for row in rows if row is not None], start + limit if start + limit < len(fields) else None)

    async def unreadable(self, error: str) -> None:
        """Have the read model built anew: something in it cannot be read."""
        with contextlib.suppress(RedisError, OSError):
            if await self.redis.exists(self.keys.meta):
                await self.redis.hset(self.keys.meta, "unreadable", error)

    async def line(self, line: str) -> dict[str, Any]:
        """Newest event of each check, newest job, open snapshots, versions."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self.keys.line(line))
            pipe.zrange(self.keys.versions(line), -_SHOWN, -1)
            stored, versions = await pipe.execute()
        fields = {name.decode(): orjson.loads(value) for name, value in stored.items()}
        quality = [row for name, row in sorted(fields.items()) if name.startswith("event:quality:")]
        return {
            "versions": [orjson.loads(value) for value in versions],
            "open": sorted(
                (row for name, row in fields.items() if name.startswith("open:")), key=lambda row: row["date"]
            ),
            "events": {
                "statistical": fields.get("event:statistical"),
                "performance": fields.get("event:performance"),
                "quality": quality,
            },
            "job_record": fields.get("job"),
        }

    async def points(self, line: str) -> list[dict[str, Any]]:
        """Numbers of every statistical and performance event of a line, oldest first."""
        found = await self.redis.hgetall(self.keys.points(line))
        out = []
        for name, value in found.items():
            kind, _, date = name.decode().partition("|")
            point = points.decode(value)
            out.append({"kind": kind, "date": date, **_plain(point)})
        return sorted(out, key=lambda row: (row["date"], row["kind"]))

    async def all_points(self, lines: Iterable[str], at_once: int = 20) -> Any:
        """Yield (line, [(kind, date, point)]) of many lines."""
        names = list(lines)
        for start in range(0, len(names), at_once):
            part = names[start : start + at_once]
            async with self.redis.pipeline(transaction=False) as pipe:
                for line in part:
                    pipe.hgetall(self.keys.points(line))
                found = await pipe.execute()
            for line, stored in zip(part, found, strict=True):
                rows = []
                for name, value in stored.items():
                    kind, _, date = name.decode().partition("|")
                    rows.append((kind, date, points.decode(value)))
                yield line, rows

    async def event(self, id: str) -> bytes | None:
        """A drift event that found drift."""
        found: bytes | None = await self.redis.hget(self.keys.event, id)
        return found

    async def events(self, line: str | None, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Events that found drift, newest close first."""
        index = self.keys.line_events(line) if line else self.keys.events
        return await self._by_id(index, self.keys.event, keep, start, limit)

    async def alerts(self, line: str | None, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Newest revision of each alert, the last opened first."""
        index = self.keys.line_alerts(line) if line else self.keys.alerts
        return await self._by_id(index, self.keys.alert, keep, start, limit)

    async def alert(self, id: str) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
        """An alert: its newest revision, and all of them in order."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.hget(self.keys.alert, id)
            pipe.hgetall(self.keys.revisions(id))
            newest, stored = await pipe.execute()
        if newest is None:
            return None
        revisions = [
            orjson.loads(value) for _, value in sorted(stored.items(), key=lambda item: int(item[0]))[-_SHOWN:]
        ]
        return orjson.loads(newest), revisions

    async def audit(self, line: str | None, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Decisions, newest first."""
        index = self.keys.line_audit(line) if line else self.keys.audit

        async def read(first: int, count: int) -> list[bytes]:
            found: list[bytes] = await self.redis.zrevrange(index, first, first + count - 1)
            return found

        return await _filtered(read, keep, start, limit)

    async def history(self, line: str) -> tuple[list[bytes], list[bytes]]:
        """A line's job records and its training commands, newest first."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zrevrange(self.keys.jobs(line), 0, _SHOWN - 1)
            pipe.zrevrange(self.keys.commands(line), 0, _SHOWN - 1)
            jobs, commands = await pipe.execute()
        return jobs, commands

    async def settings(self) -> list[dict[str, Any]]:
        """Newest record of every setting that was ever changed."""
        return [orjson.loads(value) for value in await self.redis.hvals(self.keys.settings)]

    async def settings_of(self, model: str) -> list[dict[str, Any]]:
        """Newest record of every changed setting that concerns a model."""
        found = await self.redis.hmget(self.keys.settings, fields_of(model))
        return [orjson.loads(value) for value in found if value is not None]

    async def _by_id(
        self, index: str, table: str, keep: Callable[[dict[str, Any]], bool], start: int, limit: int
    ) -> Page:
        async def read(first: int, count: int) -> list[bytes]:
            ids = await self.redis.zrevrange(index, first, first + count - 1)
            found = await self.redis.hmget(table, ids) if ids else []
            return [value for value in found if value is not None]

        return await _filtered(read, keep, start, limit)


async def _filtered(
    read: Callable[[int, int], Awaitable[list[bytes]]], keep: Callable[[dict[str, Any]], bool], start: int, limit: int
) -> Page:
    """The first ``limit`` records from ``start`` on that are kept."""
    items: list[bytes] = []
    at = start
    while at < start + _LOOKED_AT:
        found = await read(at, min(200, max(limit, 50)))
        if not found:
            return Page(items, None)
        for value in found:
            at += 1
            if keep(orjson.loads(value)):
                items.append(value)
                if len(items) == limit:
                    return Page(items, at)
    return Page(items, at)


def _plain(point: points.Point) -> dict[str, Any]:
    return {
        **{name: getattr(point, name) for name in point.__struct_fields__ if name != "windows"},
        "windows": [{name: getattr(w, name) for name in w.__struct_fields__} for w in point.windows],
    }

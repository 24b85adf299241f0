"""Questions to the read model. Records are handed on as the bytes that stood on the topic."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from datetime import date, timedelta
from typing import Any, NamedTuple

import orjson
from redis.exceptions import RedisError

from schemas.common import rfc3339
from stream_app.core.kit.days import DAY_MS
from stream_app.errors import Broken, UnknownFormat
from stream_app.projection import points, precision
from stream_app.projection.fleet import Fleet
from stream_app.projection.judgement import QualityJudgement, Tally, judge
from stream_app.projection.keys import KEPT_DAYS, LAYOUT, Keys
from stream_app.projection.status import Status

#: Without a sign of life of the projector for so long, what is shown may be old.
STALE_MS = 15_000

#: Records looked at for one page of a filtered list; a page may be short and still have a next one.
_LOOKED_AT = 2_000
#: Newest versions, open snapshots, jobs and commands of a model, and revisions of an alert, that are shown.
_SHOWN = 500


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
            return _away(error)
        if not known:
            text = "nothing is here yet: start a worker with the same settings (`plumbline worker`)"
            return Status(True, text, None, "", "no_worker")
        if known.get(b"layout") != LAYOUT.encode() or b"unreadable" in known:
            text = "what Redis holds was written by another release, or is damaged: a worker of this one builds it anew"
            return Status(True, text, None, "", "unreadable")
        now_ms, beat = seconds * 1000 + micros // 1000, int(known.get(b"beat", b"0"))
        tick, ticked = (int(known[name]) if known.get(name) else None for name in (b"tick", b"ticked"))
        whole = Status(False, None, beat, known[b"generation"].decode(), "", now_ms, tick, ticked)
        filling = known.get(b"filling", b"").decode()
        if filling:
            done, _, total = filling.partition("/")
            text = f"being filled from the topics, {int(done):,} of {int(total):,} records"
            return whole._replace(degraded=True, reason=text, code="filling")
        age = now_ms - beat
        if age > STALE_MS:
            text = f"nothing new for {age // 1000} s: is a worker running?"
            return whole._replace(degraded=True, reason=text, code="no_worker")
        return whole

    async def judgement(self) -> QualityJudgement:
        """What may be said of the fleet's quality; a read model that cannot be asked is a reason, and no error."""
        status = await self.status()
        if status.updated_ms is None:
            return judge(Tally(), status)
        try:
            return judge(await self.fleet.tally(), status)
        except (RedisError, OSError) as error:
            return judge(Tally(), _away(error))
        except (UnknownFormat, Broken) as error:
            await self.unreadable(str(error))
            return judge(Tally(), await self.status())

    async def snapshots(
        self, model: str, version: str | None, first: str | None, last: str | None, start: int, limit: int
    ) -> Page:
        """Closed snapshots of a model by day and version, oldest first; newest revision each. The days are included."""
        key = self.keys.days(model)
        index = self.keys.in_order(key)
        low, high = "-" if first is None else f"[{first}", "+" if last is None else f"({last}~"
        if version is None:
            fields = await self.redis.zrangebylex(index, low, high, start, limit + 1)
        else:
            ends = await self.redis.zrangebylex(index, low, high, 0, 1)
            ends += await self.redis.zrevrangebylex(index, high, low, 0, 1)
            fields = [f"{day}|{version}" for day in _days(*(end.decode()[:10] for end in ends))]
            known = await self.redis.zmscore(index, fields) if fields else []
            fields = [field for field, score in zip(fields, known, strict=True) if score is not None][start:]
        rows = await self.redis.hmget(key, fields[:limit]) if fields else []
        return Page([row for row in rows if row is not None], start + limit if len(fields) > limit else None)

    async def unreadable(self, error: str) -> None:
        """Have the read model built anew: something in it cannot be read."""
        with contextlib.suppress(RedisError, OSError):
            if await self.redis.exists(self.keys.meta):
                await self.redis.hset(self.keys.meta, "unreadable", error)

    async def model(self, model: str) -> dict[str, Any]:
        """Newest event of each check, newest job, open snapshots, versions."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.hgetall(self.keys.model(model))
            pipe.zrange(self.keys.versions(model), -_SHOWN, -1)
            pipe.zrevrangebylex(self.keys.in_order(self.keys.days(model)), "+", "-", 0, 1)
            stored, versions, closed = await pipe.execute()
        after = f"({closed[0].decode()[:10]}~" if closed else "-"
        newest = await self.redis.zrevrangebylex(self.keys.in_order(self.keys.open(model)), "+", after, 0, _SHOWN)
        opened = await self.redis.hmget(self.keys.open(model), newest[::-1]) if newest else []
        fields = {name.decode(): orjson.loads(value) for name, value in stored.items()}
        quality = [row for name, row in sorted(fields.items()) if name.startswith("event:quality:")]
        return {
            "versions": [orjson.loads(value) for value in versions],
            "open": [orjson.loads(value) for value in opened if value is not None],
            "events": {
                "statistical": fields.get("event:statistical"),
                "performance": fields.get("event:performance"),
                "quality": quality,
            },
            "job_record": fields.get("job"),
        }

    async def points(self, model: str) -> list[dict[str, Any]]:
        """Numbers of every statistical and performance event of a model, oldest first."""
        found = await self.redis.hgetall(self.keys.points(model))
        out = []
        for name, value in found.items():
            kind, _, date = name.decode().partition("|")
            point = points.decode(value)
            out.append({"kind": kind, "date": date, **_plain(point)})
        return sorted(out, key=lambda row: (row["date"], row["kind"]))

    async def all_points(self, models: Iterable[str], at_once: int = 20) -> Any:
        """Yield (model, [(kind, date, point)]) of many models."""
        names = list(models)
        for start in range(0, len(names), at_once):
            part = names[start : start + at_once]
            async with self.redis.pipeline(transaction=False) as pipe:
                for model in part:
                    pipe.hgetall(self.keys.points(model))
                found = await pipe.execute()
            for model, stored in zip(part, found, strict=True):
                rows = []
                for name, value in stored.items():
                    kind, _, date = name.decode().partition("|")
                    rows.append((kind, date, points.decode(value)))
                yield model, rows

    async def event(self, id: str) -> bytes | None:
        """A drift event that found drift."""
        found: bytes | None = await self.redis.hget(self.keys.event, id)
        return found

    async def events(self, model: str | None, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Events that found drift, newest close first."""
        index = self.keys.model_events(model) if model else self.keys.events
        return await self._by_id(index, self.keys.event, keep, start, limit)

    async def evidence(self, model: str, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Hourly evidence of a model, oldest first."""

        async def read(first: int, count: int) -> list[bytes]:
            found: list[bytes] = await self.redis.zrange(self.keys.evidence(model), first, first + count - 1)
            return found

        return await _filtered(read, keep, start, limit)

    async def alerts(self, model: str | None, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Newest revision of each alert, the last opened first."""
        index = self.keys.model_alerts(model) if model else self.keys.alerts
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

    async def audit(self, model: str | None, keep: Callable[[dict[str, Any]], bool], start: int, limit: int) -> Page:
        """Decisions, newest first."""
        index = self.keys.model_audit(model) if model else self.keys.audit

        async def read(first: int, count: int) -> list[bytes]:
            found: list[bytes] = await self.redis.zrevrange(index, first, first + count - 1)
            return found

        return await _filtered(read, keep, start, limit)

    async def history(self, model: str) -> tuple[list[bytes], list[bytes]]:
        """A model's job records and its training commands, newest first."""
        async with self.redis.pipeline(transaction=False) as pipe:
            pipe.zrevrange(self.keys.jobs(model), 0, _SHOWN - 1)
            pipe.zrevrange(self.keys.commands(model), 0, _SHOWN - 1)
            jobs, commands = await pipe.execute()
        return jobs, commands

    async def outcomes(self, id: str) -> list[dict[str, Any]]:
        """What each partition said that became of a command, in order."""
        found = await self.redis.hgetall(self.keys.outcome(id))
        return [orjson.loads(value) for _, value in sorted(found.items(), key=lambda item: int(item[0]))]

    async def precision(self, model_type: str | None, now_ms: int | None) -> list[dict[str, Any]]:
        """How often each rule was right, of alerts of the last 90 days."""
        since = rfc3339(now_ms - precision.DAYS * DAY_MS) if now_ms is not None else ""
        found = [orjson.loads(value) for value in await self.redis.hvals(self.keys.verdicts)]
        return precision.measured(found, since, model_type)

    async def mutes(self, model: str | None, now_ms: int | None) -> list[dict[str, Any]]:
        """What is muted now or will be, of all models or of one, the first to end first."""
        newest: dict[str, tuple[str, list[dict[str, Any]]]] = {}
        for name, value in (await self.redis.hgetall(self.keys.mutes)).items():
            scope, (at, rows) = name.decode().rpartition("|")[0], orjson.loads(value)
            if scope not in newest or at >= newest[scope][0]:
                newest[scope] = (at, rows)
        wanted = newest if model is None else {model, model.partition(":")[0]}
        found = [row for scope in wanted if scope in newest for row in newest[scope][1]]
        over = rfc3339(now_ms) if now_ms is not None else ""
        return sorted((row for row in found if row["until"] > over), key=lambda row: (row["until"], row["command_id"]))

    async def settings(self) -> list[dict[str, Any]]:
        """Newest record of every setting that was ever changed."""
        return [orjson.loads(value) for value in await self.redis.hvals(self.keys.settings)]

    async def settings_of(self, model: str) -> list[dict[str, Any]]:
        """Newest record of every changed setting that concerns a model."""
        # the names of all settings cost a command that asks for something else a third of its start
        from stream_app.projection.holding import fields_of

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


def _away(error: Exception) -> Status:
    text = f"Redis does not answer ({type(error).__name__}): the pipeline goes on, and the pages fill again"
    return Status(True, f"{text} when Redis is back", None, "", "redis_away")


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


def _days(first: str = "", last: str = "") -> list[str]:
    """The days between two, both included, the newest that are kept; none without the two."""
    if not first:
        return []
    begin = max(date.fromisoformat(first), date.fromisoformat(last) - timedelta(days=KEPT_DAYS))
    return [(begin + timedelta(days=n)).isoformat() for n in range((date.fromisoformat(last) - begin).days + 1)]


def _plain(point: points.Point) -> dict[str, Any]:
    return {
        **{name: getattr(point, name) for name in point.__struct_fields__ if name != "windows"},
        "windows": [{name: getattr(w, name) for name in w.__struct_fields__} for w in point.windows],
    }

"""From the output topics into Redis, exactly once: the positions reached stand in the transaction that used them.

Redis holds nothing that the topics do not. When it is empty, was flushed, belongs to another cluster, was written by a
release with another layout, holds bytes that cannot be read, or stands at positions that the topics no longer have, it
is wiped and filled again from the start, as a new *generation*. Two
projectors cannot mix: each transaction watches the number of the last one.

It runs beside the lanes and never in their way: a Redis that is slow or away delays this task alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.exceptions import RedisError, WatchError

from schemas.common import NAME
from stream_app.errors import Broken, UnknownFormat, present
from stream_app.kafka import clients
from stream_app.kafka.arrived import decoded, skip
from stream_app.kafka.clock_tail import ClockReader
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reach import start
from stream_app.kafka.reading import stop_consumer
from stream_app.kafka.topics import Topics
from stream_app.projection import fold
from stream_app.projection.apply import KINDS, RedisBatch, cutoff_ms, first_kept
from stream_app.projection.client import client
from stream_app.projection.keys import CHANGES, LAYOUT, Keys
from stream_app.projection.records import DECODE, Row
from stream_app.settings import Settings
from stream_app.tasks import heed_cancellation

log = logging.getLogger(__name__)

#: Records of one transaction: a few milliseconds of the worker's loop.
MOST: Final = 300
#: Seconds between two looks at Redis while nothing comes: how soon a flush is noticed.
BEAT_S: Final = 1.0
#: Longest wait before trying again, in seconds.
LONGEST_WAIT_S: Final = 5.0
#: Fields that one command drops.
_AT_ONCE: Final = 1_000
_NAMED: Final = re.compile(f"{NAME}:{NAME}".encode())


#: What laying a record out raises where its fields contradict each other.
UNFIT: Final = (ValueError, TypeError, LookupError, ArithmeticError)


class _Unfit(Exception):
    """A record of its topic's type that says what cannot be."""

    def __init__(self, record: Any, why: str) -> None:
        super().__init__(why)
        self.record = record


class Moved(Exception):
    """Redis is not where this projector left it: flushed, or another one went on."""


class Projector:
    """Keeps the read model of one installation."""

    def __init__(self, settings: Settings, topics: Topics, cluster: str) -> None:
        self.keys = Keys(settings.output_prefix)
        self._settings = settings
        self._topics = topics
        self._cluster = cluster
        self._kinds = {f"{topics.output_prefix}{kind}": kind for kind in KINDS}
        self._clocks = [TopicPartition(topics.model_clock, p) for p in range(topics.model_partitions)]
        self._clock: ClockReader | None = None
        self._metric_of = lru_cache(10_000)(lambda model: settings.for_model(model).performance_metrics[0])
        self._generation = ""
        self._seq = 0
        #: the read model is filled from the topics' start; it just has been
        self._renewed = self._filled = False
        #: whether what Redis holds cannot be read and must be made anew
        self._unreadable = False
        #: end of each partition when the session began; empty once they are reached
        self._ends: dict[TopicPartition, int] = {}
        self._total = 0

    async def run(self, leads: Callable[[], bool]) -> None:
        """For ever: while this worker leads, keep Redis up to date."""
        wait, told = 0.2, ""
        while True:
            heed_cancellation()
            if not leads():
                await asyncio.sleep(1)
                continue
            began = time.monotonic()
            try:
                await self._session(leads)
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                if text != told:
                    log.warning("the read model stands still (%s); the pipeline goes on", text)
                told = text
            wait = 0.2 if time.monotonic() - began > 10 else min(LONGEST_WAIT_S, wait * 2)
            await asyncio.sleep(wait)

    async def _session(self, leads: Callable[[], bool]) -> None:
        """Connect to both sides and carry over until something breaks."""
        redis = client(self._settings)
        bootstrap, options = self._settings.kafka_bootstrap, self._settings.kafka_client_options()
        consumer = clients.consumer(bootstrap, options, auto_offset_reset="none", fetch_max_wait_ms=100)
        try:
            await redis.ping()
            await start(consumer, bootstrap, options)
            await self._begin(redis, consumer)
            while leads():
                heed_cancellation()
                found = await consumer.getmany(timeout_ms=int(BEAT_S * 1000), max_records=MOST)
                await self._carry(redis, consumer, found)
        finally:
            await stop_consumer(consumer)
            with contextlib.suppress(RedisError, OSError):
                await redis.aclose()

    async def _begin(self, redis: Any, consumer: AIOKafkaConsumer) -> None:
        """Take up where Redis stands, or start it anew; seek every partition."""
        tps = [TopicPartition(name, p) for name in self._kinds for p in range(self._topics.model_partitions)]
        begin = await consumer.beginning_offsets(tps)
        end = await consumer.end_offsets(tps)
        known = await redis.hgetall(self.keys.meta)
        stored = await redis.hgetall(self.keys.positions)
        at = {tp: _number(stored.get(_field(tp).encode())) for tp in tps}
        fits = all(begin[tp] <= at[tp] <= end[tp] for tp in tps)
        same = (known.get(b"cluster"), known.get(b"layout")) == (self._cluster.encode(), LAYOUT.encode())
        sound = not self._unreadable and b"unreadable" not in known and known.get(b"generation")
        if not (same and sound and fits and _number(known.get(b"seq")) >= 0):
            await self._renew(redis, begin)
            at, self._renewed = begin, True
        else:
            self._generation, self._seq = known[b"generation"].decode(), _number(known[b"seq"])
        self._ends = {tp: end[tp] for tp in tps if at[tp] < end[tp]}
        self._total = sum(end[tp] - at[tp] for tp in self._ends)
        # of the clock only the newest ticks matter, and no position is kept
        self._clock = clock = ClockReader(consumer, self._clocks)
        await clock.read()
        consumer.assign([*tps, *self._clocks])
        for tp in tps:
            consumer.seek(tp, at[tp])
        for tp in self._clocks:
            consumer.seek(tp, clock.next(tp))

    async def _renew(self, redis: Any, begin: dict[TopicPartition, int]) -> None:
        """Forget everything and begin a generation."""
        async for key in redis.scan_iter(f"{self.keys.root}:*", count=1_000):
            await redis.unlink(key)
        self._generation, self._seq, self._unreadable = str(uuid.uuid4()), 0, False
        async with redis.pipeline(transaction=True) as pipe:
            pipe.hset(self.keys.positions, mapping={_field(tp): offset for tp, offset in begin.items()})
            pipe.hset(
                self.keys.meta,
                mapping={
                    "generation": self._generation,
                    "cluster": self._cluster,
                    "layout": LAYOUT,
                    "seq": 0,
                    "filling": "0/0",
                },
            )
            await pipe.execute()
        log.info("the read model is filled from the topics")

    async def _carry(self, redis: Any, consumer: AIOKafkaConsumer, found: dict[TopicPartition, list[Any]]) -> None:
        """One transaction: what was fetched, where it ends, and that we are alive."""
        self._hear(found)
        records = sorted((r for rows in found.values() for r in rows), key=lambda r: (r.timestamp, r.topic, r.offset))
        positions = {tp: await consumer.position(tp) for tp in {*found, *self._ends}}
        was_filling = bool(self._ends)
        self._ends = {tp: end for tp, end in self._ends.items() if positions[tp] < end}
        self._filled = self._filled or (was_filling and self._renewed and not self._ends)
        self._renewed = self._renewed and bool(self._ends)
        async with redis.pipeline(transaction=True) as pipe:
            await pipe.watch(self.keys.meta)
            generation, seq, unreadable = await pipe.hmget(self.keys.meta, "generation", "seq", "unreadable")
            if generation != self._generation.encode() or _number(seq) != self._seq:
                raise Moved("Redis was flushed, or another worker goes on")
            if unreadable is not None:
                raise Moved(f"it is built anew: {unreadable.decode(errors='replace')}")
            try:
                batch = await self._fold(pipe, records)
            except (UnknownFormat, Broken) as error:
                self._unreadable = True
                raise Moved(f"it is built anew: {error}") from error
            forgotten = await self._forgotten(pipe, batch)
            now = await pipe.time()
            pipe.multi()
            for command in (*batch.commands, *forgotten):
                pipe.execute_command(*command)
            self._finish(pipe, batch, positions, now[0] * 1000 + now[1] // 1000)
            if not was_filling:
                for kind, model, value in batch.changes:
                    pipe.xadd(self.keys.changes, {"topic": kind, "model": model, "record": value}, maxlen=CHANGES)
            elif not self._ends:
                pipe.xadd(self.keys.changes, {"topic": "reset", "model": "*", "record": b"{}"}, maxlen=CHANGES)
            try:
                await pipe.execute()
            except WatchError as error:
                raise Moved("another worker goes on") from error
        self._seq += 1

    def _hear(self, found: dict[TopicPartition, list[Any]]) -> None:
        """Take the ticks out of what was fetched."""
        clock = present(self._clock, "the clock's reader")
        for tp in self._clocks:
            clock.hear(tp, readable(found.pop(tp, ())))

    async def _fold(self, pipe: Any, records: list[Any]) -> RedisBatch:
        """Fold the records over what Redis has of their models."""
        rows = [taken for record in readable(records) if (taken := self._taken(record)) is not None]
        while True:
            try:
                return await self._folded(pipe, rows)
            except _Unfit as error:
                skip(error.record, str(error))
                rows = [taken for taken in rows if taken[2] is not error.record]

    def _taken(self, record: Any) -> tuple[str, Row | None, Any] | None:
        """Kind, row and record; no row where a model was forgotten. ``None``: the record is passed by."""
        kind = self._kinds[record.topic]
        if record.value is not None:
            row = decoded(DECODE[kind], record)
            return None if row is None else (kind, row, record)
        # a tombstone of a job only lets compaction take it
        if kind != "model-lifecycle" or not _NAMED.fullmatch(record.key or b""):
            return None
        return kind, None, record

    async def _folded(self, pipe: Any, rows: list[tuple[str, Row | None, Any]]) -> RedisBatch:
        """The same of records that can be read. :class:`_Unfit` names one that cannot be laid out after all."""
        models = sorted({row["model"] for _, row, _ in rows if row is not None and row["model"] != "*"})
        stored = await pipe.hmget(self.keys.fleet, models) if models else []
        states = {model: fold.decode(value) for model, value in zip(models, stored, strict=True) if value is not None}
        batch = RedisBatch(self.keys, self._metric_of, states)
        marks = await pipe.mget([self.keys.gone(model) for model in models]) if models else []
        batch.gone = {model for model, mark in zip(models, marks, strict=True) if mark is not None}
        fields = [f"{row['model']}|{row['key']}" for kind, row, _ in rows if kind == "settings" and row is not None]
        known = await pipe.hmget(self.keys.settings, fields) if fields else []
        batch.settings = {name: orjson.loads(value)["at"] for name, value in zip(fields, known, strict=True) if value}
        for kind, row, record in rows:
            if row is None:
                await self._forget(pipe, batch, record.key.decode())
                continue
            try:
                batch.take(kind, row, record.value, record.offset)
            except UNFIT as error:
                raise _Unfit(record, f"{type(error).__name__}: {error}") from error
        if self._filled:
            await self._without_version(pipe, batch)
        batch.finish()
        return batch

    async def _forget(self, pipe: Any, batch: RedisBatch, model: str) -> None:
        """A model is gone, and with it its events and alerts."""
        keys = self.keys
        events = await pipe.zrange(keys.model_events(model), 0, -1)
        alerts = await pipe.zrange(keys.model_alerts(model), 0, -1)
        batch.forget(model)
        if events:
            batch.run("ZREM", keys.events, *events)
            batch.run("HDEL", keys.event, *events)
        if alerts:
            batch.run("ZREM", keys.alerts, *alerts)
            batch.run("HDEL", keys.alert, *alerts)
            batch.run("DEL", *(keys.revisions(id.decode()) for id in alerts))

    async def _without_version(self, pipe: Any, batch: RedisBatch) -> None:
        """The topics were read from their start to their end: a model that has no active version is one that was
        forgotten, whose old snapshots a compacted topic keeps for ever. The tombstone itself is gone after a day."""
        self._filled = False
        for name, value in (await pipe.hgetall(self.keys.fleet)).items():
            model = name.decode()
            if batch.states.get(model, fold.decode(value)).version is None and model not in batch.gone:
                await self._forget(pipe, batch, model)

    async def _forgotten(self, pipe: Any, batch: RedisBatch) -> list[tuple[Any, ...]]:
        """Commands that drop snapshots, events and resolved alerts of models whose newest day moved on."""
        keys, out = self.keys, []
        for model, (_, now) in sorted(batch.advanced.items()):
            out += await _outlived(pipe, keys.days(model), f"({first_kept(now)}")
            out += await _outlived(pipe, keys.open(model), f"({now}~")
            cutoff = f"({cutoff_ms(now)}"
            events = await pipe.zrangebyscore(keys.model_events(model), "-inf", cutoff)
            opened = await pipe.zrangebyscore(keys.model_alerts(model), "-inf", cutoff)
            alerts = [id for id in opened if id.decode() not in batch.states[model].alerts]
            if events:
                out += [("ZREM", keys.model_events(model), *events), ("ZREM", keys.events, *events)]
                out.append(("HDEL", keys.event, *events))
            if alerts:
                out += [("ZREM", keys.model_alerts(model), *alerts), ("ZREM", keys.alerts, *alerts)]
                out += [("HDEL", keys.alert, *alerts), ("DEL", *(keys.revisions(id.decode()) for id in alerts))]
        return out

    def _finish(self, pipe: Any, batch: RedisBatch, positions: dict[TopicPartition, int], now_ms: int) -> None:
        """Positions, the number of this batch, and how far the filling is."""
        seq = self._seq + 1
        if positions:
            pipe.hset(self.keys.positions, mapping={_field(tp): offset for tp, offset in positions.items()})
        if batch.touched:
            pipe.zadd(self.keys.touched, dict.fromkeys(sorted(batch.touched), seq))
        left = sum(end - positions[tp] for tp, end in self._ends.items())
        filling = f"{self._total - left}/{self._total}" if self._ends else ""
        tick = min(present(self._clock, "the clock's reader").last().values(), key=lambda t: (t.at_ms, t.stamped_ms))
        told = {"tick": tick.at_ms, "ticked": tick.stamped_ms} if tick.at_ms else {"tick": "", "ticked": ""}
        pipe.hset(self.keys.meta, mapping={"seq": seq, "beat": now_ms, "filling": filling, **told})


async def _outlived(pipe: Any, snapshots: str, end: str) -> list[tuple[Any, ...]]:
    """Commands that drop what lies before a day of snapshots that are kept in order."""
    index = Keys.in_order(snapshots)
    gone = await pipe.zrangebylex(index, "-", end)
    out: list[tuple[Any, ...]] = [
        ("HDEL", snapshots, *gone[at : at + _AT_ONCE]) for at in range(0, len(gone), _AT_ONCE)
    ]
    return [*out, ("ZREMRANGEBYLEX", index, "-", end)] if gone else out


def _number(value: bytes | None) -> int:
    """A stored number, −1 for what is none."""
    return int(value) if value is not None and value.isdigit() else -1


def _field(tp: TopicPartition) -> str:
    return f"{tp.topic}:{tp.partition}"

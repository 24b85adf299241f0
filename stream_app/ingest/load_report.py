"""How many loaded rows will find their other half: read from the topics, bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.clock import Tick
from schemas.common import parse_ms
from schemas.inputs import Time, time_ms
from stream_app.core.kit.days import DAY_MS
from stream_app.ingest.ids import Ids
from stream_app.ingest.inputs import Kind
from stream_app.kafka import clients
from stream_app.kafka.arrived import decoded
from stream_app.kafka.passed_by import readable
from stream_app.kafka.reading import stop_consumer
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

#: Newest records of the other topic that a report looks at; some 5 s of reading.
LOOK_AT: Final = 1_000_000


class _Seen(msgspec.Struct):
    prediction_id: str
    model_type: str | None = None
    predicted_at: Time | None = None


_seen = msgspec.json.Decoder(_Seen)
_tick = msgspec.json.Decoder(Tick)


@dataclass(slots=True)
class Report:
    """Of the file's ids: how many the other topic holds, and how many lie beyond what is still joined."""

    ids: int
    matched: int = 0
    beyond_horizon: int = 0
    looked_at: int = 0
    #: the other topic has older records that were not looked at
    cut_short: bool = False


async def report(settings: Settings, topics: Topics, kind: Kind, wanted: Ids) -> Report:
    """Look for ids (with their times, epoch ms) among the newest records of the other topic.

    Outcomes are beyond the horizon where their prediction is older than its type's ``pending_horizon_days``, seen from
    the last tick; predictions where they are older than ``max_prediction_age_days``.
    """
    found, other = Report(len(wanted)), topics.predictions if kind == "outcomes" else topics.outcomes
    now = await _now(settings, topics)
    if kind == "predictions" and now:
        oldest = now - settings.max_prediction_age_days * DAY_MS
        found.beyond_horizon = wanted.before(oldest)
    matched: set[int] = set()
    beyond: set[int] = set()

    def take(value: bytes | None) -> None:
        try:
            seen = _seen.decode(value or b"")
        except (msgspec.DecodeError, UnicodeError):
            return
        place = wanted.place(seen.prediction_id.encode())
        if place is None:
            return
        matched.add(place)
        if kind == "outcomes" and now and seen.predicted_at is not None:
            horizon = settings.for_type(seen.model_type or "").pending_horizon_days
            if (now - time_ms(seen.predicted_at)) // DAY_MS > horizon:
                beyond.add(place)

    await _newest(settings, [TopicPartition(other, p) for p in range(topics.input_partitions)], take, found)
    found.matched = len(matched)
    found.beyond_horizon += len(beyond)
    return found


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = clients.consumer(settings.kafka_bootstrap, settings.kafka_client_options())
    try:
        await consumer.start()
        yield consumer
    finally:
        await stop_consumer(consumer)


async def _newest(
    settings: Settings, tps: list[TopicPartition], take: Callable[[bytes | None], None], found: Report
) -> None:
    async with _reader(settings) as consumer:
        begin, end = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        consumer.assign(tps)
        for tp in tps:
            start = max(begin[tp], end[tp] - LOOK_AT // len(tps))
            found.cut_short |= start > begin[tp]
            consumer.seek(tp, start)
        while any([await consumer.position(tp) < end[tp] for tp in tps]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.looked_at += len(records)
                for record in readable(records):
                    take(record.value)


async def _now(settings: Settings, topics: Topics) -> int:
    """Time of the last tick, epoch ms; 0 where there is none yet."""
    tp, now = TopicPartition(topics.clock, 0), 0
    async with _reader(settings) as consumer:
        begin, end = (await consumer.beginning_offsets([tp]))[tp], (await consumer.end_offsets([tp]))[tp]
        consumer.assign([tp])
        consumer.seek(tp, max(begin, end - 16))
        while await consumer.position(tp) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in readable(records):
                    now = max(now, decoded(_at_ms, record) or 0)
    return now


def _at_ms(value: bytes) -> int:
    at = _tick.decode(value).at
    return parse_ms(at) if at is not None else 0

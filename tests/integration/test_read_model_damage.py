"""What Redis holds and this release cannot read is built anew from the topics, whoever meets it first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from stream_app.errors import Broken, UnknownFormat
from stream_app.kafka import clients
from stream_app.projection import points
from stream_app.projection.apply import KINDS
from stream_app.projection.reader import Reader
from tests.integration.test_read_model import compare_with_topics, projecting, redis_server, whole
from tests.support.kafka_io import Prefix, end_offsets, until
from tests.support.live import RedisServer, publish, published

__all__ = ["redis_server"]

MODEL = "churn:step-25-300-on"


async def _another_layout(reader: Reader) -> None:
    await reader.redis.hset(reader.keys.meta, "layout", "9.9.9")


async def _meta_of_another_kind(reader: Reader) -> None:
    await reader.redis.hset(reader.keys.meta, mapping={"seq": b"\xff\xfe", "generation": ""})


async def _a_foreign_model(reader: Reader) -> None:
    await reader.redis.hset(reader.keys.fleet, MODEL, b"\x63 of another release")
    reader.fleet._seq = -1
    with pytest.raises(UnknownFormat, match="model of the read model has format 99"):
        await reader.fleet.models()


async def _a_damaged_point(reader: Reader) -> None:
    name = next(iter(await reader.redis.hkeys(reader.keys.points(MODEL))))
    await reader.redis.hset(reader.keys.points(MODEL), name, bytes([points.FORMAT]) + b"\xc1\xc1")
    with pytest.raises(Broken, match="point of the read model cannot be read") as met:
        await reader.points(MODEL)
    await reader.unreadable(str(met.value))  # as the web process does with what a reader raises


@pytest.mark.parametrize(
    ("damage", "noticed_by_the_projector"),
    [(_another_layout, False), (_meta_of_another_kind, True), (_a_foreign_model, True), (_a_damaged_point, True)],
    ids=["layout", "meta", "model", "point"],
)
async def test_it_is_built_anew(
    prefix: Prefix,
    redis_server: RedisServer,
    damage: Callable[[Reader], Awaitable[None]],
    noticed_by_the_projector: bool,
) -> None:
    await publish(prefix, published())
    async with projecting(prefix, redis_server.url) as reader:
        await whole(reader)
        first = (await reader.status()).generation
        if noticed_by_the_projector:
            await damage(reader)
            # whatever touches the model folds over what is there
            await publish(prefix, {"metric-snapshots": published()["metric-snapshots"]})
            await _renewed(reader, first)
            return
    async with projecting(prefix, redis_server.url) as reader:
        await damage(reader)
        assert (await reader.status()).degraded
    async with projecting(prefix, redis_server.url) as reader:
        await _renewed(reader, first)
        await compare_with_topics(reader)


async def _renewed(reader: Reader, first: str) -> None:
    async def renewed() -> bool:
        status = await reader.status()
        return not status.degraded and status.generation not in ("", first)

    await until(renewed, 60, "a new generation")
    assert {entry.model for entry in await reader.fleet.models()}
    assert await reader.points(MODEL)


async def test_records_that_are_none_are_passed_by_and_older_ones_that_arrive_again_change_nothing(
    prefix: Prefix, redis_server: RedisServer
) -> None:
    story = published()
    odd = [
        b"", b"\xff\xfe", b"null", b"[]", b"7", b"[" * 100_000 + b"]" * 100_000, b"{}", b'{"model":"churn:acme"}',
        b'{"model":"..:..","at":"x"}', b'{"model":7}',
    ]  # fmt: skip
    stranger = MODEL.encode()

    async def poison() -> None:
        async with clients.producer(prefix.bootstrap, {}) as kafka:
            for kind, rows in story.items():
                good = next((emit.value for emit in rows if emit.value is not None), b"{}")
                spoilt = [
                    good[:-1] + b',"junk":"\xff"}', good[:-1] + b',"junk":' + b"[" * 900 + b"]" * 900 + b"}",
                    good[:-1] + b',"at":"2026-99-99T00:00:00.000Z"}', good[:-1] + b',"model":"a:b:c"}',
                    good[:-1] + b',"date":"0001-01-01"}' if kind == "metric-snapshots" else b"0",
                    good[:-1] + b',"windows":[]}' if kind == "drift-events" else b"0", None,
                ]  # fmt: skip
                for value in (*odd, *spoilt):
                    key = b"\xff" if kind == "model-lifecycle" or value is not None else stranger
                    await kafka.send(
                        f"{prefix.topics.output_prefix}{kind}", value, key, 0, headers=[("\u00e9", b"\xff")]
                    )
            await kafka.flush()

    await poison()
    await publish(prefix, story)
    async with projecting(prefix, redis_server.url) as reader:
        await whole(reader)
        await compare_with_topics(reader)
        generation = (await reader.status()).generation
        await poison()
        again = ("alerts", "training-jobs", "model-lifecycle", "metric-snapshots", "settings")
        await publish(prefix, {kind: story[kind][: len(story[kind]) // 2] for kind in again})
        await _caught_up(reader, prefix)
        await compare_with_topics(reader)
        assert (await reader.status()).generation == generation


async def _caught_up(reader: Reader, prefix: Prefix) -> None:
    topics = prefix.topics

    async def there() -> bool:
        at = await reader.redis.hgetall(reader.keys.positions)
        for kind in KINDS:
            name = f"{topics.output_prefix}{kind}"
            for partition, end in (await end_offsets(prefix.bootstrap, name, topics.model_partitions)).items():
                if int(at.get(f"{name}:{partition}".encode(), 0)) < end:
                    return False
        return True

    await until(there, 60, "the projector to catch up")

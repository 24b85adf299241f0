"""What Redis holds and this release cannot read is built anew from the topics, whoever meets it first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from stream_app.errors import Broken, UnknownFormat
from stream_app.read_model.reader import Reader
from tests.integration.test_read_model import compare_with_topics, projecting, redis_server, whole
from tests.support.kafka_io import Prefix, until
from tests.support.live import RedisServer, publish, published

__all__ = ["redis_server"]

LINE = "churn:step-25-300-on"


async def _another_layout(reader: Reader) -> None:
    await reader.redis.hset(reader.keys.meta, "layout", "9.9.9")


async def _meta_of_another_kind(reader: Reader) -> None:
    await reader.redis.hset(reader.keys.meta, mapping={"seq": b"\xff\xfe", "generation": ""})


async def _a_foreign_line(reader: Reader) -> None:
    await reader.redis.hset(reader.keys.fleet, LINE, b"\x63 of another release")
    reader.fleet._seq = -1
    with pytest.raises(UnknownFormat, match="line of the read model has format 99"):
        await reader.fleet.lines()


async def _a_damaged_point(reader: Reader) -> None:
    name = next(iter(await reader.redis.hkeys(reader.keys.points(LINE))))
    await reader.redis.hset(reader.keys.points(LINE), name, b"\x01\xc1\xc1")
    with pytest.raises(Broken, match="point of the read model cannot be read") as met:
        await reader.points(LINE)
    await reader.unreadable(str(met.value))  # as the web process does with what a reader raises


@pytest.mark.parametrize(
    ("damage", "noticed_by_the_projector"),
    [(_another_layout, False), (_meta_of_another_kind, True), (_a_foreign_line, True), (_a_damaged_point, True)],
    ids=["layout", "meta", "line", "point"],
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
            # whatever touches the line folds over what is there
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
    assert {entry.line for entry in await reader.fleet.lines()}
    assert await reader.points(LINE)

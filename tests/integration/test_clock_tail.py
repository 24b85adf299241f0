"""Where a clock stands is read as the lanes read it, wherever in the log the newest records begin."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.common import rfc3339
from stream_app.errors import Incompatible
from stream_app.kafka import clients
from stream_app.kafka.clock_tail import ClockReader, ClockTail, read_tail
from stream_app.projection.client import client
from stream_app.projection.keys import Keys
from stream_app.projection.projector import Projector
from stream_app.replay.clock_writer import ClockWriter
from stream_app.tasks import end
from tests.support.kafka_io import Prefix, until
from tests.support.live import RedisServer

NOW_MS = time.time_ns() // 1_000_000
AHEAD_MS = NOW_MS + 400 * 86_400_000
LOOK = {"end_offsets": {}, "mode": "live"}


def _tick(at_ms: int, mode: str | None) -> dict[str, Any]:
    return {"at": rfc3339(at_ms), "ends_epoch": True, "end_offsets": {}, "mode": mode}


async def _stands(prefix: Prefix) -> tuple[ClockTail, ClockReader, Any]:
    reader = clients.log_reader(prefix.bootstrap, {})
    await reader.start()
    tail = ClockReader(reader, [TopicPartition(prefix.topics.clock, 0)])
    return await tail.read(), tail, reader


@pytest.mark.parametrize("after", range(0, 42, 3))
async def test_a_refused_tick_at_the_edge_of_what_is_read_is_not_taken(prefix: Prefix, after: int) -> None:
    """A live tick, then simulated and impossible ones, then records that are no ticks: the clock stays live."""
    refused = [_tick(AHEAD_MS, "external"), _tick(AHEAD_MS, None), _tick(AHEAD_MS, "live"), {"at": "no time"}]
    bodies = [_tick(NOW_MS, "live"), *refused, *refused, *[LOOK] * after]
    await prefix.produce(prefix.topics.clock, [(None, json.dumps(body).encode(), 0) for body in bodies])
    stands, _, reader = await _stands(prefix)
    await reader.stop()
    assert (stands.at_ms, stands.mode) == (NOW_MS, "live")


@pytest.mark.parametrize("after", [0, 30, 300])
async def test_simulated_time_is_seen_behind_any_number_of_records_that_are_no_ticks(
    prefix: Prefix, after: int
) -> None:
    bodies = [_tick(AHEAD_MS - 1, "external"), _tick(AHEAD_MS, "external"), *[LOOK] * after]
    await prefix.produce(prefix.topics.clock, [(None, json.dumps(body).encode(), 0) for body in bodies])
    stands, _, reader = await _stands(prefix)
    await reader.stop()
    assert (stands.at_ms, stands.mode) == (AHEAD_MS, "external")


async def test_a_further_reading_goes_on_from_the_last_and_gives_what_a_first_one_gives(prefix: Prefix) -> None:
    topic = prefix.topics.clock

    async def write(*bodies: dict[str, Any]) -> None:
        await prefix.produce(topic, [(None, json.dumps(body).encode(), 0) for body in bodies])

    await write(_tick(NOW_MS - 5, "external"))
    stands, tail, reader = await _stands(prefix)
    assert (stands.at_ms, stands.mode) == (NOW_MS - 5, "external")
    steps = [
        ([LOOK] * 25, NOW_MS - 5, "external"),
        ([_tick(NOW_MS - 5, "live")], NOW_MS - 5, "live"),
        ([_tick(AHEAD_MS, "external")] * 30, NOW_MS - 5, "live"),
        ([_tick(NOW_MS, "live"), LOOK], NOW_MS, "live"),
    ]
    try:
        for bodies, at_ms, mode in steps:
            await write(*bodies)
            stands = await tail.read()
            assert (stands.at_ms, stands.mode) == (at_ms, mode)
            anew = await read_tail(reader, [TopicPartition(topic, 0)])
            assert (anew.at_ms, anew.mode) == (at_ms, mode)
    finally:
        await reader.stop()


#: ticks of a clock in order → where it stands
STANDS: dict[str, tuple[list[dict[str, Any]], int, str]] = {
    "simulated after live": ([_tick(NOW_MS, "live"), _tick(AHEAD_MS, "external")], NOW_MS, "live"),
    "handed over": (
        [_tick(NOW_MS - 9, "external"), _tick(NOW_MS - 9, "live"), _tick(AHEAD_MS, "external"), LOOK],
        NOW_MS - 9,
        "live",
    ),
    "simulated": ([_tick(NOW_MS, "external"), _tick(AHEAD_MS, "external"), LOOK], AHEAD_MS, "external"),
    "back in time": ([_tick(AHEAD_MS, "external"), _tick(NOW_MS, "external")], AHEAD_MS, "external"),
    "live ahead of the broker": ([_tick(NOW_MS, "live"), _tick(AHEAD_MS, "live"), LOOK], NOW_MS, "live"),
}


@pytest.mark.parametrize("case", STANDS)
async def test_whoever_reads_a_clock_stands_where_the_lanes_do(prefix: Prefix, tmp_path: Path, case: str) -> None:
    """A writer of simulated time, and the read model: from ticks that stand there, and from ticks that come."""
    bodies, at_ms, mode = STANDS[case]
    rows = [json.dumps(body).encode() for body in bodies]
    topics = prefix.topics

    async def come() -> None:
        for topic, count in ((topics.clock, topics.input_partitions), (topics.model_clock, topics.model_partitions)):
            await prefix.produce(topic, [(None, row, partition) for partition in range(count) for row in rows])

    redis = RedisServer(tmp_path / "redis").start()
    settings = prefix.settings(redis_url=redis.url)
    asked = client(settings)

    async def tick() -> str:
        found = await asked.hget(Keys(settings.output_prefix).meta, "tick")
        return "" if found is None else found.decode()

    async def projects() -> asyncio.Task[None]:
        return asyncio.create_task(Projector(settings, topics, "a-cluster").run(lambda: True))

    async def beats(before: list[bytes | None]) -> bool:
        """Whether it wrote once more after everything above was there: a beat that is not the one it wrote last."""
        now = await asked.hget(Keys(settings.output_prefix).meta, "seq")
        if now is not None and now not in before:
            before.append(now)
        return len(before) > 4

    try:
        task = await projects()
        seen: list[bytes | None] = []
        await until(lambda: beats(seen), 60, "the read model to begin")
        await come()
        await until(lambda: _is(tick, at_ms), 60, "the read model to take the ticks")
        seen = []
        await until(lambda: beats(seen), 60, "the read model to go on")
        assert await tick() == str(at_ms)
        await end(task)
        await asked.flushall()
        task = await projects()
        await until(lambda: _is(tick, at_ms), 60, "the read model to find the ticks")
        await end(task)
    finally:
        await asked.aclose()
        redis.kill()
    writer = ClockWriter(prefix.bootstrap, {}, topics)
    if mode == "live":
        with pytest.raises(Incompatible, match="is live"):
            await writer.__aenter__()
    else:
        async with writer:
            assert (writer.stand.at_ms, writer.stand.mode) == (at_ms, mode)


async def _is(tick: Any, at_ms: int) -> bool:
    return bool(await tick() == str(at_ms))

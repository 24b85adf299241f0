"""Where a clock stands is read as the lanes read it, wherever in the log the newest records begin."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from aiokafka import TopicPartition

from schemas.common import rfc3339
from stream_app.kafka import clients
from stream_app.kafka.clock_tail import ClockReader, ClockTail, read_tail
from tests.support.kafka_io import Prefix

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

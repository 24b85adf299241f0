"""Clocks that are wrong: the worker's by an hour, producers' by five minutes, single records in 1970 and 2100."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.common import parse_ms
from tests.support.generate import START, Row, Step
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, read, until, write
from tests.support.worker import Worker

DAY, HOUR, MINUTE = 86_400_000, 3_600_000, 60_000


def _row(name: str, at: int, tick: int) -> list[Row]:
    prediction = {
        "prediction_id": name, "model_type": "churn", "model_version": "v1", "predicted_at": at, "score": 0.5,
    }  # fmt: skip
    outcome = {"prediction_id": name, "actual": 1, "observed_at": tick - 1}
    key = name.encode()
    return [
        Row("predictions", key, json.dumps(prediction).encode()),
        Row("outcomes", key, json.dumps(outcome).encode()),
    ]


async def test_producers_minutes_off_count_and_events_of_1970_and_2100_do_not_move_time(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps: list[Step] = []
    for day in range(3):
        for hour in (1, 2, 3, 4, 12):
            tick = START + day * DAY + hour * HOUR
            rows = [row for i in range(5) for row in _row(f"ok-{day}-{hour}-{i}", tick - MINUTE * (i + 1), tick)]
            rows += _row(f"ahead-{day}-{hour}", tick + 5 * MINUTE - 1_000, tick)
            rows += _row(f"behind-{day}-{hour}", tick - 65 * MINUTE, tick)
            rows += _row(f"old-{day}-{hour}", 0, tick) + _row(f"new-{day}-{hour}", 4_102_444_800_000, tick)
            steps.append((tick, rows))
    steps.append((START + 4 * DAY, []))
    running = worker()
    running.env |= await asyncio.to_thread(_off, -HOUR // 1000)
    running.start()
    await write(prefix, steps)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)
    letters = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.model_partitions)
    reasons = sorted(dict(record.headers)["plumbline.reason"].decode() for part in letters.values() for record in part)
    assert reasons == ["future"] * 15 + ["too_old"] * 15
    snapshots = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.model_partitions)
    closed = [
        (row["date"], row["revision"])
        for part in snapshots.values()
        for record in part
        for row in [json.loads(record.value)]
        if row["state"] == "closed"
    ]
    # no close skipped, doubled or early
    assert len(closed) == len(set(closed))
    assert {date for date, revision in closed if revision == 1} == {"2026-02-16", "2026-02-17", "2026-02-18"} | {
        date for date, _ in closed if date < "2026-02-16"
    }


def _off(seconds: int) -> dict[str, str]:
    """Environment of a process whose clock is that far ahead; its stop watch is right."""
    if shutil.which("faketime") is None:
        pytest.fail("faketime is missing: apt-get install faketime")
    command = ["faketime", "-f", "+1h", "printenv", "LD_PRELOAD"]
    preload = subprocess.run(command, capture_output=True, check=True)
    return {
        "LD_PRELOAD": preload.stdout.decode().strip(), "FAKETIME": f"{seconds:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip


async def test_a_worker_more_than_an_hour_fast_doubts_the_broker_and_ticks_by_its_time_when_told_to(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker(clock="live")
    # from an hour on Kafka refuses records that a producer stamped itself
    running.env |= await asyncio.to_thread(_off, (HOUR + 5 * MINUTE) // 1000)
    running.start()
    await until(lambda: "a broker's time that can be believed" in running.ready(), 90, "both times on /readyz")
    assert "--trust-broker-time" in running.ready()
    assert await _ticks(prefix) == []
    assert running.stop() == 0
    running.start(arguments=["--trust-broker-time"])

    async def ticked() -> list[int]:
        return [at - stamp for stamp, at in await _ticks(prefix)]

    found = await until(ticked, 90, "a live tick")
    assert all(abs(difference) < 5_000 for difference in found), found


@pytest.mark.long
async def test_a_brokers_time_that_jumps_is_named_within_half_a_minute_and_no_tick_is_written_until_it_is_right(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """No JVM starts under a clock that can be moved, so the time that the leader is told is moved where it can be: a
    topic that keeps the writer's time answers with it, and the writer's clock jumps while its stop watch does not."""
    offset = tmp_path / "offset"
    offset.write_text("+0")
    running = worker(clock="live")
    running.env |= await asyncio.to_thread(_off, 0)
    del running.env["FAKETIME"]
    running.env |= {"FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_CACHE_DURATION": "1"}
    running.start()
    await until(lambda: _ticks(prefix), 90, "a live tick")
    for topic in (prefix.topics.clock, prefix.topics.model_clock):
        await prefix.configure(topic, {"message.timestamp.type": "CreateTime"})
    for jump in (600, -600):
        offset.write_text(f"{jump:+d}")
        # nothing is written to its inputs: the leader has to find it out by itself
        await until(lambda: "a broker's time that can be believed" in running.ready(), 30, "both times on /readyz")
        assert "its stop watch since the last tick says" in running.ready()
        last = max(at for _, at in await _ticks(prefix))
        assert last < time.time() * 1000 + 5_000, "no tick has the time that jumped"
        offset.write_text("+0")
        await until(lambda: '"ticks_wait_for":null' in running.ready(), 60, "the broker's time to be believed again")
        await running_on(prefix, last)


async def running_on(prefix: Prefix, last: int) -> None:
    """Return when a tick was written after one; none is ahead of this machine."""

    async def goes_on() -> bool:
        return max(at for _, at in await _ticks(prefix)) > last

    await until(goes_on, 90, "ticks as before")
    assert max(at for _, at in await _ticks(prefix)) < time.time() * 1000 + 5_000


@pytest.mark.long
async def test_a_worker_whose_clock_passes_two_oclock_closes_no_day_before_the_broker_does(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    now = int(time.time() * 1000)
    ahead = (now // DAY + 1) * DAY + 2 * HOUR - now  # until the next close
    running = worker(clock="live")
    running.env |= await asyncio.to_thread(_off, (ahead - 20_000) // 1000)
    running.start(arguments=["--trust-broker-time"])

    async def stamps() -> list[int]:
        return sorted({at for _, at in await _ticks(prefix)})

    (first, *_) = await until(stamps, 90, "a live tick")
    rows = [row for day in (1, 2, 3) for i in range(20) for row in _row(f"{day}-{i}", first - day * DAY, first)]
    rows += [row for i in range(20) for row in _row(f"0-{i}", first - MINUTE, first)]
    await write(prefix, [(first, rows)], ticks=False)

    async def passed() -> list[tuple[int, int]]:
        found = await _ticks(prefix)
        return found if len({at for _, at in found}) > 2 and time.time() * 1000 - now > MINUTE else []

    ticks = await until(passed, 240, "epoch ticks after the worker's clock passed two o'clock")
    said = await asyncio.to_thread(subprocess.run, ["date", "+%s"], env=running.env, capture_output=True, check=True)
    assert int(said.stdout) * 1000 > now + ahead, "the worker's clock passed two o'clock"
    assert all(abs(at - stamp) < 5_000 for stamp, at in ticks), ticks

    def held() -> int:
        cells = running.view("/models/churn:global")[1].get("cells", ())
        return sum(cell["predictions"] for cell in cells)

    await until(lambda: held() == 80, 60, "the worker to hold every prediction")
    parts = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.model_partitions)
    bodies = [json.loads(record.value) for part in parts.values() for record in part]
    close = ((first - 2 * HOUR) // DAY + 1) * DAY + 2 * HOUR
    assert all(parse_ms(row["at"]) >= close for row in bodies if row["state"] == "closed")


async def _ticks(prefix: Prefix) -> list[tuple[int, int]]:
    """(broker's time, tick) of every tick, epoch ms."""
    parts = await read(prefix.bootstrap, prefix.topics.clock, prefix.topics.input_partitions)
    return [
        (record.timestamp, parse_ms(row["at"]))
        for part in parts.values()
        for record in part
        for row in [json.loads(record.value)]
        if row.get("at") and row.get("ends_epoch")
    ]

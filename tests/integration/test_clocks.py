"""Clocks that are wrong: the worker's by an hour, producers' by five minutes, single records in 1970 and 2100."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable

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
    running = worker().start()
    await write(prefix, steps)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)
    letters = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.line_partitions)
    reasons = sorted(dict(record.headers)["plumbline.reason"].decode() for part in letters.values() for record in part)
    assert reasons == ["future"] * 15 + ["too_old"] * 15
    snapshots = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.line_partitions)
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


async def test_a_worker_an_hour_off_ticks_by_the_brokers_time(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    running = worker(clock="live")
    if shutil.which("faketime") is None:
        pytest.fail("faketime is missing: apt-get install faketime")
    command = ["faketime", "-f", "+1h", "printenv", "LD_PRELOAD"]
    preload = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    running.env |= {
        "LD_PRELOAD": preload.stdout.decode().strip(), "FAKETIME": "+1h", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    running.start()

    async def ticked() -> list[int]:
        parts = await read(prefix.bootstrap, prefix.topics.clock, prefix.topics.input_partitions)
        return [
            record.timestamp - parse_ms(row["at"])
            for part in parts.values()
            for record in part
            for row in [json.loads(record.value)]
            if row.get("at") and row.get("line")
        ]

    found = await until(ticked, 90, "a live tick")
    assert all(abs(difference) < 5_000 for difference in found), found

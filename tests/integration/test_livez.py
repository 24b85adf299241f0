"""``/livez`` fails only when the process itself is stuck, and then it does, for whoever asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_app.core.counts.deltas import FORMAT
from stream_app.kafka import clients
from stream_app.kafka.topics import Topics
from stream_app.services.kafka import LocalKafka
from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker


def _livez(of: Worker) -> int:
    """Status; 0 if nobody listens yet."""
    try:
        return of.view("/livez")[0]
    except OSError:
        return 0


def _ready(of: Worker) -> bool:
    try:
        return of.view("/readyz")[0] == 200
    except OSError:
        return False


async def test_a_stopped_event_loop_is_503_on_the_port_of_the_other_views(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker(livez_after_s="4").start(failpoint="stop-the-event-loop")
    await until(lambda: _ready(running), 90, "the worker to be ready")
    assert running.view("/livez") == (200, {"alive": True})
    await write(prefix, history(seed=94, days=1, per_day=20))  # its first tick stops the loop
    await until(lambda: "this thread stands still" in running.log.read_text(), 60, "the loop to stop")
    status, told = await asyncio.to_thread(_until_503, running)
    assert status == 503
    assert not told["alive"]
    assert "the event loop has not answered for" in told["error"]
    assert "timed out" in running.ready(), "the other views are answered by the loop"
    log = running.log.read_text()
    assert "this process is stuck: the event loop" in log
    assert "in stop" in log, "its threads stand in the log"


def _until_503(of: Worker) -> tuple[int, dict[str, str]]:
    deadline = time.monotonic() + 60
    while True:
        status, told = of.view("/livez")
        if status != 200 or time.monotonic() > deadline:
            return status, told
        time.sleep(0.2)


async def test_an_open_lane_that_has_work_and_never_moves_is_503(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    running = worker(livez_after_s="1").start(failpoint="hang-in-a-commit")
    await until(lambda: _ready(running), 90, "the worker to be ready")
    assert _livez(running) == 200
    await write(prefix, history(seed=95, days=1, per_day=20))
    status, told = await asyncio.to_thread(_until_503, running)
    assert status == 503
    assert "has had work for" in told["error"]
    assert "lane labels-" in told["error"]


@pytest.mark.parametrize(
    ("away_s", "limits"),
    [
        pytest.param(25.0, {"livez_after_s": "2"}, id="scaled"),
        pytest.param(900.0, {}, id="fifteen-minutes", marks=pytest.mark.long),
    ],
)
async def test_a_broker_that_is_away_and_a_parked_lane_are_no_reason(
    tmp_path: Path, away_s: float, limits: dict[str, str]
) -> None:
    broker = LocalKafka(tmp_path / "kafka", transaction_scan_ms=1_000)
    broker.start()
    topics = Topics("away.", "away.", 3, 2)
    prefix = await Prefix(broker.bootstrap, topics).create()
    running = Worker(broker.bootstrap, topics, topics.app_id, tmp_path / "w", **limits)
    asked: list[int] = []

    async def alive_for(seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            asked.append(await asyncio.to_thread(_livez, running))
            await asyncio.sleep(min(1.0, away_s / 50))

    try:
        running.start()
        await until(lambda: _ready(running), 90, "the worker to be ready")
        steps, reached = history(seed=96, days=4, per_day=300), Reached()
        await write(prefix, steps[: len(steps) // 2], reached)
        await alive_for(2)
        broker.stop()
        await alive_for(away_s)
        broker.start()
        await write(prefix, steps[len(steps) // 2 :], reached)
        follower = await finished(prefix, steps[-1][0], [running])
        await compare(prefix, follower)

        async with clients.producer(broker.bootstrap, {}) as producer:
            await producer.send_and_wait(topics.model_deltas, bytes([FORMAT]) + b" no delta record", partition=0)
        await until(lambda: running.view("/readyz")[1]["lanes"]["metrics-0"]["parked"], 60, "metrics-0 to park")
        await alive_for(away_s)
        assert running.view("/readyz")[1]["lanes"]["metrics-0"]["parked"]
        assert set(asked) == {200}
        print(f"/livez was asked {len(asked)} times")
        assert running.stop() == 0
    finally:
        running.kill()
        broker.stop()

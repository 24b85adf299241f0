"""What a crash or a slow commit holds up, and for how long."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stream_app.kafka.topics import Topics
from stream_app.services.kafka import LocalKafka
from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.worker import Worker

_numbers = itertools.count(1)


async def test_a_drain_cut_short_loses_and_doubles_nothing(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    """A commit takes longer than a rebalance may wait: the lane is cut off in the middle of it."""
    steps = history(seed=14, days=2, per_day=200)
    half = len(steps) // 2
    reached: Reached = {}
    await write(prefix, steps[:half], reached)
    # A commit takes half of the transaction's timeout: longer than it takes the other worker to join.
    # A drain may take half of the session's: long enough to be looked at.
    slow = worker("slow", transaction_timeout_s="180", session_timeout_s="6")
    slow.start(failpoint="pretend-the-commit-is-slow")
    await until(lambda: "slow in a commit" in slow.log.read_text(), 60, "a commit in hand")
    await until(lambda: '"ready":true' in slow.ready(), 60, "the slow worker to be ready")
    quick = worker("quick").start()
    await until(lambda: '{"ready":false,"waits_for":"rebalance"' in slow.ready(), 60, "a rebalance that /readyz names")
    await until(lambda: "drain cut short" in slow.log.read_text(), 60, "a drain cut short")
    await write(prefix, steps[half:], reached)
    slow.kill()
    follower = await finished(prefix, steps[-1][0], [quick], bound_s=120)
    await compare(prefix, follower)


async def test_a_healthy_owner_recovers_when_its_transaction_timed_out(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """The broker aborts what took too long and fences its owner, which alone is there and goes on."""
    steps = history(seed=16, days=2, per_day=150)
    await write(prefix, steps)
    slow = worker("slow", transaction_timeout_s="2").start(failpoint="outlast-the-transaction:2")
    follower = await finished(prefix, steps[-1][0], [slow], bound_s=90)
    assert slow.log.read_text().count("recovering after") >= 2
    assert slow.exit_code is None
    await compare(prefix, follower)


@pytest.fixture
async def production(tmp_path: Path) -> AsyncIterator[Prefix]:
    """A broker with production values: open transactions are looked for every ten seconds."""
    broker = LocalKafka(tmp_path / "kafka", transaction_scan_ms=10_000)
    try:
        broker.start()
        name = f"stall{os.getpid()}-{next(_numbers)}."
        yield await Prefix(broker.bootstrap, Topics(name, name, 3, 2)).create()
    finally:
        broker.stop()


@pytest.mark.long
async def test_the_stall_after_a_crash_with_production_values(
    production: Prefix, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Session 6 s, transaction 10 s, scan 10 s: an owner dies with a transaction open; the other takes over."""
    steps = history(seed=15, days=2, per_day=200)
    third = len(steps) // 3
    reached: Reached = {}
    app = f"{production.topics.input_prefix}app"
    settings = {"session_timeout_s": "6", "transaction_timeout_s": "10"}
    workers = [Worker(production.bootstrap, production.topics, app, tmp_path / n, **settings) for n in ("a", "b")]
    dying, other = workers
    stalls = []
    try:
        other.start()
        for number in range(3):
            dying.start(failpoint="checkpoint.4-acknowledged:6")
            await until(lambda: '"open":true' in dying.ready(), 60, "the first worker to own lanes")
            await write(production, steps[number * third : (number + 1) * third], reached)
            await until(lambda: dying.exit_code is not None, 120, "the kill")
            began = time.monotonic()
            last = steps[(number + 1) * third - 1][0]
            follower = await finished(production, last, [other], bound_s=60)
            stalls.append(time.monotonic() - began)
        await compare(production, follower)
    finally:
        for item in workers:
            item.kill()
    with capsys.disabled():
        print(f"\nstalls after a crash inside a transaction, s: {', '.join(f'{s:.1f}' for s in stalls)}")

"""The relay's destination slow, then dead, then back: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from stream_app.kafka.topics import Topics
from stream_app.services.kafka import LocalKafka
from tests.support.kafka_io import Prefix, end_offsets, until
from tests.support.relay import Out, ended, kill, make_topic, plumbline, produce, records_of, start

#: Longer than the relay's transactions may last and its session may be silent.
FROZEN_S = 12.0
HALF = 100_000


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalKafka]:
    """A broker of this test's own, to be ill-treated."""
    made = LocalKafka(tmp_path / "kafka", transaction_scan_ms=1_000)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def _rows(first: int, count: int) -> list[Out]:
    rows = [{"prediction_id": f"p-{n}", "actual": n % 2, "observed_at": n} for n in range(first, first + count)]
    return [Out(json.dumps(row).encode(), row["prediction_id"].encode()) for row in rows]  # type: ignore[attr-defined]


@pytest.mark.long
async def test_a_broker_that_freezes_and_one_that_dies_cost_nothing_but_time(broker: LocalKafka) -> None:
    prefix = await Prefix(broker.bootstrap, Topics("ml.", "ml.", 3, 2)).create()
    source = await make_topic(prefix, "labels")
    await produce(prefix, source, _rows(0, HALF))
    relay = await start(prefix, "relay", source, "--map", "re-key")

    async def relayed() -> int:
        assert relay.returncode is None, "the relay gave up"
        return len(await records_of(prefix, prefix.topics.outcomes, 3))

    async def reached() -> int:
        return sum((await end_offsets(prefix.bootstrap, prefix.topics.outcomes, 3)).values())

    async def under_way() -> int:
        """The broker's process, while the relay is at work."""
        begin = await reached()
        await until(lambda: _more(reached, begin), 30, "the first of the outcomes")
        assert await reached() < begin + HALF, "more records are needed for the fault to fall among them"
        return broker.processes[1].pid

    try:
        process = await under_way()
        os.kill(process, signal.SIGSTOP)
        await asyncio.sleep(FROZEN_S)
        os.kill(process, signal.SIGCONT)
        await until(lambda: _more(relayed, HALF - 1), 60, "all outcomes after the freeze")
        relay.send_signal(signal.SIGSTOP)
        await produce(prefix, source, _rows(HALF, HALF))
        relay.send_signal(signal.SIGCONT)
        os.kill(await under_way(), signal.SIGKILL)
        await asyncio.to_thread(broker.stop)
        await asyncio.sleep(3)
        await asyncio.to_thread(broker.start)
        await until(lambda: _more(relayed, 2 * HALF - 1), 90, "all outcomes after the broker's death")
        relay.send_signal(signal.SIGTERM)
        done = await ended(relay)
        assert done.code == 0, done.err
    finally:
        if relay.returncode is None:
            await kill(relay)
    again = await plumbline(prefix, "relay", source, "--map", "re-key", "--until-end", "--json")
    assert again.summary["records"] == 0
    keys = [record.key for record in await records_of(prefix, prefix.topics.outcomes, 3)]
    assert len(keys) == 2 * HALF
    assert len(set(keys)) == 2 * HALF


async def _more(count: Callable[[], Awaitable[int]], than: int) -> bool:
    return await count() > than

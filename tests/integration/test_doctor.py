"""``plumbline doctor`` on a real broker: well, unwell in each way, and never quiet about it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer

from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.cli import cli
from stream_app.doctor.report import Checkup, Diagnosis, examine, worst
from stream_app.errors import Unavailable
from stream_app.kafka import clients
from tests.support.generate import Row
from tests.support.kafka_io import Prefix, write


@pytest.fixture
def doctor(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call the command; returns (exit code, findings)."""
    settings = prefix.settings()
    for name in ("kafka_bootstrap", "input_prefix", "output_prefix", "input_partitions", "model_partitions"):
        monkeypatch.setenv(f"PLUMBLINE_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("PLUMBLINE_REDIS_URL", "redis://127.0.0.1:1/0")

    async def call(*only: str) -> tuple[int, list[dict[str, str]]]:
        arguments = ["doctor", "--json", *(part for name in only for part in ("--only", name))]
        done = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        return done.exit_code, [json.loads(text) for text in done.stdout.splitlines()]

    return call


def _keys(count: int) -> list[str]:
    return [f"p-{i:04d}" for i in range(count)]


async def test_partitioners_that_differ_are_named_with_the_command_that_mends_it(prefix: Prefix, doctor: Any) -> None:
    topics = prefix.topics
    librdkafka = Producer({"bootstrap.servers": prefix.bootstrap})
    for key in _keys(300):
        librdkafka.produce(topics.predictions, b"{}", key=key.encode())
    librdkafka.flush(30)
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for key in _keys(300):
            await kafka.send(topics.outcomes, b"{}", key=key.encode())
    code, (found,) = await doctor("partitioners")
    assert code == 2
    assert found["what"].startswith(f"{topics.predictions} is placed by CRC-32 (librdkafka's default), ")
    assert f"{topics.outcomes} by murmur2" in found["what"]
    assert "plumbline relay" in found["repair"]

    # a second kind of producer on one topic
    for key in _keys(100):
        librdkafka.produce(topics.outcomes, b"{}", key=f"x{key}".encode())
    librdkafka.flush(30)
    code, rows = await doctor("partitioners")
    assert code == 2
    assert any("two kinds of producers write to it" in row["what"] for row in rows)


async def test_the_same_partitioner_on_both_is_well_and_keyless_records_are_not(prefix: Prefix, doctor: Any) -> None:
    topics = prefix.topics
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for topic in (topics.predictions, topics.outcomes):
            for key in _keys(200):
                await kafka.send(topic, b"{}", key=key.encode(), partition=partition_for(key.encode(), 3))
    assert await doctor("partitioners") == (
        0, [{"check": "partitioners", "level": "ok", "what": "both inputs are placed by murmur2", "repair": ""}],
    )  # fmt: skip
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for _ in range(200):
            await kafka.send(topics.outcomes, b"{}")
    code, rows = await doctor("partitioners")
    assert code == 2
    assert any("have no key" in row["what"] for row in rows)


async def test_an_installation_without_time_workers_or_redis_is_told_so(prefix: Prefix, doctor: Any) -> None:
    code, rows = await doctor()
    told = {(row["check"], row["level"]): row for row in rows}
    assert code == 2
    assert "nothing is ever decided" in told["ticks", "fail"]["what"]
    assert told["redis", "warn"]["repair"]
    assert told["lag", "warn"]["repair"] == "plumbline worker", rows
    assert told["topics", "ok"]
    assert told["dead-lettered records", "ok"]

    await write(prefix, [(1_771_200_000_000, [Row("predictions", b"a", b"{}")])])
    await prefix.configure(prefix.topics.predictions, {"retention.ms": "1000"})
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        await kafka.send_and_wait(prefix.topics.dead_letters, b"x", headers=[("plumbline.reason", b"future")])
    code, rows = await doctor("ticks", "topics", "dead-letters")
    text = " ".join(row["what"] for row in rows)
    assert code == 1
    assert "external, at 2026-02-16T00:00:00" in text
    assert "1 future" in text
    assert "retention.ms is 1000" in text
    shown = await asyncio.to_thread(CliRunner().invoke, cli, ["doctor", "--only", "dead-letters"])
    assert "plumbline dead-letters list" in shown.stdout


async def test_live_time_that_stands_still_is_broken(prefix: Prefix, doctor: Any) -> None:
    now = int(time.time() * 1000)
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for topic, count in ((prefix.topics.clock, 3), (prefix.topics.model_clock, 2)):
            for partition in range(count):
                tick = {"at": rfc3339(now), "mode": "live", "ends_epoch": True, "end_offsets": {}}
                await kafka.send_and_wait(topic, json.dumps(tick).encode(), partition=partition)
    code, rows = await doctor("ticks")
    assert code == 0, rows
    assert "agree" in rows[-1]["what"]
    # a simulated tick after a live one is refused by the lanes, and moves nothing here either
    ahead = {"at": "2099-01-01T00:00:00Z", "mode": "external", "ends_epoch": True, "end_offsets": {}}
    for topic, count in ((prefix.topics.clock, 3), (prefix.topics.model_clock, 2)):
        await prefix.produce(topic, [(None, json.dumps(ahead).encode(), p) for p in range(count) for _ in range(25)])
    code, rows = await doctor("ticks")
    assert code == 0, rows


async def test_a_check_that_breaks_or_cannot_reach_anything_hides_no_other() -> None:
    async def broken(context: Checkup) -> list[Diagnosis]:
        raise ZeroDivisionError("of ours")

    async def unreachable(context: Checkup) -> list[Diagnosis]:
        raise Unavailable("no broker")

    async def well(context: Checkup) -> list[Diagnosis]:
        return [Diagnosis("well", "ok", "fine")]

    checks = {"broken": broken, "unreachable": unreachable, "well": well}
    found = await examine(None, checks)  # type: ignore[arg-type]
    assert [(f.check, f.level) for f in found] == [("broken", "fail"), ("unreachable", "fail"), ("well", "ok")]
    assert (worst(found), worst(found[2:]), worst([])) == (2, 0, 0)

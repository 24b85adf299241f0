"""Records small on the wire and large unpacked, on every input: each lane goes on, and what is beside them counts."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner

from schemas import bounds, deadletters
from schemas.partitioning import partition_for
from stream_app.cli import cli
from stream_app.kafka import admin, clients
from stream_app.replay.follow import LogFollower
from tests.support.kafka_io import Prefix, end_offsets, read, until
from tests.support.worker import Worker

MODEL = "churn:global"

#: topic's attribute, compression, value, key and headers; every one of them is beyond its topic's limit
Attack = tuple[str, str | None, bytes, bytes, list[tuple[str, bytes]]]


def _prediction(id: str, **more: Any) -> bytes:
    row = {"prediction_id": id, "model_type": "churn", "model_version": "v1", "score": 0.5, **more}
    return json.dumps({**row, "predicted_at": time.time_ns() // 1_000_000 - 1_000}).encode()


def _outcome(id: str, **more: Any) -> bytes:
    at = time.time_ns() // 1_000_000 - 500
    return json.dumps({"prediction_id": id, "actual": True, "observed_at": at, **more}).encode()


def _command(note: str) -> bytes:
    row = {"id": f"c{len(note)}", "model": MODEL, "command": "acknowledge", "arguments": {"note": note}}
    return json.dumps({**row, "actor": "eve", "reason": "r"}).encode()


def _result(error: str) -> bytes:
    row = {"model": MODEL, "command_id": "x", "attempt": 1, "status": "failed", "error": error}
    return json.dumps(row).encode()


def attacks() -> list[Attack]:
    """Value, key and headers, compressed and plain."""
    many = [(f"h{i}", b"x" * 1_000) for i in range(1_500)]
    text = "Traceback " * 120_000
    plain = "x" * (1_048_300 - len(_command("")))
    return [
        ("predictions", "gzip", _prediction("b1", features={"x": "0" * 3_000_000}), b"b1", []),
        ("predictions", "gzip", _prediction("b2"), b"b2", many),
        ("predictions", "gzip", _prediction("b3"), b"k" * 1_200_000, []),
        ("predictions", "gzip", b'{"cut short": "' + b"0" * 2_500_000, b"b4", [("", b"")] * 50_000),
        # more than is handed out of a batch: cut short before it comes to its lane
        ("predictions", "gzip", _prediction("b5", features={"x": "0" * 20_000_000}), b"b5", many),
        ("outcomes", "gzip", _outcome("g3", more="0" * 20_000_000), b"g3", []),
        ("operator_commands", "gzip", _command("0" * 20_000_000), MODEL.encode(), []),
        ("training_results", "gzip", _result("0" * 20_000_000), MODEL.encode(), []),
        ("outcomes", "gzip", _outcome("g1", more="0" * 3_000_000), b"g1", []),
        ("outcomes", "gzip", _outcome("g2"), b"g2", many),
        ("operator_commands", "gzip", _command(text), MODEL.encode(), []),
        ("operator_commands", None, _command(plain), MODEL.encode(), []),
        ("operator_commands", "gzip", _command("n"), MODEL.encode(), many),
        ("training_results", "gzip", _result(text), MODEL.encode(), []),
        ("training_results", None, _result("T" * 70_000), MODEL.encode(), []),
        ("training_results", "gzip", _result("T"), b"k" * 1_100_000, []),
    ]


async def _send(prefix: Prefix, rows: list[Attack]) -> None:
    topics = prefix.topics
    for compression in (None, "gzip"):
        async with clients.producer(
            prefix.bootstrap, {}, compression_type=compression, max_request_size=1 << 28
        ) as producer:
            for name, codec, value, key, headers in rows:
                if codec == compression:
                    topic = getattr(topics, name)
                    inputs = topic in (topics.predictions, topics.outcomes)
                    of = key[:2] if inputs else MODEL.encode()
                    partition = partition_for(of, topics.input_partitions if inputs else topics.model_partitions)
                    await producer.send_and_wait(topic, value, key=key, partition=partition, headers=headers)


def _open(running: Worker) -> bool:
    assert running.exit_code is None, running.tail()
    try:
        lanes = json.loads(running.ready())["lanes"]
    except (ValueError, KeyError):
        return False
    return len(lanes) == 11 and all(lane.get("open") for lane in lanes.values())


def _good(first: int, count: int) -> list[Attack]:
    rows: list[Attack] = []
    for i in range(first, first + count):
        rows.append(("predictions", None, _prediction(f"g{i}"), b"g%d" % i, [("traceparent", b"00-1")]))
        rows.append(("outcomes", None, _outcome(f"g{i}"), b"g%d" % i, []))
    return rows


async def test_every_lane_goes_on_and_what_is_beside_the_bombs_counts(
    prefix: Prefix, worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = worker(clock="live").start()
    await until(lambda: _open(running), 90, "the worker to be ready")
    bombs = attacks()
    await _send(prefix, _good(0, 20))
    begun = time.monotonic()
    await _send(prefix, bombs)
    await _send(prefix, _good(20, 20))
    topics = prefix.topics
    produced = {
        side: sum((await end_offsets(prefix.bootstrap, name, topics.input_partitions)).values())
        for side, name in (("predictions", topics.predictions), ("outcomes", topics.outcomes))
    }
    async with LogFollower(prefix.bootstrap, {}, topics) as follower:
        number = 0

        async def counted() -> bool:
            nonlocal number
            number += 1  # a command ends the epoch, and its tick tells the dispositions
            await _send(prefix, [("operator_commands", None, _command("n" * number), MODEL.encode(), [])])
            await asyncio.sleep(0.5)
            await follower.poll()
            assert running.exit_code is None, running.tail()
            known = follower.dispositions
            return bool(known) and all(sum(known[side].values()) == produced[side] for side in produced)

        await until(counted, 60, "every record to have its disposition")
        print(f"every record had its disposition {time.monotonic() - begun:.1f} s after the bombs")
        bad = Counter(name for name, *_ in bombs)
        for side in produced:
            assert follower.dispositions[side]["joined"] == 40, follower.dispositions
            assert follower.dispositions[side]["dead_lettered"] == bad[side]
    found: list[tuple[Any, dict[str, str]]] = []

    async def all_there() -> bool:
        found[:] = [
            (record, deadletters.added(record.headers))
            for part in (await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)).values()
            for record in part
        ]
        return len(found) >= len(bombs)

    await until(all_there, 30, "the dead-lettered records")
    named = Counter(added[deadletters.TOPIC] for _, added in found)
    assert named == Counter({getattr(topics, name): count for name, count in bad.items()})
    for record, added in found:
        assert added[deadletters.REASON] == "oversized"
        assert deadletters.TRUNCATED in added
        assert bounds.content(record.key, record.value, record.headers) < 80_000
    assert "recovering" not in running.log.read_text()

    for key, value in running.env.items():
        if key.startswith("PLUMBLINE_"):
            monkeypatch.setenv(key, value)
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "redrive", "--reason", "oversized"])
    assert done.exit_code == 1, done.output
    assert "sent 0 records" in done.output
    assert f"{len(bombs)} stay where they are" in done.output
    assert f"{len(bombs)} × oversized: it was cut short" in done.output
    shown = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "list", "--json"])
    rows = [json.loads(text) for text in shown.output.splitlines()]
    assert [row["whole"] for row in rows] == [False] * len(bombs)


async def test_a_record_at_the_limit_is_dead_lettered_whole_and_redriven(
    prefix: Prefix, worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    """1 MiB in key, value and headers, refused for another reason: all of it goes through the dead-letter topic."""
    running = worker(clock="live").start()
    await until(lambda: _open(running), 90, "the worker to be ready")
    headers = [("traceparent", b"00-1"), ("n" * 200, b"\xff" * 1_000)]
    empty = json.dumps({"prediction_id": "w", "features": {"x": ""}}).encode()
    room = bounds.RECORD - bounds.content(b"w1", empty, headers)
    value = json.dumps({"prediction_id": "w", "features": {"x": "0" * room}}).encode()
    assert bounds.content(b"w1", value, headers) == bounds.RECORD
    await _send(prefix, [("predictions", "gzip", value, b"w1", headers)])
    topics = prefix.topics

    async def letters() -> list[Any]:
        parts = await read(prefix.bootstrap, topics.dead_letters, topics.model_partitions)
        return [record for part in parts.values() for record in part]

    (letter,) = await until(letters, 60, "the dead-lettered record")
    assert (letter.key, letter.value) == (b"w1", value)
    assert deadletters.original(letter.headers) == headers
    assert deadletters.added(letter.headers)[deadletters.REASON] == "invalid_field"
    for key, setting in running.env.items():
        if key.startswith("PLUMBLINE_"):
            monkeypatch.setenv(key, setting)
    refused = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "redrive"])
    assert "1 × larger than" in refused.output, refused.output
    await prefix.configure(topics.predictions, {"max.message.bytes": str(2 << 20)})
    done = await asyncio.to_thread(CliRunner().invoke, cli, ["dead-letters", "redrive"])
    assert "sent 1 records" in done.output, done.output

    async def both() -> list[Any] | None:
        """A committed record is there for readers once the broker has marked it, a moment after the commit."""
        parts = await read(prefix.bootstrap, topics.predictions, topics.input_partitions)
        found = [record for part in parts.values() for record in part]
        return found if len(found) > 1 else None

    first, second = await until(both, 60, "the record that was sent again")
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)


async def test_a_topic_that_takes_too_little_is_named_with_what_it_needs_before_anything_starts(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = prefix.topics
    changelog = topics.changelog("metrics")
    async with admin.admin(prefix.bootstrap, {}) as client:
        await admin.create(client, topics.own(60), 1)
        assert await admin.check(client, topics, topics.specs()) == []
        for topic, takes, needs in (
            (topics.audit, 500_000, bounds.BATCH),
            (topics.dead_letters, 1_048_588, bounds.DEAD_LETTER),
            (topics.operator_commands, 30_000, bounds.COMMAND + bounds.ADDED),
        ):
            await prefix.configure(topic, {"max.message.bytes": str(takes)})

            async def named() -> list[admin.TopicFinding]:
                findings = await admin.check(client, topics, topics.specs())
                return [f for f in findings if "bytes at a time" in f.problem]

            (found,) = await until(named, 30, "the finding")
            assert (found.topic, found.fatal) == (topic, True)
            assert f"takes {takes} bytes" in found.problem
            assert found.remedy.endswith(f"max.message.bytes={needs}")
            await prefix.configure(topic, {"max.message.bytes": str(needs)})

            async def repaired() -> bool:
                return not await named()

            await until(repaired, 30, "nothing to find")
    await prefix.configure(changelog, {"max.message.bytes": "100000"})
    running = worker().start()
    await until(lambda: running.exit_code is not None, 90, "the worker to end")
    assert running.exit_code != 0
    assert f"{changelog} takes 100000 bytes" in running.log.read_text()

"""Replays, loads and commands do not trip: over missing topics, absent brokers, the clock's mode, what went before."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.common import rfc3339
from stream_app.kafka import admin, clients
from stream_app.kafka.topics import Topics, TopicSpec
from stream_app.settings import children
from tests.support.kafka_io import Prefix, read, until
from tests.support.relay import ended, plumbline, start
from tests.support.worker import Worker

MAPPING = (
    "--map", "prediction_id=id", "--map", "predicted_at=at", "--set", "model_type=churn", "--set", "model_version=v1",
)  # fmt: skip


def _file(folder: Path, days: int = 2) -> Path:
    path = folder / "scored.csv"
    rows = [
        f"p-{n},{rfc3339(1_771_200_000_000 + n * 3_600_000)},0.5,{n % 2},"
        f"{rfc3339(1_771_200_000_000 + n * 3_600_000 + 60_000)}"
        for n in range(24 * days)
    ]
    path.write_text("id,at,score,actual,observed_at\n" + "\n".join(rows) + "\n")
    return path


def _below(prefix: Prefix, name: str) -> Prefix:
    begin = f"{prefix.topics.input_prefix}{name}."
    return Prefix(prefix.bootstrap, Topics(begin, begin, 3, 2))


@pytest.fixture
def silent() -> Any:
    """An address that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("where", ["closed", "silent", "both"])
async def test_where_no_broker_answers_it_is_said_within_two_seconds(silent: str, tmp_path: Path, where: str) -> None:
    from stream_app.errors import Unavailable
    from stream_app.kafka.admin import prepare_tools

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    bootstrap = {"closed": closed, "silent": silent, "both": f"{closed},{silent}"}[where]
    began = time.monotonic()
    with pytest.raises(Unavailable, match="no Kafka broker answers at"):
        await prepare_tools(bootstrap, {}, Topics("x.", "x.", 3, 2), 1)
    assert time.monotonic() - began < 2


def test_every_way_in_refuses_an_absent_broker_in_one_sentence(silent: str, tmp_path: Path) -> None:
    path, environment = _file(tmp_path), children.fresh_environment(kafka_bootstrap=silent)
    began = [
        (
            arguments[0],
            subprocess.Popen(
                [sys.executable, "-m", "stream_app", *arguments],
                env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            ),
        )
        for arguments in (
            ("replay", str(path), *MAPPING), ("load", "predictions", str(path), *MAPPING), ("backfill",),
            ("topics", "delete", "--prefix", "x."),
        )
    ]  # fmt: skip
    for name, process in began:
        _, err = process.communicate(timeout=30)
        assert process.returncode == 1, name
        assert err.startswith(f"plumbline: no Kafka broker answers at {silent}"), (name, err)
        assert len(err.splitlines()) == 1, (name, err)


async def test_missing_topics_are_made_and_wrong_ones_refused_in_one_model(prefix: Prefix, tmp_path: Path) -> None:
    path = _file(tmp_path)
    for words in (("replay", str(path)), ("load", "predictions", str(path), "--no-report")):
        fresh = _below(prefix, words[0])
        done = await plumbline(fresh, *words, *MAPPING)
        assert done.code == 0, done.err
        assert sum(map(len, (await read(fresh.bootstrap, fresh.topics.predictions, 3)).values())) == 48
    wrong = _below(prefix, "wrong")
    commands: tuple[tuple[str, ...], ...] = (
        ("replay", str(path), *MAPPING), ("load", "predictions", str(path), *MAPPING), ("backfill",),
    )  # fmt: skip
    async with admin.admin(prefix.bootstrap, {}) as client:
        await admin.create(client, [TopicSpec(wrong.topics.outcomes, 5, {})], 1)
    for arguments in commands:
        done = await plumbline(wrong, *arguments)
        assert done.code == 1
        assert len(done.err.splitlines()) == 1
        assert f"{wrong.topics.outcomes} has 5 partitions, 3 are configured" in done.err
    nothing = await plumbline(_below(prefix, "nothing"), "backfill")
    assert (nothing.code, "hold no record" in nothing.err) == (1, True)
    alone = await plumbline(_below(prefix, "alone"), "replay", str(path), *MAPPING, "--step")
    assert (alone.code, "none has run" in alone.err) == (1, True)


async def _live(prefix: Prefix) -> list[dict[str, Any]]:
    parts = await read(prefix.bootstrap, prefix.topics.clock, 3)
    ticks = [json.loads(record.value) for part in parts.values() for record in part]
    return [tick for tick in ticks if tick.get("mode") == "live" and tick.get("at", "") > "2026-06"]


async def test_a_running_worker_leaves_a_replay_alone_and_takes_up_live_time_when_it_is_handed_over(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    path = _file(tmp_path)
    done = await plumbline(prefix, "replay", str(path), *MAPPING, "--limit", "2")
    assert done.code == 0, done.err
    running = worker(clock="live").start()
    await until(lambda: "holds simulated ticks of a replay" in running.ready(), 90, "the live clock to stand back")
    # a worker with a live clock fences no replay that goes on meanwhile
    later = tmp_path / "later.csv"
    later.write_text(path.read_text().replace("2026-02-1", "2026-03-1").replace("p-", "q-"))
    done = await plumbline(prefix, "replay", str(later), *MAPPING)
    assert done.code == 0, done.err
    ordered = await plumbline(prefix, "set", "auto_retrain=false", "--reason", "test")
    assert ordered.code == 0, ordered.err
    assert "followed" in ordered.err
    assert "no tick comes by itself" in ordered.err
    assert not await _live(prefix)
    process = await start(prefix, "backfill", "--then-live")
    handed = await ended(process)
    assert handed.code == 0, handed.err
    assert "time is live from here on" in handed.out
    await until(lambda: _live(prefix), 30, "live ticks of the worker that ran all the time")
    assert '"ticks_wait_for":null' in running.ready().replace(" ", "")
    ordered = await plumbline(prefix, "set", "auto_retrain=true", "--reason", "test")
    assert (ordered.code, ordered.err) == (0, "")
    refused = await plumbline(prefix, "replay", str(path), *MAPPING)
    assert (refused.code, "is live" in refused.err) == (1, True)


async def test_a_replay_hands_over_by_itself_and_writes_no_tick_later_than_now(prefix: Prefix, tmp_path: Path) -> None:
    now = int(time.time() * 1000)
    path = tmp_path / "scored.csv"
    path.write_text("id,at,score,actual,observed_at\n" + "".join(
        f"p-{n},{rfc3339(now - n * 600_000)},0.5,1,{rfc3339(now - 1_000)}\n" for n in range(1, 20)
    ))  # fmt: skip
    done = await plumbline(prefix, "replay", str(path), *MAPPING, "--then-live")
    assert done.code == 0, done.err
    assert "time is live from here on" in done.out
    ticks = [
        json.loads(r.value) for part in (await read(prefix.bootstrap, prefix.topics.clock, 3)).values() for r in part
    ]
    assert max(tick["at"] for tick in ticks) <= rfc3339(int(time.time() * 1000))
    assert {tick["mode"] for tick in ticks if tick["at"] == max(t["at"] for t in ticks)} == {"external", "live"}
    assert ticks[-1]["end_offsets"][prefix.topics.predictions] > 0
    path.write_text(path.read_text().replace(rfc3339(now - 1_000), rfc3339(now + 86_400_000)))
    later = await plumbline(_below(prefix, "later"), "replay", str(path), *MAPPING, "--then-live")
    assert (later.code, "later than now" in later.err) == (1, True)


async def test_time_that_stands_ahead_is_named_by_doctor(prefix: Prefix) -> None:
    ahead = rfc3339(int(time.time() * 1000) + 3_600_000)
    async with clients.producer(prefix.bootstrap, {}) as producer:
        for topic, count in ((prefix.topics.clock, 3), (prefix.topics.model_clock, 2)):
            for partition in range(count):
                tick: dict[str, Any] = {"at": ahead, "mode": "external", "ends_epoch": True, "end_offsets": {}}
                await producer.send_and_wait(topic, json.dumps(tick).encode(), partition=partition)
    done = await plumbline(prefix, "doctor", "--only", "ticks", "--json")
    assert done.code == 1, done.out
    (clock, _, skew) = [json.loads(text) for text in done.out.splitlines()]
    assert "time stands ahead" in clock["what"]
    assert "PLUMBLINE_INPUT_PREFIX" in clock["repair"]
    assert skew["level"] == "ok"


async def test_what_stands_under_a_prefix_is_listed_asked_for_and_deleted_and_nothing_else(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    topics, path = prefix.topics, _file(tmp_path)
    assert (await plumbline(prefix, "replay", str(path), *MAPPING)).code == 0
    theirs = f"{topics.input_prefix}predictions-of-others"
    async with admin.admin(prefix.bootstrap, {}) as client:
        await admin.create(client, [TopicSpec(theirs, 1, {})], 1)
    running = worker().start()
    await until(lambda: '"ready":true' in running.ready().replace(" ", ""), 90, "a worker that is ready")
    delete = ("topics", "delete", "--prefix", topics.input_prefix)
    refused = await plumbline(prefix, *delete, "--yes")
    assert (refused.code, f"stop what is in the groups {topics.app_id}" in refused.err) == (1, True)
    assert running.stop() == 0, running.tail()

    asked = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "stream_app", *delete], env=running.env, input="no\n", text=True,
        capture_output=True,
    )  # fmt: skip
    assert asked.returncode == 1
    assert "nothing was deleted" in asked.stderr
    for name in (topics.predictions, topics.progress, topics.changelog("labels"), topics.decision_log):
        assert f"topic  {name}\n" in asked.stdout
    assert f"group  {topics.app_id}\n" in asked.stdout
    assert theirs not in asked.stdout
    gone = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "stream_app", *delete], env=running.env,
        input=f"{topics.input_prefix}\n", text=True, capture_output=True,
    )  # fmt: skip
    assert gone.returncode == 0, gone.stderr
    async with admin.admin(prefix.bootstrap, {}) as client:
        left = {name for name in await client.list_topics() if name.startswith(topics.input_prefix)}
        assert left == {theirs}
        assert topics.app_id not in {name for name, *_ in await client.list_consumer_groups()}
    again = await plumbline(prefix, *delete, "--yes")
    assert (again.code, "nothing stands under the prefix" in again.err) == (1, True)
    # the prefix can be used again
    assert (await plumbline(prefix, "replay", str(path), *MAPPING)).code == 0

"""A parked lane says why and what to do, leaves the others alone, and goes on exactly once its cause is removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.partitioner import murmur2

from schemas.common import rfc3339
from stream_app.core.counts.deltas import FORMAT
from stream_app.doctor.report import Checkup
from stream_app.doctor.workers import workers
from stream_app.kafka import clients
from tests.support.generate import Row, Step, history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, until, write
from tests.support.metrics import sample
from tests.support.worker import Worker

PARTITION = 1


def _key_in(partition: int, partitions: int) -> bytes:
    return next(k for n in range(1_000) if (murmur2(k := b"odd-%d" % n) & 0x7FFFFFFF) % partitions == partition)


def _lane(of: Worker, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = of.view("/readyz")[1]["lanes"].get(name, {})
    except OSError:  # it has not begun to listen
        return {}
    return found


def _ready(of: Worker) -> bool:
    return bool(_lane(of, "labels-0")) and of.view("/readyz")[0] == 200


def _times_parked(of: Worker, name: str) -> int:
    stage, _, partition = name.rpartition("-")
    return len(re.findall(rf"{stage}\[{partition}\]: parked \(", of.log.read_text()))


def _at(of: Worker, name: str, tick_ms: int) -> bool:
    return bool(_lane(of, name).get("tick") == rfc3339(tick_ms))


async def _held_back(prefix: Prefix, topic: str, partitions: int) -> dict[int, int]:
    """Records that an open transaction hides from read-committed readers, by partition."""
    ends = []
    for level in ("read_committed", "read_uncommitted"):
        async with clients.consumer(prefix.bootstrap, {}, isolation_level=level) as consumer:
            tps = [TopicPartition(topic, p) for p in range(partitions)]
            ends.append({tp.partition: end for tp, end in (await consumer.end_offsets(tps)).items()})
    return {p: ends[1][p] - ends[0][p] for p in ends[0]}


async def test_a_refusal_for_size_parks_one_lane_and_counts_are_exact_once_the_limit_is_raised(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = prefix.topics
    steps: list[Step] = history(seed=91, days=3, per_day=300, with_poison=False)
    bad = Row("outcomes", _key_in(PARTITION, topics.input_partitions), b"{" + b"x" * 60_000)
    at, rows = steps[1]
    steps[1] = (at, [*rows, bad])
    reached: Reached = {}
    running = worker("first").start()
    await until(lambda: _ready(running), 60, "the worker to be ready")
    # lowered under the running worker, which looks at it only when it starts; nobody but the labels lane of that
    # record writes a dead-lettered record that is so large
    await prefix.configure(topics.dead_letters, {"max.message.bytes": "30000"})
    await write(prefix, steps, reached)
    last = steps[-1][0]
    name = f"labels-{PARTITION}"
    await until(lambda: _lane(running, name).get("parked"), 90, f"{name} to park")
    others = [f"labels-{p}" for p in range(topics.input_partitions) if p != PARTITION]
    await until(lambda: all(_at(running, other, last) for other in others), 60, "the other lanes to reach the end")

    status, told = running.view("/readyz")
    assert status == 503
    assert not told["ready"]
    lane = told["lanes"][name]
    assert not lane["open"]
    assert lane["parked"]["reason"] == "size_refused"
    assert f"a batch for {topics.dead_letters} has 6" in lane["parked"]["sentence"]
    assert "max.message.bytes" in lane["parked"]["way_out"]
    assert running.view("/livez") == (200, {"alive": True})
    where = {"stage": "labels", "partition": str(PARTITION)}
    assert sample(running.view("/metrics")[1], "plumbline_lane_parked", **where, reason="size_refused") == 1
    assert _times_parked(running, name) == 1
    for topic in (topics.model_deltas, topics.dead_letters):

        async def nothing_held_back(topic: str = topic) -> bool:
            return not any((await _held_back(prefix, topic, topics.model_partitions)).values())

        # the broker by itself would end the transaction ten seconds after it began
        await until(nothing_held_back, 8, f"{topic} to be free of open transactions")
    assert sample(running.view("/metrics")[1], "plumbline_restores_total", **where) == 1, "it was tried once"
    assert running.stop() == 0

    await prefix.configure(topics.dead_letters, {"max.message.bytes": str(2 << 20)})
    running.start()
    follower = await finished(prefix, last, [running])
    await compare(prefix, follower)
    assert _times_parked(running, name) == 1


@pytest.mark.parametrize(
    ("value", "reason", "text"),
    [
        (bytes([FORMAT]) + b" no delta record", "broken_invariant", "is not a delta record"),
        (b"\x63 of another release", "unknown_format", "delta record has format 99"),
    ],
    ids=["broken", "format"],
)
async def test_what_a_stage_cannot_read_parks_its_lane_once_and_again_only_in_a_new_assignment(
    prefix: Prefix, worker: Callable[..., Worker], value: bytes, reason: str, text: str
) -> None:
    topics = prefix.topics
    first = worker("first").start()
    await until(lambda: _ready(first), 60, "the worker to be ready")
    async with clients.producer(prefix.bootstrap, {}) as producer:
        sent = await producer.send_and_wait(topics.model_deltas, value, partition=0)
    await until(lambda: _lane(first, "metrics-0").get("parked"), 60, "metrics-0 to park")
    steps = history(seed=92, days=2, per_day=200)
    await write(prefix, steps)
    last = steps[-1][0]
    going_on = [f"labels-{p}" for p in range(topics.input_partitions)] + ["metrics-1", "drift-0", "alerts-1"]
    await until(
        lambda: all(_at(first, name, last) for name in going_on if name.startswith(("labels", "metrics"))), 90,
        "the other lanes to reach the end",
    )  # fmt: skip
    parked = _lane(first, "metrics-0")["parked"]
    assert parked["reason"] == reason
    assert f"{topics.model_deltas}[0] offset {sent.offset}" in parked["sentence"]
    assert text in parked["sentence"]
    assert all(_lane(first, name)["open"] for name in going_on)
    assert _times_parked(first, "metrics-0") == 1
    assert first.view("/livez")[0] == 200
    address = f"http://127.0.0.1:{first.env['PLUMBLINE_WEB_PORT']}"
    context = Checkup(prefix.settings(), topics, (address,))
    (found,) = await workers(context)
    assert (found.level, parked["sentence"] in found.what, found.repair) == ("fail", True, parked["way_out"])

    # a new assignment tries it again, wherever it is then, and finds the same
    second = worker("second").start()

    def parked_again() -> bool:
        lanes = [_lane(of, "metrics-0") for of in (first, second)]
        tried = _times_parked(first, "metrics-0") + _times_parked(second, "metrics-0")
        return tried >= 2 and any(lane.get("parked") for lane in lanes)

    await until(parked_again, 90, "metrics-0 to be tried and parked again")
    assert second.stop() == 0
    assert first.stop() == 0
    assert "Traceback" not in json.dumps(_last_lines(first)), "its stop is clean"


def _last_lines(of: Worker) -> list[str]:
    return of.log.read_text(errors="replace").splitlines()[-15:]

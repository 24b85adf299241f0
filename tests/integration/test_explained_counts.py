"""`plumbline explain` answers from the counts of one partition, however many rows there were, and reads no others."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from schemas.clock import Tick
from schemas.common import encode, rfc3339
from schemas.partitioning import partition_for
from stream_app.kafka import clients
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings, children
from stream_app.simulator import DAY_MS, HOUR_MS, Batch, Simulator
from stream_app.stage_configs import configs
from tests.support.kafka_io import Prefix

FIRST_DAY: Final = 20_500
MODEL, PARTITION, OTHER = "fraud:acme", 0, 1
#: Records in partitions and topics that are none of the question's business, and the size of each.
FOREIGN, FOREIGN_BYTES = 200, 10_000
#: What 10 million rows may cost, in seconds of CPU with the start of the command (some 1.5 s of it).
MOST_CPU_S: Final = 40.0

# The command in a process of its own, with every record that it is handed counted by topic and partition.
_COUNTING = """
import collections, json, sys, time
from aiokafka import AIOKafkaConsumer
from stream_app.cli import cli
read, whole = collections.Counter(), AIOKafkaConsumer.getmany

async def getmany(self, *partitions, **options):
    found = await whole(self, *partitions, **options)
    for tp, records in found.items():
        read[f"{tp.topic} {tp.partition}"] += len(records)
    return found

AIOKafkaConsumer.getmany = getmany
try:
    cli.main(sys.argv[1:], standalone_mode=False)
finally:
    print(json.dumps({"cpu": time.process_time(), "read": read}), file=sys.stderr)
"""


class Recorded(NamedTuple):
    """What the stages published over so many rows, and the records of counts by the time of their tick (epoch ms)."""

    published: dict[str, list[tuple[bytes, bytes]]]
    counts: list[tuple[int, bytes]]


def _recorded(settings: Settings, topics: Topics, rows: int, days: int, lost: int) -> Recorded:
    """An epoch an hour, every score another number; from day ``lost`` on a third of the outcomes is turned round."""
    found = configs(settings, topics)
    sim = Simulator(found.metrics, found.drift, found.retrain, found.alerts)
    log = next(log for log in sim.lanes["metrics"].logs.values() if log.topic.endswith("model-deltas"))
    counts: list[tuple[int, bytes]] = []
    at_ms, append = 0, log.append

    def kept(value: bytes, *arguments: Any, **options: Any) -> None:
        counts.append((at_ms, value))
        append(value, *arguments, **options)

    log.append = kept  # type: ignore[method-assign]
    rng = np.random.default_rng(rows)
    for day in range(days):
        for hour in range(24):
            scores = rng.beta(0.8, 0.8, rows // (24 * days))
            actual = rng.random(len(scores)) < 0.03 + 0.94 * scores
            if day >= lost:
                actual ^= rng.random(len(scores)) < 0.35
            at_ms = (FIRST_DAY + day) * DAY_MS + (hour + 1) * HOUR_MS
            sim.batches(
                [Batch(MODEL, "v1", FIRST_DAY + day, scores, scores >= 0.5, actual.astype(np.int64))], hour=hour
            )
            sim.tick(at_ms)
    return Recorded(
        {
            topic: [(emit.key or b"", emit.value or b"") for emit in sim.emits.get(topic, [])]
            for topic in ("drift-events", "alerts")
        },
        counts,
    )


async def _write(prefix: Prefix, recorded: Recorded) -> None:
    """Everything where the workers would have written it, and bulk beside it in all that must not be read."""
    topics = prefix.topics
    async with clients.producer(prefix.bootstrap, {}, max_request_size=4 << 20, compression_type=None) as producer:
        bulk = os.urandom(FOREIGN_BYTES)
        sent: list[Any] = []
        for topic, partition in (
            (topics.predictions, 0), (topics.outcomes, 0), (topics.model_deltas, OTHER), (topics.model_clock, OTHER),
            (f"{topics.output_prefix}drift-events", OTHER), (f"{topics.output_prefix}metric-snapshots", PARTITION),
        ):  # fmt: skip
            sent += [
                await producer.send(topic, bulk, key=b"%d" % number, partition=partition) for number in range(FOREIGN)
            ]
        ends = {topics.operator_commands: 0, topics.training_results: 0}
        for at_ms, value in recorded.counts:
            tick = encode(Tick(rfc3339(at_ms), True, "external", ends))
            sent.append(await producer.send(topics.model_deltas, value, partition=PARTITION))
            sent.append(await producer.send(topics.model_clock, tick, partition=PARTITION))
        for topic, rows in recorded.published.items():
            for key, value in rows:
                sent.append(await producer.send(f"{topics.output_prefix}{topic}", value, key=key, partition=PARTITION))
        await asyncio.gather(*sent)


def _explain(prefix: Prefix, id: str) -> tuple[dict[str, Any], float, Counter[str]]:
    """What it says, the seconds of CPU that it took, and how many records it read of what."""
    topics = prefix.topics
    said = {
        "KAFKA_BOOTSTRAP": prefix.bootstrap, "INPUT_PREFIX": topics.input_prefix, "APP_ID": topics.app_id,
        "OUTPUT_PREFIX": topics.output_prefix, "INPUT_PARTITIONS": "1", "MODEL_PARTITIONS": "2",
        "ENVIRONMENT": "production",
    }  # fmt: skip
    env = children.fresh_environment() | {f"PLUMBLINE_{name}": value for name, value in said.items()}
    done = subprocess.run(
        [sys.executable, "-c", _COUNTING, "explain", id, "--json"], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])
    return json.loads(done.stdout), told["cpu"], Counter(told["read"])


@pytest.fixture
async def narrow(kafka: str, prefix: Prefix) -> AsyncIterator[Prefix]:
    """One partition of the inputs and two by model."""
    name = f"n{prefix.topics.input_prefix}"
    made = await Prefix(kafka, Topics(name, name, 1, 2)).create()
    yield made
    await made.delete(name)


async def _answered(prefix: Prefix, rows: int, days: int, lost: int) -> float:
    topics = prefix.topics
    assert partition_for(MODEL.encode(), 2) == PARTITION
    recorded = _recorded(prefix.settings(environment="production"), topics, rows, days, lost)
    await _write(prefix, recorded)
    first, *_ = [json.loads(value) for _, value in recorded.published["alerts"]]
    early = next(json.loads(value) for _, value in recorded.published["drift-events"])
    most = 0.0
    for id, until in ((first["id"], None), (early["id"], early["at"])):
        told, cpu, read = await asyncio.to_thread(_explain, prefix, id)
        assert told["same"] is True
        assert told["differences"] == []
        foreign = {
            name: count
            for name, count in read.items()
            if count and not name.endswith(f" {PARTITION}") and not name.startswith(f"{topics.output_prefix}alerts ")
        }
        assert set(foreign) <= ({f"{topics.output_prefix}drift-events {OTHER}"} if until else set())
        assert {topics.predictions, topics.outcomes, f"{topics.output_prefix}metric-snapshots"}.isdisjoint(
            name.partition(" ")[0] for name in read
        )
        if until is not None:  # of the counts what stands before its tick, and a fetch or two beyond it
            assert read[f"{topics.model_deltas} {PARTITION}"] < len(recorded.counts)
        print(f"{rows:,} rows, {days} days: {cpu:.1f} s CPU, records read {dict(read)}")
        most = max(most, cpu)
    return most


async def test_explain_reads_the_counts_of_one_partition_and_nothing_of_the_rows(narrow: Prefix) -> None:
    await _answered(narrow, 200_000, 36, 24)


@pytest.mark.long
async def test_explain_answers_for_ten_million_rows(narrow: Prefix) -> None:
    assert await _answered(narrow, 10_000_000, 120, 100) <= MOST_CPU_S

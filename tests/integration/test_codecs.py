"""Every compression, on everything that is read: inputs, commands, results, logs and changelogs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace

from schemas.partitioning import partition_for
from stream_app.kafka import admin, clients
from tests.support.batches import CODECS
from tests.support.damage import Disk
from tests.support.generate import history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, read, until, write
from tests.support.worker import Worker

PACKED = ("gzip", "snappy", "lz4", "zstd")
MODEL = "churn:a"


def _command(codec: str) -> bytes:
    row = {"id": f"c-{codec}", "model": MODEL, "command": "set", "arguments": {"values": {"drop_points": 5.5}}}
    return json.dumps({**row, "actor": "ops", "reason": codec}).encode()


def _result(codec: str) -> bytes:
    row = {"model": MODEL, "command_id": "r", "attempt": 1, "status": "activated", "candidate_version": f"v-{codec}"}
    return json.dumps(row).encode()


async def _order(prefix: Prefix, codec: str) -> None:
    """A command, and a result that nobody asked for, packed so."""
    topics = prefix.topics
    partition = partition_for(MODEL.encode(), topics.model_partitions)
    async with clients.producer(prefix.bootstrap, {}, compression_type=codec) as producer:
        for topic, value in (
            (topics.operator_commands, _command(codec)),
            (topics.training_results, _result(codec)),
        ):
            await producer.send_and_wait(topic, value, key=MODEL.encode(), partition=partition)


async def test_every_codec_counts_as_the_oracle_says_and_is_restored_from(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    topics = prefix.topics
    packed: dict[str, tuple[str, int]] = {}
    async with admin.admin(prefix.bootstrap, {}) as client:
        logs = {spec.name for spec in topics.logs()}
        for number, spec in enumerate(s for s in topics.own(60) if s.largest):
            codec = PACKED[number % len(PACKED)]
            packed[spec.name] = codec, spec.partitions
            config = {**spec.config, "compression.type": codec}
            if spec.name in logs:
                await prefix.configure(spec.name, config)
            else:
                await admin.create(client, [replace(spec, config=config)], 1)
    steps = history(seed=71, days=2, per_day=250)
    reached: Reached = {}
    running = worker().start()
    share = len(steps) // len(PACKED) + 1
    for number, codec in enumerate(PACKED):
        if number == 2:
            await finished(prefix, steps[2 * share - 1][0], [running])
            running.kill()
            shutil.rmtree(running.folder / "data")  # what is known comes back from packed changelogs alone
            running.start()
        await _order(prefix, codec)
        await write(prefix, steps[number * share : (number + 1) * share], reached, compression=codec)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)

    async def told() -> set[str]:
        """Codecs of the commands and results that had an effect."""
        names = {topics.audit: "c-", topics.model_lifecycle: "v-"}
        found = set()
        for topic, mark in names.items():
            parts = await read(prefix.bootstrap, topic, topics.model_partitions)
            values = [record.value for part in parts.values() for record in part]
            found |= {mark + codec for codec in PACKED if any((mark + codec).encode() in value for value in values)}
        return found

    wanted = {mark + codec for mark in ("c-", "v-") for codec in PACKED}

    async def all_told() -> bool:
        return await told() == wanted

    await until(all_told, 30, "the effect of every command and result")

    disk = await Disk.of(prefix.bootstrap)
    every = {CODECS[codec] for codec in PACKED}
    for topic in (topics.predictions, topics.outcomes):
        assert disk.codecs(topic, topics.input_partitions) == every
    for topic in (topics.operator_commands, topics.training_results):
        assert disk.codecs(topic, topics.model_partitions) == every
    for name, (codec, partitions) in packed.items():
        assert disk.codecs(name, partitions) <= {CODECS[codec]}, name
    assert disk.codecs(topics.changelog("labels"), topics.input_partitions)

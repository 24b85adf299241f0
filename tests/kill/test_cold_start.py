"""A worker that comes to a large changelog with an empty disk, or finds something else than it left."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from stream_app import kafka_admin
from tests.support.generate import START, Row, Step, history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, end_offsets, until, write
from tests.support.worker import Worker

pytestmark = pytest.mark.long

READY_S = 15
HOUR = 3_600_000


def _many(count: int) -> list[Step]:
    """Predictions without outcomes: as many entries as records."""
    steps, each = [], count // 20
    for number in range(20):
        at = START + number * HOUR
        rows = [
            Row(
                "predictions", b"c-%d-%d" % (number, i),
                json.dumps({
                    "prediction_id": f"c-{number}-{i}", "model_type": "churn", "model_version": "v1",
                    "predicted_at": at + i, "score": (i % 1_000) / 1_000,
                }).encode(),
            )
            for i in range(each)
        ]  # fmt: skip
        steps.append((at + HOUR, rows))
    return steps


async def test_half_a_million_changelog_records_are_ready_in_fifteen_seconds(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = _many(500_000)
    running = worker().start()
    await write(prefix, steps)
    await finished(prefix, steps[-1][0], [running], bound_s=180)
    assert running.stop() == 0
    shutil.rmtree(running.folder / "data")
    began = time.monotonic()
    running.start()
    await until(lambda: '"ready":true' in running.ready(), 60, "the worker to be ready")
    took = time.monotonic() - began
    print(f"500,000 entries restored and ready in {took:.1f} s, process start included")
    assert took < READY_S
    end = steps[-1][0] + 24 * HOUR
    await write(prefix, [(end, [])], {})
    follower = await finished(prefix, end, [running])
    assert follower.dispositions["predictions"]["pending"] == 500_000


async def test_an_emptied_changelog_is_named_and_never_passed_over(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    """The topic is deleted and made anew, empty, while the group's offsets and a disk say otherwise."""
    steps = _many(2_000)
    running = worker().start()
    await write(prefix, steps[:10])
    await finished(prefix, steps[9][0], [running])
    assert running.stop() == 0
    app = running.env["PLUMBLINE_APP_ID"]
    changelogs = prefix.topics.changelogs(app, 60)
    async with kafka_admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_topics([spec.name for spec in changelogs if "labels" in spec.name])

        async def gone() -> bool:
            return not any("labels-changelog" in name for name in await client.list_topics() if name.startswith(app))

        await until(gone, 30, "the topic to go")
        await kafka_admin.create(client, [spec for spec in changelogs if "labels" in spec.name], 1)
    for lose_disk in (False, True):
        if lose_disk:
            shutil.rmtree(running.folder / "data", ignore_errors=True)
        running.start()

        def told() -> bool:
            return running.exit_code not in (None, 0) or "changelog" in running.ready() or _ready(running)

        await until(told, 60, f"an answer, with{'out' if lose_disk else ''} a disk")
        text = running.tail()
        assert not _ready(running), text
        assert "changelog" in text, text
        running.kill()


async def _cut(prefix: Prefix, changelog: str, partitions: int) -> None:
    """Delete the first half of a changelog's records, as an operator's mistake would."""
    await prefix.configure(changelog, {"cleanup.policy": "compact,delete"})
    ends = await end_offsets(prefix.bootstrap, changelog, partitions)
    async with kafka_admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_records({TopicPartition(changelog, p): RecordsToDelete(ends[p] // 2) for p in ends})


@pytest.mark.parametrize("stage", ["labels", "metrics"])
async def test_a_truncated_changelog_is_named_unless_the_disk_holds_all_of_it(
    prefix: Prefix, worker: Callable[..., Worker], stage: str
) -> None:
    steps = history(seed=95, days=2, per_day=200)
    half = len(steps) // 2
    running = worker().start()
    reached: Reached = {}
    await write(prefix, steps[:half], reached)
    await finished(prefix, steps[half - 1][0], [running])
    assert running.stop() == 0
    kept = running.folder / "kept"
    shutil.copytree(running.folder / "data", kept)
    topics = prefix.topics
    count = topics.input_partitions if stage == "labels" else topics.line_partitions
    await _cut(prefix, topics.changelog(running.env["PLUMBLINE_APP_ID"], stage), count)

    if stage == "metrics":  # whatever time takes of the labels' changelog looks alike without a disk
        shutil.rmtree(running.folder / "data")
        running.start()
        await until(lambda: running.exit_code not in (None, 0), 60, "the worker to refuse")
        assert "records were deleted that the state is made of" in running.tail()
        shutil.rmtree(running.folder / "data", ignore_errors=True)
        shutil.copytree(kept, running.folder / "data")

    running.start()
    await write(prefix, steps[half:], reached)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)


def _ready(running: Worker) -> bool:
    return '"ready":true' in running.ready()

"""A worker that comes to a large changelog with an empty disk, or finds something else than it left."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from stream_app.kafka import admin
from stream_app.services.kafka import LocalKafka
from tests.support.generate import START, Row, Step, history
from tests.support.judge import compare, finished
from tests.support.kafka_io import Prefix, Reached, end_offsets, until, write
from tests.support.worker import Worker

pytestmark = pytest.mark.long

READY_S = 15
HOUR = 3_600_000


def _many(count: int, start: int = START) -> list[Step]:
    """Predictions without outcomes: as many entries as records."""
    steps, each = [], count // 20
    for number in range(20):
        at = start + number * HOUR
        rows = [
            Row(
                "predictions", b"c-%d-%d" % (at, i),
                json.dumps({
                    "prediction_id": f"c-{at}-{i}", "model_type": "churn", "model_version": "v1",
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


async def test_state_of_another_cluster_is_named_and_left_as_it_is(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    """Pointed at a new cluster by mistake, and back again: nothing was read from there and nothing is restored."""
    steps = history(seed=96, days=2, per_day=100)
    half = len(steps) // 2
    reached: Reached = {}
    running = worker().start()
    await write(prefix, steps[:half], reached)
    await finished(prefix, steps[half - 1][0], [running])
    assert running.stop() == 0
    other = LocalKafka(tmp_path / "other", transaction_scan_ms=1_000)
    try:
        other.start()
        elsewhere = await Prefix(other.bootstrap, prefix.topics).create()
        await write(elsewhere, steps[:half])
        running.start(kafka_bootstrap=other.bootstrap)
        await until(lambda: running.exit_code is not None, 60, "the worker to refuse")
    finally:
        other.stop()
    assert running.exit_code == 1
    assert "holds state of Kafka cluster" in running.tail()
    assert "PLUMBLINE_DATA_DIR" in running.tail()
    before = len(running.log.read_text())
    running.start()
    await write(prefix, steps[half:], reached)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)
    restored = re.findall(r"(?:labels|metrics)\[\d\]: open, (\d+) records", running.log.read_text()[before:])
    assert restored == ["0"] * 5, "the disk was as the worker had left it"


@pytest.mark.parametrize("stage", ["labels", "metrics", "retrain"])
async def test_an_emptied_changelog_is_named_and_never_passed_over(
    prefix: Prefix, worker: Callable[..., Worker], stage: str
) -> None:
    """The topic is deleted and made anew, empty, while the group's offsets and a disk say otherwise."""
    steps = _many(2_000)
    running = worker().start()
    await write(prefix, steps[:10])
    await finished(prefix, steps[9][0], [running])
    assert running.stop() == 0
    app = running.env["PLUMBLINE_APP_ID"]
    changelogs = prefix.topics.own(60)
    async with admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_topics([spec.name for spec in changelogs if stage in spec.name])

        async def gone() -> bool:
            return not any(f"{stage}-changelog" in name for name in await client.list_topics() if name.startswith(app))

        await until(gone, 30, "the topic to go")
        await admin.create(client, [spec for spec in changelogs if stage in spec.name], 1)
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


async def _cut(prefix: Prefix, changelog: str, partitions: int, whole: bool = False) -> None:
    """Delete the first half of a changelog's records, or all, as an operator's mistake would."""
    await prefix.configure(changelog, {"cleanup.policy": "compact,delete"})
    ends = await end_offsets(prefix.bootstrap, changelog, partitions)
    async with admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_records(
            {TopicPartition(changelog, p): RecordsToDelete(ends[p] if whole else ends[p] // 2) for p in ends}
        )


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
    count = topics.input_partitions if stage == "labels" else topics.model_partitions
    await _cut(prefix, topics.changelog(stage), count)

    shutil.rmtree(running.folder / "data")
    for _ in range(2):  # what was restored in vain is not trusted the second time
        running.start()
        await until(lambda: running.exit_code not in (None, 0), 60, "the worker to refuse")
        assert "records were deleted that the state is made of" in running.tail()
        running.log.unlink()
    shutil.rmtree(running.folder / "data", ignore_errors=True)
    shutil.copytree(kept, running.folder / "data")
    if stage == "metrics":
        running.start(failpoint="pretend-the-store-is-old")
        await until(lambda: running.exit_code not in (None, 0), 60, "the worker to refuse, and to leave the disk alone")
        assert "records were deleted that the state is made of" in running.tail()
        running.start()
    else:  # the disk holds more than the changelog, however old it is
        running.start(failpoint="pretend-the-store-is-old")
    await write(prefix, steps[half:], reached)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)


async def test_a_changelog_that_time_has_shortened_is_enough(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    """What is past its horizon is gone from the labels' changelog, as by its retention, and a worker has no disk."""
    turn = START + 70 * 24 * HOUR
    old, later = _many(600), _many(600, turn)
    reached: Reached = {}
    running = worker().start()
    await write(prefix, [*old, (turn, [])], reached)
    await finished(prefix, turn, [running], bound_s=180)
    changelog = prefix.topics.changelog("labels")
    ends = await end_offsets(prefix.bootstrap, changelog, prefix.topics.input_partitions)
    await write(prefix, later[:-1], reached)
    await finished(prefix, later[-2][0], [running])
    assert running.stop() == 0
    async with admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_records({TopicPartition(changelog, p): RecordsToDelete(end) for p, end in ends.items()})
    shutil.rmtree(running.folder / "data")
    running.start()
    await write(prefix, later[-1:], reached)
    follower = await finished(prefix, later[-1][0], [running])
    assert follower.dispositions["predictions"]["unmatched"] == 600
    assert follower.dispositions["predictions"]["pending"] == 600


@pytest.mark.parametrize("stage", ["labels", "metrics"])
async def test_a_disk_from_before_the_cut_of_a_changelog_is_refused(
    prefix: Prefix, worker: Callable[..., Worker], stage: str
) -> None:
    """An old copy of the disk is put back, and the records between it and the changelog's start are gone."""
    steps = history(seed=97, days=2, per_day=200)
    half = len(steps) // 2
    running = worker().start()
    reached: Reached = {}
    await write(prefix, steps[:4], reached)
    await finished(prefix, steps[3][0], [running])
    assert running.stop() == 0
    kept = running.folder / "kept"
    shutil.copytree(running.folder / "data", kept)
    running.start()
    await write(prefix, steps[4:half], reached)
    await finished(prefix, steps[half - 1][0], [running])
    assert running.stop() == 0
    topics = prefix.topics
    changelog = topics.changelog(stage)
    count = topics.input_partitions if stage == "labels" else topics.model_partitions
    await _cut(prefix, changelog, count, whole=True)
    shutil.rmtree(running.folder / "data")
    shutil.move(kept, running.folder / "data")
    running.start()
    await until(lambda: running.exit_code is not None, 60, "the worker to refuse")
    assert running.exit_code == 1
    assert f"{changelog}[" in running.tail()
    assert "records were deleted that the state is made of" in running.tail()


def _ready(running: Worker) -> bool:
    return '"ready":true' in running.ready()

"""One prefix, one application; topics that are not the ones they were; settings that differ between workers."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.admin import NewPartitions

from stream_app.errors import Incompatible
from stream_app.kafka import admin, owner
from stream_app.kafka.owner import Kafka
from stream_app.kafka.topics import Topics
from tests.support.generate import history
from tests.support.judge import compare, expected, finished
from tests.support.kafka_io import Prefix, Reached, read, until, write
from tests.support.worker import Worker

QUICK = {"identity_interval_s": "0.5", "owner_interval_s": "0.5"}


def _lanes(worker: Worker) -> dict[str, Any]:
    try:
        return dict(json.loads(worker.ready())["lanes"])
    except (ValueError, KeyError):
        return {}


def _parked(worker: Worker, stage: str) -> list[str]:
    """Why the lanes of a stage are parked; those that are not are left out."""
    return [
        lane["parked"]["sentence"]
        for name, lane in _lanes(worker).items()
        if name.startswith(stage) and lane.get("parked")
    ]


async def _owners(prefix: Prefix) -> list[str]:
    """Applications that ever claimed the prefix, in order."""
    records = await read(prefix.bootstrap, prefix.topics.owner, 1)
    return [json.loads(record.value)["app"] for record in records[0]]


async def test_of_two_applications_that_claim_a_prefix_at_once_one_is_refused(prefix: Prefix) -> None:
    kafka = Kafka(prefix.bootstrap, {})

    def wanted(app: str) -> Callable[[Any], Any]:
        def decide(stands: Any) -> Any:
            if stands is not None and stands.app != app:
                raise Incompatible(f"belongs to {stands.app}")
            return None if stands is not None else owner.claim(app, 0, 3, 2, {})

        return decide

    async def race(number: int) -> None:
        topic = f"{prefix.topics.output_prefix}race-{number}.owner"
        async with admin.admin(prefix.bootstrap, {}) as client:
            await admin.create(client, [s for s in Topics("", topic[:-5], 3, 2).specs() if s.name == topic], 1)
        done = await asyncio.gather(
            *(owner.take(kafka, topic, wanted(app)) for app in ("a", "b", "c")), return_exceptions=True
        )
        assert sorted(type(result).__name__ for result in done) == ["Incompatible", "Incompatible", "NoneType"], done
        records = await read(prefix.bootstrap, topic, 1)
        assert len({json.loads(record.value)["app"] for record in records[0]}) == 1

    untold: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: untold.append(context))
    for first in range(0, 20, 5):
        await asyncio.gather(*(race(first + number) for number in range(5)))
    gc.collect()
    assert not untold, "an error that nobody was told ends up as a traceback in the log"


async def test_a_second_application_is_refused_and_takes_over_when_it_is_told_to(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=21, days=3, per_day=200)
    third = len(steps) // 3
    reached: Reached = {}
    first = worker("first", **QUICK).start()
    await write(prefix, steps[:third], reached)
    await finished(prefix, steps[third - 1][0], [first])
    topics = prefix.topics
    other = Topics(topics.input_prefix, topics.output_prefix, 3, 2, f"{topics.input_prefix}other")
    second = worker("second", app_id=other.app_id, topics=other, **QUICK)
    second.start()
    await until(lambda: second.exit_code is not None, 60, "the second application to be refused")
    said = second.log.read_text()
    assert second.exit_code == 1
    assert topics.app_id in said
    assert other.app_id in said
    assert "--take-over" in said
    # under load: the first goes on writing until it is fenced
    writing = asyncio.create_task(write(prefix, steps[third : 2 * third], reached))
    second.start(arguments=["--take-over"])
    await writing
    await until(lambda: len(_parked(first, "labels")) == 3, 60, "the first application's lanes to park")
    assert all(other.app_id in why and topics.app_id in why for why in _parked(first, "alerts"))
    await until(lambda: '"ready":true' in second.ready(), 90, "the second application to be ready")
    at_take_over = await _committed(prefix, topics.app_id)
    await write(prefix, steps[2 * third :], reached)
    mine = Prefix(prefix.bootstrap, other)
    follower = await finished(mine, steps[-1][0], [second])
    assert await _committed(prefix, topics.app_id) == at_take_over, "the first application committed something"
    assert await _owners(prefix) == [topics.app_id, other.app_id]
    want = await expected(mine)
    for name, counts in (("predictions", want.predictions), ("outcomes", want.outcomes)):
        assert {key: count for key, count in follower.dispositions[name].items() if count} == dict(counts)


async def _committed(prefix: Prefix, app: str) -> int:
    """Committed records that say they come from the application."""
    source = f"/plumbline/{app}".encode()
    count = 0
    for name in (prefix.topics.metric_snapshots, prefix.topics.drift_events, prefix.topics.audit):
        for part in (await read(prefix.bootstrap, name, prefix.topics.model_partitions)).values():
            count += sum(dict(record.headers).get("ce_source") == source for record in part)
    return count


@pytest.mark.parametrize("longer", [False, True])
async def test_a_topic_made_anew_parks_its_lanes_and_nothing_is_counted_again(
    prefix: Prefix, worker: Callable[..., Worker], longer: bool
) -> None:
    steps = history(seed=22, days=2, per_day=100)
    running = worker(**QUICK).start()
    await write(prefix, steps)
    await finished(prefix, steps[-1][0], [running])
    topics = prefix.topics
    await _make_anew(prefix, topics.predictions)
    if longer:
        rows = [row for _, rows in steps for row in rows if row.topic == "predictions"]
        await write(prefix, [(steps[-1][0] + 1, rows * 2)], ticks=False)
    # Kafka's group takes the lanes away if it looks while the topic is missing: then the stage says it without them.
    await until(lambda: "made anew" in running.ready(), 30, "the worker to name the topic")
    assert json.loads(running.ready())["ready"] is False
    assert all("made anew" in why for why in _parked(running, "labels"))
    assert not _parked(running, "metrics")
    assert running.exit_code is None
    # a new process meets the same: the state knows the id
    assert running.stop() == 0
    running.start()
    await until(
        lambda: len(_parked(running, "labels")) == 3 or running.exit_code is not None, 60, "the new process to say so"
    )
    assert "made anew" in running.log.read_text()


async def _make_anew(prefix: Prefix, topic: str) -> None:
    async with admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await client.list_topics()

        await until(gone, 30, "the topic to go")
        await admin.create(client, [spec for spec in prefix.topics.specs() if spec.name == topic], 1)


async def test_a_topic_that_was_missing_for_a_while_is_named_although_its_lanes_were_taken_away(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=25, days=1, per_day=100)
    running = worker(**QUICK).start()
    await write(prefix, steps)
    await finished(prefix, steps[-1][0], [running])
    topic = prefix.topics.predictions
    async with admin.admin(prefix.bootstrap, {}) as client:
        await client.delete_topics([topic])
        await until(lambda: "does not exist any more" in running.ready(), 30, "the worker to miss it")
        await admin.create(client, [spec for spec in prefix.topics.specs() if spec.name == topic], 1)
    await until(lambda: "made anew" in running.ready(), 30, "the worker to know it for another")
    assert json.loads(running.ready())["ready"] is False
    assert running.exit_code is None


async def test_partitions_added_under_a_running_worker_are_named_with_their_records(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    steps = history(seed=23, days=1, per_day=100)
    running = worker(**QUICK).start()
    await write(prefix, steps)
    follower = await finished(prefix, steps[-1][0], [running])
    await compare(prefix, follower)
    topic = prefix.topics.outcomes
    async with admin.admin(prefix.bootstrap, {}) as client:
        await client.create_partitions({topic: NewPartitions(total_count=5)})
    await prefix.produce(topic, [(b"k", b"{}", 3), (b"k", b"{}", 4), (b"k", b"{}", 4)])
    await until(lambda: len(_parked(running, "labels")) == 3, 60, "the labels lanes to park")
    assert all("5 partitions" in why for why in _parked(running, "labels"))
    running.kill()
    running.start()
    await until(lambda: running.exit_code is not None, 60, "a new process to refuse the counts")
    assert "5 partitions" in running.log.read_text()


async def test_workers_that_count_by_other_settings_are_refused_and_may_change_together(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    first = worker("first", **QUICK).start()
    await until(lambda: '"ready":true' in first.ready(), 60, "the first worker to be ready")
    second = worker("second", future_tolerance_s="60", **QUICK).start()
    await until(lambda: second.exit_code is not None, 60, "the second worker to be refused")
    said = second.log.read_text()
    assert "future_tolerance_s is 60.0 here" in said
    assert "300.0" in said
    assert first.stop() == 0
    second.start()
    await until(lambda: '"ready":true' in second.ready(), 60, "it to start once the other is gone")
    # whoever still runs by the old value, or starts by it, is refused
    first.start()
    await until(lambda: first.exit_code is not None, 60, "the first worker to be refused now")
    assert "future_tolerance_s is 300.0 here" in first.log.read_text()


async def test_a_tick_far_ahead_moves_no_clock_and_is_named(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    running = worker(clock="live", **QUICK).start()

    def ticked() -> bool:
        return any(lane.get("tick") for lane in _lanes(running).values())

    await until(ticked, 90, "a live tick")
    bodies = [
        {"at": "2027-12-31T00:00:00Z", "ends_epoch": True, "end_offsets": {}},
        {"at": "2027-12-31T00:00:00Z", "ends_epoch": True, "mode": "external", "end_offsets": {}},
        {"at": "2099-01-01T00:00:00Z", "ends_epoch": True, "mode": "live", "end_offsets": {}},
    ]
    for topic, count in ((prefix.topics.clock, 3), (prefix.topics.model_clock, 2)):
        await prefix.produce(topic, [(None, json.dumps(body).encode(), p) for p in range(count) for body in bodies])

    def named() -> bool:
        lanes = [lane for name, lane in _lanes(running).items() if name.startswith(("labels", "metrics"))]
        return len(lanes) == 5 and all(lane["refused_tick"] for lane in lanes)

    await until(named, 60, "every lane to name the tick it refused")
    assert all(lane["tick"] < "2027-12" for lane in _lanes(running).values() if lane["tick"])

    async def letters() -> bool:
        found = await read(prefix.bootstrap, prefix.topics.dead_letters, 2)
        reasons = [dict(record.headers)["plumbline.reason"] for part in found.values() for record in part]
        return reasons.count(b"invalid_tick") == 15

    await until(letters, 60, "the refused ticks to be dead-lettered")
    before = max(lane["tick"] for lane in _lanes(running).values() if lane["tick"])

    def goes_on() -> bool:
        return max(lane["tick"] for lane in _lanes(running).values() if lane["tick"]) > before

    await until(goes_on, 120, "time to go on")
    # the leader of the next process is not misled either
    assert running.stop() == 0
    running.start()
    await until(lambda: '"ticks_wait_for":null' in running.ready() and ticked(), 90, "the next process to tick")

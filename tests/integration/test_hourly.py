"""Hourly alarms on a real broker: one worker, and three of which one dies within hours, write the same bytes."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable

from stream_app.kafka.topics import Topics
from tests.support.generate import Row, Step
from tests.support.hourly import HourlyModel, fault
from tests.support.judge import finished, told
from tests.support.kafka_io import Prefix, Reached, read, until, write
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS
from tests.support.simulate import comparable, simulated
from tests.support.worker import Worker

#: Days until a young version has references, and days watched by the hour after them.
WARM, WATCHED = 18, 3
ONSET = WARM * 24 + 5
MODELS = [
    HourlyModel("churn:a", fault(ONSET, points=30, hours=20), a_day=400),
    HourlyModel("churn:b", fault(ONSET + 3, shift=1.0), a_day=400),
    HourlyModel("churn:c", a_day=150),
]
#: Where the metrics lane dies at full hours, before the others are started.
POINTS = ("tick.2-partly", "checkpoint.2-outputs-sent", "tick.1-started", "checkpoint.5-offsets-sent")
SMALL = {"max_checkpoint_events": "70", "cells_per_checkpoint": "1", "checkpoint_interval_ms": "20"}
OUTPUTS = ("hourly-evidence", "drift-events", "alerts")


def script() -> list[Step]:
    """Every prediction and outcome; ticks at the closes and noon, and at each full hour of the days watched."""
    timed: dict[int, list[Row]] = defaultdict(list)
    start = FIRST_DAY * 24
    ticks = [
        start + day * 24 + hour
        for day in range(WARM + WATCHED)
        for hour in (range(24) if day >= WARM else (1, 2, 3, 4, 12))
    ]
    for model in MODELS:
        for hour in range((WARM + WATCHED) * 24 - 1):
            for late, batch in model.hour(hour, seed=7)[1]:
                for i, score in enumerate(batch.scores):
                    known = f"{model.model}-{hour}-{late}-{i}"
                    made = {"prediction_id": known, "model_type": "churn", "tenant_id": model.model[6:],
                            "model_version": "v1", "score": float(score), "predicted": bool(batch.predicted[i]),
                            "predicted_at": (start + hour) * HOUR_MS + i}  # fmt: skip
                    came = {"prediction_id": known, "actual": bool(batch.actual[i]),
                            "observed_at": (start + late) * HOUR_MS + i}  # fmt: skip
                    for topic, at, record in (("predictions", hour, made), ("outcomes", late, came)):
                        tick = next((tick for tick in ticks if tick > start + at), None)
                        if tick is not None:
                            timed[tick].append(Row(topic, known.encode(), json.dumps(record).encode()))
    return [(tick * HOUR_MS, timed[tick]) for tick in ticks]


async def _workers(
    prefix: Prefix, worker: Callable[..., Worker], count: int, **settings: str
) -> tuple[Prefix, list[Worker]]:
    """So many workers of an application of their own, not started, with its topics."""
    output = f"{prefix.topics.output_prefix}{count}."
    topics = Topics(prefix.topics.input_prefix, output, 3, 2)
    mine = await Prefix(prefix.bootstrap, topics).create()
    return mine, [worker(f"{count}-{i}", app_id=f"{output}app", topics=topics, **settings) for i in range(count)]


async def _written(mine: Prefix, workers: list[Worker], last: int) -> dict[str, list[bytes]]:
    """What was published once all is done, by topic, in any order of partitions."""
    topics = mine.topics
    await finished(mine, last, workers, bound_s=120)
    await told(mine, *workers)
    for item in workers:
        assert item.stop() == 0, item.tail()
    found = {}
    for alias, topic in zip(OUTPUTS, (topics.hourly_evidence, topics.drift_events, topics.alerts), strict=True):
        parts = await read(mine.bootstrap, topic, topics.model_partitions)
        found[alias] = sorted(record.value for part in parts.values() for record in part)
    await mine.delete(topics.output_prefix)
    return found


async def test_one_worker_and_three_that_die_write_the_same_bytes(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    written = script()
    # the kills come at full hours without a close, when the first model is losing
    midnight = (FIRST_DAY + WARM) * DAY_MS
    before = [step for step in written if step[0] <= midnight + 6 * HOUR_MS]
    left, reached = deque(written[len(before) :]), Reached()
    three, workers = await _workers(prefix, worker, 3, **SMALL)
    workers[0].start()
    await write(prefix, before, reached)
    await finished(three, before[-1][0], workers[:1], bound_s=120)
    assert workers[0].stop() == 0, workers[0].tail()
    for point in POINTS:
        workers[0].start(failpoint=point, failpoint_stage="metrics")
        await write(prefix, [left.popleft()], reached)
        await until(lambda: workers[0].exit_code is not None, 60, f"a kill at {point}")
        assert workers[0].exit_code == -9, workers[0].tail()
    for item in workers:
        item.start()
    await write(prefix, list(left), reached)
    seen = [await _written(three, workers, written[-1][0])]

    one, workers = await _workers(prefix, worker, 1)
    workers[0].start()
    seen.append(await _written(one, workers, written[-1][0]))
    assert seen[0] == seen[1]
    sim = await asyncio.to_thread(simulated, written, "app")
    for alias in OUTPUTS:
        assert sorted(map(comparable, seen[0][alias])) == sorted(comparable(emit.value) for emit in sim.emits[alias])
    events = [json.loads(value) for value in seen[0]["drift-events"]]
    hourly = {(event["model"], event["kind"]) for event in events if event.get("check") == "hourly"}
    assert hourly == {("churn:a", "performance"), ("churn:b", "statistical")}

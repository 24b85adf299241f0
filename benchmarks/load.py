"""The labelled-join job: predictions of two model types, outcomes up to 100,000 predictions later, hourly ticks."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

import orjson

from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.kafka import admin, clients
from stream_app.kafka.topics import Topics

HOUR_MS = 3_600_000
START_MS = 1_772_000_000_000
SPACING_MS = 1_500
MAX_DELAY = 100_000


@dataclass(frozen=True, slots=True)
class Job:
    """What was loaded."""

    topics: Topics
    predictions: int
    outcomes: int

    @property
    def events(self) -> int:
        """Predictions and outcomes."""
        return self.predictions + self.outcomes


async def load(
    bootstrap: str, name: str, predictions: int, models: int, outcome_share: float = 0.95, partitions: int = 4
) -> Job:
    """Create topics under ``name.`` and fill them; ticks cover exactly what stands before them."""
    topics = Topics(f"{name}.", f"{name}.", partitions, 4, name)
    async with admin.admin(bootstrap, {}) as client:
        await admin.create(client, topics.specs(), 1)
        await admin.create(client, topics.own(60), 1)
    producer = clients.producer(bootstrap, {}, linger_ms=20, max_batch_size=200_000)
    await producer.start()
    draw = random.Random(7)
    sent = {topics.predictions: [0] * partitions, topics.outcomes: [0] * partitions}
    waiting: list[tuple[int, str, bool]] = []
    tick = START_MS // HOUR_MS * HOUR_MS + HOUR_MS

    async def put(topic: str, key: str, row: dict[str, object]) -> None:
        raw = key.encode()
        partition = partition_for(raw, partitions)
        sent[topic][partition] += 1
        await producer.send(topic, orjson.dumps(row), key=raw, partition=partition)

    async def write_tick(at: int) -> None:
        for p in range(partitions):
            end_offsets = {topic: counts[p] for topic, counts in sent.items()}
            body = {"at": rfc3339(at), "ends_epoch": True, "mode": "external", "end_offsets": end_offsets}
            await producer.send(topics.clock, orjson.dumps(body), partition=p)

    at = START_MS
    for i in range(predictions):
        at = START_MS + i * SPACING_MS
        while at >= tick:
            await write_tick(tick)
            tick += HOUR_MS
        key, score, fraud = f"{draw.getrandbits(64):016x}", draw.betavariate(0.6, 2), draw.random() < 0.7
        row = {
            "prediction_id": key, "model_type": "fraud" if fraud else "conflict", "model_version": "v3",
            "tenant_id": f"t-{draw.randrange(models)}" if fraud else None, "score": round(score, 4),
            "predicted": score >= 0.5, "threshold": 0.5, "ci_lower": round(max(0, score - 0.05), 3),
            "ci_upper": round(min(1, score + 0.05), 3), "predicted_at": at,
        }  # fmt: skip
        await put(topics.predictions, key, row)
        if draw.random() < outcome_share:
            heapq.heappush(waiting, (i + draw.randrange(1, MAX_DELAY), key, draw.random() < score))
        while waiting and waiting[0][0] <= i:
            _, key, actual = heapq.heappop(waiting)
            await put(topics.outcomes, key, {"prediction_id": key, "actual": actual, "observed_at": at})
    while waiting:
        _, key, actual = heapq.heappop(waiting)
        await put(topics.outcomes, key, {"prediction_id": key, "actual": actual, "observed_at": at})
    await write_tick(tick)
    await producer.stop()
    return Job(topics, predictions, sum(sent[topics.outcomes]))

"""Two thousand events a second for a long time, with a restart: nothing grows, and nothing is lost.

A simulated day takes three seconds, so that all that is kept for a while, up to the ninety days of the cells, has
turned over four and a half minutes after the restart, and what malloc keeps for it stands a minute later; what comes
then is judged. ``SOAK_SECONDS`` says how long; ten minutes if it does not. Caches and write buffers are small, so that
they are full by then.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest

from stream_app.pipeline import Stages
from stream_app.replay.clock_writer import ClockWriter
from tests.support.generate import START
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, read, until
from tests.support.metrics import sample as sample_of
from tests.support.worker import Worker

pytestmark = pytest.mark.long

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
PER_SECOND = 1_000  # predictions, and as many outcomes
STEP_MS = 8 * 3_600_000
MODELS = 20
#: seconds until a restart, and until everything has turned over after it
RESTART = 60
TURNED = RESTART + 330
#: seconds between two figures
EVERY = 3
#: What may be left of a slope: megabytes and descriptors a minute; compactions come and go within minutes.
RSS_MB, DESCRIPTORS = 1.0, 4.0


class Load:
    """Rows of each second, and what is to be counted in the end, by model and day."""

    def __init__(self, prefix: Prefix) -> None:
        self._topics = prefix.topics
        self._draw = random.Random(1)
        self._waiting: list[tuple[str, str, str, bool, int]] = []
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.made = 0

    def second(self, number: int) -> list[tuple[str, str, bytes]]:
        """Predictions of the second, outcomes of those three seconds ago."""
        at = START + number * STEP_MS
        day = time.strftime("%Y-%m-%d", time.gmtime(at / 1000))
        rows = []
        for n in range(PER_SECOND):
            tenant, score = f"t{self._draw.randrange(MODELS)}", round(self._draw.random(), 3)
            key = f"{number}-{n}"
            row = {
                "prediction_id": key, "model_type": "churn", "tenant_id": tenant, "model_version": "v1",
                "predicted_at": at, "score": score,
            }  # fmt: skip
            rows.append((self._topics.predictions, key, json.dumps(row).encode()))
            self.counts[f"churn:{tenant}", day, "predictions"] += 1
            self._waiting.append((key, f"churn:{tenant}", day, score >= 0.5, number))
        while self._waiting and self._waiting[0][4] <= number - 3:
            rows.append(self._outcome(*self._waiting.pop(0)[:4], at=at))
        self.made += len(rows)
        return rows

    def rest(self, at: int) -> list[tuple[str, str, bytes]]:
        """Outcomes that have not come yet."""
        rows = [self._outcome(*waiting[:4], at=at) for waiting in self._waiting]
        self._waiting.clear()
        self.made += len(rows)
        return rows

    def _outcome(self, key: str, model: str, day: str, predicted: bool, at: int) -> tuple[str, str, bytes]:
        actual = self._draw.random() < 0.5
        name = ("true" if actual == predicted else "false") + ("_positives" if predicted else "_negatives")
        self.counts[model, day, name] += 1
        row = {"prediction_id": key, "actual": actual, "observed_at": at}
        return self._topics.outcomes, key, json.dumps(row).encode()


def sample(worker: Worker) -> dict[str, float]:
    """Megabytes of memory, open descriptors, megabytes of state by stage."""
    process = psutil.Process(worker.pid)
    page = str(worker.view("/metrics")[1])
    return {
        "rss": process.memory_info().rss / 2**20,
        "descriptors": process.num_fds(),
        **{
            f"state_{stage}": sample_of(page, "plumbline_rocksdb_bytes", stage=stage) / 2**20
            for stage in Stages._fields
        },
    }


def slopes(samples: list[tuple[float, dict[str, float]]]) -> dict[str, float]:
    """Change a minute of every figure, by least squares."""
    at = np.array([moment for moment, _ in samples]) / 60
    return {
        name: float(np.polyfit(at, [figures.get(name, 0.0) for _, figures in samples], 1)[0]) for name in samples[-1][1]
    }


async def test_two_thousand_events_a_second_leave_memory_and_descriptors_level(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker(write_buffer_mb="4", block_cache_mb="1").start()
    load, samples = Load(prefix), list[tuple[float, dict[str, float]]]()
    late = 0.0
    async with ClockWriter(prefix.bootstrap, {}, prefix.topics) as writer:
        await until(lambda: '"ready":true' in running.ready(), 60, "the worker to be ready")
        began = time.monotonic()
        for number in range(SECONDS):
            at = START + (number + 1) * STEP_MS
            await writer.write(at, await asyncio.to_thread(load.second, number))
            if number == RESTART:
                assert running.stop() == 0
                running.start()
                await until(lambda: '"ready":true' in running.ready(), 60, "the worker to be ready again")
            elif number % EVERY == 0:
                samples.append((time.monotonic() - began, await asyncio.to_thread(sample, running)))
            ahead = began + number + 1 - time.monotonic()
            late = max(late, -ahead)
            if ahead > 0:
                await asyncio.sleep(ahead)  # the load's pace, not a wait for anything
        last = START + (SECONDS + 1) * STEP_MS
        await writer.write(last, load.rest(last - STEP_MS))
        end = last + 2 * 86_400_000
        await writer.write(end, ())
    took = time.monotonic() - began
    await finished(prefix, end, [running])
    judged = [(at, figures) for at, figures in samples if at >= TURNED]
    found, newest = slopes(judged), samples[-1][1]
    for second, figures in samples[:: 60 // EVERY]:
        print(f"{second:5.0f} s: " + ", ".join(f"{name} {value:.1f}" for name, value in figures.items()))
    print(f"{load.made:,} events in {took:.0f} s, {load.made / took:,.0f} a second, at most {late:.1f} s late")
    for name, slope in found.items():
        print(f"{name}: {newest[name]:.1f}, slope {slope:+.3f} a minute over {len(judged)} samples")
    await _exact(prefix, load)
    assert abs(found["descriptors"]) < DESCRIPTORS, found
    assert found["rss"] < RSS_MB, found
    # entries of sixty simulated days of the load, and what compaction has not taken yet
    assert newest["state_labels"] < 2 * 180 * PER_SECOND * 250 / 2**20, newest


async def _exact(prefix: Prefix, load: Load) -> None:
    """The newest closed snapshot of every model and day holds what was made."""
    parts = await read(prefix.bootstrap, prefix.topics.metric_snapshots, prefix.topics.model_partitions)
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    for records in parts.values():
        for record in records:
            row = json.loads(record.value)
            if row["state"] == "closed":
                newest[row["model"], row["date"]] = row
    found: Counter[tuple[str, str, str]] = Counter()
    for (model, day), row in newest.items():
        for name in ("predictions", "true_positives", "false_positives", "true_negatives", "false_negatives"):
            found[model, day, name] = row[name]
    assert +found == +load.counts

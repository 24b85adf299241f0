"""The demo's course: topics of its own, a real worker, a replay in steps, a look at what came out, and clean-up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_app import kafka_admin
from stream_app.connect.announce import announce
from stream_app.connect.clock_writer import ClockWriter
from stream_app.connect.follow import LogFollower
from stream_app.connect.replay import Summary, send
from stream_app.connect.timeline import Timeline
from stream_app.demo import data
from stream_app.errors import Broken, Unavailable
from stream_app.settings import Settings
from stream_app.topics import Topics

DAYS = 14
PER_DAY = 900

#: Called with (tick ms, events sent, events in all, latest snapshot by line).
Show = Callable[[int, int, int, dict[str, dict[str, Any]]], None]


@dataclass(slots=True)
class Seen:
    """What the demo saw."""

    predictions: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    snapshots: int = 0
    wall_seconds: float = 0.0
    #: seconds until the first closed snapshot stood on its topic
    first_snapshot_seconds: float = 0.0
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """The last line of ``demo --once``."""
        produced = self.predictions["produced"] + self.outcomes["produced"]
        return {
            "predictions": self.predictions,
            "outcomes": self.outcomes,
            "snapshots": self.snapshots,
            "wall_seconds": round(self.wall_seconds, 3),
            "events_per_second": round(produced / self.wall_seconds, 1),
        }


async def run(settings: Settings, cache: Path, show: Show, say: Callable[[str], None]) -> Seen:
    """Run to the end of the data. Every run has its own prefix and application, and removes them."""
    started = time.monotonic()
    name = f"demo-{os.getpid()}-{int(time.time())}"
    settings = settings.model_copy(
        update={
            "app_id": name,
            "input_prefix": f"{name}.",
            "output_prefix": f"{name}.",
            "input_partitions": 4,
            "line_partitions": 2,
        }
    )
    topics = Topics(settings.input_prefix, settings.output_prefix, 4, 2)
    say("reading the data (fetched the first time)")
    folder = await asyncio.to_thread(data.fetch, cache)
    timeline = await asyncio.to_thread(Timeline, data.events(folder, DAYS, PER_DAY))
    scratch = Path(tempfile.mkdtemp(prefix="plumbline-demo-"))
    options = settings.kafka_client_options()
    seen = Seen()
    try:
        async with kafka_admin.admin(settings.kafka_bootstrap, options) as client:
            await kafka_admin.create(client, topics.specs(), settings.replication_factor)
        say(f"{timeline.count:,} recorded events over {DAYS} days; starting a worker")
        with timeline, _worker(settings, scratch) as worker:
            async with (
                LogFollower(settings.kafka_bootstrap, options, topics) as follower,
                _Snapshots(settings.kafka_bootstrap, options, topics, seen, started) as snapshots,
                ClockWriter(settings.kafka_bootstrap, options, topics) as writer,
            ):
                summary = Summary(first_ms=timeline.first_ms)
                await announce(settings, topics)

                async def step(at_ms: int) -> None:
                    await _alive(follower.reached(at_ms), worker, scratch)
                    await snapshots.poll()

                def progress(at_ms: int, done: int, total: int) -> None:
                    show(at_ms, done, total, seen.latest)

                await send(writer, topics, "6h", None, name, timeline, summary, progress, step)
                _settle(seen, summary, follower)
        seen.wall_seconds = time.monotonic() - started
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with contextlib.suppress(Unavailable):
            async with kafka_admin.admin(settings.kafka_bootstrap, options) as client:
                mine = [topic for topic in await client.list_topics() if topic.startswith((f"{name}.", f"{name}-"))]
                if mine:
                    await client.delete_topics(mine)
    return seen


def _settle(seen: Seen, summary: Summary, follower: LogFollower) -> None:
    """Dispositions of the last tick; what was sent must have ended somewhere, once."""
    seen.predictions = {"produced": summary.predictions, **follower.dispositions["predictions"]}
    seen.outcomes = {"produced": summary.outcomes, **follower.dispositions["outcomes"]}
    seen.snapshots = follower.snapshots
    for side in (seen.predictions, seen.outcomes):
        if 2 * side["produced"] != sum(side.values()):
            raise Broken(f"dispositions do not add up: {side}; please report this")


async def _alive(wait: Any, worker: subprocess.Popen[bytes], scratch: Path) -> None:
    """Await, unless the worker ends first."""
    task = asyncio.ensure_future(wait)
    while not task.done():
        await asyncio.wait({task}, timeout=0.5)
        if worker.poll() is not None and not task.done():
            task.cancel()
            log = (scratch / "worker.log").read_text(errors="replace")
            raise Unavailable(f"the worker ended with exit code {worker.returncode}. Its log ends with:\n{log[-1500:]}")
    task.result()


@contextlib.contextmanager
def _worker(settings: Settings, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "PLUMBLINE_ENVIRONMENT": "development",
        "PLUMBLINE_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "PLUMBLINE_APP_ID": settings.app_id,
        "PLUMBLINE_INPUT_PREFIX": settings.input_prefix,
        "PLUMBLINE_OUTPUT_PREFIX": settings.output_prefix,
        "PLUMBLINE_INPUT_PARTITIONS": str(settings.input_partitions),
        "PLUMBLINE_LINE_PARTITIONS": str(settings.line_partitions),
        "PLUMBLINE_DATA_DIR": str(scratch / "data"),
        "PLUMBLINE_CLOCK": "follow",
        "PLUMBLINE_WEB_PORT": "0",
        "PLUMBLINE_CHECKPOINT_INTERVAL_MS": "10",
    }
    with (scratch / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "worker"], env=environment, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class _Snapshots:
    """Follows the snapshots as any consumer would."""

    def __init__(self, bootstrap: str, options: dict[str, Any], topics: Topics, seen: Seen, started: float) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False,
            auto_offset_reset="earliest", **options
        )
        self._tps = [TopicPartition(topics.metric_snapshots, p) for p in range(topics.line_partitions)]
        self._seen = seen
        self._started = started

    async def __aenter__(self) -> _Snapshots:
        await self._consumer.start()
        self._consumer.assign(self._tps)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.stop()

    async def poll(self) -> None:
        """Take what has come."""
        for records in (await self._consumer.getmany(timeout_ms=1)).values():
            for record in records:
                row = json.loads(record.value)
                if row["state"] == "closed" and not self._seen.first_snapshot_seconds:
                    self._seen.first_snapshot_seconds = time.monotonic() - self._started
                known = self._seen.latest.get(row["line"])
                if known is None or (row["date"], row["revision"]) >= (known["date"], known["revision"]):
                    self._seen.latest[row["line"]] = row

"""The demo's course: topics of its own, a real worker, trainer and deployer, a replay in steps, and clean-up."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.common import rfc3339
from stream_app.commands.announce import announce
from stream_app.core.kit.days import DAY_MS
from stream_app.demo import data
from stream_app.demo.serving import ServedModel
from stream_app.demo.story import INJECTION, Story
from stream_app.errors import Broken
from stream_app.kafka.topics import topics_of
from stream_app.replay import own_pipeline
from stream_app.replay.clock_writer import ClockWriter
from stream_app.replay.follow import LogFollower
from stream_app.replay.own_pipeline import alive, dashboard, process
from stream_app.replay.results import ResultFollower
from stream_app.replay.run import Hooks, Pace, Summary, send
from stream_app.replay.timeline import Timeline
from stream_app.settings import Settings

DAYS = 21
MINUTE_MS = 60_000
PER_DAY = 600

#: Called with (tick ms, events sent, events in all, latest snapshot by model, sentences about what happened).
Show = Callable[[int, int, int, dict[str, dict[str, Any]], list[str]], None]


@dataclass(slots=True)
class DemoView:
    """What the demo saw."""

    predictions: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    snapshots: int = 0
    wall_seconds: float = 0.0
    #: seconds until the first closed snapshot stood on its topic
    first_snapshot_seconds: float = 0.0
    latest: dict[str, dict[str, Any]] = field(default_factory=dict)
    alerts: int = 0
    trainings: int = 0
    activations: int = 0
    rollbacks: int = 0
    #: of the retrained model: before the injected drift, under it, and with the new version
    accuracy_before: float | None = None
    accuracy_drifted: float | None = None
    accuracy_after: float | None = None
    #: one sentence for each step of the loop
    story: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """The last line of ``demo --once``."""
        produced = self.predictions["produced"] + self.outcomes["produced"]
        return {
            "predictions": self.predictions,
            "outcomes": self.outcomes,
            "snapshots": self.snapshots,
            "alerts": self.alerts,
            "trainings": self.trainings,
            "activations": self.activations,
            "rollbacks": self.rollbacks,
            "accuracy_before": _rounded(self.accuracy_before),
            "accuracy_drifted": _rounded(self.accuracy_drifted),
            "accuracy_after": _rounded(self.accuracy_after),
            "wall_seconds": round(self.wall_seconds, 3),
            "events_per_second": round(produced / self.wall_seconds, 1),
        }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


async def run(
    settings: Settings,
    cache: Path,
    show: Show,
    say: Callable[[str], None],
    stay: Callable[[DemoView], None] | None = None,
) -> DemoView:
    """Run to the end of the data. Every run has its own prefix and application, and removes them.

    With ``stay`` it is called at the end of the data, and the loop goes on without new data, a minute each second,
    until it is cancelled: commands given in the dashboard are carried out.
    """
    started = time.monotonic()
    name = f"demo-{os.getpid()}-{int(time.time())}"
    settings = own_pipeline.named(settings, name)
    topics = topics_of(settings)
    say("reading the data (fetched the first time)")
    folder = await asyncio.to_thread(data.fetch, cache)
    timeline = await asyncio.to_thread(Timeline, data.events(folder, DAYS, PER_DAY))
    scratch = Path(tempfile.mkdtemp(prefix="plumbline-demo-"))
    options = settings.kafka_client_options()
    seen = DemoView()
    try:
        await own_pipeline.create_topics(settings)
        registry = scratch / "registry"
        say(f"{timeline.count:,} events over {DAYS} days; making a first model, starting worker, trainer and deployer")
        with (
            timeline,
            process(settings, scratch, "worker", ["worker"]) as worker,
            process(settings, scratch, "trainer", ["trainer", "--registry", str(registry)]) as trainer,
            process(settings, scratch, "deployer", ["predictor", "deploy", "--registry", str(registry)]) as deployer,
            dashboard(settings, scratch, "demo") as address,
        ):
            if address:
                say(f"the dashboard: {address}")
            service = await asyncio.to_thread(ServedModel, registry, folder)
            where = (settings.kafka_bootstrap, options, topics)
            async with (
                LogFollower(*where) as follower,
                ResultFollower(*where) as answers,
                Story(*where) as story,
                ClockWriter(*where) as writer,
            ):
                summary = Summary(first_ms=timeline.first_ms)
                await announce(settings, topics)

                told = 0

                async def step(at_ms: int) -> None:
                    nonlocal told
                    await alive(follower.reached(at_ms), scratch, worker=worker)
                    await alive(answers.settled(), scratch, worker=worker, trainer=trainer, deployer=deployer)
                    if at_ms >= data.START_MS + data.INJECTED * DAY_MS and not told:
                        told = 1
                        seen.story.append(f"{rfc3339(at_ms)[:16].replace('T', ' ')}  {INJECTION}")
                    seen.story += await story.poll()
                    if story.closed and not seen.first_snapshot_seconds:
                        seen.first_snapshot_seconds = time.monotonic() - started

                def progress(at_ms: int, done: int, total: int) -> None:
                    show(at_ms, done, total, story.latest, seen.story)

                hooks = Hooks(progress, step, service.serve)
                await send(writer, topics, timeline, name, summary, Pace("6h"), hooks)
                # the decision log carried the last tick; what the alerts made of it follows within a checkpoint
                await alive(asyncio.sleep(1), scratch, worker=worker)
                seen.story += await story.poll()
                _settle(seen, summary, follower, story)
                seen.wall_seconds = time.monotonic() - started
                if stay is not None:
                    stay(seen)
                    say(f"the data has ended, the loop goes on until Ctrl-C; {address or 'no dashboard without Redis'}")
                    await _go_on(writer, step)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        await own_pipeline.remove(settings)
    return seen


async def _go_on(writer: ClockWriter, step: Callable[[int], Awaitable[None]]) -> None:
    """Time without data, for ever."""
    while True:
        at_ms = writer.stand.at_ms + MINUTE_MS
        await writer.write(at_ms, ())
        await step(at_ms)
        await asyncio.sleep(1)


def _settle(seen: DemoView, summary: Summary, follower: LogFollower, story: Story) -> None:
    """Dispositions of the last tick; what was sent must have ended somewhere, once."""
    seen.latest = story.latest
    seen.alerts, seen.trainings = story.alerts, story.trainings
    seen.activations, seen.rollbacks = story.activations, story.rollbacks
    seen.accuracy_before, seen.accuracy_drifted, seen.accuracy_after = story.accuracies()
    seen.predictions = {"produced": summary.predictions, **follower.dispositions["predictions"]}
    seen.outcomes = {"produced": summary.outcomes, **follower.dispositions["outcomes"]}
    seen.snapshots = follower.snapshots
    for side in (seen.predictions, seen.outcomes):
        if 2 * side["produced"] != sum(side.values()):
            raise Broken(f"dispositions do not add up: {side}; please report this")

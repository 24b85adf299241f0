"""A file's pipeline on a broker, with its dashboard: for looking around in what `plumbline try` found."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from stream_app.ingest.inputs import Survey
from stream_app.kafka.topics import topics_of
from stream_app.replay import own_pipeline
from stream_app.replay.follow import LogFollower
from stream_app.replay.own_pipeline import alive, dashboard, process
from stream_app.replay.run import Progress, ReplayPlan, run_replay
from stream_app.services.stack import KAFKA_PORT, REDIS_PORT, Stack
from stream_app.settings import Settings, load

#: Longest time that the worker may take behind the last row, in seconds.
_BEHIND_S = 3_600.0


@contextmanager
def services(folder: Path, keep: bool) -> Iterator[Settings]:
    """Settings with the Kafka and Redis that the environment names, or that are started here; those that are kept stay
    up at the usual ports, as after `plumbline services up`."""
    stack = Stack(folder)
    with stack.in_use():
        values = {}
        if "PLUMBLINE_KAFKA_BOOTSTRAP" not in os.environ:
            port = KAFKA_PORT if keep else 0
            values["kafka_bootstrap"] = stack.up_kafka(port=port, until_unused=not keep).address
        if "PLUMBLINE_REDIS_URL" not in os.environ:
            values["redis_url"] = stack.up_redis(REDIS_PORT if keep else 0, until_unused=not keep).address
        yield load(values)


class ToldOfDashboard(NamedTuple):
    """Who is called while rows are sent, with the dashboard's address, and once every row is judged."""

    progress: Progress
    opened: Callable[[str], None]
    done: Callable[[], None]


async def show(
    settings: Settings, plan: ReplayPlan, known: Survey, folder: Path, keep: str | None, told: ToldOfDashboard
) -> None:
    """Replay the plan into a pipeline of its own and leave its dashboard up until it is cancelled.

    Without the name ``keep`` topics, state and read model are removed at the end.
    """
    settings = own_pipeline.named(settings, keep or f"try-{os.getpid()}-{int(time.time())}")
    topics = topics_of(settings)
    scratch = folder / settings.app_id
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        await own_pipeline.create_topics(settings)
        with (
            process(settings, scratch, "worker", ["worker"]) as worker,
            dashboard(settings, scratch, "you") as address,
        ):
            told.opened(address)
            replayed = await run_replay(settings, topics, plan, told.progress, known=known)
            async with LogFollower(settings.kafka_bootstrap, settings.kafka_client_options(), topics) as follower:
                await alive(follower.reached(replayed.last_tick_ms, _BEHIND_S), scratch, worker=worker)
            told.done()
            await alive(asyncio.Event().wait(), scratch, worker=worker)
    finally:
        if keep is None:
            shutil.rmtree(scratch, ignore_errors=True)
            await own_pipeline.remove(settings)

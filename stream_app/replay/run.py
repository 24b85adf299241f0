"""Replay of recorded predictions and outcomes as if time passed: rows and simulated ticks, restartable."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from schemas.common import rfc3339
from stream_app.commands.announce import announce
from stream_app.errors import Incompatible
from stream_app.ingest.faults import Faults
from stream_app.ingest.files import Reading
from stream_app.ingest.inputs import Admission, Inputs, Role, Survey, of_files, survey
from stream_app.ingest.mapping import Mapping
from stream_app.ingest.repeats import Repeats
from stream_app.kafka.admin import prepare_tools
from stream_app.kafka.topics import Topics
from stream_app.replay.clock_writer import ClockWriter, refuse_live
from stream_app.replay.ticks import Every, last_tick, next_tick
from stream_app.replay.timeline import PREDICTION, Timeline, TimelineEvent, events
from stream_app.settings import Settings

#: Called after each tick with (its time ms, events sent so far, events in all).
Progress = Callable[[int, int, int], None]
#: Gives the events of one tick as they are to be sent.
Serve = Callable[[list[TimelineEvent]], list[TimelineEvent]]
#: Awaited after each tick with its time; returns when the pipeline has carried it to its end.
Step = Callable[[int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What to replay and how."""

    files: list[Path]
    outcomes: list[Path] = field(default_factory=list)
    mapping: Mapping = field(default_factory=Mapping)
    every: Every = "hour"
    limit: int | None = None
    #: rows per second of wall time, ``None`` for as fast as the broker takes them
    rate: float | None = None
    reading: Reading = field(default_factory=Reading)
    #: hand the prefix over to live time at the end; no tick is later than the present then
    then_live: bool = False

    def inputs(self, taken: Admission | None = None) -> Inputs:
        """The files and how they are read."""
        role: Role = "predictions" if self.outcomes else "both"
        files = (*of_files(self.files, role), *of_files(self.outcomes, "outcomes"))
        return Inputs(files, self.mapping, self.reading, self.limit, taken or Admission())

    def digest(self) -> str:
        """Identity of the replay: the files' bytes and everything that decides what is made of them."""
        parts = [self.inputs().digest(), self.every, str(self.limit)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@dataclass(slots=True)
class Summary:
    """What a replay did. ``resumed_from_row``: events an earlier run had sent already."""

    predictions: int = 0
    outcomes: int = 0
    ticks: int = 0
    resumed_from_row: int = 0
    #: settings that were commanded because file, environment or profile changed
    announced: int = 0
    faults: Faults = field(default_factory=Faults)
    repeats: Repeats = field(default_factory=Repeats)
    first_ms: int = 0
    last_tick_ms: int = 0


def look_through(plan: ReplayPlan, taken: Admission) -> Survey:
    """Read every row and send nothing. ``Incompatible`` if nothing can be sent, with all that is wrong."""
    found = survey(plan.inputs(taken))
    found.refuse()
    return found


async def run_replay(
    settings: Settings, topics: Topics, plan: ReplayPlan, on_progress: Progress | None = None, step: Step | None = None,
    known: Survey | None = None,
) -> Summary:  # fmt: skip
    """Send the plan's events and ticks. Interrupted at any point and run again, it goes on after its last tick.

    ``known``: what :func:`look_through` found, if that was asked already.
    """
    kafka = (settings.kafka_bootstrap, settings.kafka_client_options(), topics)
    await prepare_tools(*kafka, settings.replication_factor)
    await refuse_live(*kafka)
    if known is None:
        known = await asyncio.to_thread(look_through, plan, Admission.by(settings))
    identity = await asyncio.to_thread(plan.digest)
    timeline = await asyncio.to_thread(Timeline, events(plan.inputs(Admission.by(settings)), known, Faults()))
    summary = Summary(faults=known.faults, repeats=known.repeats, first_ms=timeline.first_ms)
    with timeline:
        now_ms = time.time_ns() // 1_000_000
        if plan.then_live and timeline.last_ms >= now_ms:
            raise Incompatible(
                f"the last record is of {rfc3339(timeline.last_ms)}, later than now: live time cannot go on from there"
            )
        async with ClockWriter(*kafka) as writer:
            _resume(writer, identity, timeline, summary)
            summary.announced = await announce(settings, topics)
            until = now_ms if plan.then_live else None
            pace = Pace(plan.every, plan.rate, until)
            await send(writer, topics, timeline, identity, summary, pace, Hooks(on_progress, step))
            if plan.then_live:
                await writer.hand_over()
    return summary


def _resume(writer: ClockWriter, identity: str, timeline: Timeline, summary: Summary) -> None:
    stand = writer.stand
    if stand.at_ms and stand.digest == identity:
        summary.resumed_from_row = stand.row
    elif stand.at_ms > timeline.first_ms:
        raise Incompatible(
            f"the clock of this prefix stands at {rfc3339(stand.at_ms)}, this replay begins at "
            f"{rfc3339(timeline.first_ms)}: time does not go back. Use another PLUMBLINE_INPUT_PREFIX."
        )


class Pace(NamedTuple):
    """Time between ticks, rows per second of wall time (``None``: as fast as the broker takes them), and the time
    (epoch ms) that no tick is later than."""

    every: Every
    rate: float | None = None
    until_ms: int | None = None


class Hooks(NamedTuple):
    """Who is called at each tick; ``serve`` makes the records of its events at the time when they are sent."""

    on_progress: Progress | None = None
    step: Step | None = None
    serve: Serve | None = None


async def send(
    writer: ClockWriter, topics: Topics, timeline: Timeline, identity: str, summary: Summary, pace: Pace, hooks: Hooks
) -> None:
    """Send the timeline's events after ``summary.resumed_from_row``, a transaction for each tick.

    ``identity``: of the replay, noted beside the position it reached.
    """
    every, rate, until_ms = pace
    on_progress, step, serve = hooks
    done = summary.resumed_from_row
    at_ms = writer.stand.at_ms or timeline.first_ms - 1
    end_ms = last_tick(timeline.last_ms)
    if until_ms is not None:
        end_ms = min(end_ms, until_ms)
    iterator = _skip(iter(timeline), done)
    upcoming = next(iterator, None)
    started = time.monotonic()
    while at_ms < end_ms:
        at_ms = min(end_ms, next_tick(at_ms, upcoming.at_ms if upcoming is not None else None, every))
        batch: list[TimelineEvent] = []
        while upcoming is not None and upcoming.at_ms < at_ms:
            batch.append(upcoming)
            upcoming = next(iterator, None)
        done += len(batch)
        if serve is not None:
            batch = serve(batch)
        rows = ((topics.predictions if e.kind == PREDICTION else topics.outcomes, e.key, e.value) for e in batch)
        await writer.write(at_ms, rows, identity, done)
        made = sum(event.kind == PREDICTION for event in batch)
        summary.predictions += made
        summary.outcomes += len(batch) - made
        summary.ticks += 1
        summary.last_tick_ms = at_ms
        if on_progress is not None:
            on_progress(at_ms, done, timeline.count)
        if step is not None:
            await step(at_ms)
        if rate is not None:
            await asyncio.sleep(max(0.0, started + (done - summary.resumed_from_row) / rate - time.monotonic()))


def _skip(iterator: Iterator[TimelineEvent], count: int) -> Iterator[TimelineEvent]:
    for _ in range(count):
        next(iterator)
    return iterator


def options_summary(summary: Summary) -> dict[str, Any]:
    """The summary for ``--json``."""
    return {
        "predictions": summary.predictions,
        "outcomes": summary.outcomes,
        "ticks": summary.ticks,
        "resumed_from_row": summary.resumed_from_row,
        "bad_rows": summary.faults.count,
        "bad_rows_by_reason": summary.faults.by_reason,
        "first_bad_rows": summary.faults.first,
        "repeated_ids": summary.repeats.of_predictions,
        "repeated_ids_that_differ": summary.repeats.differing.count,
        "last_tick": rfc3339(summary.last_tick_ms) if summary.last_tick_ms else None,
    }

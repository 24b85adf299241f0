"""Load that goes on whatever brokers and workers do, and how long the pipeline stood still meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import IllegalOperation, KafkaError

from stream_app.core.labels.counts import MAX_RECORD_BYTES
from stream_app.errors import Unavailable
from stream_app.replay.clock_writer import ClockWriter
from stream_app.replay.follow import LogFollower
from tests.support.generate import Step
from tests.support.kafka_io import Prefix, until
from tests.support.worker import Worker

#: What a broker's end looks like to a client.
_AWAY = (KafkaError, IllegalOperation, Unavailable, OSError, TimeoutError)


@dataclass
class Moment:
    """When (monotonic seconds) a tick (epoch ms) was there."""

    when: float
    at_ms: int


@dataclass
class Steady:
    """Writes a step every ``pace_s``, follows the last log, and starts ``workers`` again that ended, as a supervisor
    does. Use as an async context manager; leaving it normally writes the rest without pause and waits for its end."""

    prefix: Prefix
    steps: Sequence[Step]
    workers: Sequence[Worker]
    pace_s: float
    written: list[Moment] = field(default_factory=list)
    carried: list[Moment] = field(default_factory=list)
    rows: int = 0
    restarts: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def __aenter__(self) -> Steady:
        self._tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._follow())]
        await self.until(lambda: self.carried, 60, "the first tick")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        try:
            if kind is None:
                self.pace_s = 0.0
                end = self.steps[-1][0]
                await self.until(lambda: self.carried[-1].at_ms >= end, 180, "the last tick")
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, condition: Any, bound_s: float, what: str) -> None:
        """Await it while the load goes on; what ends the load ends this too."""

        def done() -> Any:
            for task in self._tasks:
                if task.done() and task.exception() is not None:
                    task.result()
            return condition()

        try:
            await until(done, bound_s, what)
        except AssertionError as error:
            stands = f"written to {self.written[-1:]}, carried to {self.carried[-1:]} at {time.monotonic():.1f}"
            raise AssertionError(f"{error}; {stands}\n" + "\n".join(worker.tail() for worker in self.workers)) from None

    async def progress(self, bound_s: float, since: float | None = None) -> float:
        """Seconds from ``since`` (now) until a tick is carried that was written later."""
        began = time.monotonic() if since is None else since
        left = bound_s - (time.monotonic() - began)

        def goes_on() -> bool:
            later = [moment.at_ms for moment in self.written if moment.when > began]
            assert later or not self._tasks[0].done(), "the load was over before that: it has too few steps"
            return bool(later) and self.carried[-1].at_ms >= later[0]

        await self.until(goes_on, left, f"progress within {bound_s:.0f} s")
        return time.monotonic() - began

    def gaps(self, since: float) -> list[float]:
        """Seconds between ticks that were carried one after the other, from a moment until now."""
        moments = [since, *(moment.when for moment in self.carried if moment.when >= since), time.monotonic()]
        return [b - a for a, b in itertools.pairwise(moments)]

    async def _feed(self) -> None:
        topics = self.prefix.topics
        names = {"predictions": topics.predictions, "outcomes": topics.outcomes}
        due = time.monotonic()
        async with contextlib.AsyncExitStack() as stack:
            writer: ClockWriter | None = None
            for at, rows in self.steps:
                # the clock's writer packs nothing, and what is oversized fits its topic only when it is packed
                fits = [row for row in rows if len(row.value or b"") <= MAX_RECORD_BYTES]
                sent = [(names[row.topic], row.key.decode(), row.value or b"") for row in fits]
                while writer is None or writer.stand.at_ms < at:
                    try:
                        if writer is None:
                            # it reads where its predecessor came to: a commit whose answer was lost is not made twice
                            writer = await stack.enter_async_context(ClockWriter(self.prefix.bootstrap, {}, topics))
                        else:
                            await writer.write(at, sent)
                    except _AWAY:
                        writer = None
                        with contextlib.suppress(*_AWAY):
                            async with asyncio.timeout(10):
                                await stack.aclose()
                        await asyncio.sleep(0.2)  # a broker that is away has no condition to wait for
                self.written.append(Moment(time.monotonic(), at))
                self.rows += len(fits)
                due = max(due + self.pace_s, time.monotonic() - 1.0)
                await asyncio.sleep(max(0.0, due - time.monotonic()))  # the load's pace

    async def _follow(self) -> None:
        while True:
            with contextlib.suppress(*_AWAY):
                async with LogFollower(self.prefix.bootstrap, {}, self.prefix.topics) as follower:
                    while True:
                        self._supervise()
                        await follower.poll()
                        at = min(follower.ticks.values())
                        if at > (self.carried[-1].at_ms if self.carried else 0):
                            self.carried.append(Moment(time.monotonic(), at))
            self._supervise()
            await asyncio.sleep(0.2)

    def _supervise(self) -> None:
        for worker in self.workers:
            if worker.exit_code is not None:
                worker.start()
                self.restarts += 1

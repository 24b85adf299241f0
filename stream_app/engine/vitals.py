"""Is this process stuck? Asked from a thread of its own, because a loop that stands still cannot say so.

The process is stuck, and only a new one helps, if

- its event loop, or the one of the fetching thread, has not answered for a minute; or
- an open lane has had work that it could do at once, and has not taken a step, for ten minutes although the broker has
  answered within the last one.

A lane that is parked, recovering or waiting for a broker that cannot be reached is none of that: ending the process
would help nobody, and would take the other lanes along.

The watching thread asks every loop by a callback and adds up the time that an answer is outstanding, at most two of its
own periods at a time: a process that was stopped as a whole, or whose machine slept, has nothing to explain.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream_app.engine.lanes import Lane

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds after which silence is a fault."""

    #: of a loop
    silent_s: float = 60.0
    #: of an open lane that has work
    stuck_s: float = 600.0
    #: within which the broker must have answered for a lane to be blamed
    answered_s: float = 60.0
    #: between two questions
    beat_s: float = 1.0

    @classmethod
    def of(cls, silent_s: float) -> Limits:
        """In the proportions of the contract: a lane may stand still for ten times as long as a loop."""
        return cls(silent_s, 10 * silent_s, silent_s, min(1.0, silent_s / 10))


class LaneWatch:
    """Open lanes that have work and take no step. Lives in the lanes' own loop."""

    def __init__(self, lanes: Mapping[tuple[str, int], Lane], answered: Callable[[], float], limits: Limits) -> None:
        self._lanes = lanes
        self._answered = answered
        self._limits = limits
        #: lane → (its steps when it was last seen to move or to have nothing to do, since when)
        self._still: dict[tuple[str, int], tuple[object, int, float]] = {}

    def look(self, now: float) -> str | None:
        """Which lane is stuck, in a sentence. ``now``: monotonic seconds."""
        if not self._lanes:
            return None
        away = now - self._answered() > self._limits.answered_s
        still: dict[tuple[str, int], tuple[object, int, float]] = {}
        for key, lane in self._lanes.items():
            core = lane.core
            if core is None or away or not core.able():
                continue
            before = self._still.get(key)
            same = before is not None and before[0] is core and before[1] == core.steps
            still[key] = before if same and before is not None else (core, core.steps, now)
        self._still = still
        for (stage, partition), (_, _, since) in still.items():
            if now - since > self._limits.stuck_s:
                return f"lane {stage}-{partition} has had work for {now - since:.0f} s and has not taken a step"
        return None


class Vitals:
    """The watching thread; what it knows is read by whoever serves ``/livez``, in any thread."""

    def __init__(
        self,
        loops: Callable[[], Mapping[str, asyncio.AbstractEventLoop]],
        watch: LaneWatch,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``loops``: those that must answer, by what they are called; the first is the lanes' own."""
        self._loops = loops
        self._watch = watch
        self._limits = limits
        self._clock = clock
        self._silent: dict[asyncio.AbstractEventLoop, float] = {}
        self._asked: set[asyncio.AbstractEventLoop] = set()
        self._last = clock()
        self._stop = threading.Event()
        self._stuck: str | None = None
        self._said = False
        self.fault: str | None = None

    def start(self) -> None:
        """Watch from now on, until the process ends."""
        threading.Thread(target=self._run, name="vitals", daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(self._limits.beat_s):
            self.beat()
            if self.fault is not None and not self._said:
                log.critical("this process is stuck: %s; /livez says so, and its threads stand here:", self.fault)
                faulthandler.dump_traceback(sys.__stderr__ or 2)
            self._said = self.fault is not None

    def beat(self) -> None:
        """Ask every loop once more, and judge."""
        now = self._clock()
        passed, self._last = min(now - self._last, 2 * self._limits.beat_s), now
        loops = self._loops()
        for n, loop in enumerate(loops.values()):
            if loop in self._asked:
                self._silent[loop] = self._silent.get(loop, 0.0) + passed
                continue
            self._silent[loop] = 0.0
            self._asked.add(loop)
            with contextlib.suppress(RuntimeError):  # closed: it will never answer, and that is what is counted
                loop.call_soon_threadsafe(self._answer, loop, n == 0)
        for gone in [loop for loop in self._silent if loop not in loops.values()]:
            del self._silent[gone]
            self._asked.discard(gone)
        silent = [(name, self._silent[loop]) for name, loop in loops.items()]
        self.fault = next(
            (f"{name} has not answered for {s:.0f} s" for name, s in silent if s >= self._limits.silent_s), self._stuck
        )

    def _answer(self, loop: asyncio.AbstractEventLoop, of_the_lanes: bool) -> None:
        """In the loop that was asked."""
        self._asked.discard(loop)
        if of_the_lanes:
            self._stuck = self._watch.look(self._clock())

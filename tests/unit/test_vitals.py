"""When a process is stuck, and when it only looks like it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from stream_app.engine.vitals import LaneWatch, Limits, Vitals

LIMITS = Limits()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Loop:
    """An event loop that answers when it is told to."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.closed = False

    def call_soon_threadsafe(self, call: Callable[..., None], *args: Any) -> None:
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.calls.append(lambda: call(*args))

    def answer(self) -> None:
        calls, self.calls = self.calls, []
        for call in calls:
            call()


class Core:
    def __init__(self) -> None:
        self.steps = 0
        self.work = True

    def able(self) -> bool:
        return self.work


class Lane:
    def __init__(self) -> None:
        self.core: Core | None = Core()


class Process:
    """A worker's vitals with everything in the test's hands."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.main, self.fetch = Loop(), Loop()
        self.lane = Lane()
        self.lanes: Any = {("labels", 0): self.lane}
        self.heartbeat = self.clock.now
        self.broker = True
        loops: Any = {"the event loop": self.main, "the fetching thread": self.fetch}
        watch = LaneWatch(self.lanes, lambda: self.heartbeat, LIMITS)
        self.vitals = Vitals(lambda: loops, watch, LIMITS, self.clock)

    def run(self, seconds: float, *answering: Loop, step: bool = True) -> str | None:
        """Beats of a second; ``answering`` loops answer each."""
        for _ in range(int(seconds)):
            self.clock.now += 1.0
            if self.broker:
                self.heartbeat = self.clock.now
            if step and self.lane.core is not None:
                self.lane.core.steps += 1
            self.vitals.beat()
            for loop in answering:
                loop.answer()
        return self.vitals.fault


@pytest.fixture
def process() -> Process:
    return Process()


def test_a_process_whose_loops_answer_is_alive(process: Process) -> None:
    assert process.run(3_600, process.main, process.fetch) is None


@pytest.mark.parametrize(("silent", "name"), [("main", "the event loop"), ("fetch", "the fetching thread")])
def test_a_loop_that_is_silent_for_60_s_is_stuck_and_not_before(process: Process, silent: str, name: str) -> None:
    other = process.fetch if silent == "main" else process.main
    assert process.run(10, process.main, process.fetch) is None
    assert process.run(59, other) is None
    fault = process.run(3, other)
    assert fault is not None
    assert fault.startswith(f"{name} has not answered for 6")
    assert process.run(2, process.main, process.fetch) is None, "it answers again"


def test_a_closed_loop_never_answers(process: Process) -> None:
    process.run(5, process.main, process.fetch)
    process.fetch.closed = True
    assert process.run(70, process.main) is not None


def test_a_process_that_was_stopped_as_a_whole_is_not_stuck(process: Process) -> None:
    process.run(10, process.main, process.fetch)
    process.clock.now += 7_200  # SIGSTOP, or a machine that slept
    process.vitals.beat()
    assert process.vitals.fault is None
    assert process.run(5, process.main, process.fetch) is None


def test_an_open_lane_with_work_and_no_step_for_ten_minutes_is_stuck_while_the_broker_answers(process: Process) -> None:
    process.run(5, process.main, process.fetch)
    assert process.run(598, process.main, process.fetch, step=False) is None
    fault = process.run(10, process.main, process.fetch, step=False)
    assert fault is not None
    assert fault.startswith("lane labels-0 has had work for 60")
    assert process.run(2, process.main, process.fetch) is None, "it moves again"


@pytest.mark.parametrize("how", ["no work", "closed", "parked or recovering", "broker away"])
def test_a_lane_that_cannot_or_need_not_work_is_never_stuck(process: Process, how: str) -> None:
    if how == "no work":
        assert process.lane.core is not None
        process.lane.core.work = False
    elif how == "closed":
        process.lanes.clear()
    elif how == "parked or recovering":
        process.lane.core = None
    else:
        process.broker = False
    assert process.run(15 * 60, process.main, process.fetch, step=False) is None
    # and when the broker is back, the time without it does not count
    process.broker = True
    assert process.run(300, process.main, process.fetch, step=False) is None


def test_a_lane_that_was_opened_anew_begins_anew(process: Process) -> None:
    process.run(500, process.main, process.fetch, step=False)
    process.lane.core = Core()
    assert process.run(500, process.main, process.fetch, step=False) is None


def test_thresholds_scale_together() -> None:
    assert Limits.of(60.0) == LIMITS
    assert Limits.of(3.0) == Limits(3.0, 30.0, 3.0, 0.3)


async def test_the_watching_thread_sees_a_real_loop_that_stands_still() -> None:
    loop = asyncio.get_running_loop()
    limits = Limits(0.3, 3.0, 0.3, 0.02)
    vitals = Vitals(lambda: {"the event loop": loop}, LaneWatch({}, lambda: 0.0, limits), limits)
    vitals.start()
    try:
        await asyncio.sleep(0.1)
        assert vitals.fault is None
        while vitals.fault is None:
            # the loop is blocked: nothing is awaited in here
            vitals._stop.wait(0.02)
        assert vitals.fault.startswith("the event loop has not answered")
        async with asyncio.timeout(30):
            while vitals.fault is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        vitals.stop()

"""The leader of the clock beside a broker whose time jumps, second by second, without a broker."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.clock import decode_tick
from stream_app.engine import live_clock
from stream_app.engine.live_clock import LiveClock
from stream_app.kafka.topics import Topics

TOPICS = Topics("x.", "x.", 2, 2)


class World:
    """A stop watch, a broker's clock beside it, and what was written."""

    def __init__(self) -> None:
        self.watch = 1_000.0
        self.ahead = 0.0
        self.ticks: list[int] = []
        self.wall = time.time()

    def broker_ms(self) -> int:
        return int((self.wall + self.watch + self.ahead) * 1000)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def send(self, topic: str, value: bytes, partition: int) -> asyncio.Future[Any]:
        with contextlib.suppress(ValueError):  # written as the jump came: too far from the record's time, all refuse it
            tick = decode_tick(value, 0, self.broker_ms())
            if tick is not None:
                self.ticks.append(tick.at_ms)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result(SimpleNamespace(timestamp=self.broker_ms()))
        return answer


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> tuple[World, Callable[..., LiveClock]]:
    world = World()
    monkeypatch.setattr(
        live_clock, "time", SimpleNamespace(monotonic=lambda: world.watch, time=lambda: world.wall + world.watch)
    )

    def make(**options: bool) -> LiveClock:
        config: Any = SimpleNamespace()
        clock = LiveClock(config, TOPICS, **options)
        patched: Any = clock
        patched._producer = world
        patched._ends = _nothing_moves
        return clock

    return world, make


async def _nothing_moves() -> dict[Any, int]:
    return {}


async def _seconds(world: World, clock: LiveClock, until: Callable[[], bool], most: int = 120) -> int:
    """How many beats it takes."""
    for second in range(most):
        if until():
            return second
        world.watch += 1
        await clock.beat()
    raise AssertionError("it never came")


@pytest.mark.parametrize("jump", [600.0, -600.0])
@pytest.mark.parametrize("after", [1, 20, 59])
async def test_a_jump_is_named_within_half_a_minute_though_no_input_moves_and_moves_no_tick(
    made: tuple[World, Callable[..., LiveClock]], jump: float, after: int
) -> None:
    world, make = made
    clock = make()
    await _seconds(world, clock, lambda: bool(world.ticks))
    for _ in range(after):
        world.watch += 1
        await clock.beat()
    assert clock.waits_for is None
    world.ahead = jump
    assert await _seconds(world, clock, lambda: clock.waits_for is not None) <= 30
    assert "its stop watch since the last tick says" in str(clock.waits_for)
    known = len(world.ticks)
    await _seconds(world, clock, lambda: world.watch > 1_300, 400)
    assert len(world.ticks) == known, "none is written while it is doubted"
    world.ahead = 0
    await _seconds(world, clock, lambda: clock.waits_for is None)
    await _seconds(world, clock, lambda: len(world.ticks) > known)
    assert all(abs(after - before) < 600_000 for before, after in zip(world.ticks, world.ticks[1:], strict=False))


async def test_one_that_is_told_to_trusts_it(made: tuple[World, Callable[..., LiveClock]]) -> None:
    world, make = made
    clock = make(trust_broker_time=True)
    await _seconds(world, clock, lambda: bool(world.ticks))
    known, world.ahead = world.ticks[-1], 600.0
    await _seconds(world, clock, lambda: world.ticks[-1] >= known + 600_000)
    assert clock.waits_for is None

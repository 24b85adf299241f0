"""Back-pressure: which inputs a lane asks no more of while its queues are full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from stream_app.engine.inbox import Clock, Input
from stream_app.engine.protocol import StageSpec

#: Ticks a lane may hold before it asks for no more; a tick is about 1 kB decoded.
MAX_TICKS: Final = 1_000


class Pressure:
    """Paused inputs of one lane. What the tick in hand needs may fill its queue twice: of such an input everything that
    waits can be handled at once, so it is asked for again as soon as that is done.

    ``fetch`` is told of an input whether more of it is to be fetched.
    """

    def __init__(self, spec: StageSpec, buffer_bytes: int, fetch: Callable[[str, bool], None]) -> None:
        self.paused: set[str] = set()
        self._spec = spec
        self._buffer_bytes = buffer_bytes
        self._fetch = fetch

    def received(self, alias: str, item: Input, clock: Clock | None) -> None:
        """Ask for no more of an input that has filled its queue."""
        if item.bytes > self._buffer_bytes * (2 if self._needed(alias, item, clock) else 1):
            self._pause(alias)

    def ticked(self, clock: Clock) -> None:
        """Ask for no more ticks while too many wait, and for more once half of them are handled."""
        if len(clock.ticks) > MAX_TICKS:
            self._pause("clock")
        elif "clock" in self.paused and len(clock.ticks) < MAX_TICKS // 2:
            self._resume("clock")

    def ease(self, inputs: dict[str, Input], clock: Clock | None) -> None:
        """Ask for more where there is room again, or where the tick in hand needs it."""
        for alias in self.paused - {"clock"}:
            item = inputs[alias]
            if item.bytes < self._buffer_bytes // 2 or self._needed(alias, item, clock):
                self._resume(alias)

    def _needed(self, alias: str, item: Input, clock: Clock | None) -> bool:
        """Whether the current tick cannot be handled without more of this input."""
        head = clock.current() if clock is not None else None
        topic = self._spec.gated.get(alias)
        if head is None or topic is None:
            return False
        return item.arrived < head[0].end_offsets.get(topic, 0)

    def _pause(self, alias: str) -> None:
        if alias not in self.paused:
            self.paused.add(alias)
            self._fetch(alias, False)

    def _resume(self, alias: str) -> None:
        self.paused.discard(alias)
        self._fetch(alias, True)

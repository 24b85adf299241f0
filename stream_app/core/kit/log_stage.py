"""What the stages behind metrics share: one log as their only input, with its ticks inside."""

from __future__ import annotations

from schemas.clock import TickView


class LogStage:
    """Base of a stage that reads one log in order. It waits for nothing: ticks stand in the log."""

    live = False

    def waiting_for(self, tick: TickView) -> str | None:
        """Nothing: the log is its only input."""
        return None

    def advance(self, tick: TickView) -> bool:
        """Ticks stand in the log."""
        return True

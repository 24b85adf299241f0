"""What the stages behind metrics share: one log as their only input, with its ticks inside."""

from __future__ import annotations

from typing import Final

from schemas.clock import TickView

#: What a call of ``accept`` handles of the epochs whose ticks it meets, in whole batches: entries of at most some 20 kB
#: and .3 ms as a rule. More: a checkpoint is larger, and other lanes wait longer. It never changes a result.
A_STEP: Final = 256


class LogStage:
    """Base of a stage that reads one log in order. It waits for nothing: ticks stand in the log.

    An epoch may be large (a settings file can speak of 100,000 models in one second), so its tick is handled in steps:
    what is done is gone from the table, and the tick is handed in again after a checkpoint until nothing is left.
    """

    live = False

    def waiting_for(self, tick: TickView) -> str | None:
        """Nothing: the log is its only input."""
        return None

    def advance(self, tick: TickView) -> bool:
        """Ticks stand in the log."""
        return True

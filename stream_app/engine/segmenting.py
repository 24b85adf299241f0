"""How a table's entries fall into time segments, as data: what a stage says, a store does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

#: Segments that a table keeps.
SEGMENTS: Final = 6


@dataclass(frozen=True, slots=True)
class Segmenting:
    """How a table's entries fall into time segments."""

    #: UTC day of a value (days since 1970)
    day_of: Callable[[bytes], int]
    #: longest time an entry counts, in whole days
    horizon_days: int
    #: what values are there, of those that a lane state keeps count of
    counted: Callable[[Iterable[bytes]], Counter[Any]] = lambda values: Counter()
    #: what a lane state says must be there
    promised: Callable[[bytes], Counter[Any]] = lambda lane_state: Counter()

    @property
    def span(self) -> int:
        """Days a segment covers, so that six of them hold the horizon and the day in progress."""
        return -(-(self.horizon_days + 1) // (SEGMENTS - 1))

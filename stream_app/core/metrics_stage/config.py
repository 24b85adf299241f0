"""What the metrics stage needs to know of the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineRules:
    """Rules of a line. ``assume_after_days``: unlabelled predictions count as negatives that many days after their
    day's end; ``None``: never."""

    label_delay_days: int = 1
    assume_after_days: int | None = None


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Settings of the metrics lanes. ``rules`` is pure: the same line gives the same rules while the worker runs."""

    sources: int
    partitions: int
    source: str
    rules: Callable[[str], LineRules]
    #: every value of LineRules.label_delay_days and assume_after_days that any line has
    label_delays: tuple[int, ...] = (1,)
    assume_days: tuple[int, ...] = ()
    retention_days: int = 90
    #: cells handled by one call of advance; bounds a checkpoint, never changes a result
    cells_a_step: int = 400

"""What the metrics stage needs to know of the settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from stream_app.core.changes import Change
from stream_app.core.comparisons.rules import ComparisonRules


@dataclass(frozen=True, slots=True)
class LineRules:
    """Rules of a line. ``assume_after_days``: unlabelled predictions count as negatives that many days after their
    day's end; ``None``: never."""

    label_delay_days: int = 1
    assume_after_days: int | None = None
    #: predictions in an hour, and the share of them, that make another version the active one
    observed_min_predictions: int = 30
    observed_share: float = 0.5
    comparison: ComparisonRules = field(default_factory=ComparisonRules)
    #: which checks run at all
    monitoring: bool = True
    statistical: bool = True
    performance: bool = True
    #: how a version is compared with the one before it
    rollback_metrics: tuple[str, ...] = ("accuracy",)
    probation_first_look_h: float = 24.0
    probation_days: int = 14
    probation_previous_days: int = 7


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Settings of the metrics lanes. ``rules`` is pure: the same line gives the same rules until a change."""

    sources: int
    partitions: int
    source: str
    rules: Callable[[str], LineRules]
    #: every value of LineRules.assume_after_days that any line has
    assume_days: tuple[int, ...] = ()
    retention_days: int = 90
    #: cells handled by one call of advance; bounds a checkpoint, never changes a result
    cells_a_step: int = 400
    #: digest of the settings that decisions depend on
    settings_hash: str = "0" * 16
    #: the config after a change of settings
    change: Callable[[Change], MetricsConfig] | None = None

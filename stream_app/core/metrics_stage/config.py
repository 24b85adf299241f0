"""What the metrics stage needs to know of the settings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.hourly.rules import HourlyRules
from stream_app.core.kit.live_settings import LiveSettings, Resolver, SettingsStore, Values
from stream_app.core.metrics_stage.active_version import ObservedRules

#: Metrics about the positives: types judged by one of them lose what they miss.
BY_POSITIVES: Final = frozenset(("recall", "pr_auc"))


@dataclass(frozen=True, slots=True)
class ModelRules:
    """Rules of a model. ``assume_after_days``: unlabelled predictions count as negatives that many days after their
    day's end; ``None``: never."""

    label_delay_days: int = 1
    assume_after_days: int | None = None
    observed: ObservedRules = field(default_factory=ObservedRules)
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
    probation_dispersion_days: int = 14
    #: whether repairs are proposed, and by which metric they are judged
    repair_first: bool = True
    primary_metric: str = "accuracy"
    hourly_alerts: Literal["on", "shadow", "off"] = "on"
    false_alert_budget: float = 1.0
    #: metrics whose bounds the policy ``floor`` asks for
    floor_metrics: tuple[str, ...] = ()

    @property
    def hourly(self) -> HourlyRules:
        """What the hourly tier takes of them."""
        metrics, compared = self.comparison.performance_metrics, self.comparison
        positives = not BY_POSITIVES.isdisjoint(metrics)
        return HourlyRules(self.label_delay_days, positives, compared.weekend, self.false_alert_budget)


class MetricsResolver(Resolver[ModelRules], Protocol):
    """Makes the rules of models, and finds without reading them by which days they count what nobody labelled."""

    def assume_days(self, everywhere: Any, of_types: Mapping[str, Values], marks: Collection[str]) -> tuple[int, ...]:
        """Every value of ``assume_after_days`` that any model can have."""
        ...


@dataclass(frozen=True, slots=True)
class MetricsConfig:
    """Settings of the metrics lanes."""

    sources: int
    partitions: int
    source: str
    rules: MetricsResolver
    retention_days: int = 90
    #: cells handled by one call of advance; bounds a checkpoint, never changes a result
    cells_a_step: int = 400


class MetricsSettings(LiveSettings[MetricsConfig, ModelRules]):
    """The lane's settings under change."""

    def __init__(self, config: MetricsConfig, table: SettingsStore) -> None:
        super().__init__(config, config.rules, table)
        self._days: tuple[int, tuple[int, ...]] | None = None

    def assume_days(self) -> tuple[int, ...]:
        """Every value of ``assume_after_days`` that any model can have now."""
        if self._days is None or self._days[0] != self.applied:
            days = self.config.rules.assume_days(self.everywhere(), self.of_types(), self.marks())
            self._days = (self.applied, days)
        return self._days[1]

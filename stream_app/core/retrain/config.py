"""What the retrain stage takes from the settings. Fields have the settings' own names, units and defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.core.kit.live_settings import Fixed, LiveSettings, Resolver, SettingsStore


@dataclass(frozen=True, slots=True)
class Flags:
    """What may happen by itself on a model. ``environment`` stands in the reason of a refusal."""

    monitoring: bool = True
    statistical_drift: bool = True
    performance_drift: bool = True
    #: the master switch
    auto_retrain: bool = False
    #: the model's model type
    model_type: bool = False
    #: the model's tenant; true for global models
    tenant: bool = False
    environment: str = "production"


@dataclass(frozen=True, slots=True)
class RetrainRules:
    """Numbers of section 5 for one model."""

    require_manual_approval: bool = False
    retrain_cooldown_days: float = 7.0
    retrain_min_samples: int = 100
    repair_first: bool = True
    retrain_range_days: int = 30
    retrain_backoff_h: float = 1.0
    retrain_policies: tuple[str, ...] = ("drift",)
    retrain_every_days: int = 20
    retrain_every_labels: int = 0
    retrain_floor_checks: int = 3
    retrain_floor_wait_days: int = 7
    retrain_floor_wait_most_days: int = 112
    retrain_at_once: int = 4
    holdout_share: float = 0.2
    min_coverage: float = 0.5
    maturity_checks: int = 3
    label_delay_days: int = 1
    unlabelled_as: str = "unknown"
    unlabelled_after_days: int = 30
    retrain_ranges: tuple[str, ...] = ("onset", "30d", "all")
    retrain_all_days: int = 180
    holdout_min_rows: int = 100
    holdout_min_class: int = 30
    holdout_max_days: int = 30
    approval_lapses_h: float = 72.0
    circuit_failures: int = 2
    command_accept_min: float = 10.0
    command_finish_h: float = 6.0
    command_attempts: int = 3
    validation_floors: Mapping[str, float] = field(default_factory=dict)
    validation_min_gain_points: float = 0.0
    primary_metric: str = "first"
    performance_metrics: tuple[str, ...] = ("accuracy", "precision")
    rollback_metrics: tuple[str, ...] = ("accuracy",)
    probation_first_look_h: float = 24.0
    probation_days: int = 14
    probation_drop_points: float = 5.0
    probation_min_labelled: int = 100
    probation_min_denominator: int = 30

    @property
    def primary(self) -> str:
        """The metric that decides between a candidate and the active version."""
        return self.performance_metrics[0] if self.primary_metric == "first" else self.primary_metric


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """All that one step of a model's coordinator may depend on beside its state."""

    model: str
    rules: RetrainRules = field(default_factory=RetrainRules)
    flags: Flags = field(default_factory=Flags)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the settings make of a model: the numbers, and what may happen by itself."""

    rules: RetrainRules = field(default_factory=RetrainRules)
    flags: Flags = field(default_factory=Flags)


@dataclass(frozen=True, slots=True)
class RetrainConfig:
    """Settings of the retrain lanes."""

    #: CloudEvents source
    source: str
    #: topic that trainers and the deployer answer on; the lane's own partition of it
    reply_topic: str
    rules: Resolver[Allowed] = field(default_factory=lambda: Fixed(lambda model: Allowed()))
    #: days that counts of labels are remembered: the longest range, and what may come between its end and today
    history_days: int = 240


class RetrainSettings(LiveSettings[RetrainConfig, Allowed]):
    """The lane's settings under change."""

    def __init__(self, config: RetrainConfig, table: SettingsStore) -> None:
        super().__init__(config, config.rules, table)

    def of(self, model: str) -> ModelConfig:
        """What holds for one model."""
        allowed = self.rules_of(model)
        return ModelConfig(model, allowed.rules, allowed.flags)

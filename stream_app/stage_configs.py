"""What each stage takes from the settings, and what it makes of settings that changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any, TypeVar

from stream_app.core.alerts import AlertsConfig
from stream_app.core.alerts.rules import AlertRules
from stream_app.core.comparisons.labels import WITH_LIMITS
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.drift import DriftConfig
from stream_app.core.kit.live_settings import Values
from stream_app.core.labels.config import LabelsConfig, NameLimits, TypeRules, labels_partition
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.active_version import ObservedRules
from stream_app.core.metrics_stage.config import ModelRules
from stream_app.core.retrain import Flags, RetrainConfig, RetrainRules
from stream_app.core.retrain.config import Allowed
from stream_app.kafka.topics import Topics
from stream_app.pipeline import Configs
from stream_app.settings import Settings, base
from stream_app.settings.layers import Everywhere
from stream_app.settings.resolver import StageRules

R = TypeVar("R")


class MetricsRules(StageRules[ModelRules]):
    """Metrics visits a day's cells once for each number of days after which any model counts them as negatives."""

    def mark(self, model: str, own: Values) -> str | None:
        """What a model says of predictions without an outcome; at most 3 × 91 marks."""
        if "unlabelled_as" not in own and "unlabelled_after_days" not in own:
            return None
        mine = self._layers.own(model, own)
        return f"{mine.get('unlabelled_as', '')}:{mine.get('unlabelled_after_days', '')}"

    def assume_days(
        self, everywhere: Everywhere, of_types: Mapping[str, Values], marks: Collection[str]
    ) -> tuple[int, ...]:
        """Every number of days that a type, or a model of any type with one of the marks, can have."""
        layers, found = self._layers, set()
        said = {self.mark(model, own) for model, own in layers.models.items()}
        pairs = [(None, None), *(mark.split(":") for mark in {*marks, *said} if mark is not None)]
        for name in {"", *self.types, *of_types}:
            rules = layers.of_type(everywhere, name, of_types.get(name, {})).rules
            for what, days in pairs:
                if (what or rules["unlabelled_as"]) == "negative":
                    found.add(int(days or rules["unlabelled_after_days"]))
        return tuple(sorted(found))


def configs(settings: Settings, topics: Topics) -> Configs:
    """What every stage is set up with when a worker starts.

    Behind the labels, whatever can change while it runs comes by commands, what stands in the file too.
    """
    first = base(settings)
    return Configs(
        labels_config(settings),
        metrics_config(first),
        drift_config(first),
        retrain_config(first, topics.training_results),
        alerts_config(first),
    )


def labels_config(settings: Settings) -> LabelsConfig:
    """What the labels stage takes from the settings."""

    others, *named = ((name, settings.for_type(name)) for name in ("", *settings.named_types))
    known = {name: TypeRules(rules.scope, rules.pending_horizon_days) for name, rules in named}
    default = TypeRules(others[1].scope, others[1].pending_horizon_days)

    return LabelsConfig(
        source=0,
        targets=settings.model_partitions,
        rules=lambda model_type: known.get(model_type, default),
        partition_of=labels_partition(settings.model_partitions),
        min_horizon_days=settings.min_horizon_days,
        max_horizon_days=settings.max_horizon_days,
        early_outcome_days=settings.early_outcome_days,
        max_age_days=settings.max_prediction_age_days,
        future_ms=int(settings.future_tolerance_s * 1000),
        narrow_below=settings.for_type("").narrow_interval_below,
        max_record_bytes=settings.max_record_bytes,
        limits=NameLimits(
            types=settings.max_model_types,
            models=settings.max_models,
            versions=settings.max_versions_per_model,
            pairs=settings.max_versions,
        ),
        names_days=settings.cell_retention_days,
        refresh_days=max(1, settings.max_horizon_days // 4),
    )


def metrics_config(settings: Settings) -> MetricsConfig:
    """What the metrics stage takes from the settings."""

    def rules(known: Settings, of: Values, model: str) -> ModelRules:
        return ModelRules(
            of["label_delay_days"],
            of["unlabelled_after_days"] if of["unlabelled_as"] == "negative" else None,
            ObservedRules(
                of["observed_share"],
                of["observed_min_predictions"],
                of["observed_daily_predictions"],
                of["observed_days"],
                of["observed_pause_h"],
            ),
            _named(ComparisonRules, of),
            known.monitoring,
            known.statistical_drift,
            known.performance_drift,
            of["rollback_metrics"],
            of["probation_first_look_h"],
            of["probation_days"],
            of["probation_previous_days"],
            of["probation_dispersion_days"],
            of["repair_first"],
            of["performance_metrics"][0] if of["primary_metric"] == "first" else of["primary_metric"],
            of["hourly_alerts"],
            of["false_alert_budget"],
            tuple(
                name for name in WITH_LIMITS if name in of["validation_floors"] and "floor" in of["retrain_policies"]
            ),
        )

    return MetricsConfig(
        sources=settings.input_partitions,
        partitions=settings.model_partitions,
        source=f"/plumbline/{settings.app_id}",
        rules=MetricsRules(settings, rules),
        retention_days=settings.cell_retention_days,
        cells_a_step=settings.cells_per_checkpoint,
    )


def comparison_rules(settings: Settings, model: str) -> ComparisonRules:
    """Thresholds of a model's comparisons."""
    return _named(ComparisonRules, dict(settings.for_model(model)))


def drift_config(settings: Settings) -> DriftConfig:
    """What the drift stage takes from the settings."""
    return DriftConfig(
        source=f"/plumbline/{settings.app_id}",
        rules=StageRules(settings, lambda known, of, model: _named(ComparisonRules, of)),
    )


def alerts_config(settings: Settings) -> AlertsConfig:
    """What the alerts stage takes from the settings."""
    return AlertsConfig(
        source=f"/plumbline/{settings.app_id}",
        link=settings.dashboard_url,
        model_partitions=settings.model_partitions,
        rules=StageRules(settings, lambda known, of, model: _named(AlertRules, of)),
    )


def retrain_config(settings: Settings, reply_topic: str) -> RetrainConfig:
    """What the retrain stage takes from the settings; trainers and the deployer answer on ``reply_topic``."""
    return RetrainConfig(
        source=f"/plumbline/{settings.app_id}",
        reply_topic=reply_topic,
        rules=StageRules(
            settings, lambda known, of, model: Allowed(_named(RetrainRules, of), _flags(known, model)), by_name=True
        ),
    )


def _flags(known: Settings, model: str) -> Flags:
    """What may happen by itself on a model."""
    model_type, _, tenant = model.partition(":")
    of_type = {"conflict": known.auto_retrain_conflict, "fraud": known.auto_retrain_fraud, **known.auto_retrain_types}
    tenants = known.auto_retrain_tenants
    return Flags(
        monitoring=known.monitoring,
        statistical_drift=known.statistical_drift,
        performance_drift=known.performance_drift,
        auto_retrain=known.auto_retrain,
        model_type=of_type.get(model_type, False),
        tenant=tenant == "global" or "*" in tenants or tenant in tenants,
        environment=known.environment,
    )


def _named(kind: type[R], rules: Values) -> R:
    """A stage's rules by the names their fields have; they are the settings' own."""
    return kind(*[rules[name] for name in _names(kind)])  # type: ignore[arg-type]


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))

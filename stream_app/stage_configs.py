"""What each stage takes from the settings, and from settings that changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from stream_app.core.alerts import AlertsConfig
from stream_app.core.alerts.rules import AlertRules
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.drift import DriftConfig
from stream_app.core.labels.config import LabelsConfig, NameLimits, TypeRules, labels_partition
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import LineRules
from stream_app.core.retrain import Flags, RetrainConfig, RetrainRules
from stream_app.settings import Settings, changed

R = TypeVar("R")


def labels_config(settings: Settings) -> LabelsConfig:
    """What the labels stage takes from the settings."""

    others, *named = ((name, settings.for_type(name)) for name in ("", *settings.named_types))
    known = {name: TypeRules(rules.scope, rules.pending_horizon_days) for name, rules in named}
    default = TypeRules(others[1].scope, others[1].pending_horizon_days)

    return LabelsConfig(
        source=0,
        targets=settings.line_partitions,
        rules=lambda model_type: known.get(model_type, default),
        partition_of=labels_partition(settings.line_partitions),
        min_horizon_days=settings.min_horizon_days,
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

    def rules(line: str) -> LineRules:
        known = settings.for_line(line)
        return LineRules(
            known.label_delay_days,
            known.unlabelled_after_days if known.unlabelled_as == "negative" else None,
            known.observed_min_predictions,
            known.observed_share,
            comparison_rules(settings, line),
            settings.monitoring,
            settings.statistical_drift,
            settings.performance_drift,
            known.rollback_metrics,
            known.probation_first_look_h,
            known.probation_days,
            known.probation_previous_days,
        )

    # what a line says of other things gives no further value
    own = [line for line, rules in settings.lines.items() if any(key.startswith("unlabelled_") for key in rules)]
    distinct = [rules(line) for line in ("", "conflict:", "fraud:", *(f"{t}:" for t in settings.types), *own)]
    return MetricsConfig(
        sources=settings.input_partitions,
        partitions=settings.line_partitions,
        source=f"/plumbline/{settings.app_id}",
        rules=_by_line(settings, rules),
        assume_days=tuple(sorted({r.assume_after_days for r in distinct if r.assume_after_days is not None})),
        retention_days=settings.cell_retention_days,
        cells_a_step=settings.cells_per_checkpoint,
        settings_hash=settings.hash(),
        change=lambda change: metrics_config(changed(settings, change)),
    )


def comparison_rules(settings: Settings, line: str) -> ComparisonRules:
    """Thresholds of a line's comparisons."""
    return ComparisonRules(**_fields(ComparisonRules, settings, line))


def drift_config(settings: Settings) -> DriftConfig:
    """What the drift stage takes from the settings."""
    return DriftConfig(
        source=f"/plumbline/{settings.app_id}",
        rules=_by_line(settings, lambda line: comparison_rules(settings, line)),
        settings_hash=settings.hash(),
        change=lambda change: drift_config(changed(settings, change)),
    )


def alerts_config(settings: Settings) -> AlertsConfig:
    """What the alerts stage takes from the settings."""
    return AlertsConfig(
        source=f"/plumbline/{settings.app_id}",
        link=settings.dashboard_url,
        rules=_by_line(settings, lambda line: AlertRules(**_fields(AlertRules, settings, line))),
        settings_hash=settings.hash(),
        change=lambda change: alerts_config(changed(settings, change)),
    )


def retrain_config(settings: Settings, reply_topic: str) -> RetrainConfig:
    """What the retrain stage takes from the settings; trainers and the deployer answer on ``reply_topic``."""
    of_type = {
        "conflict": settings.auto_retrain_conflict,
        "fraud": settings.auto_retrain_fraud,
        **settings.auto_retrain_types,
    }
    tenants = settings.auto_retrain_tenants

    def flags(line: str) -> Flags:
        model_type, _, tenant = line.partition(":")
        return Flags(
            monitoring=settings.monitoring,
            statistical_drift=settings.statistical_drift,
            performance_drift=settings.performance_drift,
            auto_retrain=settings.auto_retrain,
            model_type=of_type.get(model_type, False),
            tenant=tenant == "global" or "*" in tenants or tenant in tenants,
            environment=settings.environment,
        )

    return RetrainConfig(
        source=f"/plumbline/{settings.app_id}",
        reply_topic=reply_topic,
        rules=_by_line(settings, lambda line: RetrainRules(**_fields(RetrainRules, settings, line))),
        flags=flags,
        settings_hash=settings.hash(),
        history_days=settings.cell_retention_days,
        change=lambda change: retrain_config(changed(settings, change), reply_topic),
    )


def _fields(kind: type, settings: Settings, line: str) -> dict[str, Any]:
    """The line's settings by the names the stage's rules have; they are the settings' own."""
    known = settings.for_line(line)
    return {field.name: getattr(known, field.name) for field in dataclasses.fields(kind)}


def _by_line(settings: Settings, rules: Callable[[str], R]) -> Callable[[str], R]:
    """Resolve each type once, and each line that has settings of its own."""
    look_up = _remembered(rules)
    return lambda line: look_up(line if line in settings.lines else line.partition(":")[0] + ":")


def _remembered(rules: Callable[[str], R]) -> Callable[[str], R]:
    """Resolve each name once: a change of settings makes a config of its own."""
    known: dict[str, R] = {}

    def look_up(name: str) -> R:
        found = known.get(name)
        if found is None:
            found = known[name] = rules(name)
        return found

    return look_up

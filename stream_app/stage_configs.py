"""What each stage takes from the settings, and what it makes of settings that changed since."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any, Generic, NamedTuple, TypeVar

from stream_app.core.active_version import ObservedRules
from stream_app.core.alerts import AlertsConfig
from stream_app.core.alerts.rules import AlertRules
from stream_app.core.changes import Change
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.drift import DriftConfig
from stream_app.core.labels.config import LabelsConfig, NameLimits, TypeRules, labels_partition
from stream_app.core.live_settings import Held, Values
from stream_app.core.metrics_stage import MetricsConfig
from stream_app.core.metrics_stage.config import LineRules
from stream_app.core.retrain import Flags, RetrainConfig, RetrainRules
from stream_app.core.retrain.config import Allowed
from stream_app.settings import Settings, settings_hash
from stream_app.settings.layers import Everywhere, Layers, OfType

R = TypeVar("R")

#: Makes a stage's rules of what holds for all, of the rules that hold for the model, and of its name.
View = Callable[[Settings, Values, str], R]


class _Level(NamedTuple, Generic[R]):
    """What holds for a type, and what a stage makes of it for a model without settings of its own."""

    of_type: OfType
    held: Held[R]


class StageRules(Generic[R]):
    """A stage's resolver (:class:`~stream_app.core.live_settings.Resolver`): its view of the layers of settings.

    ``by_name``: the view depends on the model's name too, so that no two models share what it makes.
    """

    def __init__(self, base: Settings, view: View[R], *, by_name: bool = False) -> None:
        self._layers = Layers(base)
        self._view = view
        self._by_name = by_name

    def __call__(self, model: str) -> R:
        """Rules of a model before anything was changed."""
        level = self.of_type(self.everywhere({}), model.partition(":")[0], {})
        return self.of_model(level, model, {}).rules

    @property
    def types(self) -> Collection[str]:
        """Types that have settings of their own from the start."""
        return self._layers.types

    def everywhere(self, values: Values) -> Everywhere:
        """What holds for all."""
        return self._layers.everywhere(values)

    def hash_of_all(self, everywhere: Everywhere) -> str:
        """Digest of what holds for all."""
        return everywhere.hash

    def of_type(self, everywhere: Everywhere, model_type: str, values: Values) -> _Level[R]:
        """What holds for a type."""
        known = self._layers.of_type(everywhere, model_type, values)
        return _Level(known, Held(self._view(everywhere.settings, known.rules, f"{model_type}:"), known.hash))

    def of_model(self, level: _Level[R], model: str, own: Values) -> Held[R]:
        """What holds for a model; own values that contradict its type's are set aside."""
        of_type, mine = level.of_type, self._layers.own(model, own)
        if not mine and not self._by_name:
            return level.held
        for name in self._layers.aside(of_type, mine):
            del mine[name]
        rules = {**of_type.rules, **mine}
        hash = settings_hash({**of_type.everywhere.view, **rules}) if mine else of_type.hash
        return Held(self._view(of_type.everywhere.settings, rules, model), hash)

    def check_type(self, everywhere: Everywhere, model_type: str, values: Values) -> None:
        """``ValueError`` if a type's values contradict what holds for all."""
        self._layers.check_type(everywhere, model_type, values)

    def enter_everywhere(self, before: Values, changes: Values) -> dict[str, Any]:
        """What is set for all after a change."""
        return self._layers.enter_everywhere(before, changes)

    def enter_type(self, model_type: str, before: Values, changes: Values) -> dict[str, Any]:
        """What is set for a type after a change."""
        return self._layers.enter_type(model_type, before, changes)

    def enter_model(self, level: _Level[R], change: Change, before: Values) -> dict[str, Any]:
        """What is set for a model after a change."""
        return self._layers.enter_model(level.of_type, change, before)

    def mark(self, model: str, own: Values) -> str | None:
        """Nothing is looked for."""
        return None


class MetricsRules(StageRules[LineRules]):
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

    def rules(known: Settings, of: Values, model: str) -> LineRules:
        return LineRules(
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
        )

    return MetricsConfig(
        sources=settings.input_partitions,
        partitions=settings.line_partitions,
        source=f"/plumbline/{settings.app_id}",
        rules=MetricsRules(settings, rules),
        retention_days=settings.cell_retention_days,
        cells_a_step=settings.cells_per_checkpoint,
    )


def comparison_rules(settings: Settings, line: str) -> ComparisonRules:
    """Thresholds of a line's comparisons."""
    return _named(ComparisonRules, dict(settings.for_line(line)))


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
        history_days=settings.cell_retention_days,
    )


def values_of(settings: Settings) -> StageRules[Values]:
    """The rules of a model by their names, for people."""
    return StageRules(settings, lambda known, of, model: of)


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

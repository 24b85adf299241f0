"""The stages as data, in the order that data passes them: what each reads, writes and keeps, and what makes it.

Declared here once. A worker runs them on Kafka, ``plumbline explain`` once more over the input topics, the simulator
in memory.
"""

from __future__ import annotations

from typing import NamedTuple

from stream_app.core.alerts import AlertsConfig, AlertsStage
from stream_app.core.drift import DriftConfig, DriftStage
from stream_app.core.kit.effects import dead_letter
from stream_app.core.labels.config import LabelsConfig
from stream_app.core.labels.entry import entry_day
from stream_app.core.labels.lane_state import promised, waiting_by
from stream_app.core.labels.stage import LabelsStage
from stream_app.core.metrics_stage import MetricsConfig, MetricsStage
from stream_app.core.retrain import RetrainConfig, RetrainStage
from stream_app.engine.protocol import StageSpec
from stream_app.engine.segmenting import Segmenting
from stream_app.kafka.topics import Topics

#: Records of its log that drift takes in one checkpoint. A comparison makes some 10 kB of events: this many stay well
#: below what a transaction should hold.
DRIFT_RECORDS = 500
#: The same of retrain and alerts: most records are handed on as they are or cause nothing, the rest make some 20 kB.
LOG_RECORDS = 2_000


class Configs(NamedTuple):
    """What each stage is set up with."""

    labels: LabelsConfig
    metrics: MetricsConfig
    drift: DriftConfig
    retrain: RetrainConfig
    alerts: AlertsConfig


class Stages(NamedTuple):
    """Every stage; its fields are the stages' names."""

    labels: StageSpec
    metrics: StageSpec
    drift: StageSpec
    retrain: StageSpec
    alerts: StageSpec


def stages(topics: Topics, configs: Configs) -> Stages:
    """All of them."""
    return Stages(
        labels(topics, configs.labels),
        metrics(topics, configs.metrics),
        drift(topics, configs.drift),
        retrain(topics, configs.retrain),
        alerts(topics, configs.alerts),
    )


def labels(topics: Topics, config: LabelsConfig) -> StageSpec:
    """Predictions, outcomes and their clock in; model deltas and dead-lettered records out. A lane for each input
    partition."""
    return StageSpec(
        name="labels",
        partitions=topics.input_partitions,
        clock=topics.clock,
        gated={"predictions": topics.predictions, "outcomes": topics.outcomes},
        ungated={},
        outputs=_outputs(topics, {"model-deltas": topics.model_deltas, "dead-letters": topics.dead_letters}),
        make=lambda partition: LabelsStage(config.for_source(partition)),
        changelog=topics.changelog("labels"),
        dead_letter=dead_letter,
        segmenting=Segmenting(entry_day, config.max_horizon_days, waiting_by(config.rules), promised),
    )


def metrics(topics: Topics, config: MetricsConfig) -> StageSpec:
    """Deltas, commands, training results and their clock in; snapshots, active versions, settings, audit, log out."""
    out = {
        "metric-snapshots": topics.metric_snapshots,
        "model-lifecycle": topics.model_lifecycle,
        "settings": topics.settings,
        "audit": topics.audit,
        "model-log": topics.model_log,
        "dead-letters": topics.dead_letters,
    }
    return StageSpec(
        name="metrics",
        partitions=topics.model_partitions,
        clock=topics.model_clock,
        gated={"operator-commands": topics.operator_commands, "training-results": topics.training_results},
        ungated={"model-deltas": topics.model_deltas},
        outputs=_outputs(topics, out),
        make=lambda partition: MetricsStage(config, partition),
        changelog=topics.changelog("metrics"),
        dead_letter=dead_letter,
    )


def drift(topics: Topics, config: DriftConfig) -> StageSpec:
    """The log of metrics in; drift events, hourly evidence and the drift log out."""
    out = {
        "drift-events": topics.drift_events,
        "hourly-evidence": topics.hourly_evidence,
        "drift-log": topics.drift_log,
    }
    return StageSpec(
        name="drift",
        partitions=topics.model_partitions,
        clock=None,
        gated={},
        ungated={"log": topics.model_log},
        outputs=_outputs(topics, out),
        make=lambda partition: DriftStage(config, partition),
        changelog=topics.changelog("drift"),
        dead_letter=dead_letter,
        most_records=DRIFT_RECORDS,
    )


def retrain(topics: Topics, config: RetrainConfig) -> StageSpec:
    """The drift log in; training commands, jobs, audit, events of version changes and the decision log out."""
    out = {
        "decision-log": topics.decision_log,
        "training-commands": topics.training_commands,
        "training-jobs": topics.training_jobs,
        "audit": topics.audit,
        "drift-events": topics.drift_events,
    }
    return StageSpec(
        name="retrain",
        partitions=topics.model_partitions,
        clock=None,
        gated={},
        ungated={"log": topics.drift_log},
        outputs=_outputs(topics, out),
        make=lambda partition: RetrainStage(config, partition),
        changelog=topics.changelog("retrain"),
        dead_letter=dead_letter,
        most_records=LOG_RECORDS,
    )


def alerts(topics: Topics, config: AlertsConfig) -> StageSpec:
    """The decision log in; alerts, audit and what became of commands out. The only writer of alerts."""
    out = {"alerts": topics.alerts, "audit": topics.audit, "command-outcomes": topics.command_outcomes}
    return StageSpec(
        name="alerts",
        partitions=topics.model_partitions,
        clock=None,
        gated={},
        ungated={"log": topics.decision_log},
        outputs=_outputs(topics, out),
        make=lambda partition: AlertsStage(config, partition),
        changelog=topics.changelog("alerts"),
        dead_letter=dead_letter,
        most_records=LOG_RECORDS,
    )


def _outputs(topics: Topics, names: dict[str, str]) -> dict[str, tuple[str, int]]:
    """Everything that stages write is keyed by model."""
    return {alias: (topic, topics.model_partitions) for alias, topic in names.items()}

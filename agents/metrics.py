"""Metrics agent: deltas, operator commands, training results and line clock in; snapshots, audit and
line log out."""

from __future__ import annotations

from stream_app.core.kit.effects import dead_letter
from stream_app.core.metrics_stage import MetricsConfig, MetricsStage
from stream_app.engine.protocol import StageSpec
from stream_app.kafka.topics import Topics


def metrics(topics: Topics, changelog: str, config: MetricsConfig) -> StageSpec:
    """The metrics stage: M lanes, one for each partition of the line-keyed topics."""
    out = {
        "metric-snapshots": topics.metric_snapshots,
        "model-lifecycle": topics.model_lifecycle,
        "settings": topics.settings,
        "audit": topics.audit,
        "line-log": topics.model_log,
        "dead-letters": topics.dead_letters,
    }
    return StageSpec(
        name="metrics",
        partitions=topics.line_partitions,
        clock=topics.line_clock,
        gated={"operator-commands": topics.operator_commands, "training-results": topics.training_results},
        ungated={"model-deltas": topics.model_deltas},
        outputs={alias: (topic, topics.line_partitions) for alias, topic in out.items()},
        make=lambda partition: MetricsStage(config, partition),
        changelog=changelog,
        dead_letter=dead_letter,
    )

"""Alerts agent, the only writer of alerts: the decision log in; alerts and audit out."""

from __future__ import annotations

from stream_app.core.alerts import AlertsConfig, AlertsStage
from stream_app.core.kit.effects import dead_letter
from stream_app.engine.protocol import StageSpec
from stream_app.kafka.topics import Topics

#: Most records of the log cause nothing; the rest some 20 kB each.
RECORDS = 2_000


def alerts(topics: Topics, changelog: str, config: AlertsConfig) -> StageSpec:
    """The alerts stage: M lanes, one for each partition of the decision log."""
    return StageSpec(
        name="alerts",
        partitions=topics.line_partitions,
        clock=None,
        gated={},
        ungated={"log": topics.decision_log},
        outputs={
            "alerts": (topics.alerts, topics.line_partitions),
            "audit": (topics.audit, topics.line_partitions),
        },
        make=lambda partition: AlertsStage(config, partition),
        changelog=changelog,
        dead_letter=dead_letter,
        most_records=RECORDS,
    )

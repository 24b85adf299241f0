"""Retrain agent: the drift log in; commands, jobs, audit and the decision log out. The rules stand in core/retrain."""

from __future__ import annotations

from stream_app.core.kit.effects import dead_letter
from stream_app.core.retrain import RetrainConfig, RetrainStage
from stream_app.engine.protocol import StageSpec
from stream_app.kafka.topics import Topics

#: Most records of the log are handed on as they are; the rest some 20 kB each.
RECORDS = 2_000


def retrain_coordinator(topics: Topics, changelog: str, config: RetrainConfig) -> StageSpec:
    """The retrain stage: M lanes, one for each partition of the drift log."""
    m = topics.line_partitions
    return StageSpec(
        name="retrain",
        partitions=m,
        clock=None,
        gated={},
        ungated={"log": topics.drift_log},
        outputs={
            "decision-log": (topics.decision_log, m),
            "training-commands": (topics.training_commands, m),
            "training-jobs": (topics.training_jobs, m),
            "audit": (topics.audit, m),
            "drift-events": (topics.drift_events, m),
        },
        make=lambda partition: RetrainStage(config, partition),
        changelog=changelog,
        dead_letter=dead_letter,
        most_records=RECORDS,
    )

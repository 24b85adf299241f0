"""Drift agent: the line log in; drift events and the drift log out."""

from __future__ import annotations

from stream_app.core.drift import DriftConfig, DriftStage
from stream_app.core.kit.effects import dead_letter
from stream_app.engine.protocol import StageSpec
from stream_app.kafka.topics import Topics

#: A comparison makes some 10 kB of events: this many stay well below what a transaction should hold.
RECORDS = 500


def drift(topics: Topics, changelog: str, config: DriftConfig) -> StageSpec:
    """The drift stage: M lanes, one for each partition of the line log."""
    out = {"drift-events": topics.drift_events, "drift-log": topics.drift_log}
    return StageSpec(
        name="drift",
        partitions=topics.line_partitions,
        clock=None,
        gated={},
        ungated={"log": topics.model_log},
        outputs={alias: (topic, topics.line_partitions) for alias, topic in out.items()},
        make=lambda partition: DriftStage(config, partition),
        changelog=changelog,
        dead_letter=dead_letter,
        most_records=RECORDS,
    )

"""Labels agent: predictions, outcomes and their clock in; model deltas and dead letters out."""

from __future__ import annotations

from stream_app.core.kit.effects import dead_letter
from stream_app.core.labels.config import LabelsConfig
from stream_app.core.labels.entry import entry_day
from stream_app.core.labels.memo import promised, waiting_by
from stream_app.core.labels.stage import LabelsStage
from stream_app.engine.protocol import StageSpec
from stream_app.engine.segmenting import Segmenting
from stream_app.topics import Topics


def labels(topics: Topics, changelog: str, config: LabelsConfig, horizon_days: int) -> StageSpec:
    """The labels stage: N lanes, one for each partition of the inputs."""
    return StageSpec(
        name="labels",
        partitions=topics.input_partitions,
        clock=topics.clock,
        gated={"predictions": topics.predictions, "outcomes": topics.outcomes},
        ungated={},
        outputs={
            "model-deltas": (topics.model_deltas, topics.line_partitions),
            "dead-letters": (topics.dead_letters, topics.line_partitions),
        },
        make=lambda partition: LabelsStage(config.for_source(partition)),
        changelog=changelog,
        dead_letter=dead_letter,
        segmenting=Segmenting(entry_day, horizon_days, waiting_by(config.rules), promised),
    )

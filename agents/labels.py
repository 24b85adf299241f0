"""Labels agent: predictions, outcomes and their clock in; model deltas and dead-lettered records out."""

from __future__ import annotations

from stream_app.engine.engine import Engine
from stream_app.engine.stages import attach
from stream_app.engine.transport import EngineApp
from stream_app.pipeline import Stages


def labels(app: EngineApp, engine: Engine, stages: Stages) -> None:
    """Run its lanes here."""
    attach(app, engine, stages.labels)

"""Attach a stage to a Faust application: its table, its channel and the agent's body."""

from __future__ import annotations

from typing import Any

from stream_app.engine.engine import Engine
from stream_app.engine.protocol import StageSpec
from stream_app.engine.tables import LaneTable
from stream_app.engine.transport import EngineApp


def attach(app: EngineApp, engine: Engine, spec: StageSpec) -> Any:
    """Register the stage with the engine and Faust; returns the Faust agent.

    The channel is declared ``acks=False``: Faust's bookkeeping of acknowledged offsets is quadratic in chunks, and the
    lanes commit. The agent only hands chunks over.
    """
    engine.add(spec)
    app.tables.add(LaneTable(app, name=spec.name, partitions=spec.partitions))
    channel = app.topic(*spec.inputs().values(), key_serializer="raw", value_serializer="raw", acks=False)

    async def hand_over(stream: Any) -> None:
        async for event in stream.noack().events():
            engine.deliver(event.message.value)

    return app.agent(channel, name=spec.name)(hand_over)

"""Projection agent: the leader carries what was published into Redis, for people to read."""

from __future__ import annotations

from stream_app.engine.transport import EngineApp
from stream_app.projection.projector import Projector


def projection(app: EngineApp, projector: Projector) -> None:
    """Project while this worker is Faust's leader."""

    @app.task  # type: ignore[untyped-decorator]
    async def project() -> None:
        await projector.run(app.is_leader)

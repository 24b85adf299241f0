"""Clock agent: the leader writes live ticks, once a second."""

from __future__ import annotations

import logging

from stream_app.engine.live_clock import LiveClock
from stream_app.engine.transport import EngineApp

log = logging.getLogger(__name__)


def lead_clock(app: EngineApp, clock: LiveClock) -> None:
    """Tick while this worker is Faust's leader."""

    @app.timer(1.0, on_leader=True, name="clock")
    async def tick() -> None:
        try:
            await clock.beat()
        except Exception as error:
            log.warning("clock: %s: %s; connecting anew", type(error).__name__, error)

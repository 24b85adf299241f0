"""What a lane holds while it is open: made whole when it opens and dropped whole when it closes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass

from stream_app.engine.lane_core import LaneCore
from stream_app.engine.producer import LaneProducer
from stream_app.engine.store import Store


@dataclass(frozen=True, slots=True)
class OpenLane:
    """One opening of a lane."""

    producer: LaneProducer
    store: Store
    core: LaneCore
    #: topic ids by alias that it was opened with
    ids: dict[str, str]
    #: closes the store, then stops the producer
    held: AsyncExitStack

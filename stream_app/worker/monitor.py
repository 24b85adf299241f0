"""Faust's monitor without what breaks on chunks."""

from __future__ import annotations

from typing import Any

from faust.sensors.monitor import Monitor
from faust.types import TP


class LaneMonitor(Monitor):
    """Lanes keep their own figures; offsets that are not known yet are no reason to fail."""

    def track_tp_end_offset(self, tp: TP, offset: Any) -> None:
        """Ignore end offsets before the first fetch."""
        if offset is not None:
            super().track_tp_end_offset(tp, offset)

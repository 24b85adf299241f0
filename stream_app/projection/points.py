"""What the history keeps of each statistical and performance event: the numbers that a verdict is made of."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stream_app.core.kit.codec import Codec

FORMAT: Final = 2


class PointWindow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One window. ``value`` is D, or the drop; ``low`` and ``high`` bound it; rows of either side."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    recent_rows: int
    baseline_rows: int
    recent: float | None
    baseline: float | None
    #: whether it is the window of the last day alone
    one_day: bool


class Point(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One event, small enough to keep for every model and day."""

    id: str
    at: str
    version: str
    verdict: str
    rule_verdict: str | None
    severity: str | None
    p_value: float | None
    reason: str | None
    windows: list[PointWindow]
    #: outcomes have shown that the run of statistical drift costs nothing
    acquitted: bool = False


_codec: Final = Codec[Point](Point, FORMAT, "point of the read model")
encode, decode = _codec.encode, _codec.decode


def point_of(event: dict[str, Any]) -> Point:
    """The numbers of a statistical or performance event."""
    return Point(
        event["id"],
        event["at"],
        event["model_version"],
        event["verdict"],
        event["rule_verdict"],
        event.get("severity"),
        event.get("p_value"),
        event.get("reason"),
        [_window(window, event["windows"][0]) for window in event["windows"]],
        event.get("acquitted", False),
    )


def _window(window: dict[str, Any], first: dict[str, Any]) -> PointWindow:
    recent, baseline = window["recent"], window["baseline"]
    low, high = window["interval"] or (None, None)
    value = window.get("statistic")
    if "metric" in window and recent is not None and baseline is not None:
        value = baseline - recent
    return PointWindow(
        window.get("metric", ""),
        value,
        low,
        high,
        window.get("recent_rows", 0),
        window.get("baseline_rows", 0),
        recent,
        baseline,
        window["from"] != first["from"],
    )

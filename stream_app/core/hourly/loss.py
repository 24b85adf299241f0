"""Points lost, or moved, since the best start, with a 99 % interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.core.hourly.evidence import HourlyReading
from stream_app.core.hourly.hours import HourCounts
from stream_app.core.hourly.references import ModelReferences
from stream_app.core.hourly.rules import HourlyKind, HourlyRules


@dataclass(frozen=True, slots=True)
class Loss:
    """Points are 0–100; shares 0–1."""

    #: hours since 1970: from, to
    start: int
    end: int
    points: float
    lower: float
    upper: float
    #: accuracy (recall of types judged by it), or the share of scores on the side that grew; then and now
    recent: float
    baseline: float
    recent_rows: int
    baseline_rows: int


def loss_days(reading: HourlyReading, hour: int) -> range:
    """Days whose hour records :func:`estimate_loss` needs."""
    raise NotImplementedError


def estimate_loss(
    kind: HourlyKind,
    reading: HourlyReading,
    references: ModelReferences,
    hours: Mapping[int, HourCounts],
    rules: HourlyRules,
) -> Loss | None:
    """``None`` where no row stands in the window."""
    raise NotImplementedError

"""Points lost, or moved, since the best start, with a 99 % interval.

Rows since the start beside what the reference expected of the same hours, stratum by stratum, put together at the
reference's shares: neither a prior shift nor outcomes that come by class move it. The interval combines Wilson limits
of the rows (divided by the dispersion of hours), one day effect for each day, and the error of the reference, by the
root of their squares (Newcombe 1998, method 10). The start was chosen by the data, so right after an alarm the estimate
is, in the mean, somewhat too large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from schemas.drift import Severity
from stream_app.core.comparisons.proportions import wilson
from stream_app.core.comparisons.rules import WEEKDAYS
from stream_app.core.hourly.days import ones_and_events
from stream_app.core.hourly.evidence import HourlyReading
from stream_app.core.hourly.hours import EDGES, HOURS, HourCounts
from stream_app.core.hourly.references import HourlyChannel, HourlyReference, ModelReferences
from stream_app.core.hourly.rules import KEPT_DAYS, HourlyKind, HourlyRules
from stream_app.core.hourly.terms import Floats

#: 99 %, two-sided.
_Z: Final = 2.5758293
_HIGH_POINTS: Final = 10.0
_CRITICAL_POINTS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Loss:
    """Points are 0–100; shares 0–1."""

    #: hours since 1970: from, to
    start: int
    end: int
    points: float
    lower: float
    upper: float
    #: accuracy, recall of types judged by it, or the share of scores on the side that grew
    recent: float
    baseline: float
    recent_rows: int
    baseline_rows: int
    #: scores: the edge, and whether the share above it grew
    edge: float | None = None
    above: bool = False

    @property
    def severity(self) -> Severity:
        """By the point estimate."""
        if self.points > _CRITICAL_POINTS:
            return Severity.CRITICAL
        return Severity.HIGH if self.points > _HIGH_POINTS else Severity.MEDIUM


def loss_days(reading: HourlyReading) -> range:
    """Days whose hour records :func:`estimate_loss` needs; those that are kept no longer are left out."""
    if reading.start is None or reading.end is None:
        return range(0)
    last = (reading.end - 1) // HOURS
    return range(max(reading.start // HOURS, last + 1 - KEPT_DAYS), last + 1)


def estimate_loss(
    kind: HourlyKind,
    reading: HourlyReading,
    references: ModelReferences,
    hours: Mapping[int, HourCounts],
    rules: HourlyRules,
) -> Loss | None:
    """``None`` where there is no row since the start, or no longer a channel to say what was expected."""
    days = loss_days(reading)
    if reading.start is None or reading.end is None or not references.of(kind):
        return None
    newest = references.at(kind, days[-1]) or references.of(kind)[-1]
    channel = _channel(newest, reading.slot)
    if channel is None:
        return None
    strata = len(channel.rates)
    ones, events, expected = np.zeros(strata), np.zeros(strata), np.zeros(strata)
    by_day: list[float] = []
    for day in days:
        if day not in hours:
            continue
        seen = slice(max(0, reading.start - day * HOURS), min(HOURS, reading.end - day * HOURS))
        k, n = ones_and_events(channel, hours[day][seen])
        p = _expected(references, kind, day, channel, rules)[:, seen]
        ones, events, expected = ones + k.sum(axis=1), events + n.sum(axis=1), expected + (n * p).sum(axis=1)
        by_day.append(float(n.sum()))
    rows = float(events.sum())
    if rows <= 0:
        return None
    return _loss(kind, reading, channel, newest.rows, (ones, events, expected), _days_left(by_day, rows))


def _channel(reference: HourlyReference, slot: int | None) -> HourlyChannel | None:
    return next((found for found in reference.channels if found.slot == slot), None)


def _expected(
    references: ModelReferences, kind: HourlyKind, day: int, channel: HourlyChannel, rules: HourlyRules
) -> Floats:
    """Probabilities of a day's hours: its own reference's, or those of the channel's blocks of the week."""
    own = references.at(kind, day)
    mine = _channel(own, channel.slot) if own is not None else None
    if mine is not None and mine.edge == channel.edge and len(mine.rates) == len(channel.rates):
        return mine.hourly()
    weekend = WEEKDAYS[(day + 3) % 7] in rules.weekend
    found: Floats = channel.blockwise()[:, weekend * 6 + np.arange(HOURS) // 4]
    return found


def _days_left(by_day: list[float], rows: float) -> float:
    """Σ of squared shares of the days: the part of one day effect's variance that is left in their mean."""
    return sum((n / rows) ** 2 for n in by_day)


def _loss(
    kind: HourlyKind,
    reading: HourlyReading,
    channel: HourlyChannel,
    baseline_rows: int,
    counts: tuple[Floats, Floats, Floats],
    days_left: float,
) -> Loss:
    there = [i for i, n in enumerate(counts[1].tolist()) if n > 0]
    whole = sum(channel.shares[i] for i in there) or 1.0
    recent = baseline = below = above = slope = 0.0
    for i in there:
        share = (channel.shares[i] if sum(channel.shares[j] for j in there) else 1.0) / whole
        k, n, expected = (float(x[i]) for x in counts)
        rate = k / n
        low, high = wilson(k / channel.dispersion, n / channel.dispersion, _Z)
        recent, baseline = recent + share * rate, baseline + share * expected / n
        below, above = below + (share * (rate - low)) ** 2, above + (share * (high - rate)) ** 2
        slope += share * (low + high) / 2 * (1 - (low + high) / 2)
    shifts = (_Z * slope) ** 2 * (channel.tau**2 * days_left + channel.error**2)
    points = recent - baseline
    lower = max(-1.0, points - math.sqrt(below + shifts))
    upper = min(1.0, points + math.sqrt(above + shifts))
    errors = kind == "errors"
    return Loss(
        reading.start or 0, reading.end or 0, 100 * points, 100 * lower, 100 * upper,
        1 - recent if errors else recent, 1 - baseline if errors else baseline, int(counts[1].sum()), baseline_rows,
        None if errors else EDGES[channel.edge], not errors and channel.above,
    )  # fmt: skip

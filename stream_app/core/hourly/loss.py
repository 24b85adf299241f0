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
from typing import Final

import numpy as np

from stream_app.core.comparisons.hourly_entry import HourlyLoss
from stream_app.core.comparisons.proportions import wilson
from stream_app.core.comparisons.rules import WEEKDAYS
from stream_app.core.hourly.days import ones_and_events
from stream_app.core.hourly.evidence import HourlyReading
from stream_app.core.hourly.hours import HOURS, HourCounts
from stream_app.core.hourly.references import Channels, Floats, HourlyReference, ModelReferences
from stream_app.core.hourly.rules import KEPT_DAYS, HourlyKind, HourlyRules

#: 99 %, two-sided.
_Z: Final = 2.5758293


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
) -> HourlyLoss | None:
    """``None`` where there is no row since the start, or no longer a channel to say what was expected."""
    days = loss_days(reading)
    if reading.start is None or reading.end is None or not references.of(kind):
        return None
    newest = references.at(kind, days[-1]) or references.of(kind)[-1]
    if reading.slot not in newest.slots:
        return None
    place = newest.slots.index(reading.slot)
    channels = newest.channels()
    ones, events, expected = (np.zeros(newest.strata) for _ in range(3))
    by_day: list[float] = []
    for day in days:
        if day not in hours:
            continue
        seen = slice(max(0, reading.start - day * HOURS), min(HOURS, reading.end - day * HOURS))
        k, n = (x[place] for x in ones_and_events(kind, newest, hours[day][seen]))
        p = _expected(references.at(kind, day), day, (newest, place, channels), rules)[:, seen]
        ones, events, expected = ones + k.sum(axis=1), events + n.sum(axis=1), expected + (n * p).sum(axis=1)
        by_day.append(float(n.sum()))
    rows = float(events.sum())
    if rows <= 0:
        return None
    channel = Channels(*(column[place] for column in channels))
    days_left = sum((n / rows) ** 2 for n in by_day)
    found = _points(channel, ones, events, expected, days_left)
    recent, baseline = (1 - x if kind == "errors" else x for x in found[:2])
    return HourlyLoss(reading.start, reading.end, *found[2:], recent, baseline, int(rows), newest.rows)


def _expected(
    own: HourlyReference | None, day: int, newest: tuple[HourlyReference, int, Channels], rules: HourlyRules
) -> Floats:
    """Probabilities (S, 24) of a day's hours: its own reference's, or those of the channel's blocks of the week."""
    reference, place, channels = newest
    if own is not None and own.strata == reference.strata:
        pair = reference.slots[place], reference.edges[place]
        mine = list(zip(own.slots, own.edges, strict=True))
        if pair in mine:
            hourly: Floats = own.channels().hourly[mine.index(pair)]
            return hourly
    weekend = WEEKDAYS[(day + 3) % 7] in rules.weekend
    found: Floats = channels.blocks[place][:, weekend * 6 + np.arange(HOURS) // 4]
    return found


def _points(
    channel: Channels, ones: Floats, events: Floats, expected: Floats, days_left: float
) -> tuple[float, float, float, float, float]:
    """Rates now and then at the reference's shares (0–1), and the points between them with their limits. ``channel``:
    one row; ``days_left``: Σ of the days' squared shares, what is left of one day effect's variance in their mean."""
    there = np.flatnonzero(events).tolist()
    whole = float(channel.shares[there].sum())
    recent = baseline = below = above = slope = 0.0
    for i in there:
        share = float(channel.shares[i]) / whole if whole > 0 else 1 / len(there)
        k, n, fair = float(ones[i]), float(events[i]), float(expected[i])
        low, high = wilson(k / float(channel.dispersion), n / float(channel.dispersion), _Z)
        recent, baseline = recent + share * k / n, baseline + share * fair / n
        below, above = below + (share * (k / n - low)) ** 2, above + (share * (high - k / n)) ** 2
        slope += share * (low + high) / 2 * (1 - (low + high) / 2)
    shifts = (_Z * slope) ** 2 * float(channel.tau**2 * days_left + channel.error**2)
    points = recent - baseline
    lower, upper = max(-1.0, points - math.sqrt(below + shifts)), min(1.0, points + math.sqrt(above + shifts))
    return recent, baseline, 100 * points, 100 * lower, 100 * upper

"""Makes the references of a model at the 02:00 close of date D, for the hours of date D + 1 (CONTRACT section 3a).

Probabilities are shrunk twice: the hour of the week to {working day, weekend} × 4 h, that to the stratum's rate. The
spread τ of the day effect is taken from the days' residuals by moments, with its 85 % χ² bound; φ is the dispersion of
hours within days. The tolerated shift is the edge plus 1.64 standard errors of the reference.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray
from scipy.special import chdtri, logit

from stream_app.core.comparisons.rules import WEEKDAYS
from stream_app.core.hourly.evidence_state import ModelEvidence
from stream_app.core.hourly.hours import BINS, FN, FP, HOURS, LABELS, TN, TP, HourCounts
from stream_app.core.hourly.references import SLOTS, Channels, Floats, HourlyReference, ModelReferences, packed
from stream_app.core.hourly.rules import KEPT_DAYS, KINDS, HourlyKind, HourlyRules, flying_days, off_reason
from stream_app.core.hourly.terms import NODES

#: The reference ends this many days before the day it is for, and holds so many days: no fault that creeps in within a
#: week teaches it, and four weeks hold each hour of the week four times.
LAG_DAYS: Final = 8
REFERENCE_DAYS: Final = 28
LEAST_DAYS: Final = 14
LEAST_OUTCOMES: Final = 200
LEAST_SCORES: Final = 1_000

#: Rows that a probability is shrunk by. (200 gave two false score alarms on real weekdays.)
_SHRINK: Final = 20.0
_LEAST_P: Final = 1e-4
#: Standard errors of the reference that the tolerated shift lies above the edge.
_EDGE_Z: Final = 1.64
_LEAST_TAU: Final = 0.05
_MOST_TAU: Final = 1.0
_TAU_QUANTILE: Final = 0.85
_MOST_SHIFT: Final = 8.0
_LEAST_GAP: Final = 0.05
_MOST_SHARE: Final = 0.99
#: Least variance of a day, and of an hour, that says anything of the spread.
_DAY_VARIANCE: Final = 1.0
_HOUR_VARIANCE: Final = 0.5

#: Shares (0–1): the edge that is tolerated, and the alternatives.
_ERRORS: Final = (0.05, (0.10, 0.14, 0.20, 0.32))
_WIDE: Final = (0.10, (0.14, 0.18, 0.24, 0.36))
_PERCENTS: Final = (10, 25, 50, 75, 90)
_MOST_BELOW: Final = 0.80
_LEAST_BELOW: Final = 0.20
_LEAST_CHANNELS: Final = 2


@dataclass(frozen=True, slots=True)
class ReferenceDays:
    """What is known of a version's days when its references are made."""

    version: str
    #: day the references are for: D + 1 at the 02:00 close of date D
    day: int
    #: first day with predictions of the version, or that of the last ``rebaseline``
    first_day: int
    #: stored hour records of its days, those of :func:`reference_days` at most
    hours: Mapping[int, HourCounts]
    #: closed days that are tainted for performance, and for scores (those of an acquitted run are not)
    tainted_errors: Collection[int] = ()
    tainted_scores: Collection[int] = ()


class _Cells(NamedTuple):
    """Counts of the healthy days, shape (channels, strata, days, 24) each, and the channels' slots and edges."""

    ones: NDArray[np.int64]
    events: NDArray[np.int64]
    slots: list[tuple[int, int]]


def reference_days(day: int, first_day: int, rules: HourlyRules) -> range:
    """Days whose hour records are asked for the references of ``day``, healthy or not."""
    last = day - LAG_DAYS
    if day - first_day < LAG_DAYS + REFERENCE_DAYS:
        last = day - rules.label_delay_days - 2
    return range(max(first_day, day - LAG_DAYS - REFERENCE_DAYS + 1), last + 1)


def make_references(
    known: ReferenceDays, state: ModelEvidence | None, before: ModelReferences | None, rules: HourlyRules
) -> ModelReferences:
    """References with those of ``known.day`` added, and without those of days that are frozen."""
    mine = before if before is not None and before.version == known.version else ModelReferences(known.version)
    own = state if state is not None and state.version == known.version else None
    made: dict[HourlyKind, list[HourlyReference]] = {}
    for kind in KINDS:
        oldest = flying_days(rules, kind, (known.day - 1) * HOURS + 2).start
        if own is not None:
            oldest = max(min(oldest, own.of(kind).frozen_to), known.day - KEPT_DAYS)
        older = [found for found in mine.of(kind) if found.day < known.day]
        kept = [found for found in older if found.day >= oldest]
        made[kind] = [*kept, _make(kind, known, own, older[-1] if older else None, rules)]
    return ModelReferences(known.version, made["errors"], made["scores"])


def _make(
    kind: HourlyKind,
    known: ReferenceDays,
    state: ModelEvidence | None,
    before: HourlyReference | None,
    rules: HourlyRules,
) -> HourlyReference:
    never = off_reason(rules, kind)
    if never is not None:
        return HourlyReference(known.day, 0, 0, 0, 0, never)
    tainted = known.tainted_errors if kind == "errors" else known.tainted_scores
    episodes = _episode_days(state, kind, known.day)
    healthy = [
        day
        for day in reference_days(known.day, known.first_day, rules)
        if day in known.hours and day not in tainted and not any(a <= day <= b for a, b in episodes)
    ]
    days, counts = _with_rows(kind, healthy, known.hours, rules)
    rows, lacks = _lacks(kind, counts, rules)
    if len(days) < LEAST_DAYS:
        lacks = f"{len(days)} healthy days with rows, {LEAST_DAYS} are needed"
    if lacks is not None:
        if before is not None and before.slots:
            return _older(before, known.day, rules)
        return HourlyReference(known.day, 0, 0, len(days), rows, lacks)
    cells = _error_cells(counts, rules) if kind == "errors" else _score_cells(counts)
    edge = _WIDE if kind == "scores" or rules.positives_only else _ERRORS
    slots, channels = _channels(cells, days, known.day, edge, rules)
    made = HourlyReference(known.day, days[0], days[-1], len(days), rows, None)
    if channels is None or len(slots) < (1 if kind == "errors" else _LEAST_CHANNELS):
        return replace(
            made, reason="errors leave no room for a loss" if kind == "errors" else "scores too concentrated"
        )
    return replace(
        made,
        slots=[slot for slot, _ in slots],
        edges=[at for _, at in slots],
        strata=channels.rates.shape[1],
        numbers=packed(channels),
    )


def _episode_days(state: ModelEvidence | None, kind: HourlyKind, day: int) -> list[tuple[int, int]]:
    if state is None:
        return []
    mine = state.of(kind)
    if mine.episode is None or mine.episode.acquitted:
        return list(mine.touched)
    return [*mine.touched, (mine.episode.start // HOURS, day)]


def _with_rows(
    kind: HourlyKind, days: Sequence[int], hours: Mapping[int, HourCounts], rules: HourlyRules
) -> tuple[list[int], NDArray[np.int64]]:
    """Days that hold rows of the kind, and their counts, shape (days, 24, 36); of errors the labels alone, (…, 4)."""
    if not days:
        return [], np.zeros((0, HOURS, LABELS + BINS), dtype=np.int64)
    counts = np.stack([hours[day] if kind == "scores" else hours[day][:, :LABELS] for day in days])
    if kind == "scores":
        rows = counts[:, :, LABELS:].sum(axis=(1, 2))
    else:
        rows = counts[:, :, [FN, TP] if rules.positives_only else [TN, FN, FP, TP]].sum(axis=(1, 2))
    return [day for day, n in zip(days, rows.tolist(), strict=True) if n], counts[rows > 0]


def _lacks(kind: HourlyKind, counts: NDArray[np.int64], rules: HourlyRules) -> tuple[int, str | None]:
    """Rows, and why they are too few."""
    if kind == "scores":
        rows = int(counts[:, :, LABELS:].sum())
        return rows, None if rows >= LEAST_SCORES else f"{rows} scores in healthy days, {LEAST_SCORES:,} are needed"
    negatives = int(counts[:, :, [TN, FP]].sum())
    positives = int(counts[:, :, [FN, TP]].sum())
    used = {"positives": positives} if rules.positives_only else {"negatives": negatives, "positives": positives}
    name, least = min(used.items(), key=lambda item: item[1])
    lacks = f"{least} outcomes of {name} in healthy days, {LEAST_OUTCOMES} are needed"
    return sum(used.values()), None if least >= LEAST_OUTCOMES else lacks


def _error_cells(counts: NDArray[np.int64], rules: HourlyRules) -> _Cells:
    missed, positives = counts[:, :, FN], counts[:, :, FN] + counts[:, :, TP]
    if rules.positives_only:
        return _Cells(missed[None, None], positives[None, None], [(0, -1)])
    false, negatives = counts[:, :, FP], counts[:, :, FP] + counts[:, :, TN]
    return _Cells(np.stack([false, missed])[None], np.stack([negatives, positives])[None], [(0, -1)])


def _score_cells(counts: NDArray[np.int64]) -> _Cells:
    """The edge nearest to each quantile, up where its share is at most .80, down where it is at least .20."""
    below = counts[:, :, LABELS:].cumsum(axis=2)
    events = below[:, :, -1]
    total = int(events.sum())
    cumulated = below[:, :, :-1].sum(axis=(0, 1))
    slots: list[tuple[int, int]] = []
    edges: list[int] = []
    far = np.abs(100 * cumulated - np.array(_PERCENTS)[:, None] * total)
    for edge in far.argmin(axis=1).tolist():
        edges.append(edge if edge not in edges else -1)
    for i, edge in enumerate(edges):
        if edge >= 0 and cumulated[edge] <= _MOST_BELOW * total:
            slots.append((i, edge))
    for i, edge in enumerate(edges):
        if edge >= 0 and cumulated[edge] >= _LEAST_BELOW * total:
            slots.append((i + SLOTS["scores"] // 2, edge))
    ones = [below[:, :, edge] if slot < SLOTS["scores"] // 2 else events - below[:, :, edge] for slot, edge in slots]
    shape = (len(slots), 1, *events.shape)
    return _Cells(np.array(ones, dtype=np.int64).reshape(shape), np.broadcast_to(events, shape), slots)


def _weekend(weekday: int, rules: HourlyRules) -> int:
    return int(WEEKDAYS[weekday] in rules.weekend)


def _weekday(day: int) -> int:
    """0 for Monday; day 0 was a Thursday."""
    return (day + 3) % 7


@lru_cache(maxsize=64)
def _bound(freedom: int) -> float:
    """Factor from an estimated variance to its upper bound."""
    return float(freedom / chdtri(freedom, _TAU_QUANTILE))


def _channels(
    cells: _Cells, days: Sequence[int], target: int, edge: tuple[float, tuple[float, ...]], rules: HourlyRules
) -> tuple[list[tuple[int, int]], Channels | None]:
    """Slots and edges of the channels that have an alternative, and their numbers."""
    if not cells.slots:
        return [], None
    n, k = cells.events.astype(np.float64), cells.ones.astype(np.float64)
    weekday = np.array([_weekday(day) for day in days])
    weekend = np.array([_weekend(number, rules) for number in range(7)])
    hour = np.arange(HOURS)
    rows = n.sum(axis=(2, 3))
    rates = (k.sum(axis=(2, 3)) + 0.5) / (rows + 1)

    # sums of counts are exact in any order
    of_weekday = (np.arange(7)[:, None] == weekday).astype(np.float64)
    of_part = (np.arange(2)[:, None] == weekend).astype(np.float64)

    def by_week(x: Floats) -> Floats:
        found: Floats = of_weekday @ x
        return found

    def by_block(x: Floats) -> Floats:
        found: Floats = of_part @ x.reshape(*x.shape[:3], 6, 4).sum(axis=4)
        return found

    nw, kw = by_week(n), by_week(k)
    blocks = (by_block(kw) + _SHRINK * rates[:, :, None, None]) / (by_block(nw) + _SHRINK)
    prior = blocks[:, :, weekend[:, None], (hour // 4)[None, :]]
    week = np.clip((kw + _SHRINK * prior) / (nw + _SHRINK), _LEAST_P, 1 - _LEAST_P)

    p = week[:, :, weekday]
    expected, variance = (n * p).sum(axis=1), (n * p * (1 - p)).sum(axis=1)
    seen = k.sum(axis=1)
    day_expected, day_variance, day_seen = expected.sum(axis=2), variance.sum(axis=2), seen.sum(axis=2)
    safe = np.maximum(day_variance, 1e-9)
    residual = (day_seen - day_expected) / safe
    judged = day_variance > _DAY_VARIANCE
    many = judged.sum(axis=1)
    bound = np.array([_bound(max(count - 1, 3)) for count in np.maximum(many, 2).tolist()])
    weight = np.where(judged, day_variance, 0)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    spread = (weight * (bound[:, None] * residual**2 - 1 / safe)).sum(axis=1)
    tau = np.minimum(np.sqrt(np.maximum(spread, _LEAST_TAU**2)), _MOST_TAU)

    around = expected + residual[:, :, None] * variance
    used = variance > _HOUR_VARIANCE
    squares = np.where(used, (seen - around) ** 2 / np.maximum(variance, 1e-9), 0).sum(axis=(1, 2))
    freedom = np.maximum(used.sum(axis=(1, 2)) - many, 1)
    dispersion = squares / freedom
    dispersion = np.where(dispersion > 1 + 3 * np.sqrt(2 / freedom), dispersion, 1.0)

    shares = rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)
    total = day_variance.sum(axis=1)
    error = np.sqrt(1 / np.maximum(total, 1) + tau**2 / np.maximum(many, 1))
    of_points = _shifts(rates, shares, np.array([edge[0], *edge[1]]))
    tolerated = of_points[:, 0] + _EDGE_Z * error
    shifts = np.maximum(of_points[:, 1:], tolerated[:, None] + _LEAST_GAP)
    reached = (shares * rates).sum(axis=1)[:, None] + np.array(edge[1])
    shifts = np.where(reached <= _MOST_SHARE, shifts, np.nan)
    kept = np.flatnonzero(~np.isnan(shifts[:, 0]))
    largest = np.fmax.reduce(shifts, axis=1)
    step = (largest + 2 * tau - (tolerated - 3 * tau)) / (NODES - 1)
    # likelihoods narrower than a step of the lattice are tempered, so that no step is missed
    phi = dispersion * np.maximum(1.0, total / np.maximum(many, 1) * step**2)
    hourly = week[:, :, _weekday(target)]
    flat = np.clip(blocks.reshape(*rates.shape, -1), _LEAST_P, 1 - _LEAST_P)
    columns = Channels(error, tau, dispersion, phi, tolerated, shifts, rates, shares, hourly, flat)
    slots = [cells.slots[i] for i in kept.tolist()]
    return slots, Channels(*(column[kept] for column in columns))


def _shifts(rates: Floats, shares: Floats, points: Floats) -> Floats:
    """Logit shifts, common to the strata, that add ``points`` (0–1) at the shares; (C, S), (P,) → (C, P)."""
    if rates.shape[1] == 1:
        found: Floats = logit(np.minimum(rates + points, 1.0)) - logit(rates)
        return np.minimum(found, _MOST_SHIFT)
    return _common_shifts(rates, shares, points)


def _common_shifts(rates: Floats, shares: Floats, points: Floats) -> Floats:
    """The shifts of two strata, (C, 2), (P,) → (C, P).

    With odds x and g = e^b, Σ s·x·g / (1 + x·g) = T, the share reached, is A·g² + B·g − T = 0 with the coefficients
    below; A > 0 while T is below the strata's whole share, and then one root is positive.
    """
    odds = rates / (1 - rates)
    reached = points + (shares * rates).sum(axis=1, keepdims=True)
    square = (odds[:, :1] * odds[:, 1:]) * (shares.sum(axis=1, keepdims=True) - reached)
    linear = (shares * odds).sum(axis=1, keepdims=True) - reached * odds.sum(axis=1, keepdims=True)
    there = square > 0
    root = np.sqrt(np.where(there, linear**2 + 4 * square * reached, 1.0))
    # of the two forms of the root the one that takes no difference of near numbers
    below = np.where(linear > 0, (linear + root) / (2 * reached), 2 * np.where(there, square, 1.0) / (root - linear))
    return np.where(there, np.minimum(-np.log(below), _MOST_SHIFT), _MOST_SHIFT)


def _older(before: HourlyReference, day: int, rules: HourlyRules) -> HourlyReference:
    """The reference before stays; of another weekday only its blocks of the week are known."""
    block = _weekend(_weekday(day), rules) * 6 + np.arange(HOURS) // 4
    channels = before.channels()
    return replace(before, day=day, numbers=packed(channels._replace(hourly=channels.blocks[:, :, block])))

"""Performance of predictions whose outcomes are not known, from their scores alone (confidence-based estimation, CBPE).

The calibration map c says how often a prediction of a score was positive in the baseline: the isotonic regression of
outcomes on scores, by pooling adjacent violators. A new prediction counts c to the positives and 1 − c to the
negatives, by its decision, which gives an expected confusion matrix. Its variance is the binomial one of the outcomes
to come plus that of the map's own blocks, by the delta method.

It sees a drop that other inputs explain, one label delay before outcomes do. It cannot see concept drift: there the map
itself is wrong.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.counts.score_sketch import EDGES, EXACT_LIMIT, ScoreSketch, to_bins

#: Metrics that can be estimated.
ESTIMATED: Final = ("accuracy", "precision", "recall", "f1")
#: Two-sided 95 %.
Z: Final = 1.959964

#: A score for each bin of a sketch.
_MIDDLE: Final = (np.concatenate(([0.0], EDGES)) + np.concatenate((EDGES, [1.0]))) / 2


class Calibration(msgspec.Struct, frozen=True, array_like=True):
    """Blocks of scores with equal c, by ascending score; at most 4,096 of them."""

    #: scores between two blocks: one less than there are blocks
    edges: list[float]
    #: positive outcomes and all outcomes of each block
    hits: list[int]
    rows: list[int]


class Estimate(NamedTuple):
    """A metric as scores have it, and its variance: that of the outcomes to come, and that of the map."""

    value: float
    outcomes: float
    map: float

    @property
    def limits(self) -> tuple[float, float]:
        """The 95 % interval."""
        reach = Z * math.sqrt(self.outcomes + self.map)
        return max(0.0, self.value - reach), min(1.0, self.value + reach)


def calibration(scores: ScoreSketch) -> Calibration | None:
    """The map of labelled counts by ascending score; ``None`` without any.

    Compared in integers. Sums of days with more than 4,096 scores are binned first. O(n)."""
    if not scores.binned and len(scores.values) > EXACT_LIMIT:
        scores = to_bins(scores)
    labelled = scores.positives + scores.negatives
    known = labelled > 0
    points = scores_at(scores)[known].tolist()
    if not points:
        return None
    starts, hits, rows = list[int](), list[int](), list[int]()
    for start, x, n in zip(*_falling_pooled(scores.positives[known], labelled[known]), strict=True):
        while rows and hits[-1] * n >= x * rows[-1]:
            start, x, n = starts.pop(), x + hits.pop(), n + rows.pop()
        starts.append(start)
        hits.append(x)
        rows.append(n)
    return Calibration([(points[i - 1] + points[i]) / 2 for i in starts[1:]], hits, rows)


def _falling_pooled(hits: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[list[int], list[int], list[int]]:
    """First places, hits and rows of blocks that end up in one block in any case: a share that is not above the one
    before it is pooled with it, whatever comes later. Repeated while a pass leaves a tenth fewer: the loop over what is
    left runs in Python, and over all scores it was a quarter of what a close cost."""
    starts = np.arange(len(rows))
    while True:
        rises = np.flatnonzero(hits[1:] * rows[:-1] > hits[:-1] * rows[1:]) + 1
        first = np.concatenate(([0], rises))
        fewer = len(first) * 10 <= len(rows) * 9
        starts, hits, rows = starts[first], np.add.reduceat(hits, first), np.add.reduceat(rows, first)
        if not fewer:
            return starts.tolist(), hits.tolist(), rows.tolist()


def estimate(scores: ScoreSketch, by: Calibration) -> dict[str, Estimate]:
    """What the predictions' scores and decisions say of each metric; left out where it is undefined."""
    block = np.searchsorted(np.asarray(by.edges), scores_at(scores), side="right")
    size = len(by.rows)
    made = np.bincount(block, scores.predictions, size)
    positive = np.bincount(block, scores.decided, size)
    negative = made - positive
    rows = np.asarray(by.rows, dtype=np.float64)
    c = np.asarray(by.hits, dtype=np.float64) / rows
    spread = c * (1 - c)
    total, decided = int(made.sum()), int(positive.sum())
    hit, missed = _sum(positive * c), _sum(negative * c)
    out: dict[str, Estimate] = {}

    def put(name: str, value: float, by_hit: float, by_missed: float) -> None:
        """``by_hit``, ``by_missed``: what one positive outcome more changes, by its decision."""
        outcomes = _sum((positive * by_hit**2 + negative * by_missed**2) * spread)
        own = _sum((positive * by_hit + negative * by_missed) ** 2 * spread / rows)
        out[name] = Estimate(value, outcomes, own)

    if total:
        put("accuracy", (hit + total - decided - missed) / total, 1 / total, -1 / total)
    if decided:
        put("precision", hit / decided, 1 / decided, 0.0)
    actual = hit + missed
    if actual > 0:
        put("recall", hit / actual, missed / actual**2, -hit / actual**2)
    if decided + actual > 0:
        both = decided + actual
        put("f1", 2 * hit / both, 2 / both - 2 * hit / both**2, -2 * hit / both**2)
    return out


def scores_at(scores: ScoreSketch) -> NDArray[np.float64]:
    """The scores that a sketch counts; of a bin its middle. Shape (n,)."""
    return _MIDDLE[scores.values.astype(np.int64)] if scores.binned else scores.values


def _sum(values: NDArray[np.float64]) -> float:
    """Rounded once, so that no processor's way of adding shows in the published bytes."""
    return math.fsum(values.tolist())


class Estimates(NamedTuple):
    """Of some predictions: what is defined, by metric, and whether it is to be believed."""

    metrics: dict[str, Estimate]
    muted: bool


class Muting(msgspec.Struct, frozen=True, array_like=True):
    """Whether estimates may be believed, by the mature days whose outcomes were beside them."""

    #: of the newest seven of these days, whether the day's outcomes lay outside of what was estimated
    outside: list[bool] = []
    muted: bool = False
    #: such days in a row without any reason to mute
    quiet: int = 0

    def after(self, outside: bool | None, blind: bool, most: int, quiet_days: int) -> Muting:
        """After a performance check. ``outside``: of its mature day, ``None`` if that could not be judged; ``blind``:
        its seven-day window found a drop of which the estimate saw less than half."""
        days = self.outside if outside is None else [*self.outside, outside][-WINDOW:]
        if blind or sum(days) > most:
            return Muting(days, True, 0)
        quiet = self.quiet + (self.muted and outside is not None)
        if quiet >= quiet_days:
            return Muting(days)
        return Muting(days, self.muted, quiet)


#: Mature days that are looked at.
WINDOW: Final = 7


def is_outside(realised: float, estimated: Estimate, per_outcome: float, phi: float, points: float) -> bool:
    """Whether a day's outcomes lie outside of what was estimated for it: by more than ``points``, and beyond chance.

    ``per_outcome``: predictions for each outcome that came; ``phi``: the baseline's day-to-day dispersion."""
    gap = abs(realised - estimated.value)
    return gap * 100 > points and gap > Z * math.sqrt(phi * (estimated.outcomes * per_outcome + estimated.map))

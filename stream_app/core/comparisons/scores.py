"""Two samples of scores: the Kolmogorov–Smirnov distance, exact in integers.

With cumulative counts a of n recent scores and b of m baseline scores, D = max |a·m − b·n| / (n·m), and
p = kstwo.sf(D, round(n·m/(n + m))) as ``scipy.stats.ks_2samp(method="asymp")``.

Binned scores hide where in a bin a score lay. At a bin's right edge the cumulative counts are those of the raw scores;
within bin i the raw difference F − G can leave the straight model between its edges by at most the bin's own masses:
upwards by f_i (all recent scores of the bin first), downwards by g_i. So the raw D lies at most
``max_i max(F_{i−1} − G_{i−1} + f_i, G_{i−1} − F_{i−1} + g_i) − D`` above the binned one and never below it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stream_app.core.comparisons.kolmogorov import survival
from stream_app.core.comparisons.records import Histogram, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.counts import score_sketch
from stream_app.core.counts.cells import BIN_SCORES, BINS, Counts
from stream_app.core.counts.deltas import FIXED
from stream_app.core.counts.score_sketch import EDGES, ScoreSketch

HISTOGRAM_BINS = 50
#: Inner edges of the histogram's bins, closed on the left.
_HISTOGRAM_EDGES = np.arange(1, HISTOGRAM_BINS) / HISTOGRAM_BINS
#: Left edge of each sketch bin: where its scores are drawn.
_LEFT = np.concatenate(([0.0], EDGES))

Ints = NDArray[np.int64]


def score_window(first: int, last: int, recent: Counts, baseline: Counts, rules: ComparisonRules) -> ScoreWindow:
    """Compare all predictions of days [first, last) with the baseline's, labelled or not."""
    a, b = recent.scores, baseline.scores
    if a.binned != b.binned:
        a, b = score_sketch.to_bins(a), score_sketch.to_bins(b)
    n, m = int(a.predictions.sum()), int(b.predictions.sum())
    distance, error, p_value = 0, 0.0, None
    if n and m:
        distance, reach = _distance(a, b, n, m)
        error = (reach - distance) / (n * m) if a.binned else 0.0
        p_value = survival(distance / (n * m), max(1, round(n * m / (n + m))))
    return ScoreWindow(
        first, last, n, m, distance, p_value, error, mean_score(recent), mean_score(baseline),
        Histogram(histogram(recent.scores), histogram(baseline.scores)),
    )  # fmt: skip


def distance(window: ScoreWindow) -> float:
    """D; 0 if a side is empty."""
    return window.distance / (window.n * window.m) if window.n and window.m else 0.0


def lower_bound(window: ScoreWindow, rules: ComparisonRules) -> float:
    """L = D − band − sketch error: the raw distance of the populations is above it with the band's confidence."""
    return window.distance / (window.n * window.m) - _band(window, rules) - window.sketch_error


def upper_bound(window: ScoreWindow, rules: ComparisonRules) -> float:
    """The other end of the band, at most 1."""
    return min(1.0, window.distance / (window.n * window.m) + _band(window, rules) + window.sketch_error)


def _band(window: ScoreWindow, rules: ComparisonRules) -> float:
    return rules.ks_band * math.sqrt(1 / window.n + 1 / window.m)


def mean_score(counts: Counts) -> float | None:
    """Mean of all scores; ``None`` without any."""
    made = counts.predictions
    return int(counts.vector[BIN_SCORES : BIN_SCORES + BINS].sum()) / (made * FIXED) if made else None


def histogram(sketch: ScoreSketch, labelled: bool = False) -> list[int]:
    """Predictions, or only those with an outcome, in 50 bins of equal width; a sketch's bin stands at its left edge."""
    at = _LEFT[sketch.values.astype(np.int64)] if sketch.binned else sketch.values
    where = np.searchsorted(_HISTOGRAM_EDGES, at, side="right")
    out = np.zeros(HISTOGRAM_BINS, dtype=np.int64)
    np.add.at(out, where, sketch.positives + sketch.negatives if labelled else sketch.predictions)
    found: list[int] = out.tolist()
    return found


def _distance(a: ScoreSketch, b: ScoreSketch, n: int, m: int) -> tuple[int, int]:
    """D·n·m, and how large D·n·m of the raw scores can be."""
    values = np.concatenate((a.values, b.values))
    order = np.argsort(values, kind="stable")
    recent = np.concatenate((a.predictions, np.zeros(len(b.values), dtype=np.int64)))[order]
    baseline = np.concatenate((np.zeros(len(a.values), dtype=np.int64), b.predictions))[order]
    ends = np.flatnonzero(np.concatenate((values[order][1:] != values[order][:-1], [True])))
    # Python's integers where 64 bits would not hold n·m
    large = n * m >= 2**62
    f: Ints = np.cumsum(recent)[ends]
    g: Ints = np.cumsum(baseline)[ends]
    if large:
        f, g = f.astype(object), g.astype(object)
    difference = f * m - g * n
    distance = int(np.max(np.abs(difference)))
    before = np.concatenate((difference[:1] * 0, difference[:-1]))
    up = before + np.diff(f, prepend=0) * m
    down = -before + np.diff(g, prepend=0) * n
    return distance, max(distance, int(np.max(up)), int(np.max(down)))

"""Counts of scores: exact while there are few distinct ones, 4,096 fixed bins beyond.

A sketch is a joint table: for each score value the number of predictions, of positive and of negative outcomes, and
of the predictions those that were decided positive.
Being integers over exact values, sketches add, and counts move between classes, without any error. A cell is binned
once more than ``EXACT_LIMIT`` distinct scores stand among its predictions. That is a property of the content alone:
predictions are never taken back, so neither the order of additions nor where they were cut can change it.

Bins are closed on the left. Their 4,095 inner edges are the 2,047 inner points of [0, 1] in 2,048 steps, and 2,048
points spaced evenly in logit on [−16, 16], where fraud scores crowd. They are stored (``score_edges.f64``), not
computed, because libraries differ in the last bit of ``exp``.

Cost: 24 bytes for each distinct score or non-empty bin; adding is a merge of sorted arrays, O(n + m).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

EXACT_LIMIT: Final = 4_096

#: Inner bin edges, ascending; shape (4095,).
EDGES: Final[NDArray[np.float64]] = np.frombuffer(
    resources.files("stream_app.core").joinpath("score_edges.f64").read_bytes(), dtype="<f8"
)

PREDICTIONS, POSITIVES, NEGATIVES, DECIDED = range(4)
COLUMNS: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSketch:
    """``values``: ascending scores, or bin numbers once ``binned``; shape (n,). ``counts``: shape (n, 4)."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]
    binned: bool = False

    @property
    def positives(self) -> NDArray[np.int64]:
        """Positive outcomes by value."""
        return self.counts[:, POSITIVES]

    @property
    def negatives(self) -> NDArray[np.int64]:
        """Negative outcomes by value."""
        return self.counts[:, NEGATIVES]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Predictions by value, labelled or not."""
        return self.counts[:, PREDICTIONS]

    @property
    def decided(self) -> NDArray[np.int64]:
        """Predictions that were decided positive, by value."""
        return self.counts[:, DECIDED]


EMPTY: Final = ScoreSketch(np.empty(0), np.empty((0, COLUMNS), dtype=np.int64))


def bin_of(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bin number of each score, 0 to 4095; shapes (n,)."""
    return np.searchsorted(EDGES, scores, side="right").astype(np.float64)


def collect(values: NDArray[np.float64], counts: NDArray[np.int64], binned: bool = False) -> ScoreSketch:
    """Sum rows of equal value and drop those that come to nothing. ``values`` (n,) in any order, ``counts`` (n, 4)."""
    if not len(values):
        return EMPTY if not binned else ScoreSketch(EMPTY.values, EMPTY.counts, True)
    order = np.argsort(values, kind="stable")
    values, counts = values[order], np.take(counts, order, axis=0)
    first = np.empty(len(values), dtype=bool)
    first[0] = True
    np.not_equal(values[1:], values[:-1], out=first[1:])
    start = np.flatnonzero(first)
    sums = np.add.reduceat(counts, start, axis=0)
    keep = (sums[:, 0] | sums[:, 1] | sums[:, 2] | sums[:, 3]) != 0
    values = values[start]
    return ScoreSketch(values, sums, binned) if keep.all() else ScoreSketch(values[keep], sums[keep], binned)


def to_bins(sketch: ScoreSketch) -> ScoreSketch:
    """The same counts in bins."""
    if sketch.binned:
        return sketch
    return collect(bin_of(sketch.values), sketch.counts, binned=True)


def add(a: ScoreSketch, b: ScoreSketch) -> ScoreSketch:
    """Sum of two sketches; one that is binned makes both so. Exact ones stay exact, whatever their size."""
    if a.binned != b.binned:
        a, b = to_bins(a), to_bins(b)
    return collect(np.concatenate((a.values, b.values)), np.concatenate((a.counts, b.counts)), a.binned)


def limited(sketch: ScoreSketch) -> ScoreSketch:
    """A cell's sketch: binned once more than ``EXACT_LIMIT`` distinct scores stand among its predictions."""
    if not sketch.binned and len(sketch.values) > EXACT_LIMIT and int((sketch.predictions > 0).sum()) > EXACT_LIMIT:
        return to_bins(sketch)
    return sketch

"""Sums of many cells at once: what folding :func:`~stream_app.core.counts.cells.add` over them gives, with one sort."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stream_app.core.counts import score_sketch
from stream_app.core.counts.cells import EMPTY, Counts
from stream_app.core.counts.score_sketch import ScoreSketch


def total(counts: Sequence[Counts], ordered: bool = True) -> Counts:
    """Sum of any number of counts; one binned sketch makes the sum binned. No counts: all zeros.

    Unless ``ordered``, the sum's scores stand as they come, equal ones apart: enough for a histogram, without the sort
    that most of the time goes into.
    """
    if len(counts) < 2:
        return counts[0] if counts else EMPTY
    binned = any(c.scores.binned for c in counts)
    sketches = [score_sketch.to_bins(c.scores) if binned else c.scores for c in counts]
    values = np.concatenate([s.values for s in sketches])
    table = np.concatenate([s.counts for s in sketches])
    vector = np.sum([c.vector for c in counts], axis=0)
    scores = score_sketch.collect(values, table, binned) if ordered else ScoreSketch(values, table, binned)
    return Counts(vector, scores)

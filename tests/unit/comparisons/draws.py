"""Random samples of the tests: raw rows, and the counts that the project makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from stream_app.core.counts import cells, deltas, score_sketch
from stream_app.core.counts.cells import Counts


def counts(scores: Any, predicted: Any = None, actual: Any = None, binned: bool = False) -> Counts:
    """Counts of raw rows; ``actual`` −1 where there is no outcome. ``binned`` even if few scores are distinct."""
    scores = np.asarray(scores, dtype=np.float64)
    said = (scores >= 0.5 if predicted is None else np.asarray(predicted, dtype=bool)).astype(np.int64)
    known = np.full(len(scores), -1) if actual is None else np.asarray(actual, dtype=np.int64)
    has = known >= 0
    kinds = np.concatenate([said, deltas.LABEL_TN + 2 * said[has] + known[has]])
    values = np.concatenate([scores, scores[has]])
    ones = np.ones(len(kinds), dtype=np.int64)
    made = cells.changes(1, deltas.aggregate(np.zeros(len(kinds)), kinds, values, ones), [])[0]
    return Counts(made.vector, score_sketch.to_bins(made.scores)) if binned else made


def logits(rng: np.random.Generator, n: int, centre: float, spread: float) -> Any:
    """Scores whose logits are normal."""
    return 1 / (1 + np.exp(-rng.normal(centre, spread, n)))

"""Between which values what is computed of binned scores must lie, whatever the raw scores in the bins were."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]


def certified(positives: Ints, negatives: Ints) -> tuple[float, float] | None:
    """Between which values the PR-AUC of the raw scores must lie when each row of the arrays is a bin.

    Low: a bin's negatives before its positives, one by one. High: its positives before its negatives and tied, which
    gives all of them the precision of the last. Whatever the order and the ties of the raw scores, no positive has a
    higher precision, and none a lower one. ``None`` without positives.
    """
    total = int(positives.sum())
    if not total:
        return None
    p, q = positives[::-1], negatives[::-1]
    hits, shown = np.cumsum(p), np.cumsum(p + q)
    low: list[float] = []
    high: list[float] = []
    for i in np.flatnonzero(p).tolist():
        here, before = int(p[i]), int(hits[i] - p[i])
        wrong = int(shown[i] - hits[i])  # negatives down to and with this bin
        k = np.arange(1, here + 1)
        low.append(float(np.sum((before + k) / (before + k + wrong))))
        high.append(here * int(hits[i]) / (int(hits[i]) + wrong - int(q[i])))
    return math.fsum(low) / total, math.fsum(high) / total


def certified_precision(
    positives: Ints, negatives: Ints, numerator: int = 4, denominator: int = 5
) -> tuple[float, float] | None:
    """The same for the highest precision at a recall of at least numerator/denominator.

    The ends of bins are cuts of the raw scores too, so the value of the bins is the least; no cut can be better than
    one after all positives and before all negatives of a bin.
    """
    total = int(positives.sum())
    if not total:
        return None
    hits, shown = np.cumsum(positives[::-1]), np.cumsum((positives + negatives)[::-1])
    enough = (hits * denominator >= total * numerator) & (hits > 0)
    found = hits[enough]
    return float(np.max(found / shown[enough])), float(np.max(found / (shown - negatives[::-1])[enough]))

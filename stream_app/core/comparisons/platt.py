"""Platt's scaling: score′ = σ(a·logit(score) + b), the two numbers fitted to outcomes by maximum likelihood.

Platt (1999), "Probabilistic outputs for support vector machines", with his targets (N₊ + 1)/(N₊ + 2) and 1/(N₋ + 2) in
place of 1 and 0, so that classes which a cut separates have a finite fit; Newton's method with halved steps after Lin,
Lin and Weng (2007), "A note on Platt's probabilistic outputs". Convex, so where it starts does not matter.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Logits beyond it are cut off: a score of exactly 0 or 1 has none. It is where the bins of scores end, too.
REACH: Final = 16.0
_ITERATIONS: Final = 100
#: Newton's step in a and b below which the fit has converged; both are published to six decimals.
_STEP: Final = 1e-9


def logits(scores: Floats) -> Floats:
    """ln(s/(1 − s)) of scores in [0, 1], within ±``REACH``; shape (n,)."""
    with np.errstate(divide="ignore"):
        found: Floats = np.clip(np.log(scores) - np.log1p(-scores), -REACH, REACH)
    return found


def fit(x: Floats, positives: Ints, negatives: Ints) -> tuple[float, float]:
    """a and b for logits ``x`` with so many positive and negative outcomes at each; shapes (n,). Both classes occur.

    Sums are rounded once (``fsum``), so the order of rows and a processor's way of adding do not show. O(n) a step.
    """
    all_positive, all_negative = int(positives.sum()), int(negatives.sum())
    high, low = (all_positive + 1) / (all_positive + 2), 1 / (all_negative + 2)
    rows = (positives + negatives).astype(np.float64)
    hits = positives * high + negatives * low
    share = _sum(hits) / _sum(rows)
    a, b = 0.0, math.log(share / (1 - share))
    loss = _loss(a, b, x, rows, hits)
    for _ in range(_ITERATIONS):
        p = _sigma(a * x + b)
        error, weight = rows * p - hits, rows * p * (1 - p)
        by_a, by_b = _sum(error * x), _sum(error)
        aa, ab, bb = _sum(weight * x * x) + 1e-12, _sum(weight * x), _sum(weight) + 1e-12
        determinant = aa * bb - ab * ab
        if determinant <= 0:  # all scores are the same: nothing can be told of a
            break
        step_a, step_b = (bb * by_a - ab * by_b) / determinant, (aa * by_b - ab * by_a) / determinant
        if max(abs(step_a), abs(step_b)) < _STEP:
            break
        size = 1.0
        while size > _STEP:
            found = _loss(a - size * step_a, b - size * step_b, x, rows, hits)
            if found <= loss:
                break
            size /= 2
        else:
            break
        a, b, loss = a - size * step_a, b - size * step_b, found
    return a, b


def scaled(x: Floats, a: float, b: float) -> Floats:
    """score′ of scores with logits ``x``; shapes (n,)."""
    return _sigma(a * x + b)


def recalibrated(scores: Floats, a: float, b: float) -> Floats:
    """score′ of scores in [0, 1]; shapes (n,)."""
    return scaled(logits(scores), a, b)


def _loss(a: float, b: float, x: Floats, rows: Floats, hits: Floats) -> float:
    """Negative log-likelihood: Σ rows·ln(1 + eᶻ) − hits·z."""
    z = a * x + b
    return _sum(rows * np.logaddexp(0.0, z) - hits * z)


def _sigma(z: Floats) -> Floats:
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def _sum(values: Floats) -> float:
    return math.fsum(values.tolist())

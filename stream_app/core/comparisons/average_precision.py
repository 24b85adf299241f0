"""Uncertainty of PR-AUC, and what binning can hide of it.

PR-AUC by the step rule is A = Σ_i p_i · H_i / S_i / P over descending scores, with p_i positives at score i, H_i and
S_i positives and rows down to it, P positives in all. By the delta method its variance under Poisson counts c of each
(class, score) is Σ c·g², g = ∂A/∂c. For a score j:

* a negative counts in every S_i from j on:            g⁻_j = − Σ_{i ≥ j} p_i·H_i/S_i² / P
* a positive counts there too, in H_i, as p_j and in P: g⁺_j = (Σ_{i ≥ j} p_i·(S_i − H_i)/S_i² + H_j/S_j − A) / P

Limits are taken on the logit scale, where A has no ends: A·exp(±z·σ/(A(1 − A))). At exactly 0 or 1 there is no logit;
the Wilson limits of A·P successes among P positives stand in.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from stream_app.core.comparisons.proportions import wilson

Ints = NDArray[np.int64]


def variance(positives: Ints, negatives: Ints) -> tuple[float, float]:
    """PR-AUC and its variance; arrays by ascending score, shape (n,), with at least one positive."""
    p = positives[::-1].astype(np.float64)
    q = negatives[::-1].astype(np.float64)
    total = p.sum()
    hits = np.cumsum(p)
    shown = np.maximum(hits + np.cumsum(q), 1.0)
    precision = hits / shown
    area = float(np.sum(p * precision) / total)
    # sums over i ≥ j: everything from this score downwards
    loss = np.cumsum((p * hits / shown**2)[::-1])[::-1]
    gain = np.cumsum((p * (shown - hits) / shown**2)[::-1])[::-1]
    of_negative = -loss / total
    of_positive = (gain + precision - area) / total
    return area, float(np.sum(p * of_positive**2) + np.sum(q * of_negative**2))


def limits(area: float, spread: float, positives: float, z: float) -> tuple[float, float]:
    """One-sided limits of a PR-AUC. ``spread``: its variance; ``positives``: how many stand behind it."""
    if not 0.0 < area < 1.0:
        return wilson(area * positives, positives, z)
    half = z * math.sqrt(spread) / (area * (1 - area))
    odds = math.log(area / (1 - area))
    return _expit(odds - half), _expit(odds + half)


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


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))

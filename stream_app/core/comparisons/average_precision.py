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


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))

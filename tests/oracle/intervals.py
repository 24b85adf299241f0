"""Intervals of proportions from their definitions, for the oracle."""

from __future__ import annotations

import math

import numpy as np


def newcombe(a: float, n: float, b: float, m: float, z: float) -> tuple[float, float]:
    """Bounds of b/m − a/n, each at the quantile z: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10."""
    (p1, l1, u1), (p2, l2, u2) = _wilson(b, m, z), _wilson(a, n, z)
    return p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)


def _wilson(x: float, n: float, z: float) -> tuple[float, float, float]:
    """(x/n, lower, upper): the limits are the roots of (p − x/n)² n = z² p (1 − p)."""
    low, high = sorted(np.roots([n + z * z, -(2 * x + z * z), x * x / n]).real.tolist())
    return x / n, low, high

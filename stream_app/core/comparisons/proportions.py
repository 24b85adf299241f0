"""Limits of proportions and of their difference.

Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22 (1927); Newcombe, "Interval
Estimation for the Difference Between Independent Proportions: Comparison of Eleven Methods", Statistics in Medicine 17
(1998), method 10: the limits of either side are combined by the root of their squared distances.
"""

from __future__ import annotations

import math


def wilson(successes: float, rows: float, z: float) -> tuple[float, float]:
    """Score limits of a proportion, without continuity correction. ``rows`` > 0; fractions of rows are allowed."""
    p = successes / rows
    z2 = z * z
    centre = p + z2 / (2 * rows)
    spread = z * math.sqrt(max(0.0, p * (1 - p)) / rows + z2 / (4 * rows * rows))
    scale = 1 + z2 / rows
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def combine(
    first: float, first_limits: tuple[float, float], second: float, second_limits: tuple[float, float]
) -> tuple[float, float]:
    """Limits of ``first`` − ``second`` from the limits of either (Newcombe 1998, method 10)."""
    difference = first - second
    lower = difference - math.hypot(first - first_limits[0], second_limits[1] - second)
    upper = difference + math.hypot(first_limits[1] - first, second - second_limits[0])
    return max(-1.0, lower), min(1.0, upper)

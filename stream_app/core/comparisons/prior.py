"""A drop that the share of positives explains by itself: among actual positives and negatives nothing has moved.

Precision follows the share of positives even where a model errs as it always did, so people are told which it was. The
share has moved by as much as a drop has to, surely; the rates of error have not, and surely by less than what clears a
metric. All bounds are those of drops.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stream_app.core.comparisons.proportions import combine, wilson
from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.comparisons.rules import ComparisonRules

_POINTS: Final = 100


class PositiveShares(NamedTuple):
    """The share of positives among the outcomes on either side."""

    recent: float
    baseline: float


def prior_shift(window: LabelWindow, rules: ComparisonRules) -> PositiveShares | None:
    """Both shares of positives, if they moved and the rates of error among positives and negatives did not."""
    (tn, fn, fp, tp), (old_tn, old_fn, old_fp, old_tp) = window.outcomes, window.baseline_outcomes
    positives, negatives, old_positives, old_negatives = tp + fn, tn + fp, old_tp + old_fn, old_tn + old_fp
    if min(positives, negatives, old_positives, old_negatives) < max(1, rules.drop_min_denominator):
        return None
    for rate in ((fn, positives, old_fn, old_positives), (fp, negatives, old_fp, old_negatives)):
        moved, lower, upper = _moved(*rate, rules)
        if abs(moved) >= rules.drop_points or max(-lower, upper) >= rules.drop_clear_points:
            return None
    moved, lower, upper = _moved(positives, positives + negatives, old_positives, old_positives + old_negatives, rules)
    if abs(moved) < rules.drop_points or lower <= 0 <= upper:
        return None
    return PositiveShares(positives / (positives + negatives), old_positives / (old_positives + old_negatives))


def _moved(hits: int, rows: int, old_hits: int, old_rows: int, rules: ComparisonRules) -> tuple[float, float, float]:
    """Points by which a share moved, and their bounds."""
    new, old = hits / rows, old_hits / old_rows
    lower, upper = combine(new, wilson(hits, rows, rules.bound_z), old, wilson(old_hits, old_rows, rules.bound_z))
    return _POINTS * (new - old), _POINTS * lower, _POINTS * upper

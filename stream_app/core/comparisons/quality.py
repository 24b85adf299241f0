"""Figures of the data beside the model's: volume, positives, calibration, confidence intervals (CONTRACT section 3).

Volume and intervals stand on all predictions of the seven days before the close; what needs outcomes stands on the
judged days of the window that performance is judged by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from schemas.drift import Check
from stream_app.core.comparisons.records import QualityValue
from stream_app.core.counts.cells import (
    BIN_LABELLED,
    BIN_LABELLED_SCORES,
    BIN_POSITIVES,
    BINS,
    INTERVALS,
    NARROW,
    WIDTH_SUM,
    Counts,
)
from stream_app.core.counts.deltas import FIXED
from stream_app.core.counts.figures import calibration_score


def quality_values(
    scored: tuple[int, int],
    mature: tuple[int, int],
    *,
    recent: Counts,
    recent_days: int,
    baseline: Counts,
    baseline_days: int,
    judged_recent: Counts,
    judged_baseline: Counts,
) -> list[QualityValue]:
    """One value for each check. ``scored`` and ``mature``: first and last day of the two recent windows;
    ``recent_days`` and ``baseline_days``: calendar days that predictions were made on either side."""
    made, before = recent.predictions, baseline.predictions
    out = [
        QualityValue("volume", *scored, made / recent_days, before / baseline_days if before else None, made, before),
    ]
    for check, value in _OF_OUTCOMES:
        rows = judged_recent.labelled, judged_baseline.labelled
        out.append(QualityValue(check, *mature, value(judged_recent), value(judged_baseline), *rows))
    for check, value in _OF_INTERVALS:
        rows = int(recent.vector[INTERVALS]), int(baseline.vector[INTERVALS])
        out.append(QualityValue(check, *scored, value(recent), value(baseline), *rows))
    return out


def _positive_rate(counts: Counts) -> float | None:
    tn, fn, fp, tp = (int(x) for x in counts.vector[2:6])
    return (tp + fn) / (tn + fn + fp + tp) if counts.labelled else None


def _calibration(counts: Counts) -> float | None:
    v = counts.vector
    return calibration_score(
        v[BIN_LABELLED : BIN_LABELLED + BINS],
        v[BIN_LABELLED_SCORES : BIN_LABELLED_SCORES + BINS],
        v[BIN_POSITIVES : BIN_POSITIVES + BINS],
    )


def _width(counts: Counts) -> float | None:
    rows = int(counts.vector[INTERVALS])
    return int(counts.vector[WIDTH_SUM]) / (rows * FIXED) if rows else None


def _narrow(counts: Counts) -> float | None:
    rows = int(counts.vector[INTERVALS])
    return int(counts.vector[NARROW]) / rows if rows else None


_Of = tuple[tuple[Check, Callable[[Counts], float | None]], ...]
_OF_OUTCOMES: Final[_Of] = (("positive_rate", _positive_rate), ("calibration", _calibration))
_OF_INTERVALS: Final[_Of] = (("interval_width", _width), ("narrow_share", _narrow))

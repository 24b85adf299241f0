"""Figures of the data beside the model's: volume, positives, calibration, confidence intervals (CONTRACT section 3).

Volume and intervals stand on all predictions of the seven days before the close; what needs outcomes stands on the
judged days of the window that performance is judged by.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

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


class QualityCounts(NamedTuple):
    """One side of the checks: all predictions, calendar days they were made on, and those of its judged days."""

    made: Counts
    days: int
    judged: Counts


def quality_values(
    scored: tuple[int, int], mature: tuple[int, int], recent: QualityCounts, baseline: QualityCounts
) -> list[QualityValue]:
    """One value for each check. ``scored`` and ``mature``: first and last day of the two recent windows."""
    made, before = recent.made.predictions, baseline.made.predictions
    volumes = made / recent.days, before / baseline.days if before else None
    out = [QualityValue("volume", *scored, *volumes, made, before)]
    for check, value in _OF_OUTCOMES:
        rows = recent.judged.labelled, baseline.judged.labelled
        out.append(QualityValue(check, *mature, value(recent.judged), value(baseline.judged), *rows))
    for check, value in _OF_INTERVALS:
        rows = int(recent.made.vector[INTERVALS]), int(baseline.made.vector[INTERVALS])
        out.append(QualityValue(check, *scored, value(recent.made), value(baseline.made), *rows))
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

"""Daily quality of one model version on one model."""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.common import Count, Date, Finite, Name, Output, Percent, Unit


class DriftSummary(msgspec.Struct, frozen=True):
    """Comparison of the seven-day window with its baseline."""

    ks_statistic: Unit | None = None
    p_value: Unit | None = None
    #: recent minus baseline of the type's first performance metric; negative is worse
    performance_delta: Finite | None = None
    #: whether that drop is above 10 points
    is_degraded: bool | None = None


class EstimatedFigure(msgspec.Struct, frozen=True):
    """A metric as scores have it, with its 95 % interval."""

    value: Unit
    lower: Unit
    upper: Unit


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """Performance by scores alone, by the baseline's calibration: also of days without outcomes. It cannot see concept
    drift. A metric that is undefined is null."""

    accuracy: EstimatedFigure | None = None
    precision: EstimatedFigure | None = None
    recall: EstimatedFigure | None = None
    f1: EstimatedFigure | None = None
    #: outcomes of the last mature days contradict such estimates: not to be believed
    muted: bool


class MetricSnapshot(Output, frozen=True, kw_only=True):
    """Daily quality of one model version. ``*_pct`` is 0–100, coverage and ratios 0–1, undefined ratios are null."""

    schema: Literal["io.plumbline.metric-snapshot.v1"]
    model_version: Name
    date: Date
    state: Literal["open", "closed"]
    #: 0 while open; 1 when the day is closed, one more whenever later labels changed it
    revision: Count
    predictions: Count
    #: predictions of the day that have their outcome, whenever it came
    outcomes: Count
    coverage: Unit | None
    true_positives: Count
    false_positives: Count
    true_negatives: Count
    false_negatives: Count
    accuracy: Unit | None
    precision: Unit | None
    recall: Unit | None
    f1: Unit | None
    pr_auc: Unit | None
    precision_at_80_recall: Unit | None
    brier: Unit | None
    avg_ci_width: Unit | None
    narrow_interval_pct: Percent | None
    calibration_score: Unit | None
    #: predictions that carried a confidence interval
    intervals: Count
    #: unlabelled predictions counted as negatives (``unlabelled_as``); part of the true and false negatives' counts
    assumed_negatives: Count
    score_mode: Literal["exact", "binned"]
    drift: DriftSummary | None = None
    #: null before the version's first baseline
    estimated: Estimated | None = None

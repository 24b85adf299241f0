"""Daily quality of one model version on one line."""

from __future__ import annotations

from typing import Literal

import msgspec


class DriftSummary(msgspec.Struct, frozen=True):
    """Comparison of the seven-day window with its baseline."""

    ks_statistic: float | None = None
    p_value: float | None = None
    performance_delta: float | None = None
    is_degraded: bool | None = None


class MetricSnapshot(msgspec.Struct, frozen=True):
    """One record of metric-snapshots. ``*_pct`` is 0–100, coverage and ratios 0–1, undefined ratios are null."""

    schema: str
    id: str
    at: str
    line: str
    model_type: str
    tenant_id: str
    model_version: str
    date: str
    state: Literal["open", "closed"]
    revision: int
    predictions: int
    outcomes: int
    coverage: float | None
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    pr_auc: float | None
    precision_at_80_recall: float | None
    brier: float | None
    avg_ci_width: float | None
    narrow_interval_pct: float | None
    calibration_score: float | None
    intervals: int
    #: unlabelled predictions counted as negatives (``unlabelled_as``); part of the true and false negatives' counts
    assumed_negatives: int
    score_mode: Literal["exact", "binned"]
    drift: DriftSummary | None = None

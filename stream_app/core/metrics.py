"""Figures of a cell or a sum of cells. Undefined ratios are ``None``, never 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_app.core.cells import (
    BIN_LABELLED,
    BIN_LABELLED_SCORES,
    BIN_POSITIVES,
    BIN_PREDICTIONS,
    BIN_SCORES,
    BINS,
    BRIER,
    INTERVALS,
    NARROW,
    SQUARES,
    SQUARES_LABELLED,
    WIDTH_SUM,
    Counts,
)
from stream_app.core.deltas import FIXED


@dataclass(frozen=True, slots=True)
class Figures:
    """The metric fields of a snapshot (CONTRACT sections 2 and 7); ``*_pct`` is 0–100, the rest 0–1."""

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
    assumed_negatives: int
    score_mode: Literal["exact", "binned"]


def ratio(numerator: int, denominator: int) -> float | None:
    """Their quotient, ``None`` if undefined."""
    return numerator / denominator if denominator else None


def figures(counts: Counts, assume_negative: bool = False) -> Figures:
    """All figures. With ``assume_negative``, predictions without an outcome count as negatives and are listed apart."""
    v = counts.vector
    made_negative, made_positive, tn, fn, fp, tp = (int(x) for x in v[:6])
    labelled = tn + fn + fp + tp
    predictions = made_negative + made_positive
    positives, negatives = counts.scores.positives, counts.scores.negatives
    brier, judged = int(v[BRIER]), labelled
    in_bin, score_sum = v[BIN_LABELLED : BIN_LABELLED + BINS], v[BIN_LABELLED_SCORES : BIN_LABELLED_SCORES + BINS]
    assumed = 0
    if assume_negative:
        assumed = predictions - labelled
        tn += made_negative - tn - fn
        fp += made_positive - fp - tp
        negatives = counts.scores.predictions - positives
        brier += int(v[SQUARES] - v[SQUARES_LABELLED])
        judged = predictions
        in_bin, score_sum = v[BIN_PREDICTIONS : BIN_PREDICTIONS + BINS], v[BIN_SCORES : BIN_SCORES + BINS]
    intervals = int(v[INTERVALS])
    narrow = ratio(int(v[NARROW]), intervals)
    return Figures(
        predictions=predictions,
        outcomes=labelled,
        coverage=ratio(labelled, predictions),
        true_positives=tp,
        false_positives=fp,
        true_negatives=tn,
        false_negatives=fn,
        accuracy=ratio(tp + tn, judged),
        precision=ratio(tp, tp + fp),
        recall=ratio(tp, tp + fn),
        f1=ratio(2 * tp, 2 * tp + fp + fn),
        pr_auc=average_precision(positives, negatives),
        precision_at_80_recall=precision_at_recall(positives, negatives),
        brier=ratio(brier, judged * FIXED),
        avg_ci_width=ratio(int(v[WIDTH_SUM]), intervals * FIXED),
        narrow_interval_pct=None if narrow is None else 100 * narrow,
        calibration_score=calibration_score(in_bin, score_sum, v[BIN_POSITIVES : BIN_POSITIVES + BINS]),
        intervals=intervals,
        assumed_negatives=assumed,
        score_mode="binned" if counts.scores.binned else "exact",
    )


def average_precision(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> float | None:
    """PR-AUC by the step rule, Σ (R_i − R_{i−1}) · P_i over descending distinct scores; ties stand together.

    As ``sklearn.metrics.average_precision_score``. Arrays by ascending score, shape (n,). ``None`` without positives.
    """
    total = int(positives.sum())
    if not total:
        return None
    gained = positives[::-1]
    hits = np.cumsum(gained)
    shown = hits + np.cumsum(negatives[::-1])
    steps = gained > 0
    return float(np.sum(gained[steps] * (hits[steps] / shown[steps]))) / total


def precision_at_recall(
    positives: NDArray[np.int64], negatives: NDArray[np.int64], numerator: int = 4, denominator: int = 5
) -> float | None:
    """Highest precision of any threshold whose recall is at least numerator/denominator; compared in integers."""
    total = int(positives.sum())
    if not total:
        return None
    hits = np.cumsum(positives[::-1])
    shown = hits + np.cumsum(negatives[::-1])
    enough = (hits * denominator >= total * numerator) & (shown > 0)
    return float(np.max(hits[enough] / shown[enough]))


def calibration_score(
    in_bin: NDArray[np.int64], score_sum: NDArray[np.int64], positives: NDArray[np.int64]
) -> float | None:
    """1 − expected calibration error, Σ |mean score − share of positives| · n_b / n over ten equal-width bins.

    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", AAAI 2015, eq. 3.
    ``score_sum`` is fixed point. ``None`` without judged predictions.
    """
    n = int(in_bin.sum())
    if not n:
        return None
    gap = sum(abs(int(s) - int(p) * FIXED) for s, p in zip(score_sum, positives, strict=True))
    return 1.0 - gap / (n * FIXED)

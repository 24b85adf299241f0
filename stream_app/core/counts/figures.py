"""Figures of a cell or a sum of cells. Undefined ratios are ``None``, never 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stream_app.core.counts.cells import (
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
from stream_app.core.counts.deltas import FIXED, LABEL_FP, LABEL_TN
from stream_app.core.counts.score_sketch import NEGATIVES, POSITIVES, PREDICTIONS, ScoreSketch


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


def assume(counts: Counts) -> tuple[Counts, int]:
    """The counts with every prediction that has no outcome taken for a negative, and how many those were.

    Adds up like the counts themselves, so a window may hold days that assume and days that do not.
    """
    old = counts.vector
    v = old.copy()
    v[LABEL_TN] += old[0] - old[2] - old[3]
    v[LABEL_FP] += old[1] - old[4] - old[5]
    v[BRIER] += old[SQUARES] - old[SQUARES_LABELLED]
    v[SQUARES_LABELLED] = old[SQUARES]
    v[BIN_LABELLED : BIN_LABELLED + BINS] = old[BIN_PREDICTIONS : BIN_PREDICTIONS + BINS]
    v[BIN_LABELLED_SCORES : BIN_LABELLED_SCORES + BINS] = old[BIN_SCORES : BIN_SCORES + BINS]
    joint = counts.scores.counts.copy()
    joint[:, NEGATIVES] = joint[:, PREDICTIONS] - joint[:, POSITIVES]
    scores = ScoreSketch(counts.scores.values, joint, counts.scores.binned)
    return Counts(v, scores), counts.predictions - counts.labelled


def figures(counts: Counts, assume_negative: bool = False) -> Figures:
    """All figures. With ``assume_negative``, predictions without an outcome count as negatives and are listed apart."""
    return figures_with(*assume(counts)) if assume_negative else figures_with(counts, 0)


def figures_with(counts: Counts, assumed: int) -> Figures:
    """Figures of counts among whose negatives ``assumed`` are predictions without an outcome."""
    v = counts.vector
    made_negative, made_positive, tn, fn, fp, tp = (int(x) for x in v[:6])
    judged = tn + fn + fp + tp
    predictions = made_negative + made_positive
    positives, negatives = counts.scores.positives, counts.scores.negatives
    intervals = int(v[INTERVALS])
    narrow = ratio(int(v[NARROW]), intervals)
    return Figures(
        predictions=predictions,
        outcomes=judged - assumed,
        coverage=ratio(judged - assumed, predictions),
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
        brier=ratio(int(v[BRIER]), judged * FIXED),
        avg_ci_width=ratio(int(v[WIDTH_SUM]), intervals * FIXED),
        narrow_interval_pct=None if narrow is None else 100 * narrow,
        calibration_score=calibration_score(
            v[BIN_LABELLED : BIN_LABELLED + BINS],
            v[BIN_LABELLED_SCORES : BIN_LABELLED_SCORES + BINS],
            v[BIN_POSITIVES : BIN_POSITIVES + BINS],
        ),
        intervals=intervals,
        assumed_negatives=assumed,
        score_mode="binned" if counts.scores.binned else "exact",
    )


def average_precision(positives: NDArray[np.int64], negatives: NDArray[np.int64]) -> float | None:
    """PR-AUC by the step rule, Σ (R_i − R_{i−1}) · P_i over descending distinct scores; ties stand together.

    As ``sklearn.metrics.average_precision_score``. Arrays by ascending score, shape (n,). ``None`` without positives.
    The sum is rounded once (``fsum``), so that no processor's way of adding shows in the published bytes.
    """
    total = int(positives.sum())
    if not total:
        return None
    gained = positives[::-1]
    hits = np.cumsum(gained)
    shown = hits + np.cumsum(negatives[::-1])
    steps = gained > 0
    return math.fsum((gained[steps] * (hits[steps] / shown[steps])).tolist()) / total


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

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from stream_app.core.counts import cells, deltas
from stream_app.core.counts.cells import Cell, Counts
from stream_app.core.counts.deltas import FIXED, Intervals
from stream_app.core.counts.figures import Figures, average_precision, figures, precision_at_recall


class Batch:
    """A day of predictions as plain arrays: the independent side of every comparison."""

    def __init__(self, n: int, seed: int, digits: int | None, positive: float = 0.5, labelled: float = 0.9) -> None:
        rng = np.random.default_rng(seed)
        self.actual = rng.random(n) < positive
        raw = rng.normal(np.where(self.actual, 0.7, -0.7), 1.0)
        score = 1 / (1 + np.exp(-raw))
        self.score = score if digits is None else score.round(digits)
        self.predicted = self.score >= 0.5
        self.labelled = rng.random(n) < labelled
        self.width = rng.random(n) * 0.5

    def counts(self) -> Counts:
        kinds = np.concatenate([self.predicted, (2 + 2 * self.predicted + self.actual)[self.labelled]])
        scores = np.concatenate([self.score, self.score[self.labelled]])
        rows = deltas.aggregate(np.zeros(len(kinds)), kinds, scores, np.ones(len(kinds)))
        widths = Intervals(0, len(self.width), int(np.rint(self.width * FIXED).sum()), int((self.width < 0.2).sum()))
        return cells.fold(Cell(cells.EMPTY), cells.changes(1, rows, [widths])[0], 1).counts

    def check(self, found: Figures, y: np.ndarray, s: np.ndarray, d: np.ndarray) -> None:
        """Against scikit-learn and numpy over (actual, score, decision)."""
        tn, fp, fn, tp = sk.confusion_matrix(y, d, labels=[False, True]).ravel()
        assert (found.true_negatives, found.false_positives, found.false_negatives, found.true_positives) == (
            tn, fp, fn, tp
        )  # fmt: skip
        close = {
            "accuracy": sk.accuracy_score(y, d),
            "precision": sk.precision_score(y, d),
            "recall": sk.recall_score(y, d),
            "f1": sk.f1_score(y, d),
            "brier": sk.brier_score_loss(y, s),
            "avg_ci_width": self.width.mean(),
            "narrow_interval_pct": 100 * (self.width < 0.2).mean(),
            "calibration_score": 1 - _ece(y, s),
        }
        for name, expected in close.items():
            assert getattr(found, name) == pytest.approx(expected, abs=1e-9), name
        tolerance = 1e-9 if found.score_mode == "exact" else 1e-3
        assert found.pr_auc == pytest.approx(sk.average_precision_score(y, s), abs=tolerance)
        precision, recall, _ = sk.precision_recall_curve(y, s)
        assert found.precision_at_80_recall == pytest.approx(precision[recall >= 0.8].max(), abs=tolerance * 5)


def _ece(y: np.ndarray, s: np.ndarray) -> float:
    which = np.digitize(s, np.array([k / 10 for k in range(1, 10)]))
    return float(
        sum(
            (which == b).sum() / len(s) * abs(s[which == b].mean() - y[which == b].mean())
            for b in range(10)
            if (which == b).any()
        )
    )


@pytest.mark.parametrize(("n", "digits"), [(50, None), (900, None), (4000, 2), (30_000, 3), (30_000, None)])
@pytest.mark.parametrize("positive", [0.5, 0.03])
def test_figures_equal_scikit_learn_over_the_same_rows(n: int, digits: int | None, positive: float) -> None:
    batch = Batch(n, n, digits, max(positive, 5 / n))
    found = figures(batch.counts())
    known = batch.labelled
    assert found.score_mode == ("binned" if digits is None and n > 4096 else "exact")
    assert (found.predictions, found.outcomes, found.intervals) == (n, known.sum(), n)
    assert found.coverage == known.sum() / n
    assert found.assumed_negatives == 0
    batch.check(found, batch.actual[known], batch.score[known], batch.predicted[known])


@pytest.mark.parametrize(("n", "digits"), [(900, 2), (900, None), (30_000, None)])
def test_with_unlabelled_as_negative_figures_equal_scikit_learn_over_rows_filled_with_false(
    n: int, digits: int | None
) -> None:
    batch = Batch(n, n + 1, digits, labelled=0.6)
    found = figures(batch.counts(), assume_negative=True)
    assert (found.outcomes, found.assumed_negatives) == (batch.labelled.sum(), (~batch.labelled).sum())
    batch.check(found, batch.actual & batch.labelled, batch.score, batch.predicted)


@pytest.mark.parametrize("seed", range(8))
def test_binned_pr_auc_is_within_a_thousandth_from_300_positives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(20_000) < 300)
    # crowded near nought, as fraud scores are
    s = 1 / (1 + np.exp(-(rng.normal(np.where(y, -2.0, -6.0), 1.5))))
    rows = deltas.aggregate(
        np.zeros(40_000), np.concatenate([s >= 0.5, 2 + 2 * (s >= 0.5) + y]), np.concatenate([s, s]), np.ones(40_000)
    )
    found = figures(cells.fold(Cell(cells.EMPTY), cells.changes(1, rows, [])[0], 1).counts)
    assert found.score_mode == "binned"
    assert found.pr_auc == pytest.approx(sk.average_precision_score(y, s), abs=1e-3)


def test_an_empty_cell_has_counts_of_nought_and_no_ratios() -> None:
    found = figures(cells.EMPTY)
    assert {name for name in Figures.__slots__ if getattr(found, name) is None} == {
        "coverage", "accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall", "brier",
        "avg_ci_width", "narrow_interval_pct", "calibration_score",
    }  # fmt: skip
    assert figures(cells.EMPTY, assume_negative=True) == found


def test_a_day_without_positives_or_positive_decisions_has_no_recall_precision_or_pr_auc() -> None:
    rows = deltas.aggregate([0, 0], [0, deltas.LABEL_TN], [0.1, 0.1], [1, 1])
    found = figures(cells.changes(1, rows, [])[0])
    assert (found.accuracy, found.precision, found.recall, found.f1, found.pr_auc) == (1.0, None, None, None, None)
    assert found.precision_at_80_recall is None


def test_ties_stand_together_in_pr_auc() -> None:
    """Two at 0.9 (one positive), one positive at 0.4: 1/2 · 1/2 + 1/2 · 2/3."""
    assert average_precision(np.array([1, 1]), np.array([0, 1])) == pytest.approx(0.25 + 1 / 3, abs=1e-15)


def test_recall_of_exactly_four_fifths_is_enough() -> None:
    """Precision 1 at 4 of 5 positives, then a negative before the last."""
    positives, negatives = np.array([1, 0, 4]), np.array([0, 1, 0])
    assert precision_at_recall(positives, negatives) == 1.0
    assert precision_at_recall(np.array([2, 0, 3]), np.array([0, 5, 0])) == 0.5

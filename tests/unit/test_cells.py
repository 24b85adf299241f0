"""Cells and their figures against numpy and scikit-learn on raw rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from stream_app.core.counts import cells, cells_codec, deltas, score_edges, score_sketch
from stream_app.core.counts.cells import Cell, Counts
from stream_app.core.counts.figures import figures
from stream_app.errors import UnknownFormat


def rows(scores: np.ndarray, predicted: np.ndarray, known: np.ndarray, actual: np.ndarray) -> deltas.Rows:
    kinds = np.concatenate([predicted.astype(int), 2 + 2 * predicted[known] + actual[known]])
    values = np.concatenate([scores, scores[known]])
    return deltas.aggregate(np.zeros(len(kinds)), kinds, values, np.ones(len(kinds)))


def draw(seed: int, n: int, digits: int, spread: float = 1.5) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    scores = np.round(1 / (1 + np.exp(-rng.normal(-0.5, spread, n))), digits)
    actual = rng.random(n) < scores
    predicted = scores >= 0.5
    known = rng.random(n) < 0.8
    return scores, predicted, known, actual


def counts_of(sample: tuple[np.ndarray, ...]) -> Counts:
    return cells.changes(1, rows(*sample), [])[0]


@pytest.mark.parametrize("seed", range(12))
def test_exact_figures_equal_sklearn(seed: int) -> None:
    sample = draw(seed, 60 + 150 * seed, digits=(2, 4, 17)[seed % 3])
    scores, predicted, known, actual = sample
    got = figures(counts_of(sample))
    y, s, p = actual[known], scores[known], predicted[known]
    precisions, recalls, _ = sk.precision_recall_curve(y, s)
    assert got.score_mode == "exact"
    assert got.outcomes == known.sum()
    assert (got.true_positives, got.false_positives) == ((p & y).sum(), (p & ~y).sum())
    assert got.accuracy == pytest.approx(sk.accuracy_score(y, p), abs=1e-12)
    assert got.f1 == pytest.approx(sk.f1_score(y, p), abs=1e-12)
    assert got.pr_auc == pytest.approx(sk.average_precision_score(y, s), abs=1e-9)
    assert got.precision_at_80_recall == pytest.approx(precisions[:-1][recalls[:-1] >= 0.8].max(), abs=1e-12)
    assert got.brier == pytest.approx(sk.brier_score_loss(y, s), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_binned_figures_stay_close(seed: int) -> None:
    sample = draw(seed, 12_000, digits=17)
    cell = cells.fold(Cell(cells.EMPTY), counts_of(sample), 1)
    got = figures(cell.counts)
    scores, _, known, actual = sample
    assert got.score_mode == "binned"
    assert got.pr_auc == pytest.approx(sk.average_precision_score(actual[known], scores[known]), abs=1e-3)
    assert got.brier == pytest.approx(sk.brier_score_loss(actual[known], scores[known]), abs=1e-9)


def test_undefined_ratios_are_null() -> None:
    got = figures(cells.EMPTY)
    names = (
        "coverage",
        "accuracy",
        "precision",
        "recall",
        "f1",
        "pr_auc",
        "brier",
        "calibration_score",
        "avg_ci_width",
    )
    assert {name: getattr(got, name) for name in names} == dict.fromkeys(names)


def test_unlabelled_predictions_may_count_as_negatives() -> None:
    sample = draw(3, 400, digits=3)
    scores, predicted, known, actual = sample
    got = figures(counts_of(sample), assume_negative=True)
    y = actual & known
    assert got.assumed_negatives == (~known).sum()
    assert got.outcomes == known.sum()
    assert got.accuracy == pytest.approx((predicted == y).mean(), abs=1e-12)
    assert got.brier == pytest.approx(((scores - y) ** 2).mean(), abs=1e-9)
    assert got.pr_auc == pytest.approx(sk.average_precision_score(y, scores), abs=1e-9)


def test_taking_labels_back_leaves_no_trace() -> None:
    scores, predicted, known, actual = draw(5, 300, digits=4)
    right = counts_of((scores, predicted, known, actual))
    wrong = counts_of((scores, predicted, known, ~actual))
    kinds = 2 + 2 * predicted[known]
    moved = deltas.aggregate(
        np.zeros(2 * known.sum()),
        np.concatenate([kinds + ~actual[known], kinds + actual[known]]),
        np.tile(scores[known], 2),
        np.repeat([-1, 1], known.sum()),
    )
    total = cells.add(wrong, cells.changes(1, moved, [])[0])
    assert (total.vector == right.vector).all()
    assert (total.scores.values == right.scores.values).all()
    assert (total.scores.counts == right.scores.counts).all()


def test_the_switch_to_bins_does_not_depend_on_order_or_cuts() -> None:
    parts = [counts_of(draw(seed, 1_500, digits=17)) for seed in range(4)]
    first = Cell(cells.EMPTY)
    second = Cell(cells.EMPTY)
    for part in parts:
        first = cells.fold(first, part, 1)
    whole = cells.add(cells.add(parts[3], parts[1]), cells.add(parts[2], parts[0]))
    second = cells.fold(second, whole, 1)
    assert first.counts.scores.binned
    assert cells_codec.encode(first) == cells_codec.encode(second)


def test_window_sums_of_exact_cells_stay_exact() -> None:
    parts = [counts_of(draw(seed, 3_000, digits=17)) for seed in range(3)]
    total = cells.add(cells.add(parts[0], parts[1]), parts[2])
    assert not total.scores.binned
    assert len(total.scores.values) > score_sketch.EXACT_LIMIT


def test_stored_cells_come_back_as_they_were() -> None:
    for n in (0, 1, 300, 6_000):
        cell = cells.fold(Cell(cells.EMPTY, revision=3, assume_negative=True), counts_of(draw(n, n, 17)), 77)
        value = cells_codec.encode(cell)
        assert cells_codec.encode(cells_codec.decode(value)) == value
        assert len(value) < 100_000


def test_an_unknown_cell_format_is_named() -> None:
    with pytest.raises(UnknownFormat, match="format 9"):
        cells_codec.decode(b"\x09" + bytes(40))


def test_the_stored_edges_are_right_to_the_last_bit() -> None:
    assert score_sketch.EDGES.tobytes() == score_edges.table()
    assert (np.diff(score_sketch.EDGES) > 0).all()
    # a hand calculation: the logit of the smallest edge is −16
    assert math.log(score_sketch.EDGES[0] / (1 - score_sketch.EDGES[0])) == pytest.approx(-16, abs=1e-9)


def test_bins_are_closed_on_the_left() -> None:
    edge = float(score_sketch.EDGES[100])
    below, at = score_sketch.bin_of(np.array([np.nextafter(edge, 0), edge]))
    assert (below, at) == (100, 101)
    assert score_sketch.bin_of(np.array([0.0, 1.0])).tolist() == [0, 4095]

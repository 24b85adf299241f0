from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from stream_app.core.counts import score_edges, score_sketch
from stream_app.core.counts.score_sketch import EDGES, EMPTY, EXACT_LIMIT, ScoreSketch, add, bin_of, collect, limited


def sketch(scores: list[float] | np.ndarray, positives: int = 0) -> ScoreSketch:
    counts = np.zeros((len(scores), score_sketch.COLUMNS), dtype=np.int64)
    counts[:, score_sketch.PREDICTIONS] = 1
    counts[:positives, score_sketch.POSITIVES] = 1
    return collect(np.asarray(scores, dtype=np.float64), counts)


def test_the_stored_edge_table_is_what_its_recipe_gives_to_the_last_bit() -> None:
    stored = resources.files("stream_app.core").joinpath("score_edges.f64").read_bytes()
    assert stored == score_edges.table()


def test_the_edges_are_the_points_of_the_contract() -> None:
    linear = np.arange(1, 2048) / 2048
    logit = 1 / (1 + np.exp(-np.linspace(-16, 16, 2048)))
    assert len(EDGES) == 4095
    assert (np.diff(EDGES) > 0).all()
    assert set(linear) <= set(EDGES)
    np.testing.assert_allclose(EDGES, np.sort(np.concatenate([linear, logit])), rtol=1e-14)


def test_bins_are_closed_on_the_left_and_hold_nought_and_one() -> None:
    assert bin_of(np.array([0.0, 1.0])).tolist() == [0, 4095]
    assert bin_of(EDGES).tolist() == list(range(1, 4096))
    assert bin_of(np.nextafter(EDGES, 0)).tolist() == list(range(4095))


@pytest.mark.parametrize(("distinct", "binned"), [(EXACT_LIMIT, False), (EXACT_LIMIT + 1, True)])
def test_a_cell_stays_exact_up_to_4096_distinct_scores(distinct: int, binned: bool) -> None:
    assert limited(sketch(np.arange(distinct) / 8192)).binned is binned


def test_many_predictions_of_few_scores_stay_exact() -> None:
    assert not limited(sketch(np.tile(np.arange(1000) / 1000, 20))).binned


@pytest.mark.parametrize("chunk", [7, 50, 500, 5000])
def test_the_switch_to_bins_and_its_counts_do_not_depend_on_chunks(chunk: int) -> None:
    rng = np.random.default_rng(7)
    scores = rng.random(5000)
    total = EMPTY
    for i in range(0, 5000, chunk):
        piece = scores[i : i + chunk]
        total = limited(add(total, sketch(piece, positives=len(piece) // 2)))
        piece_labels = np.zeros((len(piece), score_sketch.COLUMNS), dtype=np.int64)
        piece_labels[: len(piece) // 2, score_sketch.POSITIVES] = -1
        total = limited(add(total, collect(piece, piece_labels)))  # labels are taken back: predictions decide
    whole = limited(sketch(scores))
    assert total.binned
    assert whole.binned
    np.testing.assert_array_equal(total.values, whole.values)
    np.testing.assert_array_equal(total.counts, whole.counts)


def test_labels_never_cause_the_switch() -> None:
    values = np.arange(EXACT_LIMIT) / 8192
    labels = np.zeros((EXACT_LIMIT, score_sketch.COLUMNS), dtype=np.int64)
    labels[:, score_sketch.NEGATIVES] = 1
    assert not limited(add(sketch(values), collect(values, labels))).binned


def test_sums_of_exact_sketches_stay_exact_whatever_the_number_of_values() -> None:
    a, b = sketch(np.arange(4000) / 8192), sketch(np.arange(4000, 8000) / 8192)
    assert not add(a, b).binned
    assert len(add(a, b).values) == 8000


def test_one_binned_side_makes_the_sum_binned() -> None:
    fine = limited(sketch(np.arange(5000) / 8192))
    coarse = add(fine, sketch([0.0, 1.0, 0.5]))
    assert coarse.binned
    assert coarse.predictions.sum() == 5003


def test_what_is_added_and_taken_back_leaves_nothing() -> None:
    a = sketch([0.1, 0.9, 0.9], positives=2)
    back = add(a, ScoreSketch(a.values, -a.counts))
    assert len(back.values) == 0
    assert not back.binned

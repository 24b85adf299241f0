"""Performance by scores alone: the map against scikit-learn, intervals by simulation, and when it is muted."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from stream_app.core.comparisons.estimated import ESTIMATED, Muting, calibration, estimate, is_outside
from stream_app.core.counts.score_sketch import COLUMNS, EMPTY, ScoreSketch, collect, to_bins

Rows = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]


def drawn(rng: np.random.Generator, count: int, shift: float = 0.0) -> Rows:
    """Scores, outcomes and decisions; the scores are confident by a known amount too much."""
    logit = rng.normal(shift, 1.5, count)
    actual = (rng.random(count) < 1 / (1 + np.exp(-(0.8 * logit + 0.2)))).astype(np.int64)
    scores = np.round(1 / (1 + np.exp(-logit)), 4)
    return scores, actual, scores >= 0.5


def table(rows: Rows, labelled: bool = True) -> ScoreSketch:
    scores, actual, predicted = rows
    counts = np.zeros((len(scores), COLUMNS), dtype=np.int64)
    counts[:, 0], counts[:, 3] = 1, predicted
    if labelled:
        counts[:, 1], counts[:, 2] = actual, 1 - actual
    return collect(scores, counts)


def realised(rows: Rows) -> dict[str, float]:
    _, actual, predicted = rows
    hits = int((actual * predicted).sum())
    made, positive = int(predicted.sum()), int(actual.sum())
    return {
        "accuracy": float((actual == predicted).mean()),
        "precision": hits / made,
        "recall": hits / positive,
        "f1": 2 * hits / (made + positive),
    }


@pytest.mark.parametrize("count", [50, 3_000])
def test_the_map_is_scikit_learns_isotonic_regression(count: int) -> None:
    rows = drawn(np.random.default_rng(count), count)
    by = calibration(table(rows))
    assert by is not None
    found = np.repeat(np.array(by.hits) / np.array(by.rows), np.histogram(rows[0], [-1, *by.edges, 2])[0])
    want = IsotonicRegression().fit_transform(rows[0], rows[1])
    assert np.allclose(found, np.sort(want), atol=1e-12)
    assert sum(by.rows) == count


def test_a_binned_table_gives_nearly_the_same() -> None:
    rng = np.random.default_rng(3)
    base, new = table(drawn(rng, 20_000)), table(drawn(rng, 2_000, -0.5), labelled=False)
    exact, binned = calibration(base), calibration(to_bins(base))
    assert exact is not None
    assert binned is not None
    for one, other in ((estimate(new, exact), estimate(to_bins(new), binned)),):
        for name in ESTIMATED:
            assert one[name].value == pytest.approx(other[name].value, abs=0.002)


@pytest.mark.parametrize(("base", "shift"), [(5_700, 0.0), (5_700, -1.0), (30_000, 1.0)])
def test_the_intervals_hold_what_comes_as_often_as_they_say(base: int, shift: float) -> None:
    rng = np.random.default_rng([base, int(shift + 7)])
    held, gaps, runs = dict.fromkeys(ESTIMATED, 0), [], 250
    for _ in range(runs):
        by = calibration(table(drawn(rng, base)))
        assert by is not None
        rows = drawn(rng, 2_000, shift)
        found, want = estimate(table(rows, labelled=False), by), realised(rows)
        for name, value in want.items():
            low, high = found[name].limits
            held[name] += low <= value <= high
        gaps.append(abs(found["accuracy"].value - want["accuracy"]))
    print({name: count / runs for name, count in held.items()}, np.mean(gaps))
    assert all(0.92 <= count / runs <= 0.98 for count in held.values()), held
    assert np.mean(gaps) < 0.01


def test_what_is_undefined_is_left_out() -> None:
    rng = np.random.default_rng(5)
    by = calibration(table(drawn(rng, 500)))
    assert by is not None
    assert calibration(table(drawn(rng, 500), labelled=False)) is None
    assert estimate(EMPTY, by) == {}
    scores, actual, predicted = drawn(rng, 200)
    none = estimate(table((scores, actual, np.zeros_like(predicted)), labelled=False), by)
    assert set(none) == {"accuracy", "recall", "f1"}
    assert (none["recall"].value, none["f1"].value) == (0.0, 0.0)


def test_it_is_muted_by_a_third_day_outside_and_shown_after_seven_quiet_ones() -> None:
    state = Muting()
    said = []
    for outside in [True, False, True, None, True, *[False] * 11]:
        state = state.after(outside, False, 2, 7)
        said.append(state.muted)
    # muted by the fifth; the first one leaves the seven days four later, which is the first of seven quiet ones
    assert said == [False] * 4 + [True] * 10 + [False] * 2
    assert Muting().after(None, True, 2, 7).muted
    assert Muting(muted=True, quiet=6).after(None, False, 2, 7).muted


def test_a_day_lies_outside_by_size_and_beyond_chance() -> None:
    by = calibration(table(drawn(np.random.default_rng(1), 5_000)))
    assert by is not None
    found = estimate(table(drawn(np.random.default_rng(2), 400), labelled=False), by)["accuracy"]
    assert is_outside(found.value - 0.06, found, 1.0, 1.0, 5.0)
    assert not is_outside(found.value - 0.049, found, 1.0, 1.0, 5.0)
    assert not is_outside(found.value - 0.06, found, 1.0, 4.0, 5.0)
    assert not is_outside(found.value - 0.06, found, 4.0, 1.0, 5.0)

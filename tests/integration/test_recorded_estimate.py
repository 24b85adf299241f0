"""Estimated performance of a real model whose customers change, against what the outcomes say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stream_app.core.comparisons.estimated import calibration, estimate
from tests.support import recorded
from tests.unit.comparisons.test_estimated import Rows, realised, table

FILE = "ma_employment_predictions.csv.gz"
WINDOWS, ROWS = 200, 2_000


def _near_the_decision(rng: np.random.Generator, rows: Rows, share: float) -> Rows:
    """A window in which a share of the rows comes from scores between .3 and .7: the covariates moved, not what
    follows from them."""
    scores, actual, predicted = rows
    unsure = np.flatnonzero((scores > 0.3) & (scores < 0.7))
    chosen = np.concatenate(
        [rng.choice(unsure, round(ROWS * share)), rng.choice(len(scores), ROWS - round(ROWS * share))]
    )
    return scores[chosen], actual[chosen], predicted[chosen]


@pytest.mark.parametrize(("share", "accuracy"), [(0.0, 0.825), (0.8, 0.64)])
def test_estimates_follow_a_covariate_shift_within_a_point(
    data: Path, capsys: pytest.CaptureFixture[str], share: float, accuracy: float
) -> None:
    years = recorded.columns(data / FILE)
    scores, predicted, actual = years[2015]
    by = calibration(table((scores, actual, predicted)))
    assert by is not None
    later = [np.concatenate([years[year][part] for year in (2016, 2017, 2018)]) for part in range(3)]
    rng, gaps, seen = np.random.default_rng(15), [], []
    for _ in range(WINDOWS):
        rows = _near_the_decision(rng, (later[0], later[2], later[1]), share)
        found, want = estimate(table(rows, labelled=False), by), realised(rows)
        gaps.append([abs(found[name].value - want[name]) for name in ("accuracy", "f1")])
        seen.append(want["accuracy"])
    errors = np.mean(gaps, axis=0)
    with capsys.disabled():
        print(f"\nrealised accuracy {np.mean(seen):.3f}: estimate off by {errors[0]:.4f}, F1 by {errors[1]:.4f}")
    assert np.mean(seen) == pytest.approx(accuracy, abs=0.02)
    assert (errors < 0.01).all(), errors

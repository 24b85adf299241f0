"""A drop that the share of positives explains by itself is told from one in which the model errs more."""

from __future__ import annotations

import pytest

from stream_app.core.comparisons.prior import prior_shift
from stream_app.core.comparisons.records import Histogram, LabelWindow
from stream_app.core.comparisons.rules import ComparisonRules
from tests.support.scenarios import rarer, step
from tests.support.simulate import records, run, simulator

Outcomes = tuple[int, int, int, int]


def outcomes(rows: int, positives: float, missed: float, false: float) -> Outcomes:
    """Of so many rows."""
    actual = round(rows * positives)
    fn, fp = round(actual * missed), round((rows - actual) * false)
    return rows - actual - fp, fn, fp, actual - fn


@pytest.mark.parametrize(
    ("recent", "named"),
    [
        (outcomes(7_000, 0.25, 0.15, 0.15), True),
        (outcomes(7_000, 0.65, 0.15, 0.15), True),
        (outcomes(7_000, 0.45, 0.15, 0.15), False),
        (outcomes(7_000, 0.25, 0.15, 0.21), False),
        (outcomes(7_000, 0.25, 0.25, 0.15), False),
        (outcomes(60, 0.25, 0.15, 0.15), False),
    ],
)
def test_only_the_share_of_positives_may_have_moved_and_surely(recent: Outcomes, named: bool) -> None:
    base = outcomes(30_000, 0.45, 0.15, 0.15)
    window = LabelWindow(
        0, 7, 7, sum(recent), sum(base), [], Histogram([], []), outcomes=recent, baseline_outcomes=base
    )
    found = prior_shift(window, ComparisonRules())
    assert (found is not None) == named
    if found is not None:
        assert found.baseline == pytest.approx(0.45)


def test_the_alert_says_that_the_share_of_positives_moved_and_the_error_rates_did_not() -> None:
    sim = run([rarer(24, 28)], simulator())
    summary = next(row["summary"] for row in records(sim, "alerts") if row.get("notify") == "opened")
    assert "the share of positives fell from 44 % to 25 %" in summary
    assert summary.split("share of positives")[0].startswith("precision 0.82")
    assert "among actual positives and negatives the error rates did not move" in summary
    worse = run([step(25, 24, 28)], simulator())
    assert "share of positives" not in records(worse, "alerts")[-1]["summary"]

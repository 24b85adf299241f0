"""A recorded stream on its own calendar: card payments whose scores have a weekly rhythm, and no drift in it."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.retraining import Case, fraud
from schemas.drift import SEVERE
from stream_app.core.comparisons.rules import is_weekend
from stream_app.simulator import Batch, Simulator
from tests.support import simulate
from tests.support.scenarios import DAY_MS, HOUR_MS

#: the set begins on a Sunday
FIRST = (datetime.date(2018, 4, 1) - datetime.date(1970, 1, 1)).days
#: from this day of the set on nothing is asked to be quiet before: the share of fraud ramps up in its first days
SETTLED = 40

Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _boosted(case: Case) -> tuple[Score, float]:
    """Gradient boosting on every feature."""
    fitted = case.fit(case.past.features, case.past.actual)
    return fitted.score, fitted.threshold


def _by_weekend(case: Case) -> tuple[Score, float]:
    """Logistic regression on amount, night and weekend: at weekends its scores are others."""
    fitted = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    fitted.fit(case.past.features[:, :3], case.past.actual)
    return lambda rows: fitted.predict_proba(rows[:, :3])[:, 1], 0.5


def _played(case: Case, served: int, scorer: tuple[Score, float], days: int | None = None) -> Simulator:
    """Frozen on the days before ``served``, every day after them through the stages at its own date."""
    score, threshold = scorer
    sim = simulate.simulator()
    for number, rows in enumerate(case.days[:days]):
        day = FIRST + served + number
        scores = np.round(score(rows.features), 6)
        sim.batches([Batch("fraud:handbook", "v1", day, scores, scores >= threshold, rows.actual)], hour=10)
        sim.tick(day * DAY_MS + 12 * HOUR_MS)
        for hour in (1, 2, 3, 4):
            sim.tick((day + 1) * DAY_MS + hour * HOUR_MS)
    return sim


def _severe_scores(sim: Simulator) -> tuple[int, list[int]]:
    """Statistical events of the settled days, and the days since 1970 that those at HIGH or above judged last."""
    rows = [row for row in simulate.records(sim, "drift-events") if row["kind"] == "statistical"]
    judged = [(int(np.datetime64(row["as_of"][:10]).astype(int)) - 1, row.get("severity")) for row in rows]
    settled = [(day, severity) for day, severity in judged if day >= FIRST + SETTLED]
    return len(settled), [day for day, severity in settled if severity in SEVERE]


@pytest.mark.parametrize(("served", "learn"), [(35, _boosted), (10, _by_weekend)])
def test_a_real_calendar_raises_no_high_comparison_of_scores(
    data: Path, capsys: pytest.CaptureFixture[str], served: int, learn: Callable[[Case], tuple[Score, float]]
) -> None:
    case = fraud(data, first_days=served)
    checks, severe = _severe_scores(_played(case, served, learn(case)))
    with capsys.disabled():
        print(f"\nfraud handbook, {learn.__name__}: {len(severe)} of {checks} checks of scores are HIGH or above")
    assert checks >= 100
    assert severe == []


def test_the_same_calendar_does_where_no_day_counts_as_a_weekend(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would miss if the scores had no rhythm."""
    rules = simulate.comparison("fraud:handbook")
    monkeypatch.setattr(simulate, "comparison", lambda model: replace(rules, weekend=()))
    case = fraud(data, first_days=10)
    _, severe = _severe_scores(_played(case, 10, _by_weekend(case), days=50))
    assert sum(is_weekend(day, rules) for day in severe) >= 6

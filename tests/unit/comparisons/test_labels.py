"""Metrics and their bounds, against scikit-learn on raw rows and by simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
)

from stream_app.core.comparisons.average_precision import limits, variance
from stream_app.core.comparisons.labels import dispersion, label_window, metric_window, ratio
from stream_app.core.comparisons.proportions import combine, wilson
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import drop, performance_verdict
from stream_app.core.counts.figures import average_precision, precision_at_recall
from tests.oracle.certified import certified, certified_precision
from tests.unit.comparisons.draws import counts, logits

ALL = ("accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall")
Z = 2.326348


def precision_at_80(y: Any, s: Any) -> float:
    precisions, recalls, _ = precision_recall_curve(y, s)
    return float(precisions[:-1][recalls[:-1] >= 0.8].max())


def rows(rng: np.random.Generator, n: int, positives: float, apart: float, spread: float) -> tuple[Any, Any]:
    """(labels, scores) with the logits of positives ``apart`` above those of negatives, inside [−8, 8]."""
    y = (rng.random(n) < positives).astype(int)
    centre = rng.uniform(-3, 3)
    raw = np.clip(rng.normal(centre + apart * (y - 0.5), spread), -8, 8)
    return y, 1 / (1 + np.exp(-raw))


@pytest.mark.parametrize("cases", [250, pytest.param(1_000, marks=pytest.mark.long)])
def test_every_metric_and_the_bare_rule_say_what_scikit_learn_says_of_the_raw_rows(cases: int) -> None:
    rng = np.random.default_rng(21)
    rules = ComparisonRules(performance_metrics=ALL)
    verdicts = {"drift": 0, "no_drift": 0, "insufficient_evidence": 0}
    for _ in range(cases):
        sides = []
        for _ in range(2):
            y, s = rows(rng, int(rng.integers(60, 900)), rng.uniform(0.05, 0.7), rng.uniform(0.3, 3), 1.0)
            sides.append((y, np.round(s, int(rng.choice([2, 4, 17]))), s >= rng.uniform(0.3, 0.7)))
        made = [counts(s, p, y) for y, s, p in sides]
        window = label_window(0, 7, 7, made[0], made[1], rules)
        worst = -1.0
        enough = False
        for metric in window.metrics:
            for (y, s, p), value, least in (
                (sides[0], metric.recent, metric.recent_rows),
                (sides[1], metric.baseline, metric.baseline_rows),
            ):
                if not y.any() or (metric.metric == "precision" and not p.any()):
                    assert value is None or metric.metric in ("accuracy", "f1", "precision")
                    continue
                want = {
                    "accuracy": lambda y, s, p: accuracy_score(y, p),
                    "precision": lambda y, s, p: precision_score(y, p),
                    "recall": lambda y, s, p: recall_score(y, p),
                    "f1": lambda y, s, p: f1_score(y, p),
                    "pr_auc": lambda y, s, p: average_precision_score(y, s),
                    "precision_at_80_recall": lambda y, s, p: precision_at_80(y, s),
                }[metric.metric](y, s, p)
                assert value == pytest.approx(want, abs=1e-9), metric.metric
                denominator = {
                    "accuracy": len(y), "precision": p.sum(), "f1": 2 * (p & (y == 1)).sum() + (p != (y == 1)).sum()
                }.get(metric.metric, y.sum())  # fmt: skip
                assert least == denominator
            if metric.lower is not None and min(metric.recent_rows, metric.baseline_rows) >= 30:
                enough = True
                worst = max(worst, metric.baseline - metric.recent)  # type: ignore[operator]
        if abs(worst - 0.05) > 1e-8:
            want = ("drift" if worst >= 0.05 else "no_drift") if enough else "insufficient_evidence"
            found = performance_verdict([window], rules).rule_verdict
            assert found == want
            verdicts[want] += 1
    assert verdicts["drift"] > cases / 10
    assert verdicts["no_drift"] > cases / 10, verdicts


def test_binned_pr_auc_and_precision_at_80_recall_certify_where_the_raw_value_lies() -> None:
    rng = np.random.default_rng(31)
    errors: list[tuple[float, float]] = []
    for _ in range(400):
        n, share, apart, spread = (
            int(rng.integers(200, 9_000)),
            rng.uniform(0.01, 0.6),
            rng.uniform(0, 4),
            rng.uniform(0.2, 2),
        )
        y, s = rows(rng, n, share, apart, spread)
        if not y.any():
            continue
        if rng.random() < 0.3:
            s = np.round(s, int(rng.integers(1, 4)))
        sketch = counts(s, None, y, binned=True).scores
        raw = average_precision_score(y, s)
        low, high = certified(sketch.positives, sketch.negatives)  # type: ignore[misc]
        assert low - 1e-12 <= raw <= high + 1e-12
        found = average_precision(sketch.positives, sketch.negatives)
        assert found is not None
        assert low - 1e-12 <= found <= high + 1e-12
        at = precision_at_80(y, s)
        worst, best = certified_precision(sketch.positives, sketch.negatives)  # type: ignore[misc]
        assert worst - 1e-12 <= at <= best + 1e-12
        if y.sum() >= 300:
            cut = precision_at_recall(sketch.positives, sketch.negatives)
            assert cut is not None
            errors.append((abs(found - raw), abs(cut - at)))
    assert len(errors) > 200
    area, cuts = (sum(e[i] <= limit for e in errors) / len(errors) for i, limit in ((0, 1e-3), (1, 5e-3)))
    print(f"{len(errors)} binned cases of 300 positives or more: PR-AUC within 1e-3 in {area:.2%}, worst")
    print(f"{max(e[0] for e in errors):.1e}; precision at 80 % recall within 5e-3 in {cuts:.2%}, worst")
    print(f"{max(e[1] for e in errors):.1e}")
    # where a class crowds into a fortieth of the logit axis away from its middle, a bin holds dozens of rows whose
    # order it hides: there the certified interval is what holds
    assert min(area, cuts) >= 0.99
    assert max(map(max, errors)) < 0.01


def test_the_variance_of_pr_auc_is_the_delta_method_of_its_numerical_derivatives() -> None:
    rng = np.random.default_rng(4)
    p, q = rng.integers(0, 9, 40), rng.integers(0, 30, 40)
    area, spread = variance(p, q)
    assert area == pytest.approx(average_precision(p, q))
    h, want = 1e-4, 0.0

    def value(a: Any, b: Any) -> float:
        hits = np.cumsum(a[::-1])
        shown = hits + np.cumsum(b[::-1])
        return float(np.sum(a[::-1] * hits / np.maximum(shown, 1e-300)) / a.sum())

    for side, counted in ((0, p), (1, q)):
        for j in np.flatnonzero(counted):
            moved = [np.array(p, dtype=float), np.array(q, dtype=float)]
            moved[side][j] += h
            up = value(*moved)
            moved[side][j] -= 2 * h
            want += counted[j] * ((up - value(*moved)) / (2 * h)) ** 2
    assert spread == pytest.approx(want, rel=1e-4)


def test_wilson_limits_are_the_roots_of_the_score_test() -> None:
    for x, n in ((0, 10), (3, 10), (10, 10), (812, 1_000)):
        low, high = wilson(x, n, Z)
        for limit in (low, high):
            if 0 < limit < 1:
                assert abs(x / n - limit) == pytest.approx(Z * np.sqrt(limit * (1 - limit) / n), rel=1e-9)
    # Newcombe 1998, table II, method 10, 95 %: 56/70 against 48/80
    low, high = combine(0.8, wilson(56, 70, 1.959964), 0.6, wilson(48, 80, 1.959964))
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


@pytest.mark.parametrize(
    ("n", "m", "p", "q"),
    [(200, 4_000, 0.83, 0.83), (1_000, 20_000, 0.70, 0.83), (100, 700, 0.6, 0.75), (7_000, 30_000, 0.97, 0.98)],
)
def test_the_bounds_of_a_drop_of_proportions_hold_in_99_of_100_cases(n: int, m: int, p: float, q: float) -> None:
    rng = np.random.default_rng(7)
    runs, misses = 4_000, [0, 0]
    for a, b in zip(rng.binomial(n, p, runs), rng.binomial(m, q, runs), strict=True):
        low, high = combine(b / m, wilson(b, m, Z), a / n, wilson(a, n, Z))
        misses[0] += low > q - p
        misses[1] += high < q - p
    print(f"drop bounds, {n}/{m} rows at {p}/{q}: {[100 - 100 * x / runs for x in misses]} % hold, nominal 99 %")
    assert max(misses) <= binom.ppf(0.9999, runs, 0.01) + 0.004 * runs


@pytest.mark.parametrize(("n", "share", "apart"), [(1_500, 0.3, 1.5), (8_000, 0.02, 3.0), (500, 0.5, 1.0)])
def test_the_bounds_of_a_drop_of_pr_auc_hold_in_99_of_100_cases(n: int, share: float, apart: float) -> None:
    rng = np.random.default_rng(8)

    def draw(rows: int, gap: float) -> tuple[Any, Any]:
        y = rng.random(rows) < share
        return y, np.round(logits(rng, rows, 0, 1) * 0 + 1 / (1 + np.exp(-rng.normal(gap * y, 1))), 3)

    def area(rows: int, gap: float) -> tuple[float, float, int]:
        y, s = draw(rows, gap)
        sketch = counts(s, None, y.astype(int)).scores
        return *variance(sketch.positives, sketch.negatives), int(y.sum())

    def truth(gap: float) -> float:
        y, s = draw(600_000, gap)
        return float(average_precision_score(y, s))

    true = truth(apart) - truth(0.7 * apart)
    runs, misses = 600, [0, 0]
    for _ in range(runs):
        (b, vb, pb), (a, va, pa) = area(4 * n, apart), area(n, 0.7 * apart)
        low, high = combine(b, limits(b, vb, pb, Z), a, limits(a, va, pa, Z))
        misses[0] += low > true
        misses[1] += high < true
    print(
        f"PR-AUC drop bounds, {n} rows, {share} positive: {[100 - 100 * x / runs for x in misses]} % hold, nominal 99 %"
    )
    assert max(misses) <= binom.ppf(0.9999, runs, 0.01) + 0.01 * runs


def test_a_perfect_and_a_hopeless_pr_auc_have_wilson_limits() -> None:
    assert limits(1.0, 0.0, 50, Z) == wilson(50, 50, Z)
    assert limits(0.0, 0.0, 50, Z) == wilson(0, 50, Z)


def test_dispersion_is_the_chi_square_of_the_days_over_its_degrees() -> None:
    rules = ComparisonRules()
    days = [counts([0.9] * 100, None, [1] * hits + [0] * (100 - hits)) for hits in (80, 95, 70, 90, 60, 85, 99)]
    hits = np.array([80, 95, 70, 90, 60, 85, 99])
    p = hits.sum() / 700
    want = ((hits - 100 * p) ** 2 / (100 * p * (1 - p))).sum() / 6
    assert dispersion("accuracy", [days], 7) == pytest.approx(want)
    assert dispersion("pr_auc", [days], 7) == dispersion("recall", [days], 7) == 1.0
    assert dispersion("accuracy", [days[:6]], 7) == 1.0
    assert dispersion("accuracy", [[counts([0.9] * 9, None, [1] * 9)] * 9], 7) == 1.0
    # a step between two parts counts for nothing, and their degrees of freedom add up
    low = [counts([0.9] * 100, None, [1] * hits + [0] * (100 - hits)) for hits in (35, 40, 30, 45)]
    p = 37.5 / 100
    within = ((np.array([35, 40, 30, 45]) - 37.5) ** 2 / (100 * p * (1 - p))).sum()
    assert dispersion("accuracy", [days, low], 7) == pytest.approx((want * 6 + within) / 9)
    assert dispersion("accuracy", [days, []], 7) == pytest.approx(want)
    assert dispersion("accuracy", [[*days, *low]], 7) > 2 * want
    one = metric_window("accuracy", days[2], days[0], want, rules)
    wide = metric_window("accuracy", days[2], days[0], 1.0, rules)
    assert one.lower is not None
    assert wide.lower is not None
    assert one.lower < wide.lower
    assert (drop(one), one.dispersion) == (drop(wide), want)


def test_precision_at_80_recall_is_the_ratio_of_its_cut() -> None:
    y, s = rows(np.random.default_rng(1), 700, 0.3, 1.5, 1)
    hits, shown, positives = ratio("precision_at_80_recall", counts(s, None, y))
    assert hits / shown == pytest.approx(precision_at_80(y, s), abs=1e-12)
    assert positives == y.sum()

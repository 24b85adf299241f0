"""What the two comparisons of a close should find, from raw rows: numpy, scipy and scikit-learn, nothing of the core.

CONTRACT section 3 read literally. Left to the caller: which days are tainted; near a threshold of L, the certified
sketch error (here L is that of the raw scores). Bounds are given for proportions, not for PR-AUC.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.stats import ks_2samp, norm
from sklearn.metrics import average_precision_score

DAY = 86_400_000
ORDER = [None, "MEDIUM", "HIGH", "CRITICAL"]


@dataclass(frozen=True)
class Rows:
    """Predictions of one model as known at the close: arrays of equal length. ``known``: the outcome has come."""

    version: Any
    made_ms: Any
    score: Any
    predicted: Any
    actual: Any
    known: Any

    def of(self, chosen: Any) -> Rows:
        """Some of the rows."""
        return Rows(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    @property
    def day(self) -> Any:
        """Cohort day, since 1970."""
        return self.made_ms // DAY


@dataclass(frozen=True)
class Baseline:
    """Days compared with; ``kind`` None: there are none, and ``reason`` says why."""

    kind: str | None
    days: tuple[int, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class Score:
    """KS of one recent window against the baseline; ``lower`` is L."""

    n: int
    m: int
    distance: float
    p_value: float
    lower: float


@dataclass(frozen=True)
class Metric:
    """One metric in one window. ``drop``: baseline − recent as an exact fraction; ``severity`` by ``drop`` alone."""

    verdict: str
    recent: float | None = None
    baseline: float | None = None
    rows: tuple[int, int] = (0, 0)
    drop: Fraction | None = None
    lower: float | None = None
    upper: float | None = None
    severity: str | None = None
    dispersion: float = 1.0


@dataclass
class Finding:
    """A check's answer. ``severity`` is the verdict's; windows are ``week`` and ``day``."""

    baseline: Baseline
    verdict: str = "insufficient_evidence"
    rule_verdict: str = "insufficient_evidence"
    severity: str | None = None
    scores: dict[str, Score] = field(default_factory=dict)
    metrics: dict[str, dict[str, Metric]] = field(default_factory=dict)
    judged: tuple[int, ...] = ()


def baseline_of(rows: Rows, close: int, first_recent: int, tainted: Collection[int] = (), kept: int = 90) -> Baseline:
    """Which days to compare with at the close of day ``close``; ``rows`` are the version's, ``kept`` days of cells."""
    closed = sorted(set(rows.day[rows.day < close].tolist()))
    window = tuple(d for d in closed if close - 60 <= d < close - 30 and d not in tainted)
    if len(window) >= 7:
        return Baseline("window", window)
    first = tuple(closed[:7])
    if len(first) == 7 and first[-1] < first_recent and first[0] >= close - kept:
        return Baseline("initial", first)
    sick = any(close - 60 <= d < close for d in tainted)
    return Baseline(None, (), "no_healthy_baseline" if sick else "too_young")


def statistical(rows: Rows, version: str, close: int, tainted: Collection[int] = ()) -> Finding:
    """The comparison at 03:00 of day ``close``: all predictions, labelled or not."""
    mine = rows.of(rows.version == version)
    found = Finding(baseline_of(mine, close, close - 7, tainted))
    base = mine.score[np.isin(mine.day, found.baseline.days)]
    for name, first in (("week", close - 7), ("day", close - 1)):
        recent = mine.score[(mine.day >= first) & (mine.day < close)]
        if min(len(recent), len(base)) >= 30:
            test = ks_2samp(recent, base, method="asymp")
            slack = 1.3581 * math.sqrt(1 / len(recent) + 1 / len(base))
            found.scores[name] = Score(len(recent), len(base), test.statistic, test.pvalue, test.statistic - slack)
    week, day = found.scores.get("week"), found.scores.get("day")
    if week is not None:
        found.rule_verdict = "drift" if week.p_value < 0.01 else "no_drift"
        found.verdict = "no_drift"
        if week.p_value < 0.01 and week.distance >= 0.05:
            found.verdict = "drift"
            found.severity = "CRITICAL" if week.lower >= 0.20 else "HIGH" if week.lower >= 0.10 else "MEDIUM"
    if day is not None and day.lower >= 0.30:
        found.verdict, found.severity = "drift", _higher(found.severity, "HIGH")
    return found


def performance(
    rows: Rows, version: str, close: int, metrics: Sequence[str] = ("accuracy", "precision"),
    tainted: Collection[int] = (), delay: int = 1,
) -> Finding:  # fmt: skip
    """The comparison at 04:00 of day ``close``: labelled predictions of judged days (coverage ≥ 50 % at the close)."""
    mine = rows.of(rows.version == version)
    end = close - delay
    found = Finding(baseline_of(mine, close, end - 7, tainted))
    days, inverse = np.unique(mine.day, return_inverse=True)
    coverage = np.bincount(inverse, mine.known, len(days)) / np.bincount(inverse, minlength=len(days))
    judged = set(days[coverage >= 0.5].tolist())
    mine = mine.of(mine.known.astype(bool))
    base = [mine.of(mine.day == d) for d in found.baseline.days if d in judged]
    for name, first, least in (("week", end - 7, 4), ("day", end - 1, 1)):
        recent = [mine.of(mine.day == d) for d in range(first, end) if d in judged]
        if name == "week":
            found.judged = tuple(d for d in range(first, end) if d in judged)
        enough = len(recent) >= least and bool(base)
        found.metrics[name] = {
            metric: _metric(metric, recent, base, name == "day") if enough else Metric("insufficient_evidence")
            for metric in metrics
        }
    week = found.metrics["week"].values()
    drops = [m.drop for m in week if m.drop is not None]
    if drops:
        found.rule_verdict = "drift" if max(drops) >= Fraction(5, 100) else "no_drift"
    drifting = [m for window in found.metrics.values() for m in window.values() if m.verdict == "drift"]
    if drifting:
        found.verdict = "drift"
        for metric in drifting:
            assert metric.lower is not None
            found.severity = _higher(found.severity, metric.severity if metric.lower > 0.05 else "MEDIUM")
    elif all(m.verdict == "no_drift" for m in week):
        found.verdict = "no_drift"
    return found


def severity(drop: Fraction) -> str | None:
    """MEDIUM from 5 points to 10, HIGH above to 20, CRITICAL above."""
    points = drop * 100
    return "CRITICAL" if points > 20 else "HIGH" if points > 10 else "MEDIUM" if points >= 5 else None


def _higher(a: str | None, b: str | None) -> str | None:
    return max(a, b, key=ORDER.index)


def _counts(metric: str, rows: Rows) -> tuple[int, int]:
    """(numerator, denominator)."""
    p, y = rows.predicted.astype(bool), rows.actual.astype(bool)
    if metric == "accuracy":
        return int((p == y).sum()), len(y)
    return (int((p & y).sum()), int(p.sum())) if metric == "precision" else (int((p & y).sum()), int(y.sum()))


def _metric(metric: str, recent: list[Rows], base: list[Rows], one_day: bool) -> Metric:
    sums = [
        [sum(column) for column in zip(*(_counts(metric, r) for r in side), strict=True)] for side in (recent, base)
    ]
    (a, n), (b, m) = sums
    if min(n, m) < 30:
        return Metric("insufficient_evidence", rows=(n, m))
    if metric == "pr_auc":
        now, then = (_average_precision(side) for side in (recent, base))
        drop = Fraction(round(then * 10**9) - round(now * 10**9), 10**9)
        return Metric("unknown", now, then, (n, m), drop, severity=severity(drop))
    drop = Fraction(b, m) - Fraction(a, n)
    phi = _dispersion([_counts(metric, r) for r in base]) if one_day else 1.0
    lower, upper = newcombe(a / phi, n / phi, b / phi, m / phi, float(norm.ppf(0.99)))
    if drop >= Fraction(5, 100) and lower > 0:
        verdict = "drift"
    else:
        verdict = "no_drift" if upper < 0.10 else "insufficient_evidence"
    return Metric(verdict, a / n, b / m, (n, m), drop, lower, upper, severity(drop), phi)


def _average_precision(days: list[Rows]) -> float:
    y = np.concatenate([r.actual for r in days]).astype(bool)
    return float(average_precision_score(y, np.concatenate([r.score for r in days])))


def _dispersion(days: list[tuple[int, int]]) -> float:
    x, n = np.array([d for d in days if d[1]], dtype=float).reshape(-1, 2).T
    if len(x) < 7:
        return 1.0
    p = x.sum() / n.sum()
    if p in (0, 1):
        return 1.0
    return max(1.0, float(((x - n * p) ** 2 / (n * p * (1 - p))).sum() / (len(x) - 1)))


def newcombe(a: float, n: float, b: float, m: float, z: float) -> tuple[float, float]:
    """Bounds of b/m − a/n, each at the quantile z: R. G. Newcombe, Statistics in Medicine 17 (1998), method 10."""
    (p1, l1, u1), (p2, l2, u2) = _wilson(b, m, z), _wilson(a, n, z)
    return p1 - p2 - math.hypot(p1 - l1, u2 - p2), p1 - p2 + math.hypot(u1 - p1, p2 - l2)


def _wilson(x: float, n: float, z: float) -> tuple[float, float, float]:
    """(x/n, lower, upper): the limits are the roots of (p − x/n)² n = z² p (1 − p)."""
    low, high = sorted(np.roots([n + z * z, -(2 * x + z * z), x * x / n]).real.tolist())
    return x / n, low, high

"""What the two comparisons of a close should find, from raw rows: numpy, scipy and scikit-learn, nothing of the core.

CONTRACT section 3 read literally. :class:`Judge` goes from close to close and remembers what it said: which days are
tainted for a kind, and which healthy days are held. Left to the caller: near a threshold of L, the certified sketch
error (here L is that of the raw scores). Bounds are given for proportions, not for PR-AUC.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
from scipy.stats import ks_2samp, norm
from sklearn.metrics import average_precision_score

from tests.oracle.intervals import newcombe

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
    #: days of the baseline that hold enough labels
    compared: tuple[int, ...] = ()
    #: D of the last day alone against all days of the baseline
    alone: float = 0.0
    acquitted: bool = False
    #: windows whose outcomes come by class
    selective: tuple[str, ...] = ()


class Judge:
    """One version of one model, close after close. Labels are taken as they are known at the close."""

    def __init__(self, version: str, metrics: Sequence[str] = ("accuracy", "precision"), delay: int = 1) -> None:
        self.version, self.metrics, self.delay = version, metrics, delay
        #: kind → newest day of each comparison → (drift, HIGH or above)
        self.said: dict[str, dict[int, tuple[bool, bool]]] = {"statistical": {}, "performance": {}}
        #: kind → healthy days that are held
        self.held: dict[str, tuple[int, ...]] = {}
        #: first day of the run of statistical drift that counts, and what labels said of it
        self.run: int | None = None
        self.cleared = self.unclear = 0
        self.acquitted, self.reach = False, 0.0
        #: day → D of that day alone against all days of its baseline
        self.alone: dict[int, float] = {}
        self.last = 0
        self.severe_again = False

    def tainted(self, kind: str) -> set[int]:
        """Days of runs of drift that had HIGH: all of the run if the HIGH came later, and what followed in the run."""
        out: set[int] = set()
        run: list[int] = []
        severe = False
        for day in sorted(self.said[kind]):
            drift, high = self.said[kind][day]
            if not drift or (run and day != run[-1] + 1):
                run, severe = [], False
            if drift:
                run.append(day)
                severe = severe or high
                if severe:
                    out.update(run)
        return out

    def statistical(self, rows: Rows, close: int) -> Finding:
        """At 03:00 of day ``close``; ``rows`` as known then."""
        tainted = self.tainted("statistical")
        found = statistical(rows, self.version, close, tainted, self.held.get("statistical"))
        day = close - 1
        if self.acquitted and "week" in found.scores and found.scores["week"].distance - self.reach > 0.10:
            self._forget_run()
            self.run = day
            self.said["statistical"] = dict.fromkeys(self.said["statistical"], (False, False))
        if found.verdict != "drift":
            self._forget_run()
        else:
            self.run = day if self.run is None else self.run
            self.alone[day] = found.alone
            found.acquitted = self.acquitted
            if self.acquitted:
                found.severity = "MEDIUM"
        return self._note("statistical", day, close, found, found.baseline.days)

    def _forget_run(self) -> None:
        self.run, self.cleared, self.unclear, self.acquitted = None, 0, 0, False

    def performance(self, rows: Rows, close: int) -> Finding:
        """At 04:00 of day ``close``."""
        tainted = self.tainted("performance")
        kept = self.held.get("performance")
        found = performance(rows, self.version, close, self.metrics, tainted, self.delay, kept)
        again, severe = close <= self.last, found.severity in ("HIGH", "CRITICAL")
        if again:
            self.severe_again = severe
        else:
            if self.run is not None:
                self._hear(rows, close, found, severe or self.severe_again)
            found.acquitted = self.acquitted
            self.last, self.severe_again = close, False
        return self._note("performance", close - self.delay - 1, close, found, found.compared, again)

    def _hear(self, rows: Rows, close: int, found: Finding, severe: bool) -> None:
        """What labels say at a close of the newest seven mature days of the run, taken together."""
        assert self.run is not None
        end = close - self.delay
        mine = rows.of(rows.version == self.version)
        days = [d for d in range(max(self.run, end - 7), end) if d in _judged(mine)]
        said = "insufficient_evidence"
        if days and found.compared:
            said = _window(mine, days, found.compared, self.metrics, 0)[1]
        self.unclear = self.unclear + 1 if said == "insufficient_evidence" else 0
        clears = said == "no_drift" and not severe
        self.cleared = self.cleared + 1 if clears else 0
        if severe or self.unclear >= 3:
            self.acquitted = False
        elif self.cleared >= 2:
            self.acquitted = True
        if self.acquitted and clears:
            self.reach = max(self.alone.get(d, 0.0) for d in days)
            for day, (drift, _) in self.said["statistical"].items():
                if day >= self.run:
                    self.said["statistical"][day] = (drift, False)

    def _note(
        self, kind: str, newest: int, close: int, found: Finding, days: tuple[int, ...], again: bool = False
    ) -> Finding:
        self.said[kind][newest] = (found.verdict == "drift", found.severity in ("HIGH", "CRITICAL"))
        if found.baseline.kind == "window" and not again:
            if not any(close - 60 <= day < close for day in self.tainted(kind)):
                self.held.pop(kind, None)
            elif len(days) >= len(self.held.get(kind, (0,))):
                self.held[kind] = days
        return found


def weekend(day: int) -> bool:
    """Saturday or Sunday."""
    return date.fromordinal(date(1970, 1, 1).toordinal() + day).weekday() >= 5


def alike(days: Sequence[int], day: int, least: int) -> list[int]:
    """Those of the days that are of the same kind as ``day``, if there are enough of them; else all."""
    same = [d for d in days if weekend(d) == weekend(day)]
    return same if len(same) >= least else list(days)


def baseline_of(
    rows: Rows, close: int, first_recent: int, tainted: Collection[int] = (), kept: int = 90,
    held: tuple[int, ...] | None = None,
) -> Baseline:  # fmt: skip
    """Which days to compare with at the close of day ``close``; ``rows`` are the version's, ``kept`` days of cells."""
    closed = sorted(set(rows.day[rows.day < close].tolist()))
    window = tuple(d for d in closed if close - 60 <= d < close - 30 and d not in tainted)
    if len(window) >= 7:
        return Baseline("window", window)
    if held is not None:
        return Baseline("held", held)
    first = tuple(closed[:7])
    if len(first) == 7 and first[-1] < first_recent and first[0] >= close - kept:
        return Baseline("initial", first)
    sick = any(close - 60 <= d < close for d in tainted)
    return Baseline(None, (), "no_healthy_baseline" if sick else "too_young")


def statistical(
    rows: Rows, version: str, close: int, tainted: Collection[int] = (), held: tuple[int, ...] | None = None
) -> Finding:
    """The comparison at 03:00 of day ``close``: all predictions, labelled or not."""
    mine = rows.of(rows.version == version)
    found = Finding(baseline_of(mine, close, close - 7, tainted, held=held))
    for name, first in (("week", close - 7), ("day", close - 1)):
        days = found.baseline.days if name == "week" else alike(found.baseline.days, first, 2)
        base = mine.score[np.isin(mine.day, days)]
        recent = mine.score[(mine.day >= first) & (mine.day < close)]
        if min(len(recent), len(base)) >= 30:
            test = ks_2samp(recent, base, method="asymp")
            slack = 1.3581 * math.sqrt(1 / len(recent) + 1 / len(base))
            found.scores[name] = Score(len(recent), len(base), test.statistic, test.pvalue, test.statistic - slack)
    last = mine.score[mine.day == close - 1]
    whole = mine.score[np.isin(mine.day, found.baseline.days)]
    if len(last) and len(whole):
        found.alone = ks_2samp(last, whole, method="asymp").statistic
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
    tainted: Collection[int] = (), delay: int = 1, held: tuple[int, ...] | None = None,
) -> Finding:  # fmt: skip
    """The comparison at 04:00 of day ``close``: labelled predictions of judged days (coverage ≥ 50 % at the close)."""
    mine = rows.of(rows.version == version)
    end = close - delay
    found = Finding(baseline_of(mine, close, end - 7, tainted, held=held))
    judged = _judged(mine)
    found.compared = tuple(d for d in found.baseline.days if d in judged)
    verdicts = {}
    for name, first, least in (("week", end - 7, 4), ("day", end - 1, 1)):
        recent = [d for d in range(first, end) if d in judged]
        days = found.compared if name == "week" else tuple(alike(found.compared, first, 5))
        if name == "week":
            found.judged = tuple(recent)
        enough_alike = sum(weekend(d) == weekend(first) for d in found.compared) >= 5
        spread = 0 if name == "week" else 5 if enough_alike else 7
        found.metrics[name] = {metric: Metric("insufficient_evidence") for metric in metrics}
        verdicts[name] = "insufficient_evidence"
        if len(recent) >= least and days:
            found.metrics[name], verdicts[name] = _window(mine, recent, days, metrics, spread)
            if selective(mine, recent, days):
                found.selective += (name,)
    week = found.metrics["week"].values()
    drops = [m.drop for m in week if m.drop is not None]
    if drops:
        found.rule_verdict = "drift" if max(drops) >= Fraction(5, 100) else "no_drift"
    drifting = [
        m for name, window in found.metrics.items() if verdicts[name] == "drift" for m in window.values()
        if m.verdict == "drift"
    ]  # fmt: skip
    if drifting:
        found.verdict = "drift"
        for metric in drifting:
            assert metric.lower is not None
            found.severity = _higher(found.severity, metric.severity if metric.lower > 0.05 else "MEDIUM")
    else:
        found.verdict = verdicts["week"]
    return found


def _judged(mine: Rows) -> set[int]:
    """Days of which at least half of the predictions have their outcome."""
    days, inverse = np.unique(mine.day, return_inverse=True)
    coverage = np.bincount(inverse, mine.known, len(days)) / np.bincount(inverse, minlength=len(days))
    return set(days[coverage >= 0.5].tolist())


def _window(
    mine: Rows, recent: Sequence[int], base: Sequence[int], metrics: Sequence[str], spread: int
) -> tuple[dict[str, Metric], str]:
    """Each metric of one window, and the verdict over all of them."""
    known = mine.of(mine.known.astype(bool))
    now, then = ([known.of(known.day == d) for d in days] for days in (recent, base))
    found = {metric: _metric(metric, now, then, spread) for metric in metrics}
    verdicts = {m.verdict for m in found.values()}
    if selective(mine, recent, base):
        return found, "insufficient_evidence"
    return found, next(v for v in ("drift", "insufficient_evidence", "unknown", "no_drift") if v in verdicts)


def selective(mine: Rows, recent: Sequence[int], base: Sequence[int]) -> bool:
    """Whether labels come by class: coverage of predicted positives less that of predicted negatives has moved."""
    difference, spread = [], 0.0
    for days in (recent, base):
        side = mine.of(np.isin(mine.day, days))
        shares = []
        for predicted in (True, False):
            known = side.known[side.predicted.astype(bool) == predicted].astype(float)
            if not len(known):
                return False
            shares.append(known.mean())
            spread += known.var() / len(known)
        difference.append(shares[0] - shares[1])
    moved = abs(difference[0] - difference[1])
    return bool(moved > 0.10 and moved > norm.ppf(0.99) * math.sqrt(spread))


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


def _metric(metric: str, recent: list[Rows], base: list[Rows], spread: int) -> Metric:
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
    phi = _dispersion([_counts(metric, r) for r in base], spread) if spread else 1.0
    lower, upper = newcombe(a / phi, n / phi, b / phi, m / phi, float(norm.ppf(0.99)))
    if drop >= Fraction(5, 100) and lower > 0:
        verdict = "drift"
    else:
        verdict = "no_drift" if upper < 0.10 else "insufficient_evidence"
    return Metric(verdict, a / n, b / m, (n, m), drop, lower, upper, severity(drop), phi)


def _average_precision(days: list[Rows]) -> float:
    y = np.concatenate([r.actual for r in days]).astype(bool)
    return float(average_precision_score(y, np.concatenate([r.score for r in days])))


def _dispersion(days: list[tuple[int, int]], least: int) -> float:
    x, n = np.array([d for d in days if d[1]], dtype=float).reshape(-1, 2).T
    if len(x) < least:
        return 1.0
    p = x.sum() / n.sum()
    if p in (0, 1):
        return 1.0
    return max(1.0, float(((x - n * p) ** 2 / (n * p * (1 - p))).sum() / (len(x) - 1)))

"""What another threshold would have done: verdicts of the stored history, judged again by the drift stage's own rules.

Only severities are judged again, from the numbers that the events carry. What a threshold would have done to later
baselines (a day is left out of them when it was HIGH or above) is not followed, and this is said where it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.drift import SEVERE, Verdict
from stream_app.core.comparisons.records import Histogram, LabelWindow, MetricWindow, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.verdicts import Judgement, performance_verdict, statistical_verdict
from stream_app.projection.points import Point, PointWindow

#: Thresholds that can be moved, by the kind of event they judge.
PREVIEWABLE: Final = {
    **dict.fromkeys(("drop_min_denominator", "drop_points", "drop_high_points", "drop_critical_points"), "performance"),
    **dict.fromkeys(("ks_min_samples", "ks_p_value", "ks_min_distance"), "statistical"),
    **dict.fromkeys(("ks_high_bound", "ks_critical_bound", "ks_one_day_bound"), "statistical"),
}

_NO_BINS: Final = Histogram([], [])
#: PR-AUC and its like stand in ratios over this.
_WHOLE: Final = 10**9
#: Metrics that are a share of the rows they are given with.
_SHARES: Final = frozenset({"accuracy", "precision", "recall"})


class Episode(NamedTuple):
    """A run of closes of one model that would have kept one alert open."""

    model: str
    first: str
    last: str
    severity: str
    kinds: tuple[str, ...]


class Comparison(NamedTuple):
    """Alerts that would have come, and that would not have; how many there are under either rules."""

    come: list[Episode]
    gone: list[Episode]
    before: int
    after: int


def judge(kind: str, point: Point, rules: ComparisonRules) -> Judgement:
    """The verdict on an event's numbers under ``rules``."""
    if point.reason is not None and not point.windows:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None)
    if kind == "statistical":
        scores = [_scores(w, point, rules) for w in point.windows if w.value is not None]
        return statistical_verdict(scores, rules, point.acquitted)
    judged_days = 0 if point.reason is not None and "judged days" in point.reason else rules.recent_min_judged_days
    weeks = [w for w in point.windows if not w.one_day]
    days = [w for w in point.windows if w.one_day]
    windows = [_labels(part, judged_days) for part in (weeks, days) if part]
    return performance_verdict(windows, rules)


def severities(rows: Iterable[tuple[str, str, Point]], rules: ComparisonRules) -> dict[tuple[str, str], str]:
    """(date, kind) → severity of what would have been an alert."""
    out: dict[tuple[str, str], str] = {}
    for kind, date, point in rows:
        if not _may_alert(kind, point, rules):
            continue
        found = judge(kind, point, rules)
        if found.verdict == Verdict.DRIFT and found.severity in SEVERE:
            out[date, kind] = found.severity
    return out


def _may_alert(kind: str, point: Point, rules: ComparisonRules) -> bool:
    """Whether the sizes alone allow an alert: bounds lie below them. Spares the exact verdict of most points."""
    if kind == "statistical":
        limit = min(rules.ks_high_bound, rules.ks_critical_bound, rules.ks_one_day_bound)
    else:
        limit = min(rules.drop_high_points, rules.drop_critical_points) / 100
    return any(window.value is not None and window.value >= limit - 1e-6 for window in point.windows)


def episodes(model: str, found: dict[tuple[str, str], str], dates: list[str], resolve_closes: int) -> list[Episode]:
    """Alerts that those severities make: each opens at a close, and ends after ``resolve_closes`` without."""
    by_date: dict[str, list[tuple[str, str]]] = {}
    for (date, kind), severity in found.items():
        by_date.setdefault(date, []).append((kind, severity))
    out: list[Episode] = []
    quiet = resolve_closes
    for date in dates:
        here = by_date.get(date)
        if here is None:
            quiet += 1
            continue
        worst = "CRITICAL" if any(severity == "CRITICAL" for _, severity in here) else "HIGH"
        kinds = tuple(sorted({kind for kind, _ in here}))
        if quiet >= resolve_closes or not out:
            out.append(Episode(model, date, date, worst, kinds))
        else:
            old = out[-1]
            severity = "CRITICAL" if "CRITICAL" in (worst, old.severity) else "HIGH"
            out[-1] = Episode(model, old.first, date, severity, tuple(sorted({*old.kinds, *kinds})))
        quiet = 0
    return out


def compare(
    model: str,
    rows: list[tuple[str, str, Point]],
    rules: ComparisonRules,
    moved: ComparisonRules,
    resolve_closes: int,
) -> Comparison:
    """The alerts of one model under two sets of rules. ``rows``: (kind, date, point) of its events."""
    dates = sorted({date for _, date, _ in rows})
    before = episodes(model, severities(rows, rules), dates, resolve_closes)
    after = episodes(model, severities(rows, moved), dates, resolve_closes)
    come = [e for e in after if not any(_overlap(e, o) for o in before)]
    gone = [e for e in before if not any(_overlap(e, o) for o in after)]
    return Comparison(come, gone, len(before), len(after))


def _overlap(a: Episode, b: Episode) -> bool:
    return a.first <= b.last and b.first <= a.last


def _scores(window: PointWindow, point: Point, rules: ComparisonRules) -> ScoreWindow:
    """D as the integer it was, and the sketch's error from the lower bound it stood in."""
    n, m = window.recent_rows, window.baseline_rows
    value = window.value or 0.0
    bare = ScoreWindow(0, 0, n, m, round(value * n * m), point.p_value, 0.0, None, None, _NO_BINS)
    if window.low is None:
        return bare
    band = rules.ks_band * (1 / n + 1 / m) ** 0.5
    error = max(0.0, value - window.low - band)
    return ScoreWindow(0, 0, n, m, bare.distance, point.p_value, error if error > 1e-9 else 0.0, None, None, _NO_BINS)


def _labels(windows: list[PointWindow], judged_days: int) -> LabelWindow:
    return LabelWindow(0, 0, judged_days, 0, 0, [_metric(w) for w in windows], _NO_BINS)


def _metric(window: PointWindow) -> MetricWindow:
    return MetricWindow(
        window.metric,
        window.recent,
        window.baseline,
        _ratio(window.metric, window.recent, window.recent_rows),
        _ratio(window.metric, window.baseline, window.baseline_rows),
        window.recent_rows,
        window.baseline_rows,
        window.low,
        window.high,
    )


def _ratio(metric: str, value: float | None, rows: int) -> tuple[int, int]:
    if value is None:
        return 0, 1
    if metric in _SHARES and rows:
        return round(value * rows), rows
    return round(value * _WHOLE), _WHOLE

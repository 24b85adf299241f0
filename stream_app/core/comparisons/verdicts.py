"""Verdicts and severities, pure functions of a comparison's numbers and the model's rules (CONTRACT section 3).

The drift stage publishes them; the metrics stage asks the severities alone, for the days a comparison taints. Whatever
the contract calls a comparison of points or of D is made in exact fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache

from schemas.drift import RANK, Severity, Verdict
from stream_app.core.comparisons.records import LabelWindow, MetricWindow, QualityValue, ScoreWindow, Selection, Share
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import lower_bound


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a check says. ``decisive``: number of the window that decided; ``metric``: the worst one there."""

    verdict: Verdict
    rule_verdict: Verdict | None
    severity: Severity | None = None
    reason: str | None = None
    metric: str | None = None
    decisive: int = 0


def statistical_verdict(windows: Sequence[ScoreWindow], rules: ComparisonRules, acquitted: bool = False) -> Judgement:
    """Judge the seven-day window, and the last day alone where its distance is beyond what a weekday explains.

    ``acquitted``: outcomes have shown that the run of drift costs nothing; then it is MEDIUM at most."""
    found = _statistical(windows, rules)
    return replace(found, severity=Severity.MEDIUM) if acquitted and found.severity is not None else found


def _statistical(windows: Sequence[ScoreWindow], rules: ComparisonRules) -> Judgement:
    if not windows:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, Verdict.INSUFFICIENT_EVIDENCE, reason="no baseline")
    week = windows[0]
    few = _few(week, rules)
    bare = Verdict.INSUFFICIENT_EVIDENCE
    found: Severity | None = None
    if few is None:
        unlikely = week.p_value is not None and week.p_value < rules.ks_p_value
        bare = Verdict.DRIFT if unlikely else Verdict.NO_DRIFT
        if unlikely and Fraction(week.distance, week.n * week.m) >= _exact(rules.ks_min_distance):
            bound = lower_bound(week, rules)
            found = Severity.HIGH if bound >= rules.ks_high_bound else Severity.MEDIUM
            if bound >= rules.ks_critical_bound:
                found = Severity.CRITICAL
    day_alone = len(windows) > 1 and _few(windows[1], rules) is None
    if day_alone and lower_bound(windows[1], rules) >= rules.ks_one_day_bound and RANK[found] < RANK[Severity.HIGH]:
        return Judgement(Verdict.DRIFT, bare, Severity.HIGH, decisive=1)
    if found is not None:
        return Judgement(Verdict.DRIFT, bare, found)
    if few is not None:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, bare, reason=few)
    return Judgement(Verdict.NO_DRIFT, bare)


def performance_verdict(windows: Sequence[LabelWindow], rules: ComparisonRules) -> Judgement:
    """Judge every metric in both windows; drift in either is drift, with the higher severity."""
    if not windows:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, Verdict.INSUFFICIENT_EVIDENCE, reason="no baseline")
    judged = [_window(window, rules, number == 0) for number, window in enumerate(windows)]
    bare = _bare(windows[0], rules)
    worst = max(range(len(judged)), key=lambda i: (RANK[judged[i].severity], -i))
    chosen = judged[worst] if judged[worst].severity is not None else judged[0]
    return Judgement(
        chosen.verdict, bare, chosen.severity, chosen.reason, chosen.metric, worst if chosen.severity else 0
    )


def _window(window: LabelWindow, rules: ComparisonRules, week: bool) -> Judgement:
    """Verdict over all metrics of one window."""
    if week and window.judged_days < rules.recent_min_judged_days:
        text = f"{window.judged_days} judged days of the {rules.recent_min_judged_days} that are needed"
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None, reason=text, metric=_worst(window))
    if window.selection is not None and by_class(window, rules):
        text = _selected(window.selection, window.cured_by)
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None, reason=text, metric=_worst(window))
    found = [(metric, *judge_metric(metric, rules)) for metric in window.metrics]
    drifting = [(metric, severity) for metric, verdict, severity, _ in found if verdict == Verdict.DRIFT]
    if drifting:
        metric, severity = max(drifting, key=lambda item: (RANK[item[1]], drop(item[0])))
        return Judgement(Verdict.DRIFT, None, severity, metric=metric.metric)
    missing = [reason for _, verdict, _, reason in found if verdict == Verdict.INSUFFICIENT_EVIDENCE and reason]
    if missing:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None, reason="; ".join(missing), metric=_worst(window))
    return Judgement(Verdict.NO_DRIFT, None, metric=_worst(window))


def judge_metric(metric: MetricWindow, rules: ComparisonRules) -> tuple[Verdict, Severity | None, str | None]:
    """Verdict and severity of one metric in one window, and what is missing."""
    least = rules.drop_min_denominator
    if metric.lower is None or metric.upper is None:
        return Verdict.INSUFFICIENT_EVIDENCE, None, f"{metric.metric} is undefined"
    if min(metric.recent_rows, metric.baseline_rows) < least:
        text = f"{metric.metric} stands on {metric.recent_rows} recent and {metric.baseline_rows} baseline rows"
        return Verdict.INSUFFICIENT_EVIDENCE, None, f"{text}, {least} are needed on both sides"
    points = drop(metric) * 100
    if points >= _exact(rules.drop_points) and metric.lower > 0:
        certain = metric.lower * 100 > rules.drop_points
        if certain and points > _exact(rules.drop_critical_points):
            return Verdict.DRIFT, Severity.CRITICAL, None
        if certain and points > _exact(rules.drop_high_points):
            return Verdict.DRIFT, Severity.HIGH, None
        return Verdict.DRIFT, Severity.MEDIUM, None
    if metric.upper * 100 < rules.drop_clear_points:
        return Verdict.NO_DRIFT, None, None
    text = f"{metric.metric} may have dropped by up to {metric.upper * 100:.1f} points: too few labels to tell"
    return Verdict.INSUFFICIENT_EVIDENCE, None, text


def by_class(window: LabelWindow, rules: ComparisonRules) -> bool:
    """Whether the window is not judged because its outcomes come by class."""
    return window.selection is not None and selective(window.selection, rules)


def selective(found: Selection, rules: ComparisonRules) -> bool:
    """Whether outcomes come by class: the difference in coverage between predicted positives and negatives has moved
    against the baseline's by more than its limit, and by more than its bound."""
    sides = (found.positives, found.negatives, found.baseline_positives, found.baseline_negatives)
    if not all(side.all for side in sides):
        return False
    positives, negatives, old_positives, old_negatives = (Fraction(side.of, side.all) for side in sides)
    moved = abs(positives - negatives - old_positives + old_negatives)
    bound = rules.bound_z * math.sqrt(sum(_share(s) * (1 - _share(s)) / s.all for s in sides))
    return moved * 100 > _exact(rules.selective_points) and moved > bound


def _share(side: Share) -> float:
    return side.of / side.all if side.all else 0.0


def _selected(found: Selection, cured_by: int | None) -> str:
    now = f"{_share(found.positives):.0%} of the predicted positives and {_share(found.negatives):.0%} of the negatives"
    then = f"{_share(found.baseline_positives):.0%} and {_share(found.baseline_negatives):.0%} in the baseline"
    cure = (
        f"label_delay_days = {cured_by} would cure it" if cured_by is not None else "no label_delay_days up to 30 would"
    )
    return f"labels_selective: {now} have their outcome, {then}; {cure}"


def drop(metric: MetricWindow) -> Fraction:
    """Baseline − recent, exact; of PR-AUC rounded to 1e-9. Only of a metric that is defined on both sides."""
    (a, n), (b, m) = metric.recent_ratio, metric.baseline_ratio
    return Fraction(b, m) - Fraction(a, n)


def _worst(window: LabelWindow) -> str | None:
    known = [m for m in window.metrics if m.recent is not None and m.baseline is not None]
    return max(known, key=drop).metric if known else None


def _bare(week: LabelWindow, rules: ComparisonRules) -> Verdict:
    """The original rule: the point estimate of the worst metric in the seven-day window is down by 5 points or more."""
    enough = [
        m
        for m in week.metrics
        if m.lower is not None and min(m.recent_rows, m.baseline_rows) >= rules.drop_min_denominator
    ]
    if not enough or week.judged_days < rules.recent_min_judged_days:
        return Verdict.INSUFFICIENT_EVIDENCE
    return Verdict.DRIFT if max(drop(m) for m in enough) * 100 >= _exact(rules.drop_points) else Verdict.NO_DRIFT


def quality_verdict(value: QualityValue, rules: ComparisonRules) -> Judgement:
    """MEDIUM drift when a figure of the seven-day window left the baseline's by the check's limit; no unadjusted
    rule."""
    old, new = value.baseline, value.recent
    if old is None or new is None:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None, reason=f"{value.check} is undefined on one side")
    least = rules.drop_min_denominator
    if value.baseline_rows < least or (value.check != "volume" and value.recent_rows < least):
        text = f"{value.check} stands on {value.recent_rows} recent and {value.baseline_rows} baseline rows"
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None, reason=f"{text}, {least} are needed on both sides")
    if value.check == "volume":
        moved = _reaches(abs(new - old) * 100, rules.quality_volume_pct * old)
    elif value.check == "positive_rate":
        moved = _reaches(abs(new - old) * 100, rules.quality_positive_rate_points)
    elif value.check == "calibration":
        moved = _reaches(old - new, rules.quality_calibration_drop)
    elif value.check == "interval_width":
        moved = new != old and _reaches(abs(new - old) * 100, rules.quality_interval_width_pct * old)
    else:
        moved = _reaches(abs(new - old) * 100, rules.quality_narrow_points)
    return Judgement(Verdict.DRIFT, None, Severity.MEDIUM) if moved else Judgement(Verdict.NO_DRIFT, None)


def completeness_verdict(predictions: int, labelled: int, rules: ComparisonRules) -> Judgement:
    """HIGH drift when too few predictions of the last mature day have their outcome."""
    if not predictions:
        return Judgement(Verdict.INSUFFICIENT_EVIDENCE, None, reason="no predictions on the last mature day")
    if labelled < _exact(rules.min_coverage) * predictions:
        return Judgement(Verdict.DRIFT, None, Severity.HIGH)
    return Judgement(Verdict.NO_DRIFT, None)


def _reaches(change: float, limit: float) -> bool:
    """``change`` ≥ ``limit``, where the last bits of a difference of quotients say nothing."""
    return change >= limit - 1e-9


def _few(window: ScoreWindow, rules: ComparisonRules) -> str | None:
    if min(window.n, window.m) >= rules.ks_min_samples:
        return None
    return f"{window.n} recent and {window.m} baseline scores, {rules.ks_min_samples} are needed on both sides"


@cache
def _exact(limit: float) -> Fraction:
    """The decimal that was written, not the double next to it."""
    return Fraction(str(limit))

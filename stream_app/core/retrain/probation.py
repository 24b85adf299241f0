"""How a new version compares with the one before (CONTRACT section 5): failed, kept, or not to be told yet."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

from stream_app.core.comparisons.records import LabelWindow
from stream_app.core.comparisons.verdicts import drop
from stream_app.core.retrain.config import RetrainRules


class ProbationCheck(NamedTuple):
    """``metric``, ``points`` and ``window`` (its number) say what a probation failed by."""

    verdict: Literal["failed", "kept", "undecided", "kept_without_evidence"]
    reason: str
    metric: str | None = None
    points: float = 0.0
    window: int = 0


def choose(windows: Sequence[LabelWindow], run_from: int | None) -> int | None:
    """Number of the window to judge by; windows are those of ``ProbationEntry``, ``first`` the previous version's.

    All days it has; if a run of drift stood at the change, only those from its first day on: a model that answers a
    drift must not be measured by the time before it. Later than all: the newest day alone. ``None``: no windows.
    """
    if not windows:
        return None
    order = sorted(range(len(windows)), key=lambda i: windows[i].first)
    if run_from is None:
        return order[0]
    return next((i for i in order if windows[i].first >= run_from), order[-1])


def judge(rules: RetrainRules, hours: float, windows: Sequence[LabelWindow], run_from: int | None) -> ProbationCheck:
    """Judge the new version ``hours`` after it became active.

    Failed: a rollback metric is down by more than the points allowed, its lower bound above 0, on enough rows of both
    versions. Kept: none is, and all have enough rows. The time limit comes last: evidence at that hour still counts.
    """
    if hours < rules.probation_first_look_h:
        return ProbationCheck("undecided", f"first look {rules.probation_first_look_h:g} h after the change")
    number = choose(windows, run_from)
    missing = (
        _missing_rows(rules, windows[number]) if number is not None else ["the previous version has no closed day"]
    )
    if number is not None and not missing:
        found = {m.metric: m for m in windows[number].metrics}
        kept, worst = [], ProbationCheck("undecided", "")
        limit = Fraction(str(rules.probation_drop_points))
        for name in rules.rollback_metrics:
            metric = found.get(name)
            if metric is None or metric.lower is None or metric.recent is None or metric.baseline is None:
                missing.append(f"{name} is undefined on one side")
                continue
            least = rules.probation_min_denominator
            if min(metric.recent_rows, metric.baseline_rows) < least:
                rows = f"{metric.recent_rows} and {metric.baseline_rows} rows"
                missing.append(f"{name} stands on {rows}, {least} are needed on both sides")
                continue
            points = 100 * drop(metric)
            if points > limit and metric.lower > 0:
                if worst.metric is None or points > worst.points:
                    text = f"{name} down by {float(points):.1f} points, 99 % lower bound {100 * metric.lower:.1f}"
                    worst = ProbationCheck("failed", text, name, float(points), number)
            else:
                kept.append(f"{name} {metric.recent:.4f}, {metric.baseline:.4f} before")
        if worst.metric is not None:
            return worst
        if not missing and kept:
            return ProbationCheck("kept", "; ".join(kept))
    if not rules.rollback_metrics:
        missing = ["the model has no rollback metrics"]
    if hours >= 24 * rules.probation_days:
        return ProbationCheck(
            "kept_without_evidence", f"{rules.probation_days} days have passed: " + "; ".join(missing)
        )
    return ProbationCheck("undecided", "; ".join(missing))


def _missing_rows(rules: RetrainRules, window: LabelWindow) -> list[str]:
    least = rules.probation_min_labelled
    if min(window.recent, window.baseline) >= least:
        return []
    return [f"{window.recent} labelled rows since the change and {window.baseline} before, {least} are needed on both"]

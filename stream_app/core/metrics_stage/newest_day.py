"""Whether the newest day of a check shows by itself what the check found."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.drift import Verdict
from stream_app.core.comparisons.records import LabelWindow, ScoreWindow
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import distance
from stream_app.core.comparisons.verdicts import Judgement


def scores_last(found: Judgement, windows: Sequence[ScoreWindow], rules: ComparisonRules) -> bool:
    """Statistical drift, and the day alone would be called that too, by point estimate and p-value."""
    if found.verdict != Verdict.DRIFT or len(windows) < 2:
        return False
    day = windows[1]
    return day.p_value is None or (day.p_value < rules.ks_p_value and distance(day) >= rules.ks_min_distance)


def labels_last(found: Judgement, windows: Sequence[LabelWindow], rules: ComparisonRules) -> bool:
    """Performance drift, and a metric of the day alone is down by as much as matters, by its point estimate.

    A day that was not judged takes nothing back.
    """
    if found.verdict != Verdict.DRIFT or len(windows) < 2:
        return False
    drops = [
        100 * (m.baseline - m.recent) for m in windows[1].metrics if m.baseline is not None and m.recent is not None
    ]
    return not drops or max(drops) >= rules.drop_points

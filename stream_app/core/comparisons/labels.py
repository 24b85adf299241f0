"""Labelled rows of two windows: each metric of the model's type on both sides, with bounds of its drop.

Proportions: Newcombe's method 10 on Wilson limits. PR-AUC: the delta method on the logit scale, combined by the same
rule. In the one-day window the counts of both sides are divided by the day-to-day dispersion
φ = max(1, Σ(x_d − n_d·p)²/(n_d·p(1 − p))/(k − 1)) over the k baseline days it is compared with, those of its own kind:
one day is one draw of the day's luck, and without φ a good model's unlucky day would pass for a drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from stream_app.core.comparisons.average_precision import limits, variance
from stream_app.core.comparisons.proportions import combine, wilson
from stream_app.core.comparisons.records import Histogram, LabelWindow, MetricBound, MetricWindow, Selection, Share
from stream_app.core.comparisons.rules import ComparisonRules
from stream_app.core.comparisons.scores import histogram
from stream_app.core.counts.cells import Counts

#: Metrics that need the order of the scores.
BY_SCORE = frozenset({"pr_auc", "precision_at_80_recall"})

#: Metrics with limits of their own; of the best precision among many cuts there are none.
WITH_LIMITS = ("accuracy", "precision", "recall", "f1", "pr_auc")

#: PR-AUC as a ratio: its drop is compared to nine digits.
PARTS = 1_000_000_000


class DailyCounts(NamedTuple):
    """Days whose dispersion widens a bound, in parts that each have a level of their own: ``least`` at least."""

    parts: Sequence[Sequence[Counts]] = ()
    least: int = 0


_NO_DAYS = DailyCounts()


def label_window(
    first: int,
    last: int,
    judged_days: int,
    recent: Counts,
    baseline: Counts,
    rules: ComparisonRules,
    daily: DailyCounts = _NO_DAYS,
) -> LabelWindow:
    """Compare the judged days of [first, last) with the judged days of the baseline, for each of the type's metrics.

    ``daily``: days whose dispersion widens the bound."""
    metrics = [
        metric_window(name, recent, baseline, dispersion(name, *daily), rules) for name in rules.performance_metrics
    ]
    shown = Histogram(histogram(recent.scores, labelled=True), histogram(baseline.scores, labelled=True))
    return LabelWindow(
        first, last, judged_days, recent.labelled, baseline.labelled, metrics, shown, selection(recent, baseline),
        _outcomes(recent), _outcomes(baseline),
    )  # fmt: skip


def metric_bounds(names: Sequence[str], counts: Counts, rules: ComparisonRules) -> list[MetricBound]:
    """What metrics of ``WITH_LIMITS`` are in a window, and are at most; only those with rows enough to compare them."""
    found = []
    for name in names:
        a, n, rows = ratio(name, counts)
        if n and rows >= rules.drop_min_denominator:
            found.append(MetricBound(name, a / n, _limits(name, counts, a / n, n, 1.0, rules)[1]))
    return found


def _outcomes(counts: Counts) -> tuple[int, int, int, int]:
    tn, fn, fp, tp = (int(x) for x in counts.vector[2:6])
    return tn, fn, fp, tp


def selection(recent: Counts, baseline: Counts) -> Selection:
    """Which of the predictions on either side have their outcome."""
    return Selection(*_known(recent), *_known(baseline))


def _known(counts: Counts) -> tuple[Share, Share]:
    made_negative, made_positive, tn, fn, fp, tp = (int(x) for x in counts.vector[:6])
    return Share(fp + tp, made_positive), Share(tn + fn, made_negative)


def metric_window(name: str, recent: Counts, baseline: Counts, phi: float, rules: ComparisonRules) -> MetricWindow:
    """One metric on both sides. ``phi`` ≥ 1 divides the counts that the bounds stand on."""
    a, n, recent_rows = ratio(name, recent)
    b, m, baseline_rows = ratio(name, baseline)
    value = a / n if n else None
    before = b / m if m else None
    lower = upper = None
    if value is not None and before is not None:
        lower, upper = combine(
            before, _limits(name, baseline, before, m, phi, rules), value, _limits(name, recent, value, n, phi, rules)
        )
    return MetricWindow(name, value, before, (a, n), (b, m), recent_rows, baseline_rows, lower, upper, phi)


def ratio(name: str, counts: Counts) -> tuple[int, int, int]:
    """Numerator, denominator, and the rows that count as the metric's denominator (positives for recall and PR-AUC)."""
    tn, fn, fp, tp = (int(x) for x in counts.vector[2:6])
    if name == "accuracy":
        return tp + tn, tn + fn + fp + tp, tn + fn + fp + tp
    if name == "precision":
        return tp, tp + fp, tp + fp
    if name == "recall":
        return tp, tp + fn, tp + fn
    if name == "f1":
        return 2 * tp, 2 * tp + fp + fn, 2 * tp + fp + fn
    positives, negatives = counts.scores.positives, counts.scores.negatives
    total = int(positives.sum())
    if not total:
        return 0, 0, 0
    if name == "pr_auc":
        return round(variance(positives, negatives)[0] * PARTS), PARTS, total
    if name == "precision_at_80_recall":
        return *_at_recall(counts), total
    raise ValueError(f"no metric is called {name!r}")


def dispersion(name: str, parts: Sequence[Sequence[Counts]], least: int) -> float:
    """φ of a metric over days; PR-AUC has the recall's. 1 where it cannot be told.

    χ² of the days over its degrees of freedom, each part of the days around its own mean: a step between two parts is
    no day-to-day dispersion.
    """
    of = "recall" if name in BY_SCORE else name
    days, spread, freedom = 0, 0.0, 0
    for part in parts:
        rows = [(x, n) for x, n, _ in (ratio(of, day) for day in part) if n]
        days += len(rows)
        hits, total = sum(x for x, _ in rows), sum(n for _, n in rows)
        if 0 < hits < total:
            p = hits / total
            spread += sum((x - n * p) ** 2 / (n * p * (1 - p)) for x, n in rows)
            freedom += len(rows) - 1
    return max(1.0, spread / freedom) if days >= max(2, least) and freedom else 1.0


def _limits(
    name: str, counts: Counts, value: float, rows: int, phi: float, rules: ComparisonRules
) -> tuple[float, float]:
    if name == "f1":
        # 2·tp of 2·tp + fp + fn counts every hit twice; tp of tp + fp + fn is a proportion, and F1 a function of it
        hits = value * rows / 2
        low, high = wilson(hits / phi, (rows - hits) / phi, rules.bound_z)
        return 2 * low / (1 + low), 2 * high / (1 + high)
    if name != "pr_auc":
        return wilson(value * rows / phi, rows / phi, rules.bound_z)
    area, spread = variance(counts.scores.positives, counts.scores.negatives)
    return limits(area, spread * phi, int(counts.scores.positives.sum()) / phi, rules.bound_z)


def _at_recall(counts: Counts) -> tuple[int, int]:
    """Hits and rows shown at the cut with the highest precision among those with a recall of at least 80 %."""
    hits = np.cumsum(counts.scores.positives[::-1])
    shown = hits + np.cumsum(counts.scores.negatives[::-1])
    enough = np.flatnonzero((hits * 5 >= hits[-1] * 4) & (shown > 0))
    best = enough[np.argmax(hits[enough] / shown[enough])]
    return int(hits[best]), int(shown[best])

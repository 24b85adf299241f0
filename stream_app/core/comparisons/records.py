"""Comparisons as they travel in the model log: numbers without a verdict.

Whatever a threshold is compared with stands here as integers, so that a verdict never hangs on a rounded quotient.
Days are days since 1970; windows include ``first`` and exclude ``last``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from schemas.drift import Check

BaselineKind = Literal["window", "held", "initial", "previous"]


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """Predictions by score in 50 bins of equal width on [0, 1], of either side; with outcomes in label windows."""

    recent: list[int]
    baseline: list[int]


class ScoreWindow(msgspec.Struct, frozen=True, array_like=True):
    """Two samples of scores: ``n`` recent ones, ``m`` of the baseline; D = ``distance`` / (n·m)."""

    first: int
    last: int
    n: int
    m: int
    distance: int
    #: kstwo.sf(D, round(n·m/(n + m))); ``None`` if a side is empty
    p_value: float | None
    #: how far D can lie from that of the raw scores; 0 while both sides are exact
    sketch_error: float
    #: mean score of either side
    recent: float | None
    baseline: float | None
    histogram: Histogram


class MetricWindow(msgspec.Struct, frozen=True, array_like=True):
    """One metric on both sides. The drop is (b·n − a·m)/(n·m) for a/n recent and b/m baseline."""

    metric: str
    #: value on either side, 0 to 1; ``None`` if undefined
    recent: float | None
    baseline: float | None
    #: numerator and denominator; for PR-AUC round(value · 1e9) and 1e9
    recent_ratio: tuple[int, int]
    baseline_ratio: tuple[int, int]
    #: rows in the metric's denominator (for recall and PR-AUC positives)
    recent_rows: int
    baseline_rows: int
    #: one-sided bounds of the drop, −1 to 1; ``None`` if a side is undefined
    lower: float | None
    upper: float | None
    #: φ that the counts of both sides were divided by; 1 in the seven-day window
    dispersion: float = 1.0


class MetricBound(msgspec.Struct, frozen=True, array_like=True):
    """A metric of the seven-day window by itself, and what it is at most (one-sided, 99 % by default)."""

    metric: str
    value: float
    upper: float


class Share(msgspec.Struct, frozen=True, array_like=True):
    """So many of so many."""

    of: int
    all: int


class Selection(msgspec.Struct, frozen=True, array_like=True):
    """How many predictions have their outcome, by what was predicted, on both sides."""

    positives: Share
    negatives: Share
    baseline_positives: Share
    baseline_negatives: Share


class LabelWindow(msgspec.Struct, frozen=True, array_like=True):
    """Labelled rows of the judged days of a recent window beside the judged days of the baseline."""

    first: int
    last: int
    judged_days: int
    #: labelled predictions on either side
    recent: int
    baseline: int
    metrics: list[MetricWindow]
    histogram: Histogram
    selection: Selection | None = None
    #: outcomes on either side: true negatives, false negatives, false positives, true positives
    outcomes: tuple[int, int, int, int] = (0, 0, 0, 0)
    baseline_outcomes: tuple[int, int, int, int] = (0, 0, 0, 0)
    #: where labels come by class: the label delay in days at which they would not, if there is one
    cured_by: int | None = None


class QualityValue(msgspec.Struct, frozen=True, array_like=True):
    """One quality figure of the seven-day window beside its baseline; ``None`` if a side cannot tell."""

    check: Check
    first: int
    last: int
    recent: float | None
    baseline: float | None
    #: rows each side stands on
    recent_rows: int
    baseline_rows: int

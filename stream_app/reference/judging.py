"""Metrics of versions on the same rows, and how far chance moves them: the rows are drawn again, in pairs.

A drawing is the same for every version, so that what makes a row hard for both does not count as a difference. Metrics
of decisions need only the numbers of rows by what each version said, which are drawn as multinomial numbers; metrics of
the order of scores are worked out on weighted rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from schemas.training import VersionComparison
from stream_app.reference.learners import SEED, Labels, Matrix

Metrics = dict[str, float | None]

#: draws of a comparison, of a standard error, and the fewest that either stands on
DRAWS: Final = 1_000
ERROR_DRAWS: Final = 200
LEAST_DRAWS: Final = 100
#: metrics that need the order of the scores
_BY_SCORE: Final = ("pr_auc", "precision_at_80_recall")


class Answers(NamedTuple):
    """What a version scored and said of rows, each of shape (n,)."""

    scores: Matrix
    said: NDArray[np.bool_]


def metrics(judged: Answers, actual: Labels) -> Metrics:
    """Metrics as the contract defines them, on rows of both outcomes."""
    said = judged.said
    hits = int((said & (actual == 1)).sum())
    yes, positives = int(said.sum()), int(actual.sum())
    precision, recall, _ = precision_recall_curve(actual, judged.scores)
    return {
        "accuracy": float((said == (actual == 1)).mean()),
        "precision": hits / yes if yes else None,
        "recall": hits / positives,
        "f1": 2 * hits / (yes + positives),
        "pr_auc": float(average_precision_score(actual, judged.scores)),
        # a recall of exactly 0.8 counts, whatever the quotient's last bit
        "precision_at_80_recall": float(precision[recall >= 0.8 - 1e-12].max()),
    }


def compare(metric: str, candidate: Answers, champion: Answers, actual: Labels) -> VersionComparison | None:
    """The candidate beside the champion by one metric; ``None`` if it is undefined of either."""
    mine, theirs = metrics(candidate, actual).get(metric), metrics(champion, actual).get(metric)
    if mine is None or theirs is None:
        return None
    drawn = draws(metric, [candidate, champion], actual, DRAWS)
    apart = drawn[0] - drawn[1]
    apart = apart[np.isfinite(apart)]
    lower = upper = None
    if len(apart) >= LEAST_DRAWS:
        lower, upper = (float(bound) for bound in np.quantile(apart, [0.025, 0.975]))
    return VersionComparison(
        metric=metric, candidate=mine, champion=theirs, difference=mine - theirs, lower=lower, upper=upper
    )


def longest_as_good(metric: str, judged: Sequence[Answers], actual: Labels) -> tuple[int, list[float | None]]:
    """Which of several versions, longest range first, to take: the first within one standard error of the best by the
    metric; and each one's standard error, of its difference from the best (paired bootstrap, 200 draws; draws in which
    it is undefined are left out). ``None`` where fewer than 100 are left: then the first.

    Source: the one-standard-error rule of Breiman, Friedman, Olshen and Stone (1984), section 3.4.3, with the longest
    range in the place of the smallest tree.
    """
    values = [metrics(found, actual).get(metric) for found in judged]
    known = [value for value in values if value is not None]
    if not known:
        return 0, [None] * len(judged)
    best = values.index(max(known))
    drawn = draws(metric, judged, actual, ERROR_DRAWS)
    errors: list[float | None] = []
    for of in drawn:
        apart = drawn[best] - of
        apart = apart[np.isfinite(apart)]
        errors.append(float(np.std(apart, ddof=1)) if len(apart) >= LEAST_DRAWS else None)
    if None in errors:
        return next(number for number, value in enumerate(values) if value is not None), errors
    within = (
        number
        for number, (value, error) in enumerate(zip(values, errors, strict=True))
        if value is not None and error is not None and max(known) - value <= error
    )
    return next(within), errors


def draws(metric: str, judged: Sequence[Answers], actual: Labels, count: int) -> NDArray[np.float64]:
    """The metric of each version on the same ``count`` drawings of the rows; shape (versions, count), nan where it is
    undefined. The same rows give the same drawings."""
    draw = np.random.default_rng(SEED)
    if metric not in _BY_SCORE:
        return _of_decisions(metric, judged, actual, draw, count)
    of = [_Ordered(found.scores, actual) for found in judged]
    out = np.empty((len(judged), count))
    rows = len(actual)
    for number in range(count):
        weights = np.bincount(draw.integers(0, rows, rows), minlength=rows).astype(float)
        out[:, number] = [known.value(metric, weights) for known in of]
    return out


def _of_decisions(
    metric: str, judged: Sequence[Answers], actual: Labels, draw: np.random.Generator, count: int
) -> NDArray[np.float64]:
    # rows that are alike to all versions are one kind
    kinds, rows = np.unique(np.stack([actual == 1, *(found.said for found in judged)]), axis=1, return_counts=True)
    drawn = draw.multinomial(rows.sum(), rows / rows.sum(), size=count)
    truth = kinds[0]
    out = []
    for said in kinds[1:]:
        tp, fp = drawn[:, truth & said].sum(axis=1), drawn[:, ~truth & said].sum(axis=1)
        fn, tn = drawn[:, truth & ~said].sum(axis=1), drawn[:, ~truth & ~said].sum(axis=1)
        above, below = {
            "accuracy": (tp + tn, tp + tn + fp + fn),
            "precision": (tp, tp + fp),
            "recall": (tp, tp + fn),
            "f1": (2 * tp, 2 * tp + fp + fn),
        }[metric]
        out.append(np.divide(above, below, out=np.full(count, np.nan), where=below > 0))
    return np.array(out)


class _Ordered:
    """Rows by falling score, equal scores together."""

    def __init__(self, scores: Matrix, actual: Labels) -> None:
        self._order: Any = np.argsort(-scores, kind="stable")
        ordered = scores[self._order]
        self._positive = (actual[self._order] == 1).astype(float)
        #: last row of each score
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))

    def value(self, metric: str, weights: NDArray[np.float64]) -> float:
        drawn = weights[self._order]
        hits = np.cumsum(drawn * self._positive)[self._ends]
        shown = np.cumsum(drawn)[self._ends]
        if hits[-1] == 0:
            return float("nan")
        precision = np.divide(hits, shown, out=np.zeros_like(hits), where=shown > 0)
        if metric == "pr_auc":
            return float((np.diff(hits, prepend=0.0) * precision).sum() / hits[-1])
        return float(precision[hits >= 0.8 * hits[-1] - 1e-9].max())

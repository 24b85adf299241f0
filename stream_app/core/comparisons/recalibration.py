"""Whether a version that lost quality can be repaired by two numbers and a threshold, without a training.

Where scores are shifted or stretched and their order is as good as before, σ(a·logit(score) + b) and another threshold
give back what was lost (:mod:`~stream_app.core.comparisons.platt`); where the order itself is worse, as in concept
drift, nothing but learning helps. So a proposal is judged twice: by what it would have gained on rows that it was not
fitted on, and by the ROC AUC of the rows beside the baseline's.

The labelled rows of a run of drift are split into two halves at random, fitted on each and judged on the other, with
the threshold that serves the metric best on the half it was fitted on: by the fit's own probabilities, not by that
half's outcomes, which move it about (of 200 models with one day of 190 rows, logits moved by 2.4, it is a repair in
175 instead of 168; with 1,000 rows there is no difference). One day of rows is enough for that. The gain's interval is
that of paired rows: each row's part in the metric after less that before (linearised for F1). The numbers of the
proposal itself come from all rows.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_app.core.comparisons import platt
from stream_app.core.comparisons.estimated import scores_at
from stream_app.core.comparisons.labels import ratio
from stream_app.core.counts.cells import Counts
from stream_app.core.counts.score_sketch import ScoreSketch

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Metrics that a threshold decides. One that ranks is the same after any repair.
REPAIRABLE: Final = ("accuracy", "f1")

#: Labelled rows of a run, and of each class. Half of them judge: with fewer the gain's interval is wider than the gain.
MIN_ROWS: Final = 150
MIN_CLASS: Final = 30
#: Points of ROC AUC by which the run may lie below the baseline: beyond it the order of the scores is lost, which is
#: what tells concept drift from calibration drift.
AUC_POINTS: Final = 3
#: Least gain: of the drop, and in points.
MIN_SHARE: Final = Fraction(60, 100)
MIN_GAIN_POINTS: Final = 2
#: Points of the drop that may be left at most: with more left a training is worth more.
MOST_LEFT_POINTS: Final = 5
#: Share of rows that may be decided otherwise than by a threshold on the score.
MOST_OTHERWISE: Final = Fraction(1, 100)

#: Two-sided 95 %.
_Z: Final = 1.959964


class RepairProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A recalibration and what it would have gained on the rows of a run of drift. Ratios are 0 to 1."""

    metric: str
    #: days of the rows; the first included, the last excluded
    first: int
    last: int
    #: labelled rows
    rows: int
    #: why it is no repair, in words; ``None``: it is one
    refused: str | None = None
    #: the metric in the baseline, in the run as it was served, and in the run repaired
    baseline: float | None = None
    served: float | None = None
    repaired: float | None = None
    #: repaired − served, with its 95 % interval
    gain: float | None = None
    lower: float | None = None
    upper: float | None = None
    #: ROC AUC of the run, and of the baseline
    auc: float | None = None
    baseline_auc: float | None = None
    #: score′ = σ(a·logit(score) + b), and the score′ from which on it is a yes
    a: float = 1.0
    b: float = 0.0
    threshold: float = 0.5


class _Table(NamedTuple):
    """Rows by score: ascending logits, outcomes at each; shapes (n,)."""

    x: Floats
    positives: Ints
    negatives: Ints


class _Fit(NamedTuple):
    """A repair: ``cut`` is its threshold as a logit of the score before the repair."""

    a: float
    b: float
    cut: float


def propose(
    run: Counts, baseline: Counts, metric: str, days: tuple[int, int], seed: int, selective: bool = False
) -> RepairProposal:
    """Fit and judge a repair of the rows ``run`` of ``days`` (the last excluded).

    ``seed``: 32 bits that decide the halves; ``selective``: outcomes of the run come by class. What is missing, or
    speaks against it, stands in ``refused``; what could be computed by then beside it. O(rows) for the halves, O(n)
    in the number of distinct scores for the rest.
    """
    rows = run.labelled
    known = RepairProposal(metric=metric, first=days[0], last=days[1], rows=rows)
    if metric not in REPAIRABLE:
        return _refuse(known, f"{metric} is about the order of the scores, which no recalibration changes")
    if selective:
        return _refuse(known, "labels_selective: outcomes come by class")
    table = _table(run.scores)
    classes = int(table.positives.sum()), int(table.negatives.sum())
    if rows < MIN_ROWS or min(classes) < MIN_CLASS:
        text = f"{rows} labelled rows in the run, {classes[0]} positive and {classes[1]} negative"
        return _refuse(known, f"{text}; {MIN_ROWS} are needed, {MIN_CLASS} of each class")
    (hits, of, _), (old_hits, old_of, _) = ratio(metric, run), ratio(metric, baseline)
    auc, old_auc = roc_auc(run.scores), roc_auc(baseline.scores)
    if auc is None or old_auc is None or not of or not old_of:
        return _refuse(known, "the baseline has no outcomes of both classes")
    served, before = Fraction(hits, of), Fraction(old_hits, old_of)
    known = msgspec.structs.replace(
        known, baseline=float(before), served=float(served), auc=float(auc), baseline_auc=float(old_auc)
    )
    cut, otherwise = served_cut(run.scores)
    if otherwise > MOST_OTHERWISE * run.predictions:
        share = 100 * otherwise / run.predictions
        return _refuse(known, f"decisions do not follow the score: {share:.1f} % of the rows are decided otherwise")
    halves = split(table, seed)
    one, other, whole = (_fitted(part, metric) for part in (*halves, table))
    if one is None or other is None or whole is None:
        return _refuse(known, "the order of the scores is lost: higher scores do not go with more positives")
    gain, reach = _gain(metric, cut, [(halves[1], one), (halves[0], other)])
    a, b = round(whole.a, 6), round(whole.b, 6)
    known = msgspec.structs.replace(
        known, repaired=float(served) + gain, gain=gain, lower=gain - reach, upper=gain + reach, a=a, b=b,
        threshold=round(float(platt.scaled(np.asarray([whole.cut]), a, b)[0]), 9),
    )  # fmt: skip
    return _judged(known, old_auc - auc, before - served)


def _judged(known: RepairProposal, less_order: Fraction, drop: Fraction) -> RepairProposal:
    """The proposal, refused if the order is not intact or it gains too little."""
    gain = known.gain if known.gain is not None else 0.0
    metric, left = known.metric, float(drop) - gain
    if less_order * 100 >= AUC_POINTS:
        text = f"the order of the scores is lost: ROC AUC is {float(100 * less_order):.1f} points below the baseline's"
        return _refuse(known, f"{text}, {AUC_POINTS} are the limit")
    if 100 * gain < MIN_GAIN_POINTS or gain < MIN_SHARE * drop:
        text = f"it would win back {100 * gain:.1f} of {float(100 * drop):.1f} points of {metric}"
        return _refuse(known, f"{text}; {100 * float(MIN_SHARE):.0f} % and {MIN_GAIN_POINTS} points are needed")
    if 100 * left >= MOST_LEFT_POINTS:
        return _refuse(known, f"{100 * left:.1f} points of {metric} would be left, {MOST_LEFT_POINTS} are too many")
    return known


def words(found: RepairProposal) -> str:
    """What a proposal says, for people: what spoke against it, the order before and after, the expected gain."""
    parts = [found.refused] if found.refused is not None else []
    if found.auc is not None and found.baseline_auc is not None:
        parts.append(f"ROC AUC {found.auc:.4f} of {found.rows} rows, {found.baseline_auc:.4f} in the baseline")
    if found.gain is not None and found.lower is not None and found.upper is not None and found.served is not None:
        parts.append(
            f"{found.metric} {found.served:.4f} as served, {100 * found.gain:+.1f} points expected of a recalibration, "
            f"95 % between {100 * found.lower:+.1f} and {100 * found.upper:+.1f}"
        )
    return "; ".join(parts)


def roc_auc(scores: ScoreSketch) -> Fraction | None:
    """Share of pairs of a positive and a negative in which the positive has the higher score, ties half; exact.

    ``None`` without one of the classes."""
    table = _table(scores)
    positives, negatives = int(table.positives.sum()), int(table.negatives.sum())
    if not positives or not negatives:
        return None
    below = np.cumsum(table.negatives) - table.negatives
    twice = sum(map(int.__mul__, table.positives.tolist(), (2 * below + table.negatives).tolist()))
    return Fraction(twice, 2 * positives * negatives)


def served_cut(scores: ScoreSketch) -> tuple[float, int]:
    """The logit from which on most is decided as positive, and how many predictions are decided otherwise.

    Within a bin of scores nothing can be told of the order, so the bin that the cut falls into counts for nothing."""
    x = platt.logits(scores_at(scores))
    yes = scores.decided
    no = scores.predictions - yes
    below, above = np.concatenate(([0], np.cumsum(yes))), np.concatenate((np.cumsum(no[::-1])[::-1], [0]))
    if scores.binned and len(x):
        inside = below[:-1] + above[1:]
        at = int(np.argmin(inside))
        return _between(x, at if 2 * int(yes[at]) >= int(scores.predictions[at]) else at + 1), int(inside[at])
    wrong = below + above
    at = int(np.argmin(wrong))
    return _between(x, at), int(wrong[at])


def split(table: _Table, seed: int) -> tuple[_Table, _Table]:
    """Two halves of the rows, drawn without replacement: a multivariate hypergeometric draw of the counts.

    By ``RandomState``, whose stream is frozen: the same seed gives the same halves with every release of numpy."""
    counts = np.concatenate((table.positives, table.negatives))
    ends = np.cumsum(counts)
    drawn = np.random.RandomState(seed).permutation(int(ends[-1]))[: int(ends[-1]) // 2]
    one = np.bincount(np.searchsorted(ends, drawn, side="right"), minlength=len(counts)).astype(np.int64)
    n = len(table.x)
    first = _Table(table.x, one[:n], one[n:])
    return first, _Table(table.x, table.positives - first.positives, table.negatives - first.negatives)


def _fitted(table: _Table, metric: str) -> _Fit | None:
    """Fit both numbers, and find the cut that serves the metric best; ``None`` if scores do not rise with outcomes."""
    some = table.positives + table.negatives > 0
    x, positives, negatives = table.x[some], table.positives[some], table.negatives[some]
    if not positives.sum() or not negatives.sum():
        return None
    a, b = platt.fit(x, positives, negatives)
    if a <= 0:
        return None
    rows = (positives + negatives).astype(np.float64)
    yes = rows * platt.scaled(x, a, b)
    hits = np.concatenate((np.cumsum(yes[::-1])[::-1], [0.0]))
    wrong = np.concatenate((np.cumsum((rows - yes)[::-1])[::-1], [0.0]))
    all_positive, all_negative = float(yes.sum()), float((rows - yes).sum())
    value = hits + all_negative - wrong if metric == "accuracy" else 2 * hits / (hits + wrong + all_positive)
    return _Fit(a, b, _between(x, int(np.argmax(value))))


def _between(x: Floats, at: int) -> float:
    """A logit below ``x[at]`` and above the one before; beyond the ends nothing, or everything, is a yes."""
    if not len(x):
        return 0.0
    if at == 0:
        return float(x[0]) - 1.0
    if at == len(x):
        return float(x[-1]) + 1.0
    middle = float(x[at - 1] + x[at]) / 2
    return middle if middle > x[at - 1] else float(x[at])


def _gain(metric: str, served: float, judged: list[tuple[_Table, _Fit]]) -> tuple[float, float]:
    """Metric after less before over all rows, each half by the fit on the other, and half the interval's width."""
    parts = []
    for table, fit in judged:
        for actual, counts in ((1, table.positives), (0, table.negatives)):
            for which in (False, True):  # whether the repaired version says yes
                for old in (False, True):
                    mask = ((table.x >= fit.cut) == which) & ((table.x >= served) == old)
                    parts.append((int(counts[mask].sum()), actual, old, which))
    before = _value(metric, [(n, y, old) for n, y, old, _ in parts])
    after = _value(metric, [(n, y, new) for n, y, _, new in parts])
    spread = math.fsum(
        n * (_part(metric, y, new, *after) - _part(metric, y, old, *before)) ** 2 for n, y, old, new in parts if n
    )
    gain = after[0] - before[0]
    rows = sum(n for n, *_ in parts)
    # of accuracy this is the variance of the mean of −1, 0 and 1
    return gain, _Z * math.sqrt(max(0.0, spread - (gain**2 / rows if metric == "accuracy" else 0.0)))


def _value(metric: str, parts: list[tuple[int, int, bool]]) -> tuple[float, int]:
    """The metric of (rows, outcome, decision), and its denominator."""
    hits = sum(n * _counts(metric, actual, said)[0] for n, actual, said in parts)
    of = sum(n * _counts(metric, actual, said)[1] for n, actual, said in parts)
    return (hits / of if of else 0.0), of


def _part(metric: str, actual: int, said: bool, value: float, of: int) -> float:
    """What one row adds to the metric, to the first order; of accuracy its whole part."""
    hit, one = _counts(metric, actual, said)
    return (hit - (value * one if metric == "f1" else 0.0)) / of if of else 0.0


def _counts(metric: str, actual: int, said: bool) -> tuple[int, int]:
    """What a row adds to the metric's numerator and to its denominator."""
    if metric == "accuracy":
        return int(said == bool(actual)), 1
    hit = int(said and actual == 1)
    return 2 * hit, 2 * hit + int(said != bool(actual))


def _table(scores: ScoreSketch) -> _Table:
    """Labelled rows by ascending score; scores whose logits are cut off at the same end are one."""
    some = scores.positives + scores.negatives > 0
    x, first = np.unique(platt.logits(scores_at(scores)[some]), return_index=True)
    if not len(x):
        return _Table(x, scores.positives[some], scores.negatives[some])
    return _Table(x, np.add.reduceat(scores.positives[some], first), np.add.reduceat(scores.negatives[some], first))


def _refuse(known: RepairProposal, why: str) -> RepairProposal:
    return msgspec.structs.replace(known, refused=why)

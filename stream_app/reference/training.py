"""From rows to a candidate: fit a model for each range, choose, and judge candidate and champion on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve

from schemas.training import ROWS_EXPIRED, TriedRange, VersionComparison
from stream_app.reference.judging import Answers, Metrics, compare, longest_as_good, metrics
from stream_app.reference.learners import Fitted, Labels, Learner, Matrix
from stream_app.reference.rows import Encoding, NamesRows, RowsOfRange, TrainingRow, labels


class Unusable(Exception):
    """The rows cannot be learnt from; the message says what is missing."""


class Task(NamedTuple):
    """What to make a candidate of, and what to hold it against."""

    ranges: Sequence[RowsOfRange]
    holdout: Sequence[TrainingRow]
    #: the active version's model, if its artefact is at hand, and its name
    champion: Fitted | None
    champion_version: str
    #: decides between ranges, and between candidate and champion
    metric: str
    #: whether the candidate is fitted once more, in the same way, on range and hold-out: the newest rows are worth most
    refit: bool = False
    #: labelled rows that a range needs
    least: int = 1


class Trained(NamedTuple):
    """A candidate and what it is worth.

    The figures are those of the model that had not seen the hold-out; ``threshold`` is its own, and ``refitted_on`` the
    number of rows that ``model`` was fitted on afterwards. ``champion_by`` says how the champion was asked: its
    ``artefact``, or what was ``served``.
    """

    model: Fitted
    training_samples: int
    holdout_samples: int
    candidate_metrics: Metrics
    champion_metrics: Metrics
    champion_by: str
    comparison: VersionComparison | None
    threshold: float
    refitted_on: int | None
    #: name of the range it learnt from, and what came of each
    range: str
    tried: list[TriedRange]


def train(learner: Learner, task: Task) -> Trained:
    """Fit one model a range, longest first, take the longest that is as good as the best on the hold-out, and judge it
    beside the champion. Raises :class:`Unusable`.

    Without the champion's artefact the champion is what was served: by itself where it made at least half of the
    hold-out, else by whatever version did.
    """
    _both_outcomes("hold-out", task.holdout)
    champion = task.champion
    judged = list(task.holdout) if champion is not None else served(task.holdout, task.champion_version)
    truth = labels(judged)
    skipped, fitted = _fit_each(learner, task)
    answers = [asked(model, judged) for _, model in fitted]
    chosen, errors = longest_as_good(task.metric, answers, truth)
    tried = [
        TriedRange(name=found.name, rows=len(found.rows), value=metrics(said, truth).get(task.metric), se=error)
        for (found, _), said, error in zip(fitted, answers, errors, strict=True)
    ]
    taken, model = fitted[chosen]
    theirs = recorded(judged) if champion is None else asked(champion, judged)
    both = sorted([*taken.rows, *task.holdout], key=lambda row: (row.at_ms, row.id)) if task.refit else None
    return Trained(
        fit(learner, both) if both is not None else model, len(taken.rows), len(judged),
        metrics(answers[chosen], truth), metrics(theirs, truth), "served" if champion is None else "artefact",
        compare(task.metric, answers[chosen], theirs, truth), model.threshold, len(both) if both is not None else None,
        taken.name, [*tried, *skipped],
    )  # fmt: skip


def _fit_each(learner: Learner, task: Task) -> tuple[list[TriedRange], list[tuple[RowsOfRange, Fitted]]]:
    """A model of each range that can be learnt from, longest first; of ranges that begin alike the first counts."""
    skipped: list[TriedRange] = []
    fitted: list[tuple[RowsOfRange, Fitted]] = []
    begun: set[int] = set()
    for found in sorted(task.ranges, key=lambda known: known.from_ms):
        if found.from_ms in begun:
            continue
        begun.add(found.from_ms)
        why = _unfit(found, task.least)
        if why is None:
            fitted.append((found, fit(learner, found.rows)))
        else:
            skipped.append(TriedRange(name=found.name, rows=len(found.rows), skipped=why))
    if not fitted:
        text = "; ".join(f"{known.name}: {known.skipped}" for known in skipped)
        raise Unusable(f"{ROWS_EXPIRED}: {text}" if any(known.expired for known in task.ranges) else text)
    return skipped, fitted


def _unfit(found: RowsOfRange, least: int) -> str | None:
    if found.expired:
        return f"retention left {len(found.rows)} labelled rows, less than half"
    if len(found.rows) < least:
        return f"{len(found.rows)} labelled rows, {least} are needed"
    if len({row.actual for row in found.rows}) < 2:
        return f"all {len(found.rows)} labelled rows have the same outcome"
    return None


def _both_outcomes(name: str, found: Sequence[TrainingRow]) -> None:
    if not found:
        raise Unusable(f"the {name} holds no labelled row of this model")
    if len({row.actual for row in found}) < 2:
        raise Unusable(f"all {len(found)} labelled rows of the {name} have the same outcome")


def fit(learner: Learner, rows: Sequence[TrainingRow]) -> Fitted:
    """A model of rows, with its threshold."""
    try:
        encoding = Encoding.of([row.features for row in rows])
    except NamesRows as error:
        raise Unusable(str(error)) from error
    if not encoding.columns:
        raise Unusable("no prediction of the training range carries features: producers have to send them")
    matrix, actual = encoding.matrix([row.features for row in rows]), labels(rows)
    fitted = Fitted(learner(matrix, actual), encoding.columns)
    fitted.threshold = threshold(fitted.scores(matrix), actual)
    return fitted


def served(holdout: Sequence[TrainingRow], version: str) -> list[TrainingRow]:
    """Rows that a version predicted itself, if they are at least half and of both outcomes; else all of them."""
    mine = [row for row in holdout if row.version == version]
    return mine if 2 * len(mine) >= len(holdout) and len({row.actual for row in mine}) == 2 else list(holdout)


def asked(model: Fitted, rows: Sequence[TrainingRow]) -> Answers:
    """What a model scores and says of rows."""
    found = scored(model, rows)
    return Answers(found, found >= model.threshold)


def recorded(rows: Sequence[TrainingRow]) -> Answers:
    """What was scored and said of rows at the time."""
    return Answers(np.array([row.score for row in rows]), np.array([row.predicted for row in rows]))


def scored(model: Fitted, rows: Sequence[TrainingRow]) -> Matrix:
    """The model's scores of rows, shape (n,)."""
    return model.scores(Encoding(model.features).matrix([row.features for row in rows]))


def threshold(scores: Matrix, actual: Labels) -> float:
    """0.5, or for rare positives (under 10 %) the score that serves F1 best: with 1 % of fraud, 0.5 finds little."""
    if actual.mean() >= 0.1:
        return 0.5
    precision, recall, cuts = precision_recall_curve(actual, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(cuts[int(np.argmax(f1[:-1]))])

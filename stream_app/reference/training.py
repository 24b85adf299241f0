"""From rows to a candidate: fit, choose a threshold, and judge candidate and champion on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from sklearn.metrics import precision_recall_curve

from schemas.training import VersionComparison
from stream_app.reference.judging import Answers, Metrics, compare, metrics
from stream_app.reference.learners import Fitted, Labels, Learner, Matrix
from stream_app.reference.rows import Encoding, NamesRows, TrainingRow, labels


class Unusable(Exception):
    """The rows cannot be learnt from; the message says what is missing."""


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


def train(
    learner: Learner,
    rows: Sequence[TrainingRow],
    holdout: Sequence[TrainingRow],
    champion: Fitted | None,
    champion_version: str,
    metric: str,
    refit: bool = False,
) -> Trained:
    """Fit on ``rows``, judge on ``holdout``; ``metric`` decides between the two. Raises :class:`Unusable`.

    With ``refit`` the model is then fitted once more, in the same way, on both: the newest rows are worth most.

    Without the champion's artefact the champion is what was served: by itself where it made at least half of the
    hold-out, else by whatever version did.
    """
    for name, found in (("training range", rows), ("hold-out", holdout)):
        if not found:
            raise Unusable(f"the {name} holds no labelled row of this model")
        if len({row.actual for row in found}) < 2:
            raise Unusable(f"all {len(found)} labelled rows of the {name} have the same outcome")
    fitted = fit(learner, rows)
    judged = list(holdout) if champion is not None else served(holdout, champion_version)
    truth = labels(judged)
    theirs = recorded(judged) if champion is None else asked(champion, judged)
    ours = asked(fitted, judged)
    both = sorted([*rows, *holdout], key=lambda row: (row.at_ms, row.id)) if refit else None
    serving = fit(learner, both) if both is not None else fitted
    return Trained(
        serving, len(rows), len(judged), metrics(ours, truth), metrics(theirs, truth),
        "served" if champion is None else "artefact", compare(metric, ours, theirs, truth),
        fitted.threshold, len(both) if both is not None else None,
    )  # fmt: skip


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

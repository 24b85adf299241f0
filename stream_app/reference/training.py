"""From rows to a candidate: fit, choose a threshold, and judge candidate and champion on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score, precision_recall_curve

from stream_app.reference.learners import Fitted, Labels, Learner, Matrix
from stream_app.reference.rows import Encoding, NamesRows, TrainingRow, labels

Metrics = dict[str, float | None]


class Unusable(Exception):
    """The rows cannot be learnt from; the message says what is missing."""


class Trained(NamedTuple):
    """A candidate and what it is worth. ``champion_by`` says how the champion was asked: its ``artefact``, or what it
    had ``recorded``."""

    model: Fitted
    training_samples: int
    holdout_samples: int
    candidate_metrics: Metrics
    champion_metrics: Metrics | None
    champion_by: str


def train(
    learner: Learner,
    rows: Sequence[TrainingRow],
    holdout: Sequence[TrainingRow],
    champion: Fitted | None,
    champion_version: str,
) -> Trained:
    """Fit on ``rows``, judge on ``holdout``. Raises :class:`Unusable`.

    Without the champion's artefact both are judged on the rows of the hold-out that the champion predicted itself.
    """
    for name, found in (("training range", rows), ("hold-out", holdout)):
        if not found:
            raise Unusable(f"the {name} holds no labelled row of this model")
        if len({row.actual for row in found}) < 2:
            raise Unusable(f"all {len(found)} labelled rows of the {name} have the same outcome")
    try:
        encoding = Encoding.of([row.features for row in rows])
    except NamesRows as error:
        raise Unusable(str(error)) from error
    if not encoding.columns:
        raise Unusable("no prediction of the training range carries features: producers have to send them")
    matrix, actual = encoding.matrix([row.features for row in rows]), labels(rows)
    fitted = Fitted(learner(matrix, actual), encoding.columns)
    fitted.threshold = threshold(fitted.scores(matrix), actual)
    judged, by = list(holdout), "artefact"
    if champion is None:
        mine = [row for row in holdout if row.version == champion_version]
        if len({row.actual for row in mine}) == 2:
            judged, by = mine, "recorded"
        else:
            by = "nothing: no artefact, and no recorded predictions of both outcomes"
    truth = labels(judged)
    theirs: Metrics | None = None
    if champion is not None:
        theirs = metrics(scored(champion, judged), truth, champion.threshold)
    elif by == "recorded":
        theirs = recorded(judged)
    ours = metrics(scored(fitted, judged), truth, fitted.threshold)
    return Trained(fitted, len(rows), len(judged), ours, theirs, by)


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


def metrics(scores: Matrix, actual: Labels, cut: float) -> Metrics:
    """Metrics as the contract defines them, on rows of both outcomes."""
    return _metrics(scores, actual, scores >= cut)


def recorded(rows: Sequence[TrainingRow]) -> Metrics:
    """The same of what was predicted at the time."""
    said = np.array([row.predicted for row in rows])
    return _metrics(np.array([row.score for row in rows]), labels(rows), said)


def _metrics(scores: Matrix, actual: Labels, said: Any) -> Metrics:
    hits = int((said & (actual == 1)).sum())
    yes, positives = int(said.sum()), int(actual.sum())
    precision, recall, _ = precision_recall_curve(actual, scores)
    return {
        "accuracy": float((said == (actual == 1)).mean()),
        "precision": hits / yes if yes else None,
        "recall": hits / positives,
        "f1": 2 * hits / (yes + positives),
        "pr_auc": float(average_precision_score(actual, scores)),
        # a recall of exactly 0.8 counts, whatever the quotient's last bit
        "precision_at_80_recall": float(precision[recall >= 0.8 - 1e-12].max()),
    }

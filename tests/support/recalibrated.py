"""Scores whose calibration drifts, and others that only look so: rows for tests and benchmarks of repairs.

A world changes the rows of a source. Two normal distributions of logits (accuracy some .84, ROC AUC .92) need no file;
the recorded scores of a real model (:func:`recorded_scores`: accuracy .83, ROC AUC .90) are a fourth of them far below
all others, as no normal distribution has them. Before, 54 % are positive, and decisions are made at 0.5.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tests.support.recorded import columns

Rows = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]
#: logits and outcomes of so many rows, of which so large a share is positive; P(score | outcome) stays
Source = Callable[[np.random.Generator, int, float], tuple[Any, Any]]
World = Callable[[Source, np.random.Generator, int], tuple[Any, Any]]
_PRIOR, _APART = 0.54, 2.0


def normal_scores(rng: np.random.Generator, n: int, prior: float) -> tuple[Any, Any]:
    """Two normal distributions, calibrated for 54 % positives."""
    actual = (rng.random(n) < prior).astype(np.int64)
    evidence = rng.normal(np.where(actual == 1, 1, -1) * _APART**2 / 2, _APART)
    return evidence + np.log(_PRIOR / (1 - _PRIOR)), actual


@cache
def recorded_scores(file: Path) -> Source:
    """The recorded employment scores, every row as likely as any other of its class."""
    years = columns(file).values()
    scores = np.concatenate([found[0] for found in years])
    outcomes = np.concatenate([found[2] for found in years])
    logits = np.log(scores) - np.log1p(-scores)
    positive, negative = logits[outcomes == 1], logits[outcomes == 0]

    def rows(rng: np.random.Generator, n: int, prior: float) -> tuple[Any, Any]:
        actual = (rng.random(n) < prior).astype(np.int64)
        return np.where(actual == 1, rng.choice(positive, n), rng.choice(negative, n)), actual

    return rows


def _before(source: Source, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    return source(rng, n, _PRIOR)


def _flipped(source: Source, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    x, y = _before(source, rng, n)
    return x, np.where(rng.random(n) < 0.38, 1 - y, y)


def _one_sided(source: Source, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    x, y = _before(source, rng, n)
    return x, np.where(rng.random(n) < 0.6, 0, y)


def _near(source: Source, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    x, y = _before(source, rng, 12 * n)
    near = np.flatnonzero(np.abs(x) < 0.8)[:n]
    return x[near], y[near]


def _moved(factor: float, by: float) -> World:
    def rows(source: Source, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
        x, y = _before(source, rng, n)
        return factor * x + by, y

    return rows


REPAIRED: Final[dict[str, World]] = {
    "+2.4": _moved(1, 2.4),
    "-2.4": _moved(1, -2.4),
    "x1.6 +2.4": _moved(1.6, 2.4),
    "prior .15": lambda source, rng, n: source(rng, n, 0.15),
}
TRAINED: Final[dict[str, World]] = {
    "x1.6": _moved(1.6, 0),
    "flipped": _flipped,
    "one-sided": _one_sided,
    "inverted": _moved(-1, 0),
    "near the decision": _near,
}
_WORLDS: Final = REPAIRED | TRAINED | {"as before": _before}


def drawn(world: str, rng: np.random.Generator, n: int, source: Source = normal_scores) -> Rows:
    """Scores, decisions and outcomes of ``n`` predictions."""
    x, actual = _WORLDS[world](source, rng, n)
    scores = np.round(1 / (1 + np.exp(-x)), 6)
    return scores, scores >= 0.5, actual

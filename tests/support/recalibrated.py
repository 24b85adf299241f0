"""Scores whose calibration drifts, and others that only look so: rows for tests and benchmarks of repairs.

Before, scores are calibrated: two normal distributions of logits, 54 % positive, decided at 0.5, accuracy some .84 and
ROC AUC .92.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Rows = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]
_PRIOR, _APART = 0.54, 2.0


def _before(rng: np.random.Generator, n: int, prior: float = _PRIOR) -> tuple[Any, Any]:
    """Logits and outcomes."""
    actual = (rng.random(n) < prior).astype(np.int64)
    evidence = rng.normal(np.where(actual == 1, 1, -1) * _APART**2 / 2, _APART)
    return evidence + np.log(_PRIOR / (1 - _PRIOR)), actual


def _flipped(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    x, y = _before(rng, n)
    return x, np.where(rng.random(n) < 0.38, 1 - y, y)


def _one_sided(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    x, y = _before(rng, n)
    return x, np.where(rng.random(n) < 0.6, 0, y)


def _near(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
    x, y = _before(rng, 12 * n)
    near = np.flatnonzero(np.abs(x) < 0.8)[:n]
    return x[near], y[near]


def _moved(factor: float, by: float) -> Callable[[np.random.Generator, int], tuple[Any, Any]]:
    def rows(rng: np.random.Generator, n: int) -> tuple[Any, Any]:
        x, y = _before(rng, n)
        return factor * x + by, y

    return rows


REPAIRED: Final[dict[str, Callable[[np.random.Generator, int], tuple[Any, Any]]]] = {
    "+2.4": _moved(1, 2.4),
    "-2.4": _moved(1, -2.4),
    "x1.6 +2.4": _moved(1.6, 2.4),
    "prior .15": lambda rng, n: _before(rng, n, 0.15),
}
TRAINED: Final[dict[str, Callable[[np.random.Generator, int], tuple[Any, Any]]]] = {
    "x1.6": _moved(1.6, 0),
    "flipped": _flipped,
    "one-sided": _one_sided,
    "inverted": _moved(-1, 0),
    "near the decision": _near,
}
_WORLDS: Final = REPAIRED | TRAINED | {"as before": _before}


def drawn(world: str, rng: np.random.Generator, n: int) -> Rows:
    """Scores, decisions and outcomes of ``n`` predictions."""
    x, actual = _WORLDS[world](rng, n)
    scores = np.round(1 / (1 + np.exp(-x)), 6)
    return scores, scores >= 0.5, actual

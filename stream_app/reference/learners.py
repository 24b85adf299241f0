"""What can be fitted: scikit-learn pipelines and a River model, behind one small protocol."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from schemas.training import Recalibration
from stream_app.errors import Incompatible, Unavailable

Matrix = NDArray[np.float64]
Labels = NDArray[np.int64]

SEED: Final = 20
#: Logits beyond it are cut off, so that scores of 0 and 1 have one.
REACH: Final = 16.0


class Fitted:
    """A fitted model: scores rows of its features, and says yes from ``threshold`` on."""

    def __init__(self, estimator: Any, features: Sequence[str], threshold: float = 0.5) -> None:
        self.estimator = estimator
        self.features = tuple(features)
        self.threshold = threshold

    def scores(self, matrix: Matrix) -> Matrix:
        """Probability of the positive class, shape (n,), for rows of shape (n, features)."""
        if not len(matrix):
            return np.empty(0)
        return np.clip(np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64)[:, 1], 0.0, 1.0)


class Recalibrated:
    """An estimator whose probabilities are recalibrated: σ(a·logit p + b)."""

    def __init__(self, estimator: Any, a: float, b: float) -> None:
        self.estimator, self.a, self.b = estimator, a, b

    def predict_proba(self, matrix: Matrix) -> Matrix:
        """Shape (n, 2)."""
        made = np.clip(np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64)[:, 1], 0.0, 1.0)
        with np.errstate(divide="ignore"):
            logit = np.clip(np.log(made) - np.log1p(-made), -REACH, REACH)
        yes = 1 / (1 + np.exp(-(self.a * logit + self.b)))
        return np.column_stack([1 - yes, yes])


def repaired(model: Fitted, by: Recalibration) -> Fitted:
    """The same model, wrapped."""
    return Fitted(Recalibrated(model.estimator, by.a, by.b), model.features, by.threshold)


class Learner(Protocol):
    """Fits rows of shape (n, features) with labels 0 and 1, in order of time; same rows, same model."""

    def __call__(self, matrix: Matrix, labels: Labels) -> Any:
        """An estimator with ``predict_proba``."""
        ...


def logistic(matrix: Matrix, labels: Labels) -> Any:
    """Scaled logistic regression: few parameters, so a few hundred rows are enough."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(matrix, labels)


def boosting(matrix: Matrix, labels: Labels) -> Any:
    """Gradient boosted trees; takes missing values as they are."""
    least = max(5, min(20, len(labels) // 50))
    return HistGradientBoostingClassifier(random_state=SEED, min_samples_leaf=least).fit(matrix, labels)


def river(matrix: Matrix, labels: Labels) -> Any:
    """River's logistic regression over running standardisation, one row after the other."""
    try:
        from river import compose, linear_model, preprocessing
    except ImportError as error:
        raise Unavailable("the learner `river` needs the package river: pip install river") from error
    estimator = compose.Pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())
    for row, label in zip(matrix.tolist(), labels.tolist(), strict=True):
        estimator.learn_one(dict(enumerate(row)), bool(label))
    return RowByRow(estimator)


class RowByRow:
    """A River classifier asked for many rows."""

    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def predict_proba(self, matrix: Matrix) -> Matrix:
        """Shape (n, 2)."""
        yes = [self._estimator.predict_proba_one(dict(enumerate(row))).get(True, 0.0) for row in matrix.tolist()]
        return np.column_stack([1 - np.asarray(yes), np.asarray(yes)])


LEARNERS: Final[dict[str, Learner]] = {"boosting": boosting, "logistic": logistic, "river": river}


def find(name: str) -> Learner:
    """A learner by name, or by ``module:function``. ``Incompatible`` says which names there are."""
    if name in LEARNERS:
        return LEARNERS[name]
    module, _, attribute = name.partition(":")
    if attribute:
        try:
            found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise Incompatible(f"learner {name} cannot be loaded: {error}") from error
        return found
    raise Incompatible(f"no learner is called {name}: there are {', '.join(sorted(LEARNERS))}, or module:function")

"""The trainer encodes features by kind, and refuses texts that name rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_app.reference.learners import logistic
from stream_app.reference.rows import Encoding, RowsOfRange, TrainingRow
from stream_app.reference.training import Task, Unusable, train


def rows(features: list[dict[str, object]]) -> list[TrainingRow]:
    return [TrainingRow(at, f"p-{at}", "v1", 0.5, at % 2 == 0, at % 3 == 0, found) for at, found in enumerate(features)]


def task(found: list[TrainingRow]) -> Task:
    return Task([RowsOfRange("30d", 0, found)], found, None, "v1", "accuracy")


def test_a_feature_is_of_one_kind_in_training_and_in_scoring() -> None:
    found: list[dict[str, object]] = [
        {"age": 30, "plan": "pro", "code": 1},
        {"age": "40.5", "plan": "free", "code": "x"},
    ]
    encoding = Encoding.of(found)
    assert encoding.columns == ("age", "code=1", "code=x", "plan=free", "plan=pro")
    assert encoding.matrix(found).tolist() == [[30, 1, 0, 0, 1], [40.5, 0, 1, 1, 0]]
    assert encoding.matrix([{"age": "7", "code": 1}, {"age": "old"}]).tolist() == [[7, 1, 0, 0, 0], [0] * 5]


def test_text_that_is_nearly_all_distinct_is_refused_by_name() -> None:
    named = rows([{"x": at % 7, "mail": f"{at}@example.org"} for at in range(200)])
    with pytest.raises(Unusable, match=r"'mail' is text with 200 different values in 200 rows"):
        train(logistic, task(named))
    some = rows([{"x": at % 7, "town": f"town-{at % 60}"} for at in range(200)])
    assert train(logistic, task(some)).training_samples == 200


def test_a_candidate_is_what_scikit_learn_fits_on_the_same_table() -> None:
    draw = np.random.default_rng(3)
    table = pd.DataFrame({"age": draw.integers(18, 80, 400), "income": draw.normal(3, 1, 400).round(3),
                          "plan": draw.choice(["free", "pro", "team"], 400)})  # fmt: skip
    made = rows(table.to_dict("records"))
    ours = train(logistic, task(made)).model
    dummies = pd.get_dummies(table, columns=["plan"], prefix_sep="=", dtype=float)
    matrix = dummies[list(ours.features)].to_numpy(dtype=float)
    actual = np.array([row.actual for row in made], dtype=int)
    theirs = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(matrix, actual)
    assert ours.scores(matrix) == pytest.approx(theirs.predict_proba(matrix)[:, 1], abs=1e-9)

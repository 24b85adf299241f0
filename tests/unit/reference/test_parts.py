"""The reference trainer's parts, each by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve

from schemas.training import TrainingCommand
from stream_app.errors import Incompatible
from stream_app.reference.judging import Answers, compare, draws, metrics
from stream_app.reference.learners import LEARNERS, Fitted, boosting, find, logistic
from stream_app.reference.predictor import Predictor, seed
from stream_app.reference.registry import CARD, FolderRegistry, open_registry
from stream_app.reference.rows import MOST_VALUES, Encoding, RowsOfRange, TrainingRow, labels
from stream_app.reference.trainer import candidate_version
from stream_app.reference.training import Task, Unusable, fit, recorded, scored, threshold, train

MODEL = "churn:acme"


def rows(count: int, version: str = "v1", seed: int = 0, **features: Any) -> list[TrainingRow]:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=count)
    actual = draw.random(count) < 1 / (1 + np.exp(-3 * values))
    return [
        TrainingRow(
            i, f"p{i}", version, 0.5 + 0.4 * float(np.tanh(v)), bool(v > 0), bool(a), {"x": float(v), **features}
        )
        for i, (v, a) in enumerate(zip(values, actual, strict=True))
    ]


def task(learnt: list[TrainingRow], held: list[TrainingRow], **rest: Any) -> Task:
    """To learn from one range, and to be judged beside what v1 served."""
    given: dict[str, Any] = {"champion": None, "champion_version": "v1", "metric": "accuracy"}
    return Task([RowsOfRange("30d", 0, learnt)], held, **(given | rest))


# -- rows and features ---------------------------------------------------------------------------------------------


def test_numbers_booleans_and_texts_become_columns_and_what_is_absent_counts_as_nothing() -> None:
    known = [{"age": 41, "vip": True, "city": "Rome"}, {"age": 1.5, "city": "Oslo"}, {"odd": None, "list": [1]}]
    encoding = Encoding.of(known)
    assert encoding.columns == ("age", "city=Oslo", "city=Rome", "vip")
    assert encoding.matrix([*known, {"age": float("nan"), "city": "Bonn"}]).tolist() == [
        [41, 0, 1, 1], [1.5, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert Encoding(("vip", "age")).matrix([{"age": 3, "vip": "text", "more": 1}]).tolist() == [[0, 3]]
    assert encoding.matrix([]).shape == (0, 4)
    assert Encoding.of([]).columns == ()
    assert Encoding(()).matrix([{}, {"age": 1}]).shape == (2, 0)


def test_a_text_of_many_values_keeps_the_frequent_ones() -> None:
    known = [{"id": f"n{i}"} for i in range(200)] + [{"id": "often"}] * 50
    columns = Encoding.of(known).columns
    assert len(columns) == MOST_VALUES
    assert "id=often" in columns


# -- metrics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", range(20))
def test_metrics_are_scikit_learns(case: int) -> None:
    draw = np.random.default_rng(case)
    actual = (draw.random(200) < draw.uniform(0.05, 0.6)).astype(np.int64)
    actual[:2] = (0, 1)
    scores = np.round(np.clip(draw.normal(0.3 + 0.3 * actual, 0.2), 0, 1), 2)
    said = scores >= 0.5
    found = metrics(Answers(scores, said), actual)
    assert found["accuracy"] == pytest.approx((said == (actual == 1)).mean())
    assert found["f1"] == pytest.approx(f1_score(actual, said, zero_division=0))
    assert found["pr_auc"] == pytest.approx(average_precision_score(actual, scores))
    precision, recall, _ = precision_recall_curve(actual, scores)
    assert found["precision_at_80_recall"] == pytest.approx(precision[recall >= 0.8].max())
    assert metrics(Answers(scores, scores >= 2), actual)["precision"] is None


def test_the_threshold_is_a_half_unless_positives_are_rare() -> None:
    draw = np.random.default_rng(3)
    actual = (np.arange(2_000) % 100 == 0).astype(np.int64)
    scores = np.clip(0.05 + 0.2 * actual + draw.normal(0, 0.02, 2_000), 0, 1)
    cut = threshold(scores, actual)
    assert 0.1 < cut < 0.3
    best = max(f1_score(actual, scores >= c) for c in np.unique(scores))
    assert f1_score(actual, scores >= cut) == pytest.approx(best)
    assert threshold(scores, (np.arange(2_000) % 2).astype(np.int64)) == 0.5


# -- training ------------------------------------------------------------------------------------------------------


def test_without_the_champions_artefact_it_is_what_was_served() -> None:
    holdout = [*rows(80, "v1", seed=1), *rows(40, "other", seed=2)]
    made = train(logistic, task(rows(300), holdout))
    assert (made.training_samples, made.holdout_samples, made.champion_by) == (300, 80, "served")
    assert made.champion_metrics == metrics(recorded(holdout[:80]), labels(holdout[:80]))
    by_artefact = train(logistic, task(rows(300), holdout, champion=made.model))
    assert (by_artefact.holdout_samples, by_artefact.champion_by) == (120, "artefact")
    assert by_artefact.candidate_metrics == by_artefact.champion_metrics
    assert by_artefact.comparison is not None
    assert (by_artefact.comparison.difference, by_artefact.comparison.lower) == (0, 0)
    # a version that made less than half of the rows is judged by what all of them said
    few = train(logistic, task(rows(300), holdout, champion_version="other"))
    assert (few.holdout_samples, few.champion_metrics) == (120, metrics(recorded(holdout), labels(holdout)))


def test_what_was_judged_has_not_seen_the_holdout_and_what_serves_has() -> None:
    learnt, held = rows(300, extra="a"), [r._replace(at_ms=1_000 + r.at_ms) for r in rows(100, seed=1, extra="b")]
    plain, both = (train(logistic, task(learnt, held, refit=refit)) for refit in (False, True))
    assert (plain.refitted_on, both.refitted_on) == (None, 400)
    assert plain[1:7] == both[1:7]
    assert both.model.features == ("extra=a", "extra=b", "x")
    assert plain.model.features == ("extra=a", "x")
    again = fit(logistic, [*learnt, *held])
    assert np.array_equal(scored(again, held), scored(both.model, held))
    assert both.threshold == plain.model.threshold


@pytest.mark.parametrize("metric", ["accuracy", "precision", "recall", "f1", "pr_auc", "precision_at_80_recall"])
def test_drawn_again_a_metric_scatters_around_its_value(metric: str) -> None:
    """Held against drawing rows one by one."""
    found = rows(400, seed=5)
    truth, served = labels(found), recorded(found)
    noisy = Answers(np.clip(served.scores + np.random.default_rng(1).normal(0, 0.2, 400), 0, 1).round(2), served.said)
    mine = draws(metric, [served, noisy], truth, 400)
    plain = []
    draw = np.random.default_rng(9)
    for _ in range(400):
        at = draw.integers(0, 400, 400)
        plain.append([metrics(Answers(j.scores[at], j.said[at]), truth[at])[metric] for j in (served, noisy)])
    for got, want in zip(mine, np.array(plain, dtype=float).T, strict=True):
        assert got.mean() == pytest.approx(want.mean(), abs=0.01)
        assert got.std() == pytest.approx(want.std(), rel=0.2, abs=1e-3)
    assert np.array_equal(mine, draws(metric, [served, noisy], truth, 400))


def test_the_interval_of_a_difference_is_drawn_in_pairs() -> None:
    found = rows(1_000, seed=4)
    truth, served = labels(found), recorded(found)
    # right where the other is right, but for 30 rows
    worse = Answers(served.scores, served.said ^ (np.arange(1_000) < 30) & (served.said == (truth == 1)))
    told = compare("accuracy", served, worse, truth)
    assert told is not None
    assert told.lower is not None
    assert told.upper is not None
    assert told.difference == pytest.approx(told.candidate - told.champion)
    assert 0 < told.lower < told.difference < told.upper < 0.05
    nobody = Answers(served.scores, np.zeros(1_000, dtype=bool))
    assert compare("precision", served, nobody, truth) is None
    rare = Answers(served.scores, np.arange(1_000) == 7)
    drawn = compare("precision", served, rare, truth)
    assert drawn is not None
    assert drawn.lower is not None  # a third of the drawings miss the row and are left out


@pytest.mark.parametrize(
    ("learnt", "held", "said"),
    [
        ([], rows(50), "0 labelled rows, 1 are needed"),
        (rows(50), [], "the hold-out holds no labelled row"),
        ([r._replace(actual=True) for r in rows(50)], rows(50), "all 50 labelled rows have the same outcome"),
        ([r._replace(features={}) for r in rows(50)], rows(50), "no prediction of the training range carries features"),
    ],
)
def test_rows_that_cannot_be_learnt_from_are_named(
    learnt: list[TrainingRow], held: list[TrainingRow], said: str
) -> None:
    with pytest.raises(Unusable, match=said):
        train(logistic, task(learnt, held))


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_learner_finds_what_is_there_and_the_same_twice(name: str) -> None:
    held = rows(200, seed=9)
    first, second = (train(find(name), task(rows(400), held)) for _ in range(2))
    assert (first.candidate_metrics["accuracy"] or 0) > 0.75
    assert np.array_equal(scored(first.model, held), scored(second.model, held))


def test_a_learner_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(Incompatible, match="there are boosting, logistic, river"):
        find("forest")
    with pytest.raises(Incompatible, match="cannot be loaded"):
        find("no_such_module:fit")
    assert find("stream_app.reference.learners:boosting") is boosting


def test_a_candidates_name_follows_from_its_command_and_does_not_grow() -> None:
    order = msgspec.json.decode(
        (Path(__file__).parents[2] / "golden" / "training-command.train.json").read_bytes(), type=TrainingCommand
    )
    first = candidate_version(order)
    assert first == candidate_version(order)
    assert first.startswith("v3-r")
    again = candidate_version(msgspec.structs.replace(order, model_version=first, attempt=2))
    assert len(again) == len(first)
    assert again != first
    assert len(candidate_version(msgspec.structs.replace(order, model_version="x" * 128))) == 128


# -- the registry ----------------------------------------------------------------------------------------------------


def test_a_version_is_stored_once_whole_and_serves_when_it_is_told_to(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    fitted = Fitted(logistic(np.array([[0.0], [1.0]] * 20), np.array([0, 1] * 20)), ["x"])
    stored = registry.put(MODEL, "v1", fitted, {"attempt": 1})
    assert registry.put(MODEL, "v1", fitted, {"attempt": 2}) == stored
    assert stored.uri == "churn@acme/v1/model.joblib"
    assert (registry.card(MODEL, "v1") or {})["attempt"] == 1
    assert registry.active(MODEL) is None
    with pytest.raises(Incompatible, match="no version v2"):
        registry.activate(MODEL, "v2", "o")
    registry.activate(MODEL, "v1", "o")
    assert registry.active(MODEL) == "v1"
    assert {path.name for path in (tmp_path / "churn@acme").iterdir()} == {"v1", "active.json"}
    assert registry.load(MODEL, "v2", None) is registry.card(MODEL, "v2") is None


def test_a_card_says_what_a_version_is_made_of(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    stored = registry.put(MODEL, "v1", Fitted(None, ["x"]), {"learner": "none"})
    card = json.loads((tmp_path / "churn@acme" / "v1" / CARD).read_bytes())
    assert card == {"model": MODEL, "version": "v1", "sha256": stored.sha256, "learner": "none"}


def test_a_predictor_follows_the_pointer_and_says_how_to_make_a_first_version(tmp_path: Path) -> None:
    registry = FolderRegistry(tmp_path)
    with pytest.raises(Incompatible, match="predictor seed"):
        Predictor(registry).predict(MODEL, [{"x": 1.0}])
    known = rows(100)
    actual = np.array([r.actual for r in known], dtype=np.int64)
    seed(registry, MODEL, "v1", logistic, [r.features for r in known], actual)
    predictor = Predictor(registry)
    (before,) = predictor.predict(MODEL, [{"x": 2.0}])
    assert (before.version, before.predicted) == ("v1", True)
    registry.put(MODEL, "v2", Fitted(logistic(-np.array([[r.features["x"]] for r in known]), actual), ["x"]), {})
    registry.activate(MODEL, "v2", "o")
    (after,) = predictor.predict(MODEL, [{"x": 2.0}])
    assert (after.version, after.predicted) == ("v2", False)


def test_the_folder_is_the_registry_where_no_mlflow_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert isinstance(open_registry(tmp_path), FolderRegistry)

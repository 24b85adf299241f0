"""A year's file with features: brought in by ``replay``, trained on by command, equal to scikit-learn on the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, precision_score, recall_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_app.reference.registry import FolderRegistry
from tests.support.kafka_io import Prefix, read, until
from tests.support.reference import Process
from tests.support.relay import plumbline
from tests.support.worker import Worker

MODEL = "churn:acme"
DAYS, PER_DAY = 365, 25
PLANS = ("basic", "family", "business")
FEATURES = ("age", "calls", "plan")


def _table() -> pd.DataFrame:
    """A row for each prediction, the last ones of yesterday: numbers, a word and a whole number as features."""
    draw, rows = np.random.default_rng(365), DAYS * PER_DAY
    first = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    age, calls = draw.integers(18, 80, rows), np.round(draw.gamma(2.0, 3.0, rows), 3)
    plan = draw.choice(PLANS, rows)
    logit = 0.05 * (age - 45) + 0.4 * (calls - 6) + np.select([plan == "basic", plan == "family"], [0.8, -0.9], 0.1)
    left = draw.random(rows) < 1 / (1 + np.exp(-logit))
    made = [first + timedelta(seconds=i * 86_400 / PER_DAY) for i in range(rows)]
    return pd.DataFrame(
        {
            "customer": [f"c-{i}" for i in range(rows)], "made": made,
            "probability": np.round(1 / (1 + np.exp(-0.6 * logit)), 4), "left": np.where(left, "left", "stayed"),
            "seen": [at + timedelta(hours=2) for at in made], "age": age, "calls": calls, "plan": plan,
        }
    )  # fmt: skip


def _fitted(rows: pd.DataFrame) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(
        _columns(rows), rows["left"] == "left"
    )


def _columns(rows: pd.DataFrame) -> np.ndarray:
    words = [(rows["plan"] == plan).to_numpy(float) for plan in PLANS]
    return np.column_stack([rows["age"].to_numpy(float), rows["calls"].to_numpy(float), *words])


def _within(table: pd.DataFrame, span: dict[str, Any]) -> pd.DataFrame:
    made = table["made"]
    return table[(made >= datetime.fromisoformat(span["from"])) & (made < datetime.fromisoformat(span["to"]))]


async def _rows(prefix: Prefix, topic: str) -> list[dict[str, Any]]:
    parts = await read(prefix.bootstrap, topic, prefix.topics.model_partitions)
    return [json.loads(record.value) for part in parts.values() for record in part]


@pytest.fixture
def trainer(prefix: Prefix, tmp_path: Path) -> Iterator[Process]:
    process = Process(
        prefix, tmp_path, "trainer",
        ["trainer", "--registry", str(tmp_path / "registry"), "--learner", "stream_app.reference.learners:logistic"],
    )  # fmt: skip
    yield process
    process.kill()


async def test_a_model_trained_on_a_years_file_is_the_one_that_scikit_learn_fits_on_the_same_table(
    prefix: Prefix, worker: Callable[..., Worker], trainer: Process, tmp_path: Path
) -> None:
    table, path = _table(), tmp_path / "year.csv"
    table.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%S.%fZ")
    sent = await plumbline(
        prefix, "replay", str(path), "--map", "prediction_id=customer", "--map", "predicted_at=made",
        "--map", "score=probability", "--map", "actual=left", "--map", "observed_at=seen", "--positive", "left",
        "--negative", "stayed", "--features", ",".join(FEATURES), "--set", "model_type=churn",
        "--set", "tenant_id=acme", "--set", "model_version=v1", "--tick-every", "close", "--then-live",
    )  # fmt: skip
    assert sent.code == 0, sent.err
    assert f"sent {len(table):,} predictions and {len(table):,} outcomes" in sent.out
    end = table["seen"].max().isoformat()
    running = worker(clock="live", environment="production").start()
    trainer.start()
    asked = await plumbline(prefix, "retrain", MODEL, "--reason", "a year of rows is here")
    assert asked.code == 0, asked.err

    async def answered() -> dict[str, Any] | None:
        assert running.exit_code is None, running.tail()
        assert trainer.exit_code is None, trainer.tail()
        audit = await _rows(prefix, prefix.topics.audit)
        refused = [row for row in audit if row["at"] > end and row["decision"] == "refused"]
        assert not refused, refused
        found = await _rows(prefix, prefix.topics.training_results)
        return next((row for row in found if row["status"] in ("succeeded", "failed")), None)

    try:
        result = await until(answered, 120, "the training to end")
    except AssertionError as error:
        audit = [row for row in await _rows(prefix, prefix.topics.audit) if row["at"] > end]
        raise AssertionError(f"{error}\n{running.ready()}\n{running.tail()}\n{trainer.tail()}\n{audit}") from None
    assert result["status"] == "succeeded", result
    (command,) = [row for row in await _rows(prefix, prefix.topics.training_commands) if row["command"] == "train"]

    # of the ranges that the command names, the trainer says which one the candidate learnt from
    spans = {named["name"]: named for named in command["data"]["ranges"]}
    learnt, held = _within(table, spans[result["range"]]), _within(table, command["data"]["holdout"])
    assert {tried["name"] for tried in result["tried"]} == set(spans)
    assert (result["training_samples"], result["holdout_samples"]) == (len(learnt), len(held))
    assert len(held) >= 100
    # judged as a model that had not seen the hold-out, and then fitted once more on both
    scores, truth = _fitted(learnt).predict_proba(_columns(held))[:, 1], held["left"] == "left"
    figures = {
        "accuracy": accuracy_score(truth, scores >= 0.5), "precision": precision_score(truth, scores >= 0.5),
        "recall": recall_score(truth, scores >= 0.5), "pr_auc": average_precision_score(truth, scores),
    }  # fmt: skip
    assert {name: result["candidate_metrics"][name] for name in figures} == pytest.approx(figures, abs=1e-9)
    registry = FolderRegistry(tmp_path / "registry")
    candidate = registry.load(MODEL, result["candidate_version"], result["artifact_sha256"])
    assert candidate is not None
    assert sorted(candidate.features) == sorted(["age", "calls", *(f"plan={plan}" for plan in PLANS)])
    order = [candidate.features.index(name) for name in ("age", "calls", *(f"plan={plan}" for plan in PLANS))]
    matrix = np.empty((len(table), len(order)))
    matrix[:, order] = _columns(table)
    both = pd.concat([learnt, held])
    assert candidate.scores(matrix) == pytest.approx(_fitted(both).predict_proba(_columns(table))[:, 1], abs=1e-6)
    assert trainer.stop() == 0, trainer.tail()
    assert running.stop() == 0, running.tail()

"""The reference trainer and deployer as processes, on commands that the test writes: repeated, killed, called back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, average_precision_score, precision_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stream_app.reference.learners import logistic
from stream_app.reference.predictor import Predictor, seed
from tests.support.kafka_io import Prefix, until, write
from tests.support.reference import Process, command_of, send_commands
from tests.support.reference_rows import (
    MODEL,
    OTHER,
    ROWS,
    SPLIT,
    START,
    data,
    named_rows,
    records,
    registry_with_v1,
    results,
    said,
    table,
)
from tests.support.scenarios import DAY_MS


async def test_a_trainer_learns_from_exactly_the_rows_a_command_names_and_answers_once(
    prefix: Prefix, tmp_path: Path, made: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(prefix, [(START + DAY_MS, records())])
    features, actual = table()
    registry = registry_with_v1(tmp_path / "registry", 100)
    gate = tmp_path / "gate"
    gate.touch()
    trainer = Process(
        prefix, tmp_path, "trainer",
        ["trainer", "--registry", str(tmp_path / "registry"), "--learner", "tests.support.learners:gated"],
        folder=tmp_path,
    )  # fmt: skip
    made.append(trainer)
    ranges = await data(prefix)
    first = command_of(prefix, MODEL, "train", 1, data=ranges)
    await send_commands(prefix, [first, first, command_of(prefix, MODEL, "activate", 9, candidate="v9")])
    trainer.start()
    await until(lambda: (tmp_path / "waiting").exists(), 60, "the training to begin")
    # killed at work: nothing of it counts, and the next one begins anew
    trainer.kill()
    assert not [row for row in await results(prefix) if row["status"] not in ("accepted", "progress")]
    (tmp_path / "waiting").unlink()
    trainer.start()
    await until(lambda: (tmp_path / "waiting").exists(), 60, "the training to begin again")
    gate.unlink()
    (answer,) = await said(prefix, trainer, 1, "succeeded", "failed")
    assert answer["status"] == "succeeded", answer
    assert answer["artifact_sha256"] == registry.digest(MODEL, answer["candidate_version"])
    assert answer["artifact_uri"] == f"churn@acme/{answer['candidate_version']}/model.joblib"
    assert (answer["training_samples"], answer["holdout_samples"]) == (SPLIT, ROWS - SPLIT)

    # the same by scikit-learn alone, from the same rows
    mine = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(features[:SPLIT], actual[:SPLIT])
    held, truth = features[SPLIT:], actual[SPLIT:]
    scores = mine.predict_proba(held)[:, 1]
    assert answer["candidate_metrics"] == pytest.approx(
        answer["candidate_metrics"]
        | {
            "accuracy": accuracy_score(truth, scores >= 0.5),
            "precision": precision_score(truth, scores >= 0.5),
            "recall": recall_score(truth, scores >= 0.5),
            "pr_auc": average_precision_score(truth, scores),
        }
    )
    champion = registry.load(MODEL, "v1", registry.served(MODEL, "v1"))
    assert champion is not None
    assert answer["champion_metrics"]["accuracy"] == accuracy_score(truth, champion.scores(held) >= 0.5)

    # called back at work: no candidate, no final answer, and the trainer goes on
    gate.touch()
    (tmp_path / "waiting").unlink()
    await send_commands(prefix, [command_of(prefix, MODEL, "train", 2, data=ranges)])
    await until(lambda: (tmp_path / "waiting").exists(), 60, "the second training to begin")
    await send_commands(prefix, [command_of(prefix, MODEL, "cancel", 2)])
    await until(lambda: "called back" in trainer.tail(), 60, "the trainer to hear of it")
    gate.unlink()
    # what cannot be learnt from is said by name; another model's only outcome is yes
    early = await data(prefix, to_ms=START + (SPLIT - 1) * 60_000)
    await send_commands(
        prefix,
        [command_of(prefix, OTHER, "train", 3, data=ranges), command_of(prefix, MODEL, "train", 4, data=early)],
    )
    (failed,) = await said(prefix, trainer, 3, "succeeded", "failed")
    assert "all 80 labelled rows of the hold-out have the same outcome" in failed["error"]
    (empty,) = await said(prefix, trainer, 4, "succeeded", "failed")
    assert "the hold-out holds no labelled row" in empty["error"]
    assert trainer.stop() == 0, trainer.tail()
    finals = [(row["command_id"][-1], row["status"]) for row in await results(prefix) if row["status"] != "accepted"]
    assert sorted(finals) == [("1", "succeeded"), ("3", "failed"), ("4", "failed")]


async def test_a_deployer_switches_once_refuses_what_does_not_fit_and_says_again_what_it_did(
    prefix: Prefix, tmp_path: Path, made: list[Process]
) -> None:
    named, actual = named_rows(), table()[1]
    registry = registry_with_v1(tmp_path / "registry")
    seed(registry, MODEL, "v2", logistic, named, actual)  # one serves already: nothing happens
    assert registry.active(MODEL) == "v1"
    other = registry.load(MODEL, "v1", registry.served(MODEL, "v1"))
    assert other is not None
    stored = registry.put(MODEL, "v2", other, {})
    predictor = Predictor(registry)
    assert predictor.predict(MODEL, named[:1])[0].version == "v1"
    deployer = Process(
        prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", str(tmp_path / "registry")]
    ).start()
    made.append(deployer)
    activate = command_of(prefix, MODEL, "activate", 1, candidate="v2", sha256=stored.sha256)
    await send_commands(prefix, [activate, activate, command_of(prefix, MODEL, "train", 8)])
    await said(prefix, deployer, 1, "activated")
    assert predictor.predict(MODEL, named[:1])[0].version == "v2"
    await send_commands(
        prefix,
        [
            # the first answer was lost: the same order once more
            command_of(prefix, MODEL, "activate", 1, attempt=2, candidate="v2", sha256=stored.sha256),
            command_of(prefix, MODEL, "activate", 2, candidate="v3", current="v1"),
            command_of(prefix, MODEL, "activate", 3, candidate="v3", current="v2"),
            command_of(prefix, MODEL, "rollback", 4, candidate="v1", current="v2"),
        ],
    )
    await said(prefix, deployer, 4, "rolled_back", "failed")
    assert deployer.stop() == 0, deployer.tail()
    finals = [row for row in await results(prefix) if row["status"] != "accepted"]
    assert [(row["command_id"][-1], row["attempt"], row["status"]) for row in finals] == [
        ("1", 1, "activated"), ("1", 2, "activated"), ("2", 1, "failed"), ("3", 1, "failed"), ("4", 1, "rolled_back"),
    ]  # fmt: skip
    assert "v2 is active, the command is for v1" in finals[2]["error"]
    assert "v3 is not in the registry" in finals[3]["error"]
    assert registry.active(MODEL) == "v1"


async def test_a_deployer_wraps_the_version_that_serves_and_goes_back_from_it(
    prefix: Prefix, tmp_path: Path, made: list[Process]
) -> None:
    named = named_rows()
    registry = registry_with_v1(tmp_path / "registry")
    before = [served.score for served in Predictor(registry).predict(MODEL, named)]
    deployer = Process(
        prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", str(tmp_path / "registry")]
    ).start()
    made.append(deployer)
    by = {"a": 0.5, "b": -1.0, "threshold": 0.4,
          "expected": {"metric": "accuracy", "gain": 0.1, "lower": 0.05, "upper": 0.15}}  # fmt: skip
    repair = command_of(prefix, MODEL, "recalibrate", 1, candidate="v1-c0a1b2c3d", recalibration=by)
    await send_commands(
        prefix,
        [
            repair,
            repair,
            command_of(prefix, MODEL, "recalibrate", 1, attempt=2, candidate="v1-c0a1b2c3d", recalibration=by),
            command_of(prefix, MODEL, "recalibrate", 2, candidate="v1-c9", current="v1", recalibration=by),
        ],
    )
    await said(prefix, deployer, 2, "failed")
    answers = Predictor(registry).predict(MODEL, named)
    logit = np.log(before) - np.log1p(-np.asarray(before))
    after = 1 / (1 + np.exp(-(0.5 * logit - 1.0)))
    assert {answer.version for answer in answers} == {"v1-c0a1b2c3d"}
    # what was served before was rounded to six digits
    assert [answer.score for answer in answers] == pytest.approx(after, abs=1e-3)
    card = registry.card(MODEL, "v1-c0a1b2c3d")
    assert card is not None
    assert (card["parent"], card["a"], card["b"], card["threshold"]) == ("v1", 0.5, -1.0, 0.4)
    back = command_of(prefix, MODEL, "rollback", 3, candidate="v1", current="v1-c0a1b2c3d")
    await send_commands(prefix, [back])
    await said(prefix, deployer, 3, "rolled_back", "failed")
    assert deployer.stop() == 0, deployer.tail()
    finals = [row for row in await results(prefix) if row["status"] != "accepted"]
    assert [(row["command_id"][-1], row["attempt"], row["status"]) for row in finals] == [
        ("1", 1, "activated"), ("1", 2, "activated"), ("2", 1, "failed"), ("3", 1, "rolled_back"),
    ]  # fmt: skip
    assert "v1-c0a1b2c3d is active, the command is for v1" in finals[2]["error"]
    assert [served.score for served in Predictor(registry).predict(MODEL, named)] == before

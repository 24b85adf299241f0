"""The reference deployer repairs: what it serves, what its card says, and which bytes it wraps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiokafka import TopicPartition

from schemas.training import ExpectedGain, Recalibration, TrainingCommand
from stream_app.core.comparisons.platt import recalibrated
from stream_app.errors import Incompatible
from stream_app.reference.artefacts import ARTEFACT
from stream_app.reference.commands import ReceivedCommand
from stream_app.reference.learners import LEARNERS, Fitted, logistic, repaired
from stream_app.reference.predictor import Deployer, Predictor, seed
from stream_app.reference.registry import FolderRegistry
from stream_app.settings import Settings

MODEL, WRAPPED = "churn:acme", "v1-c0a1b2c3d"


class Killed(BaseException):
    """The process is gone; nobody catches it."""


BY = Recalibration(1.5, -2.25, 0.375, ExpectedGain("accuracy", 0.1, 0.05, 0.15))


def table() -> tuple[np.ndarray, np.ndarray, list[dict[str, float]]]:
    draw = np.random.default_rng(1)
    matrix = draw.normal(size=(300, 1))
    actual = (draw.random(300) < 1 / (1 + np.exp(-3 * matrix[:, 0]))).astype(np.int64)
    return matrix, actual, [{"x": float(x)} for x in matrix[:, 0]]


def received(**changed: Any) -> ReceivedCommand:
    id = "00000000-0000-4000-8000-000000000001"
    fields: dict[str, Any] = {
        "schema": "io.plumbline.training-command.v1", "id": id, "at": "2026-03-02T04:00:00.000Z", "model": MODEL,
        "model_type": "churn", "tenant_id": "acme", "command": "recalibrate", "command_id": id, "attempt": 1,
        "model_version": "v1", "expected_current_version": "v1", "candidate_version": WRAPPED, "recalibration": BY,
        "reply_topic": "ml.training-results", "reply_partition": 0,
    }  # fmt: skip
    return ReceivedCommand(TrainingCommand(**fields | changed), TopicPartition("c", 0), 0)


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    found = FolderRegistry(tmp_path)
    _, actual, features = table()
    seed(found, MODEL, "v1", logistic, features, actual)
    return found


def deploy(registry: FolderRegistry, command: ReceivedCommand, trust: bool = False) -> str | None:
    return Deployer(Settings(registry_trust=trust), registry)._switch(command)


def test_what_serves_is_the_version_wrapped(registry: FolderRegistry) -> None:
    features = table()[2]
    before = np.array([one.score for one in Predictor(registry).predict(MODEL, features)])
    assert deploy(registry, received()) is None
    answers = Predictor(registry).predict(MODEL, features)
    after = 1 / (1 + np.exp(-(1.5 * np.log(before / (1 - before)) - 2.25)))
    assert {one.version for one in answers} == {WRAPPED}
    assert [one.score for one in answers] == pytest.approx(after, abs=1e-5)
    assert [one.predicted for one in answers] == [bool(one.score >= 0.375) for one in answers]
    card = registry.card(MODEL, WRAPPED)
    assert card is not None
    assert {name: card[name] for name in ("parent", "a", "b", "threshold")} == {
        "parent": "v1", "a": 1.5, "b": -2.25, "threshold": 0.375,
    }  # fmt: skip
    assert card["expected"] == msgspec.to_builtins(BY.expected)


def test_a_repeated_repair_changes_nothing_and_one_can_go_back(registry: FolderRegistry) -> None:
    assert deploy(registry, received()) is None
    digest = registry.served(MODEL, WRAPPED)
    assert deploy(registry, received(attempt=2)) is None
    assert registry.served(MODEL, WRAPPED) == digest
    back = {"command": "rollback", "candidate_version": "v1", "expected_current_version": WRAPPED}
    assert deploy(registry, received(**back, recalibration=msgspec.UNSET)) is None
    assert registry.active(MODEL) == "v1"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"recalibration": msgspec.UNSET}, "no numbers"),
        ({"candidate_version": msgspec.UNSET}, "no version"),
        ({"expected_current_version": "v0"}, "v1 is active"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(registry: FolderRegistry, changed: dict[str, Any], why: str) -> None:
    assert why in (deploy(registry, received(**changed)) or "")
    assert registry.active(MODEL) == "v1"


def test_only_bytes_that_served_are_wrapped(registry: FolderRegistry, tmp_path: Path) -> None:
    path = tmp_path / "churn@acme" / "v1" / ARTEFACT
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(Incompatible, match="SHA-256"):
        deploy(registry, received())
    assert registry.active(MODEL) == "v1"


@pytest.mark.parametrize("before", [True, False], ids=["before it", "after it"])
@pytest.mark.parametrize("step", range(5))
def test_a_deployer_that_is_killed_at_any_write_has_repaired_after_the_next_attempt(
    registry: FolderRegistry, monkeypatch: pytest.MonkeyPatch, step: int, before: bool
) -> None:
    """Files written and renamed, one after the other: killed at each, what served serves on, or the repair does."""
    made = 0

    def killed_at(real: Any) -> Any:
        def call(path: Path, *args: Any) -> Any:
            nonlocal made
            made += 1
            if made == step + 1 and before:
                raise Killed
            done = real(path, *args)
            if made == step + 1:
                raise Killed
            return done

        return call

    with monkeypatch.context() as patch:
        for name in ("write_bytes", "rename", "replace"):
            patch.setattr(Path, name, killed_at(getattr(Path, name)))
        with pytest.raises(Killed):
            deploy(registry, received())
    features = table()[2]
    assert registry.active(MODEL) in ("v1", WRAPPED)
    assert len({one.version for one in Predictor(registry).predict(MODEL, features)}) == 1, "something serves"
    assert deploy(registry, received(attempt=2)) is None
    assert registry.active(MODEL) == WRAPPED
    assert {one.version for one in Predictor(registry).predict(MODEL, features)} == {WRAPPED}
    card = registry.card(MODEL, WRAPPED)
    assert card is not None
    assert (card["parent"], card["a"]) == ("v1", 1.5)


@pytest.mark.parametrize("learner", sorted(LEARNERS))
def test_any_learner_s_model_is_wrapped_and_scores_of_0_and_1_stay_scores(learner: str) -> None:
    matrix, actual, _ = table()
    found = repaired(Fitted(LEARNERS[learner](matrix, actual), ("x",)), BY)
    far = found.scores(np.array([[-1e6], [1e6], *matrix]))
    assert ((far >= 0) & (far <= 1)).all()
    assert far[0] < far[1]
    plain = Fitted(LEARNERS[learner](matrix, actual), ("x",)).scores(matrix)
    assert found.scores(matrix) == pytest.approx(recalibrated(plain, BY.a, BY.b), abs=1e-12), "as metrics judged it"
    assert found.threshold == 0.375

"""The reference trainer's registry on a real MLflow server."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from stream_app.core.comparisons.platt import recalibrated
from stream_app.errors import Incompatible
from stream_app.reference.artefacts import ARTEFACT
from stream_app.reference.learners import Fitted, logistic
from stream_app.reference.mlflow_registry import MlflowRegistry
from stream_app.reference.predictor import Deployer, Predictor, seed
from stream_app.reference.registry import open_registry
from stream_app.services.ports import free_ports
from stream_app.settings import Settings
from tests.support.kafka_io import Prefix, until
from tests.support.reference import Process, Runs, command_of, send_commands
from tests.support.reference_rows import results, said, table
from tests.unit.reference.test_repairs import BY, WRAPPED, received

MODEL = "churn:acme"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free_ports(1)[0]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
                "--backend-store-uri", f"sqlite:///{folder / 'db'}", "--artifacts-destination", str(folder / "files"),
                "--serve-artifacts",
            ],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    yield url
    os.killpg(process.pid, 9)
    process.wait()


async def _up(url: str) -> None:
    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    await until(answers, 90, "MLflow to answer")


async def test_versions_aliases_and_artefacts_live_in_mlflow_and_a_rollback_moves_the_alias_back(
    prefix: Prefix, tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _up(server)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    registry, client = open_registry(tmp_path), MlflowClient(server)
    assert isinstance(registry, MlflowRegistry)
    features, actual = table()
    named = [dict(zip("abc", row, strict=True)) for row in features.tolist()]
    assert registry.active(MODEL) is None
    seed(registry, MODEL, "v1", logistic, named, actual)
    assert registry.active(MODEL) == "v1"
    card = {"command_id": "c", "attempt": 1, "candidate_metrics": {"accuracy": 0.8, "precision": None}}
    other = Fitted(logistic(-features, actual), "abc")
    stored = registry.put(MODEL, "v2", other, card)
    assert registry.put(MODEL, "v2", other, card) == stored
    assert registry.digest(MODEL, "v2") == stored.sha256
    name = "plumbline.churn.at.acme"
    assert [v.tags["plumbline.version"] for v in client.search_model_versions(f"name = '{name}'")] == ["v2", "v1"]
    challenger = client.get_model_version_by_alias(name, "challenger")
    assert challenger.tags["plumbline.version"] == "v2"
    assert client.get_run(challenger.run_id).data.metrics == {"candidate.accuracy": 0.8}
    loaded = registry.load(MODEL, "v2", stored.sha256)
    assert loaded is not None
    assert np.array_equal(loaded.scores(features), other.scores(features))
    assert (registry.card(MODEL, "v2") or {})["version"] == "v2"
    assert registry.load(MODEL, "v9", None) is registry.card(MODEL, "v9") is None
    with pytest.raises(Incompatible, match="no version v9"):
        registry.activate(MODEL, "v9", "x")

    # the deployer as a process, by MLFLOW_TRACKING_URI alone
    env = {"MLFLOW_TRACKING_URI": server}
    deployer = Process(prefix, tmp_path, "deployer", ["predictor", "deploy"], env=env).start()
    try:
        await send_commands(prefix, [command_of(prefix, MODEL, "activate", 1, candidate="v2", sha256=stored.sha256)])
        await said(prefix, deployer, 1, "activated")
        assert client.get_model_version_by_alias(name, "champion").tags["plumbline.version"] == "v2"
        assert Predictor(registry).predict(MODEL, named[:1])[0].version == "v2"
        await send_commands(prefix, [command_of(prefix, MODEL, "rollback", 2, candidate="v1", current="v2")])
        await said(prefix, deployer, 2, "rolled_back")
        assert client.get_model_version_by_alias(name, "champion").tags["plumbline.version"] == "v1"

        # strangers register under our names: what the log names serves, and nothing of theirs is ever run
        trace = tmp_path / "trace"
        for version, content in (("v2", pickle.dumps(Runs(trace))), ("v3", pickle.dumps(Runs(trace))), ("v4", None)):
            _register(client, version, content, tmp_path)
        assert registry.load(MODEL, "v4", None) is registry.digest(MODEL, "v4") is None
        await send_commands(
            prefix,
            [
                command_of(prefix, MODEL, "activate", 3, candidate="v2", sha256=stored.sha256),
                command_of(prefix, MODEL, "activate", 4, candidate="v3", current="v2"),
                command_of(prefix, MODEL, "activate", 5, candidate="v3", current="v2", sha256=stored.sha256),
                command_of(prefix, MODEL, "activate", 6, candidate="v4", current="v2", sha256=stored.sha256),
            ],
        )
        await said(prefix, deployer, 6, "failed")
        finals = {row["command_id"][-1]: row for row in await results(prefix) if row["status"] != "accepted"}
        assert finals["3"]["status"] == "activated"
        assert "v3 of churn:acme was registered by somebody else" in finals["4"]["error"]
        assert f"and {stored.sha256} was expected" in finals["5"]["error"]
        assert "version v4 is not in the registry" in finals["6"]["error"]
        assert client.get_model_version_by_alias(name, "champion").version == challenger.version
        assert np.array_equal(
            [answer.score for answer in Predictor(registry).predict(MODEL, named[:9])],
            np.round(other.scores(features[:9]), 6),
        )
        assert not trace.exists()
        assert deployer.stop() == 0, deployer.tail()
    finally:
        deployer.kill()


async def test_a_repair_is_a_run_with_its_parent_and_both_numbers(server: str) -> None:
    await _up(server)
    registry, client, model = MlflowRegistry(server), MlflowClient(server), "churn:repaired"
    features, actual = table()
    named = [dict(zip("abc", row, strict=True)) for row in features.tolist()]
    seed(registry, model, "v1", logistic, named, actual)
    before = np.array([served.score for served in Predictor(registry).predict(model, named)])
    deployer = Deployer(Settings(), registry)
    for attempt in (1, 2):  # a second attempt, as after a kill, finds the work done
        assert deployer._switch(received(model=model, tenant_id="repaired", attempt=attempt)) is None
    (found,) = [
        version
        for version in client.search_model_versions("name = 'plumbline.churn.at.repaired'")
        if version.tags["plumbline.version"] == WRAPPED
    ]
    run = client.get_run(found.run_id).data
    assert {name: run.params[name] for name in ("parent", "a", "b", "threshold")} == {
        "parent": "v1", "a": "1.5", "b": "-2.25", "threshold": "0.375",
    }  # fmt: skip
    assert run.tags["plumbline.parent"] == "v1"
    assert client.get_model_version_by_alias("plumbline.churn.at.repaired", "champion").version == found.version
    after = np.array([served.score for served in Predictor(registry).predict(model, named)])
    assert after == pytest.approx(recalibrated(before, BY.a, BY.b), abs=1e-5)


def _register(client: MlflowClient, version: str, content: bytes | None, folder: Path) -> None:
    """A version with our tags, as whoever may write to MLflow makes one; with an artefact if there is any content."""
    run = client.create_run("0").info
    if content is not None:
        (folder / ARTEFACT).write_bytes(content)
        client.log_artifact(run.run_id, str(folder / ARTEFACT))
    tags = {"plumbline.version": version, "plumbline.model": MODEL}
    client.create_model_version("plumbline.churn.at.acme", run.artifact_uri, run_id=run.run_id, tags=tags)

"""The reference trainer's registry on a real MLflow server."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from stream_app.errors import Incompatible
from stream_app.reference.learners import Fitted, logistic
from stream_app.reference.mlflow_registry import MlflowRegistry
from stream_app.reference.predictor import Predictor, seed
from stream_app.reference.registry import open_registry
from stream_app.services.ports import free_ports
from tests.integration.test_reference import said, table
from tests.support.kafka_io import Prefix, until
from tests.support.reference import Process, order_of, send_orders

LINE = "churn:acme"


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
    assert registry.active(LINE) is None
    seed(registry, LINE, "v1", logistic, named, actual)
    assert registry.active(LINE) == "v1"
    card = {"command_id": "c", "attempt": 1, "candidate_metrics": {"accuracy": 0.8, "precision": None}}
    other = Fitted(logistic(-features, actual), "abc")
    stored = registry.put(LINE, "v2", other, card)
    assert registry.put(LINE, "v2", other, card) == stored
    assert registry.digest(LINE, "v2") == stored.sha256
    name = "plumbline.churn.at.acme"
    assert [v.tags["plumbline.version"] for v in client.search_model_versions(f"name = '{name}'")] == ["v2", "v1"]
    challenger = client.get_model_version_by_alias(name, "challenger")
    assert challenger.tags["plumbline.version"] == "v2"
    assert client.get_run(challenger.run_id).data.metrics == {"candidate.accuracy": 0.8}
    loaded = registry.load(LINE, "v2", stored.sha256)
    assert loaded is not None
    assert np.array_equal(loaded.scores(features), other.scores(features))
    assert (registry.card(LINE, "v2") or {})["version"] == "v2"
    assert registry.load(LINE, "v9", None) is registry.card(LINE, "v9") is None
    with pytest.raises(Incompatible, match="no version v9"):
        registry.activate(LINE, "v9", "x")

    # the deployer as a process, by MLFLOW_TRACKING_URI alone
    env = {"MLFLOW_TRACKING_URI": server}
    deployer = Process(prefix, tmp_path, "deployer", ["predictor", "deploy"], env=env).start()
    try:
        await send_orders(prefix, [order_of(prefix, LINE, "activate", 1, candidate="v2", sha256=stored.sha256)])
        await said(prefix, deployer, 1, "activated")
        assert client.get_model_version_by_alias(name, "champion").tags["plumbline.version"] == "v2"
        assert Predictor(registry).predict(LINE, named[:1])[0].version == "v2"
        await send_orders(prefix, [order_of(prefix, LINE, "rollback", 2, candidate="v1", current="v2")])
        await said(prefix, deployer, 2, "rolled_back")
        assert client.get_model_version_by_alias(name, "champion").tags["plumbline.version"] == "v1"
        assert deployer.stop() == 0, deployer.tail()
    finally:
        deployer.kill()

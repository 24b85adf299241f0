"""The examples for Airflow and Argo: what they do with a command, on the real broker."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from stream_app.core.retrain.publish import COMMAND_HEADER
from tests.integration.test_reference_poison import answers, poison
from tests.support.kafka_io import Prefix, read, until
from tests.support.reference import command_of, send_commands

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MODEL = "churn:acme"


@pytest.fixture
def dag(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("PLUMBLINE_KAFKA_BOOTSTRAP", prefix.bootstrap)
    monkeypatch.setenv("PLUMBLINE_INPUT_PREFIX", prefix.topics.input_prefix)
    monkeypatch.setenv("PLUMBLINE_OUTPUT_PREFIX", prefix.topics.output_prefix)
    spec = importlib.util.spec_from_file_location("airflow_retrain_dag", EXAMPLES / "airflow_retrain_dag.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def _results(prefix: Prefix) -> list[tuple[str, int, str]]:
    parts = await read(prefix.bootstrap, prefix.topics.training_results, prefix.topics.model_partitions)
    rows = [json.loads(record.value) for part in parts.values() for record in part]
    return [(row["command_id"][-1], row["attempt"], row["status"]) for row in rows]


async def test_the_dags_functions_accept_train_and_answer_each_attempt_once(prefix: Prefix, dag: ModuleType) -> None:
    def good(order: dict[str, Any]) -> dict[str, Any]:
        return {"candidate_version": f"v-{order['attempt']}", "candidate_metrics": {}, "champion_metrics": {}}

    def bad(order: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no rows")

    first, second = command_of(prefix, MODEL, "train", 1), command_of(prefix, MODEL, "train", 2)
    await send_commands(prefix, [first, command_of(prefix, MODEL, "activate", 3, candidate="v2"), second])
    orders: list[dict[str, Any]] = []

    async def both() -> bool:
        orders.extend(await dag.take_commands(wait_ms=2_000))
        return len(orders) >= 2

    await until(both, 60, "the commands")
    assert [order["command_id"] for order in orders] == [first["command_id"], second["command_id"]]
    await dag.train_and_answer(orders[0], good)
    await dag.train_and_answer(orders[0], good)  # Airflow's retry of a task that had finished
    with pytest.raises(ValueError, match="no rows"):
        await dag.train_and_answer(orders[1], bad)
    assert sorted(await _results(prefix)) == [
        ("1", 1, "accepted"), ("1", 1, "succeeded"), ("2", 1, "accepted"), ("2", 1, "failed"),
    ]  # fmt: skip
    # what is answered is not taken again, even by a group that has forgotten everything
    vars(dag).update(GROUP="another")
    async with asyncio.timeout(30):
        assert await dag.take_commands(wait_ms=2_000) == []


async def test_no_bytes_in_front_of_a_command_end_the_dag(prefix: Prefix, dag: ModuleType) -> None:
    await poison(prefix, ("train", "cancel"))
    wanted = command_of(prefix, MODEL, "train", 1)
    await send_commands(prefix, [wanted])
    orders: list[dict[str, Any]] = []

    async def there() -> bool:
        orders.extend(await dag.take_commands(wait_ms=2_000))
        return wanted["command_id"] in [order["command_id"] for order in orders]

    await until(there, 60, "the command")
    for order in orders:
        await dag.train_and_answer(order, lambda order: {"candidate_version": "v2"})
    assert (await answers(prefix))[1]["status"] == "succeeded"


def test_the_sensor_submits_a_workflow_with_the_command_for_train_alone() -> None:
    source, sensor = yaml.safe_load_all((EXAMPLES / "argo-retrain.yaml").read_text())
    assert (source["kind"], sensor["kind"]) == ("EventSource", "Sensor")
    (name, event), *others = source["spec"]["kafka"].items()
    assert not others
    assert event["topic"] == "ml.training-commands"
    assert event["consumerGroup"]["groupName"]
    (dependency,) = sensor["spec"]["dependencies"]
    assert (dependency["eventSourceName"], dependency["eventName"]) == (source["metadata"]["name"], name)
    (wanted,) = dependency["filters"]["data"]
    assert (wanted["path"], wanted["value"]) == ("body.command", ["train"])
    (trigger,) = sensor["spec"]["triggers"]
    workflow = trigger["template"]["argoWorkflow"]["source"]["resource"]["spec"]
    assert workflow["arguments"]["parameters"][0]["name"] == "command"
    (given,) = trigger["template"]["argoWorkflow"]["parameters"]
    assert given["src"] == {"dependencyName": dependency["name"], "dataKey": "body"}
    (template,) = [t for t in workflow["templates"] if t["name"] == workflow["entrypoint"]]
    assert template["container"]["args"] == ["{{inputs.parameters.command}}"]


def test_the_header_that_documents_name_is_the_coordinators() -> None:
    document = (EXAMPLES.parent / "write-a-trainer.md").read_text()
    assert f"`{COMMAND_HEADER}`" in document

"""Records that stopped a relay for good: each is a dead-lettered record now, and its neighbours are relayed."""

from __future__ import annotations

import json

import pytest

from tests.support.kafka_io import Prefix
from tests.support.relay import Out, make_topic, plumbline, produce, records_of

AT = "2026-03-02T00:00:00Z"


def _capture(data: str, name: str) -> bytes:
    output = {"endpointOutput": {"data": data, "encoding": "CSV"}}
    return json.dumps({"captureData": output, "eventMetadata": {"eventId": name, "inferenceTime": AT}}).encode()


def _row(request: object, name: str) -> bytes:
    return json.dumps(
        {"databricks_request_id": name, "timestamp_ms": 1_772_409_600_000, "request_metadata": {"model_name": "churn"},
         "request": json.dumps(request), "response": '{"predictions": [0.5]}'}
    ).encode()  # fmt: skip


def _many(count: int, name: str) -> bytes:
    body = {"captureData": {"endpointOutput": {"data": f"[{','.join('1' * count)}]", "encoding": "JSON"}}}
    return json.dumps({**body, "eventMetadata": {"eventId": name, "inferenceTime": AT}}).encode()


SOURCES = {
    "sagemaker-capture": [
        _capture("0.5", "a"), _capture("1" * 5_000, "b"), _capture('"' + "x" * 300_000 + '"', "c"),
        _many(400_000, "d"), _many(30_000, "e"), _many(30_000, "f"), _capture("0.25", "g"),
    ],
    "databricks-inference-table": [
        _row({"inputs": [[1]]}, "a"), _row({"dataframe_split": {"columns": 5, "data": [[1]]}}, "b"),
        _row({"dataframe_split": {"columns": ["x"], "data": [7]}}, "c"), _row({"inputs": {"x": 1}}, "g"),
    ],
}  # fmt: skip
MADE = {"sagemaker-capture": 60_002, "databricks-inference-table": 2}
DEAD = {"sagemaker-capture": 3, "databricks-inference-table": 2}


@pytest.mark.parametrize("name", SOURCES)
async def test_a_hostile_record_is_dead_lettered_and_its_neighbours_are_relayed(prefix: Prefix, name: str) -> None:
    source = await make_topic(prefix, name)
    await produce(prefix, source, [Out(value, b"k") for value in SOURCES[name]])
    needed = ["--set", "model_type=churn"] if name == "sagemaker-capture" else []
    done = await plumbline(prefix, "relay", source, "--map", name, *needed, "--until-end", "--json")
    assert done.code == 0, done.err
    made = await records_of(prefix, prefix.topics.predictions, 3)
    ids = [json.loads(record.value)["prediction_id"] for record in made]
    assert len(ids) == len(set(ids)) == MADE[name]
    assert {"a", "g"} <= set(ids)
    assert len(await records_of(prefix, prefix.topics.dead_letters, 2)) == DEAD[name]

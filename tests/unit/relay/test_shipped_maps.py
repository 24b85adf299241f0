"""Every shipped map against records written after its source's own documents (`tests/golden/relay`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream_app.cli.relay import relay
from stream_app.ingest.relay.maps import shipped, text_of, title_of

GOLDEN = Path(__file__).parents[2] / "golden" / "relay"
NEEDED = {"sagemaker-capture": ["--set", "model_type=churn"], "mlflow-inference-table": ["--set", "class=leave"]}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()]


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_map_makes_of_its_sources_records_what_is_written_down(name: str) -> None:
    sample, wanted = GOLDEN / f"{name}.jsonl", lines(GOLDEN / f"{name}.expected.jsonl")
    arguments = ["--map", name, *NEEDED.get(name, []), "--check", "--sample", str(sample), "--json"]
    done = CliRunner().invoke(relay, arguments, catch_exceptions=False)
    assert [json.loads(text) for text in done.output.splitlines()] == wanted
    assert any(row.get("made") for row in wanted)
    assert done.exit_code == (1 if any("error" in row for row in wanted) else 0)


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_map_says_what_it_is_for_and_can_be_printed(name: str) -> None:
    assert 10 < len(title_of(name)) < 70
    assert CliRunner().invoke(relay, ["--print-map", name], catch_exceptions=False).output == text_of(name)
    assert f"{title_of(name)}\n" in CliRunner().invoke(relay, ["--list-maps"], catch_exceptions=False).output


def test_binary_and_structured_mode_of_one_event_give_the_same_record(tmp_path: Path) -> None:
    kind = "org.kubeflow.serving.inference.response"
    body = {"predictions": [0.25]}
    attributes = {"specversion": "1.0", "id": "e", "type": kind, "time": "2026-03-02T02:00:00Z"}
    attributes["inferenceservicename"] = "churn"
    binary = {"headers": {f"ce_{key}": text for key, text in attributes.items()}, "value": body}
    envelope = {"headers": {"content-type": "application/cloudevents+json"}, "value": {**attributes, "data": body}}
    bare = {"value": {**attributes, "data": body}}
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (binary, envelope, bare)))
    done = CliRunner().invoke(
        relay, ["--map", "kserve-v1", "--check", "--sample", str(path), "--json"], catch_exceptions=False
    )
    made = [json.loads(text)["made"] for text in done.output.splitlines()]
    assert made[0]
    assert made == [made[0]] * 3


def _inference_table(scores: list[float]) -> list[dict[str, Any]]:
    """A request of two rows and its response, as either inference table has them."""
    request = {"dataframe_split": {"columns": ["age"], "data": [[34], [51]]}}
    row = {
        "request_metadata": {"model_name": "churn"},
        "model_name": "churn",
        "timestamp_ms": 1_772_442_942_123,
        "request_id": "r",
        "databricks_request_id": "r",
    }
    return [{"value": row | {"request": json.dumps(request), "response": json.dumps({"predictions": scores})}}]


def _events(kind: str, asked: dict[str, Any], answered: dict[str, Any]) -> list[dict[str, Any]]:
    """Events of a request of two rows and of its response."""
    attributes = {
        "ce_specversion": "1.0", "ce_id": "r", "ce_requestid": "r", "ce_modelid": "churn",
        "ce_inferenceservicename": "churn", "ce_time": "2026-03-02T09:15:42Z",
    }  # fmt: skip
    return [
        {"topic": "events", "timestamp": 1_772_442_942_000, "headers": attributes | {"ce_type": f"{kind}.{name}"},
         "value": value}
        for name, value in (("request", asked), ("response", answered))
    ]  # fmt: skip


def _tensors(kind: str, scores: list[float]) -> list[dict[str, Any]]:
    made = {"name": "p", "shape": [len(scores), 1], "datatype": "FP64", "data": scores}
    asked = {"name": "age", "shape": [2, 1], "datatype": "INT64", "data": [34, 51]}
    return _events(kind, {"inputs": [asked]}, {"outputs": [made]})


COUNTED = {
    "databricks-inference-table": _inference_table,
    "mlflow-inference-table": _inference_table,
    "kserve-v1": lambda scores: _events(
        "org.kubeflow.serving.inference", {"instances": ["a", "b"]}, {"predictions": scores}
    ),
    "kserve-v2": lambda scores: _tensors("org.kubeflow.serving.inference", scores),
    "seldon-v2": lambda scores: _tensors("io.seldon.serving.inference", scores),
}


@pytest.mark.parametrize("results", [1, 2, 3])
@pytest.mark.parametrize("name", COUNTED)
def test_results_are_as_many_as_the_rows_that_were_asked_about(name: str, results: int, tmp_path: Path) -> None:
    path = tmp_path / "sample.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in COUNTED[name]([0.25, 0.5, 0.75][:results])))
    done = CliRunner().invoke(relay, ["--map", name, "--check", "--sample", str(path), "--json"])
    rows = [json.loads(text) for text in done.output.splitlines()]
    made = [one for row in rows for one in row.get("made", ())]
    said = [row["error"] for row in rows if "error" in row]
    if results == 2:
        assert (len(made), said) == (2, [])
    else:
        assert not made
        assert said[0].endswith(f"{results} results for 2 rows of the request")

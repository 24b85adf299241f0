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

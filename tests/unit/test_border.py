"""Commands and results are decoded once, where they arrive; no stage decodes the bytes of a published record."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from stream_app.core.metrics_stage import border
from stream_app.core.metrics_stage.border import read_command, read_result
from tests.architecture.test_files import ROOT
from tests.unit.test_changes import SCENARIO, order, run


class Counting:
    """A decoder that counts."""

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        self.seen: list[bytes] = []

    def decode(self, value: bytes) -> Any:
        self.seen.append(value)
        return self.decoder.decode(value)


def test_a_set_command_is_decoded_once_on_its_way_through_every_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = {}
    for name in ("_commands", "_partial_commands", "_results", "_partial_results"):
        decoders[name] = Counting(getattr(border, name))
        monkeypatch.setattr(border, name, decoders[name])
    value = order({"drop_points": 8.5}, SCENARIO.model)
    sim = run({3: [value]}, last=5)
    hashes = {sim.stages[name].settings.hash_of(SCENARIO.model) for name in ("metrics", "drift", "retrain", "alerts")}
    other = {sim.stages[name].settings.hash_of("other:global") for name in ("metrics", "drift", "retrain", "alerts")}
    assert len(hashes) == len(other) == 1
    assert hashes != other, "every stage behind the border has the setting"
    assert decoders.pop("_commands").seen == [value]
    assert not any(decoder.seen for decoder in decoders.values())


def test_nothing_else_in_core_reads_json() -> None:
    readers = []
    for path in sorted((ROOT / "stream_app" / "core").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            reads = isinstance(node, ast.Attribute) and (
                (node.attr == "Decoder" and getattr(node.value, "attr", "") == "json")
                or (node.attr in ("loads", "decode") and getattr(node.value, "id", "") in ("json", "orjson"))
            )
            if reads:
                readers.append(str(path.relative_to(ROOT)))
    allowed = {"stream_app/core/metrics_stage/border.py"} | {
        str(path.relative_to(ROOT)) for path in (ROOT / "stream_app" / "core" / "labels").glob("*.py")
    }
    assert "stream_app/core/metrics_stage/border.py" in readers
    assert set(readers) <= allowed


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"command": "fly"}, "unreadable"),
        ({"command": "retrain", "actor": ""}, "unreadable"),
        ({"command": "approve", "arguments": {"command_id": 7}}, "unreadable"),
        ({"command": "acknowledge", "arguments": {"alert_id": 7}}, "unusable"),
        ({"command": "set", "arguments": {}}, "unusable"),
        ({"command": "set", "arguments": {"key": "drop_points", "value": 10**30}}, "unusable"),
        ({"command": "set", "arguments": {"key": "drop_points", "value": 5, "more": 1}}, "unusable"),
        ({"command": "retrain"}, None),
    ],
)
def test_what_is_wrong_with_a_command_says_who_speaks_of_it(record: dict[str, Any], why: str | None) -> None:
    whole = {"id": "c1", "model": "fraud:acme", "actor": "ada", "reason": "because"} | record
    entry = read_command(json.dumps(whole).encode())
    assert entry.model == "fraud:acme"
    said = [name for name in ("unreadable", "unusable") if getattr(entry, name) is not None]
    assert said == ([why] if why is not None else [])


@pytest.mark.parametrize(
    "record",
    [
        {"model": "fraud:acme", "command": "retrain"}, {"id": "c", "model": "fraud", "command": "retrain"},
        {"id": "c", "model": "*", "command": "register"},
        {"id": "c", "model": "*", "command": "retrain", "arguments": {"model_version": "a b"}},
    ],
)  # fmt: skip
def test_a_command_of_which_nobody_can_be_told_is_refused(record: dict[str, Any]) -> None:
    for extra in ({}, {"actor": "ada", "reason": "because"}):
        with pytest.raises(ValueError, match=r"`|register needs|is no version"):
            read_command(json.dumps(record | extra).encode())


def test_a_result_that_is_none_otherwise_still_says_who_serves() -> None:
    record = {"model": "fraud:acme", "command_id": "x", "status": "activated", "candidate_version": "v2", "attempt": 0}
    entry = read_result(json.dumps(record).encode())
    assert (entry.serves, entry.status) == ("v2", None)
    assert entry.unreadable is not None
    assert entry.id

"""A command has 64 KiB at most: what is larger is refused where it is made, split where it can be, and never stored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas import bounds, deadletters
from schemas.clock import TickView
from stream_app.commands.announce import split
from stream_app.commands.send import new_command, oversized
from stream_app.core import model_log
from stream_app.core.metrics_stage import MetricsStage
from stream_app.core.metrics_stage.border import read_command, read_result
from stream_app.engine.lane_driver import Row
from stream_app.errors import Incompatible
from tests.laws.stage_driver import config
from tests.support.sizes import batch_bytes

START = 1_728_000_000_000
TICK = TickView(START, True, None, {}, 0)


def _stage() -> MetricsStage:
    return MetricsStage(config(1), 0)


def _command(size: int, **more: Any) -> bytes:
    record = {"id": "c1", "model": "churn:global", "command": "acknowledge", "actor": "eve", "reason": "r", **more}
    empty = len(json.dumps({**record, "arguments": {"note": ""}}).encode())
    return json.dumps({**record, "arguments": {"note": "x" * (size - empty)}}).encode()


def _result(size: int) -> bytes:
    record = {"model": "churn:global", "command_id": "x", "attempt": 1, "status": "failed", "error": ""}
    return json.dumps({**record, "error": "T" * (size - len(json.dumps(record).encode()))}).encode()


@pytest.mark.parametrize("alias", ["operator-commands", "training-results"])
@pytest.mark.parametrize("size", [bounds.COMMAND + 1, 1_048_300, 1_200_000, 4_000_000])
@pytest.mark.parametrize("where", ["value", "key", "headers"])
def test_a_larger_one_is_dead_lettered_before_it_is_stored(alias: str, size: int, where: str) -> None:
    stage = _stage()
    small = _command(300) if alias == "operator-commands" else _result(300)
    value = (_command(size) if alias == "operator-commands" else _result(size)) if where == "value" else small
    key = b"k" * size if where == "key" else b"churn:global"
    headers = [("h", b"x" * size)] if where == "headers" else []
    rows = [Row(alias, 0, 0, 0, key, value, headers), Row(alias, 0, 1, 0, b"churn:global", small, [])]
    assert stage.accept(alias, rows, TICK) == 2
    drained = stage.drain()
    entry = read_command(small) if alias == "operator-commands" else read_result(small)
    assert list(drained.puts.values()) == [model_log.encode(entry)], (
        "the good one beside it is stored, and nothing else"
    )
    (letter,) = drained.emits
    assert deadletters.added(letter.headers)[deadletters.REASON] == "oversized"
    assert deadletters.TRUNCATED in deadletters.added(letter.headers)
    assert batch_bytes((letter.key, letter.value, letter.headers)) < 100_000


@pytest.mark.parametrize("alias", ["operator-commands", "training-results"])
def test_one_at_the_bound_is_taken(alias: str) -> None:
    stage = _stage()
    size = bounds.COMMAND - len(b"churn:global") - len("h") - 3
    value = _command(size) if alias == "operator-commands" else _result(size)
    stage.accept(alias, [Row(alias, 0, 0, 0, b"churn:global", value, [("h", b"123")])], TICK)
    drained = stage.drain()
    entry = read_command(value) if alias == "operator-commands" else read_result(value)
    assert list(drained.puts.values()) == [model_log.encode(entry)]
    assert drained.emits == []


def test_a_file_of_any_length_is_announced_in_commands_below_the_bound() -> None:
    values: dict[str, Any] = {f"types.type{i:04d}.{key}": i for i in range(3_000) for key in ("baseline_start_days",)}
    values |= {f"types.type{i:04d}.baseline_end_days": i for i in range(3_000)}
    values |= {"drop_points": 5.5, "monitoring": True}
    parts = split("*", values, "as file, environment and profile say (production)")
    assert len(parts) > 2
    assert all(oversized(part) is None for part in parts)
    said: dict[str, Any] = {}
    for part in parts:
        found = read_command(json.dumps(part._asdict()).encode()).values or {}
        assert not said.keys() & found.keys()
        said |= found
    assert said == values
    owners = [{key.rpartition(".")[0] for key in part.arguments["values"]} for part in parts]
    assert sum(map(len, owners)) == len(set().union(*owners)), "what belongs to a type is said together"


def test_a_setting_that_no_command_holds_is_refused_by_name() -> None:
    tenants = [f"tenant-{i:05d}" for i in range(8_000)]
    with pytest.raises(Incompatible, match=r"auto_retrain_tenants of \* is too long"):
        split("*", {"drop_points": 5.5, "auto_retrain_tenants": tenants}, "r")


def test_what_a_person_commands_beyond_it_is_refused_with_a_sentence() -> None:
    made = new_command("churn:global", "set", {"values": {"x": "y" * 70_000}}, "ops", "tuning")
    text = oversized(made)
    assert text is not None
    assert "at most 65536 are taken" in text

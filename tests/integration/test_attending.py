"""What people do about alerts, by command on a real broker: seen on ml.alerts, on the audit and as outcomes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from schemas.common import rfc3339
from stream_app.cli import cli
from tests.integration.test_drift import steps
from tests.integration.test_operators import plumbline  # noqa: F401 - a fixture
from tests.support import scenarios
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, read, write, write_commands
from tests.support.scenarios import HOUR_MS
from tests.support.worker import Worker


async def _rows(prefix: Prefix, topic: str) -> list[dict[str, Any]]:
    parts = await read(prefix.bootstrap, topic, prefix.topics.model_partitions)
    return [json.loads(record.value) for partition in sorted(parts) for record in parts[partition]]


async def test_mute_verdict_and_note_stand_on_the_alert_and_on_the_audit(
    prefix: Prefix, worker: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = steps([scenarios.step(25, 30, 36, 300)])
    await write(prefix, script)
    running = worker(max_checkpoint_events="12000").start()
    await finished(prefix, script[-1][0], [running], bound_s=240)
    assert running.stop() == 0, running.tail()
    alert = (await _rows(prefix, prefix.topics.alerts))[-1]
    assert alert["status"] != "resolved"
    for key, value in running.env.items():
        if key.startswith("PLUMBLINE_"):
            monkeypatch.setenv(key, value)

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--actor", "ada", "--reason", "why"])

    at = script[-1][0] + HOUR_MS
    until = rfc3339(at + 20 * HOUR_MS)
    for arguments in (
        ("mute", alert["model"].partition(":")[0], "--until", until),
        ("verdict", alert["id"][:13], "real", "--note", "outcomes say so"),
        ("note", alert["id"][:13], "looking at it"),
        ("unmute", "fraud:nobody"),
    ):
        done = await asyncio.to_thread(call, *arguments)
        assert done.exit_code == 0, done.output
        assert "commanded: " in done.stdout
        assert "no tick comes by itself" in done.stderr
    orders = await read(prefix.bootstrap, prefix.topics.operator_commands, prefix.topics.model_partitions)
    await write_commands(prefix, at, {p: rows[-1].offset + 1 for p, rows in orders.items() if rows})
    running.start()
    await finished(prefix, at, [running])
    assert running.stop() == 0, running.tail()

    last = [row for row in await _rows(prefix, prefix.topics.alerts) if row["id"] == alert["id"]][-1]
    assert last["muted_until"] == until
    assert "notify" not in last
    assert (last["verdict"]["verdict"], last["verdict"]["actor"]) == ("real", "ada")
    assert [note["note"] for note in last["notes"]] == ["looking at it"]
    said = {
        (row["action"], row["decision"]) for row in await _rows(prefix, prefix.topics.audit) if row["actor"] == "ada"
    }
    assert said == {("mute", "applied"), ("verdict", "applied"), ("note", "applied"), ("unmute", "refused")}
    outcomes = await _rows(prefix, prefix.topics.command_outcomes)
    assert sum(row["command"] == "mute" for row in outcomes) == prefix.topics.model_partitions
    assert {row["command"]: row["state"] for row in outcomes} == {
        "mute": "done", "verdict": "done", "note": "done", "unmute": "refused",
    }  # fmt: skip
    listed = await asyncio.to_thread(lambda: CliRunner().invoke(cli, ["precision", "-o", "json"]))
    assert [json.loads(text)["real"] for text in listed.stdout.splitlines()] == [1] * len(last["raised_by"])


async def test_a_command_can_wait_for_what_becomes_of_it(
    prefix: Prefix,
    worker: Callable[..., Worker],
    plumbline: Callable[..., Result],  # noqa: F811
) -> None:
    ordered = ("--actor", "ada", "--reason", "why", "--wait", "--timeout")
    # nobody makes time: said before it is sent, and there is no answer
    alone = await asyncio.to_thread(plumbline, "mute", "fraud", "--for", "1h", *ordered, "0.5")
    assert alone.exit_code == 3, alone.output
    assert alone.stderr.index("no tick stands on this prefix") < alone.stderr.index("no answer within")
    running = worker(clock="live").start()
    for arguments, code, said in (
        (("mute", "fraud", "--for", "2h"), 0, "alerts: type fraud: muted everything"),
        (("unmute", "churn:a"), 1, "alerts: not_muted"),
        (("retrain", "churn:a"), 1, "retrain: "),
        (("set", "drop_points=6"), 0, "retrain: drop_points = 6"),
        (("models", "register", "churn:a", "v1"), 0, "metrics: v1 is active"),
    ):
        done = await asyncio.to_thread(plumbline, *arguments, *ordered, "60")
        assert done.exit_code == code, (arguments, done.output)
        assert said in done.stdout
    assert running.stop() == 0, running.tail()

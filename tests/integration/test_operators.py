"""Commands of people and of the settings file, by command, on a live worker."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stream_app.cli import cli
from tests.support.kafka_io import Prefix, read, until
from tests.support.worker import Worker


@pytest.fixture
def plumbline(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call a command with this test's prefix and no other settings."""
    for key in [key for key in os.environ if key.startswith("PLUMBLINE_")]:
        monkeypatch.delenv(key)
    for key, value in {
        "PLUMBLINE_KAFKA_BOOTSTRAP": prefix.bootstrap,
        "PLUMBLINE_INPUT_PREFIX": prefix.topics.input_prefix,
        "PLUMBLINE_OUTPUT_PREFIX": prefix.topics.output_prefix,
        "PLUMBLINE_INPUT_PARTITIONS": str(prefix.topics.input_partitions),
        "PLUMBLINE_MODEL_PARTITIONS": str(prefix.topics.model_partitions),
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(key, value)
    return lambda *arguments: CliRunner().invoke(cli, list(arguments))


async def test_the_file_and_people_change_settings_and_the_later_one_wins(
    prefix: Prefix, worker: Callable[..., Worker], plumbline: Callable[..., Result]
) -> None:
    running = worker(clock="live", environment="production", recent_days="6", auto_retrain_types='{"churn": true}')

    async def shown() -> list[tuple[str, str, Any, str]]:
        parts = await read(prefix.bootstrap, prefix.topics.settings, prefix.topics.model_partitions)
        rows = [json.loads(record.value) for p in sorted(parts) for record in parts[p]]
        return sorted((row["at"], row["key"], row["value"], row["actor"]) for row in rows)

    async def told(*wanted: tuple[str, Any, str]) -> None:
        """What was published so far, once each."""

        async def all_there() -> bool:
            assert running.exit_code is None, running.tail()
            return len(await shown()) >= len(wanted)

        await until(all_there, 60, "the settings")
        assert [(key, value, actor) for _, key, value, actor in await shown()] == list(wanted)

    first = [("auto_retrain_types", {"churn": True}, "settings-file"), ("recent_days", 6, "settings-file")]
    running.start()
    await told(*first)

    done = await asyncio.to_thread(plumbline, "set", "recent_days=5", "--actor", "ada", "--reason", "a shorter week")
    assert done.exit_code == 0, done.output
    assert "takes effect with the next tick" in done.stdout
    await told(*first, ("recent_days", 5, "ada"))
    # what the file says has not changed since it was announced, so nothing is announced: the later one holds
    assert running.stop() == 0
    running.start()
    model = "fraud:acme"
    done = await asyncio.to_thread(
        plumbline, "set", "drop_points=6", "--model", model, "--actor", "ada", "--reason", "noisy"
    )
    assert done.exit_code == 0, done.output
    await told(*first, ("recent_days", 5, "ada"), ("drop_points", 6, "ada"))
    assert running.stop() == 0
    running.start(recent_days="4")
    await told(*first, ("recent_days", 5, "ada"), ("drop_points", 6, "ada"), ("recent_days", 4, "settings-file"))

    for arguments, said in (
        (("set", "recent_day=5", "--reason", "x"), "did you mean recent_days?"),
        (("set", "input_partitions=5", "--reason", "x"), "fixed for the life of the input prefix"),
        (("set", "drop_points", "--reason", "x"), "is not KEY=VALUE"),
        (("set", "auto_retrain=true", "--model", model, "--reason", "x"), "unknown setting"),
        (("retrain", "*", "--reason", "x"), "retrain needs one model"),
        (("rollback", model), "--reason"),
        (("rollback", model, "--to", "a b", "--reason", "x"), "letters, digits"),
    ):
        refused = await asyncio.to_thread(plumbline, *arguments)
        assert refused.exit_code != 0
        assert said in refused.output
    for command in ("retrain", "rollback", "approve", "reject", "reset-circuit"):
        done = await asyncio.to_thread(plumbline, command, model, "--actor", "ada", "--reason", "a try")
        assert done.exit_code == 0, done.output

    async def audited() -> list[dict[str, Any]]:
        done = await asyncio.to_thread(plumbline, "audit", "--model", model, "--json")
        assert done.exit_code == 0, done.output
        return [json.loads(text) for text in done.stdout.splitlines()]

    await until(lambda: _enough(audited, 6), 60, "the answers to all commands")
    answers = {(row["action"], row["decision"]): row for row in await audited()}
    assert set(answers) == {
        ("set", "applied"), ("retrain", "refused"), ("rollback", "refused"), ("approve", "refused"),
        ("reject", "refused"), ("reset_circuit", "refused"),
    }  # fmt: skip
    assert all(row["actor"] == "ada" for row in answers.values())
    assert "no_previous_version" in answers["rollback", "refused"]["reason"]
    assert "drop_points = 6" in answers["set", "applied"]["reason"]
    listed = await asyncio.to_thread(plumbline, "audit", "--decision", "refused", "--last", "2")
    assert "the newest 2 of 5" in listed.stderr
    one = await asyncio.to_thread(plumbline, "audit", answers["retrain", "refused"]["id"][:13])
    assert "coverage: no mature day is known yet" in one.stdout
    assert running.stop() == 0, running.tail()


async def _enough(audited: Callable[[], Any], count: int) -> bool:
    return len(await audited()) >= count


async def test_what_the_running_system_holds_stands_beside_what_is_said_here(
    prefix: Prefix, worker: Callable[..., Worker], plumbline: Callable[..., Result]
) -> None:
    async def said(*arguments: str) -> str:
        done = await asyncio.to_thread(plumbline, "settings", *arguments)
        assert done.exit_code == 0, done.output
        return done.output

    def held(text: str) -> str:
        return next(row for row in text.splitlines() if row.startswith("in the running system: "))

    never = f"not known, no worker has run yet on the output prefix {prefix.topics.output_prefix}"
    assert held(await said("explain", "drop_points")).endswith(never)
    assert json.loads(await said("show", "--json"))["running"]["state"] == "never"

    running = worker(clock="live", environment="production", drop_points="4", future_tolerance_s="60").start()
    change = ("set", "drop_points=3", "--model", "churn:acme", "--actor", "ada", "--reason", "strict")
    done = await asyncio.to_thread(plumbline, *change)
    assert done.exit_code == 0, done.output

    async def all_there() -> bool:
        assert running.exit_code is None, running.tail()
        parts = await read(prefix.bootstrap, prefix.topics.settings, prefix.topics.model_partitions)
        return sum(map(len, parts.values())) >= 2

    await until(all_there, 60, "the settings")
    runs = f"; a worker of {running.env['PLUMBLINE_APP_ID']} runs"
    of_all = await said("explain", "drop_points")
    of_model = await said("explain", "drop_points", "--model", "churn:acme")
    assert "drop_points = 5.0   (default)\n" in of_all
    assert "models.churn:acme.drop_points = 5.0\n" in of_model
    assert held(of_all).startswith("in the running system: 4.0   (settings-file, ")
    assert held(of_model).startswith("in the running system: 3.0   (ada, ")
    assert held(of_model).endswith(f"UTC: strict){runs}")
    assert held(await said("explain", "types.churn.drop_points")).startswith("in the running system: 4.0   (settings-")
    assert held(await said("explain", "drop_high_points")) == f"in the running system: 10.0{runs}"
    assert held(await said("explain", "future_tolerance_s")) == f"in the running system: 60.0{runs}"
    assert held(await said("explain", "web_port")) == "in the running system: each process has its own"
    told = json.loads(await said("show", "--json"))["running"]
    assert [(row["owner"], row["key"], row["here"], row["holds"]) for row in told["differs"]] == [
        ("*", "drop_points", 5.0, 4.0),
        ("*", "future_tolerance_s", "300.0", "60.0"),
        ("churn:acme", "drop_points", 5.0, 3.0),
    ]
    assert "churn:acme drop_points holds 3.0, here 5.0   (ada, " in await said("show")

    running.kill()

    async def gone() -> bool:
        return "runs now; this is what it held at last" in held(await said("explain", "drop_points"))

    await until(gone, 60, "the group to notice")
    assert held(await said("explain", "drop_points", "--model", "churn:acme")).startswith("in the running system: 3.0")

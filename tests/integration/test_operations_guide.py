"""Every command of the operator guide is called for real; those that run until told to stop are started elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from tests.support.generate import history
from tests.support.kafka_io import Prefix, write
from tests.support.live import newest, publish, published
from tests.unit.test_operations_documents import commands

ROOT = Path(__file__).parents[2]

#: Commands that this file does not call → where they are.
ELSEWHERE = {
    "worker": "tests/support/worker.py",
    "web": "tests/support/live.py",
    "bridge": "tests/integration/test_bridge.py",
    "relay": "tests/integration/test_relay.py",
    "trainer": "tests/integration/test_reference.py",
    "predictor": "tests/integration/test_closed_loop.py",
    "services": "tests/integration/test_services.py",
    "explain": "tests/integration/test_drift.py",
}
MODEL = "churn:step-25-300-on"
FILES = {
    "labels.csv": "prediction_id,actual,observed_at\np-1,1,2026-03-02T10:00:00Z\n",
    "scored.csv": (
        "prediction_id,model_type,model_version,predicted_at,score,actual,observed_at\n"
        "p-1,churn,v1,2026-03-02T10:00:00Z,0.7,1,2026-03-02T11:00:00Z\n"
    ),
    "history.ndjson": json.dumps(
        {
            "prediction_id": "p-1", "model_type": "churn", "model_version": "v1", "score": 0.7,
            "predicted_at": "2026-03-02T10:00:00Z",
        }
    ),
}  # fmt: skip


def called(command: str) -> list[str] | None:
    """Its words with something in place of what stands for something; ``None`` if it is only named in a sentence."""
    alert = next(id for id, row in newest("alerts", lambda r: r["id"]).items() if row["status"] != "resolved")
    stands_for = {"MODEL": MODEL, "churn:global": MODEL, "ID": alert, "KEY=VALUE": "drop_points=6"}
    words = [stands_for.get(word, word) for word in shlex.split(command)[1:]]
    current: click.Command = cli
    depth = 0
    while isinstance(current, click.Group) and depth < len(words):
        found = current.get_command(click.Context(current), words[depth])
        assert found is not None, command
        current, depth = found, depth + 1
    if isinstance(current, click.Group):
        return None
    arguments = [p for p in current.params if isinstance(p, click.Argument) and p.required]
    if arguments and depth == len(words):
        return None
    needs_reason = any(p.name == "reason" and p.required for p in current.params)
    return words + (["--reason", "a drill"] if needs_reason and "--reason" not in words else [])


def test_those_that_run_elsewhere_do() -> None:
    for command, path in ELSEWHERE.items():
        assert f'"{command}"' in (ROOT / path).read_text(), (command, path)


async def test_every_other_command_does_what_the_guide_says(
    prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish(prefix, published())
    await write(prefix, history(seed=97, days=1, per_day=10, with_poison=False), ticks=False)
    for key in [key for key in os.environ if key.startswith("PLUMBLINE_")]:
        monkeypatch.delenv(key)
    settings = prefix.settings(redis_url="")
    for name in (
        "kafka_bootstrap",
        "input_prefix",
        "output_prefix",
        "input_partitions",
        "model_partitions",
        "redis_url",
    ):
        monkeypatch.setenv(f"PLUMBLINE_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setenv("PLUMBLINE_APP_ID", f"{prefix.topics.input_prefix}app")
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    run = [words for command in sorted({c for _, c in commands()}) if (words := called(command)) is not None]
    run = [words for words in run if words[0] not in ELSEWHERE]
    run.sort(key=lambda words: words[0] == "backfill")  # hands the clock over to live time: last
    assert len(run) > 45
    for words in run:
        done = await asyncio.to_thread(CliRunner().invoke, cli, words)
        allowed = {0, 1, 2} if words[0] == "doctor" else {0}  # it says what it found: here no worker runs
        assert done.exit_code in allowed, (words, done.output, done.exception)
        assert done.exception is None or isinstance(done.exception, SystemExit), (words, done.exception)

"""Whoever follows the Quickstart sees what it prints: every command is run, and all of its output compared."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from schemas.common import rfc3339
from stream_app.settings import children
from tests.support.console import Shown, shown
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, read, until
from tests.support.worker import Worker

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "quickstart.md"
#: Where the replay of the page ends: 04:00 after the day of the last record.
LAST_TICK_MS = 1_772_856_000_000


def _environment(prefix: Prefix, folder: Path) -> dict[str, str]:
    """A shell in which `plumbline` and `python` are those of this environment."""
    programs = folder / "bin"
    programs.mkdir()
    for name, rest in (("plumbline", "-m stream_app "), ("python", "")):
        program = programs / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {rest}"$@"\n')
        program.chmod(0o755)
    known = children.fresh_environment(kafka_bootstrap=prefix.bootstrap, redis_url="", **prefix.topics.as_settings())
    # the page shows what a pipe gets; whoever runs tests in several processes gives them a width of a terminal
    known.pop("COLUMNS", None)
    return known | {"PATH": f"{programs}:{os.environ['PATH']}", "PLUMBLINE_APP_ID": prefix.topics.app_id}


async def _run(item: Shown, folder: Path, env: dict[str, str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "bash", "-o", "pipefail", "-c", item.command, cwd=folder, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, f"{item.command}\n{err.decode()}"
    return out.decode()


async def _alerted(prefix: Prefix) -> bool:
    parts = await read(prefix.bootstrap, prefix.topics.alerts, prefix.topics.model_partitions)
    return any(json.loads(record.value)["at"] == rfc3339(LAST_TICK_MS) for part in parts.values() for record in part)


async def test_every_command_of_the_quickstart_prints_what_stands_below_it(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "docs").symlink_to(ROOT / "docs")
    env, items = _environment(prefix, tmp_path), shown(DOCUMENT)
    assert [item.command.split()[:2] for item in items[:3]] == [
        ["python", "docs/examples/make_scored.py"], ["plumbline", "try"], ["plumbline", "replay"],
    ]  # fmt: skip
    assert len(items) >= 7
    running = worker(environment="production").start()
    for item in items:
        assert await _run(item, folder, env) == item.printed, item.command
        if item.command.startswith("plumbline replay"):
            await finished(prefix, LAST_TICK_MS, [running], 300)
            await until(lambda: _alerted(prefix), 60, "the last revision of the alert")
    assert (folder / "plumbline-report.html").exists()
    assert running.stop() == 0, running.tail()

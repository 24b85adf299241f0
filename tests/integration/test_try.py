"""`plumbline try` and the way over a broker publish the same bytes."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from stream_app.ingest.inputs import Inputs, of_files, survey
from stream_app.ingest.mapping import Mapping
from stream_app.settings import Settings, children
from stream_app.trial.run import Trial, in_memory
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, read, until
from tests.support.relay import plumbline
from tests.support.scored_file import ScoredFile
from tests.support.worker import Worker

#: Everything that says what was found; the audit also says up to which offsets it stands on.
TOPICS = ("drift-events", "alerts", "metric-snapshots", "model-lifecycle", "training-jobs")
#: What a first look may cost.
MOST_CPU_S, MOST_MB = 25.0, 500.0


def _in_memory(path: Path, saved: Path, settings: Settings) -> Trial:
    content = tomllib.loads(saved.read_text())
    mapping = Mapping(content["map"], content["set"], positive=tuple(content["positive"]))
    inputs = Inputs(of_files([path], "both"), mapping)
    return in_memory(settings, inputs, survey(inputs), "close")


async def _published(prefix: Prefix, name: str) -> list[bytes]:
    """A topic's records, of one model: they stand in one partition."""
    parts = await read(prefix.bootstrap, f"{prefix.topics.output_prefix}{name}", 2)
    found = [record.value for part in parts.values() for record in part]
    if name == "metric-snapshots":  # those of a day so far come by the clock on the wall
        found = [value for value in found if orjson.loads(value)["state"] == "closed"]
    return found


async def _same(file: ScoredFile, prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path) -> str:
    """Both ways, compared; returns what `try` printed."""
    path, saved = file.write(tmp_path / "scored.csv"), tmp_path / "map.toml"
    running = worker(environment="production").start()
    env = running.env | {"PLUMBLINE_KAFKA_BOOTSTRAP": "127.0.0.1:9"}  # it needs none
    command = ["try", str(path), "--yes", "--save", str(saved), "--report", str(tmp_path / "report.html")]
    tried = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "stream_app", *command], env=env, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert tried.returncode == 0, tried.stderr
    replayed = ["replay", str(path), "--mapping", str(saved), "--tick-every", "close"]
    sent = await plumbline(prefix, *replayed)
    assert sent.code == 0, sent.err
    settings = prefix.settings()
    trial = await asyncio.to_thread(_in_memory, path, saved, settings)
    await finished(prefix, trial.last_tick_ms, [running])
    for name in TOPICS:
        wanted = trial.published.get(name, [])

        async def all_of_it(name: str = name, wanted: list[bytes] = wanted) -> bool:
            return len(await _published(prefix, name)) >= len(wanted)

        await until(all_of_it, 60, f"all of {name}")
        assert await _published(prefix, name) == wanted, name
    assert trial.published["drift-events"]
    assert trial.published["alerts"]
    assert running.stop() == 0, running.tail()
    return tried.stdout


async def test_try_publishes_byte_for_byte_what_a_replay_over_a_broker_does(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    said = await _same(ScoredFile(rows=3_000, days=40, change=18, lost=32), prefix, worker, tmp_path)
    assert "took over from 2026.01" in said


@pytest.mark.long
async def test_try_of_63344_rows_is_the_same_too_and_stays_within_what_a_first_look_may_cost(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    file = ScoredFile(rows=63_344, days=150, change=90, lost=120)
    path = file.write(tmp_path / "alone.csv")
    program = (
        "import resource, sys; from stream_app.cli import cli; cli.main(sys.argv[1:], standalone_mode=False); "
        "used = resource.getrusage(resource.RUSAGE_SELF); "
        "print('used', used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", program, "try", str(path), "--yes", "--report", str(tmp_path / "r.html")]
    done = await asyncio.to_thread(
        subprocess.run, command, env=children.fresh_environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    used = re.search(r"used (\S+) (\S+)", done.stdout)
    assert used is not None
    print(f"{file.rows:,} rows: {float(used[1]):.1f} s CPU, {float(used[2]):.0f} MB")
    assert float(used[1]) <= MOST_CPU_S
    assert float(used[2]) <= MOST_MB
    said = await _same(file, prefix, worker, tmp_path)
    assert file.date(file.lost + 1)[:7] in said

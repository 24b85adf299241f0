"""Settings of many single models, from the file to the stages' tables, on a worker that is stopped and killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from stream_app.cli import cli
from stream_app.engine.protocol import POSITIONS_KEY
from tests.support.kafka_io import Prefix, end_offsets, read, until
from tests.support.steps import measured, steps
from tests.support.worker import Worker


def file_of(models: int, folder: Path) -> str:
    """A settings file that says something of so many models, as long as names come."""
    path = folder / "plumbline.toml"
    path.write_text("".join(f'[models."churn:{n:08d}{"y" * 100}"]\ndrop_points = 5.5\n' for n in range(models)))
    return str(path)


def longest_step(file: Path) -> tuple[float, float]:
    """Seconds of the longest step of any lane so far, of its thread and on the wall; forgets what it has seen."""
    found = [step for step in steps(file) if step.task.startswith("lane ")]
    file.unlink(missing_ok=True)
    return max((s.own_ms for s in found), default=0) / 1e3, max((s.wall_ms for s in found), default=0) / 1e3


def cpu_s(pid: int) -> float:
    """Seconds that a process has computed."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


async def many(prefix: Prefix, worker: Callable[..., Worker], folder: Path, models: int, bound_s: float) -> None:
    """Announce, stop and kill and open again, change one thing more: nobody waits long, and nothing is lost."""
    topics = prefix.topics
    running = worker(clock="live", environment="production", config=file_of(models, folder))
    long_steps = folder / "steps"
    running.env |= measured(long_steps)
    running.start()
    await until(lambda: '"ready":true' in running.ready(), 120 + bound_s, "the worker to be ready")

    async def shown() -> int:
        parts = await read(prefix.bootstrap, topics.settings, topics.model_partitions)
        return len({record.key for part in parts.values() for record in part})

    async def told(wanted: int) -> None:
        async def there() -> bool:
            assert running.exit_code is None, running.tail()
            ends = await end_offsets(prefix.bootstrap, topics.settings, topics.model_partitions)
            return sum(ends.values()) >= wanted and await shown() >= wanted

        await until(there, bound_s, f"{wanted} settings")

    await told(models)
    each_ms = 1e3 * cpu_s(running.pid) / models
    spent = {"announced": longest_step(long_steps)}
    for how in ("stopped", "killed"):
        if how == "stopped":
            assert running.stop() == 0
        else:
            running.kill()
        running.start()
        await until(lambda: '"ready":true' in running.ready(), 120, "the worker to be ready again")
        spent[how] = longest_step(long_steps)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.env.items():
            patch.setenv(name, value)
        patch.delenv("PLUMBLINE_CONFIG")
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["set", "recent_days=5", "--reason", "a shorter week"])
    assert done.exit_code == 0, done.output
    await told(models + 1)

    async def audited() -> list[dict[str, object]]:
        parts = await read(prefix.bootstrap, topics.audit, topics.model_partitions)
        rows = [json.loads(record.value) for part in parts.values() for record in part]
        return [row for row in rows if row["action"] == "set" and row["decision"] == "applied"]

    async def all_audited() -> bool:
        return len(await audited()) >= models + 1

    await until(all_audited, bound_s, "the audit of every setting")
    assert len({row["id"] for row in await audited()}) == models + 1, "each once"
    print(f"{models:,} models: {each_ms:.2f} ms of the worker's time for each setting, all stages and its start")
    print(f"longest step of a lane, seconds of its thread and on the wall: {spent}")
    # the wall's own clock counts what everybody else on the machine does meanwhile
    assert max(own for own, _ in spent.values()) < 1, spent
    for stage in ("metrics", "drift", "retrain", "alerts"):
        name = topics.changelog(stage)
        parts = await read(prefix.bootstrap, name, topics.model_partitions)
        sizes = [len(r.value) for part in parts.values() for r in part if r.key == POSITIONS_KEY]
        assert max(sizes) < 2_000, (stage, max(sizes))


async def test_a_file_of_many_models_is_announced_and_a_worker_opens_at_once_with_all_of_them(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    await many(prefix, worker, tmp_path, 3_000, 120)


@pytest.mark.long
async def test_a_file_of_100_000_models_is_announced_and_a_worker_opens_at_once_with_all_of_them(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    await many(prefix, worker, tmp_path, 100_000, 1_500)

"""The README's ten lines of Python, live time, and the worker's own views."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from schemas.partitioning import partition_for
from stream_app.kafka import clients
from tests.support.kafka_io import Prefix, read, until
from tests.support.metrics import sample
from tests.support.worker import Worker

README = Path(__file__).parents[2] / "README.md"


def _program(prefix: Prefix) -> str:
    """The code under the heading, pointed at this test's broker and topics."""
    text = README.read_text()
    code = re.search(r"<!-- first-prediction.*?```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    assert len([text for text in code[1].splitlines() if text.strip()]) == 10
    return code[1].replace("127.0.0.1:19092", prefix.bootstrap).replace('"ml.', f'"{prefix.topics.input_prefix}')


async def test_a_first_prediction_becomes_a_snapshot_in_live_time(
    prefix: Prefix, worker: Callable[..., Worker]
) -> None:
    running = worker(clock="live").start()
    topics = prefix.topics

    async def ticked() -> bool:
        assert running.exit_code is None, running.tail()
        return any((await read(prefix.bootstrap, topics.model_clock, 2)).values())

    await until(ticked, 60, "the first live tick")
    done = await asyncio.create_subprocess_exec(sys.executable, "-c", _program(prefix), stderr=asyncio.subprocess.PIPE)
    assert await done.wait() == 0, (await done.stderr.read()).decode() if done.stderr else ""
    await _register(prefix)  # a second in which a command came ends an epoch; otherwise the minute does

    async def snapshot() -> list[dict[str, object]]:
        assert running.exit_code is None, running.tail()
        found = await read(prefix.bootstrap, topics.metric_snapshots, 2)
        rows = [json.loads(r.value) for part in found.values() for r in part]
        return [row for row in rows if row["outcomes"] == 1]

    (row, *_) = await until(snapshot, 90, "the open snapshot")
    assert (row["model"], row["state"], row["revision"], row["accuracy"]) == ("churn:global", "open", 0, 1.0)
    states = await read(prefix.bootstrap, topics.model_lifecycle, 2)
    versions = {json.loads(r.value)["model"]: json.loads(r.value)["active_version"] for p in states.values() for r in p}
    assert versions == {"churn:global": "v1", "other:global": "v7"}
    _views(running)
    assert running.stop() == 0, running.tail()


async def _register(prefix: Prefix) -> None:
    command = {
        "id": "c-1", "model": "other:global", "command": "register", "arguments": {"model_version": "v7"},
        "actor": "test", "reason": "test",
    }  # fmt: skip
    partition = partition_for(b"other:global", 2)
    async with clients.producer(prefix.bootstrap, {}) as producer:
        await producer.send_and_wait(prefix.topics.operator_commands, json.dumps(command).encode(), partition=partition)


def _views(running: Worker) -> None:
    def get(path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{running.env['PLUMBLINE_WEB_PORT']}{path}", timeout=5) as a:
                return a.status, a.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    assert json.loads(get("/livez")[1]) == {"alive": True}
    assert json.loads(get("/readyz")[1])["ready"] is True
    assert json.loads(get("/models/churn:global")[1])["model"] == "churn:global"
    assert get("/models/none:at-all")[0] == 404
    text = get("/metrics")[1]
    assert sample(text, "plumbline_dispositions", stage="labels") > 0
    assert sample(text, "plumbline_events_total") > 0
    for closed in ("/table/", "/router/", "/graph/", "/stats/"):
        assert get(closed)[0] == 404

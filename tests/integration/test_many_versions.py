"""A model with thousands of versions: a build number in place of a version. Views page, and nobody holds a loop."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.generate import DAY, HOUR, START, Row, Step
from tests.support.judge import finished
from tests.support.kafka_io import Prefix, until, write
from tests.support.live import RedisServer, Web
from tests.support.steps import Step as LoopStep
from tests.support.steps import measured, steps, told
from tests.support.worker import Worker

MODEL = "churn:global"
#: Milliseconds that no handler may hold the loop for, and by how much a thread's own time grows on a busy machine,
#: whose caches others empty. Without bounds three thousand versions took 160 and twenty thousand would take seconds.
BOUND_MS, BUSY = 50, 2
#: Of the web process: one request of a model takes 139 to 163 still, and was not found; it must not grow.
OF_WEB_MS = 150


def version(number: int) -> str:
    return f"build-{number:06d}"


def predictions(versions: int, at: int) -> list[Row]:
    return [
        Row(
            "predictions",
            b"p%d" % number,
            json.dumps(
                {"prediction_id": f"p{number}", "model_type": "churn", "model_version": version(number),
                 "predicted_at": at, "score": 0.25}
            ).encode(),
        )
        for number in range(versions)
    ]  # fmt: skip


def handlers(file: Path) -> list[LoopStep]:
    """Long steps of whatever is no lane: the handlers, the projection, the clients."""
    return [step for step in steps(file) if not step.task.startswith("lane ")]


def pages_of(ask: Callable[[str], tuple[int, Any]], path: str, items: str) -> Iterable[dict[str, Any]]:
    """Every row of a list, page by page; no page has more than five hundred."""
    cursor = ""
    while True:
        status, body = ask(f"{path}{'&' if '?' in path else '?'}limit=500{cursor}")
        assert status == 200, body
        assert len(body[items]) <= 500
        yield from body[items]
        if body["next"] is None:
            return
        cursor = f"&cursor={urllib.parse.quote(str(body['next']))}"


async def many(prefix: Prefix, worker: Callable[..., Worker], folder: Path, versions: int, bound_s: float) -> None:
    """Count them on a worker, page through its views and the API's, and see who held the loops for how long."""
    redis = RedisServer(folder / "redis").start()
    of_worker, of_web = folder / "worker.steps", folder / "web.steps"
    running = worker(redis_url=redis.url, max_versions_per_model="10000", max_checkpoint_events="100000")
    running.env |= measured(of_worker)
    web = Web(prefix, folder, redis.url, **measured(of_web))
    try:
        running.start()
        web.process.start()
        at = START + DAY + HOUR
        wanted = {version(number) for number in range(versions)}
        first: list[Step] = [(at + 1, predictions(versions, at))]
        reached: dict[str, dict[int, int]] = {}
        await write(prefix, first, reached)
        await finished(prefix, at + 1, [running], bound_s)
        rows = list(pages_of(running.view, f"/models/{MODEL}", "cells"))
        assert len(rows) == versions
        assert {row["model_version"] for row in rows} == wanted
        second: list[Step] = [(at + DAY + 2 * HOUR, [])]
        await write(prefix, second, reached)
        await finished(prefix, second[-1][0], [running], bound_s)
        rows = list(pages_of(running.view, f"/models/{MODEL}", "cells"))
        assert {row["model_version"] for row in rows} == wanted
        await web.answers(bound_s=bound_s)
        async with web.client() as client:

            async def shown() -> bool:
                return len(await listed(client, f"/models/{MODEL}/snapshots")) == versions

            await until(shown, bound_s, "every closed snapshot in the read model")
            rows = await listed(client, f"/models/{MODEL}/snapshots")
            assert {row["model_version"] for row in rows} == wanted
            one = await listed(client, f"/models/{MODEL}/snapshots", version=version(7))
            assert [row["model_version"] for row in one] == [version(7)]
            for path in (f"/models/{MODEL}", "/models", f"/models/{MODEL}/checks", "/status"):
                answer = await client.get(path)
                assert answer.status_code == 200, path
                print(f"{path}: {len(answer.content):,} bytes")
    finally:
        web.process.kill()
        running.kill()
        redis.kill()
    for name, file in (("worker", of_worker), ("web", of_web)):
        found = handlers(file)
        print(f"{versions:,} versions, {name}: longest steps of no lane\n{told(found[:8])}")
        lanes = [step for step in steps(file) if step.task.startswith("lane ")]
        print(f"longest steps of lanes\n{told(lanes[:4])}")
    assert max((step.own_ms for step in handlers(of_worker)), default=0.0) <= BOUND_MS * BUSY
    assert max((step.own_ms for step in handlers(of_web)), default=0.0) <= OF_WEB_MS * BUSY


async def listed(client: Any, path: str, **filters: str) -> list[dict[str, Any]]:
    """Every row of a list of the API."""
    out: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, params={"limit": "500", **filters, **cursor})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert len(body["items"]) <= 500
        out += body["items"]
        if body["next"] is None:
            return out
        cursor = {"cursor": body["next"]}


async def test_views_of_three_thousand_versions_page_and_hold_no_loop(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    await many(prefix, worker, tmp_path, 3_000, 60)


@pytest.mark.long
async def test_views_of_twenty_thousand_versions_page_and_hold_no_loop(
    prefix: Prefix, worker: Callable[..., Worker], tmp_path: Path
) -> None:
    await many(prefix, worker, tmp_path, 20_000, 300)

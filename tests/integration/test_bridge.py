"""The bridge as a process: a real Alertmanager, and a webhook that is slow, dead and alive again."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from schemas import deadletters
from schemas.partitioning import partition_for
from stream_app.kafka import clients
from stream_app.services.ports import free_ports
from tests.support.kafka_io import Prefix, read, until
from tests.support.reference import Process

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "alert.opened.json").read_bytes())


def alert(number: int, revision: int, notify: str | None, **rest: Any) -> dict[str, Any]:
    """A revision as it stands on the topic."""
    out = {**GOLDEN, "id": f"00000000-0000-4000-8000-{number:012d}", "revision": revision, "model": f"fraud:t{number}"}
    out |= {"tenant_id": f"t{number}", "status": "open" if revision == 1 else "updated"} | rest
    out.pop("notify")
    if notify == "resolved":
        out |= {"status": "resolved", "resolution_reason": "no_drift"}
    return out | ({"notify": notify} if notify else {})


async def publish(prefix: Prefix, *alerts: dict[str, Any]) -> None:
    topics = prefix.topics
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for row in alerts:
            partition = partition_for(row["model"].encode(), topics.model_partitions)
            await kafka.send_and_wait(topics.alerts, json.dumps(row).encode(), row["id"].encode(), partition)


async def send_bytes(prefix: Prefix, *values: bytes | None) -> None:
    """The same on every partition of the alerts."""
    async with clients.producer(prefix.bootstrap, {}) as kafka:
        for partition in range(prefix.topics.model_partitions):
            for value in values:
                await kafka.send_and_wait(prefix.topics.alerts, value, b"odd", partition)


class Hook:
    """A receiver that dedups by key, as a pager does; ``status`` and ``most``, what it takes at all, inject faults."""

    def __init__(self) -> None:
        self.status = 200
        self.most: int | None = None
        self.taken: dict[str, list[str]] = defaultdict(list)
        self.asked = 0
        self.port = free_ports(1)[0]
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.Response:
        self.asked += 1
        row = await request.json()
        if self.most is not None and sum(map(len, self.taken.values())) >= self.most:
            return web.Response(status=503)
        if self.status == 200 or (self.status == 400 and not row["alert"]["model"].endswith("t9")):
            self.taken[row["alert"]["model"]].append(row["dedup_key"])
            return web.Response()
        return web.Response(status=self.status)


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    made = Hook()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """Debian's Alertmanager with nothing to tell anybody."""
    found = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if found is None:
        pytest.fail("Alertmanager is missing: apt-get install prometheus-alertmanager")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\nglobal: {resolve_timeout: 4s}\n")
    port = free_ports(1)[0]
    with (tmp_path / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [
                found, f"--config.file={config}", f"--storage.path={tmp_path / 'am'}", "--cluster.listen-address=",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log, stderr=log,
        )  # fmt: skip
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def _there(url: str) -> dict[str, dict[str, Any]]:
    """Active alerts by model."""
    try:
        with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=5) as answer:
            return {row["labels"]["model"]: row for row in json.load(answer)}
    except OSError:
        return {"": {}}


async def test_alertmanager_shows_what_is_open_as_long_as_it_is(
    prefix: Prefix, tmp_path: Path, alertmanager: str
) -> None:
    await publish(prefix, alert(1, 1, "opened"), alert(2, 1, "opened"), alert(2, 2, "resolved"))
    env = {"PLUMBLINE_BRIDGE_ALERTMANAGER_URL": alertmanager}
    running = Process(prefix, tmp_path, "bridge", ["bridge", "--refresh", "1"], env=env).start()
    try:
        # what was over before the first start is history
        await until(lambda: set(_there(alertmanager)) == {"fraud:t1"}, 60, "the open alert")
        await publish(prefix, alert(3, 1, "opened"), alert(1, 2, None), alert(1, 3, "severity", severity="CRITICAL"))
        await until(lambda: set(_there(alertmanager)) == {"fraud:t1", "fraud:t3"}, 30, "the second alert")
        await until(lambda: _there(alertmanager)["fraud:t1"]["labels"]["severity"] == "critical", 30, "the severity")
        first = _there(alertmanager)["fraud:t1"]["endsAt"]
        # without refreshes it would end by itself after four seconds
        await until(lambda: _there(alertmanager)["fraud:t1"]["endsAt"] > first, 30, "a refresh")
        running.kill()
        await publish(prefix, alert(3, 2, "resolved"))
        running.start()
        await until(lambda: set(_there(alertmanager)) == {"fraud:t1"}, 60, "the end of one of them")
        await publish(prefix, alert(1, 4, "resolved", severity="CRITICAL"))
        await until(lambda: _there(alertmanager) == {}, 30, "the end of the other")
        assert running.stop() == 0, running.tail()
    finally:
        running.kill()


async def test_a_webhook_that_dies_loses_nothing_and_gets_each_revision_in_order(
    prefix: Prefix, tmp_path: Path, hook: Hook
) -> None:
    url, secret = f"http://127.0.0.1:{hook.port}/", "very-secret"
    env = {"PLUMBLINE_BRIDGE_WEBHOOK_URL": url, "PLUMBLINE_BRIDGE_WEBHOOK_SECRET": secret}
    running = Process(prefix, tmp_path, "bridge", ["bridge"], env=env)
    try:
        running.start()
        await until(lambda: "delivering" in running.tail(), 60, "the bridge to start")
        await publish(prefix, *(alert(n, 1, "opened") for n in range(1, 6)))
        await until(lambda: sum(map(len, hook.taken.values())) >= 5, 60, "the first five")
        await hook.stop()
        await publish(prefix, *(alert(n, 2, "reminder") for n in range(1, 6)))
        await until(lambda: "again in" in running.tail(), 60, "the bridge to notice")
        # killed while it waits, and once more between a delivery and its commit as chance has it
        running.kill()
        running.start()
        hook.status = 503
        await hook.start()
        await until(lambda: hook.asked > 8, 60, "attempts")
        hook.status = 200
        # what nobody can read is passed by, before and after a new start
        await send_bytes(prefix, b"\xff\xfe", b"[" * 100_000, b"{}", b"null", None)
        await publish(prefix, *(alert(n, 3, "resolved") for n in range(1, 6)))
        await until(
            lambda: all(any(k.endswith("-3") for k in hook.taken[f"fraud:t{n}"]) for n in range(1, 6)), 60, "all"
        )
        for n in range(1, 6):
            id = alert(n, 1, None)["id"]
            assert list(dict.fromkeys(hook.taken[f"fraud:t{n}"])) == [f"{id}-1", f"{id}-2", f"{id}-3"]

        # one that the receiver never wants goes to the dead-lettered records, and does not hold the others
        hook.status = 400
        await publish(prefix, alert(9, 1, "opened"), alert(1, 4, "opened"))
        await until(lambda: any(k.endswith("-4") for k in hook.taken["fraud:t1"]), 60, "the one behind it")

        async def letters() -> list[Any]:
            parts = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.model_partitions)
            return [record for part in parts.values() for record in part]

        (letter,) = await until(letters, 60, "the dead-lettered record")
        headers = {name: value.decode() for name, value in letter.headers}
        assert headers["plumbline.stage"] == "bridge-webhook"
        assert headers["plumbline.reason"] == deadletters.REFUSED_BY_DESTINATION
        assert json.loads(letter.value) == alert(9, 1, "opened")
        assert running.stop() == 0, running.tail()
    finally:
        running.kill()
    assert secret not in running.log.read_text()


async def test_an_open_alert_that_is_refused_at_the_first_start_is_dead_lettered_too(
    prefix: Prefix, tmp_path: Path, hook: Hook
) -> None:
    hook.status = 302
    await send_bytes(prefix, b"\xff\xfe", b"[" * 100_000)
    await publish(prefix, alert(9, 1, "opened"))
    env = {"PLUMBLINE_BRIDGE_WEBHOOK_URL": f"http://127.0.0.1:{hook.port}/"}
    running = Process(prefix, tmp_path, "bridge", ["bridge"], env=env).start()
    try:

        async def refused() -> list[Any]:
            parts = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.model_partitions)
            return [record for part in parts.values() for record in part]

        (record,) = await until(refused, 90, f"the dead-lettered record\n{running.tail()}")
        assert dict(record.headers)["plumbline.reason"] == deadletters.REFUSED_BY_DESTINATION.encode()
        assert json.loads(record.value) == alert(9, 1, "opened")
        assert hook.asked == 5
        assert running.stop() == 0, running.tail()
    finally:
        running.kill()


def test_without_a_destination_it_says_what_to_set(prefix: Prefix, tmp_path: Path) -> None:
    running = Process(prefix, tmp_path, "bridge", ["bridge"]).start()
    assert running.wait(30) == 1
    assert "no destination is set: name one in PLUMBLINE_BRIDGE_ALERTMANAGER_URL" in running.tail()

"""The page of the pipeline over real processes: every worker is there, what stops is missed, what could not be used is
shown with the field that failed and sent again by a button."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from playwright.async_api import Browser, Page, expect

from stream_app.kafka import clients
from stream_app.services.ports import free_ports
from tests.support.browsing import signed_in
from tests.support.kafka_io import Prefix, read, until
from tests.support.live import OPERATOR, VIEWER, RedisServer, Web
from tests.support.reference import Process
from tests.support.worker import Worker

#: Bounds of the issue, in seconds, and how often longer a busy machine may take before the test gives up.
RECORD_S, STOPPED_S, BUSY = 5.0, 30.0, 3


async def timed(what: str, bound_s: float, page: Page, text: str) -> None:
    """Wait until the page says something and print how long that took."""
    began = time.monotonic()
    await expect(page.locator("main")).to_contain_text(text, timeout=bound_s * BUSY * 1000)
    print(f"{what}: shown after {time.monotonic() - began:.1f} s (bound {bound_s:.0f} s)")


async def test_what_stops_is_missed_and_what_failed_is_sent_again(
    prefix: Prefix, worker: Callable[..., Worker], browser: Browser, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    first = worker("one", redis_url=redis.url, clock="live").start()
    registry = ["--registry", str(tmp_path / "registry")]
    nobody = {
        "PLUMBLINE_BRIDGE_WEBHOOK_URL": f"http://127.0.0.1:{free_ports(1)[0]}",
        "PLUMBLINE_APP_ID": prefix.topics.app_id,
    }
    others = {
        "bridge": Process(prefix, tmp_path, "bridge", ["bridge"], env=nobody),
        "trainer": Process(prefix, tmp_path, "trainer", ["trainer", *registry, "--learner", "logistic"]),
        "deployer": Process(prefix, tmp_path, "deployer", ["predictor", "deploy", *registry]),
    }
    web = Web(prefix, tmp_path, redis.url, **nobody)
    web.process.start()
    for process in others.values():
        process.start()
    try:
        await web.answers()
        second = worker("two", redis_url=redis.url, clock="live").start()
        addresses = [f"http://127.0.0.1:{one.env['PLUMBLINE_WEB_PORT']}" for one in (first, second)]
        async with signed_in(browser, web, OPERATOR, "/pipeline") as (page, faults):
            workers = page.locator("table[aria-label=Workers] tbody tr")
            # several workers announce themselves; the settings of the web process name neither
            for address in addresses:
                row = workers.filter(has_text=address)
                await expect(row.locator(".tag")).to_have_text("ready", timeout=120_000)
            lanes = page.locator("table[aria-label=Lanes] tbody tr")
            for address in addresses:
                await expect(lanes.filter(has_text=address)).not_to_have_count(0)
            facts = page.locator("dl.facts")
            await expect(facts.locator(".tag.good")).to_have_count(len(others), timeout=60_000)

            await _a_record_that_failed(prefix, page, web)

            for process in others.values():
                process.kill()
            second.kill()
            told = {name: f"The {name} has stopped" for name in ("trainer", "deployer")}
            told |= {"bridge": "No bridge is running", "worker": f"The worker at {addresses[1]} has stopped"}
            await asyncio.gather(*(timed(f"a killed {name}", STOPPED_S, page, text) for name, text in told.items()))
            await expect(facts.locator(".tag.bad")).to_have_count(len(others))
            await expect(workers.filter(has_text=addresses[1]).locator(".tag")).to_have_text("stopped")
            first.kill()
            await timed("the last worker killed", STOPPED_S, page, "No worker is running")
            assert not faults
    finally:
        for process in (*others.values(), web.process):
            process.kill()
        redis.kill()


async def _a_record_that_failed(prefix: Prefix, page: Page, web: Web) -> None:
    """It shows with its field, an operator sends it again once, and a viewer cannot."""
    row: dict[str, Any] = {
        "prediction_id": "p-1", "model_type": "churn", "model_version": "v1", "tenant_id": "acme",
        "predicted_at": int(time.time() * 1000), "score": "very likely", "features": {"secret": "of-somebody"},
    }  # fmt: skip
    async with clients.producer(prefix.bootstrap, {}) as producer:
        await producer.send_and_wait(prefix.topics.predictions, orjson.dumps(row), key=b"p-1", partition=0)
    written = time.monotonic()

    async def dead_letters() -> list[Any]:
        found = await read(prefix.bootstrap, prefix.topics.dead_letters, prefix.topics.model_partitions)
        return [record for records in found.values() for record in records]

    async def set_aside() -> bool:
        return len(await dead_letters()) == 1

    await until(set_aside, 60, "the record on the topic of dead-lettered ones")
    print(f"dead-lettered {time.monotonic() - written:.1f} s after it was written")
    table = page.locator("table[aria-label='Dead-lettered records'] tbody tr")
    await timed("a dead-lettered record", RECORD_S, page, "invalid field")
    await expect(table.locator("b.mono")).to_have_text("score")
    await table.locator("summary").click()
    await expect(table.locator("details")).to_contain_text("score: text, features: object")
    assert "of-somebody" not in await page.content()
    assert "very likely" not in await page.content()

    async with web.client(VIEWER) as viewer:
        refused = await viewer.post(
            "/dead-letters/redrive", json={"dead_letter_reason": "invalid_field", "reason": "let me"}
        )
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "viewer")
    for number, told in enumerate(("sent 1 record", "sent 1 record, 1 had been sent before"), 1):
        await page.get_by_role("button", name="Redrive…").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.type(f"the producer was repaired, {number}")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog")).to_have_count(0, timeout=20_000)
        await expect(page.locator("#commands .sent").first).to_contain_text(told, timeout=60_000)
        if number == 1:
            # nobody repaired it: it is back, beside the one that was sent

            async def back() -> bool:
                return len(await dead_letters()) == 2

            await until(back, 60, "the record to fail again")
    async with web.client() as client:

        async def audited() -> bool:
            items = (await client.get("/audit", params={"action": "redrive"})).json()["items"]
            return [(item["actor"], item["decision"], item["stage"]) for item in items] == [
                ("olga", "sent", "redrive"), ("olga", "sent", "redrive"),
            ]  # fmt: skip

        await until(audited, 60, "both redrives on the audit")
        items = (await client.get("/audit", params={"action": "redrive"})).json()["items"]
        assert "the producer was repaired, 2" in items[0]["reason"]

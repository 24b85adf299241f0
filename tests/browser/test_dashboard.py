"""The dashboard in a real browser: what people see, what they can do, and what they cannot."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Browser, expect

from stream_app.commands.send import NewCommand
from stream_app.reference.learners import logistic
from stream_app.reference.predictor import seed
from stream_app.reference.registry import FolderRegistry
from tests.support.browsing import DESKTOP, PHONE, signed_in
from tests.support.kafka_io import Prefix, until
from tests.support.live import OPERATOR, VIEWER, RedisServer, Site, Web, newest, publish, published
from tests.support.loop import Stepper, Turn
from tests.support.reference import Process
from tests.support.scenarios import DAY_MS, FIRST_DAY
from tests.support.worker import Worker

MODEL = "churn:step-25-300-on"


async def news(site: Site, **changes: Any) -> dict[str, Any]:
    """Publish a new alert of a model of its own."""
    template = json.loads(published()["alerts"][0].value or b"")
    row: dict[str, Any] = {**template, "id": str(uuid.uuid4()), "model": "churn:news", "tenant_id": "news", **changes}
    emit = published()["alerts"][0]._replace(key=row["id"].encode(), value=json.dumps(row).encode())
    await publish(site.prefix, {"alerts": (emit,)})
    return row


async def test_an_alert_appears_without_reload(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER, "/alerts") as (page, faults):
        await expect(page.locator("table.rows a.name").first).to_be_visible()
        began = time.monotonic()
        row = await news(site, summary="the news of this test")
        await expect(page.locator(f"a[href='/alerts/{row['id']}'].name")).to_be_visible(timeout=20_000)
        took = time.monotonic() - began
        await expect(page.locator(".toast")).to_contain_text("The news of this test.")
        print(f"shown {took:.2f} s after its record was written")
        assert not faults


async def test_an_address_where_nothing_stands_says_so_and_leads_on(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER, "/") as (page, _):
        answer = await page.goto(f"{site.web.address}/alert/what?x=1")
        assert answer is not None
        assert answer.status == 404
        await expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
        await page.get_by_role("link", name="All models").click()
        await expect(page.get_by_role("heading", name="Models")).to_be_visible()
        await page.goto(f"{site.web.address}/alerts/zzz")
        await expect(page.get_by_text("'zzz' is not written as one is")).to_be_visible()


async def test_what_records_say_is_text_and_never_markup(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER, "/alerts") as (page, faults):
        hostile = "<img src=x onerror=\"document.title='caught'\"><script>document.title='caught'</script>"
        row = await news(site, summary=hostile, recommendation=hostile)
        await expect(page.get_by_text(hostile).first).to_be_visible(timeout=20_000)
        await page.goto(f"{site.web.address}/alerts/{row['id']}")
        await expect(page.locator(".advice")).to_have_text(f"{hostile}.")
        assert await page.title() != "caught"
        assert not faults


def views() -> list[str]:
    alert = next(a for a in newest("alerts", lambda r: r["id"]).values() if a["model"] == MODEL)
    models = [f"/models/{MODEL}", "/models/churn:coverage-0.3", f"/retraining/{MODEL}"]
    return ["/", *models, "/alerts", f"/alerts/{alert['id']}", "/retraining", "/settings", "/audit"]


@pytest.mark.parametrize(("size", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
async def test_every_view_is_whole_and_fits(site: Site, browser: Browser, size: Any, scheme: Any) -> None:
    async with signed_in(browser, site.web, OPERATOR, "/", size, color_scheme=scheme) as (page, faults):
        for path in views():
            await page.goto(f"{site.web.address}{path}")
            await expect(page.locator("h1")).to_be_visible()
            await expect(page.locator(".skeleton")).to_have_count(0)
            for chart in await page.locator(".chart").all():
                # the chart library is 4 MB: on a busy machine it takes its time
                await expect(chart.locator("svg").first.or_(chart.locator("p"))).to_be_visible(timeout=30_000)
            assert await page.locator("[role=alert]:visible").count() == 0, path
            assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{path} is too wide"
            shown = await page.evaluate("document.documentElement.dataset.theme")
            assert shown == scheme
        assert not faults


async def test_the_model_shows_what_its_snapshots_say(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER, f"/models/{MODEL}") as (page, _):
        rows = newest("metric-snapshots", lambda r: (r["model"], r["date"]))
        week = [r for (model, _), r in sorted(rows.items()) if model == MODEL and r["state"] == "closed"][-7:]
        label = await page.locator(".matrix").get_attribute("aria-label")
        wanted = [
            sum(r[name] for r in week)
            for name in ("true_positives", "false_positives", "false_negatives", "true_negatives")
        ]
        assert [int(word) for word in (label or "").replace(",", "").split() if word.isdigit()] == wanted
        seen = f"Figures are of the active version {week[-1]['model_version']}, last seen on "
        await expect(page.get_by_text(seen)).to_be_visible()
        await page.get_by_text("Snapshots (").click()
        last = page.locator("table[aria-label=Snapshots] tbody tr", has_text=week[-1]["date"]).last
        await expect(last).to_contain_text(f"{week[-1]['accuracy']:.3f}")


async def test_it_can_be_used_by_keys_alone(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER) as (page, _):
        await expect(page.locator("table.rows a.name").first).to_be_visible()
        await page.keyboard.press("/")
        await page.keyboard.type("stretched")
        await expect(page.locator("table.rows a.name")).to_have_count(1)
        await page.keyboard.press("Tab")
        await page.locator("body").press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("churn:stretched")
        await page.keyboard.press("g")
        await page.keyboard.press("a")
        await expect(page.locator("h1")).to_have_text("Alerts")
        await page.keyboard.press("?")
        await expect(page.locator("dialog")).to_contain_text("search")
        await page.keyboard.press("Escape")
        await expect(page.locator("dialog")).to_have_count(0)
        await page.keyboard.press("/")
        await expect(page.locator("h1")).to_have_text("Models")
        await page.keyboard.type("stretched")
        await expect(page.locator("table.rows a.name")).to_have_count(1)


async def test_what_is_asked_for_stands_in_the_address_of_every_list(site: Site, browser: Browser) -> None:
    resolved = next(row for row in newest("alerts", lambda r: r["id"]).values() if row["status"] == "resolved")
    async with signed_in(browser, site.web, VIEWER, "/alerts") as (page, faults):
        await page.get_by_role("button", name="Resolved").click()
        over = page.get_by_role("button", name="Resolved")
        await expect(page).to_have_url(f"{site.web.address}/alerts?status=resolved")
        # only the list of resolved ones holds it
        link = page.locator(f"a[href='/alerts/{resolved['id']}'].name")
        await link.click()
        await expect(page).to_have_url(f"{site.web.address}/alerts/{resolved['id']}")
        await page.go_back()
        await expect(over).to_have_attribute("aria-pressed", "true")
        await expect(link).to_be_visible()
        await page.reload()
        await expect(over).to_have_attribute("aria-pressed", "true")
        for path, field, name in (("/audit", "Actor", "actor"), ("/settings", "Search settings", "q")):
            await page.goto(f"{site.web.address}{path}")
            await page.get_by_label(field).fill("xyzzy")
            await expect(page).to_have_url(f"{site.web.address}{path}?{name}=xyzzy")
            await page.reload()
            await expect(page.get_by_label(field)).to_have_value("xyzzy")
            await expect(page.get_by_text(re.compile("No such decision|No setting fits"))).to_be_visible()
            await page.get_by_label(field).fill("")
            await expect(page).to_have_url(f"{site.web.address}{path}")
        assert not faults


async def test_a_threshold_is_moved_and_shows_what_it_would_have_done(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, OPERATOR, "/settings") as (page, faults):
        row = page.locator("div", has=page.locator("b", has_text="drop_min_denominator")).last
        await row.locator("xpath=..").get_by_role("button", name="Preview…").click()
        dialog = page.locator("dialog")
        await expect(dialog).to_contain_text("None would have come.")
        before = int((await dialog.locator(".lead").inner_text()).split()[0])
        assert before >= 2
        await dialog.locator("input[type=number]").fill("1000000")
        await expect(dialog).to_contain_text("would not have been")
        await expect(dialog.locator(".lead")).to_contain_text("at 1000000")
        assert not faults


async def test_a_viewer_is_shown_no_way_to_command(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER, f"/models/{MODEL}") as (page, _):
        await expect(page.get_by_text("commands need the operator role")).to_be_visible()
        for path in (f"/models/{MODEL}", f"/retraining/{MODEL}", "/settings", views()[5]):
            await page.goto(f"{site.web.address}{path}")
            await expect(page.locator("h1")).to_be_visible()
            await expect(page.locator(".skeleton")).to_have_count(0)
            for name in ("Roll back…", "Retrain…", "Approve…", "Change…", "Acknowledge…"):
                assert await page.get_by_role("button", name=name).count() == 0, (path, name)


async def test_signing_in_and_out(site: Site, browser: Browser) -> None:
    page = await browser.new_page()
    await page.goto(f"{site.web.address}/alerts")
    await page.locator("input[type=password]").fill("not-a-token-at-all")
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("This token is not known here.")).to_be_visible()
    await page.locator("input[type=password]").fill(VIEWER)
    await page.keyboard.press("Enter")
    await expect(page.locator("h1")).to_have_text("Alerts")
    await page.get_by_role("button", name="victor · viewer").click()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("h1")).to_have_text("Sign in")
    await page.reload()
    await expect(page.locator("h1")).to_have_text("Sign in")


async def test_it_says_what_is_wrong_and_mends_itself(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER) as (page, _):
        await expect(page.locator("table.rows a.name").first).to_be_visible()
        site.redis.kill()
        await expect(page.locator("#notice")).to_contain_text("Redis does not answer", timeout=20_000)
        await page.goto(f"{site.web.address}/alerts")
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()
        site.redis.start()
        await expect(page.locator("#notice")).to_be_empty(timeout=30_000)
        # filled anew, it is shown without a reload
        await expect(page.locator("table.rows a.name").first).to_be_visible(timeout=20_000)


async def test_an_operator_rolls_back_manually_and_sees_it_happen(
    prefix: Prefix, worker: Callable[..., Worker], browser: Browser, tmp_path: Path
) -> None:
    """With a real worker and a real deployer; only time is the test's."""
    model, registry = "conflict:global", FolderRegistry(tmp_path / "registry")
    rows = [{"a": float(n), "b": float(n % 3)} for n in range(60)]
    for version in ("v1", "v2"):
        seed(registry, model, version, logistic, rows, np.array([n % 2 for n in range(60)]))
        estimator = registry.load(model, "v1", None)
        assert estimator is not None
        registry.put(model, "v2", estimator, {"parent": "v1", "training_samples": 60, "champion_by": "nothing"})
    registry.activate(model, "v2", "manually")
    redis = RedisServer(tmp_path / "redis").start()
    running = worker(redis_url=redis.url).start()
    web = Web(prefix, tmp_path, redis.url)
    web.process.start()
    deployer = Process(
        prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", str(tmp_path / "registry")]
    ).start()
    at = FIRST_DAY * DAY_MS
    try:
        async with Stepper(prefix, [running]) as stepper:
            for number, version in enumerate(("v1", "v2"), 1):
                known = NewCommand(model, "register", {"model_version": version}, "ada", "deployed", str(uuid.uuid4()))
                await stepper.turn(Turn(at + number * 60_000, orders=[known]))
            await web.answers()
            async with signed_in(browser, web, OPERATOR, f"/retraining/{model}") as (page, faults):
                await expect(page.locator("p.soft").first).to_have_text("v2 is active.")
                await page.get_by_role("button", name="Roll back…").click()
                dialog = page.locator("dialog")
                await dialog.locator("textarea").fill("complaints since the new version")
                await dialog.get_by_role("button", name="Roll back", exact=True).click()
                await expect(dialog).to_be_visible()  # not before it is meant
                await dialog.locator("input[type=checkbox]").check()
                await dialog.get_by_role("button", name="Roll back", exact=True).click()
                await expect(dialog).to_have_count(0, timeout=20_000)

                async def served() -> bool:
                    await stepper.turn(Turn(stepper.turns[-1].at_ms + 60_000))
                    return await page.locator("p.soft", has_text="v1 is active").count() > 0

                await until(served, 60, "the page to show the version before")
                await expect(page.locator("#commands .sent.done")).not_to_have_count(0)
                await expect(page.get_by_text("complaints since the new version").first).to_be_visible()
                assert registry.active(model) == "v1"
                assert not faults
    finally:
        deployer.kill()
        web.process.kill()
        redis.kill()
        await asyncio.sleep(0)

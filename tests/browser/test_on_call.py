"""For the person on call, in a real browser: time that can be steered, live changes that take nothing away, an alert
that says what to do, commands that are followed, and pages that everybody can use."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from tests.support.browsing import go, launched, signed_in
from tests.support.kafka_io import until
from tests.support.live import OPERATOR, VIEWER, Site, newest, publish, published, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "churn:step-25-300-on"
LOOKS = [(1440, "light"), (820, "dark"), (390, "light")]
#: each width in the other theme too, which takes as long again
OTHERS = [(1440, "dark"), (820, "light"), (390, "dark")]
#: rules of WCAG up to 2.2 AA
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One read model and one web process for this file."""
    with serving(kafka, tmp_path_factory.mktemp("oncall"), f"oncall{os.getpid()}.") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for this file."""
    async with launched() as found:
        yield found


def alert_of(model: str = MODEL, type: str = "ML_DRIFT_DETECTED") -> dict[str, Any]:
    """The newest alert of a model."""
    rows = newest("alerts", lambda row: row["id"]).values()
    return max((r for r in rows if r["model"] == model and r["type"] == type), key=lambda r: r["opened_at"])


async def again(site: Site, row: dict[str, Any], **changes: Any) -> None:
    """Publish an alert's next revision."""
    emit = published()["alerts"][0]
    value = json.dumps({**row, **changes}).encode()
    await publish(site.prefix, {"alerts": (emit._replace(key=row["id"].encode(), value=value),)})


async def one_more(site: Site, name: str) -> None:
    """Publish an open alert of a model that has no other."""
    made = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)), "model": f"churn:many-{name}", "tenant_id": f"many-{name}"}
    await again(site, {**alert_of(), **made, "status": "open", "revision": 1})


async def many(site: Site) -> None:
    """Publish more open alerts than a page of a list holds."""
    for number in range(60):
        await one_more(site, str(number))


def views() -> list[str]:
    incomplete = alert_of("churn:coverage-0.3", "ML_OUTCOMES_INCOMPLETE")
    failed = alert_of(MODEL, "ML_TRAINING_FAILED")
    return [
        "/", "/?group=type", f"/models/{MODEL}", "/alerts", f"/alerts/{alert_of()['id']}",
        f"/alerts/{incomplete['id']}", f"/alerts/{failed['id']}",
        "/retraining", f"/retraining/{MODEL}", "/settings", "/audit", "/pipeline",
    ]  # fmt: skip


async def settled(page: Page) -> None:
    """Return once a view is loaded and its charts are drawn."""
    await expect(page.locator("h1").first).to_be_visible(timeout=15_000)
    await expect(page.locator(".skeleton")).to_have_count(0)
    for chart in await page.locator(".chart").all():
        await expect(chart.locator("svg").first.or_(chart.locator("p"))).to_be_visible(timeout=30_000)


async def faults_of(page: Page) -> list[str]:
    """What axe finds in the page as it stands."""
    found = await Axe().run(page, options={"runOnly": RULES})
    return [f"{v['id']}: {node['html'][:120]}" for v in found.response["violations"] for node in v["nodes"]]


@pytest.mark.parametrize(
    ("width", "theme"), [*LOOKS, *(pytest.param(*look, marks=pytest.mark.long) for look in OTHERS)]
)
async def test_every_view_and_dialog_is_accessible_and_fits(
    site: Site, browser: Browser, width: int, theme: str
) -> None:
    size = {"width": width, "height": 900}
    async with signed_in(browser, site.web, OPERATOR, "/", size, color_scheme=theme) as (page, faults):
        await expect(page.locator(f"html[data-theme={theme}]")).to_have_count(1)
        for path in views():
            await page.goto(f"{site.web.address}{path}")
            await settled(page)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, f"{path} is too wide"
            assert await faults_of(page) == [], path
            buttons = page.locator("main button:visible:not([disabled])").filter(has_text="…")
            for name in sorted(set(await buttons.all_inner_texts())):
                await page.get_by_role("button", name=name, exact=True).first.click()
                await expect(page.locator("dialog")).to_be_visible()
                assert await faults_of(page) == [], (path, name)
                await page.keyboard.press("Escape")
                await expect(page.locator("dialog")).to_have_count(0)
        await _what_is_folded_is_accessible(page, site)
        assert not faults


async def _what_is_folded_is_accessible(page: Page, site: Site) -> None:
    """Filters and the budget of the first page, the keys, and who is signed in."""
    await page.goto(site.web.address)
    await settled(page)
    await expect(page.locator("details.budget")).to_be_visible()
    for folded in await page.locator("details.facet").all():
        await folded.locator("summary").click()
        assert await faults_of(page) == [], await folded.inner_text()
        await folded.locator("summary").click()
    openings = [page.keyboard.press("?")]
    if await page.locator("#bar .who").is_visible():
        openings.append(page.locator("#bar .who").click())
    for opening in openings:
        await opening
        await expect(page.locator("dialog")).to_be_visible()
        assert await faults_of(page) == []
        await page.keyboard.press("Escape")


async def test_an_address_restores_the_picture(site: Site, browser: Browser) -> None:
    last = date.fromisoformat(max(r["date"] for r in newest("metric-snapshots", lambda r: r["id"]).values()))
    first = last - timedelta(days=9)
    path = f"/models/{MODEL}?from={first}&to={last}&metric=recall&tz=Asia/Kathmandu"
    async with signed_in(browser, site.web, VIEWER, path) as (page, faults):
        await settled(page)
        await expect(page.locator("#bar .zone")).to_have_text("Asia/Kathmandu")
        chart = page.locator(".chart[aria-label='Recall by day']")
        days = await chart.evaluate("gd => [...new Set(gd.data.flatMap(t => t.name === 'v1' ? [...t.x] : []))]")
        rows = newest("metric-snapshots", lambda r: (r["model"], r["date"]))
        wanted = [day for (model, day), r in sorted(rows.items()) if model == MODEL and r["state"] == "closed"]
        assert days == [day for day in wanted if str(first) <= day <= str(last)]
        # dragging, here by what Plotly says then, takes whole days into the address and into every chart
        zoom = "gd => Plotly.relayout(gd, {'xaxis.range[0]': '%s', 'xaxis.range[1]': '%s'})"
        inner = (first + timedelta(days=2), first + timedelta(days=5))
        await chart.evaluate(zoom % (f"{inner[0] - timedelta(days=1)} 11:00", f"{inner[1]} 07:00"))
        await page.wait_for_url(f"**from={inner[0]}&to={inner[1]}*")
        await page.reload()
        await settled(page)
        await expect(page.locator("input[aria-label='First day']")).to_have_value(str(inner[0]))
        assert not faults


async def test_no_window_is_off_by_one_day(site: Site, browser: Browser) -> None:
    row = alert_of()
    async with site.web.client() as client:
        events = (await client.get(f"/alerts/{row['id']}")).json()["events"]
    event = [e for e in events if e["kind"] == "performance"][-1]
    async with signed_in(browser, site.web, VIEWER, f"/alerts/{row['id']}") as (page, _):
        await settled(page)
        shown = await page.locator("[data-key=labels] ul.plain li").all_inner_texts()
        assert len(shown) == len(event["windows"])
        for text, window in zip(shown, event["windows"], strict=True):
            begin, end = date.fromisoformat(window["from"][:10]), date.fromisoformat(window["to"][:10])
            days, last = (end - begin).days, end - timedelta(days=1)
            assert f"({days} day" in text
            assert text.startswith(f"{begin.day}")
            assert f"{last.day} {last:%b}" in text


async def test_an_hourly_alarm_says_what_fell_before_any_daily_check_has_seen_it(site: Site, browser: Browser) -> None:
    revisions = [json.loads(emit.value or b"") for emit in published()["alerts"]]
    opened = next(row for row in revisions if row["revision"] == 1 and row["raised_by"] == ["hourly"])
    row = {**opened, "id": str(uuid.uuid4()), "model": f"{opened['model_type']}:just-now", "tenant_id": "just-now"}
    (window,) = row["report"]["hourly_performance"]["windows"]
    begin = f"{int(window['from'][8:10])} {date.fromisoformat(window['from'][:10]):%b}"
    await again(site, row)
    async with site.web.client() as client:

        async def known() -> bool:
            return (await client.get(f"/alerts/{row['id']}")).status_code == 200

        await until(known, 30, "the alert to be in the read model")
    async with signed_in(browser, site.web, VIEWER, f"/alerts/{row['id']}") as (page, faults):
        await settled(page)
        lead = page.locator(".lead")
        await expect(lead).to_contain_text(f"fell by {100 * (window['baseline'] - window['recent']):.1f} points")
        await expect(lead).to_contain_text(
            re.compile(f"since {begin}.* {window['from'][11:16]} UTC; still so at the full hour")
        )
        await expect(page.locator("[data-key=labels]")).to_contain_text(re.compile(r"Accuracy, \d+ h"))
        assert not faults


async def test_a_live_change_takes_nothing_away(site: Site, browser: Browser) -> None:
    row = alert_of()
    async with signed_in(browser, site.web, OPERATOR, f"/alerts/{row['id']}") as (page, faults):
        await settled(page)
        await page.locator(".timeline details").first.evaluate("e => e.open = true")
        await page.locator(".values summary").first.click()
        button = page.get_by_role("button", name="Acknowledge…")
        await button.focus()
        await page.evaluate("scrollTo(0, 400)")
        await page.evaluate("document.querySelector('.chart').mark = 'the same'")
        at = f"{row['at'][:-5]}.500Z"
        told = f"told anew {uuid.uuid4()}"
        await again(site, row, revision=row["revision"] + 1, at=at, summary=told, notify="severity")
        await expect(page.get_by_text(told).first).to_be_visible(timeout=20_000)
        assert await page.evaluate("document.activeElement.textContent") == "Acknowledge…"
        assert await page.locator(".timeline details").first.get_attribute("open") is not None
        assert await page.locator(".values").first.get_attribute("open") is not None
        assert await page.evaluate("scrollY") == 400
        assert await page.evaluate("document.querySelector('.chart').mark") == "the same"
        assert not faults


async def test_loaded_pages_of_a_list_stay(site: Site, browser: Browser) -> None:
    await many(site)
    async with signed_in(browser, site.web, VIEWER, "/alerts") as (page, faults):
        await page.get_by_role("button", name="Show more").click()
        rows = page.locator("table.rows tbody tr")
        await expect(page.get_by_role("button", name="Show more")).to_have_count(0)
        before = await rows.count()
        assert before > 50
        await one_more(site, "new")
        await expect(rows).to_have_count(before + 1, timeout=20_000)
        assert not faults


async def test_rows_asked_for_are_shown_though_a_change_comes_first(site: Site, browser: Browser) -> None:
    await many(site)
    async with signed_in(browser, site.web, VIEWER, "/alerts") as (page, faults):
        rows = page.locator("table.rows tbody tr")
        await expect(page.get_by_role("button", name="Show more")).to_be_visible(timeout=20_000)
        late: list[Route] = []
        asked: list[str] = []

        async def hold(route: Route) -> None:
            asked.append(route.request.url)
            if late:
                await route.continue_()
            else:
                late.append(route)

        await page.route("**/api/v1/alerts?*", hold)
        await page.get_by_role("button", name="Show more").click()
        await until(lambda: len(late) == 1, 10, "the next page is asked for")
        await one_more(site, "late")
        await until(lambda: len(asked) > 1, 20, "the change is asked for before the next page has come")
        await late[0].continue_()
        await expect(rows.nth(50)).to_be_visible(timeout=20_000)
        assert not faults


async def test_what_could_not_be_loaded_is_loaded_again(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER) as (page, _):
        await page.route("**/api/v1/audit*", lambda route: route.fulfill(status=500, body="{}"))
        await go(page, "/audit")
        await expect(page.get_by_role("alert")).to_contain_text("could not be loaded")
        await page.unroute("**/api/v1/audit*")
        await expect(page.locator(".timeline li").first).to_be_visible(timeout=10_000)


async def test_models_are_filtered_counted_and_kept_in_the_address(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER) as (page, faults):
        rows = page.locator("table.rows a.name")
        await expect(rows.first).to_be_visible()
        await page.locator("details.facet", has_text="Severity").locator("summary").click()
        choices = page.locator("details.facet[open] label")
        chosen, many = choices.nth(0), choices.nth(1)
        wanted = [int((await c.locator(".num").inner_text()).replace(",", "")) for c in (chosen, many)]
        await chosen.locator("input").check()
        await expect(page.locator("h1 + p")).to_contain_text(f"{wanted[0]} of ")
        await many.locator("input").check()
        await expect(page.locator("h1 + p")).to_contain_text(f"{sum(wanted)} of ")
        assert page.url.count("severity=") == 2
        await page.reload()
        await expect(page.locator(".chip")).to_have_count(2)
        assert not faults


async def test_an_alert_is_handled_by_keys_alone_and_its_commands_are_followed(site: Site, browser: Browser) -> None:
    row = alert_of()
    before = len(await site.commands())
    steps = [
        ("Acknowledge…", "acknowledge", "looking at it"),
        ("Real alarm…", "verdict", "the feed changed"),
        ("Note…", "note", "asked the vendor"),
        ("Mute until…", "mute", "known until Monday"),
    ]
    async with signed_in(browser, site.web, OPERATOR, f"/alerts/{row['id']}") as (page, faults):
        await settled(page)
        for name, _, words in steps:
            await page.get_by_role("button", name=name, exact=True).focus()
            await page.keyboard.press("Enter")
            await expect(page.locator("dialog textarea")).to_be_focused()
            await page.keyboard.type(words)
            await page.keyboard.press("Tab")
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")
            await expect(page.locator("dialog")).to_have_count(0, timeout=20_000)
            # whoever closed it stands where it was opened
            await expect(page.get_by_role("button", name=name, exact=True)).to_be_focused()
        await expect(page.locator("#commands .sent")).to_have_count(len(steps))
        await page.reload()
        await expect(page.locator("#commands .sent")).to_have_count(len(steps))

        async def written() -> bool:
            return len(await site.commands()) >= before + len(steps)

        await until(written, 30, "the commands on their topic")
        sent = (await site.commands())[before:]
        assert sorted(c["command"] for c in sent) == sorted(command for _, command, _ in steps)
        assert not faults


async def test_a_viewer_can_do_nothing_about_an_alert(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER, f"/alerts/{alert_of()['id']}") as (page, _):
        await settled(page)
        await expect(page.locator("[data-key=do-next]")).to_contain_text("needs the operator role")
        assert await page.locator("main button").filter(has_text="…").count() == 0


async def test_focus_goes_to_the_heading_of_the_view_that_was_opened(site: Site, browser: Browser) -> None:
    async with signed_in(browser, site.web, VIEWER) as (page, _):
        await settled(page)
        for name, heading in (("Alerts", "Alerts"), ("Pipeline", "Pipeline"), ("Audit", "Audit")):
            await page.locator("#bar nav a", has_text=name).click()
            await expect(page.locator("h1")).to_have_text(heading)
            await expect(page.locator("h1")).to_be_focused()

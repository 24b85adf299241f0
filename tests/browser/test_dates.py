"""No range of days on any page is off by one: each that says how many days it has is a window as ``plumbline explain``
tells it, or the rows of a training, in every time zone; and an address restores the range of a page."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from stream_app.settings import children
from tests.support.browsing import launched, signed_in
from tests.support.live import VIEWER, Site, newest, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "churn:step-25-300-on"
ZONES = ("UTC", "Asia/Kathmandu", "America/Los_Angeles")
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: number for number, name in enumerate(NAMES, 1)}
#: ``11–17 Jan (7 days)``, ``28 Dec 2025 – 3 Jan 2026 (7 days)``, ``4 Feb (1 day)``
RANGE = re.compile(
    r"(?:(?P<day>\d{1,2})(?: (?P<month>[A-Z][a-z]{2}))?(?: (?P<year>\d{4}))? ?– ?)?"
    r"(?P<last>\d{1,2}) (?P<last_month>[A-Z][a-z]{2})(?: (?P<last_year>\d{4}))? \((?P<days>\d+) days?\b"
)

#: Every text of an element by itself, so that the number before a range is no part of it.
TEXTS = """e => {
    const walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), out = [];
    while (walker.nextNode()) out.push(walker.currentNode.data);
    return out.join("\\n");
}"""

Days = tuple[date, date]


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One read model and one web process for this file."""
    with serving(kafka, tmp_path_factory.mktemp("dates"), f"dates{os.getpid()}.") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser for this file."""
    async with launched() as found:
        yield found


def shown_in(text: str) -> list[tuple[Days, int]]:
    """Every range of a text that says its number of days, both ends included."""
    this_year = datetime.now(UTC).year
    out = []
    for found in RANGE.finditer(text):
        last_year = int(found["last_year"] or this_year)
        last = date(last_year, MONTHS[found["last_month"]], int(found["last"]))
        month = MONTHS[found["month"] or found["last_month"]]
        first = date(int(found["year"] or last_year), month, int(found["day"])) if found["day"] else last
        out.append(((first, last), int(found["days"])))
    return out


async def test_ranges_are_read_as_people_write_them() -> None:
    year = datetime.now(UTC).year
    jan = [((date(year, 1, 11), date(year, 1, 17)), 7)]
    assert shown_in("rows of 11–17 Jan (7 days) beside") == jan
    assert shown_in("28 Dec 2024 – 3 Jan 2025 (7 days), 4 Feb (1 day)") == [
        ((date(2024, 12, 28), date(2025, 1, 3)), 7), ((date(year, 2, 4),) * 2, 1),
    ]  # fmt: skip
    assert shown_in("30 Jan – 5 Feb 2025 (7 days)") == [((date(2025, 1, 30), date(2025, 2, 5)), 7)]


def whole_days(begin: str, end: str) -> Days:
    """First and last day of what includes its beginning and excludes its end."""
    first, after = (datetime.fromisoformat(at).astimezone(UTC) for at in (begin, end))
    return first.date(), (after - timedelta(days=1)).date()


async def explained(site: Site, id: str) -> set[Days]:
    """The windows that ``plumbline explain`` tells."""
    env = children.fresh_environment(kafka_bootstrap=site.prefix.bootstrap, **site.prefix.topics.as_settings())
    words = ("explain", id, "--no-recompute", "--json")
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", *words, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await done.communicate()
    assert done.returncode == 0, err.decode()
    return {whole_days(w["from"], w["to"]) for event in json.loads(out)["events"] for w in event["windows"]}


def alerts() -> list[dict[str, Any]]:
    """Newest revisions of alerts of two kinds."""
    rows = newest("alerts", lambda row: row["id"]).values()
    drift = max((r for r in rows if r["type"] == "ML_DRIFT_DETECTED"), key=lambda r: r["opened_at"])
    return [drift, next(r for r in rows if r["type"] == "ML_OUTCOMES_INCOMPLETE")]


def trained() -> set[Days]:
    """Rows of every training command, and those it was judged on."""
    found = set()
    for row in newest("training-commands", lambda row: row["id"]).values():
        for part in ("train", "holdout"):
            if part in row.get("data", {}):
                found.add(whole_days(row["data"][part]["from"], row["data"][part]["to"]))
    return found


async def settled(page: Page) -> None:
    await expect(page.locator("h1").first).to_be_visible(timeout=20_000)
    await expect(page.locator(".skeleton")).to_have_count(0)


async def test_no_range_of_days_on_any_page_is_off_by_one(site: Site, browser: Browser) -> None:
    known = trained()
    for alert in alerts():
        known |= await explained(site, alert["id"])
    events = newest("drift-events", lambda row: (row["model"], row["kind"], row.get("check")))
    for (model, kind, _), event in events.items():
        # a model's page shows its newest comparisons; those that found nothing are published like those that did
        if model == MODEL and kind in ("statistical", "performance"):
            known |= await explained(site, event["id"])
    pages = [
        "/", f"/models/{MODEL}", "/alerts", *(f"/alerts/{alert['id']}" for alert in alerts()),
        "/retraining", f"/retraining/{MODEL}", "/settings", "/audit", "/pipeline",
    ]  # fmt: skip
    seen: dict[str, int] = {}
    for zone in ZONES:
        async with signed_in(browser, site.web, VIEWER, f"/?tz={zone}") as (page, _):
            for path in pages:
                await page.goto(f"{site.web.address}{path}?tz={zone}")
                await settled(page)
                # also what is folded away
                ranges = shown_in(await page.locator("main").evaluate("e => e.textContent"))
                seen[path] = len(ranges)
                for (first, last), days in ranges:
                    assert days == (last - first).days + 1, (path, zone, first, last)
                    assert (first, last) in known, (path, zone, first, last, sorted(known))
    print({path: count for path, count in seen.items() if count})
    # or the walk could not fail
    assert seen[f"/alerts/{alerts()[0]['id']}"] >= 2
    assert seen[f"/models/{MODEL}"] >= 1
    assert seen[f"/retraining/{MODEL}"] >= 2


@pytest.mark.parametrize("zone", ZONES)
async def test_an_address_restores_the_range_of_every_page_that_has_one(
    site: Site, browser: Browser, zone: str
) -> None:
    last = date.fromisoformat(max(r["date"] for r in newest("metric-snapshots", lambda r: r["id"]).values()))
    first = last - timedelta(days=12)
    for path in (f"/models/{MODEL}", f"/alerts/{alerts()[0]['id']}"):
        address = f"{path}?from={first}&to={last}&metric=recall&tz={zone}"
        async with signed_in(browser, site.web, VIEWER, address) as (page, faults):
            for _ in range(2):
                await settled(page)
                assert f"from={first}&to={last}&metric=recall" in page.url
                await expect(page.locator("#bar .zone")).to_have_text(zone.replace("_", " "))
                await expect(page.locator("input[aria-label='First day']").first).to_have_value(str(first))
                await expect(page.locator("input[aria-label='Last day']").first).to_have_value(str(last))
                chart = page.locator(".chart:has(svg)").first
                await expect(chart).to_be_visible(timeout=30_000)
                axis = await chart.evaluate("gd => gd.layout.xaxis.range.map(x => String(x).slice(0, 10))")
                # half a day is left on either side, so that no point touches the edge
                assert abs((date.fromisoformat(axis[0]) - first).days) <= 1, (path, axis)
                assert abs((date.fromisoformat(axis[1]) - last).days) <= 1, (path, axis)
                await page.reload()
            assert not faults

"""An address restores the range of days of a page, in every time zone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.support.browsing import launched, signed_in
from tests.support.live import VIEWER, Site, newest, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "churn:step-25-300-on"
ZONES = ("UTC", "Asia/Kathmandu", "America/Los_Angeles")


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


def alerts() -> list[dict[str, Any]]:
    """Newest revisions of alerts of two kinds."""
    rows = newest("alerts", lambda row: row["id"]).values()
    drift = max((r for r in rows if r["type"] == "ML_DRIFT_DETECTED"), key=lambda r: r["opened_at"])
    return [drift, next(r for r in rows if r["type"] == "ML_OUTCOMES_INCOMPLETE")]


async def settled(page: Page) -> None:
    await expect(page.locator("h1").first).to_be_visible(timeout=20_000)
    await expect(page.locator(".skeleton")).to_have_count(0)


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

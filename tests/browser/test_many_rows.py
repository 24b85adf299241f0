"""The first page with 36, 2,000 and 10,000 models, at three widths and in both themes: how long it takes to open,
filter, sort, scroll and draw the heat map. Times are printed; asserted is that all of it works and rows stay few."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from benchmarks import live_view
from stream_app.projection.keys import Keys
from tests.support.kafka_io import until
from tests.support.live import VIEWER, RedisServer
from tests.support.standing import standing

WIDTHS = {1440: "light", 820: "dark", 390: "light"}
#: Rows that stand in the page at a time, whatever the number of models: those in sight and some above and below.
MOST_ROWS = 150
#: Points of height that 36 models may take at 1440.
HEIGHT_OF_36 = 1_700


@contextlib.contextmanager
def served(folder: Path, models: int) -> Iterator[str]:
    """The address of a web process over a read model of so many; no broker is needed for this page."""
    server, keys = RedisServer(folder / "redis").start(), Keys("many.")
    live_view.fill(server.url, keys, models)
    try:
        with standing(server.url, "many.") as address:
            yield address
    finally:
        server.kill()


@pytest.mark.parametrize(
    "models", [36, pytest.param(2_000, marks=pytest.mark.long), pytest.param(10_000, marks=pytest.mark.long)]
)
async def test_every_model_is_at_hand(models: int, browser: Browser, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(live_view, "DAYS", 31)
    with served(tmp_path, models) as address:
        print(f"{models} models: known to a new process after {await _known(address, models):.2f} s")
        for width, theme in WIDTHS.items():
            context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
            page = await context.new_page()
            faults: list[str] = []
            page.on("pageerror", _into(faults))
            took = await _steps(page, address, models, width)
            print(f"{models} models, {width} px, {theme}: " + ", ".join(f"{n} {s:.2f} s" for n, s in took.items()))
            assert not faults
            await context.close()


async def _known(address: str, models: int) -> float:
    """Seconds until a process that was just started has read every model; nobody need wait for it later."""
    began = time.perf_counter()
    headers = {"authorization": f"Bearer {VIEWER}"}
    async with httpx.AsyncClient(base_url=f"{address}/api/v1", headers=headers, timeout=60) as client:

        async def all_of_them() -> bool:
            with contextlib.suppress(httpx.ConnectError):
                return (await client.get("/judgement")).json()["models"] == models
            return False

        await until(all_of_them, 60, "every model to be read")
    return time.perf_counter() - began


def _into(faults: list[str]) -> Callable[[Any], None]:
    return lambda error: faults.append(str(error))


async def _steps(page: Page, address: str, models: int, width: int) -> dict[str, float]:
    took: dict[str, float] = {}
    rows, lead = page.locator("table.rows tbody tr"), page.locator("h1 + p")
    names = page.locator("table.rows a.name")

    async def timed(step: str, act: Callable[[], Any], done: Callable[[], Any]) -> None:
        began = time.perf_counter()
        await act()
        await done()
        took[step] = time.perf_counter() - began

    async def opened() -> None:
        await expect(names.first).to_be_visible(timeout=60_000)

    await timed("open", lambda: page.goto(f"{address}/#token={VIEWER}"), opened)
    await expect(lead).to_contain_text(f"{models:,} models")
    heat = page.locator("svg.heatstrip")
    took["heat map"] = await page.evaluate(
        """async () => {
            const begun = performance.now();
            dispatchEvent(new Event("resize"));
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            return (performance.now() - begun) / 1000;
        }"""
    )
    shown = await rows.count()
    assert shown <= MOST_ROWS
    if width > 600:
        assert await heat.count() == await names.count()
        assert await heat.first.locator("rect.cell").count() == 30
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    height = await page.evaluate("document.documentElement.scrollHeight")
    if models == 36 and width == 1440:
        assert height <= HEIGHT_OF_36
        print(f"36 rows take {height} points of height at 1440")

    first = await names.first.inner_text()

    async def other() -> None:
        await expect(names.first).not_to_have_text(first)

    await timed("scroll", lambda: page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)"), _drawn(page))
    if models > MOST_ROWS:
        await other()
    await page.evaluate("scrollTo(0, 0)")
    await expect(names.first).to_have_text(first)
    if width > 600:
        head = page.locator("th[scope=col]", has_text="Model")
        ascending = expect(head).to_have_attribute
        await timed("sort", head.locator("button").click, lambda: ascending("aria-sort", "ascending"))
        shown_names = await names.all_inner_texts()
        assert shown_names == sorted(shown_names)
    search = page.locator("input[type=search]")
    await timed("search", lambda: search.fill("t0000"), lambda: expect(lead).to_contain_text("10 of "))
    await search.fill("")
    await expect(lead).to_have_text(re.compile(f"^{models:,} models"))
    await page.locator("details.facet", has_text="State").first.locator("summary").click()
    choice = page.locator("details.facet[open] label").first
    wanted = (await choice.locator(".num").inner_text()).strip()
    await timed("filter", choice.locator("input").check, lambda: expect(lead).to_have_text(re.compile(f"^{wanted} ")))
    return took


def _drawn(page: Page) -> Callable[[], Any]:
    async def drawn() -> None:
        await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    return drawn

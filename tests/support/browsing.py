"""The dashboard in a browser: sizes of screens, and pages that are signed in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.kafka_io import PATIENCE
from tests.support.live import Web

# like every other bound of a condition: what an idle machine takes at most, times what a busy one may take
expect.set_options(timeout=5_000 * PATIENCE)

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}


@asynccontextmanager
async def launched() -> AsyncIterator[Browser]:
    """Chromium of this machine."""
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield found
        await found.close()


async def go(page: Page, path: str) -> None:
    """Go to another view as a link of the page does; what was loaded once stays."""
    await page.evaluate(
        "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')) }", path
    )


@asynccontextmanager
async def signed_in(
    browser: Browser, web: Web, token: str, path: str = "/", size: Any = None, **options: Any
) -> AsyncIterator[tuple[Page, list[str]]]:
    """A page that is signed in, and the faults it logged."""
    context = await browser.new_context(viewport=size or DESKTOP, **options)
    page = await context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    await page.goto(f"{web.address}{path}#token={token}")
    await expect(page.locator("#bar .live")).to_have_attribute("data-state", "live", timeout=20_000)
    assert "token" not in page.url
    yield page, faults
    await context.close()

"""The charts of a model, read back from the page: what is drawn is what is known, and nothing between."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.support.browsing import go, launched, signed_in
from tests.support.live import VIEWER, Site, serving
from tests.support.planted import NONE, active, days, drawn, emits, event, setting, snapshot

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_BY_DAY, DISTANCE, DROP = "[aria-label='Accuracy by day']", "[aria-label^=Distance]", "[aria-label^=Drop]"
SINCE = "2026-03-02T00:00:00.000Z"
FEW, MANY = days("2026-03-02", 5), days("2026-03-02", 12)


def fixtures() -> list[Any]:
    """Five models, each with a case of its own."""
    models = ("gaps", "two-kinds", "five-days", "no-labels", "strict")
    found: list[Any] = [active(f"churn:{name}", "v1", SINCE) for name in models]
    for number, day in enumerate(MANY):
        found.append(snapshot("churn:two-kinds", day, drawn(number, 200)))
        found.append(snapshot("churn:strict", day, drawn(number, 200)))
        if number != 5:  # the sixth day has no snapshot, the ninth and the last have no outcome
            labelled = number not in (8, 11)
            found.append(snapshot("churn:gaps", day, drawn(number, 200) if labelled else NONE, 200))
    for number, day in enumerate(FEW):
        found.append(snapshot("churn:five-days", day, drawn(number, 200)))
        found.append(snapshot("churn:no-labels", day, predictions=200))
    judged = MANY[7]
    found += [
        event("churn:two-kinds", "statistical", judged, 0.12, "MEDIUM"),
        event("churn:two-kinds", "performance", judged, 14.0, "HIGH", lag=1),
        # the next check found no newer day that it could judge
        event("churn:two-kinds", "performance", judged, 7.0, "MEDIUM", lag=2),
        event("churn:two-kinds", "statistical", MANY[8], 0.3, "CRITICAL"),
    ]
    for number in (4, 5, 6, 8, 9):  # no check of the eighth day
        found.append(event("churn:strict", "statistical", MANY[number], 0.02 + number / 1_000, None))
        found.append(event("churn:strict", "performance", MANY[number], 1.0 + number / 10, None, lag=1))
    found += [
        setting("churn:strict", "drop_points", 2.0),
        setting("churn:strict", "drop_high_points", 4.0),
        setting("*", "types.churn.drop_critical_points", 12.0),
        setting("churn:strict", "ks_min_distance", 0.02),
    ]
    return found


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One read model and one web process for this file."""
    name = f"charts{os.getpid()}."
    with serving(kafka, tmp_path_factory.mktemp("charts"), name, lambda: emits(fixtures())) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(site: Site) -> AsyncIterator[Page]:
    """One page for this file, which keeps the chart library; none of what it showed may have failed in it."""
    async with launched() as browser, signed_in(browser, site.web, VIEWER, "/audit") as (found, faults):
        yield found
        assert not [fault for fault in faults if "503" not in fault]  # Redis hung in one of the tests


async def show(page: Page, model: str) -> None:
    """Go to a model's page."""
    await go(page, f"/models/churn:{model}")
    await expect(page.locator("h1")).to_have_text(f"churn:{model}")


async def drawing(page: Page, chart: str) -> dict[str, Any]:
    """What a chart was drawn from, and what stands in the page: filled polygons, labels of ticks, models across."""
    found = page.locator(f".chart{chart}")
    # the chart library is 4 MB: on a busy machine it takes its time
    await expect(found.locator("svg").first).to_be_visible(timeout=30_000)
    drawn: dict[str, Any] = await found.evaluate(
        """gd => ({
          data: gd.data.map(t => ({ name: t.name, x: [...t.x], y: [...t.y], fill: t.fill ?? null, text: t.text,
                                    colour: t.marker?.color })),
          shapes: gd.layout.shapes.map(s => s.y0),
          filled: gd.querySelectorAll(".fills path.js-fill").length,
          across: gd.querySelectorAll(".shapelayer path").length,
          ticks: [...gd.querySelectorAll(".xtick text")].map(t => t.textContent),
          markers: gd.querySelectorAll(".points path.point").length,
        })"""
    )
    return drawn


def bands(shown: dict[str, Any]) -> list[list[str]]:
    """The days that each filled polygon covers."""
    return [sorted(set(trace["x"])) for trace in shown["data"] if trace["fill"] == "toself"]


def trace(shown: dict[str, Any], name: str) -> dict[str, Any]:
    """A trace by its name."""
    (found,) = [t for t in shown["data"] if t["name"] == name and t["fill"] is None]
    return dict(found)


async def test_a_band_ends_where_a_day_has_no_value(page: Page) -> None:
    await show(page, "gaps")
    shown = await drawing(page, DAY_BY_DAY)
    assert bands(shown) == [MANY[:5], MANY[6:8], MANY[9:11]]
    assert shown["filled"] == 3
    values = dict(zip(trace(shown, "v1")["x"], trace(shown, "v1")["y"], strict=True))
    assert [day for day in MANY if values[day] is None] == [MANY[5], MANY[8], MANY[11]]
    assert shown["markers"] == 9


async def test_each_check_and_day_has_one_marker_and_the_worst_is_on_top(page: Page) -> None:
    await show(page, "two-kinds")
    drift = trace(await drawing(page, DAY_BY_DAY), "drift")
    marks = list(zip(drift["x"], drift["text"], strict=True))
    assert marks == [
        (MANY[7], "MEDIUM statistical drift"),
        (MANY[7], "HIGH performance drift"),
        (MANY[8], "CRITICAL statistical drift"),
    ]
    heights = dict(zip(drift["text"], drift["y"], strict=True))
    assert heights["HIGH performance drift"] > heights["MEDIUM statistical drift"]
    assert len(set(drift["colour"])) == 3


@pytest.mark.parametrize("width", [1440, 390])
async def test_five_days_have_five_labels(page: Page, width: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await show(page, "five-days")
    shown = await drawing(page, DAY_BY_DAY)
    assert shown["ticks"] == ["2 Mar", "3 Mar", "4 Mar", "5 Mar", "6 Mar"]


@pytest.mark.parametrize(("width", "labels"), [(390, 4), (1440, 6)])
async def test_twelve_days_have_no_label_twice(page: Page, width: int, labels: int) -> None:
    await page.set_viewport_size({"width": width, "height": 900})
    await show(page, "two-kinds")
    ticks = (await drawing(page, DAY_BY_DAY))["ticks"]
    assert len(ticks) == len(set(ticks)) == labels


async def test_without_labels_the_chart_says_so(page: Page) -> None:
    await show(page, "no-labels")
    chart = page.locator(".chart.tall")
    await expect(chart).to_contain_text("No labels: no outcome has come for any of these days.")
    await expect(chart.locator("svg")).to_have_count(0)
    for _ in range(2):
        await page.get_by_label("Metric").select_option("predictions")
        await expect(chart.locator("svg.main-svg").first).to_be_visible(timeout=30_000)
        await expect(chart.locator("path.point")).to_have_count(5)
        await page.get_by_label("Metric").select_option("recall")
        await expect(chart).to_contain_text("No labels")
        await page.get_by_label("Dark or light").click()  # charts are drawn anew, and words stay words
        await expect(chart).to_contain_text("No labels")
        await expect(chart.locator("svg")).to_have_count(0)


async def test_limits_are_those_of_the_model(page: Page) -> None:
    await show(page, "strict")
    drop, distance = await drawing(page, DROP), await drawing(page, DISTANCE)
    assert drop["shapes"] == [2, 4, 12]
    assert distance["shapes"] == [0.02, 0.1, 0.2]
    assert drop["across"] == distance["across"] == 3
    checked = sorted(day for day, value in zip(*_points(distance), strict=True) if value is not None)
    assert len(checked) == 5
    runs = [list(run) for _, run in itertools.groupby(enumerate(checked), lambda at: int(at[1][-2:]) - at[0])]
    assert bands(distance) == [[day for _, day in run] for run in runs]
    assert len(runs) == 2
    await show(page, "two-kinds")
    assert (await drawing(page, DROP))["shapes"] == [5, 10, 12]


def _points(shown: dict[str, Any]) -> tuple[list[str], list[float | None]]:
    week = trace(shown, "7 days")
    return week["x"], week["y"]


async def test_a_view_opened_while_redis_hangs_loads_when_it_is_back(site: Site, page: Page) -> None:
    site.redis.signal(signal.SIGSTOP)
    try:
        await go(page, "/")
        await expect(page.get_by_role("button", name="Try again")).to_be_visible(timeout=15_000)
    finally:
        site.redis.signal(signal.SIGCONT)
    await expect(page.locator("table.rows a.name")).to_have_count(5, timeout=15_000)

"""No range of days on any page is off by one: each is a window as ``plumbline explain`` tells it, the rows of a
training as commanded, or follows from the newest day that the API knows; in every time zone, also in tooltips and in
what is folded away. And an address restores the range of a page."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from stream_app.settings import children
from tests.support.browsing import launched, signed_in
from tests.support.live import VIEWER, Site, newest, published, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEL = "churn:step-25-300-on"
ZONES = ("UTC", "Asia/Kathmandu", "America/Los_Angeles")
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS = {name: number for number, name in enumerate(NAMES, 1)}
_MONTH = f"(?:{'|'.join(NAMES)})"
#: ``11–17 Jan (7 days)``, ``28 Dec 2025 – 3 Jan 2026``, ``4 Feb (1 day)``; a day alone is one only with its number.
RANGE = re.compile(
    rf"(?<![\d.])(?:(?P<day>\d{{1,2}})(?: (?P<month>{_MONTH}))?(?: (?P<year>\d{{4}}))? ?– ?)?"
    rf"(?P<last>\d{{1,2}}) (?P<last_month>{_MONTH})(?: (?P<last_year>\d{{4}}))?(?: \((?P<days>\d+) days?\b)?"
)
#: ``1 Apr 00:00 to 8 Apr 10:00 UTC``
TIMES = re.compile(
    rf"(\d{{1,2}} {_MONTH}(?: \d{{4}})? \d\d:\d\d) to (\d{{1,2}} {_MONTH}(?: \d{{4}})? \d\d:\d\d) (\S.*?)(?:[,;.]|$)",
    re.M,
)

#: Every text that people can come to see: of each element by itself, so that a number before a range is no part of it;
#: tooltips; and what charts say where the mouse stands.
TEXTS = """e => {
    const walker = document.createTreeWalker(e, NodeFilter.SHOW_TEXT), out = [];
    while (walker.nextNode()) out.push(walker.currentNode.data);
    for (const told of e.querySelectorAll("[title]")) out.push(told.title);
    for (const told of e.querySelectorAll("[aria-label]")) out.push(told.getAttribute("aria-label"));
    for (const chart of e.querySelectorAll(".chart"))
        for (const trace of chart.data ?? []) out.push(trace.name ?? "", ...[trace.text ?? []].flat().map(String));
    return out.join("\\n");
}"""

Days = tuple[date, date]
Times = tuple[datetime, datetime]


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


def ranges(text: str) -> list[tuple[Days, int | None]]:
    """Every range of days in a text, both ends included, with the number of days where it says one."""
    this_year = datetime.now(UTC).year
    out = []
    for found in RANGE.finditer(text):
        if not found["day"] and not found["days"]:
            continue  # a day, or a time
        last_year = int(found["last_year"] or this_year)
        last = date(last_year, MONTHS[found["last_month"]], int(found["last"]))
        month = MONTHS[found["month"] or found["last_month"]]
        first = date(int(found["year"] or last_year), month, int(found["day"])) if found["day"] else last
        out.append(((first, last), int(found["days"]) if found["days"] else None))
    return out


def between_times(text: str, zone: str) -> list[Times]:
    """Every range of times in a text, which names its zone."""
    out = []
    for begin, end, named in TIMES.findall(text):
        assert named.strip() == zone.replace("_", " "), (begin, end, named)
        out.append((_time(begin, zone), _time(end, zone)))
    return out


def _time(text: str, zone: str) -> datetime:
    day, month, *year, clock = text.split()
    hour, minute = map(int, clock.split(":"))
    at = datetime(int(year[0]) if year else datetime.now(UTC).year, MONTHS[month], int(day), hour, minute)
    return at.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


async def test_ranges_are_read_as_people_write_them() -> None:
    year = datetime.now(UTC).year
    jan = (date(year, 1, 11), date(year, 1, 17))
    assert ranges("rows of 11–17 Jan (7 days) beside") == [(jan, 7)]
    assert ranges("Within three days before: 11–17 Jan, days of UTC. On 4 Feb, 5 Feb 04:00") == [(jan, None)]
    assert ranges("28 Dec 2024 – 3 Jan 2025 (7 days), 4 Feb (1 day)") == [
        ((date(2024, 12, 28), date(2025, 1, 3)), 7), ((date(year, 2, 4),) * 2, 1),
    ]  # fmt: skip
    assert ranges("30 Jan – 5 Feb 2025 (7 days)") == [((date(2025, 1, 30), date(2025, 2, 5)), 7)]
    assert between_times("rows of 1 Apr 2025 05:45 to 8 Apr 2025 15:45 Asia/Kathmandu, judged", "Asia/Kathmandu") == [
        (datetime(2025, 4, 1, tzinfo=UTC), datetime(2025, 4, 8, 10, tzinfo=UTC))
    ]


def window_of(row: dict[str, Any]) -> Times:
    """What includes its beginning and excludes its end."""
    begin, end = (datetime.fromisoformat(row[name]).astimezone(UTC) for name in ("from", "to"))
    return begin, end


def whole_days(window: Times) -> Days:
    """Its first and last day."""
    return window[0].date(), (window[1] - timedelta(days=1)).date()


async def explained(site: Site, id: str) -> set[Times]:
    """The windows that ``plumbline explain`` tells."""
    env = children.fresh_environment(kafka_bootstrap=site.prefix.bootstrap, **site.prefix.topics.as_settings())
    words = ("explain", id, "--no-recompute", "--json")
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", *words, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await done.communicate()
    assert done.returncode == 0, err.decode()
    return {window_of(w) for event in json.loads(out)["events"] for w in event["windows"]}


def of_days(windows: set[Times]) -> set[Days]:
    """Those that begin and end at midnight, which a page names by their days; hourly alarms have others."""
    return {whole_days(window) for window in windows if all(at.time() == time() for at in window)}


def alerts() -> list[dict[str, Any]]:
    """Newest revisions of alerts of two kinds."""
    rows = newest("alerts", lambda row: row["id"]).values()
    drift = max((r for r in rows if r["type"] == "ML_DRIFT_DETECTED"), key=lambda r: r["opened_at"])
    return [drift, next(r for r in rows if r["type"] == "ML_OUTCOMES_INCOMPLETE")]


def trained() -> set[Times]:
    """Rows of every training command, and those it was judged on."""
    commands = newest("training-commands", lambda row: row["id"]).values()
    return {window_of(row["data"][part]) for row in commands if row.get("data") for part in ("train", "holdout")}


def closed(model: str) -> list[date]:
    """The closed days of a model."""
    rows = newest("metric-snapshots", lambda row: (row["model"], row["date"]))
    return sorted(
        date.fromisoformat(day) for (name, day), row in rows.items() if name == model and row["state"] == "closed"
    )


def around(alert: dict[str, Any]) -> set[Days]:
    """What a page says of an alert without a window: the days before its onset, and those of each age of labels."""
    revisions = [json.loads(emit.value or b"") for emit in published()["alerts"]]
    first = min((r for r in revisions if r["id"] == alert["id"]), key=lambda r: r["revision"])
    found = [
        r["report"][slot] for r in (alert, first) for slot in ("performance", "completeness") if r["report"].get(slot)
    ]
    onset = date.fromisoformat(next((f["since"] for f in found if f.get("since")), found[-1]["day"]))
    newest_day = closed(alert["model"])[-1]
    ages = ((1, 1), (2, 2), (3, 4), (5, 7), (8, 14), (15, 30))
    return {(onset - timedelta(days=3), onset)} | {
        (newest_day - timedelta(days=most - 1), newest_day - timedelta(days=least - 1)) for least, most in ages
    }


async def settled(page: Page) -> None:
    await expect(page.locator("h1").first).to_be_visible(timeout=20_000)
    await expect(page.locator(".skeleton")).to_have_count(0)
    for chart in await page.locator(".chart").all():
        await expect(chart.locator("svg").first.or_(chart.locator("p"))).to_be_visible(timeout=30_000)


async def test_no_range_of_days_on_any_page_is_off_by_one(site: Site, browser: Browser) -> None:
    drift, incomplete = alerts()
    known = {alert["id"]: await explained(site, alert["id"]) for alert in alerts()}
    of_model: set[Times] = set()
    events = newest("drift-events", lambda row: (row["model"], row["kind"], row.get("check")))
    for (model, kind, _), event in events.items():
        # a model's page shows its newest comparisons; those that found nothing are published like those that did
        if model == MODEL and kind in ("statistical", "performance"):
            of_model |= await explained(site, event["id"])
    week = (closed(MODEL)[-7], closed(MODEL)[-1])
    async with site.web.client() as client:
        heat = [row["heat"][0] for row in (await client.get("/fleet")).json()["items"]]
    checked = date.fromisoformat(max(heat))
    expected: dict[str, set[Days]] = {
        "/": {(checked - timedelta(days=29), checked)},
        f"/models/{MODEL}": of_days(of_model) | {week},
        "/alerts": set(),
        f"/alerts/{drift['id']}": of_days(known[drift["id"]]) | around(drift),
        f"/alerts/{incomplete['id']}": of_days(known[incomplete["id"]]) | around(incomplete),
        "/retraining": set(),
        f"/retraining/{MODEL}": of_days(trained()),
        "/settings": set(), "/audit": set(), "/pipeline": set(),
    }  # fmt: skip
    seen: dict[str, int] = {}
    for zone in ZONES:
        async with signed_in(browser, site.web, VIEWER, f"/?tz={zone}") as (page, _):
            for path, allowed in expected.items():
                await page.goto(f"{site.web.address}{path}?tz={zone}")
                await settled(page)
                chosen = [await field.input_value() for field in await page.locator(".range input[type=date]").all()]
                shown = {(date.fromisoformat(chosen[0]), date.fromisoformat(chosen[1]))} if chosen else set()
                text = await page.locator("main").evaluate(TEXTS)
                found, times = ranges(text), between_times(text, zone)
                seen[path] = seen.get(path, 0) + len(found) + len(times)
                for (first, last), count in found:
                    assert count in (None, (last - first).days + 1), (path, zone, first, last, count)
                    assert (first, last) in allowed | shown, (path, zone, first, last, sorted(allowed))
                assert set(times) <= trained() | known.get(path.rpartition("/")[2], set()), (path, zone, times)
    print({path: count for path, count in seen.items() if count})
    # or the walk could not fail
    least = {"/": 1, f"/models/{MODEL}": 3, f"/retraining/{MODEL}": 2}
    least |= {f"/alerts/{alert['id']}": 3 for alert in alerts()}
    assert all(seen[path] >= count * len(ZONES) for path, count in least.items()), seen


@pytest.mark.parametrize("zone", ZONES)
async def test_a_cell_of_the_heat_map_tells_of_the_checks_of_its_day(site: Site, browser: Browser, zone: str) -> None:
    found: dict[date, set[str]] = {}
    for event in newest(
        "drift-events", lambda row: (row["model"], row["kind"], row.get("check"), row["as_of"][:10])
    ).values():
        if (
            event["model"] == MODEL
            and event["kind"] == "performance"
            and event["verdict"] == "drift"
            and not event.get("check")
        ):
            found.setdefault(date.fromisoformat(event["as_of"][:10]), set()).add(event["severity"])
    async with signed_in(browser, site.web, VIEWER, f"/?tz={zone}") as (page, _):
        row = page.locator("table.rows tbody tr", has=page.locator("a.name", has_text=MODEL))
        await expect(row.locator(".heatstrip title")).to_have_count(30)
        told = await row.locator(".heatstrip title").all_text_contents()
    drifted = {}
    for text in told:
        day, _, what = text.partition(": ")
        if severity := re.search("performance ([A-Z]+) drift", what):
            drifted[ranges(f"{day} (1 day)")[0][0][0]] = {severity[1]}
    assert drifted
    assert drifted == {day: severities for day, severities in found.items() if day in drifted or day >= min(drifted)}


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
                await expect(page.locator(".chart[aria-label^='Recall by day']")).to_be_visible(timeout=30_000)
                await expect(page.get_by_role("combobox", name="Metric")).to_have_value("recall")
                chart = page.locator(".chart:has(svg)").first
                await expect(chart).to_be_visible(timeout=30_000)
                axis = await chart.evaluate("gd => gd.layout.xaxis.range.map(x => String(x).slice(0, 10))")
                # half a day is left on either side, so that no point touches the edge
                assert abs((date.fromisoformat(axis[0]) - first).days) <= 1, (path, axis)
                assert abs((date.fromisoformat(axis[1]) - last).days) <= 1, (path, axis)
                await page.reload()
            assert not faults

"""One planted month: the topics, the API, the commands and the pages say the same of every model, number by number."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from click.testing import CliRunner
from playwright.async_api import Locator, Page, expect
from scipy.stats import binomtest

from stream_app.cli import cli
from stream_app.core.kit.effects import Emit
from tests.support.browsing import go, launched, signed_in
from tests.support.kafka_io import read
from tests.support.live import VIEWER, Site, serving
from tests.support.planted import NONE, active, days, drawn, emits, open_day, setting, snapshot

pytestmark = pytest.mark.asyncio(loop_scope="module")

MONTH = days("2026-03-02", 31)
LONG = days("2025-12-20", 103)  # its newest day is the month's, and its first ones are older than 90 days
TODAY = "2026-04-02"
SINCE = "2026-03-02T01:00:00.000Z"
SHOWN = ["churn:acme", "churn:beta", "churn:fresh", "churn:silent"]
Row = dict[str, Any]


def month() -> dict[str, tuple[Emit, ...]]:
    """Two versions that overlap and days with revisions; more days than are kept; a first day; no labels; forgotten."""
    found: list[Any] = []
    for number, day in enumerate(MONTH):
        late = NONE if number == 30 else drawn(number, 300 - 7 * number)
        if number < 20:
            found.append(snapshot("churn:acme", day, drawn(number, 150), 400))
            found.append(snapshot("churn:acme", day, drawn(number, 180), 400, revision=2))
        if number >= 17:
            found.append(snapshot("churn:acme", day, late, 320 + number, "v2"))
        found.append(snapshot("churn:silent", day, predictions=1_000 + number))
        found.append(snapshot("churn:gone", day, drawn(number, 100)))
    found += [snapshot("churn:beta", day, drawn(number, 90, 0.7), 100) for number, day in enumerate(LONG)]
    found += [
        # of this day an earlier word than its close: it is no day so far
        open_day("churn:beta", LONG[-1], drawn(1, 40), 50),
        snapshot("churn:beta", LONG[-1], drawn(102, 90, 0.7), 100),
        open_day("churn:acme", TODAY, drawn(3, 20), 123, "v2"),
        open_day("churn:acme", TODAY, NONE, 4, "v1"),
        open_day("churn:fresh", TODAY, drawn(4, 33), 77),
        *(active(f"churn:{name}", "v1", SINCE) for name in ("acme", "beta", "fresh", "silent", "gone")),
        active("churn:acme", "v2", "2026-03-19T07:00:00.000Z", "v1"),
        setting("churn:beta", "performance_metrics", ["accuracy", "recall"]),
    ]
    made = emits(found)
    tombstone = Emit("model-lifecycle", None, b"churn:gone", None, [])
    return {**made, "model-lifecycle": (*made["model-lifecycle"], tombstone)}


@pytest.fixture(scope="module")
def site(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One read model and one web process for this file."""
    with serving(kafka, tmp_path_factory.mktemp("numbers"), f"numbers{os.getpid()}.", month) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(site: Site) -> AsyncIterator[Page]:
    """One page for this file."""
    async with launched() as browser, signed_in(browser, site.web, VIEWER) as (found, faults):
        yield found
        assert not faults


async def in_topic(site: Site) -> dict[str, list[Row]]:
    """Days of each model as the topic has them, worked out here: newest revisions, closed ones of 90 days, open ones
    that did not close."""
    topics = site.prefix.topics
    parts = await read(site.prefix.bootstrap, f"{topics.output_prefix}metric-snapshots", topics.model_partitions)
    newest: dict[tuple[str, str, str], Row] = {}
    for row in (json.loads(record.value) for records in parts.values() for record in records):
        key = (row["model"], row["date"], row["model_version"])
        if row["revision"] >= newest.get(key, row)["revision"]:
            newest[key] = row
    kept = [row for row in newest.values() if row["model"] != "churn:gone" and row["date"] >= "2026-01-01"]
    return {
        model: sorted((r for r in kept if r["model"] == model), key=lambda r: (r["date"], r["model_version"]))
        for model in SHOWN
    }


async def plumbline(site: Site, *arguments: str) -> str:
    """What a command prints, as somebody without a file and without Redis calls it."""
    topics = site.prefix.topics
    env = {
        "COLUMNS": "220",
        "PLUMBLINE_KAFKA_BOOTSTRAP": site.prefix.bootstrap,
        "PLUMBLINE_INPUT_PREFIX": topics.input_prefix,
        "PLUMBLINE_OUTPUT_PREFIX": topics.output_prefix,
        "PLUMBLINE_APP_ID": "somebody-else",
    }
    done = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments), env=env)
    assert done.exit_code == 0, done.output
    return done.stdout


def numbers(text: str) -> list[float]:
    """Every number in a text, those of dates and times too."""
    return [float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def shares(rows: list[Row], version: str) -> tuple[float, float, float] | None:
    """Accuracy of a version's seven days before the newest, and its 95 % limits, by scipy."""
    last = max(row["date"] for row in rows)
    week = [r for r in rows if r["model_version"] == version and MONTH[-8] <= r["date"] < last]
    right = sum(r["true_positives"] + r["true_negatives"] for r in week)
    known = sum(r["outcomes"] for r in week)
    if not known:
        return None
    limits = binomtest(right, known).proportion_ci(0.95, method="wilson")
    return right / known, limits.low, limits.high


async def test_the_commands_and_the_api_say_what_the_topics_say(site: Site) -> None:
    wanted = await in_topic(site)
    listed = [json.loads(text) for text in (await plumbline(site, "models", "--json")).splitlines()]
    printed = await plumbline(site, "models")
    assert [row["model"] for row in listed] == SHOWN
    async with site.web.client() as client:
        fleet = {row["model"]: row for row in (await client.get("/models")).json()["items"]}
        assert sorted(fleet) == SHOWN
        for row in listed:
            model, rows = row["model"], wanted[row["model"]]
            assert row == {key: fleet[model][key] for key in row}
            _agrees(row, rows)
            shown = next(text for text in printed.splitlines() if text.startswith(f"{model} "))
            assert f" {row['predictions']:,} " in shown
            for day in row["so_far"]:
                assert f"{day['predictions']:,} on {day['date']}" in shown
            asked = (await client.get(f"/models/{model}")).json()
            closed = (await client.get(f"/models/{model}/snapshots")).json()["items"]
            assert [*closed, *sorted(asked["open"], key=lambda r: r["model_version"])] == rows
            command = await plumbline(site, "snapshots", model, "--json")
            assert [json.loads(text) for text in command.splitlines()] == rows
            await _prints(site, model, rows)
        assert (await client.get("/models/churn:gone")).status_code == 404


def _agrees(row: Row, rows: list[Row]) -> None:
    """What `models` and the API say of a model, beside its days in the topic."""
    closed = [r for r in rows if r["state"] == "closed"]
    so_far = [r for r in rows if r["state"] == "open"]
    assert row["active_version"] == ("v2" if row["model"] == "churn:acme" else "v1")
    assert [(d["date"], d["predictions"], d["outcomes"]) for d in row["so_far"]] == (
        [(TODAY, sum(r["predictions"] for r in so_far), sum(r["outcomes"] for r in so_far))] if so_far else []
    )
    assert row["date"] == (closed[-1]["date"] if closed else None)
    newest = [r for r in closed if r["date"] == row["date"]]
    made = sum(r["predictions"] for r in newest)
    assert row["predictions"] == made
    assert row["coverage"] == (sum(r["outcomes"] for r in newest) / made if made else None)
    expected = shares(closed, row["active_version"]) if closed else None
    found = (row["metric"]["value"], row["metric"]["low"], row["metric"]["high"])
    assert found == ((None, None, None) if expected is None else pytest.approx(expected, abs=1e-6))


async def _prints(site: Site, model: str, rows: list[Row]) -> None:
    """The table of `plumbline snapshots`, cell by cell."""
    text = await plumbline(site, "snapshots", model)
    cells = [re.split(r" {2,}", row.strip()) for row in text.splitlines()[1:]]
    ratios = ("coverage", "accuracy", "precision", "recall", "f1", "pr_auc", "brier", "calibration_score")
    assert cells == [
        [
            row["date"], row["model_version"], row["state"], str(row["revision"]), f"{row['predictions']:,}",
            *("–" if row[name] is None else f"{row[name]:.3f}" for name in ratios), _by_scores(row),
        ]
        for row in rows
    ]  # fmt: skip


def _by_scores(row: Row) -> str:
    found = row["estimated"]
    if found is None or found["accuracy"] is None:
        return "–"
    value, low, high = (f"{found['accuracy'][name]:.3f}" for name in ("value", "lower", "upper"))
    return f"{value} ({low} to {high}){', muted' if found['muted'] else ''}"


async def test_the_fleet_page_shows_what_the_api_says(site: Site, page: Page) -> None:
    await go(page, "/")
    async with site.web.client() as client:
        fleet = {row["model"]: row for row in (await client.get("/models")).json()["items"]}
        await expect(page.locator("table.rows tbody tr")).to_have_count(len(SHOWN))
        for model, row in fleet.items():
            shown = page.locator("table.rows tbody tr", has=page.get_by_role("link", name=model, exact=True))
            metric, labelled, made = (shown.locator(f"td.{name}") for name in ("metric", "labelled", "made"))
            value, low, high = (row["metric"][name] for name in ("value", "low", "high"))
            assert numbers(await metric.inner_text()) == ([] if value is None else _rounded(value, low, high))
            expected = [] if row["coverage"] is None else [float(f"{100 * row['coverage']:.0f}")]
            assert numbers(await labelled.inner_text()) == expected
            newest = max(other["date"] or "" for other in fleet.values())
            told = [row["predictions"]] if row["date"] else []
            if row["date"] and row["date"] != newest:
                told.append(int(row["date"][8:]))
            assert numbers(await made.inner_text()) == told
            so_far = [number for day in row["so_far"] for number in (day["predictions"], int(day["date"][8:]))]
            assert numbers(await made.get_attribute("title") or "") == so_far


def _rounded(*values: float) -> list[float]:
    return [float(f"{value:.3f}") for value in values]


@pytest.mark.parametrize("model", SHOWN)
async def test_the_page_of_a_model_shows_what_its_topic_says(site: Site, page: Page, model: str) -> None:
    rows = (await in_topic(site))[model]
    await go(page, f"/models/{model}")
    await expect(page.locator("h1")).to_have_text(model)
    async with site.web.client() as client:
        asked = (await client.get(f"/models/{model}")).json()
        await _facts(page, asked)
        await page.get_by_text("Snapshots (").click()
        table = page.locator("table[aria-label=Snapshots] tbody tr")
        await expect(table).to_have_count(len(rows))
        shown = [await _cells(row) for row in await table.all()]
        assert sorted(shown) == sorted(_as_shown(row) for row in rows)
        await _versions(page, asked, rows)
        closed = [row for row in rows if row["state"] == "closed"]
        if any(row["outcomes"] for row in closed):
            await _drawn(page, closed)
            await _confusion(page, [row for row in closed if row["model_version"] == asked["active_version"]][-7:])


async def _facts(page: Page, asked: Row) -> None:
    fact = page.locator("dl.facts > div")
    metric, predictions, labelled = [await fact.nth(n).locator("dd").inner_text() for n in range(3)]
    value, low, high = (asked["metric"][name] for name in ("value", "low", "high"))
    assert numbers(metric) == ([] if value is None else _rounded(value, low, high))
    assert numbers(predictions) == [asked["predictions"], *([int(asked["date"][8:])] if asked["date"] else [])]
    assert numbers(labelled) == ([] if asked["coverage"] is None else [float(f"{100 * asked['coverage']:.1f}")])


async def _cells(row: Locator) -> list[str]:
    return [text.strip() for text in await row.locator("td").all_inner_texts()]


def _as_shown(row: Row) -> list[str]:
    so_far = " so far" if row["state"] == "open" else ""
    share = "–" if row["coverage"] is None else f"{100 * row['coverage']:.1f} %"
    ratios = ("accuracy", "precision", "recall", "pr_auc", "brier")
    return [
        f"{row['date']}{so_far}", row["model_version"], str(row["revision"]), f"{row['predictions']:,}", share,
        *("–" if row[name] is None else f"{row[name]:.3f}" for name in ratios),
    ]  # fmt: skip


async def _versions(page: Page, asked: Row, rows: list[Row]) -> None:
    shown = [await _cells(row) for row in await page.locator("table[aria-label=Versions] tbody tr").all()]
    assert [(cells[0], int(cells[3])) for cells in shown] == [
        (v["active_version"], sum(r["model_version"] == v["active_version"] and r["state"] == "closed" for r in rows))
        for v in reversed(asked["versions"])
    ]


async def _drawn(page: Page, closed: list[Row]) -> None:
    """The points of the chart are the days."""
    chart = page.locator(".chart[aria-label='Accuracy by day']")
    await expect(chart.locator("svg").first).to_be_visible(timeout=30_000)
    traces = await chart.evaluate("gd => gd.data.filter(t => t.name).map(t => [t.name, [...t.x], [...t.y]])")
    points = {(name, day): y for name, x, ys in traces for day, y in zip(x, ys, strict=True)}
    assert points == {(row["model_version"], row["date"]): row["accuracy"] for row in closed}


async def _confusion(page: Page, week: list[Row]) -> None:
    label = await page.locator(".matrix").get_attribute("aria-label")
    names = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert numbers(label or "") == [sum(row[name] for row in week) for name in names]

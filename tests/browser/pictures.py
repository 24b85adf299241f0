"""Draw the pictures of docs/images anew: ``python -m tests.browser.pictures``, in a minute or two. Look at each after.

Two worlds in memory, without a broker: a model that loses 30 points, is trained anew and is well again; and the four
models of the browser tests under the names of 36.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from playwright.async_api import Browser, expect

from schemas.common import parse_ms
from stream_app.projection.apply import KINDS
from stream_app.projection.keys import Keys
from tests.browser.test_on_call import settled
from tests.machine.chain import MODEL, PARTITIONS, Chain, Turn
from tests.support.browsing import launched
from tests.support.live import OPERATOR, RedisServer, published
from tests.support.loop import rows_of
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, flipped, healthy
from tests.support.standing import folded, standing

IMAGES = Path(__file__).parents[2] / "docs" / "images"
#: Days of the first world, its first bad one, the first of its new version, and rows a day.
DAYS, BAD, NEW, ROWS = 24, 12, 16, 300
TYPES = ("fraud", "churn", "credit", "ads")
TENANTS = ("acme", "bolt", "corto", "delta", "eon", "fig", "gale", "hub", "ion")
METRICS = {"accuracy": 0.83, "precision": 0.81, "recall": 0.8, "pr_auc": 0.8, "precision_at_80_recall": 0.8}
UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: kind, decoded, and as it was published
Row = tuple[str, dict[str, Any], bytes]


class Picture(NamedTuple):
    """A page as somebody sees it at a time of its world."""

    name: str
    path: str
    size: tuple[int, int]
    scale: float


def closed_loop() -> list[Row]:
    """What the stages publish of a model from loss to recovery; a trainer and a deployer answer with the next turn."""
    turns = [turn for day in range(DAYS) for turn in _day(day)]
    chain, answered = Chain(turns), 0
    for number in range(len(turns)):
        chain.turn()
        chain.settle()
        commands = chain.values("training-commands")
        if number + 1 < len(turns):
            answers = [("training-results", MODEL.encode(), orjson.dumps(_answer(c))) for c in commands[answered:]]
            turns[number + 1].records.extend(answers)
            answered = len(commands)
    return [
        (kind, json.loads(value), value)
        for kind in KINDS
        for partition in range(PARTITIONS)
        for _, value, _ in chain.sent.get((kind, partition), ())
        if value
    ]


def _day(day: int) -> Iterator[Turn]:
    rng = np.random.default_rng([1, day])
    found = healthy(rng, ROWS)
    if BAD <= day < NEW:
        found = flipped(found, rng, 30)
    noon = (FIRST_DAY + day) * DAY_MS + 12 * HOUR_MS
    yield Turn(noon, True, rows_of(MODEL, "v1" if day < NEW else "v2", day, found))
    for hour in (13, 14, 15, 16):  # 01:00 to 04:00 of the next day
        yield Turn(noon + hour * HOUR_MS, True, [])


def _answer(command: dict[str, Any]) -> dict[str, Any]:
    told = {"model": command["model"], "command_id": command["command_id"], "attempt": command["attempt"]}
    if command["command"] == "train":
        metrics = {"candidate_metrics": METRICS, "champion_metrics": METRICS}
        return {**told, "status": "succeeded", "candidate_version": "v2", **metrics}
    return {**told, "status": "activated", "candidate_version": command["candidate_version"]}


def fleet(models: int = 36) -> list[Row]:
    """The records of the browser tests' four models, each for a fourth of the names; ids stay ids of their own."""
    rows: dict[str, list[tuple[str, bytes]]] = {}
    for kind in KINDS:
        for emit in published().get(kind, ()):
            if emit.value:
                rows.setdefault(json.loads(emit.value)["model"], []).append((kind, emit.value))
    drawn = sorted(name for name in rows if name != "*")
    return [
        (kind, row, value)
        for number in range(models)
        for kind, row, value in _as(
            rows[drawn[number % 4]], f"{TYPES[number // 4 % 4]}:{TENANTS[number % 9]}-{number // 9}"
        )
    ]


def _as(rows: list[tuple[str, bytes]], name: str) -> Iterator[Row]:
    model_type, _, tenant = name.partition(":")
    for kind, value in rows:
        row = json.loads(value)
        text = value.replace(row["model"].encode(), name.encode())
        text = UUID.sub(lambda id: str(uuid.uuid5(uuid.NAMESPACE_URL, id[0].decode() + name)).encode(), text)
        row = {**json.loads(text), "model_type": model_type, "tenant_id": tenant}
        yield kind, row, orjson.dumps(row)


def _time(row: dict[str, Any]) -> str:
    return next((row[name] for name in ("at", "as_of", "since", "date") if row.get(name)), "")


async def draw(browser: Browser, url: str, prefix: str, rows: list[Row], pictures: list[Picture]) -> None:
    """Pictures of a world as it stands with these records, at the time of the last one."""
    folded(url, Keys(prefix), rows)
    now = max(_time(row) for _, row, _ in rows if "T" in _time(row))
    with standing(url, prefix, parse_ms(now)) as address:
        for picture in pictures:
            width, height = picture.size
            context = await browser.new_context(
                viewport={"width": width, "height": height}, device_scale_factor=picture.scale, color_scheme="light"
            )
            page = await context.new_page()
            await page.clock.set_fixed_time(now)
            await page.goto(f"{address}{picture.path}#token={OPERATOR}")
            await settled(page)
            await expect(page.locator("#bar .asof")).to_be_visible(timeout=15_000)
            await page.wait_for_load_state("networkidle")
            await page.mouse.move(1, 1)
            await page.screenshot(path=IMAGES / f"{picture.name}.png")
            print(f"{picture.name}: {picture.path}")
            await context.close()


async def main() -> None:
    """All four."""
    loop, many = closed_loop(), fleet()
    commanded = next(_time(row) for kind, row, _ in loop if kind == "training-commands")
    before = [record for record in loop if _time(record[1]) <= commanded]
    alerts = [row for kind, row, _ in many if kind == "alerts" and row["type"] == "ML_DRIFT_DETECTED"]
    worst = next(row for row in alerts if row["severity"] == "CRITICAL" and row["model"].startswith("fraud:"))
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder)).start()
        try:
            async with launched() as browser:
                model = [Picture("model", f"/models/{MODEL}", (1280, 760), 1.25)]
                await draw(browser, server.url, "well.", loop, model)
                retraining = [Picture("retraining", f"/retraining/{MODEL}", (1280, 760), 1.25)]
                await draw(browser, server.url, "asked.", before, retraining)
                alert = Picture("alert", f"/alerts/{worst['id']}", (1280, 1300), 1)
                await draw(browser, server.url, "many.", many, [alert, Picture("models", "/", (1440, 900), 1)])
        finally:
            server.kill()


if __name__ == "__main__":
    asyncio.run(main())

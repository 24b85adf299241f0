"""Nobody is told that all is well where nothing says so: page, API and commands, walked through every such state."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.async_api import Locator, Page, async_playwright, expect

from schemas.common import rfc3339
from schemas.partitioning import partition_for
from stream_app.cli import cli
from stream_app.core.kit.effects import Emit
from stream_app.kafka import clients
from stream_app.projection.keys import Keys
from tests.support.kafka_io import Prefix, until
from tests.support.live import VIEWER, RedisServer, Web, publish
from tests.support.worker import Worker

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = ("fraud:acme", "fraud:bolt")
HOUR_MS = 3_600_000
#: how a page or a command says that quality is good
GOOD = re.compile(r"No model that was judged needs a look|as good as|nothing needs you|\bsound\b|all is well", re.I)
CLEAR = "No model that was judged needs a look: 2 judged, as of "


class Fleet:
    """Two models as the stages publish them: what the newest check said of them, and how many outcomes came."""

    def __init__(self, prefix: Prefix) -> None:
        self._prefix = prefix
        self._revision = 0
        now = int(time.time() * 1000)
        #: the newest performance check that an installation of now has made
        self.close = rfc3339((now - 4 * HOUR_MS) // (24 * HOUR_MS) * 24 * HOUR_MS + 4 * HOUR_MS)
        self.day = date.fromisoformat(self.close[:10])

    async def say(self, verdict: str, outcomes: int) -> None:
        """Publish it anew."""
        self._revision += 1
        emits: dict[str, list[Emit]] = {"model-lifecycle": [], "metric-snapshots": [], "drift-events": []}
        for model in MODELS:
            own = {"model": model, "tenant_id": model.partition(":")[2]}
            self._add(emits, "model-lifecycle.first", "model-lifecycle", model, own)
            for back in range(1, 10):
                day = {"date": (self.day - timedelta(days=back)).isoformat(), "revision": self._revision}
                counts = {"outcomes": outcomes, "coverage": outcomes / 1_000}
                self._add(emits, "metric-snapshot.closed", "metric-snapshots", model, own | day | counts)
            found = {"as_of": self.close, "verdict": verdict, "windows": []}
            self._add(emits, "drift-event.performance", "drift-events", model, own | found)
        await publish(self._prefix, {kind: tuple(rows) for kind, rows in emits.items()})

    def _add(self, emits: dict[str, list[Emit]], template: str, kind: str, model: str, changes: dict[str, Any]) -> None:
        row = {**json.loads((GOLDEN / f"{template}.json").read_text()), **changes}
        key = "|".join([model, row["model_version"], row["date"]]) if kind == "metric-snapshots" else model
        partition = partition_for(model.encode(), self._prefix.topics.model_partitions)
        emits[kind].append(Emit(kind, partition, key.encode(), json.dumps(row).encode(), []))

    async def tick(self, age_ms: int = 0) -> None:
        """A tick in every partition of the models' clock, the newest of all, that was written so long ago by the
        broker's time: one whose own time lies before another's would move nothing."""
        at = int(time.time() * 1000)
        value = json.dumps({"at": rfc3339(at), "ends_epoch": True, "mode": "external", "end_offsets": {}}).encode()
        topics = self._prefix.topics
        async with clients.producer(self._prefix.bootstrap, {}) as producer:
            for partition in range(topics.model_partitions):
                await producer.send_and_wait(topics.model_clock, value, partition=partition, timestamp_ms=at - age_ms)


class Walk:
    """Page, API and commands of one installation."""

    def __init__(self, web: Web, standing: Page, page: Page, env: dict[str, str]) -> None:
        self._web = web
        #: open all the time, never loaded again
        self.standing = standing
        self._page = page
        self._env = env

    async def told(self, code: str) -> None:
        """Wait until the API gives this reason; then it, every page and every command gives no all-clear."""
        await self._until_api(lambda found: code in [item["code"] for item in found["withheld"]], code)
        found = await self._api("/judgement")
        assert not found["all_clear"]
        assert found["sentence"].startswith("Nothing can be said of quality: ")
        status = await self._api("/status")
        assert status["open_alerts"] is None or found["models"] is not None
        await expect(self.standing.locator("main")).to_contain_text("Nothing ", timeout=15_000)
        for name, text in [
            *await self._commands(),
            *await self._pages("Nothing can be said"),
            ("standing", await self._text()),
        ]:
            assert not GOOD.search(text), (code, name, text)
            assert re.search("Nothing (can be|is) said of quality", text), (code, name, text)
        # nothing is green, and no model "needs nothing"
        assert await self.standing.locator("main .tag.good, td.needs .nothing").count() == 0, code
        assert "nothing" not in await self.standing.locator("td.needs").all_inner_texts(), code
        await expect(await self.good_news_of_a_model()).to_have_count(0)

    async def clear(self) -> None:
        """The same places say that all is well, and what of: or the walk could not fail."""
        await self._until_api(lambda found: found["all_clear"], "the all-clear")
        await expect(self.standing.locator("main")).to_contain_text(CLEAR, timeout=15_000)
        await expect(self.standing.locator("td.needs").first).to_have_text("nothing")
        await expect(self.standing.locator("td.needs .nothing")).to_have_count(len(MODELS))
        for name, text in [*await self._commands(), *await self._pages(CLEAR)]:
            assert CLEAR in text, (name, text)
        await expect(await self.good_news_of_a_model()).to_have_count(1, timeout=15_000)

    async def _text(self) -> str:
        return await self.standing.locator("main").inner_text()

    async def _pages(self, wanted: str) -> list[tuple[str, str]]:
        """What pages say that are opened now; ``wanted``: how the sentence that they wait for begins."""
        out = []
        for path in ("/", "/alerts"):
            await self._page.goto(f"{self._web.address}{path}")
            main = self._page.locator("main")
            unloaded = main.locator("[role=alert]")
            await expect(main.get_by_text(wanted).or_(unloaded).first).to_be_visible(timeout=15_000)
            out.append((path, await main.inner_text() + (f"{wanted} of quality" if await unloaded.count() else "")))
        return out

    async def good_news_of_a_model(self) -> Locator:
        """What a model's own page, opened now, shows in green."""
        await self._page.goto(f"{self._web.address}/models/{MODELS[0]}")
        await expect(self._page.locator("h1, main [role=alert]").first).to_be_visible(timeout=15_000)
        return self._page.locator("main .tag.good")

    async def _commands(self) -> list[tuple[str, str]]:
        asked = (["models"], ["alerts"], ["doctor", "--only", "quality", "--json"])

        def call() -> list[tuple[str, str]]:
            runner = CliRunner(env={"COLUMNS": "200", **self._env})
            return [(" ".join(words), runner.invoke(cli, words).output) for words in asked]

        found = await asyncio.to_thread(call)
        finding = json.loads(found[-1][1])
        assert (finding["level"] == "ok") == bool(GOOD.search(finding["what"]))
        return found

    async def _api(self, path: str) -> Any:
        async with self._web.client() as client:
            return (await client.get(path)).json()

    async def _until_api(self, holds: Callable[[dict[str, Any]], bool], what: str) -> None:
        async def met() -> bool:
            return holds(await self._api("/judgement"))

        await until(met, 90, f"{what} from the API")


@pytest.fixture
async def pages() -> AsyncIterator[tuple[Page, Page]]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = await browser.new_context()
        yield await context.new_page(), await context.new_page()
        await browser.close()


async def test_no_state_that_says_nothing_says_that_all_is_well(
    prefix: Prefix, worker: Callable[..., Worker], pages: tuple[Page, Page], tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    web, running = Web(prefix, tmp_path, redis.url), worker(redis_url=redis.url)
    web.process.start()
    fleet = Fleet(prefix)
    env = {name: value for name, value in running.env.items() if name.startswith("PLUMBLINE_")}
    walk = Walk(web, *pages, env | {"PLUMBLINE_REDIS_URL": redis.url})
    try:
        await web.answers(whole=False)
        for page in pages:
            await page.goto(f"{web.address}/#token={VIEWER}")
            await expect(page.locator("#bar .live")).to_be_visible(timeout=20_000)
        await walk.told("no_worker")  # none has ever run

        running.start()
        await walk.told("no_tick")  # none has ever come
        # from here on ticks are as old as the test says; a worker would not start so
        await prefix.configure(prefix.topics.model_clock, {"message.timestamp.type": "CreateTime"})
        await fleet.tick()
        await walk.told("no_model")
        await fleet.say("insufficient_evidence", outcomes=0)
        await walk.told("none_judged")
        await expect(walk.standing.locator("td.needs").first).to_have_text("without labels")
        await fleet.say("insufficient_evidence", outcomes=9)
        await expect(walk.standing.locator("td.needs").first).to_have_text("insufficient data", timeout=15_000)
        await walk.told("none_judged")

        await fleet.say("no_drift", outcomes=900)
        await walk.clear()

        await fleet.tick(age_ms=27 * HOUR_MS)
        await walk.told("no_tick")
        await fleet.tick()
        await walk.clear()

        redis.signal(signal.SIGSTOP)  # it hangs
        await walk.told("redis_away")
        await expect(walk.standing.locator("#notice")).to_contain_text(
            re.compile(r"was known at \d{4}-\d\d-\d\d \d\d:\d\d UTC")
        )
        await expect(walk.standing.locator("td.needs").first).to_contain_text("no finding on")  # what it last knew
        redis.signal(signal.SIGCONT)
        await walk.clear()
        await expect(walk.standing.locator("#notice")).to_be_empty()

        web.process.kill()  # the live feed breaks off
        await expect(walk.standing.locator("#notice")).to_contain_text(re.compile("Not connected.* was known at "))
        await expect(walk.standing.locator("main")).not_to_contain_text(GOOD)
        web.process.start()
        await web.answers()
        await walk.clear()  # loaded again

        running.kill()
        with redis.client() as client:  # rather than to wait until its last sign of life is old
            client.hset(Keys(prefix.topics.output_prefix).meta, "beat", int(time.time() * 1000) - 60_000)
        await walk.told("no_worker")
    finally:
        with suppress(ProcessLookupError):
            redis.signal(signal.SIGCONT)
        web.process.kill()
        redis.kill()

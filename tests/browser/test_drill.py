"""The drill of the person on call, by keys alone and without a command line: an alert is opened, acknowledged, the
training that waits approved and seen, the alarm said to be real, and the type muted for a weekend. A viewer can do none
of it, and every step is on the audit. Worker, trainer, deployer and web are real; only time is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, expect

from stream_app.commands.send import new_command
from stream_app.replay.results import ResultFollower
from tests.support.browsing import signed_in
from tests.support.kafka_io import Prefix, until
from tests.support.live import OPERATOR, VIEWER, RedisServer, Web
from tests.support.loop import MINUTE_MS, Stepper, Turn
from tests.support.reference import Process
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS
from tests.support.served import ASKS, CHANGE, Serving
from tests.support.worker import Worker

#: A week of a model that is watched with short windows; two days after the change somebody has to approve.
FROM, MOST = CHANGE - 8, CHANGE + 6
RULES: dict[str, Any] = {
    "auto_retrain": True, "auto_retrain_tenants": ["*"], "auto_retrain_types": {"churn": True},
    "retrain_cooldown_days": 1.0, "retrain_min_samples": 30, "types.churn.require_manual_approval": True,
    "types.churn.recent_days": 3, "types.churn.recent_min_judged_days": 2, "types.churn.initial_baseline_days": 3,
    "types.churn.validation_floors": {"accuracy": 0.7, "precision": 0.6},
}  # fmt: skip
ACTOR = "olga"


class Drill:
    """A pipeline whose time goes on by turns, and answers of the trainer and the deployer within them."""

    def __init__(self, stepper: Stepper, answers: ResultFollower, processes: list[Process]) -> None:
        self.stepper, self._answers, self._processes = stepper, answers, processes
        self.at_ms = 0

    async def turn(self, at_ms: int, **rest: Any) -> None:
        """A tick, and more ticks until whatever was commanded is answered."""
        self.at_ms = at_ms
        await self.stepper.turn(Turn(at_ms, **rest))
        while await self._answers.read():
            assert await self._answers.settled(60.0), [process.tail() for process in self._processes]
            self.at_ms += 10 * MINUTE_MS
            await self.stepper.turn(Turn(self.at_ms))

    async def minute(self) -> None:
        """A minute passes."""
        await self.turn(self.at_ms + MINUTE_MS)


async def press_to(page: Page, name: str) -> None:
    """Go to a button as somebody without a mouse does."""
    for _ in range(150):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement?.textContent") == name:
            return
    raise AssertionError(f"no way by keys to {name}")


async def command(page: Page, drill: Drill, name: str, words: str, *before: str) -> None:
    """Open a dialog, go through its fields by keys, send it, and wait until it is done."""
    done = page.locator("#commands .sent.done")
    already = await done.count()
    await press_to(page, name)
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog textarea")).to_be_focused()
    await page.keyboard.type(words)
    for key in (*before, "Tab", "Tab", "Enter"):
        await page.keyboard.press(key)
    await expect(page.locator("dialog")).to_have_count(0, timeout=20_000)

    async def answered() -> bool:
        await drill.minute()
        return await done.count() > already

    await until(answered, 90, f"{name} to be done")


async def test_an_alert_is_handled_from_its_page_by_keys_alone(
    prefix: Prefix, worker: Callable[..., Worker], browser: Browser, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    running = worker(redis_url=redis.url, checkpoint_interval_ms="10").start()
    web = Web(prefix, tmp_path, redis.url, PLUMBLINE_APP_ID=prefix.topics.app_id)
    web.process.start()
    registry = str(tmp_path / "registry")
    serving = await asyncio.to_thread(Serving, Path(registry), [ASKS])
    processes = [
        Process(prefix, tmp_path, "trainer", ["trainer", "--registry", registry, "--learner", "logistic"]).start(),
        Process(prefix, tmp_path, "deployer", ["predictor", "deploy", "--registry", registry]).start(),
    ]
    try:
        async with (
            ResultFollower(prefix.bootstrap, {}, prefix.topics) as answers,
            Stepper(prefix, [running]) as stepper,
            web.client(VIEWER) as api,
        ):
            drill = Drill(stepper, answers, processes)
            rules = [new_command("*", "set", {"values": RULES}, "ada", "a pilot")]
            await drill.turn((FIRST_DAY + FROM) * DAY_MS - 1, orders=rules)
            state = ""
            for day in range(FROM, MOST):
                midnight = (FIRST_DAY + day + 1) * DAY_MS
                await drill.turn(midnight - 12 * HOUR_MS, rows=list(serving.day(ASKS, day)))
                await drill.turn(midnight + 8 * HOUR_MS)
                news = await stepper.fresh(prefix.topics.training_jobs)
                state = news[-1]["state"] if news else state
                if state == "awaiting_approval":
                    break
            assert state == "awaiting_approval"
            await web.answers()

            async def raised() -> bool:
                items = (await api.get("/alerts", params={"type": "ML_DRIFT_DETECTED"})).json()["items"]
                return bool(items)

            await until(raised, 60, "the alert in the read model")
            (alert,) = (await api.get("/alerts", params={"type": "ML_DRIFT_DETECTED"})).json()["items"]
            await _a_viewer_can_do_nothing(browser, web, alert["id"])
            await _the_drill(browser, web, drill, alert["id"])
            audit = (await api.get("/audit", params={"actor": ACTOR})).json()["items"]
            said = {(row["action"], row["decision"]) for row in audit}
            assert {action for action, _ in said} == {"acknowledge", "approve", "verdict", "mute"}, said
            assert not any(decision == "refused" for _, decision in said), said
            caused = (await api.get("/audit", params={"model": ASKS})).json()["items"]
            story = [(row["action"], row["decision"]) for row in caused]
            for step in (("train", "awaiting_approval"), ("validate", "passed"), ("activate", "activated")):
                assert step in story, (step, story)
            (mute,) = (await api.get("/mutes")).json()["items"]
            until_ = datetime.fromisoformat(mute["until"])
            assert (mute["model_type"], until_.isoweekday(), until_.hour) == ("churn", 1, 9)
    finally:
        for process in (*processes, web.process):
            process.kill()
        redis.kill()


async def _a_viewer_can_do_nothing(browser: Browser, web: Web, alert: str) -> None:
    async with signed_in(browser, web, VIEWER, f"/alerts/{alert}") as (page, _):
        await expect(page.locator("[data-key=do-next]")).to_contain_text("needs the operator role")
        assert await page.locator("main button").filter(has_text="…").count() == 0
    because = {"reason": "let me"}
    asked: list[tuple[str, dict[str, Any]]] = [
        (f"/alerts/{alert}/acknowledge", because),
        (f"/models/{ASKS}/approve", because),
        (f"/alerts/{alert}/verdict", {"verdict": "real"}),
        (f"/alerts/{alert}/verdict", {"verdict": "false"}),
        ("/mutes", {**because, "model_type": "churn", "until": "2030-01-01T00:00:00Z"}),
    ]
    async with web.client(VIEWER) as viewer:
        for path, body in asked:
            answer = await viewer.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "viewer"), path


async def _the_drill(browser: Browser, web: Web, drill: Drill, alert: str) -> None:
    async with signed_in(browser, web, OPERATOR, "/") as (page, faults):
        # the page's clock is the pipeline's: a mute ends on the next Monday of that time
        await page.clock.set_fixed_time(datetime.fromtimestamp(drill.at_ms / 1000, UTC))
        for key in "ga":
            await page.keyboard.press(key)
        await expect(page.locator("h1")).to_have_text("Alerts")
        await expect(page.locator("table.rows a.name").first).to_be_visible()
        rows = await page.locator("table.rows a.name").count()
        for _ in range(rows):
            await page.keyboard.press("j")
            if (await page.evaluate("document.activeElement.getAttribute('href')")).endswith(alert):
                break
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/alerts/{alert}")
        await expect(page.get_by_role("button", name="Approve…")).to_be_visible()
        await command(page, drill, "Acknowledge…", "I have it")
        await expect(page.locator("[data-key=do-next]")).to_contain_text(f"Taken by {ACTOR}")
        await command(page, drill, "Approve…", "labels are sound")

        # the training that it caused is on the alert's page, up to the version that it made
        caused = page.locator("[data-key=trainings] li b")
        await expect(caused.filter(has_text="train").first).to_be_visible(timeout=30_000)
        await expect(caused.filter(has_text="activate").first).to_be_visible(timeout=30_000)
        await command(page, drill, "Real alarm…", "the feed changed")
        await expect(page.locator("[data-key=do-next]")).to_contain_text(f"Said to be a real alarm by {ACTOR}")
        # back to the fields above the words: how long, and what
        await command(
            page, drill, "Mute until…", "known until Monday",
            "Shift+Tab", "ArrowDown", "Shift+Tab", "ArrowDown", "Tab", "Tab",
        )  # fmt: skip
        # the training, where one looks for trainings
        for key in "gr":
            await page.keyboard.press(key)
        await expect(page.locator("h1")).to_have_text("Retraining")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text(ASKS)
        active = page.locator("p.soft").first
        await expect(active).to_contain_text("is active")
        await expect(active).not_to_have_text("v1 is active.")
        assert not faults

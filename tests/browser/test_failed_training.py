"""Without a trainer: page, API and command line say that the training failed, until a person ends that."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, expect

from stream_app.commands.send import NewCommand
from stream_app.settings import children
from tests.support.browsing import signed_in
from tests.support.kafka_io import Prefix, until
from tests.support.live import OPERATOR, VIEWER, RedisServer, Web
from tests.support.loop import MINUTE_MS, Stepper, Turn, rows_of
from tests.support.scenarios import DAY_MS, FIRST_DAY, HOUR_MS, step
from tests.support.worker import Worker

SCENARIO = step(25, 99, 5, 300)
MODEL = SCENARIO.model
WHY = "not accepted in 3 attempts"


async def plumbline(prefix: Prefix, *arguments: str) -> tuple[str, str]:
    """The rows that a command prints, and what it says beside them; it must not fail."""
    env = {
        **children.fresh_environment(kafka_bootstrap=prefix.bootstrap, **prefix.topics.as_settings()),
        "COLUMNS": "240",
    }
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", *arguments, env=env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await done.communicate()
    assert done.returncode == 0, err.decode()
    return out.decode(), err.decode()


async def test_a_training_that_nobody_does_is_shown_as_failed_until_a_person_ends_it(
    prefix: Prefix, worker: Callable[..., Worker], browser: Browser, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path / "redis").start()
    running = worker(redis_url=redis.url).start()
    web = Web(prefix, tmp_path, redis.url)
    web.process.start()
    try:
        async with Stepper(prefix, [running]) as stepper, web.client(VIEWER) as api:

            async def shown(wanted: str) -> dict[str, Any]:
                """The job, once the API says that it is in this state."""
                found: dict[str, Any] = {}

                async def there() -> bool:
                    answer = await api.get(f"/models/{MODEL}")
                    found.update(answer.json().get("job") or {} if answer.status_code == 200 else {})
                    return found.get("state") == wanted

                await until(there, 60, f"the API to show {wanted}")
                return found

            for day, found in SCENARIO.draw():
                midnight = (FIRST_DAY + day) * DAY_MS
                await stepper.turn(Turn(midnight + 12 * HOUR_MS, rows_of(MODEL, "v1", day, found)))
                for hour in (1, 2, 3, 4):
                    await stepper.turn(Turn(midnight + DAY_MS + hour * HOUR_MS))
            now = stepper.turns[-1].at_ms + MINUTE_MS
            wish = NewCommand(MODEL, "retrain", {}, "ada", "new feature", str(uuid.uuid4()))
            await stepper.turn(Turn(now, orders=[wish]))
            for attempt in (1, 2, 3):
                await stepper.turn(Turn(now + attempt * 10 * MINUTE_MS))
            # time does not end it: not the back-off's, nor a day's
            for hours in (2, 24):
                await stepper.turn(Turn(now + hours * HOUR_MS))
            await web.answers()

            failure = (await shown("failed"))["failure"]
            assert (failure["command"], failure["attempt"], failure["reason"]) == ("train", 3, WHY)
            at = failure["at"][:16]
            (item,) = (await api.get("/trainings", params={"model": MODEL})).json()["items"]
            assert item["job"]["failure"] == failure
            assert item["history"][0]["failure"] == failure
            fleet = (await api.get("/models")).json()["items"]
            assert "training failed" in next(row["reasons"] for row in fleet if row["model"] == MODEL)
            row = json.loads((await plumbline(prefix, "models", "--json"))[0])
            assert (row["job"]["state"], row["job"]["failure"]) == ("failed", failure)
            assert f"train failed {at}, attempt 3: {WHY}" in (await plumbline(prefix, "models"))[1]

            async with signed_in(browser, web, OPERATOR, f"/retraining/{MODEL}") as (page, faults):
                told = page.locator(".failure").first
                await expect(told).to_contain_text("Training failed")
                await expect(told).to_contain_text(f"attempt 3: {WHY}")
                await page.get_by_role("button", name="Dismiss failure…").click()
                await page.locator("dialog textarea").fill("the trainer was down")
                await page.get_by_role("button", name="Dismiss the failure", exact=True).click()
                await expect(page.locator("dialog")).to_have_count(0, timeout=20_000)

                async def gone() -> bool:
                    await stepper.turn(Turn(stepper.turns[-1].at_ms + MINUTE_MS))
                    return await page.locator(".failure").count() == 0

                await until(gone, 60, "the page to show no failure")
                assert not faults
            assert (await shown("idle"))["failure"] is None
            row = json.loads((await plumbline(prefix, "models", "--json"))[0])
            assert row["job"]["state"] == "idle"
            audit = [json.loads(text) for text in (await plumbline(prefix, "audit", "--json"))[0].splitlines()]
            (said,) = [row for row in audit if row["action"] == "dismiss"]
            assert (said["decision"], said["stage"], said["actor"]) == ("dismissed", "retrain", "olga")
            assert WHY in said["reason"]
            refused = await api.post(f"/models/{MODEL}/dismiss", json={"reason": "x"})
            assert refused.status_code == 403

            # commands of other stages are answered by the stages that carry them out
            orders = [
                NewCommand(MODEL, command, arguments, "ada", "because", str(uuid.uuid4()))
                for command, arguments in (
                    ("register", {"model_version": "v2"}), ("rebaseline", {}), ("acknowledge", {}), ("dismiss", {}),
                )
            ]  # fmt: skip
            await stepper.turn(Turn(stepper.turns[-1].at_ms + MINUTE_MS, orders=orders))
            audit = [json.loads(text) for text in (await plumbline(prefix, "audit", "--json"))[0].splitlines()]
            answered = {
                id: (row["stage"], row["decision"], row["reason"]) for row in audit for id in row["inputs"]["ids"][:1]
            }
            assert [answered[order.id][:2] for order in orders] == [
                ("metrics", "applied"), ("metrics", "applied"), ("alerts", "refused"), ("retrain", "refused"),
            ]  # fmt: skip
            assert answered[orders[0].id][2] == "v2 is active after v1: because"
            assert answered[orders[2].id][2] == "not_open: this model has no open alert"
            assert answered[orders[3].id][2].startswith("nothing_failed: ")
    finally:
        web.process.kill()
        redis.kill()
        await asyncio.sleep(0)

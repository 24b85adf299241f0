"""The web's routes of people on call, on a real Redis that holds what the alerts stage published."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.common import rfc3339, uuid5
from stream_app.commands.send import NewCommand
from stream_app.kafka.topics import topics_of
from stream_app.projection.apply import RedisBatch
from stream_app.projection.client import client
from stream_app.projection.keys import LAYOUT
from stream_app.settings import Settings
from stream_app.web import app as web_app
from stream_app.web import redriving
from stream_app.web.auth import Tokens
from stream_app.web.site import Site
from tests.support.live import OPERATOR, TOKENS, VIEWER, RedisServer
from tests.unit.alerts.bench import MODEL, Bench, D, at, command, event


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = RedisServer(Path(tmp_path_factory.mktemp("redis"))).start()
    yield server.url
    server.kill()


class Desk:
    """A site whose commands are kept in place of being sent, and the bench whose records it shows."""

    def __init__(self, site: Site, app: Any, bench: Bench) -> None:
        self.site, self.app, self.bench = site, app, bench
        self.sent: list[NewCommand] = []
        self._shown = 0

    async def show(self) -> None:
        """Lay out what the bench published since."""
        self.bench.checkpoint(restart=False)
        batch = RedisBatch(self.site.keys, lambda model: "accuracy", {})
        for offset, emit in enumerate(self.bench.emits[self._shown :]):
            batch.take(emit.topic, json.loads(emit.value or b""), emit.value or b"", offset)
        self._shown = len(self.bench.emits)
        batch.finish()
        for each in batch.commands:
            await self.site.redis.execute_command(*each)

    def ask(self, token: str = OPERATOR) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"}
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1/api/v1", headers=headers)


@pytest.fixture
async def desk(redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    # neither a broker nor a worker is there
    settings = Settings(
        redis_url=redis_url, output_prefix=f"p{uuid5(request.node.name)}.", kafka_bootstrap="127.0.0.1:9",
        web_url="http://127.0.0.1:9",
    )  # fmt: skip
    topics = topics_of(settings)
    tokens = Tokens(TOKENS)
    app = web_app.create(settings, topics, tokens)
    redis = client(settings)
    site = Site(settings, topics, redis, tokens)
    app.state.site = site
    bench = Bench()
    bench.close(D, event("performance", D, "drift", "HIGH"))
    made = Desk(site, app, bench)

    async def keep(written: NewCommand) -> None:
        made.sent.append(written)

    site._send = keep  # type: ignore[assignment, method-assign]
    mapping = {"layout": LAYOUT, "generation": "g", "seq": 1, "beat": 1, "tick": at(D, 5), "ticked": at(D, 5)}
    await redis.hset(site.keys.meta, mapping=mapping)
    await made.show()
    yield made
    await redis.flushall()
    await redis.aclose()


def _alert(desk: Desk) -> str:
    return desk.bench.alerts()[0].id


async def test_every_command_about_alerts_is_written_with_its_arguments_and_can_be_asked_for(desk: Desk) -> None:
    id = _alert(desk)
    asked: list[tuple[str, dict[str, Any], tuple[str, str, dict[str, Any]]]] = [
        (f"/alerts/{id}/acknowledge", {"reason": "r"}, (MODEL, "acknowledge", {"alert_id": id})),
        (f"/alerts/{id}/unacknowledge", {"reason": "r"}, (MODEL, "unacknowledge", {"alert_id": id})),
        (f"/alerts/{id}/verdict", {"verdict": "real"}, (MODEL, "verdict", {"alert_id": id, "verdict": "real"})),
        (f"/alerts/{id}/note", {"note": "n"}, (MODEL, "note", {"alert_id": id, "note": "n"})),
        (
            "/mutes", {"model_type": "fraud", "until": "2026-03-09T01:00:00+01:00", "reason": "r"},
            ("*", "mute", {"model_type": "fraud", "until": "2026-03-09T00:00:00.000Z"}),
        ),
        (
            "/mutes/lift", {"model": MODEL, "kinds": ["statistical"], "reason": "r"},
            (MODEL, "unmute", {"kinds": ["statistical"]}),
        ),
    ]  # fmt: skip
    async with desk.ask() as http:
        for path, body, wanted in asked:
            answered = await http.post(path, json=body)
            assert answered.status_code == 202, answered.text
            made = desk.sent[-1]
            assert (made.model, made.command, made.arguments) == wanted
            assert answered.json() == {"command_id": made.id, "href": f"/api/v1/commands/{made.id}"}
            known = (await http.get(f"/commands/{made.id}")).json()
            assert (known["state"], known["command"], known["actor"]) == ("written", wanted[1], "olga")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/mutes", {"until": "2026-03-09T00:00:00Z", "reason": "r"}, 422),
        ("/mutes", {"model": MODEL, "model_type": "fraud", "until": "2026-03-09T00:00:00Z", "reason": "r"}, 422),
        ("/mutes", {"model": MODEL, "until": "tomorrow", "reason": "r"}, 422),
        ("/mutes", {"model": MODEL, "until": "2026-03-09T00:00:00Z", "kinds": ["x"], "reason": "r"}, 422),
        ("/alerts/{id}/verdict", {"verdict": "perhaps"}, 422),
        ("/alerts/{id}/note", {"note": " "}, 422),
        ("/alerts/{id}/note", {"note": "n" * 501}, 422),
        ("/alerts/00000000-0000-0000-0000-000000000000/note", {"note": "n"}, 404),
    ],
)
async def test_what_cannot_be_is_refused_before_it_is_written(
    desk: Desk, path: str, body: dict[str, Any], status: int
) -> None:
    async with desk.ask() as http:
        answered = await http.post(path.format(id=_alert(desk)), json=body)
    assert answered.status_code == status, answered.text
    assert desk.sent == []


async def test_a_viewer_commands_nothing_and_sees_all(desk: Desk) -> None:
    async with desk.ask(VIEWER) as http:
        for path in ("/mutes", "/mutes/lift", f"/alerts/{_alert(desk)}/verdict", f"/alerts/{_alert(desk)}/note"):
            assert (await http.post(path, json={})).status_code == 403
        for path in ("/mutes", "/precision"):
            assert (await http.get(path)).status_code == 200


async def test_outcomes_mutes_and_precision_are_what_the_stage_published(desk: Desk) -> None:
    id = _alert(desk)
    until = rfc3339(at(D + 1))
    desk.bench.epoch(
        at(D, 6),
        command("mute", id="m", until=until),
        command("mute", "*", id="t", model_type="fraud", until=until, kinds=["statistical"]),
        command("verdict", id="v", alert_id=id, verdict="false", note="a test"),
        command("unmute", "fraud:a", id="u"),
    )
    await desk.show()
    async with desk.ask(VIEWER) as http:
        done = (await http.get("/commands/m")).json()
        assert (done["state"], [e["stage"] for e in done["effects"]]) == ("done", ["alerts"])
        refused = (await http.get("/commands/u")).json()
        assert (refused["state"], refused["refused_because"].partition(":")[0]) == ("refused", "not_muted")
        assert (await http.get("/commands/unknown")).status_code == 404
        rows = (await http.get("/mutes")).json()["items"]
        assert [(row.get("model"), row.get("model_type"), row["until"]) for row in rows] == [
            (MODEL, None, until), (None, "fraud", until),
        ]  # fmt: skip
        of_type = (await http.get("/mutes", params={"model": "fraud:other"})).json()["items"]
        assert [row["command_id"] for row in of_type] == ["t"]
        alert = (await http.get(f"/alerts/{id}")).json()["alert"]
        assert (alert["muted_until"], alert["verdict"]["note"], alert["raised_by"]) == (
            until,
            "a test",
            ["performance"],
        )
        (rule,) = (await http.get("/precision")).json()["rules"]
        assert (rule["rule"], rule["model_type"], rule["real"], rule["false"]) == ("performance", "conflict", 0, 1)
        assert (await http.get("/precision", params={"model_type": "fraud"})).json() == {"rules": []}
        # over, once time has passed it
        await desk.site.redis.hset(desk.site.keys.meta, "tick", at(D + 2))
        assert (await http.get("/mutes")).json()["items"] == []


async def test_a_command_for_all_models_waits_for_every_partition(desk: Desk) -> None:
    outcome = {
        "schema": "io.plumbline.command-outcome.v1", "id": uuid5("x"), "at": rfc3339(at(D)), "model": "*",
        "model_type": "*", "tenant_id": "*", "command_id": "all", "command": "approve", "actor": "ada", "reason": "r",
        "effects": [{"stage": "retrain", "state": "refused", "effect": "no"}], "refused_because": "no", "partitions": 2,
    }  # fmt: skip
    states = []
    async with desk.ask(VIEWER) as http:
        for partition, state in ((1, "refused"), (0, "done")):
            row = {**outcome, "partition": partition, "state": state}
            batch = RedisBatch(desk.site.keys, lambda model: "accuracy", {})
            batch.take("command-outcomes", row, json.dumps(row).encode(), partition)
            for each in batch.commands:
                await desk.site.redis.execute_command(*each)
            states.append((await http.get("/commands/all")).json()["state"])
    assert states == ["waiting", "done"]


async def test_the_pipeline_is_answered_for_whatever_is_away_and_kept_for_some_seconds(desk: Desk) -> None:
    async with desk.ask(VIEWER) as http:
        first = await http.get("/pipeline")
        assert first.status_code == 200
        told = first.json()
        assert (await http.get("/pipeline")).json() == told
    assert set(told) == {
        "at", "workers", "lanes", "tick", "checks_today", "dead_letters", "bridge", "trainer", "deployer", "problems",
    }  # fmt: skip
    assert [row["ready"] for row in told["workers"]] == [False]
    assert told["checks_today"] == [
        {"check": check, "expected": 0, "done": 0} for check in ("quality", "statistical", "performance")
    ]
    about = " ".join(problem["sentence"] for problem in told["problems"])
    assert all(name in about for name in ("no worker answers", "the clock", "dead-lettered records", "consumer groups"))
    assert all(problem["remedy"] for problem in told["problems"])


async def _watched(desk: Desk) -> None:
    """Have the model of the bench in the fleet, with an active version."""
    golden = Path(__file__).parents[1] / "golden" / "model-lifecycle.first.json"
    model_type, _, tenant = MODEL.partition(":")
    row = json.loads(golden.read_text()) | {"model": MODEL, "model_type": model_type, "tenant_id": tenant}
    batch = RedisBatch(desk.site.keys, lambda model: "accuracy", {})
    batch.take("model-lifecycle", row, json.dumps(row).encode(), 0)
    batch.finish()
    for each in batch.commands:
        await desk.site.redis.execute_command(*each)
    await desk.site.redis.zadd(desk.site.keys.touched, {MODEL: 1})


async def test_owners_are_those_of_the_settings_as_they_hold(desk: Desk) -> None:
    await _watched(desk)
    async with desk.ask(VIEWER) as http:
        assert (await http.get("/owners")).json() == {"owners": {}}
        model_type = MODEL.partition(":")[0]
        for owner, key, value, said in (
            ("*", f"types.{model_type}.owner", "the type's team", {MODEL: "the type's team"}),
            (MODEL, "owner", "ada", {MODEL: "ada"}),
        ):
            row = {"model": owner, "key": key, "value": value, "at": rfc3339(at(D, 5)), "actor": "a", "reason": "r"}
            await desk.site.redis.hset(desk.site.keys.settings, f"{owner}|{key}", json.dumps(row))
            assert (await http.get("/owners")).json() == {"owners": said}


async def test_the_budget_counts_who_is_watched_and_spends_nothing_in_shadow(desk: Desk) -> None:
    await _watched(desk)
    async with desk.ask(VIEWER) as http:
        said = (await http.get("/budget")).json()
        assert said["month"] == rfc3339(at(D, 5))[:7]
        assert set(said["models"]) == {"on", "shadow", "off"}
        # the alert of the bench was raised by a daily check, which has no budget
        assert (said["alarms"], said["real"], said["false"], said["not_judged"]) == (0, 0, 0, 0)
        row = {"model": "*", "key": "hourly_alerts", "at": rfc3339(at(D, 5)), "actor": "a", "reason": "r"}
        for mode, other in (("shadow", "on"), ("on", "shadow")):
            await desk.site.redis.hset(desk.site.keys.settings, "*|hourly_alerts", json.dumps(row | {"value": mode}))
            said = (await http.get("/budget")).json()
            assert (said["models"][mode], said["models"][other]) == (1, 0)
            assert said["allowed"] == {mode: 1.0 / 1_000, other: 0.0}
        # an hourly alert of this month that somebody called false is spent of it; one of another month is not
        alert = json.loads(await desk.site.redis.hget(desk.site.keys.alert, _alert(desk)))
        alert |= {"raised_by": ["hourly"], "verdict": {"verdict": "false", "actor": "a", "at": alert["at"]}}
        await desk.site.redis.hset(desk.site.keys.alert, _alert(desk), json.dumps(alert))
        said = (await http.get("/budget")).json()
        assert (said["alarms"], said["false"]) == (1, 1)
        await desk.site.redis.hset(
            desk.site.keys.alert, _alert(desk), json.dumps(alert | {"opened_at": "2020-01-01T00:00:00.000Z"})
        )
        assert (await http.get("/budget")).json()["alarms"] == 0


async def test_a_redrive_is_refused_by_name_asked_for_once_and_says_its_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.app.state.redrives = {}
    asked, read = threading.Event(), redriving.dead_lettered_records

    async def when_asked(*arguments: Any) -> Any:
        """It lasts until the second has been asked for."""
        await asyncio.to_thread(asked.wait, 60)
        return await read(*arguments)

    monkeypatch.setattr(redriving, "dead_lettered_records", when_asked)
    body = {"dead_letter_reason": "invalid_field", "reason": "the producer was repaired"}
    async with desk.ask(VIEWER) as http:
        assert (await http.post("/dead-letters/redrive", json=body)).status_code == 403
    async with desk.ask() as http:
        for wrong in ({"dead_letter_reason": "no such reason"}, {"reason": " "}, {"other": 1}):
            assert (await http.post("/dead-letters/redrive", json=body | wrong)).status_code == 422
        key = {"idempotency-key": "k1"}
        first = await http.post("/dead-letters/redrive", json=body, headers=key)
        assert first.status_code == 202
        again = await http.post("/dead-letters/redrive", json=body, headers=key)
        assert again.json() == first.json()
        other = await http.post("/dead-letters/redrive", json=body | {"dead_letter_reason": "future"}, headers=key)
        assert (other.status_code, other.json()["error"]["code"]) == (422, "key_used")
        second = await http.post("/dead-letters/redrive", json=body)
        assert (second.status_code, second.json()["error"]["code"]) == (409, "redrive_runs")
        asked.set()
        await asyncio.gather(*desk.app.state.redrives.values())
        said = (await http.get(f"/commands/{first.json()['command_id']}")).json()
        # there is no broker
        assert (said["state"], said["command"], said["actor"]) == ("refused", "redrive", "olga")
        assert said["refused_because"]
        assert desk.app.state.redrives == {}

"""The web's routes of people on call, on a real Redis that holds what the alerts stage published."""

from __future__ import annotations

import json
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

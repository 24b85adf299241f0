"""The API and the live feed, on real Kafka and Redis, by clients that mean well and by those that do not."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from tests.support.kafka_io import until
from tests.support.live import OPERATOR, VIEWER, Site, newest, published

MODEL = "churn:step-25-300-on"


@pytest.fixture
async def viewer(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.web.client(VIEWER) as client:
        yield client


@pytest.fixture
async def operator(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    async with site.web.client(OPERATOR) as client:
        yield client


async def test_the_fleet_is_sorted_filtered_and_paged(viewer: httpx.AsyncClient) -> None:
    whole = (await viewer.get("/models")).json()
    attention = [row["attention"] for row in whole["items"]]
    assert attention == sorted(attention, reverse=True)
    assert whole["items"][0]["model"] == MODEL
    assert whole["items"][0]["alert"]["severity"] == "CRITICAL"
    paged, cursor = [], None
    while True:
        page = (await viewer.get("/models", params={"limit": 1} | ({"cursor": cursor} if cursor else {}))).json()
        assert page["total"] == whole["total"]
        paged += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert paged == whole["items"]
    found = (await viewer.get("/models", params={"q": "STRETCHED"})).json()
    assert [row["model"] for row in found["items"]] == ["churn:stretched"]
    alerts = (await viewer.get("/models", params={"state": "alert"})).json()["items"]
    quiet = (await viewer.get("/models", params={"state": "quiet"})).json()["items"]
    assert {row["model"] for row in alerts}.isdisjoint(row["model"] for row in quiet)
    assert all(row["alert"] for row in alerts)


async def _holds_the_windows(viewer: httpx.AsyncClient, closed: list[dict[str, Any]]) -> None:
    """Recent and baseline by the contract's formula, from the dates of snapshots, without the project's own."""
    as_of = date.fromisoformat(closed[-1]["date"]) + timedelta(days=1)
    spans = {"recent": (as_of - timedelta(7), as_of), "baseline": (as_of - timedelta(60), as_of - timedelta(30))}
    for name, (first, end) in spans.items():
        for text in (as_of.isoformat(), f"{as_of.isoformat()}T09:30:00Z"):
            params = {"window": name, "as_of": text}
            rows = (await viewer.get(f"/models/{MODEL}/snapshots", params=params)).json()["items"]
            assert rows == [r for r in closed if first <= date.fromisoformat(r["date"]) < end], (name, text)
    wrong = (
        {"window": "recent", "from": "2026-01-01"}, {"window": "recent", "as_of": "yesterday"}, {"as_of": "2026-01-01"},
        {"window": "week"},
    )  # fmt: skip
    for params in wrong:
        assert (await viewer.get(f"/models/{MODEL}/snapshots", params=params)).status_code == 422, params


async def test_a_model_tells_what_its_topics_say(viewer: httpx.AsyncClient) -> None:
    found = (await viewer.get(f"/models/{MODEL}")).json()
    snapshots = newest("metric-snapshots", lambda r: (r["model"], r["date"]))
    closed = [r for (model, _), r in sorted(snapshots.items()) if model == MODEL and r["state"] == "closed"]
    assert found["date"] == closed[-1]["date"]
    assert found["predictions"] == closed[-1]["predictions"]
    last = closed[-8:-1]
    right = sum(r["true_positives"] + r["true_negatives"] for r in last)
    assert found["metric"]["value"] == pytest.approx(right / sum(r["outcomes"] for r in last), abs=1e-12)
    assert found["metric"]["low"] < found["metric"]["value"] < found["metric"]["high"]
    assert found["trend"] == pytest.approx([r["accuracy"] for r in closed[-30:]])
    rows = (await viewer.get(f"/models/{MODEL}/snapshots", params={"from": closed[3]["date"]})).json()["items"]
    assert rows == closed[3:]
    await _holds_the_windows(viewer, closed)
    checks = (await viewer.get(f"/models/{MODEL}/checks")).json()["items"]
    events = newest("drift-events", lambda r: (r["model"], r["kind"], r.get("check"), r["as_of"][:10]))
    assert {(c["kind"], c["date"]): (c["verdict"], c["severity"]) for c in checks} == {
        (kind, date): (r["verdict"], r.get("severity"))
        for (model, kind, check, date), r in events.items()
        if model == MODEL and check is None
    }


async def test_alerts_events_audit_and_trainings_are_whole(viewer: httpx.AsyncClient) -> None:
    alerts = newest("alerts", lambda r: r["id"])
    for status in ("open", "resolved"):
        found = (await viewer.get("/alerts", params={"status": status, "limit": 200})).json()["items"]
        assert {a["id"] for a in found} == {
            id for id, a in alerts.items() if (a["status"] == "resolved") == (status == "resolved")
        }
    one = next(iter(alerts))
    told = (await viewer.get(f"/alerts/{one}")).json()
    assert told["alert"] == alerts[one]
    assert [r["revision"] for r in told["revisions"]] == list(range(1, alerts[one]["revision"] + 1))
    assert {e["id"] for e in told["events"]} <= set(alerts[one]["drift_event_ids"])
    assert (await viewer.get(f"/drift-events/{told['events'][0]['id']}")).json() == told["events"][0]
    severe = (await viewer.get("/drift-events", params={"severity": "CRITICAL", "model": MODEL})).json()["items"]
    assert severe
    assert all(e["severity"] == "CRITICAL" and e["model"] == MODEL for e in severe)
    ordered = (await viewer.get("/audit", params={"action": "train", "decision": "ordered"})).json()["items"]
    wanted = [r for e in published()["audit"] if (r := json.loads(e.value or b""))["decision"] == "ordered"]
    assert sorted(ordered, key=lambda r: r["id"]) == sorted(wanted, key=lambda r: r["id"])
    assert [r["at"] for r in ordered] == sorted((r["at"] for r in wanted), reverse=True)
    training = (await viewer.get("/trainings", params={"model": MODEL})).json()["items"][0]
    assert training["commands"][0]["command"] == "train"
    assert training["history"][0]["state"] == training["job"]["state"]


async def test_what_is_not_there_says_so(viewer: httpx.AsyncClient) -> None:
    nobody = str(uuid.uuid4())
    for path in (f"/alerts/{nobody}", f"/drift-events/{nobody}", "/models/no:model", "/nothing"):
        answer = await viewer.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"]
    assert (await viewer.get("/alerts", params={"cursor": "x"})).status_code == 400
    odd = await viewer.get("/alerts/zzz")
    assert (odd.status_code, odd.json()["error"]["message"]) == (422, "id: 'zzz' is not written as one is")


async def test_nobody_comes_in_without_a_token_and_guessing_is_slowed_down(site: Site) -> None:
    async with site.web.client("") as nobody:
        for path in ("/me", "/models", f"/models/{MODEL}", "/audit", "/settings"):
            assert (await nobody.get(path)).status_code == 401
        refused = await nobody.post(f"/models/{MODEL}/retrain", json={"reason": "x"})
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await nobody.get("/openapi.json")).status_code == 200
    before = len(await site.commands())
    # from an address of its own, so that the other tests are not slowed down
    transport = httpx.AsyncHTTPTransport(local_address="127.0.0.7")
    async with httpx.AsyncClient(base_url=f"{site.web.address}/api/v1", transport=transport) as guesser:
        codes = [
            (await guesser.get("/me", headers={"authorization": f"Bearer guess-{n:020d}"})).status_code
            for n in range(12)
        ]
        assert codes == [401] * 10 + [429] * 2
        barred = await guesser.get("/me", headers={"authorization": "Bearer one-more-guess-0123456789"})
        assert barred.status_code == 429
        assert int(barred.headers["retry-after"]) <= 60
        # behind one proxy all come from one address: wrong tokens never lock out a right one
        right = await guesser.get("/me", headers={"authorization": f"Bearer {OPERATOR}"})
        assert right.status_code == 200
    assert len(await site.commands()) == before


async def test_a_viewer_writes_nothing(site: Site, viewer: httpx.AsyncClient) -> None:
    before = await site.commands()
    id = next(iter(newest("alerts", lambda r: r["id"])))
    for path in (f"/models/{MODEL}/rollback", f"/models/{MODEL}/approve", f"/alerts/{id}/acknowledge", "/settings"):
        refused = await viewer.post(path, json={"reason": "x", "key": "drop_points", "value": 3})
        assert refused.status_code == 403, path
        assert "operator" in refused.json()["error"]["message"]
    assert await site.commands() == before


async def test_each_command_becomes_one_command_under_its_key(site: Site, operator: httpx.AsyncClient) -> None:
    open_alert = next(a for a in newest("alerts", lambda r: r["id"]).values() if a["status"] != "resolved")
    wanted = []
    for path, body, command, model, arguments in (
        (f"/models/{MODEL}/approve", {}, "approve", MODEL, {}),
        (f"/models/{MODEL}/reject", {"command_id": str(uuid.uuid4())}, "reject", MODEL, None),
        (f"/models/{MODEL}/retrain", {}, "retrain", MODEL, {}),
        (f"/models/{MODEL}/rollback", {"model_version": "v0"}, "rollback", MODEL, {"model_version": "v0"}),
        (f"/models/{MODEL}/rebaseline", {}, "rebaseline", MODEL, {}),
        (f"/models/{MODEL}/reset_circuit", {}, "reset_circuit", MODEL, {}),
        (f"/models/{MODEL}/dismiss", {}, "dismiss", MODEL, {}),
        (f"/alerts/{open_alert['id']}/acknowledge", {}, "acknowledge", open_alert["model"], None),
        ("/settings", {"key": "drop_points", "value": 6}, "set", "*", {"values": {"drop_points": 6}}),
    ):
        answer = await operator.post(path, json={**body, "reason": f"test of {command}"})
        assert answer.status_code == 202, answer.text
        wanted.append((answer.json()["command_id"], command, model, arguments))
    written: dict[Any, Any] = {}
    for row in await site.commands():
        written.setdefault(row["id"], []).append(row)
    for id, command, model, arguments in wanted:
        rows = written[id]
        assert len(rows) == (site.prefix.topics.model_partitions if model == "*" else 1)
        assert rows[0]["command"] == command
        assert rows[0]["model"] == model
        assert rows[0]["actor"] == "olga"
        assert rows[0]["reason"] == f"test of {command}"
        assert arguments is None or rows[0]["arguments"] == arguments

    key = {"Idempotency-Key": "once-and-only"}
    body = {"reason": "once"}
    answers = await asyncio.gather(
        *(operator.post(f"/models/{MODEL}/retrain", json=body, headers=key) for _ in range(5))
    )
    ids = {answer.json()["command_id"] for answer in answers}
    assert len(ids) == 1
    assert [row["id"] for row in await site.commands()].count(ids.pop()) == 1
    other = await operator.post(f"/models/{MODEL}/retrain", json={"reason": "twice"}, headers=key)
    assert other.status_code == 422


async def test_commands_that_cannot_be_are_refused_by_name(site: Site, operator: httpx.AsyncClient) -> None:
    before = len(await site.commands())
    resolved = next(a for a in newest("alerts", lambda r: r["id"]).values() if a["status"] == "resolved")
    for path, body, status, said in (
        (f"/models/{MODEL}/retrain", {}, 422, "reason"),
        (f"/models/{MODEL}/retrain", {"reason": "  "}, 422, "reason"),
        (f"/models/{MODEL}/retrain", {"reason": "x", "model_version": "v1"}, 422, "takes no model_version"),
        (f"/models/{MODEL}/explode", {"reason": "x"}, 422, "action"),
        ("/models/..:../retrain", {"reason": "x"}, 422, "model"),
        ("/models/a%2f..%2fb:c/retrain", {"reason": "x"}, 404, ""),
        ("/models/a:b%00/retrain", {"reason": "x"}, 422, "model"),
        ("/settings", {"key": "drop_pionts", "value": 6, "reason": "x"}, 422, "did you mean drop_points?"),
        ("/settings", {"key": "input_partitions", "value": 6, "reason": "x"}, 422, "fixed"),
        ("/settings", {"key": "kafka_bootstrap", "value": "x", "reason": "x"}, 422, "belongs to a process"),
        ("/settings", {"key": "drop_points", "value": "much", "reason": "x"}, 422, "drop_points"),
        (f"/alerts/{resolved['id']}/acknowledge", {"reason": "x"}, 409, "resolved already"),
    ):
        answer = await operator.post(path, json=body)
        assert answer.status_code == status, (path, answer.text)
        assert said in answer.text
    assert len(await site.commands()) == before


async def test_what_is_too_large_never_gets_in(site: Site, operator: httpx.AsyncClient) -> None:
    before = len(await site.commands())
    large = await operator.post(f"/models/{MODEL}/retrain", json={"reason": "x" * (1 << 20)})
    assert large.status_code == 413
    long = await operator.post(f"/models/{MODEL}/retrain", json={"reason": "x" * 20_000})
    assert long.status_code == 422

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1_100):
            yield b"x" * 1_000

    assert (await operator.post(f"/models/{MODEL}/retrain", content=chunks())).status_code == 413
    assert (await operator.get("/models", params={"q": "x" * 5_000})).status_code == 414
    assert len(await site.commands()) == before


async def test_every_answer_carries_the_headers_that_keep_others_out(site: Site, viewer: httpx.AsyncClient) -> None:
    page = await viewer.get(f"{site.web.address}/")
    for answer in (page, await viewer.get("/models"), await viewer.get("/nothing")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
    assert (await viewer.get("/models")).headers["cache-control"] == "no-store"
    assert (await viewer.get(f"{site.web.address}/static/../app.py")).status_code == 404
    assert (await viewer.get(f"{site.web.address}/static/%2e%2e/app.py")).status_code == 404


async def test_settings_say_what_holds_and_a_preview_what_would_have_been(viewer: httpx.AsyncClient) -> None:
    items = {(i["model"], i["key"]): i for i in (await viewer.get("/settings")).json()["items"]}
    assert items["*", "drop_points"]["previewable"]
    assert not items["*", "input_partitions"]["changeable"]
    assert "drift" in items["*", "drop_points"]["doc"]
    same = (await viewer.get("/settings/impact", params={"key": "drop_points", "value": "5"})).json()
    assert (same["come"], same["gone"]) == ([], [])
    assert same["before"] == same["after"] >= 2
    strict = {"key": "drop_min_denominator", "value": "1000000", "model": "churn:step-15-300-on"}
    fewer = (await viewer.get("/settings/impact", params=strict)).json()
    assert fewer["before"] == 1
    assert fewer["after"] == 0
    assert fewer["gone"][0]["model"] == "churn:step-15-300-on"
    for key, value in (("drop_points", "50"), ("no_such", "1"), ("drop_points", "x")):
        assert (await viewer.get("/settings/impact", params={"key": key, "value": value})).status_code == 422


async def test_it_says_when_redis_is_away_and_comes_back_by_itself(site: Site, viewer: httpx.AsyncClient) -> None:
    site.redis.kill()
    assert (await viewer.get("/models")).status_code == 503
    status = (await viewer.get("/status")).json()
    assert status["degraded"]
    assert "Redis does not answer" in status["reason"]
    site.redis.start()
    await site.web.answers()
    found = (await viewer.get("/models")).json()
    assert found["items"][0]["model"] == MODEL

    async def told() -> bool:
        return not (await viewer.get("/status")).json()["degraded"]

    await until(told, 60, "the read model to be whole")

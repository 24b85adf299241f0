"""What the bridge sends, and how it takes no for an answer."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from stream_app.bridge.destinations import (
    DEDUP_KEY,
    SIGNATURE,
    DeliveryRefused,
    Unreachable,
    Webhook,
    dedup_key,
    labels,
    posted,
    sign,
)
from stream_app.cli.bridge import destinations
from stream_app.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden"
OPENED: dict[str, Any] = json.loads((GOLDEN / "alert.opened.json").read_bytes())
RESOLVED: dict[str, Any] = json.loads((GOLDEN / "alert.resolved.json").read_bytes())


def test_a_signature_can_be_checked_by_whoever_knows_the_secret() -> None:
    header = sign(b"secret", b'{"a":1}', 1_700_000_000)
    fields = dict(part.split("=", 1) for part in header.split(","))
    wanted = hmac.new(b"secret", b"1700000000." + b'{"a":1}', hashlib.sha256).hexdigest()
    assert fields == {"t": "1700000000", "v1": wanted}
    assert sign(b"secret", b'{"a":2}', 1_700_000_000) != header


def test_the_documents_own_check_takes_it_and_nothing_else() -> None:
    document = (GOLDEN.parents[1] / "docs" / "operations" / "notifications.md").read_text()
    found = re.search(r"<!-- signature:.*?-->\n```python\n(.*?)```", document, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    assert names["genuine"](b"secret", sign(b"secret", b"{}", 1_700_000_000), b"{}")
    assert not names["genuine"](b"secret", sign(b"secret", b"{}", 1_700_000_000), b"[]")
    assert not names["genuine"](b"other", sign(b"secret", b"{}", 1_700_000_000), b"{}")


def test_an_open_alert_has_no_end_and_a_resolved_one_says_why() -> None:
    sent = posted(OPENED)
    assert "endsAt" not in sent
    assert sent["annotations"]["summary"] == OPENED["summary"]
    assert sent["labels"] == {
        "alertname": "ML_DRIFT_DETECTED", "model": "fraud:acme", "model_type": "fraud", "tenant_id": "acme",
        "model_version": OPENED["model_version"], "severity": "high", "escalated": "no", "alert_id": OPENED["id"],
    }  # fmt: skip
    over = posted(RESOLVED)
    assert over["endsAt"] >= over["startsAt"]
    assert over["annotations"]["resolution_reason"] == RESOLVED["resolution_reason"]


def test_severity_and_escalation_make_another_alert_there_and_the_key_is_the_revisions() -> None:
    worse = {**OPENED, "severity": "CRITICAL", "revision": 2}
    assert labels(worse) != labels(OPENED)
    assert labels({**OPENED, "escalation_level": 1}) != labels(OPENED)
    assert labels({**OPENED, "summary": "more"}) == labels(OPENED)
    assert dedup_key(worse) == f"{OPENED['id']}-2"


@pytest.fixture
async def receiver() -> AsyncIterator[dict[str, Any]]:
    """An address that answers as the test says and keeps what it was sent."""
    state: dict[str, Any] = {"status": 200, "headers": {}, "seen": []}

    async def handle(request: web.Request) -> web.Response:
        state["seen"].append((dict(request.headers), await request.read()))
        return web.Response(status=state["status"], headers=state["headers"], text="said")

    app = web.Application()
    app.router.add_post("/hook", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    state["url"] = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield state
    await runner.cleanup()


async def test_a_webhook_gets_the_record_its_key_and_a_signature(receiver: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as http:
        await Webhook(receiver["url"], "secret").deliver(http, OPENED, None)
        await Webhook(receiver["url"], "").deliver(http, OPENED, None)
    (headers, body), (plain, _) = receiver["seen"]
    assert json.loads(body) == {"event": "opened", "dedup_key": dedup_key(OPENED), "alert": OPENED}
    assert headers[DEDUP_KEY] == dedup_key(OPENED)
    at = int(headers[SIGNATURE].split(",")[0].removeprefix("t="))
    assert headers[SIGNATURE] == sign(b"secret", body, at)
    assert SIGNATURE not in plain


@pytest.mark.parametrize(
    ("status", "headers", "after"),
    [(500, {}, None), (503, {"Retry-After": "7"}, 7.0), (429, {"Retry-After": "soon"}, None), (408, {}, None)],
)
async def test_what_passes_is_tried_again(
    receiver: dict[str, Any], status: int, headers: dict[str, str], after: float | None
) -> None:
    receiver |= {"status": status, "headers": headers}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(Unreachable, match=f"answered {status}: said") as caught:
            await Webhook(receiver["url"], "").deliver(http, OPENED, None)
    assert caught.value.after_s == after


async def test_a_plain_no_is_refused_and_no_answer_at_all_is_not(receiver: dict[str, Any]) -> None:
    receiver["status"] = 400
    async with aiohttp.ClientSession() as http:
        with pytest.raises(DeliveryRefused):
            await Webhook(receiver["url"], "").deliver(http, OPENED, None)
        with pytest.raises(Unreachable) as caught:
            await Webhook("http://127.0.0.1:1/t0ken", "").deliver(http, OPENED, None)
    assert "t0ken" not in str(caught.value)


def test_destinations_come_from_the_settings_and_addresses_are_not_shown() -> None:
    assert destinations(Settings()) == []
    settings = Settings(bridge_alertmanager_url="http://a:9093", bridge_webhook_url="https://h.example/t0ken")
    assert [each.name for each in destinations(settings)] == ["alertmanager", "webhook"]
    shown = settings.shown()
    assert shown["bridge_webhook_url"] == "https://h.example"
    assert "t0ken" not in repr(settings) + json.dumps(shown, default=str)

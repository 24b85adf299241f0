"""The live feed and the web process: who gets in, who misses what, and how it starts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
import websockets

from stream_app.projection.keys import Keys
from stream_app.settings import children
from tests.support.live import VIEWER, Site, Web, publish, published


async def first(socket: Any, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    async with asyncio.timeout(20):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def test_the_live_feed_sends_what_comes_and_takes_up_where_it_was_left(site: Site) -> None:
    url = site.web.address.replace("http", "ws") + "/ws"
    hello = {"type": "auth", "token": VIEWER, "after": None, "models": ["churn:news"], "topics": ["audit"]}
    template = json.loads(published()["audit"][0].value or b"")

    async def news(number: int, model: str = "churn:news") -> None:
        row = {**template, "model": model, "tenant_id": "news", "reason": f"news {number}", "id": str(uuid.uuid4())}
        emit = published()["audit"][0]._replace(value=json.dumps(row).encode())
        await publish(site.prefix, {"audit": (emit,)})

    async with websockets.connect(url) as socket:
        await socket.send(json.dumps(hello))
        ready = await first(socket, "ready")
        assert ready["role"] == "viewer"
        await news(1, "churn:other")
        await news(2)
        change = await first(socket, "change")
        assert change["record"]["reason"] == "news 2"  # the other model is not for this client
    await news(3)
    await news(4)
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({**hello, "after": change["id"]}))
        assert [(await first(socket, "change"))["record"]["reason"] for _ in range(2)] == ["news 3", "news 4"]
    async with websockets.connect(url) as socket:
        await socket.send(json.dumps({**hello, "after": "00000000.1-0"}))
        assert (await first(socket, "reset"))["id"]


async def test_a_client_that_does_not_keep_up_is_let_go_and_misses_nothing(site: Site) -> None:
    url, hello = (
        site.web.address.replace("http", "ws") + "/ws",
        {"type": "auth", "token": VIEWER, "models": ["slow:one"]},
    )
    count = 3_000
    key = Keys(site.prefix.topics.output_prefix).changes
    seen: list[int] = []
    last = None
    async with websockets.connect(url, max_queue=4, ping_interval=None) as socket:
        await socket.send(json.dumps(hello))
        await first(socket, "ready")

        def flood() -> None:
            with site.redis.client() as redis:
                for number in range(count):
                    # what cannot be compressed, so that it fills every buffer on the way
                    record = json.dumps({"number": number, "filler": secrets.token_hex(10_000)})
                    redis.xadd(key, {"topic": "audit", "model": "slow:one", "record": record})

        await asyncio.to_thread(flood)
        # another client, which reads, is not held up by the one that does not
        async with websockets.connect(url) as other:
            await other.send(json.dumps({**hello, "models": ["quick:one"]}))
            await first(other, "ready")
            with site.redis.client() as redis:
                redis.xadd(key, {"topic": "audit", "model": "quick:one", "record": "{}"})
            await first(other, "change")
        with contextlib.suppress(websockets.ConnectionClosed):
            while len(seen) < count:
                change = await first(socket, "change")
                seen.append(change["record"]["number"])
                last = change["id"]
    assert 0 < len(seen) < count
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(json.dumps({**hello, "after": last}))
        while len(seen) < count:
            seen.append((await first(socket, "change"))["record"]["number"])
    assert seen == list(range(count))


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ({"type": "auth", "token": "wrong-token-0123456789"}, 4401),
        ({"type": "auth"}, 4401),
        ({"type": "hello"}, 1008),
        ({"type": "auth", "token": VIEWER, "models": "all"}, 1008),
        ([1], 1008),
    ],
)
async def test_the_live_feed_lets_nobody_in_who_does_not_say_who(site: Site, hello: Any, code: int) -> None:
    async with websockets.connect(site.web.address.replace("http", "ws") + "/ws") as socket:
        await socket.send(json.dumps(hello))
        with pytest.raises(websockets.ConnectionClosed):
            async with asyncio.timeout(20):
                await socket.recv()
        assert socket.close_code == code


async def test_the_live_feed_is_for_its_own_page_alone(site: Site) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with websockets.connect(
            site.web.address.replace("http", "ws") + "/ws", origin=websockets.Origin("http://elsewhere.example")
        ):
            pass
    assert refused.value.response.status_code == 403


def said(site: Site, *arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code of ``plumbline web`` that cannot start, and what it said."""
    env = children.fresh_environment(**settings)
    command = [sys.executable, "-m", "stream_app", "web", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_cannot_be_served_is_refused_in_one_sentence(site: Site) -> None:
    for arguments, settings, words in (
        (("--port", str(site.web.port)), {"redis_url": site.redis.url}, f"port {site.web.port} is taken"),
        (("--host", "0.0.0.0"), {"redis_url": site.redis.url}, "set PLUMBLINE_WEB_TOKENS"),
        ((), {"redis_url": ""}, "set PLUMBLINE_REDIS_URL"),
        ((), {"redis_url": site.redis.url, "web_tokens": "ada:root:x"}, "entry 1 of web_tokens"),
    ):
        code, text = said(site, *arguments, **settings)
        assert code == 1
        assert words in text
        assert "Traceback" not in text


async def test_told_to_stop_it_ends_with_zero_though_clients_listen(site: Site, tmp_path: Path) -> None:
    web = Web(site.prefix, tmp_path, site.redis.url)
    web.process.start()
    await web.answers()
    async with websockets.connect(web.address.replace("http", "ws") + "/ws") as socket:
        await socket.send(json.dumps({"type": "auth", "token": VIEWER}))
        await first(socket, "ready")
        assert await asyncio.to_thread(web.process.stop) == 0, web.process.tail()
    assert "Traceback" not in web.process.tail()

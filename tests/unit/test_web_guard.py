"""Requests in work, counted in front of the application."""

from __future__ import annotations

import asyncio
from typing import Any

from stream_app.http import bounds
from stream_app.http.hosts import Hosts
from stream_app.web.guard import Guard, RequestTraffic


async def ask(guard: Guard, path: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of an answer."""
    got: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        got.append(message)

    scope = {"type": "http", "path": path, "raw_path": path.encode(), "headers": [(b"host", b"localhost")]}
    await guard(scope, receive, send)
    return got[0]["status"], dict(got[0]["headers"])


async def test_beyond_two_hundred_requests_in_work_comes_503_and_then_all_is_well() -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/livez":
            await go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    traffic = RequestTraffic()
    guard = Guard(app, Hosts(), traffic)
    held = [asyncio.create_task(ask(guard, "/x")) for _ in range(bounds.IN_WORK)]
    await asyncio.sleep(0)
    status, headers = await ask(guard, "/x")
    assert (status, headers[b"retry-after"]) == (503, b"1")
    assert (await ask(guard, "/livez"))[0] == 200
    go_on.set()
    assert {status for status, _ in await asyncio.gather(*held)} == {200}
    assert (await ask(guard, "/x"))[0] == 200
    assert (traffic.in_work, traffic.answers) == (0, {200: bounds.IN_WORK + 2, 503: 1})

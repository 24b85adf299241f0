"""Strangers' requests to the worker's views: the server as Faust runs it, and a real worker."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest
from aiohttp import web

from stream_app.http import bounds, worker_guard
from stream_app.http.hosts import Hosts
from tests.support.kafka_io import Prefix, until
from tests.support.strangers import answer, close, drip, half_open, raw
from tests.support.worker import Worker

GOOD = b"GET /x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Views:
    """The views' server with one page, which waits until it is told to answer."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.port = 0

    async def page(self, request: web.Request) -> web.Response:
        await self.go_on.wait()
        return web.Response(text="here")


@pytest.fixture
async def views() -> AsyncIterator[Views]:
    found = Views()
    app = web.Application()
    app.router.add_route("*", "/{name:.*}", found.page)
    driver = SimpleNamespace(web_app=app, _runner=None)
    driver._transport_handlers = {"tcp": lambda: web.TCPSite(driver._runner, "127.0.0.1", 0)}
    worker_guard.install(driver, Hosts(["good.example.org"]))
    runner = driver._runner
    await runner.setup()
    await driver._transport_handlers["tcp"]().start()
    found.port = runner.addresses[0][1]
    yield found
    found.go_on.set()
    await runner.cleanup()


async def test_heads_and_bodies_that_come_byte_by_byte_get_408(views: Views) -> None:
    post = b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    firsts = [
        b"GET /x", b"GET /x HTTP/1.1\r\nX-Slow: ", post + b"Content-Length: 5000\r\n\r\n",
        post + b"Transfer-Encoding: chunked\r\n\r\n400\r\n",
    ]  # fmt: skip
    found = await asyncio.gather(*(drip(views.port, first) for first in firsts))
    assert [got.status for got, _ in found] == [408] * 4
    assert all(seconds >= 9 for _, seconds in found)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (GOOD, 200),
        (b"GET /x HTTP/1.1\r\nHost: [::1]:6066\r\n\r\n", 200),
        (b"GET /x HTTP/1.1\r\nHost: good.example.org\r\n\r\n", 200),
        (b"GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200),
        (b"GET /readyz HTTP/1.0\r\n\r\n", 200),
        (b"GET /x HTTP/1.0\r\n\r\n", 421),
        (b"GET http://evil.example/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 421),
        (b"GET http://127.0.0.1/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 200),
        (b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (
            b"POST /x HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 17, 413,
        ),
    ],
)  # fmt: skip
async def test_what_is_too_large_or_for_somebody_else_is_refused(
    views: Views, request_bytes: bytes, status: int
) -> None:
    assert (await raw(views.port, request_bytes)).status == status


async def test_beyond_two_hundred_requests_in_work_comes_503_and_probes_are_answered(views: Views) -> None:
    views.go_on.clear()
    connections = [await asyncio.open_connection("127.0.0.1", views.port) for _ in range(bounds.IN_WORK + 20)]
    for _, writer in connections:
        writer.write(GOOD)
    refused = [await answer(reader) for reader, _ in connections[bounds.IN_WORK :]]
    assert {got.status for got in refused} == {503}
    probe = asyncio.create_task(raw(views.port, b"GET /livez HTTP/1.1\r\nHost: x.example\r\n\r\n"))
    await asyncio.sleep(0)
    views.go_on.set()
    assert (await probe).status == 200
    assert {(await answer(reader)).status for reader, _ in connections[: bounds.IN_WORK]} == {200}
    for _, writer in connections:
        await close(writer)


async def test_half_requests_make_room_for_good_clients(views: Views) -> None:
    held = await half_open(views.port, 600)
    for _ in range(20):
        assert (await raw(views.port, GOOD)).status == 200
    for writer in held:
        writer.close()


async def test_a_real_worker_bounds_its_views(prefix: Prefix, worker: Callable[..., Worker]) -> None:
    running = worker("bounded")
    running.limit_descriptors(1_024)
    running.start()
    await until(lambda: '"ready"' in running.ready(), 60, "the views")
    port = int(running.env["PLUMBLINE_WEB_PORT"])
    held = await half_open(port, 600) + await half_open(port, 600)
    assert len(os.listdir(f"/proc/{running.pid}/fd")) < 1_024
    for path, host, status in (
        ("/livez", "evil.example", 200), ("/metrics", "evil.example", 421), ("/metrics", "localhost", 200),
        ("/models/a:b?limit=501", "127.0.0.1", 400), ("/models/a:b?cursor=x", "127.0.0.1", 400),
    ):  # fmt: skip
        got = await raw(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert got.status == status, (path, host, got)
    start = time.monotonic()
    assert (await drip(port, b"GET /livez HTTP/1.1\r\nX-Slow: "))[0].status == 408
    assert time.monotonic() - start >= 9
    for writer in held:
        writer.close()

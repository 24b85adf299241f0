"""Clients that draw out, flood and pretend, against the real web process; good ones are served in between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import websockets

from stream_app.http import bounds
from stream_app.services.ports import free_ports
from stream_app.settings import children
from tests.support.kafka_io import until
from tests.support.live import OPERATOR, TOKENS, VIEWER, RedisServer
from tests.support.strangers import Answer, answer, close, drip, half_open, raw


class Server:
    """A web process of its own with few descriptors, before a Redis that can be stopped; no Kafka."""

    def __init__(self, folder: Path, descriptors: int = 1_024) -> None:
        self.redis = RedisServer(folder / "redis").start()
        self.port = free_ports(1)[0]
        self.log = folder / "web.log"
        env = children.fresh_environment(
            redis_url=self.redis.url,
            web_tokens=TOKENS,
            kafka_bootstrap="127.0.0.1:1",
            web_allowed_hosts="good.example.org",
        )

        def limited() -> None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stream_app", "web", "--port", str(self.port)],
                env=env, stdout=out, stderr=out, preexec_fn=limited,
            )  # fmt: skip

    async def get(self, path: str, token: str = VIEWER) -> int:
        """A good client's request, on a connection of its own."""
        async with httpx.AsyncClient(timeout=30) as client:
            headers = {"authorization": f"Bearer {token}"}
            return (await client.get(f"http://127.0.0.1:{self.port}{path}", headers=headers)).status_code

    async def up(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return await self.get("/livez") == 200
        except httpx.TransportError:
            return False

    def descriptors(self) -> int:
        """How many the process has open."""
        return psutil.Process(self.process.pid).num_fds()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.redis.kill()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("web"))
    yield found
    found.kill()


@pytest.fixture
async def server(running: Server) -> Server:
    await until(running.up, 60, "the web process to answer")
    return running


AUTH = json.dumps({"type": "auth", "token": VIEWER})
HEAD = b"Host: 127.0.0.1\r\nAuthorization: Bearer " + OPERATOR.encode() + b"\r\n"
POST = b"POST /api/v1/models/a:b/commands HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"


async def test_heads_and_bodies_that_come_byte_by_byte_get_408_after_ten_seconds(server: Server) -> None:
    firsts = [
        b"GET /live", b"GET /livez HTTP/1.1\r\nX-Slow: ", b"\r\n"[:1], POST + b"Content-Length: 5000\r\n\r\n{",
        POST + b"Transfer-Encoding: chunked\r\n\r\n400\r\n",
    ]  # fmt: skip
    good = asyncio.create_task(_good(server))
    found = await asyncio.gather(*(drip(server.port, first) for first in (firsts[0], firsts[1], *firsts[3:])))
    assert not good.done()
    good.cancel()
    assert [a.status for a, _ in found] == [408] * 4
    assert all(seconds >= 9 for _, seconds in found)


async def _good(server: Server) -> None:
    while True:
        assert await server.get("/api/v1/me") == 200
        await asyncio.sleep(0.2)


async def test_half_requests_beyond_the_descriptors_stop_no_good_client(server: Server) -> None:
    before = server.descriptors()
    held = await half_open(server.port, 600) + await half_open(server.port, 600)
    assert await server.get("/api/v1/me") == 200
    with contextlib.suppress(websockets.WebSocketException):
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/ws") as socket:
            await socket.send(AUTH)
            assert '"ready"' in str(await socket.recv())
    assert server.descriptors() < 1_024
    await until(lambda: server.descriptors() <= before + 20, 60, "half requests to be let go")
    assert await server.get("/api/v1/me") == 200
    for writer in held:
        await close(writer) if writer.is_closing() else writer.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /livez HTTP/1.1\r\nHost: evil.example\r\n\r\n", 200),
        (b"GET /livez HTTP/1.0\r\n\r\n", 200),
        (b"GET /api/v1/me HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\nHost: localhost.evil.example:80\r\n\r\n", 421),
        (b"GET / HTTP/1.0\r\n\r\n", 421),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: good.example.org\r\n\r\n", 200),
        (b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 421),
        (b"GET http://127.0.0.1/api/v1/me HTTP/1.1\r\n" + HEAD + b"\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (b"GET /api/v1/models?q=" + b"x" * 5_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 414),
        (POST + b"Content-Length: 1048577\r\n\r\n", 413),
        (POST + b"Content-Length: 99999999999999999999999999\r\n\r\n", 400),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n" + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 17, 413),
    ],
)
async def test_what_is_too_large_or_for_somebody_else_is_refused(
    server: Server, request_bytes: bytes, status: int
) -> None:
    got = await raw(server.port, request_bytes)
    assert got.status == status, got
    assert await server.get("/api/v1/me") == 200


async def test_beyond_two_hundred_requests_in_work_comes_503_and_then_all_is_well(server: Server) -> None:
    beyond = 30
    server.redis.signal(signal.SIGSTOP)  # whoever asks for a list waits for it
    try:
        connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(bounds.IN_WORK + beyond)]
        for _, writer in connections:
            writer.write(b"GET /api/v1/models HTTP/1.1\r\n" + HEAD + b"\r\n")
        refused = [got for got in await _first(connections, beyond) if b'"code":"busy"' in got.body]
        assert [got.status for got in refused] == [503] * beyond
        assert all("retry-after: 1" in got.head for got in refused)
        assert await server.get("/livez") == 200
        assert await server.get("/api/v1/me") == 503
    finally:
        server.redis.signal(signal.SIGCONT)
    for _, writer in connections:
        await close(writer)
    await until(lambda: _serves(server), 30, "the next request to be answered")


async def _serves(server: Server) -> bool:
    return await server.get("/api/v1/me") == 200


async def _first(connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]], count: int) -> list[Answer]:
    """The answers that come first."""
    asked = [asyncio.create_task(answer(reader)) for reader, _ in connections]
    found = []
    for done in asyncio.as_completed(asked):
        found.append(await done)
        if len(found) == count:
            break
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)
    return found


@pytest.mark.long
async def test_two_thousand_websockets_are_taken_and_those_beyond_refused_while_others_go_on(tmp_path: Path) -> None:
    server = Server(tmp_path, descriptors=8_192)
    sockets: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        await until(server.up, 60, "the web process to answer")
        for number in range(bounds.SOCKETS):
            opened = await _listening(server.port)
            assert opened is not None, number
            sockets.append(opened)
        began = time.monotonic()
        assert [await _listening(server.port) for _ in range(20)] == [None] * 20
        assert await server.get("/api/v1/me") == 200
        print(f"{len(sockets):,} sockets, {_rss_mb(server.process.pid):.0f} MB; twenty refused and one answered "
              f"in {time.monotonic() - began:.2f} s")  # fmt: skip
        await close(sockets.pop()[1])

        async def room() -> bool:
            opened = await _listening(server.port)
            if opened is not None:
                sockets.append(opened)
            return opened is not None

        await until(room, 30, "the place of one who left")
    finally:
        for _, writer in sockets:
            writer.close()
        server.kill()


async def _listening(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """A client of the live feed that was let in; ``None`` if it was refused with 503."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
    if b" 101 " not in head:
        assert b" 503 " in head, head
        await close(writer)
        return None
    hello = AUTH.encode()
    writer.write(b"\x81" + bytes((0x80 | len(hello),)) + bytes(4) + hello)  # a text, masked with nothing
    async with asyncio.timeout(30):
        assert b'"ready"' in await reader.read(4_096)
    return reader, writer


def _rss_mb(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


async def test_a_body_of_a_mebibyte_is_read(server: Server) -> None:
    got = await raw(server.port, POST + b"Content-Length: 1048576\r\n\r\n" + b"x" * 1_048_576)
    assert got.status in (404, 405, 422)


async def test_chunks_of_a_byte_and_pipelines_keep_nobody_waiting(server: Server) -> None:
    tiny = POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000
    many = (b"GET /api/v1/me HTTP/1.1\r\n" + HEAD + b"\r\n") * 2_000
    floods = [asyncio.create_task(raw(server.port, request)) for request in (tiny, tiny, many, many)]
    for _ in range(10):
        assert await server.get("/api/v1/me") == 200
    for flood in floods:
        flood.cancel()
    await asyncio.gather(*floods, return_exceptions=True)


async def test_a_page_of_somebody_else_opens_no_websocket(server: Server) -> None:
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://%s\r\n\r\n"
    )
    assert (await raw(server.port, upgrade % (b"evil.example", b"evil.example"))).status == 421
    assert (await raw(server.port, upgrade % (b"127.0.0.1", b"evil.example"))).status == 403


async def test_sockets_that_say_nothing_make_room_for_those_that_do(server: Server) -> None:
    silent = []
    for _ in range(520):
        with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
            silent.append(await websockets.connect(f"ws://127.0.0.1:{server.port}/ws", open_timeout=5))
    async with websockets.connect(f"ws://127.0.0.1:{server.port}/ws") as socket:
        await socket.send(AUTH)
        assert '"ready"' in str(await socket.recv())
    assert await server.get("/api/v1/me") == 200
    await asyncio.gather(*(each.close() for each in silent), return_exceptions=True)


async def test_a_thousand_wrong_tokens_lock_no_right_one_out(server: Server) -> None:
    seen = set()
    for number in range(100):
        seen.add(await server.get("/api/v1/me", f"wrong-token-{number:08}"))
        if number % 10 == 0:
            assert await server.get("/api/v1/me") == 200
    assert seen == {401, 429}


async def test_nonsense_fills_no_log(server: Server) -> None:
    for _ in range(60):
        assert (await raw(server.port, b"nonsense\r\n\r\n")).status == 400
    said = server.log.read_text().splitlines()
    assert sum("Invalid HTTP request" in text for text in said) <= 10

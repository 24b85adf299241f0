"""The bounds of :mod:`~stream_app.http.bounds` for what aiohttp serves: a worker's views by Faust, and metrics.

aiohttp 3.14 closes a connection that waits for a head ``keepalive_timeout`` after its start or its last answer, and
reads no body that no handler asks for; the rest is here. The views share the loop with the lanes and the descriptors
with RocksDB, so they may have fewer connections than the dashboard.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from stream_app.http import bounds
from stream_app.http.hosts import PROBES, Hosts, absolute

#: Connections at once: the requests in work, and some whose head is on the way.
CONNECTIONS: Final = bounds.IN_WORK + 56
#: Connections that are taken at once. A connection counts only some turns of the loop after it was taken, so a burst
#: may hold several times as many descriptors beyond those above; with asyncio's own 128 they ran out at 1,024.
ACCEPTS: Final = 32


def install(driver: Any, hosts: Hosts) -> None:
    """Bound Faust's web driver (``app.web``) before it starts: its runner and its middlewares."""
    # the outermost: it reads bodies, which only the server's own loop can
    driver.web_app.middlewares.insert(0, guard(hosts))
    driver._runner = runner(driver.web_app)
    made = driver._transport_handlers["tcp"]

    def site() -> Any:
        found = made()
        found._backlog = ACCEPTS
        return found

    driver._transport_handlers["tcp"] = site


def runner(app: web.Application) -> web.AppRunner:
    """Runs an application whose connections are bounded."""
    return _Runner(
        app, access_log=None, keepalive_timeout=bounds.HEAD_S, lingering_time=bounds.LINGER_S,
        max_headers=64, auto_decompress=False,
    )  # fmt: skip


def guard(hosts: Hosts) -> Any:
    """A middleware: Host, body, requests in work."""
    in_work = 0

    @web.middleware
    async def guarded(request: web.Request, handler: Any) -> web.StreamResponse:
        nonlocal in_work
        probe = request.path in PROBES
        if not probe and not _is_ours(request, hosts):
            return _refused(421, "this name is none of ours: ask by IP address, or add the name to web_allowed_hosts")
        if in_work >= bounds.IN_WORK and not probe:
            return _refused(503, "too many requests are in work: try again", {"retry-after": "1"})
        in_work += 1
        try:
            if request.can_read_body:
                status = await _pass_over(request)
                if status:
                    return _refused(status, f"a body may have {bounds.BODY_BYTES} bytes and take {bounds.BODY_S:.0f} s")
            answer: web.StreamResponse = await handler(request)
            return answer
        finally:
            in_work -= 1

    return guarded


async def _pass_over(request: web.Request) -> int:
    """Read what no view wants; returns 413 or 408 if there is too much of it or it does not come, else 0."""
    if (request.content_length or 0) > bounds.BODY_BYTES:
        return 413
    size = 0
    try:
        async with asyncio.timeout(bounds.BODY_S):
            while part := await request.content.readany():
                size += len(part)
                if size > bounds.BODY_BYTES:
                    return 413
    except TimeoutError:
        return 408
    return 0


def _is_ours(request: web.Request, hosts: Hosts) -> bool:
    found = absolute(request.raw_path)
    if found is not None and not hosts.allow(found[0]):
        return False
    given = request.headers.getall("host", [])
    return len(given) == 1 and hosts.allow(given[0].strip())


def _refused(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    answer = web.json_response({"error": text}, status=status, headers=headers)
    answer.force_close()
    return answer


class _Runner(web.AppRunner):
    """Makes a server whose connections are :class:`_Connection`."""

    async def _make_server(self) -> Server:
        return _Server(await super()._make_server())


class _Server(Server):
    """A server that bounds how many connections it holds."""

    def __init__(self, made: Server) -> None:
        self.__dict__.update(made.__dict__)

    def __call__(self) -> RequestHandler:
        """A connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def make_room(self, newest: RequestHandler) -> bool:
        """Whether one more may stay; the connection that has waited longest for a head goes first."""
        if len(self._connections) <= CONNECTIONS:
            return True
        for each in self._connections:
            if each is not newest and each._waiter is not None and each.transport is not None:
                each.transport.abort()
                return True
        return False


class _Connection(RequestHandler):
    """One connection; says 408 where aiohttp would close without a word."""

    __slots__ = ("_begun", "_stalled")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun = False
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stay, or leave at once with 503."""
        super().connection_made(transport)
        manager = self._manager
        if isinstance(manager, _Server) and not manager.make_room(self):
            self._say(b"503 Service Unavailable")
            self.force_close()

    def data_received(self, data: bytes) -> None:
        """Remember whether a head has begun."""
        super().data_received(data)
        self._begun = bool(data) and not self._messages and self._current_request is None

    def _process_keepalive(self) -> None:
        waits = self._begun and self._waiter is not None and not self._waiter.done()
        if waits and self._loop.time() >= self._next_keepalive_close_time:
            self._say(b"408 Request Timeout")
        super()._process_keepalive()

    def _say(self, status: bytes) -> None:
        transport = self.transport
        if isinstance(transport, asyncio.Transport):
            transport.write(
                b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"
            )

    def pause_writing(self) -> None:
        """The client does not take its answer: it has some seconds."""
        super().pause_writing()
        transport = self.transport
        if self._stalled is None and isinstance(transport, asyncio.Transport):
            self._stalled = self._loop.call_later(bounds.STALLED_S, transport.abort)

    def resume_writing(self) -> None:
        """It does."""
        self._let_go()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the deadline."""
        self._let_go()
        super().connection_lost(exc)

    def _let_go(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

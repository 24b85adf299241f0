"""In front of every request: bounds on what comes in, headers on what goes out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream_app.http import bounds
from stream_app.http.hosts import PROBES, Hosts, absolute
from stream_app.web.answers import Refused

#: Bytes of a request's path and query.
TARGET: Final = 4_096

#: The page loads nothing from elsewhere, runs no inline script and is framed by nobody. Plotly writes style rules.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS: Final = [
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


_MISDIRECTED: Final = Refused(
    421,
    "other_host",
    "this name is not known here: ask by IP address or localhost, or add the name to web_allowed_hosts",
)
_TOO_LARGE: Final = Refused(413, "too_large", f"a body may have {bounds.BODY_BYTES} bytes")
_BUSY: Final = Refused(503, "busy", "too many requests are in work: try again", {"retry-after": "1"})


@dataclass(slots=True)
class RequestTraffic:
    """Requests in work, and answers so far by status."""

    in_work: int = 0
    answers: Counter[int] = field(default_factory=Counter)


class Guard:
    """ASGI middleware. A request is in work from when it is whole until it is answered."""

    def __init__(self, app: ASGIApp, hosts: Hosts, traffic: RequestTraffic) -> None:
        self._app = app
        self._hosts = hosts
        self._traffic = traffic
        self._bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is too large, too much, or for somebody else; put the headers on every answer."""
        if scope["type"] == "websocket":
            if self._is_ours(scope):
                await self._app(scope, receive, send)
            else:
                await send({"type": "websocket.http.response.start", "status": 421, "headers": _HEADERS})
                await send({"type": "websocket.http.response.body", "body": _MISDIRECTED.message.encode()})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._traffic.answers[message["status"]] += 1
                headers = [*message.get("headers", ()), *_HEADERS]
                if scope["path"].startswith("/api/"):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._bounded(scope, receive, guarded)
        except Refused as refused:
            await refused.response()(scope, receive, guarded)

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._is_ours(scope):
            raise _MISDIRECTED
        if len(scope.get("raw_path", b"")) + len(scope.get("query_string", b"")) > TARGET:
            raise Refused(414, "too_long", f"path and query may have {TARGET} bytes")
        body = await self._body(scope, receive)
        if body is None:
            return
        try:
            if self._traffic.in_work >= bounds.IN_WORK and scope["path"] not in PROBES:
                raise _BUSY
            self._traffic.in_work += 1
            try:
                await self._app(scope, _replay(body, receive), send)
            finally:
                self._traffic.in_work -= 1
        finally:
            self._bodies -= len(body)

    def _is_ours(self, scope: Scope) -> bool:
        """Whether the request names us; a target in absolute form becomes a usual one."""
        target = scope.get("raw_path", b"").decode("latin-1")
        found = absolute(target)
        if found is not None:
            authority, path = found
            if not self._hosts.allow(authority):
                return False
            scope["raw_path"], scope["path"] = path.encode("latin-1"), unquote(path)
        if scope["path"] in PROBES and scope["type"] == "http":
            return True
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        return len(given) == 1 and self._hosts.allow(given[0].strip())

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body, which counts into the sum of all; ``None`` if the client left before it was whole."""
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if not declared.isdigit() or len(declared) > 20 or int(declared) > bounds.BODY_BYTES:
            raise _TOO_LARGE
        body = bytearray()
        whole = False
        try:
            while not whole:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                part = message.get("body", b"")
                body += part
                self._bodies += len(part)
                if len(body) > bounds.BODY_BYTES:
                    raise _TOO_LARGE
                if self._bodies > bounds.BODIES_BYTES:
                    raise _BUSY
                whole = not message.get("more_body", False)
            return bytes(body)
        finally:
            if not whole:
                self._bodies -= len(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed

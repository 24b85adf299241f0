"""In front of every request: bounds on what comes in, headers on what goes out."""

from __future__ import annotations

from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stream_app.web.answers import Refused

#: Bytes of a request's body and of its path and query.
BODY, TARGET = 16_384, 4_096

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


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what is too large; put the headers on every answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), *_HEADERS]
                if scope["path"].startswith("/api/"):
                    headers.append((b"cache-control", b"no-store"))
                message = {**message, "headers": headers}
            await send(message)

        if len(scope.get("raw_path", b"")) + len(scope.get("query_string", b"")) > TARGET:
            refused = Refused(414, "too_long", f"path and query may have {TARGET} bytes")
            await refused.response()(scope, receive, guarded)
            return
        body = await _body(scope, receive)
        if body is None:
            refused = Refused(413, "too_large", f"a body may have {BODY} bytes")
            await refused.response()(scope, receive, guarded)
            return
        await self._app(scope, _replay(body, receive), guarded)


async def _body(scope: Scope, receive: Receive) -> bytes | None:
    """The whole body; ``None`` as soon as it is too large."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if not declared.isdigit() or int(declared) > BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > BODY:
            return None
        if not message.get("more_body", False):
            return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed

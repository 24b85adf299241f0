"""uvicorn's HTTP/1 protocol, with an end to everything that a client can draw out.

uvicorn 0.54 bounds how long a connection lies idle between requests, and nothing else: a head or a body that comes byte
by byte, or an answer that is not taken, holds a descriptor for ever (https://github.com/encode/uvicorn/discussions/2251).
Goes when uvicorn has such bounds. What a connection waits for decides its deadline:

=========  ==================================================  ==============================================
phase      from, to                                            at the deadline
=========  ==================================================  ==============================================
head       the connection, or the first byte of a next head    408 and closed
body       the head's end, to the body's                       408 and closed; closed if it was answered
work       the request is whole: ours                          none
idle       answered, nothing of a next one                     closed (uvicorn's ``timeout_keep_alive``)
=========  ==================================================  ==============================================

Beyond :func:`~stream_app.http.bounds.connections` the connection that has waited longest for its head makes room, so
hundreds of half requests cannot keep a good client out; where none waits the new one gets 503.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from stream_app.http import bounds

_TIMEOUT = b"the request did not come whole in time"
_FULL = b"too many connections: try again"
_LONG = b"the head of the request is too long"


class BoundedProtocol(H11Protocol):
    """One connection. Everything runs in the event loop's thread."""

    #: connections that wait for a head, oldest first, of the whole process
    waiting: dict[BoundedProtocol, None] = {}
    #: set once at start
    most: int = 768

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phase: tuple[str, int] = ("", 0)
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or make room for it, or refuse it."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):
            transport.max_size = bounds.READ_BYTES
        if len(self.connections) > self.most:
            if not self.waiting:
                self._end(503, _FULL)
                return
            next(iter(self.waiting)).shed()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Parse, and see what is waited for now."""
        if self._over:
            return
        super().data_received(data)
        self._watch()

    def handle_events(self) -> None:
        """Refuse a head that came whole and is too long; the parser bounds only those that are not whole."""
        if self.conn.their_state is h11.IDLE and len(self.conn.trailing_data[0]) > bounds.HEAD_BYTES:
            end = self.conn.trailing_data[0].find(b"\r\n\r\n")
            if end < 0 or end > bounds.HEAD_BYTES:
                self._end(431, _LONG)
                return
        super().handle_events()

    def on_response_complete(self) -> None:
        """After an answer the next request may already be here."""
        super().on_response_complete()
        self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on another protocol has the connection."""
        self._over = True
        self._forget()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._over = True
        self._forget()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not take its answer: it has some seconds."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(bounds.STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It does."""
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None
        super().resume_writing()

    def shed(self) -> None:
        """Make room for another."""
        self._end(408, _TIMEOUT)
        self.transport.abort()

    def _watch(self) -> None:
        """Set the deadline of the phase the connection is in, once."""
        if self._over or self.transport.is_closing():
            self._forget()
            return
        phase = self._waits_for()
        if phase == self._phase:
            return
        self._forget()
        self._phase = phase
        if phase[0] == "head":
            self.waiting[self] = None
            self._deadline = self.loop.call_later(bounds.HEAD_S, self._late)
        elif phase[0] == "body":
            self._deadline = self.loop.call_later(bounds.BODY_S, self._late)

    def _waits_for(self) -> tuple[str, int]:
        if self.conn.their_state is h11.SEND_BODY:
            return "body", id(self.cycle)
        if self.cycle is not None and not self.cycle.response_complete:
            return "work", id(self.cycle)
        if self.cycle is None or self.conn.trailing_data[0]:
            return "head", id(self.cycle)
        return "idle", id(self.cycle)

    def _late(self) -> None:
        if self.cycle is not None and self.cycle.response_started and self._phase[0] == "body":
            self._over = True
            self._gone()
            self.transport.close()
            self.loop.call_later(bounds.LINGER_S, self.transport.abort)
        else:
            self._end(408, _TIMEOUT)

    def _end(self, status: int, text: bytes) -> None:
        """Answer beside the parser, whose state may allow none, and close."""
        self._over = True
        self._forget()
        self._gone()
        reason = {408: b"Request Timeout", 431: b"Request Header Fields Too Large", 503: b"Service Unavailable"}[status]
        body = b'{"error":{"code":"http","message":"' + text + b'"}}'
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%sconnection: close\r\n\r\n%s"
            % (status, reason, len(body), b"retry-after: 1\r\n" if status == 503 else b"", body)
        )
        # closed with bytes unread, the connection would be reset and the answer lost: they are read and thrown away
        self.transport.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(bounds.LINGER_S, self.transport.abort)

    def _gone(self) -> None:
        """Tell a request that waits for its body that none comes."""
        self._unset_keepalive_if_required()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _forget(self) -> None:
        self.waiting.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

"""The live feed: one reader of the stream of changes for all clients, each with a queue of its own.

A client says who it is in its first message, gets what it missed since the id it saw last, then what comes. One that
does not keep up is let go with 1013 and takes up where it stood; nothing waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from redis.exceptions import RedisError

from schemas.common import rfc3339
from stream_app.errors import Broken, UnknownFormat
from stream_app.http import bounds
from stream_app.projection.status import Status
from stream_app.tasks import end, heed_cancellation
from stream_app.web.answers import Refused
from stream_app.web.auth import User
from stream_app.web.site import Site

log = logging.getLogger(__name__)
router = APIRouter()

#: Changes a client may be behind, seconds until it must have said who it is, between heartbeats.
QUEUE, AUTH_S, HEARTBEAT_S = 1_000, 5.0, 15.0
#: Changes read at once for a client that takes up where it stood.
_MISSED: Final = 500
#: Seconds between two looks at how the read model is.
_STATUS_S: Final = 2.0
_FIRST_MESSAGE: Final = 8_192
_TRY_AGAIN, _POLICY = 1013, 1008


@dataclass(eq=False, slots=True)
class Client:
    """Who listens, to what."""

    models: frozenset[str] | None
    topics: frozenset[str] | None
    queue: asyncio.Queue[bytes] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, topic: str, model: str) -> bool:
        """Whether a change concerns it; what is about all models concerns everybody."""
        about = self.models is None or model == "*" or model in self.models
        return about and (self.topics is None or topic in self.topics)

    def put(self, message: bytes) -> None:
        """Queue a message, or give the client up."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            self.lost.set()


class Hub:
    """Reads the stream of changes and hands it round. ``redis``: a client whose calls may block."""

    def __init__(self, site: Site, redis: Any) -> None:
        self.clients: set[Client] = set()
        #: sockets that have not said who they are, oldest first; set: the socket has to go
        self.waiting: dict[asyncio.Event, None] = {}
        self.most = min(bounds.SOCKETS, bounds.connections() // 2)
        self.last = "0-0"
        self.status = Status(True, "starting", None, "", "starting")
        #: last sign of life of the read model that was ever seen here
        self.known_ms: int | None = None
        self._site = site
        self._redis = redis
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """For ever, both tasks: changes and how the read model is."""
        await asyncio.gather(self._read(), self._watch())

    async def _read(self) -> None:
        key = self._site.keys.changes
        while True:
            heed_cancellation()
            try:
                if not self._ready.is_set():
                    newest = await self._redis.xrevrange(key, count=1)
                    self.last = newest[0][0].decode() if newest else "0-0"
                    self._ready.set()
                found = await self._redis.xread({key: self.last}, block=2_000, count=500)
            except (RedisError, OSError):
                await asyncio.sleep(0.5)
                continue
            for _, entries in found or ():
                for id, fields in entries:
                    self.last = id.decode()
                    self._hand_round(fields)

    def _hand_round(self, fields: dict[bytes, bytes]) -> None:
        topic, model = fields[b"topic"].decode(), fields[b"model"].decode()
        message = self.change(self.last, fields)
        for client in self.clients:
            if topic == "reset" or client.wants(topic, model):
                client.put(message)

    async def _watch(self) -> None:
        while True:
            heed_cancellation()
            await self.look()
            if self.status.updated_ms is not None:
                # ahead of whoever asks: after a start and after a close there is much to read
                try:
                    await self._site.reader.fleet.models()
                except (RedisError, OSError):
                    pass
                except (UnknownFormat, Broken) as error:
                    await self._site.reader.unreadable(str(error))
            await asyncio.sleep(_STATUS_S)

    async def look(self) -> None:
        """See how the read model is now, and tell the clients if that changed."""
        found = await self._site.reader.status()
        changed = (found.degraded, found.reason) != (self.status.degraded, self.status.reason)
        self.status = found
        self.known_ms = found.updated_ms or self.known_ms
        if changed:
            for client in self.clients:
                client.put(self.degraded())

    def admit(self) -> asyncio.Event | None:
        """A place for a socket of nobody yet; ``None`` if all are taken by people. The oldest of nobody makes room."""
        full = len(self.clients) + len(self.waiting) >= self.most
        if full and not self.waiting:
            return None
        if full or len(self.waiting) >= bounds.UNKNOWN_SOCKETS:
            oldest = next(iter(self.waiting))
            del self.waiting[oldest]
            oldest.set()
        place = asyncio.Event()
        self.waiting[place] = None
        return place

    def id(self, stream_id: str) -> str:
        """An id that only fits the generation it was given in."""
        return f"{self.status.generation[:8]}.{stream_id}"

    def change(self, stream_id: str, fields: dict[bytes, bytes]) -> bytes:
        """A change as it is sent; the record goes out as the bytes it came in."""
        id = self.id(stream_id)
        if fields[b"topic"] == b"reset":
            return orjson.dumps({"type": "reset", "id": id})
        head = orjson.dumps(
            {"type": "change", "id": id, "topic": fields[b"topic"].decode(), "model": fields[b"model"].decode()}
        )
        return head[:-1] + b',"record":' + fields[b"record"] + b"}"

    def degraded(self) -> bytes:
        """How the read model is, as it is sent; ``updated_at``: from when the newest is that was ever to be seen."""
        status, at = self.status, rfc3339(self.known_ms) if self.known_ms is not None else None
        told = {"degraded": status.degraded, "reason": status.reason, "updated_at": at}
        return orjson.dumps({"type": "degraded", **told})

    async def missed(self, client: Client, after: str, upto: str) -> list[bytes] | None:
        """What the client wants of the changes after an id it saw; ``None`` if they are no longer all there."""
        generation, _, stream_id = after.partition(".")
        if generation != self.status.generation[:8]:
            return None
        key = self._site.keys.changes
        first = await self._site.redis.xrange(key, count=1)
        if first and _number(stream_id) < _number(first[0][0].decode()):
            return None
        out = []
        while found := await self._site.redis.xrange(key, f"({stream_id}", upto, _MISSED):
            for id, fields in found:
                stream_id = id.decode()
                topic = fields[b"topic"].decode()
                if topic == "reset":
                    return None
                if client.wants(topic, fields[b"model"].decode()):
                    out.append(self.change(stream_id, fields))
        return out


def _number(stream_id: str) -> tuple[int, int]:
    ms, _, count = stream_id.partition("-")
    return int(ms), int(count or 0)


@router.websocket("/ws")
async def live(socket: WebSocket) -> None:
    """Changes as they are published. The first message says who, what, and after which id."""
    site: Site = socket.app.state.site
    hub: Hub = socket.app.state.hub
    if not _same_origin(socket):
        await socket.close(_POLICY, "another origin")
        return
    place = hub.admit()
    if place is None:
        busy = Refused(503, "busy", "too many clients listen: try again", {"retry-after": "5"})
        await socket.send_denial_response(busy.response())
        return
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        try:
            await socket.accept()
            asked = await _first_message(socket, site, place)
        finally:
            hub.waiting.pop(place, None)
        if asked is None:
            return
        user, client, after = asked
        hub.clients.add(client)
        try:
            await _serve(socket, hub, user, client, after)
        finally:
            hub.clients.discard(client)


def _same_origin(socket: WebSocket) -> bool:
    """Browsers name the page's origin; anything else has no need to."""
    origin = socket.headers.get("origin")
    return origin is None or origin.partition("://")[2] == socket.headers.get("host")


async def _first_text(socket: WebSocket, place: asyncio.Event) -> str:
    """What the client says first; ``TimeoutError`` if it took too long, or its place was needed."""
    said, needed = asyncio.create_task(socket.receive_text()), asyncio.create_task(place.wait())
    try:
        await asyncio.wait((said, needed), timeout=AUTH_S, return_when=asyncio.FIRST_COMPLETED)
        if not said.done():
            raise TimeoutError
        return said.result()
    finally:
        said.cancel()
        needed.cancel()


async def _first_message(socket: WebSocket, site: Site, place: asyncio.Event) -> tuple[User, Client, str | None] | None:
    address = socket.client.host if socket.client else ""
    try:
        text = await _first_text(socket, place)
        message = orjson.loads(text) if len(text) <= _FIRST_MESSAGE else None
        if not isinstance(message, dict) or message.get("type") != "auth":
            raise ValueError
        client = Client(_names(message.get("models")), _names(message.get("topics")))
        after = message.get("after")
        user = site.user(str(message.get("token", "")), address)
    except Refused as refused:
        await socket.close(4429 if refused.status == 429 else 4401, refused.code)
        return None
    except (TimeoutError, ValueError, KeyError):
        await socket.close(_POLICY, 'say {"type": "auth", "token": ...} first')
        return None
    return user, client, after if isinstance(after, str) and _is_id(after) else None


def _is_id(text: str) -> bool:
    generation, _, stream_id = text.partition(".")
    ms, _, count = stream_id.partition("-")
    return len(text) <= 64 and generation.isalnum() and ms.isdecimal() and count.isdecimal() and text.isascii()


def _names(given: Any) -> frozenset[str] | None:
    if given is None:
        return None
    if not isinstance(given, list) or len(given) > 200 or not all(isinstance(name, str) for name in given):
        raise ValueError
    return frozenset(given)


async def _serve(socket: WebSocket, hub: Hub, user: User, client: Client, after: str | None) -> None:
    """Say where we are, what was missed, then hand on what comes until someone leaves."""
    await hub.look()  # ids carry the generation, which may be newer than the last look
    upto = hub.last
    await socket.send_text(
        orjson.dumps({"type": "ready", "id": hub.id(upto), "role": user.role, "actor": user.name}).decode()
    )
    await socket.send_text(hub.degraded().decode())
    if after is not None:
        try:
            missed = await hub.missed(client, after, upto)
        except (RedisError, OSError):
            missed = None
        for message in [orjson.dumps({"type": "reset", "id": hub.id(upto)})] if missed is None else missed:
            await socket.send_text(message.decode())
    tasks = [
        asyncio.create_task(_send(socket, hub, client)),
        asyncio.create_task(_receive(socket)),
        asyncio.create_task(client.lost.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if client.lost.is_set():
            async with asyncio.timeout(1):
                await socket.close(_TRY_AGAIN, "too slow: take up after the last id")
    except TimeoutError:
        log.info("a client that is not reading was left")
    finally:
        await end(*tasks)


async def _send(socket: WebSocket, hub: Hub, client: Client) -> None:
    while True:
        try:
            async with asyncio.timeout(HEARTBEAT_S):
                message = await client.queue.get()
        except TimeoutError:
            message = orjson.dumps({"type": "heartbeat", "id": hub.id(hub.last)})
        await socket.send_text(message.decode())


async def _receive(socket: WebSocket) -> None:
    """Nothing more is expected; reading notices when the client leaves."""
    while True:
        await socket.receive_text()

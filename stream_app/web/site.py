"""What the routes share: the read model, who asks, where commands go."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from contextlib import suppress
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from redis.exceptions import RedisError

from schemas.common import rfc3339, uuid5
from stream_app.commands import send
from stream_app.kafka.topics import Topics
from stream_app.projection.keys import Keys
from stream_app.projection.reader import Reader
from stream_app.settings import Settings, base
from stream_app.settings.resolver import values_of
from stream_app.web.answers import Refused, answer
from stream_app.web.auth import SignInAttempts, Tokens, User

#: Seconds that an idempotency key is remembered.
REMEMBERED_S: Final = 86_400
#: Seconds until a command that Kafka does not take is given up.
_COMMAND_S: Final = 20.0
_LOCKS: Final = 1_000


class Site:
    """One running web process."""

    def __init__(self, settings: Settings, topics: Topics, redis: Any, tokens: Tokens) -> None:
        self.settings = settings
        self.topics = topics
        self.keys = Keys(settings.output_prefix)
        self.redis = redis
        self.reader = Reader(redis, self.keys)
        #: what the stages start with; what was changed since lies over it
        self.start = values_of(base(settings))
        self.attempts = SignInAttempts()
        #: previews walk through the whole history: one at a time
        self.preview_lock = asyncio.Lock()
        #: commands that Kafka took, and the Unix time of the last; 0: none yet
        self.commands, self.commanded_at = 0, 0.0
        self._tokens = tokens
        self._locks: OrderedDict[str, asyncio.Lock] = OrderedDict()

    def user(self, token: str, address: str) -> User:
        """Whose token it is. A right one always enters, whatever wrong ones came from the same address (all people
        behind one proxy share it). 401 for nobody's; 429 for a wrong one from an address that guessed too often."""
        found = self._tokens.user(token) if token else None
        if found is not None:
            return found
        wait = self.attempts.failed(address) if token else 0.0
        if wait > 0:
            seconds = int(wait) + 1
            raise Refused(
                429, "too_many_attempts",
                f"this token is wrong, like many from here: wait {seconds} s; a right one is taken at any time",
                {"retry-after": str(seconds)},
            )  # fmt: skip
        raise Refused(
            401, "sign_in", "sign in: send `Authorization: Bearer TOKEN` with a token of PLUMBLINE_WEB_TOKENS",
            {"www-authenticate": "Bearer"},
        )  # fmt: skip

    async def command(
        self, user: User, key: str | None, model: str, command: str, arguments: dict[str, Any], reason: str
    ) -> str:
        """Send an operator's command; returns its id. The same key and content is one command, written once."""
        made = send.new_command(model, command, arguments, user.name, reason)
        too_large = send.oversized(made)
        if too_large is not None:
            raise Refused(413, "too_large", too_large)
        if key is None:
            await self._send(made)
            await self._note(made)
            return made.id
        content = f"{model}\x1f{command}\x1f{sorted(arguments.items())!r}\x1f{reason}"
        made = made._replace(id=uuid5("web-command", user.name, key))
        async with self._lock(made.id):
            known = await self._known(made.id)
            if known is not None and known != content.encode():
                raise Refused(422, "key_used", "this Idempotency-Key was used for another command: take a new one")
            if known is None:
                await self._send(made)
                await self._note(made)
                await self._remember(made.id, content)
        return made.id

    async def ordered(
        self, user: User, key: str | None, model: str, command: str, arguments: dict[str, Any], reason: str
    ) -> Response:
        """Send an operator's command, and answer where it can be asked for."""
        id = await self.command(user, key, model, command, arguments, reason)
        return answer({"command_id": id, "href": f"/api/v1/commands/{id}"}, 202)

    async def written(self, id: str) -> dict[str, Any] | None:
        """A command that a web process wrote in the last day, if it is known."""
        value = await self.redis.get(self.keys.written(id))
        return orjson.loads(value) if value is not None else None

    async def _note(self, made: send.NewCommand) -> None:
        """Have it at hand until its outcome comes; without Redis nobody could ask."""
        known = {
            "command_id": made.id, "command": made.command, "model": made.model, "actor": made.actor,
            "reason": made.reason, "written_at": rfc3339(time.time_ns() // 1_000_000),
        }  # fmt: skip
        with suppress(RedisError, OSError):
            await self.redis.set(self.keys.written(made.id), orjson.dumps(known), ex=REMEMBERED_S)

    async def _send(self, made: send.NewCommand) -> None:
        try:
            async with asyncio.timeout(_COMMAND_S):
                await send.send(self.settings, self.topics, [made])
        except TimeoutError as error:
            raise Refused(
                503, "kafka_slow", "Kafka did not take the command in time; send it again, with an Idempotency-Key"
            ) from error
        self.commands, self.commanded_at = self.commands + 1, time.time()

    def _lock(self, id: str) -> asyncio.Lock:
        lock = self._locks.setdefault(id, asyncio.Lock())
        self._locks.move_to_end(id)
        while len(self._locks) > _LOCKS and not next(iter(self._locks.values())).locked():
            self._locks.popitem(last=False)
        return lock

    async def _known(self, id: str) -> bytes | None:
        """Without Redis nobody knows; the stages take the same id once all the same."""
        try:
            found: bytes | None = await self.redis.get(self.keys.command_answer(id))
        except (RedisError, OSError):
            return None
        return found

    async def _remember(self, id: str, content: str) -> None:
        try:
            await self.redis.set(self.keys.command_answer(id), content, ex=REMEMBERED_S)
        except (RedisError, OSError):
            return


def site_of(request: Request) -> Site:
    """The site of a request's application."""
    found: Site = request.app.state.site
    return found


#: without automatic errors: what is missing or wrong is answered with 401 and a sentence, by :meth:`Site.user`
_bearer = HTTPBearer(auto_error=False, description="A token of PLUMBLINE_WEB_TOKENS.")


async def viewer(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]) -> User:
    """Whoever has a token."""
    address = request.client.host if request.client else ""
    return site_of(request).user(given.credentials if given is not None else "", address)


async def operator(user: Annotated[User, Depends(viewer)]) -> User:
    """Whoever may give commands."""
    if user.role != "operator":
        raise Refused(403, "viewer", f"{user.name} can only look: commands take a token with the operator role")
    return user

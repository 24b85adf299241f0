"""Connections to Redis by the settings: password, TLS, and no call that waits for ever."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from stream_app.errors import Incompatible
from stream_app.settings import Whereabouts

#: Seconds until an answer is given up; a Redis that is slower counts as away.
ANSWER_S = 3.0


def client(settings: Whereabouts, answer_s: float | None = ANSWER_S) -> Any:
    """A client that connects at its first call. ``answer_s`` bounds each call; ``None`` for one that blocks."""
    if not settings.redis_url:
        raise Incompatible("redis_url is empty, which turns the read model off: set PLUMBLINE_REDIS_URL")
    options: dict[str, Any] = {
        "socket_timeout": answer_s,
        "socket_connect_timeout": ANSWER_S,
        # whoever calls decides what a failure means; the library would try on for many seconds
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    options |= settings.redis_client_options()
    return Redis.from_url(settings.redis_url, **options)

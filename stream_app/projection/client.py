"""Connections to Redis by the settings: password, TLS, and no call that waits for ever."""

from __future__ import annotations

import ssl
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from stream_app.errors import Incompatible
from stream_app.settings import Settings

#: Seconds until an answer is given up; a Redis that is slower counts as away.
ANSWER_S = 3.0


def client(settings: Settings, answer_s: float | None = ANSWER_S) -> Any:
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
    password = settings.redis_password.get_secret_value()
    if password:
        options["password"] = password
    if settings.redis_ssl_cafile:
        options["ssl_ca_certs"] = _usable(settings.redis_ssl_cafile, settings.redis_url)
    return Redis.from_url(settings.redis_url, **options)


def _usable(cafile: str, url: str) -> str:
    """The file, if TLS will read it and can. It is opened now: at the first call Redis would seem to be away."""
    if not url.startswith("rediss://"):
        raise Incompatible(
            "redis_ssl_cafile is set and redis_url does not begin with rediss://, so nothing is encrypted: correct "
            "PLUMBLINE_REDIS_URL, or leave PLUMBLINE_REDIS_SSL_CAFILE out"
        )
    try:
        ssl.create_default_context(cafile=cafile)
    except (OSError, ValueError) as error:
        raise Incompatible(f"redis_ssl_cafile names {cafile}, which cannot be used: {error}") from error
    return cafile

"""A read model that stands still, and a web process before it: no broker, no worker."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import redis
import uvicorn

from stream_app.kafka.topics import Topics
from stream_app.projection.apply import RedisBatch
from stream_app.projection.keys import LAYOUT, Keys
from stream_app.services.ports import free_ports
from stream_app.settings import Settings
from stream_app.web.app import create
from stream_app.web.auth import Tokens
from tests.support.live import TOKENS

HOUR_MS = 3_600_000


def folded(url: str, keys: Keys, rows: Iterable[tuple[str, dict[str, Any], bytes]]) -> None:
    """Take records (kind, decoded, as they were published) into Redis as the projector does."""
    batch = RedisBatch(keys, lambda model: "accuracy", {})
    for number, (kind, row, value) in enumerate(rows):
        batch.take(kind, row, value, number)
    batch.finish()
    with redis.Redis.from_url(url) as client:
        pipe = client.pipeline(transaction=False)
        for command in batch.commands:
            pipe.execute_command(*command)
        pipe.zadd(keys.touched, dict.fromkeys(batch.touched, 1))
        pipe.hset(keys.meta, mapping={"generation": "still", "cluster": "", "seq": 1, "filling": ""})
        pipe.execute()


@contextlib.contextmanager
def standing(url: str, prefix: str, tick_ms: int | None = None) -> Iterator[str]:
    """The address of a web process before what is in Redis, which it takes for up to date for an hour.

    ``tick_ms``: the time of the newest tick; now if it is left out.
    """
    now = int(time.time() * 1000)
    meta: dict[str, Any] = {"layout": LAYOUT, "beat": now + HOUR_MS, "tick": tick_ms or now, "ticked": now}
    with redis.Redis.from_url(url) as client:
        client.hset(Keys(prefix).meta, mapping=meta)
    settings = Settings(environment="development", redis_url=url, output_prefix=prefix, web_tokens=TOKENS)
    port = free_ports(1)[0]
    app = create(settings, Topics(prefix, prefix, 1, 1), Tokens(TOKENS))
    web = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=web.run, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        web.handle_exit(signal.SIGTERM, None)
        thread.join(30)

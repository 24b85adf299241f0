"""A pipeline of its own beside others: its settings, its processes, its dashboard, and its removal."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from redis.exceptions import RedisError

from stream_app.errors import Unavailable
from stream_app.kafka import admin
from stream_app.kafka.topics import topics_of
from stream_app.projection.client import client
from stream_app.projection.keys import Keys
from stream_app.services.ports import free_ports
from stream_app.settings import Settings, children

#: Partitions of such a pipeline, by the settings that whoever goes on with it has to say.
COUNTS: Final = {"INPUT_PARTITIONS": 4, "MODEL_PARTITIONS": 2}


def named(settings: Settings, name: str) -> Settings:
    """Settings under which nothing is shared with another pipeline on the same broker."""
    page, views = free_ports(2)
    own: dict[str, Any] = {
        "app_id": name, "input_prefix": f"{name}.", "output_prefix": f"{name}.",
        **{key.lower(): count for key, count in COUNTS.items()}, "dashboard_url": f"http://127.0.0.1:{page}",
        "web_port": views,
    }  # fmt: skip
    return settings.model_copy(update=own)


async def create_topics(settings: Settings) -> None:
    """All topics of the pipeline, those of its application too."""
    topics = topics_of(settings)
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        await admin.create(client, [*topics.specs(), *topics.logs()], settings.replication_factor)


async def remove(settings: Settings) -> None:
    """Take the pipeline's topics out of Kafka and its read model out of Redis; what is away already is no fault."""
    await _forget(settings)
    with contextlib.suppress(Unavailable):
        async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
            begins = (f"{settings.app_id}.", f"{settings.app_id}-")
            mine = [topic for topic in await client.list_topics() if topic.startswith(begins)]
            if mine:
                await client.delete_topics(mine)


async def _forget(settings: Settings) -> None:
    """Take the read model out of Redis."""
    if not settings.redis_url:
        return
    redis = client(settings)
    with contextlib.suppress(RedisError, OSError):
        async for key in redis.scan_iter(f"{Keys(settings.output_prefix).root}:*", count=1_000):
            await redis.unlink(key)
    await redis.aclose()


async def alive(wait: Any, scratch: Path, **processes: subprocess.Popen[bytes]) -> None:
    """Await, unless one of the processes ends first: :class:`Unavailable` then, with the end of its log."""
    task = asyncio.ensure_future(wait)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=0.5)
            for name, child in processes.items():
                if child.poll() is not None and not task.done():
                    log = (scratch / f"{name}.log").read_text(errors="replace")
                    raise Unavailable(
                        f"the {name} ended with exit code {child.returncode}. Its log ends with:\n{log[-1500:]}"
                    )
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    task.result()


@contextlib.contextmanager
def dashboard(settings: Settings, scratch: Path, user: str) -> Iterator[str]:
    """The web process; gives the address that signs the user in, or nothing without Redis."""
    if not settings.redis_url:
        yield ""
        return
    token = secrets.token_urlsafe(24)
    host, _, port = settings.dashboard_url.removeprefix("http://").partition(":")
    command = ["web", "--host", host, "--port", port]
    with process(settings, scratch, "web", command, web_tokens=f"{user}:operator:{token}"):
        yield f"{settings.dashboard_url}/#token={token}"


@contextlib.contextmanager
def process(
    settings: Settings, scratch: Path, name: str, command: list[str], **more: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours that follows the pipeline's simulated clock, for as long as the context lasts."""
    child = children.start(
        command, scratch / f"{name}.log", **topics_of(settings).as_settings(), environment=settings.environment,
        kafka_bootstrap=settings.kafka_bootstrap, app_id=settings.app_id, data_dir=scratch / "data", clock="follow",
        web_port=settings.web_port, checkpoint_interval_ms=10, redis_url=settings.redis_url,
        dashboard_url=settings.dashboard_url, **more,
    )  # fmt: skip
    try:
        yield child
    finally:
        children.end(child)

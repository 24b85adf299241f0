"""Relay processes of a test, and the topics they read."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from stream_app.kafka import admin, clients
from stream_app.kafka.topics import TopicSpec
from stream_app.settings import children
from tests.support.kafka_io import Prefix, read


def environment(prefix: Prefix) -> dict[str, str]:
    """Settings that lead a command to this test's broker and topics."""
    app_id = f"{prefix.topics.input_prefix}app"
    return children.fresh_environment(
        kafka_bootstrap=prefix.bootstrap,
        app_id=app_id,
        session_timeout_s=1,
        **prefix.topics.as_settings(),
    ) | {"COLUMNS": "200"}


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The JSON object of its last line."""
        found: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return found


async def start(prefix: Prefix, *arguments: str) -> asyncio.subprocess.Process:
    """Start a command of ``plumbline``."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "stream_app", *arguments, env=environment(prefix),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process, bound_s: float = 60.0) -> Done:
    """Its end; it is killed and the test fails if that does not come."""
    try:
        async with asyncio.timeout(bound_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(f"no end within {bound_s:.0f} s\n{out.decode()}\n{err.decode()}") from None
    return Done(process.returncode or 0, out.decode(), err.decode())


async def plumbline(prefix: Prefix, *arguments: str) -> Done:
    """Run a command to its end."""
    return await ended(await start(prefix, *arguments))


async def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL and reap, if it still runs."""
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def make_topic(prefix: Prefix, name: str, partitions: int = 3) -> str:
    """A topic of other people's, below this test's prefix so that it goes with it."""
    full = f"{prefix.topics.input_prefix}{name}"
    async with admin.admin(prefix.bootstrap, {}) as client:
        await admin.create(client, [TopicSpec(full, partitions, {"retention.ms": "-1"})], 1)
    return full


@dataclass(frozen=True)
class Out:
    """A record to write to a topic of other people's."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int | None = None
    partition: int | None = None


async def produce(prefix: Prefix, topic: str, rows: Iterable[Out]) -> None:
    """Write records, in order within partitions."""
    async with clients.producer(prefix.bootstrap, {}, linger_ms=5) as producer:
        futures = [
            await producer.send(
                topic, row.value, key=row.key, headers=list(row.headers), timestamp_ms=row.timestamp,
                partition=row.partition,
            )
            for row in rows
        ]  # fmt: skip
        await asyncio.gather(*futures)


async def records_of(prefix: Prefix, topic: str, partitions: int) -> list[Any]:
    """Every committed record of a topic, in order within partitions."""
    return [record for part in (await read(prefix.bootstrap, topic, partitions)).values() for record in part]

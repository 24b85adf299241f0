"""A read model to look at: Redis servers, records as the stages publish them, the web process, its clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import redis

from schemas.partitioning import partition_for
from stream_app.core.kit.effects import Emit
from stream_app.kafka import clients
from stream_app.kafka.topics import Topics
from stream_app.projection.apply import KINDS
from stream_app.services.ports import free_ports
from stream_app.settings import Settings
from stream_app.simulator import Simulator
from stream_app.stage_configs import alerts_config, drift_config, metrics_config, retrain_config
from tests.support import scenarios
from tests.support.kafka_io import Prefix, read, until
from tests.support.reference import Process
from tests.support.simulate import run
from tests.support.worker import Worker

OPERATOR, VIEWER = "operator-token-0123456789", "viewer-token-0123456789"
TOKENS = f"olga:operator:{OPERATOR},victor:viewer:{VIEWER}"


class RedisServer:
    """A redis-server on a port of its own; nothing is kept on disk."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    def start(self, password: str | None = None) -> RedisServer:
        """Start, and wait until it answers."""
        program = shutil.which("redis-server")
        assert program, "redis-server is missing: make setup-dev installs it"
        command = [program, "--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self._folder)]
        with (self._folder / "redis.log").open("ab") as out:
            self._process = subprocess.Popen([*command, *self._options], stdout=out, stderr=out)
        with self.client(password) as client:
            for _ in range(500):
                try:
                    client.ping()
                    return self
                except redis.ConnectionError:
                    assert self._process.poll() is None, (self._folder / "redis.log").read_text()
                    self._process_wait(0.02)
        raise AssertionError("Redis does not answer")

    def _process_wait(self, seconds: float) -> None:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def client(self, password: str | None = None) -> Any:
        """A blocking client."""
        return redis.Redis(port=self.port, socket_timeout=30, password=password)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL and reap."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@cache
def published() -> dict[str, tuple[Emit, ...]]:
    """What the stages publish of four models over 56 days: drift of both kinds, missing outcomes, trainings, alerts."""
    settings = Settings(
        environment="development", app_id="live", input_partitions=1, model_partitions=1,
        auto_retrain=True, auto_retrain_types={"churn": True}, auto_retrain_tenants=("*",),
    )  # fmt: skip
    sim = Simulator(
        metrics_config(settings), drift_config(settings), retrain_config(settings, "ml.training-results"),
        alerts_config(settings),
    )  # fmt: skip
    models = [
        scenarios.step(25, 44, 56, 300),
        scenarios.step(15, 44, 56, 300),
        scenarios.stretched(44, 56, 300),
        scenarios.coverage(0.3, 46, 50, 56, 200),
    ]
    run(models, sim)
    return {kind: tuple(sim.emits.get(kind, ())) for kind in KINDS}


async def publish(prefix: Prefix, emits: dict[str, tuple[Emit, ...]]) -> None:
    """Write records as a stage would: each to its topic, key and partition."""
    topics = prefix.topics
    async with clients.producer(prefix.bootstrap, {}, linger_ms=5) as producer:
        for kind, rows in emits.items():
            for emit in rows:
                model = json.loads(emit.value)["model"].encode() if emit.value is not None else emit.key or b""
                partition = partition_for(model, topics.model_partitions)
                await producer.send(f"{topics.output_prefix}{kind}", emit.value, emit.key, partition)
        await producer.flush()


def newest(kind: str, key: Callable[[dict[str, Any]], Any]) -> dict[Any, dict[str, Any]]:
    """The last published record by key, straight from the simulator's list."""
    found = {}
    for emit in published()[kind]:
        row = json.loads(emit.value or b"")
        found[key(row)] = row
    return found


class Web:
    """The web process of a prefix, and requests to it."""

    def __init__(self, prefix: Prefix, folder: Path, redis_url: str, **env: str) -> None:
        self.port = free_ports(1)[0]
        self.address = f"http://127.0.0.1:{self.port}"
        self.process = Process(
            prefix, folder, "web", ["web", "--port", str(self.port)],
            env={"PLUMBLINE_REDIS_URL": redis_url, "PLUMBLINE_WEB_TOKENS": TOKENS, **env},
        )  # fmt: skip

    def client(self, token: str = VIEWER) -> httpx.AsyncClient:
        """A client of the API with a token."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(base_url=f"{self.address}/api/v1", headers=headers, timeout=30)

    async def answers(self, whole: bool = True, bound_s: float = 60.0) -> None:
        """Return when it answers, and the read model behind it is whole."""

        async def up() -> bool:
            assert self.process.exit_code is None, self.process.tail()
            try:
                async with self.client() as client:
                    status = (await client.get("/status")).json()
            except httpx.TransportError:
                return False
            return not (whole and status["degraded"])

        await until(up, bound_s, "the web process to answer")


class Site(NamedTuple):
    """A read model of what was published, and a web process before it."""

    prefix: Prefix
    redis: RedisServer
    web: Web

    async def commands(self) -> list[dict[str, Any]]:
        """Every operator command that was written."""
        topics = self.prefix.topics
        parts = await read(self.prefix.bootstrap, topics.operator_commands, topics.model_partitions)
        return [json.loads(record.value) for records in parts.values() for record in records]


@contextlib.contextmanager
def serving(
    kafka: str, folder: Path, name: str, records: Callable[[], dict[str, tuple[Emit, ...]]] = published
) -> Iterator[Site]:
    """Start all of it, with topics under ``name``."""
    prefix = Prefix(kafka, Topics(name, name, 3, 2))
    asyncio.run(prefix.create())
    asyncio.run(publish(prefix, records()))
    redis = RedisServer(folder / "redis").start()
    web = Web(prefix, folder, redis.url)
    web.process.start()
    # a process of its own: threads that draw random numbers disturb hypothesis
    projecting = Worker(kafka, prefix.topics, f"{name}app", folder, redis_url=redis.url).start()
    try:
        asyncio.run(web.answers(bound_s=180))
        yield Site(prefix, redis, web)
    finally:
        web.process.kill()
        projecting.kill()
        redis.kill()
        asyncio.run(prefix.delete(name))

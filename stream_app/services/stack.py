"""What ``plumbline services`` manages: Kafka and Redis of one folder, remembered in its ``services.json``."""

from __future__ import annotations

import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

from stream_app.errors import Unavailable
from stream_app.services.kafka import LocalKafka, refuse_busy
from stream_app.services.processes import Process, spawn

KAFKA_PORT = 19092
REDIS_PORT = 16379


class Stack:
    """Services of one folder; idempotent in both directions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._file = self.folder / "services.json"

    def up(self, nodes: int, port: int, redis_port: int | None) -> dict[str, Any]:
        """Start what does not run; returns the state. Seconds."""
        state = self.state()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not _alive(state, "kafka"):
            kafka = LocalKafka(self.folder, nodes, port)
            try:
                kafka.start()
            except BaseException:
                kafka.stop()
                raise
            state["kafka"] = {
                "bootstrap": kafka.bootstrap,
                "processes": [process.state() for process in kafka.processes.values()],
            }
            self._save(state)
        if redis_port is not None and not _alive(state, "redis"):
            state["redis"] = {
                "url": f"redis://127.0.0.1:{redis_port}/0",
                "processes": [self._redis(redis_port).state()],
            }
            self._save(state)
        return state

    def _redis(self, port: int) -> Process:
        program = shutil.which("redis-server")
        if program is None:
            raise Unavailable(
                "redis-server is not installed: `apt-get install redis-server` (make test and make demo do it as root), "
                "or leave it out with --no-redis: the pipeline runs without it."
            )
        refuse_busy(port, "Redis")
        home = self.folder / "redis"
        home.mkdir(parents=True, exist_ok=True)
        command = [
            program,
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            str(home),
            "--save",
            "",
            "--daemonize",
            "no",
        ]
        process = spawn(command, home / "redis.log", home)
        deadline = time.monotonic() + 10
        while not _answers_ping(port):
            if not process.alive() or time.monotonic() > deadline:
                process.stop()
                raise Unavailable(f"Redis did not start; see {home.name}/redis.log in {self.folder.name}")
            time.sleep(0.05)
        return process

    def down(self) -> list[str]:
        """Stop what was started here and nothing else; returns the names of what was stopped."""
        state = self.state()
        stopped = [name for name in state if _alive(state, name)]
        for service in state.values():
            for item in service["processes"]:
                Process(**item).stop()
        self._file.unlink(missing_ok=True)
        return stopped

    def state(self) -> dict[str, Any]:
        """What was started here and still runs, by name."""
        try:
            state: dict[str, Any] = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return {name: service for name, service in state.items() if _alive(state, name)}

    def _save(self, state: dict[str, Any]) -> None:
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps(state, indent=1))
        temporary.replace(self._file)


def _alive(state: dict[str, Any], name: str) -> bool:
    return name in state and any(Process(**item).alive() for item in state[name]["processes"])


def _answers_ping(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

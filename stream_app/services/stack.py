"""What ``plumbline services`` manages: Kafka and Redis of one folder, remembered in its ``services.json``."""

from __future__ import annotations

import fcntl
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import msgspec

from stream_app.errors import Incompatible, Unavailable
from stream_app.services.artifacts import require
from stream_app.services.kafka import LocalKafka, brokers
from stream_app.services.ports import free_ports, refuse_busy
from stream_app.services.processes import Process, spawn, stop_all

KAFKA_PORT = 19092
REDIS_PORT = 16379


@dataclass(frozen=True, slots=True)
class Service:
    """One service that was started here."""

    name: str
    address: str
    ports: list[int]
    processes: dict[int, Process]  # by node; Redis has one
    #: Started for the length of a command; the last such command stops it.
    until_unused: bool = False

    def running(self) -> list[int]:
        """Nodes whose process runs."""
        return [node for node, process in self.processes.items() if process.alive()]

    def answers(self) -> bool:
        """Whether it takes requests now."""
        if self.name == "redis":
            return _pongs(self.ports[0])
        return brokers(self.address) >= len(self.processes)


class Stack:
    """Services of one folder. Starting and stopping are idempotent, and stop only what was started here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._file = self.folder / "services.json"

    def services(self) -> dict[str, Service]:
        """Services of which at least one process runs, by name."""
        return {name: service for name, service in self._recorded().items() if service.running()}

    def up_kafka(self, nodes: int = 1, port: int = KAFKA_PORT, until_unused: bool = False) -> Service:
        """Start Kafka, or those of its nodes that do not run. ``port`` 0 takes free ones."""
        with self._alone():
            known = self.services().get("kafka")
            if known and len(known.ports) != 2 * nodes:
                raise Incompatible(
                    f"a Kafka of {len(known.ports) // 2} nodes runs in {self.folder}; `plumbline services down` first, "
                    "or take another folder with --dir"
                )
            if known and len(known.running()) == nodes:
                return self._keep(known, until_unused)
            kafka = LocalKafka(self.folder, nodes, port, ports=known.ports if known else ())
            if known:
                kafka.processes.update(known.processes)
                until_unused = until_unused and known.until_unused

            def record() -> Service:
                service = Service("kafka", kafka.bootstrap, kafka.ports, dict(kafka.processes), until_unused)
                self._record(service)
                return service

            kafka.spawned = record  # at once: an `up` that is killed must not leave unknown processes
            try:
                kafka.start()
            finally:
                service = record()
            return service

    def up_redis(self, port: int = REDIS_PORT, until_unused: bool = False) -> Service:
        """Start Redis if it does not run. ``port`` 0 takes a free one."""
        with self._alone():
            known = self.services().get("redis")
            if known:
                return self._keep(known, until_unused)
            program = require("redis-server", "redis-server")
            port = port or free_ports(1)[0]
            refuse_busy(port, "Redis", "--redis-port")
            home = self.folder / "redis"
            home.mkdir(parents=True, exist_ok=True)
            # Nothing is kept on disk: what Redis holds is rebuilt from the topics.
            command = [program, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(home), "--save", ""]
            process = spawn([*command, "--daemonize", "no"], home / "redis.log", home)
            service = Service("redis", f"redis://127.0.0.1:{port}/0", [port], {1: process}, until_unused)
            self._record(service)
            deadline = time.monotonic() + 10
            while not service.answers():
                if not process.alive() or time.monotonic() > deadline:
                    stop_all([process])
                    raise Unavailable(f"Redis did not start; {home / 'redis.log'} says why")
                time.sleep(0.05)
            return service

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Services with ``until_unused`` that are started inside stay up until the last user of the folder has left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "services.users").open("w") as users:
            fcntl.flock(users, fcntl.LOCK_SH)
            try:
                yield
            finally:
                fcntl.flock(users, fcntl.LOCK_UN)
                # Refused while others use them; then the last one stops them.
                with suppress(BlockingIOError):
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self.down(frozenset(name for name, service in self.services().items() if service.until_unused))

    def _keep(self, known: Service, until_unused: bool) -> Service:
        """A running service that somebody asks for without an end stays up."""
        service = replace(known, until_unused=known.until_unused and until_unused)
        self._record(service)
        return service

    def down(self, names: frozenset[str] = frozenset({"kafka", "redis"})) -> list[str]:
        """Stop what was started here and nothing else; returns the names of what was stopped."""
        if not self._file.exists():
            return []
        with self._alone():
            running = {name: service for name, service in self.services().items() if name in names}
            stop_all(process for service in running.values() for process in service.processes.values())
            self._write(self.services())
            return list(running)

    def _recorded(self) -> dict[str, Service]:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, Service])
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Incompatible(
                f"{self._file} cannot be read ({error}). Stop what it names manually, then delete the file."
            ) from error

    def _record(self, service: Service) -> None:
        self._write({**self.services(), service.name: service})

    def _write(self, services: dict[str, Service]) -> None:
        services = {name: service for name, service in services.items() if service.running()}
        if not services:
            self._file.unlink(missing_ok=True)
            return
        temporary = self._file.with_suffix(".tmp")
        temporary.write_text(json.dumps({name: asdict(service) for name, service in services.items()}, indent=1))
        temporary.replace(self._file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Two calls at once must not both start: the second waits and finds what the first started."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "services.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _pongs(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False

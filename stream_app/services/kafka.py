"""A real Kafka from Maven artifacts: KRaft mode, one or three nodes that are broker and controller at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from stream_app.errors import Unavailable
from stream_app.services.processes import Process, spawn

KAFKA_VERSION = "4.1.1"

_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
    ("org.slf4j", "slf4j-simple", "1.7.36"),
)
_STORAGE_TOOLS = ("kafka.tools.StorageTool", "org.apache.kafka.tools.StorageTool")
_READY_S = 60.0


def cache_dir() -> Path:
    """Where fetched artifacts stay: PLUMBLINE_CACHE_DIR, else the user's cache folder."""
    named = os.environ.get("PLUMBLINE_CACHE_DIR")
    if named:
        return Path(named).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "plumbline"


def jars() -> Path:
    """Folder of the broker's jars, fetched by Maven the first time."""
    target = cache_dir() / f"kafka-{KAFKA_VERSION}"
    if target.is_dir():
        return target
    for program, package in (("java", "default-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise Unavailable(
                f"{program} is not installed: `apt-get install {package}` (make test and make demo do it as root), or "
                "name a running broker in PLUMBLINE_KAFKA_BOOTSTRAP."
            )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        pom = Path(work, "pom.xml")
        pom.write_text(_pom())
        command = ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
        command += ["-DincludeScope=runtime", f"-DoutputDirectory={work}/lib"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"Maven could not fetch Kafka {KAFKA_VERSION}:\n{(done.stdout + done.stderr)[-2000:]}")
        try:
            Path(work, "lib").rename(target)
        except OSError:
            if not target.is_dir():  # somebody else was quicker otherwise
                raise
    return target


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>"
        for g, a, v in _ARTIFACTS
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>plumbline</groupId><artifactId>local-kafka</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on right now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [int(item.getsockname()[1]) for item in sockets]
    finally:
        for item in sockets:
            item.close()


def refuse_busy(port: int, what: str) -> None:
    """Raise :class:`Unavailable` if somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise Unavailable(
                f"port {port} for {what} is taken by another program. Choose another with --port, stop that program, or "
                "name the broker that runs there in PLUMBLINE_KAFKA_BOOTSTRAP."
            )


class LocalKafka:
    """One or three nodes. ``port`` 0 chooses free ports; otherwise the nodes use port, port + 2, port + 4."""

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        port: int = 0,
        transaction_scan_ms: int = 10_000,
        extra: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self.nodes = nodes
        ports = free_ports(2 * nodes) if port == 0 else [port + i for i in range(2 * nodes)]
        self.ports, self._controller_ports = ports[0::2], ports[1::2]
        self._scan_ms = transaction_scan_ms
        self._extra = dict(extra or {})
        self.processes: dict[int, Process] = {}

    @property
    def bootstrap(self) -> str:
        """Addresses of the brokers."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    def start(self) -> None:
        """Start every node and wait until all of them answer a metadata request."""
        for port in (*self.ports, *self._controller_ports):
            refuse_busy(port, "Kafka")
        for node in range(1, self.nodes + 1):
            self.start_node(node)
        self.wait_ready()

    def start_node(self, node: int) -> None:
        """Start one node; its data survives restarts."""
        home = self.folder / f"kafka-{node}"
        home.mkdir(parents=True, exist_ok=True)
        properties = home / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties(node, home).items()))
        library = jars()
        if not (home / "data" / "meta.properties").exists():
            self._format(library, properties, home)
        self.processes[node] = spawn([*_java(library), "kafka.Kafka", str(properties)], home / "server.log", home)

    def _format(self, library: Path, properties: Path, home: Path) -> None:
        said = ""
        for tool in _STORAGE_TOOLS:
            command = [*_java(library), tool, "format", "--ignore-formatted", "-t", _CLUSTER, "-c", str(properties)]
            done = subprocess.run(command, capture_output=True, text=True, cwd=home, check=False)
            if done.returncode == 0:
                return
            said += done.stdout + done.stderr
        raise Unavailable(f"Kafka's storage could not be formatted:\n{said[-2000:]}")

    def _properties(self, node: int, home: Path) -> dict[str, str]:
        replicas = "3" if self.nodes >= 3 else "1"
        in_sync = "2" if self.nodes >= 3 else "1"
        here, controller = self.ports[node - 1], self._controller_ports[node - 1]
        return {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": ",".join(
                f"{i + 1}@127.0.0.1:{p}" for i, p in enumerate(self._controller_ports)
            ),
            "listeners": f"PLAINTEXT://127.0.0.1:{here},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{here}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(home / "data"),
            "auto.create.topics.enable": "false",
            "default.replication.factor": replicas,
            "min.insync.replicas": in_sync,
            # One partition each is enough for one machine and starts in seconds.
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": replicas,
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": replicas,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": replicas,
            "share.coordinator.state.topic.min.isr": in_sync,
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            # The default buffer of 128 MiB is the largest single piece of a small broker's heap.
            "log.cleaner.dedupe.buffer.size": str(4 << 20),
            "num.network.threads": "2",
            "num.io.threads": "2",
            "background.threads": "2",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": str(self._scan_ms),
            **self._extra,
        }

    def wait_ready(self) -> None:
        """Return when a metadata request is answered and names every running node."""
        deadline = time.monotonic() + _READY_S
        wanted = len([p for p in self.processes.values() if p.alive()])
        while True:
            for node, process in self.processes.items():
                if not process.alive():
                    log = self.folder / f"kafka-{node}" / "server.log"
                    raise Unavailable(f"Kafka node {node} ended while starting. Its log ends with:\n{_tail(log)}")
            if asyncio.run(_brokers(self.bootstrap)) >= wanted:
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"Kafka at {self.bootstrap} did not answer within {_READY_S:.0f} s")
            time.sleep(0.1)

    def stop(self) -> None:
        """Stop every node, in order."""
        for process in self.processes.values():
            process.stop()
        self.processes.clear()

    def kill(self, node: int) -> None:
        """SIGKILL one node."""
        self.processes.pop(node).kill()


_CLUSTER = "UGx1bWJsaW5lTG9jYWwwMQ"  # any 16 bytes in base64; the same for all nodes


def _java(library: Path) -> list[str]:
    return [
        "java",
        "-Xms96m",
        "-Xmx320m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.net.preferIPv4Stack=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-cp",
        f"{library}/*",
    ]


async def _brokers(bootstrap: str) -> int:
    """Number of brokers a metadata request names; 0 if nobody answers."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
    try:
        await asyncio.wait_for(client.start(), 3)
        described = await client.describe_cluster()
        return len(described.get("brokers", []))
    except Exception:
        return 0
    finally:
        await client.close()


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])

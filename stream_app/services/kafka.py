"""A real Kafka in KRaft mode: one or three nodes that are broker and controller at once."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import clients
from stream_app.services.artifacts import jars, require
from stream_app.services.ports import free_ports, is_free, refuse_busy
from stream_app.services.processes import Process, spawn, stop_all

#: Most nodes are up in 3 s, three in 7; a machine ten times slower still makes it.
_READY_S = 60.0
_STORAGE_TOOLS = ("kafka.tools.StorageTool", "org.apache.kafka.tools.StorageTool")


class LocalKafka:
    """One or three nodes of one folder; data and logs survive :meth:`stop`.

    ``port`` 0 takes free ports, otherwise the nodes use port, port + 2, port + 4 and their controllers the ones after.
    ``transaction_scan_ms``: how often transactions of dead producers are looked for (Kafka's own: 10,000).
    ``extra``: broker properties over ours. All calls block; none needs or disturbs an event loop.
    """

    def __init__(
        self,
        folder: Path,
        nodes: int = 1,
        port: int = 0,
        transaction_scan_ms: int = 10_000,
        extra: Mapping[str, str] | None = None,
        ports: Sequence[int] = (),
    ) -> None:
        self.folder = folder.absolute()
        self.nodes = nodes
        #: Node 1's port, its controller's, node 2's, and so on.
        self.ports = list(ports) or ([port + i for i in range(2 * nodes)] if port else free_ports(2 * nodes))
        self.processes: dict[int, Process] = {}
        self._scan_ms = transaction_scan_ms
        self._extra = dict(extra or {})
        self._cluster = _cluster_of(self.folder)
        #: Called after every start of a process, before it is ready.
        self.spawned: Callable[[], object] = lambda: None

    @property
    def bootstrap(self) -> str:
        """Addresses of the brokers."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports[::2])

    def start(self) -> None:
        """Start every node that does not run, and return when all of them answer. Raises :class:`Unavailable`."""
        missing = [node for node in range(1, self.nodes + 1) if not self.running(node)]
        _refuse_other_size(self.folder, self.nodes)
        for node in missing:
            for port in self.ports[2 * node - 2 : 2 * node]:
                refuse_busy(port, "Kafka", "--port")
        before = dict(self.processes)
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(self._prepare, missing))
            for node in missing:
                self.start_node(node)
            self.wait_ready()
        except BaseException:
            stop_all(process for node, process in self.processes.items() if before.get(node) != process)
            self.processes = before
            raise

    def start_node(self, node: int) -> None:
        """Start one node, without waiting for it."""
        home = self._prepare(node)
        command = [*_java(jars()), "kafka.Kafka", str(home / "server.properties")]
        self.processes[node] = spawn(command, home / "server.log", home)
        self.spawned()

    def restart(self, node: int) -> None:
        """Stop a node if it runs, start it on its old ports and wait until every running node answers."""
        if node in self.processes:
            stop_all([self.processes[node]])
        self.start_node(node)
        self.wait_ready()

    def stop(self) -> None:
        """Stop every node."""
        stop_all(self.processes.values())
        self.processes.clear()

    def kill(self, node: int) -> None:
        """SIGKILL one node."""
        self.processes.pop(node).kill()

    def running(self, node: int) -> bool:
        """Whether the node's process runs."""
        return node in self.processes and self.processes[node].alive()

    def wait_ready(self) -> None:
        """Return when a metadata request is answered and names every running node. Raises :class:`Unavailable`."""
        deadline = time.monotonic() + _READY_S
        wanted = sum(process.alive() for process in self.processes.values())
        while True:
            for node, process in self.processes.items():
                if not process.alive():
                    raise Unavailable(self._why_ended(node))
            # Asked only once somebody listens: the client logs every refused connection.
            listening = not any(is_free(self.ports[2 * node - 2]) for node in self.processes)
            if listening and brokers(self.bootstrap) >= wanted:
                return
            if time.monotonic() > deadline:
                raise Unavailable(f"Kafka at {self.bootstrap} did not answer within {_READY_S:.0f} s: {self._logs()}")
            time.sleep(0.05)

    def _prepare(self, node: int) -> Path:
        """Write the node's properties and format its storage if it is new."""
        home = self.folder / f"kafka-{node}"
        home.mkdir(parents=True, exist_ok=True)
        properties = home / "server.properties"
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties(node, home).items()))
        if not (home / "data" / "meta.properties").exists():
            _format(jars(), properties, self._cluster)
        return home

    def _properties(self, node: int, home: Path) -> dict[str, str]:
        replicas = "3" if self.nodes >= 3 else "1"
        in_sync = "2" if self.nodes >= 3 else "1"
        here, controller = self.ports[2 * node - 2 : 2 * node]
        voters = ",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(self.ports[1::2], start=1))
        return {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": voters,
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
            # A killed node of three is noticed after 3 s, not Kafka's 9, which is what they are here for. A single one
            # after 6, so that it comes back soon, and does not fence itself on a busy machine.
            "broker.session.timeout.ms": "3000" if self.nodes >= 3 else "6000",
            "broker.heartbeat.interval.ms": "500" if self.nodes >= 3 else "1000",
            # The default buffer of 128 MiB is the largest single piece of a small broker's heap.
            "log.cleaner.dedupe.buffer.size": str(4 << 20),
            "num.network.threads": "2",
            "num.io.threads": "2",
            "background.threads": "2",
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": str(self._scan_ms),
            **self._extra,
        }

    def _why_ended(self, node: int) -> str:
        log = self.folder / f"kafka-{node}" / "server.log"
        end = _tail(log)
        if "UnsupportedClassVersionError" in end:
            return "the java on the PATH is too old for Kafka 4: it needs Java 17 or newer"
        return f"Kafka node {node} ended while starting. {log} ends with:\n{end}"

    def _logs(self) -> str:
        return "see " + ", ".join(str(self.folder / f"kafka-{node}" / "server.log") for node in self.processes)


def brokers(bootstrap: str, options: Mapping[str, Any] | None = None) -> int:
    """Number of brokers that a metadata request names; 0 if nobody answers. ``options``: TLS and SASL of the client."""
    # In a thread of its own: a caller may well be inside a running event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _brokers(bootstrap, dict(options or {}))).result()


async def _brokers(bootstrap: str, options: dict[str, Any]) -> int:
    client = clients.admin(bootstrap, options, request_timeout_ms=2_000)
    try:
        async with asyncio.timeout(6):
            await client.start()
            described = await client.describe_cluster()
        return len(described.get("brokers", []))
    except Exception:
        return 0  # whatever it is, it does not answer yet; the caller has the deadline
    finally:
        await client.close()


def _refuse_other_size(folder: Path, nodes: int) -> None:
    """A quorum keeps its size: a folder formatted for one node cannot become three, nor the other way round."""
    held = len(list(folder.glob("kafka-*/data/meta.properties")))
    if held not in (0, nodes) and (held > nodes or (held, nodes) == (1, 3)):
        raise Incompatible(
            f"{folder} holds the data of a Kafka of {held} node{'s'[: held > 1]}, and a quorum keeps its size. Take "
            f"--nodes {held}, another folder with --dir, or delete {folder} if its data is not needed."
        )


def _cluster_of(folder: Path) -> str:
    """The id that the folder's nodes share; another folder is another cluster, whose state must not be mixed up."""
    for path in folder.glob("kafka-*/data/meta.properties"):
        found = re.search(r"^cluster\.id=(.+)$", path.read_text(), re.MULTILINE)
        if found is not None:
            return found[1].strip()
    # Kafka's form of an id. The first bit is 0, so that none begins with a dash and looks like an option.
    return base64.urlsafe_b64encode(bytes([secrets.randbelow(128)]) + secrets.token_bytes(15)).decode().rstrip("=")


def _format(library: Path, properties: Path, cluster: str) -> None:
    said = ""
    for tool in _STORAGE_TOOLS:
        command = [*_java(library), tool, "format", "--ignore-formatted", "-t", cluster, "-c", str(properties)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode == 0:
            return
        said += done.stdout + done.stderr
    if "UnsupportedClassVersionError" in said:
        raise Unavailable("the java on the PATH is too old for Kafka 4: it needs Java 17 or newer")
    raise Unavailable(f"Kafka's storage could not be formatted:\n{said[-2000:]}")


def _java(library: Path) -> list[str]:
    # Measured on two cores: a CDS archive saves 1 s of 3 a start and costs 8 s and 49 MB once; not worth its upkeep.
    return [
        require("java", "default-jre-headless"), "-Xms96m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
        "-Djava.net.preferIPv4Stack=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true", "-cp", f"{library}/*",
    ]  # fmt: skip


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])

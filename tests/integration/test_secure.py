"""Kafka and Redis that let nobody in without TLS and a password: who has both works, who has not is told so."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from stream_app.read_model.client import client
from stream_app.services.kafka import LocalKafka
from stream_app.services.ports import free_ports
from stream_app.settings import Settings
from stream_app.topics import Topics
from tests.support.generate import history
from tests.support.judge import told
from tests.support.kafka_io import Prefix, until, write
from tests.support.live import RedisServer
from tests.support.worker import Worker

PASSWORD = "correct-horse-battery"
WRONG = "wrong-horse-battery"


class Authority(NamedTuple):
    """Files of one certificate authority: its own certificate, a server's with key, a client's."""

    ca: Path
    server: Path
    client: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return made(tmp_path_factory.mktemp("tls"))


def made(folder: Path) -> Authority:
    """Make an authority and what it signed."""
    ca, files = trustme.CA(), Authority(folder / "ca.pem", folder / "server.pem", folder / "client.pem")
    ca.cert_pem.write_to_path(files.ca)
    ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(files.server)
    ca.issue_cert("worker@example.org").private_key_and_cert_chain_pem.write_to_path(files.client)
    return files


class Secure(NamedTuple):
    """A broker: its open port for the tests, one that wants SASL over TLS, one that wants a client's certificate."""

    plain: str
    sasl: str
    mutual: str


@pytest.fixture(scope="module")
def broker(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    plain, controller, sasl, mutual = free_ports(4)
    # Java's PEM stores want PKCS #8, which is what openssl's pkey writes
    key_file = authority.server.with_name("pkcs8.pem")
    done = subprocess.run(["openssl", "pkey", "-in", str(authority.server)], capture_output=True, text=True, check=True)
    chain = authority.server.read_text()
    key_file.write_text(done.stdout + chain[chain.index("-----BEGIN CERTIFICATE") :])
    listeners = {"PLAINTEXT": plain, "SECURE": sasl, "MUTUAL": mutual}
    shown = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    extra = {
        "listeners": f"{shown},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": shown,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(key_file),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.secure.plain.sasl.jaas.config": f'{login} user_plumbline="{PASSWORD}";',
    }
    kafka = LocalKafka(
        tmp_path_factory.mktemp("secure"), transaction_scan_ms=1_000, extra=extra, ports=[plain, controller]
    )
    try:
        kafka.start()
        yield Secure(*(f"127.0.0.1:{port}" for port in (plain, sasl, mutual)))
    finally:
        kafka.stop()


@pytest.fixture
async def prefix(broker: Secure) -> AsyncIterator[Prefix]:
    """Topics on that broker, for what the tests write and read by its open port."""
    name = f"s{os.getpid()}-{os.urandom(3).hex()}."
    yield Prefix(broker.plain, Topics(name, name, 3, 2))
    await Prefix(broker.plain, Topics(name, name, 3, 2)).delete(name)


def sasl(broker: Secure, authority: Authority, password: str = PASSWORD) -> dict[str, str]:
    return {
        "kafka_bootstrap": broker.sasl, "kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": "PLAIN",
        "kafka_sasl_username": "plumbline", "kafka_sasl_password": password, "kafka_ssl_cafile": str(authority.ca),
    }  # fmt: skip


def mutual(broker: Secure, authority: Authority) -> dict[str, str]:
    return {
        "kafka_bootstrap": broker.mutual, "kafka_security_protocol": "SSL", "kafka_ssl_cafile": str(authority.ca),
        "kafka_ssl_certfile": str(authority.client),
    }  # fmt: skip


async def plumbline(prefix: Prefix, settings: dict[str, str], *command: str) -> tuple[int, str]:
    """Run a command with these settings alone; its exit code and all it said."""
    topics = prefix.topics
    env = {key: value for key, value in os.environ.items() if not key.startswith("PLUMBLINE_")}
    known = {
        "input_prefix": topics.input_prefix, "output_prefix": topics.output_prefix, "redis_url": "",
        "input_partitions": "3", "line_partitions": "2", **settings,
    }  # fmt: skip
    env |= {f"PLUMBLINE_{name.upper()}": value for name, value in known.items()}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "stream_app", *command], env=env, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("way", [sasl, pytest.param(mutual, marks=pytest.mark.long)])
async def test_who_has_what_it_takes_works_to_the_end(
    prefix: Prefix, broker: Secure, authority: Authority, tmp_path: Path, way: type
) -> None:
    settings = way(broker, authority)
    code, said = await plumbline(prefix, settings, "topics", "create")
    assert code == 0, said
    running = Worker(broker.plain, prefix.topics, f"{prefix.topics.input_prefix}app", tmp_path, **settings).start()
    try:
        steps = history(seed=91, days=1, per_day=60)
        await write(prefix, steps)

        def shown() -> bool:
            assert running.exit_code is None, running.tail()
            return "plumbline_closes_total" in str(running.view("/metrics")[1])

        await told(prefix, running)
        await until(shown, 60, "a day closed behind the secured broker")
        code, said = await plumbline(prefix, settings, "doctor")
        assert code in (0, 1), said
        assert "broker" in said
        assert PASSWORD not in said
        assert running.stop() == 0
        assert PASSWORD not in running.log.read_text()
    finally:
        running.kill()


async def test_who_has_not_is_told_by_one_sentence(prefix: Prefix, broker: Secure, authority: Authority) -> None:
    (authority.ca.parent / "other").mkdir()
    other = made(authority.ca.parent / "other")
    good, wrong = sasl(broker, authority), sasl(broker, authority, WRONG)
    for settings in (
        wrong,
        {**good, "kafka_ssl_cafile": str(other.ca)},
        {**good, "kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_cafile": ""},
        {"kafka_bootstrap": broker.sasl},
        {**mutual(broker, authority), "kafka_ssl_certfile": str(other.client)},
    ):
        for command in (("topics", "check"), *((("worker",),) if settings == wrong else ())):
            code, said = await plumbline(prefix, settings, *command)
            assert code == 1, said
            assert "Traceback" not in said
            assert WRONG not in said
            assert PASSWORD not in said
            assert "PLUMBLINE_KAFKA" in said, said


async def test_redis_by_tls_and_password(authority: Authority, tmp_path: Path) -> None:
    port = free_ports(1)[0]
    server = RedisServer(
        tmp_path / "redis", "--requirepass", PASSWORD, "--tls-port", str(port), "--tls-cert-file",
        str(authority.server), "--tls-key-file", str(authority.server), "--tls-ca-cert-file", str(authority.ca),
        "--tls-auth-clients", "no",
    ).start(password=PASSWORD)  # fmt: skip
    url = f"rediss://127.0.0.1:{port}/0"
    try:
        good = client(Settings(redis_url=url, redis_password=PASSWORD, redis_ssl_cafile=str(authority.ca)))
        assert await good.ping()
        await good.aclose()
        wrong = client(Settings(redis_url=url, redis_password=WRONG, redis_ssl_cafile=str(authority.ca)))
        with pytest.raises(AuthenticationError):
            await wrong.ping()
        strange = client(Settings(redis_url=url, redis_password=PASSWORD))
        with pytest.raises(RedisConnectionError, match="certificate verify failed"):
            await strange.ping()
        for each in (wrong, strange):
            await each.aclose()
    finally:
        server.kill()

"""A broker that lets nobody in without TLS and a password or a certificate, and rights for those it knows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from stream_app.services.kafka import LocalKafka
from stream_app.services.ports import free_ports
from stream_app.settings import children
from tests.support.kafka_io import Prefix

PASSWORD: Final = "correct-horse-battery"
WRONG: Final = "wrong-horse-battery"
#: a user who may do everything, and one who may do what is granted
FREE, BOUND = "plumbline", "bound"

Settings = dict[str, str]
#: kind of resource, what its name begins with, operation
Right = tuple[ResourceType, str, AclOperation]


class Authority(NamedTuple):
    """Files of one certificate authority: its own certificate, a server's with key, a client's."""

    ca: Path
    server: Path
    client: Path

    @classmethod
    def made(cls, folder: Path) -> Authority:
        """Make an authority and what it signed."""
        folder.mkdir(parents=True, exist_ok=True)
        ca, files = trustme.CA(), cls(folder / "ca.pem", folder / "server.pem", folder / "client.pem")
        ca.cert_pem.write_to_path(files.ca)
        ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(files.server)
        ca.issue_cert("worker@example.org").private_key_and_cert_chain_pem.write_to_path(files.client)
        return files


class Secure(NamedTuple):
    """Addresses: open for the tests, SASL over TLS, TLS with a client's certificate; and who signed the last two."""

    plain: str
    sasl: str
    mutual: str
    authority: Authority

    def by_password(self, password: str = PASSWORD, mechanism: str = "SCRAM-SHA-256", user: str = FREE) -> Settings:
        """Settings of a client that signs in."""
        return {
            "kafka_bootstrap": self.sasl, "kafka_security_protocol": "SASL_SSL", "kafka_sasl_mechanism": mechanism,
            "kafka_sasl_username": user, "kafka_sasl_password": password,
            "kafka_ssl_cafile": str(self.authority.ca),
        }  # fmt: skip

    def by_certificate(self) -> Settings:
        """Settings of a client that shows its certificate."""
        return {
            "kafka_bootstrap": self.mutual, "kafka_security_protocol": "SSL",
            "kafka_ssl_cafile": str(self.authority.ca), "kafka_ssl_certfile": str(self.authority.client),
        }  # fmt: skip

    def grant(self, user: str, rights: Iterable[Right]) -> None:
        """Allow a user these operations on everything whose name begins so."""
        acls = [
            AclBinding(
                kind, name, ResourcePatternType.PREFIXED, f"User:{user}", "*", operation, AclPermissionType.ALLOW
            )
            for kind, name, operation in rights
        ]
        admin = AdminClient({"bootstrap.servers": self.plain})  # as long as its answers are awaited
        _all_done(admin.create_acls(acls))


@contextmanager
def secure_kafka(folder: Path) -> Iterator[Secure]:
    """Start such a broker, with both users; stop it in the end."""
    authority = Authority.made(folder / "tls")
    plain, controller, sasl, mutual = free_ports(4)
    extra = _properties({"PLAINTEXT": plain, "SECURE": sasl, "MUTUAL": mutual}, controller, authority)
    kafka = LocalKafka(folder, transaction_scan_ms=1_000, extra=extra, ports=[plain, controller])
    try:
        kafka.start()
        made = Secure(f"127.0.0.1:{plain}", f"127.0.0.1:{sasl}", f"127.0.0.1:{mutual}", authority)
        mechanism = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        users = [UserScramCredentialUpsertion(user, mechanism, PASSWORD.encode()) for user in (FREE, BOUND)]
        admin = AdminClient({"bootstrap.servers": made.plain})
        _all_done(admin.alter_user_scram_credentials(users))
        yield made
    finally:
        kafka.stop()


def _properties(listeners: dict[str, int], controller: int, authority: Authority) -> dict[str, str]:
    # Java's PEM stores want PKCS #8, which is what openssl's pkey writes
    key_file = authority.server.with_name("pkcs8.pem")
    done = subprocess.run(["openssl", "pkey", "-in", str(authority.server)], capture_output=True, text=True, check=True)
    chain = authority.server.read_text()
    key_file.write_text(done.stdout + chain[chain.index("-----BEGIN CERTIFICATE") :])
    shown = ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())
    login = "org.apache.kafka.common.security"
    return {
        "listeners": f"{shown},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": shown,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL,MUTUAL:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(key_file),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "listener.name.mutual.ssl.principal.mapping.rules": f"RULE:^.*$/{FREE}/",
        "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
        "listener.name.secure.plain.sasl.jaas.config": (
            f'{login}.plain.PlainLoginModule required user_{FREE}="{PASSWORD}";'
        ),
        "listener.name.secure.scram-sha-256.sasl.jaas.config": f"{login}.scram.ScramLoginModule required;",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:ANONYMOUS;User:{FREE}",  # the open listener's clients are anonymous
    }


def _all_done(futures: dict[Any, Any]) -> None:
    for future in futures.values():
        future.result(30)


async def plumbline(prefix: Prefix, settings: Settings, *command: str, bound_s: float = 60.0) -> tuple[int, str]:
    """Run a command with these settings alone; its exit code and all it said."""
    topics = prefix.topics
    own = {"redis_url": "", "app_id": f"{topics.input_prefix}app", "environment": "development"}
    known = topics.as_settings() | own | settings
    env = children.fresh_environment(**known) | {"COLUMNS": "300"}
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "stream_app", *command], env=env, capture_output=True, text=True,
        timeout=bound_s, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr

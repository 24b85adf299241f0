"""Kafka and Redis that let nobody in without TLS and a password: who has both works, who has not is told so."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation, ResourceType
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.partitioning import partition_for
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import admin, clients
from stream_app.kafka.topics import Topics
from stream_app.projection.client import client
from stream_app.services.ports import free_ports
from stream_app.settings import Settings
from tests.support import secure
from tests.support.generate import START
from tests.support.kafka_io import Prefix, read, until
from tests.support.live import RedisServer
from tests.support.secure import BOUND, FREE, PASSWORD, WRONG, Authority, Secure, plumbline
from tests.support.worker import Worker

GUIDE = Path(__file__).parents[2] / "docs" / "operations" / "security.md"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    with secure.secure_kafka(tmp_path_factory.mktemp("secure")) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority.made(tmp_path_factory.mktemp("stranger"))


@pytest.fixture
async def prefix(broker: Secure) -> AsyncIterator[Prefix]:
    """Topics on that broker, for what the tests write and read by its open port."""
    name = f"s{os.getpid()}-{os.urandom(3).hex()}."
    made = Prefix(broker.plain, Topics(name, name, 3, 2))
    yield made
    await made.delete(name)


@pytest.mark.parametrize(
    "way",
    [
        Secure.by_password,
        pytest.param(lambda broker: broker.by_password(mechanism="PLAIN"), marks=pytest.mark.long, id="plain"),
        pytest.param(Secure.by_certificate, marks=pytest.mark.long),
    ],
)
async def test_who_has_what_it_takes_works_from_topics_to_snapshots(
    prefix: Prefix, broker: Secure, tmp_path: Path, way: Callable[[Secure], secure.Settings]
) -> None:
    settings = way(broker)
    scored = tmp_path / "scored.ndjson"
    rows = [
        {"prediction_id": f"r{i}", "predicted_at": START + i * 900_000, "score": i % 10 / 10, "actual": i % 3 == 0}
        for i in range(150)
    ]
    scored.write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, said = await plumbline(prefix, settings, "topics", "create")
    assert code == 0, said
    running = Worker(broker.plain, prefix.topics, f"{prefix.topics.input_prefix}app", tmp_path, **settings).start()
    try:
        await until(lambda: '"ready":true' in running.ready(), 90, "the worker to be ready")
        named = ("--set", "model_type=churn", "--set", "model_version=v1", "--step", "--tick-every", "close")
        code, said = await plumbline(prefix, settings, "replay", str(scored), *named)
        assert code == 0, f"{said}\n{running.tail()}"
        code, said = await plumbline(prefix, settings, "snapshots", "churn:global", "--json")
        assert code == 0, said
        closed = [row for row in map(json.loads, said.splitlines()) if row["state"] == "closed"]
        assert {row["predictions"] for row in closed} >= {96}, "a whole day, every quarter of an hour"
        code, said = await plumbline(
            prefix, settings, "doctor", "--only", "broker", "--only", "topics", "--only", "lag", "--only", "checkpoints"
        )
        assert code == 0, said
        assert running.stop() == 0
        assert PASSWORD not in running.log.read_text() + said
    finally:
        running.kill()


async def test_commands_that_may_not_in_say_so_in_one_sentence_without_the_password(
    prefix: Prefix, broker: Secure, tmp_path: Path
) -> None:
    (tmp_path / "rows.ndjson").write_text(f'{{"prediction_id": "a", "predicted_at": {START}, "score": 0.5}}\n')
    named = ("--set", "model_type=churn", "--set", "model_version=v1")
    refused = f"the broker at {broker.sasl} refuses the user {FREE} by SCRAM-SHA-256"
    for command in (
        ("worker",),
        ("trainer", "--registry", str(tmp_path / "models")),
        ("replay", str(tmp_path / "rows.ndjson"), *named, "--step"),
    ):
        settings = broker.by_password(WRONG) | {"data_dir": str(tmp_path / "data")}
        code, said = await plumbline(prefix, settings, *command)
        assert code == 1, said
        assert refused in said
        assert "PLUMBLINE_KAFKA_SASL_PASSWORD" in said
        assert "Traceback" not in said
        assert WRONG not in said


async def test_what_keeps_a_client_out_is_named_with_the_setting_that_mends_it(
    broker: Secure, stranger: Authority
) -> None:
    good = broker.by_password()
    cases: list[tuple[secure.Settings, str, str]] = [
        (broker.by_password(WRONG), "refuses the user", "KAFKA_SASL_PASSWORD"),
        (broker.by_password(mechanism="SCRAM-SHA-512"), "does not offer SCRAM-SHA-512", "KAFKA_SASL_MECHANISM"),
        (good | {"kafka_ssl_cafile": str(stranger.ca)}, "certificate that is not trusted", "KAFKA_SSL_CAFILE"),
        (good | {"kafka_bootstrap": broker.sasl.replace("127.0.0.1", "localhost")}, "not valid for", "KAFKA_BOOTSTRAP"),
        (good | {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_ssl_cafile": ""}, "ends", "SECURITY_PROTOCOL"),
        (good | {"kafka_security_protocol": "SSL"}, "or a password", "SECURITY_PROTOCOL=SASL_SSL"),
        ({"kafka_bootstrap": broker.sasl}, "may want TLS or a password", "SECURITY_PROTOCOL is PLAINTEXT"),
        (broker.by_certificate() | {"kafka_ssl_certfile": ""}, "may want a client certificate", "SSL_CERTFILE"),
        (broker.by_certificate() | {"kafka_ssl_certfile": str(stranger.client)}, "that it trusts", "SSL_CERTFILE"),
        (broker.by_certificate() | {"kafka_bootstrap": broker.plain}, "speaks no TLS", "SECURITY_PROTOCOL"),
    ]
    for settings, fault, setting in cases:
        known = Settings(**settings)
        with pytest.raises(Unavailable) as told:
            async with admin.admin(known.kafka_bootstrap, known.kafka_client_options()):
                pass
        assert fault in str(told.value), settings
        assert setting in str(told.value), settings
        assert "services up" not in str(told.value), "somebody does answer"


def _rights(topics: Topics, app_id: str) -> list[secure.Right]:
    """Those that the guide's table grants a worker."""
    kinds = {
        "topics": ResourceType.TOPIC, "groups": ResourceType.GROUP,
        "transactional ids": ResourceType.TRANSACTIONAL_ID,
    }  # fmt: skip
    names = {"prefixes": {topics.input_prefix, topics.output_prefix}, "app id": {app_id}}
    table = re.findall(r"^\| (topics|groups|transactional ids) \| ([^|]*) \| ([^|]*) \|$", GUIDE.read_text(), re.M)
    return [
        (kinds[kind], name, AclOperation[re.sub(r"(?<=[a-z])(?=[A-Z])", "_", operation).upper()])
        for kind, whose, operations in table
        for word, meant in names.items()
        if word in whose
        for name in meant
        for operation in operations.split(", ")
    ]


async def test_a_worker_and_its_operators_need_no_more_rights_than_the_guide_lists(
    prefix: Prefix, broker: Secure, tmp_path: Path
) -> None:
    """Live, from a prediction to the answer to a command; the command's tick comes at once, so nobody waits a
    minute."""
    topics = (await prefix.create()).topics
    app = f"app-{topics.input_prefix}"  # what is granted for the prefixes does not cover it
    broker.grant(BOUND, _rights(topics, app))
    settings = broker.by_password(user=BOUND)
    running = Worker(broker.plain, topics, app, tmp_path, **settings, clock="live").start()
    try:
        await until(lambda: '"ready":true' in running.ready(), 60, "the worker to be ready")
        async with clients.producer(broker.plain, {}) as kafka:
            await kafka.send_and_wait(topics.predictions, b"{}", b"a", partition=partition_for(b"a", 3))
        settings |= {"app_id": app}
        code, said = await plumbline(
            prefix, settings, "set", "drop_points=6", "--reason", "tried", "--model", "churn:global"
        )
        assert code == 0, said

        async def answered() -> bool:
            assert running.exit_code is None, running.tail()
            found = await read(broker.plain, topics.audit, 2)
            dead = await read(broker.plain, topics.dead_letters, 2)
            return any(dead.values()) and any(b"drop_points" in r.value for part in found.values() for r in part)

        await until(answered, 60, "the dead-lettered record and the answer to the command")
        code, said = await plumbline(
            prefix, settings, "doctor", "--only", "broker", "--only", "topics", "--only", "lag"
        )
        assert code == 0, said
        assert running.stop() == 0
        assert "AuthorizationFailed" not in running.log.read_text()
    finally:
        running.kill()


@pytest.mark.parametrize("missing", [ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID])
async def test_a_worker_whose_user_lacks_a_right_ends_and_names_it(
    prefix: Prefix, broker: Secure, tmp_path: Path, missing: ResourceType
) -> None:
    topics = (await prefix.create()).topics
    app = f"app-{topics.input_prefix}"
    broker.grant(BOUND, [right for right in _rights(topics, app) if right[0] != missing])
    settings = broker.by_password(user=BOUND) | {"app_id": app, "data_dir": str(tmp_path / "data")}
    code, said = await plumbline(prefix, settings, "worker")
    assert code == 1, said
    named = {ResourceType.GROUP: "Read", ResourceType.TRANSACTIONAL_ID: "Write"}[missing]
    assert f"grant {named} on those that begin with {app}" in said
    assert "Traceback" not in said


async def test_redis_by_tls_and_password(stranger: Authority, tmp_path: Path) -> None:
    authority = Authority.made(tmp_path / "tls")
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
        await wrong.aclose()
        for cafile in ("", str(stranger.ca)):
            strange = client(Settings(redis_url=url, redis_password=PASSWORD, redis_ssl_cafile=cafile))
            with pytest.raises(RedisConnectionError, match="certificate verify failed"):
                await strange.ping()
            await strange.aclose()
    finally:
        server.kill()


def test_authorities_of_redis_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(Incompatible, match=r"redis_ssl_cafile names .*missing\.pem, which cannot be used"):
        client(Settings(redis_url="rediss://127.0.0.1:1/0", redis_ssl_cafile=missing))
    with pytest.raises(Incompatible, match=r"redis_url does not begin with rediss://"):
        client(Settings(redis_url="redis://127.0.0.1:1/0", redis_ssl_cafile=missing))

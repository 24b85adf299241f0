"""Creating and checking topics, with messages that say what to do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAlreadyExistsError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import clients
from stream_app.kafka.reach import refuse_unanswered, unreachable
from stream_app.kafka.topics import MOST, STAMP, Topics, TopicSpec

log = logging.getLogger(__name__)

#: Bound on any single question to the broker.
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class TopicFinding:
    """Something that is not as it should be, and the command that repairs it."""

    topic: str
    problem: str
    remedy: str
    fatal: bool = True


@asynccontextmanager
async def admin(bootstrap: str, options: dict[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client. Raises :class:`Unavailable`, which says why, when it cannot connect."""
    client = clients.admin(bootstrap, options, request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await client.start()
    except (TimeoutError, KafkaError, OSError) as error:
        await client.close()
        raise await unreachable(bootstrap, options) from error
    try:
        yield client
    finally:
        await client.close()


class ConsumerGroup(NamedTuple):
    """A consumer group. ``state``: as the broker calls it, ``Dead`` for one that it does not know; ``members``: host
    and what each said of itself when it joined, empty while it joins."""

    state: str
    members: list[tuple[str, bytes]]


async def consumer_group(client: AIOKafkaAdminClient, name: str) -> ConsumerGroup:
    """A group as its coordinator sees it.

    One at a time: aiokafka 0.14 asks by version 3 and reads the answer as version 2, so that what follows the first
    group of an answer is read from the wrong place.
    """
    try:
        (response,) = await client.describe_consumer_groups([name])
    except GroupCoordinatorNotAvailableError:
        return ConsumerGroup("Dead", [])  # a cluster that no group has ever joined
    error, _, state, _, _, members = response.groups[0][:6]
    if error:
        raise for_code(error)(f"the group {name} cannot be described")
    return ConsumerGroup(state, [(host.lstrip("/"), metadata) for _, _, host, metadata, _ in members])


async def cluster_id(client: AIOKafkaAdminClient) -> str:
    """The cluster's id, which state is bound to."""
    described = await client.describe_cluster()
    return str(described.get("cluster_id") or "unknown")


async def partition_counts(client: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, int]:
    """Partition counts of those topics that exist."""
    present = set(await client.list_topics())
    wanted = [name for name in names if name in present]
    if not wanted:
        return {}
    return {item["topic"]: len(item["partitions"]) for item in await client.describe_topics(wanted)}


async def topic_configs(client: AIOKafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Configuration of each topic by key."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    configs: dict[str, dict[str, str]] = {}
    for response in await client.describe_configs(resources):
        for _code, _message, _kind, name, entries in response.resources:
            configs[name] = {entry[0]: entry[1] for entry in entries}
    return configs


async def create(client: AIOKafkaAdminClient, specs: Iterable[TopicSpec], replication: int) -> list[str]:
    """Create the topics that are missing; returns their names, in order."""
    existing = set(await client.list_topics())
    missing = [spec for spec in specs if spec.name not in existing]
    if not missing:
        return []
    answer = await client.create_topics(
        [NewTopic(s.name, s.partitions, replication, topic_configs=s.config) for s in missing],
        timeout_ms=int(TIMEOUT_S * 1000),
    )
    for name, code, *rest in answer.topic_errors:
        if code and for_code(code) is not TopicAlreadyExistsError:
            message = rest[0] if rest else for_code(code).__name__
            raise Unavailable(f"the broker would not create {name}: {message}")
    await _until_visible(client, [spec.name for spec in missing])
    return [spec.name for spec in missing]


async def _until_visible(client: AIOKafkaAdminClient, names: list[str]) -> None:
    deadline = asyncio.get_running_loop().time() + TIMEOUT_S
    while True:
        described = await client.describe_topics(names)
        if all(d["error_code"] == 0 and all(p["leader"] >= 0 for p in d["partitions"]) for d in described):
            return
        if asyncio.get_running_loop().time() > deadline:
            raise Unavailable(f"{', '.join(names)}: created, but not led by any broker after {TIMEOUT_S:.0f} s")
        await asyncio.sleep(0.05)


async def check(client: AIOKafkaAdminClient, topics: Topics, specs: list[TopicSpec]) -> list[TopicFinding]:
    """Compare what is with what should be. Changes nothing."""
    counts = await partition_counts(client, [spec.name for spec in specs])
    configs = await topic_configs(client, counts)
    findings: list[TopicFinding] = []
    for spec in specs:
        if spec.name not in counts:
            findings.append(TopicFinding(spec.name, "does not exist", "plumbline topics create"))
            continue
        if counts[spec.name] != spec.partitions:
            findings.append(_wrong_count(spec, counts[spec.name], topics))
        findings += _config_findings(spec, configs.get(spec.name, {}), topics.clocks)
        findings += _size_findings(spec, configs.get(spec.name, {}))
    return findings


def _size_findings(spec: TopicSpec, config: dict[str, str]) -> list[TopicFinding]:
    """A lane whose batch is refused cannot go on, so what a topic takes is looked at before a worker starts."""
    found = config.get(MOST)
    if found is None or int(found) >= spec.largest:
        return []
    return [
        TopicFinding(
            spec.name,
            f"takes {found} bytes at a time ({MOST}), and batches of up to {spec.largest} bytes are written to it",
            f"kafka-configs --alter --entity-type topics --entity-name {spec.name} --add-config {MOST}={spec.largest}",
        )
    ]


def _wrong_count(spec: TopicSpec, count: int, topics: Topics) -> TopicFinding:
    key = "INPUT_PARTITIONS" if spec.name in topics.n_family() else "MODEL_PARTITIONS"
    family = "its predictions, outcomes and clock" if key == "INPUT_PARTITIONS" else "all topics keyed by model"
    if spec.name in (topics.owner, topics.progress):
        return TopicFinding(spec.name, f"has {count} partitions and is to have one", "delete it; it is made anew")
    return TopicFinding(
        spec.name,
        f"has {count} partitions, {spec.partitions} are configured; {family} need the same count",
        f"set PLUMBLINE_{key}={count} if all of them have {count}, or make the topic anew with {spec.partitions}",
    )


def _config_findings(spec: TopicSpec, config: dict[str, str], clocks: Sequence[str]) -> list[TopicFinding]:
    findings = []
    for key, wanted in spec.config.items():
        found = config.get(key)
        if key == MOST or found is None or found == wanted or not _matters(key, wanted, found):
            continue
        findings.append(
            TopicFinding(
                spec.name,
                f"{key} is {found}, {_why(key, wanted)}",
                f"kafka-configs --alter --entity-type topics --entity-name {spec.name} --add-config {key}=[{wanted}]",
                fatal=key == "cleanup.policy" or (key == STAMP and spec.name in clocks),
            )
        )
    return findings


def _matters(key: str, wanted: str, found: str) -> bool:
    if key == "cleanup.policy":
        return set(wanted.split(",")) != set(found.split(","))
    if key in ("retention.ms", "delete.retention.ms"):
        return found != "-1" and (wanted == "-1" or int(found) < int(wanted))
    return key == STAMP


def _why(key: str, wanted: str) -> str:
    if key == "retention.ms" and wanted == "-1":
        return (
            "records with old timestamps (a backfill) are deleted at once and the training range may be gone: "
            "-1 is right"
        )
    if key == STAMP:
        return f"{wanted} is right: Kafka refuses what a process whose clock is an hour fast writes"
    return f"{wanted} is right"


async def prepare_worker(
    bootstrap: str, options: dict[str, Any], topics: Topics, changelogs: list[TopicSpec], replication: int, app_id: str
) -> str:
    """What a worker needs before it starts: a broker, its topics, rights, changelogs. Returns the cluster's id."""
    async with admin(bootstrap, options) as client:
        findings = [f for f in await check(client, topics, topics.specs()) if f.fatal]
        if findings:
            lines = "\n".join(f"  {f.topic} {f.problem}\n    → {f.remedy}" for f in findings)
            raise Incompatible(f"the topics are not ready, nothing was started:\n{lines}")
        await _refuse_without_rights(client, app_id)
        counts = await partition_counts(client, [spec.name for spec in changelogs])
        for spec in changelogs:
            if counts.get(spec.name, spec.partitions) != spec.partitions:
                raise Incompatible(
                    f"{spec.name} has {counts[spec.name]} partitions, {spec.partitions} are configured. Partition "
                    "counts are fixed for the life of the input prefix: set the old one, or use a new PLUMBLINE_APP_ID."
                )
        configs = await topic_configs(client, counts)
        for small in (f for spec in changelogs for f in _size_findings(spec, configs.get(spec.name, {}))):
            raise Incompatible(f"{small.topic} {small.problem}\n    → {small.remedy}")
        await create(client, changelogs, replication)
        return await cluster_id(client)


async def prepare_tools(bootstrap: str, options: dict[str, Any], topics: Topics, replication: int) -> list[str]:
    """What a replay or a load needs: a broker that answers, and every topic, made if it is missing. Returns those made.

    ``Unavailable`` within two seconds without a broker; ``Incompatible`` names a topic that is not as configured.
    """
    await refuse_unanswered(bootstrap, options)
    specs = [*topics.specs(), *topics.tools()]
    async with admin(bootstrap, options) as client:
        refuse_other_counts(await partition_counts(client, [spec.name for spec in specs]), topics, specs)
        return await create(client, specs, replication)


def refuse_other_counts(counts: Mapping[str, int], topics: Topics, specs: Iterable[TopicSpec]) -> None:
    """``Incompatible``, which names the setting, if a topic that exists has other partitions than are configured."""
    for spec in specs:
        if counts.get(spec.name, spec.partitions) != spec.partitions:
            finding = _wrong_count(spec, counts[spec.name], topics)
            raise Incompatible(f"{finding.topic} {finding.problem}: {finding.remedy}")


async def require_counts(bootstrap: str, options: dict[str, Any], topics: Topics) -> None:
    """Refuse other partition counts than are configured before anything is read or written.

    Kafka's client waits 40 s for a partition that does not exist; and a key that is placed by a wrong count is read by
    nobody. ``Unavailable`` without a broker.
    """
    specs = topics.specs()
    async with admin(bootstrap, options) as client:
        refuse_other_counts(await partition_counts(client, [spec.name for spec in specs]), topics, specs)


async def _refuse_without_rights(client: AIOKafkaAdminClient, app_id: str) -> None:
    """``Incompatible`` if access lists keep the user from the app's group or transactions; both fail in silence later.

    To ask for a coordinator takes the right to describe, which the rights to read a group and to write in a transaction
    bring along.
    """
    for what, kind, right in (("consumer group", 0, "Read"), ("transactional ids", 1, "Write")):
        try:
            await client.find_coordinator(app_id, kind)
        except (GroupAuthorizationFailedError, TransactionalIdAuthorizationFailed) as error:
            raise Incompatible(
                f"this user may not use the {what} of {app_id}: grant {right} on those that begin with {app_id}. "
                "docs/operations/security.md lists every right that a worker needs."
            ) from error
        except KafkaError as error:
            # A new broker makes the coordinators' topics at the first question; whoever needs them waits for that.
            log.debug("no coordinator yet for the %s of %s: %s", what, app_id, error)

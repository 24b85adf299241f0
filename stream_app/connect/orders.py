"""Writing operator commands: all or none, each to its line's partition, one for ``*`` to every partition."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.partitioning import partition_for
from stream_app import kafka_admin
from stream_app.errors import Incompatible, Unavailable
from stream_app.settings import Settings
from stream_app.topics import Topics


class Order(NamedTuple):
    """An operator's command before it is written; ``line`` may be ``*``. The same id is the same command."""

    line: str
    command: str
    arguments: dict[str, Any]
    actor: str
    reason: str
    id: str


def order(line: str, command: str, arguments: dict[str, Any], actor: str, reason: str) -> Order:
    """A command with an id of its own."""
    return Order(line, command, arguments, actor, reason, str(uuid.uuid4()))


async def send(settings: Settings, topics: Topics, orders: Iterable[Order]) -> None:
    """Write commands in one transaction, so that one for all lines reaches every partition or none.

    Raises ``Incompatible`` if the topic has other partitions than are configured, ``Unavailable`` without a broker.
    """
    options = settings.kafka_client_options()
    async with kafka_admin.admin(settings.kafka_bootstrap, options) as client:
        counts = await kafka_admin.partition_counts(client, [topics.operator_commands])
    count = counts.get(topics.operator_commands)
    if count != topics.line_partitions:
        raise Incompatible(
            f"{topics.operator_commands} has {count or 'no'} partitions, {topics.line_partitions} are configured: "
            "`plumbline topics check` says what to do"
        )
    try:
        async with (
            AIOKafkaProducer(
                bootstrap_servers=settings.kafka_bootstrap,
                # an id for each call: two people may order at once, and neither must fence the other
                transactional_id=f"{topics.operator_commands}-{uuid.uuid4()}",
                **options,
            ) as producer,
            producer.transaction(),
        ):
            for item in orders:
                key = item.line.encode()
                value = orjson.dumps(item._asdict(), option=orjson.OPT_SORT_KEYS)
                targets = range(count) if item.line == "*" else (partition_for(key, count),)
                for partition in targets:
                    await producer.send(topics.operator_commands, value, key=key, partition=partition)
    except KafkaError as error:
        raise Unavailable(f"the commands could not be written: {error}") from error

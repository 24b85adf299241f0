"""Writing operator commands: all or none, each to its model's partition, one for ``*`` to every partition."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import orjson
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas import bounds
from schemas.partitioning import partition_for
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import admin, clients
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

#: Seconds until a commit has to be seen by readers.
VISIBLE_S: Final = 30.0
#: Commands handed to the producer before the loop's other tasks have their turn.
AT_ONCE: Final = 100


class NewCommand(NamedTuple):
    """An operator's command before it is written; ``model`` may be ``*``. The same id is the same command."""

    model: str
    command: str
    arguments: dict[str, Any]
    actor: str
    reason: str
    id: str


def new_command(model: str, command: str, arguments: dict[str, Any], actor: str, reason: str) -> NewCommand:
    """A command with an id of its own."""
    return NewCommand(model, command, arguments, actor, reason, str(uuid.uuid4()))


def oversized(item: NewCommand) -> str | None:
    """Why a command is too large to be taken, in a sentence; ``None`` if it is not."""
    size = bounds.content(item.model.encode(), as_bytes(item), ())
    if size <= bounds.COMMAND:
        return None
    return (
        f"the command {item.command} for {item.model} has {size} bytes and at most {bounds.COMMAND} are taken: "
        "shorten its reason or its arguments, or say it in several"
    )


async def send(settings: Settings, topics: Topics, orders: Iterable[NewCommand]) -> None:
    """Write commands in one transaction, so that one for all models reaches every partition or none.

    Raises ``Incompatible`` for a command that is too large and if the topic has other partitions than are configured,
    ``Unavailable`` without a broker.
    """
    orders = list(orders)
    for text in filter(None, map(oversized, orders)):
        raise Incompatible(text)
    options = settings.kafka_client_options()
    async with admin.admin(settings.kafka_bootstrap, options) as client:
        counts = await admin.partition_counts(client, [topics.operator_commands])
    count = counts.get(topics.operator_commands)
    if count != topics.model_partitions:
        raise Incompatible(
            f"{topics.operator_commands} has {count or 'no'} partitions, {topics.model_partitions} are configured: "
            "`plumbline topics check` says what to do"
        )
    written = [(_partitions(item, count), item) for item in orders]
    try:
        async with (
            # an id for each call: two people may command at once, and neither must fence the other
            clients.producer(
                settings.kafka_bootstrap, options, transactional_id=f"{topics.operator_commands}-{uuid.uuid4()}"
            ) as producer,
            producer.transaction(),
        ):
            futures = []
            for number, (partitions, item) in enumerate(written):
                if not number % AT_ONCE:
                    await asyncio.sleep(0)
                futures += [
                    await producer.send(
                        topics.operator_commands, as_bytes(item), key=item.model.encode(), partition=partition
                    )
                    for partition in partitions
                ]
            answers = await asyncio.gather(*futures)
        await _visible(settings, {TopicPartition(a.topic, a.partition): a.offset for a in answers})
    except KafkaError as error:
        raise Unavailable(f"the commands could not be written: {error}") from error


def _partitions(item: NewCommand, count: int) -> Iterable[int]:
    return range(count) if item.model == "*" else (partition_for(item.model.encode(), count),)


def as_bytes(item: NewCommand) -> bytes:
    """The command as it is written."""
    return orjson.dumps(item._asdict(), option=orjson.OPT_SORT_KEYS)


async def _visible(settings: Settings, written: dict[TopicPartition, int]) -> None:
    """A commit is answered before its markers are written; what is commanded is to be there for whoever reads next."""
    consumer = clients.consumer(settings.kafka_bootstrap, settings.kafka_client_options())
    await consumer.start()
    try:
        deadline = asyncio.get_running_loop().time() + VISIBLE_S
        while any(end <= written[tp] for tp, end in (await consumer.end_offsets(list(written))).items()):
            if asyncio.get_running_loop().time() > deadline:
                raise Unavailable("the commands are written and no reader sees them yet: the broker is slow")
            await asyncio.sleep(0.01)
    finally:
        await consumer.stop()

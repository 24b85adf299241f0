"""Running a relay: checks before the start, sessions one after the other, back-off between them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from aiokafka import TopicPartition
from aiokafka.errors import (
    ConsumerStoppedError,
    GroupAuthorizationFailedError,
    IllegalOperation,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)

from stream_app.errors import Incompatible, Parked
from stream_app.ingest.relay.session import RelayPlan, RelayProgress, Session
from stream_app.kafka import admin, clients
from stream_app.kafka.reading import stop_consumer
from stream_app.kafka.topics import Topics
from stream_app.settings import Settings

log = logging.getLogger(__name__)

#: Seconds between sessions after a fault: doubled up to the longest, back to the first once records flow.
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 15.0
#: Waiting does not repair these.
_HOPELESS = (
    Parked, MessageSizeTooLargeError, TopicAuthorizationFailedError, GroupAuthorizationFailedError, InvalidTopicError,
)  # fmt: skip
#: What becomes of a batch when the broker is away, or when a fence comes between two of its steps.
_PASSING = (KafkaError, IllegalOperation, ConsumerStoppedError, OSError, TimeoutError)


async def run_relay(
    settings: Settings,
    topics: Topics,
    plan: RelayPlan,
    stop: asyncio.Event,
    told: Callable[[RelayProgress], None],
    progress: RelayProgress | None = None,
) -> RelayProgress:
    """Relay until ``stop`` is set. A broker that is away is waited for, except at the start.

    ``progress`` is what is counted in, for those who look at it meanwhile.
    ``Unavailable`` if no broker answers at the start; ``Incompatible`` for topics, rights or sizes that do not fit.
    """
    counts = await check_topics(settings, topics, plan)
    progress, wait = progress or RelayProgress(), _FIRST_WAIT_S
    if plan.until_end:
        progress.ends = await _ends(settings, counts)
    while not stop.is_set():
        before = progress.counts.records
        try:
            await Session(settings, topics, plan, progress, lambda: told(progress)).run(stop)
            return progress
        except _HOPELESS as error:
            raise Incompatible(f"the relay cannot go on: {_sentence(error)}") from error
        except _PASSING as error:
            if progress.counts.records > before:
                wait = _FIRST_WAIT_S
            progress.faults += 1
            log.warning("%s; joining again in %.2f s", _sentence(error), wait)
        try:
            async with asyncio.timeout(wait):
                await stop.wait()
        except TimeoutError:
            wait = min(wait * 2, _LONGEST_WAIT_S)
    return progress


async def _ends(settings: Settings, counts: dict[str, int]) -> dict[TopicPartition, int]:
    """Where the partitions that hold records end, for readers of what is committed."""
    consumer = clients.consumer(settings.kafka_bootstrap, settings.kafka_client_options())
    await consumer.start()
    try:
        tps = [TopicPartition(name, partition) for name, count in counts.items() for partition in range(count)]
        begin, end = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        return {tp: end[tp] for tp in tps if end[tp] > begin[tp]}
    finally:
        await stop_consumer(consumer)


async def check_topics(settings: Settings, topics: Topics, plan: RelayPlan) -> dict[str, int]:
    """Sources are there and are none of the relay's own targets; targets are there with their partition counts.

    Returns the sources' partition counts.
    """
    for name in plan.sources:
        if name in (topics.predictions, topics.outcomes, topics.dead_letters):
            raise Incompatible(
                f"{name} is a topic this relay writes to: it would read its own records for ever. Have producers write "
                "to a topic of another name, and relay that."
            )
    counted = {topics.predictions: topics.input_partitions, topics.outcomes: topics.input_partitions}
    counted[topics.dead_letters] = topics.model_partitions
    async with admin.admin(settings.kafka_bootstrap, settings.kafka_client_options()) as client:
        found = await admin.partition_counts(client, [*plan.sources, *counted])
    for name in plan.sources:
        if name not in found:
            raise Incompatible(f"topic {name} does not exist; check its name, and that this user may see it")
    for name, count in counted.items():
        if found.get(name) != count:
            state = f"has {found[name]} partitions, {count} are configured" if name in found else "does not exist"
            raise Incompatible(f"topic {name} {state}: `plumbline topics check` says what to do")
    return {name: found[name] for name in plan.sources}


def _sentence(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")

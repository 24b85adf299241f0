"""The owner of an output prefix (CONTRACT section 9).

The claim is a record on a compacted topic of one partition, taken by compare-and-set: a producer under the topic's own
transactional id fences every other that is about to claim, reads to the end, and writes only what it may. So of two
applications that start at the same moment one sees the other's claim.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed

from schemas.common import encode, rfc3339
from schemas.owner import Owner
from stream_app.errors import Incompatible, Unavailable
from stream_app.kafka import clients
from stream_app.kafka.reach import start

KEY: Final = b"owner"
#: How often a claim is tried again after another producer fenced it.
_TRIES: Final = 20
_TIMEOUT_S: Final = 10.0

_decoder = msgspec.json.Decoder(Owner)


class Kafka(NamedTuple):
    """Where the brokers are, and the TLS and SASL that they ask for."""

    bootstrap: str
    options: Mapping[str, Any]


class ClaimsRead(NamedTuple):
    """The claim that stood when the topic ended at ``end``; ``None`` before the first claim."""

    end: int
    owner: Owner | None


async def read(consumer: AIOKafkaConsumer, topic: str, before: ClaimsRead | None = None) -> ClaimsRead:
    """The claim that stands, read to the topic's end. ``consumer``: started, its own.

    ``before``: an earlier answer, which holds as long as the topic has not grown; that costs one question.
    """
    tp = TopicPartition(topic, 0)
    found: Owner | None = None
    end = (await consumer.end_offsets([tp]))[tp]
    if before is not None and before.end == end:
        return before
    consumer.assign([tp])
    consumer.seek(tp, (await consumer.beginning_offsets([tp]))[tp])
    while await consumer.position(tp) < end:
        for record in (await consumer.getmany(tp, timeout_ms=200)).get(tp, []):
            if record.key == KEY and record.value is not None:
                found = claim_of(record.value, topic)
    consumer.pause(tp)  # a fetch that waits for more would hold up the next question on its connection
    return ClaimsRead(end, found)


def claim_of(value: bytes, topic: str) -> Owner:
    """What a record under :data:`KEY` says. Raises :class:`Incompatible`."""
    try:
        return _decoder.decode(value)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Incompatible(
            f"{topic} holds a claim that this release cannot read ({error}): nobody but Plumbline writes there. Use "
            "another PLUMBLINE_OUTPUT_PREFIX, or run the release that wrote it."
        ) from error


def claim(app: str, now_ms: int, input_partitions: int, model_partitions: int, at_start: Mapping[str, str]) -> Owner:
    """The claim of an application."""
    return Owner(
        schema="io.plumbline.owner.v1",
        app=app,
        since=rfc3339(now_ms),
        input_partitions=input_partitions,
        model_partitions=model_partitions,
        at_start=dict(at_start),
    )


async def take(kafka: Kafka, topic: str, wanted: Callable[[Owner | None], Owner | None]) -> Owner | None:
    """Compare and set: ``wanted`` is told the claim that stands and gives the one to write, ``None`` to leave it.

    Returns the claim that stood before. Raises what ``wanted`` raises; nothing is written then.
    """
    failed: KafkaError | None = None
    for attempt in range(_TRIES):
        producer = clients.producer(
            kafka.bootstrap, kafka.options, transactional_id=topic, transaction_timeout_ms=int(_TIMEOUT_S * 1000)
        )
        reader = clients.consumer(kafka.bootstrap, kafka.options, auto_offset_reset="none", fetch_max_wait_ms=50)
        try:
            await start(producer, kafka.bootstrap, dict(kafka.options))
            await start(reader, kafka.bootstrap, dict(kafka.options))
            stands = (await read(reader, topic)).owner
            mine = wanted(stands)
            if mine is not None:
                async with producer.transaction():
                    await producer.send_and_wait(topic, encode(mine), key=KEY, partition=0)
            return stands
        except (TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed):
            raise
        except KafkaError as error:
            # Fenced as a rule, which aiokafka says in several ways; whether ours was written, the next read tells.
            failed = error
            await asyncio.sleep(0.05 * (attempt + 1))
        finally:
            await reader.stop()
            await producer.stop()
    raise Unavailable(f"{topic}: it could not be claimed in {_TRIES} tries ({failed}); start this worker again")


async def fence(kafka: Kafka, owner: Owner) -> bool:
    """Initialise every transactional id of the lanes of ``owner``: none of them can commit any more.

    ``False`` if this user may not write under those ids; then the lanes notice within half a minute by themselves.
    """
    ids = [f"{owner.app}-labels-{p}" for p in range(owner.input_partitions)]
    ids += [
        f"{owner.app}-{stage}-{p}"
        for stage in ("metrics", "drift", "retrain", "alerts")
        for p in range(owner.model_partitions)
    ]
    for name in ids:
        producer = clients.producer(kafka.bootstrap, kafka.options, transactional_id=name)
        try:
            async with asyncio.timeout(3 * _TIMEOUT_S):
                await producer.start()
        except TransactionalIdAuthorizationFailed:
            return False
        except (KafkaError, TimeoutError) as error:
            raise Unavailable(f"the lane {name} could not be fenced ({error}); start this worker again") from error
        finally:
            await producer.stop()
    return True
